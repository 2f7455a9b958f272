//go:build unix

package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/detect"
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

// alertID derives an alert's id from what it is about, so that looking twice
// gives the same one. It has the form of a UUIDv8 (RFC 9562).
func alertID(key string, first time.Time) string {
	h := sha256.Sum256([]byte(key + first.UTC().Format(time.RFC3339Nano)))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	x := hex.EncodeToString(h[:16])
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

func newEngine() *detect.Engine { return detect.New(alertID) }

// feed prints events and alerts as they come.
type feed struct {
	g      *globals
	engine *detect.Engine
	colour bool
}

func newFeed(g *globals) *feed {
	f := &feed{g: g, engine: newEngine()}
	if file, ok := g.Out.(*os.File); ok {
		st, err := file.Stat()
		f.colour = err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == ""
	}
	return f
}

func (f *feed) show(e event.Event) error {
	alerts := f.engine.Judge(e)
	if f.g.quiet {
		return nil
	}
	if f.g.json {
		if _, err := f.g.Out.Write(append(e.AppendJSON(nil), '\n')); err != nil {
			return err
		}
	} else if line := oneLine(e); line != "" {
		if _, err := fmt.Fprintln(f.g.Out, line); err != nil {
			return err
		}
	}
	for _, a := range alerts {
		if a.Count > 1 && a.Count&(a.Count-1) != 0 { // told again at 2, 4, 8, …
			continue
		}
		if f.g.json {
			f.g.Out.Write(append(alertJSON(a), '\n')) //nolint:errcheck // the next write tells
			continue
		}
		mark, end := "", ""
		if f.colour {
			mark, end = "\x1b[1;31m", "\x1b[0m"
		}
		fmt.Fprintf(f.g.Out, "%s         ALERT %-8s %s: %s%s\n", mark, a.Rule.Level, a.Rule.Name, safe(a.Title, 200), end) //nolint:errcheck // the next write tells
	}
	return nil
}

// oneLine is an event for a person.
func oneLine(e event.Event) string {
	what := ""
	switch e.Action {
	case event.ActionConnectionOpened:
		what = fmt.Sprintf("connected to %s on %s", e.Protocol, e.Host)
	case event.ActionConnectionClosed, event.ActionClientIdentified:
		return ""
	case event.ActionLogin:
		m, _ := e.Get("lapwing.login.method")
		what = fmt.Sprintf("login %s as %q by %s", e.Outcome, safe(e.User, 60), m.Text())
	case event.ActionSessionStarted:
		what = "session " + e.Session + " begins"
	case event.ActionSessionEnded:
		what = "session " + e.Session + " ends"
	case event.ActionCommandExecuted:
		what = fmt.Sprintf("$ %s   [%d]", safe(e.CommandLine, 160), e.ExitCode)
	case event.ActionFileCaptured:
		what = fmt.Sprintf("left %s, %d bytes, SHA-256 %.16s…", safe(e.Path, 80), e.Size, e.SHA256)
	case event.ActionDownloadRequested:
		what = "asked for " + safe(e.URL, 160)
	default:
		what = e.Action + " " + safe(e.Reason, 160)
	}
	return fmt.Sprintf("%s %s %s", e.Time.Local().Format("15:04:05"), e.Source.Addr(), what)
}

func alertJSON(a *alert.Alert) []byte {
	b := []byte(`{"id":`)
	b = event.AppendString(b, a.ID)
	field := func(k, v string) {
		b = append(b, ',')
		b = event.AppendString(b, k)
		b = append(b, ':')
		b = event.AppendString(b, v)
	}
	list := func(k string, l []string) {
		b = append(b, ',')
		b = event.AppendString(b, k)
		b = append(b, ':', '[')
		for i, v := range l {
			if i > 0 {
				b = append(b, ',')
			}
			b = event.AppendString(b, v)
		}
		b = append(b, ']')
	}
	field("rule.id", a.Rule.ID)
	field("rule.name", a.Rule.Name)
	field("rule.level", a.Rule.Level.String())
	list("threat.technique.id", a.Rule.Techniques)
	field("source.ip", a.Source.String())
	field("lapwing.host", a.Host)
	field("lapwing.session.id", a.Session)
	field("message", a.Title)
	list("events", a.Events)
	b = fmt.Appendf(b, `,"count":%d`, a.Count)
	field("first", a.First.UTC().Format(time.RFC3339Nano))
	field("last", a.Last.UTC().Format(time.RFC3339Nano))
	return append(b, '}')
}
