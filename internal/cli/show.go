//go:build unix

package cli

import (
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/term"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// feed prints events and alerts as they come.
type feed struct {
	g      *globals
	colour bool
	mu     sync.Mutex // one line at a time
}

func newFeed(g *globals) *feed {
	f := &feed{g: g}
	f.colour = isTerminal(g.Out) && os.Getenv("NO_COLOR") == ""
	return f
}

// isTerminal tells whether a person reads w as it is written.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
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
		return f.write(string(jsonText(e.AppendJSON(nil))))
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
		return f.write(string(jsonText(line)))
	}
	mark, end := "", ""
	if f.colour {
		mark, end = "\x1b[1;31m", "\x1b[0m"
		if a.Rule.Level < alert.High {
			mark = "\x1b[1;33m"
		}
	}
	kind := "ALERT"
	if a.Retrospective {
		kind = "FOUND LATER"
	}
	times := ""
	if a.Count > 1 {
		times = fmt.Sprintf(" (%d events)", a.Count)
	}
	return f.write(fmt.Sprintf("%s         %s %-8s %s: %s%s%s", mark, kind, a.Rule.Level, safe(a.Rule.Name, 60), safe(a.Title, 200), times, end))
}

// oneLine is an event for the live feed, "" for what would only be noise there.
func oneLine(e event.Event) string {
	switch e.Action {
	case event.ActionConnectionClosed, event.ActionClientIdentified, event.ActionWindowChanged:
		return ""
	}
	return fmt.Sprintf("%s %s %s", e.Time.Local().Format("15:04:05"), from(e), words(e))
}
