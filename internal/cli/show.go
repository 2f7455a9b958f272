//go:build unix

package cli

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"unicode"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// safe makes a visitor's text fit to print: every control, format and
// bidirectional character is written as an escape.
func safe(s string, limit int) string {
	var b strings.Builder
	for i, r := range s {
		if i >= limit {
			b.WriteString("…")
			break
		}
		switch {
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case unicode.IsPrint(r) && r != '\u00ad':
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// feed prints events and alerts as they come.
type feed struct {
	g      *globals
	colour bool
	mu     sync.Mutex // one line at a time
}

func newFeed(g *globals) *feed {
	f := &feed{g: g}
	if file, ok := g.Out.(*os.File); ok {
		st, err := file.Stat()
		f.colour = err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
	}
	return f
}

func (f *feed) write(line string) error {
	if f.g.quiet {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := fmt.Fprintln(f.g.Out, line)
	return err
}

// show prints an event.
func (f *feed) show(e event.Event) error {
	if f.g.json {
		return f.write(string(e.AppendJSON(nil)))
	}
	line := oneLine(e)
	if line == "" {
		return nil
	}
	return f.write(line)
}

// alert prints an alert, which is in the casebook by now.
func (f *feed) alert(line []byte, a *alert.Alert) error {
	if f.g.json || a == nil {
		return f.write(string(line))
	}
	mark, end := "", ""
	if f.colour {
		mark, end = "\x1b[1;31m", "\x1b[0m"
		if a.Rule.Level < alert.High {
			mark = "\x1b[1;33m"
		}
	}
	times := ""
	if a.Count > 1 {
		times = fmt.Sprintf(" (%d events)", a.Count)
	}
	return f.write(fmt.Sprintf("%s         ALERT %-8s %s: %s%s%s", mark, a.Rule.Level, safe(a.Rule.Name, 60), safe(a.Title, 200), times, end))
}

// oneLine is an event for a person.
func oneLine(e event.Event) string {
	var what string
	switch e.Action {
	case event.ActionConnectionOpened:
		what = fmt.Sprintf("connected to %s on %s", e.Protocol, e.Host)
	case event.ActionConnectionClosed, event.ActionClientIdentified:
		return ""
	case event.ActionLogin:
		m, _ := e.Get("lapwing.login.method")
		what = fmt.Sprintf("login %s as %q by %s", e.Outcome, safe(e.User, 60), safe(m.Text(), 40))
	case event.ActionSessionStarted:
		what = "session " + e.Session + " begins"
	case event.ActionSessionEnded:
		what = "session " + e.Session + " ends"
	case event.ActionCommandExecuted:
		what = fmt.Sprintf("$ %s   [%d]", safe(e.CommandLine, 160), e.ExitCode)
	case event.ActionFileCaptured:
		what = fmt.Sprintf("left %s, %d bytes, SHA-256 %.16s…", safe(e.Path, 80), e.Size, e.SHA256)
	case event.ActionMalwareFound:
		what = fmt.Sprintf("FOUND in %s: %s", safe(e.Path, 80), safe(e.Reason, 160))
	case event.ActionScanIncomplete:
		what = fmt.Sprintf("%s was not fully scanned: %s", safe(e.Path, 80), safe(e.Reason, 160))
	case event.ActionDownloadRequested:
		what = "asked for " + safe(e.URL, 160)
	default:
		what = e.Action + " " + safe(e.Reason, 160)
	}
	return fmt.Sprintf("%s %s %s", e.Time.Local().Format("15:04:05"), e.Source.Addr(), what)
}
