//go:build unix

package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// from is who an event came from, "-" for one of our own.
func from(e event.Event) string {
	if !e.Source.IsValid() {
		return "-"
	}
	return e.Source.Addr().String()
}

// field is a field of an event, safe to print.
func field(e event.Event, name string, limit int) string {
	v, _ := e.Get(name)
	return safe(v.Text(), limit)
}

// words says what happened, for a person.
func words(e event.Event) string {
	switch e.Action {
	case event.ActionConnectionOpened, event.ActionConnectionClosed, event.ActionConnectionRefused, event.ActionClientIdentified, event.ActionLogin:
		return arrivalWords(e)
	case event.ActionSessionStarted, event.ActionSessionEnded, event.ActionCommandExecuted, event.ActionProgramNoted, event.ActionPasswordChanged, event.ActionWindowChanged:
		return sessionWords(e)
	case event.ActionFileCaptured, event.ActionFileRead, event.ActionFileChanged, event.ActionMalwareFound, event.ActionScanIncomplete:
		return fileWords(e)
	case event.ActionRequest:
		text := strings.TrimSpace(field(e, "http.request.method", 16) + " " + safe(e.URL, 140))
		if found := field(e, "lapwing.http.attack", 80); found != "" {
			text += " (" + found + ")"
		}
		return text
	case event.ActionQueryExecuted:
		return "asked the database: " + field(e, "lapwing.query.text", 160)
	case event.ActionDownloadRequested:
		return "asked for " + safe(e.URL, 160)
	case event.ActionTunnelRequested:
		return fmt.Sprintf("asked for a tunnel (%s) to %s port %s", field(e, "lapwing.tunnel.kind", 40), field(e, "lapwing.tunnel.host", 80), field(e, "lapwing.tunnel.port", 10))
	case event.ActionLimitReached:
		return "reached a limit: " + safe(e.Reason, 160)
	case event.ActionProtocolError:
		return "broke the protocol: " + safe(e.Reason, 160)
	case event.ActionEventsDropped:
		return "EVENTS WERE DROPPED: the journal is full " + safe(e.Reason, 160)
	}
	return strings.TrimSpace(safe(e.Action, 40) + " " + safe(e.Reason, 160))
}

func arrivalWords(e event.Event) string {
	switch e.Action {
	case event.ActionConnectionOpened:
		return fmt.Sprintf("connected to %s on %s", safe(e.Protocol, 20), safe(e.Host, 40))
	case event.ActionConnectionRefused:
		return "was refused: " + safe(e.Reason, 160)
	case event.ActionClientIdentified:
		return strings.TrimSpace("client " + field(e, "user_agent.original", 80) + " " + field(e, "lapwing.ssh.hassh", 40))
	case event.ActionLogin:
		return fmt.Sprintf("login %s as %q by %s", safe(e.Outcome, 20), safe(e.User, 60), field(e, "lapwing.login.method", 40))
	}
	lasted, _ := e.Get("event.duration")
	text := "disconnected after " + time.Duration(lasted.Int64()).Round(100*time.Millisecond).String()
	if e.Reason != "" {
		text += ": " + safe(e.Reason, 120)
	}
	return text
}

func sessionWords(e event.Event) string {
	switch e.Action {
	case event.ActionSessionStarted:
		return strings.TrimRight("session "+safe(e.Session, 40)+" begins: "+field(e, "lapwing.session.kind", 20), ": ")
	case event.ActionSessionEnded:
		return "session " + safe(e.Session, 40) + " ends"
	case event.ActionCommandExecuted:
		return fmt.Sprintf("$ %s   [%d]", safe(e.CommandLine, 160), e.ExitCode)
	case event.ActionPasswordChanged:
		return "set a password for " + field(e, "user.target.name", 60)
	case event.ActionWindowChanged:
		return fmt.Sprintf("terminal of %s columns, %s rows", field(e, "lapwing.terminal.columns", 10), field(e, "lapwing.terminal.rows", 10))
	}
	what, rest, _ := strings.Cut(e.Reason, ": ")
	says := map[string]string{
		"code-handed-over": "handed over code: ", "job-planned": "planned a job: ", "program-crashed": "a program of the fake host broke: ",
		"shutdown-asked": "asked for a shutdown: ", "request-refused": "asked in vain for ", "agent-forwarded": "offers his agent: ",
	}
	if w := says[what]; w != "" {
		return w + safe(rest, 160)
	}
	return "noted: " + safe(e.Reason, 160)
}

func fileWords(e event.Event) string {
	switch e.Action {
	case event.ActionFileCaptured:
		return fmt.Sprintf("left %s, %d bytes, SHA-256 %.16s…", safe(e.Path, 80), e.Size, safe(e.SHA256, 64))
	case event.ActionFileRead:
		return "took " + safe(e.Path, 160)
	case event.ActionMalwareFound:
		return fmt.Sprintf("FOUND in %s: %s", safe(e.Path, 80), safe(e.Reason, 160))
	case event.ActionScanIncomplete:
		return fmt.Sprintf("%s was not fully scanned: %s", safe(e.Path, 80), safe(e.Reason, 160))
	}
	text := "changed a file: " + field(e, "lapwing.file.verb", 20) + " " + safe(e.Path, 120)
	if to := field(e, "file.target_path", 120); to != "" {
		text += " to " + to
	}
	return text
}
