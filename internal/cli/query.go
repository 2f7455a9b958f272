//go:build unix

package cli

import (
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// selection is the flags that choose events.
type selection struct {
	since time.Duration
	n     int
}

func (s *selection) flags(c *cobra.Command) {
	c.Flags().DurationVar(&s.since, "since", 0, "only what happened in the last D, such as 24h")
	c.Flags().IntVarP(&s.n, "number", "n", 0, "only the last N")
}

func (s *selection) takes(e event.Event, now time.Time) bool {
	return s.since == 0 || now.Sub(e.Time) <= s.since
}

// last keeps the last n of a growing list.
func last[T any](l []T, n int) []T {
	if n > 0 && len(l) > n {
		return l[len(l)-n:]
	}
	return l
}

func row(e event.Event) string {
	what := oneLine(e)
	if what == "" {
		what = e.Action + " " + safe(e.Reason, 120)
	} else if _, rest, ok := strings.Cut(what, e.Source.Addr().String()+" "); ok {
		what = rest
	}
	return fmt.Sprintf("%s  %-15s  %-9s  %s", e.Time.UTC().Format("2006-01-02 15:04:05"), e.Source.Addr(), safe(e.Host, 12), what)
}

func newAlerts(g *globals) *cobra.Command {
	var sel selection
	c := &cobra.Command{
		Use: "alerts", Short: "Print the alerts", Args: cobra.NoArgs,
		Long:    "Prints alerts, oldest first, each with the number of events under it.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing alerts\n  lapwing alerts --json --since 24h",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			engine, now := newEngine(), time.Now()
			all := map[string]*alert.Alert{}
			err = dir.Events(c.Context(), app.Query{}, func(e event.Event) error {
				for _, a := range engine.Judge(e) {
					all[a.ID] = a
				}
				return nil
			})
			if err != nil {
				return err
			}
			var list []*alert.Alert
			for _, a := range all {
				if sel.since == 0 || now.Sub(a.Last) <= sel.since {
					list = append(list, a)
				}
			}
			sort.Slice(list, func(i, j int) bool {
				if list[i].First.Equal(list[j].First) {
					return list[i].ID < list[j].ID
				}
				return list[i].First.Before(list[j].First)
			})
			for _, a := range last(list, sel.n) {
				if g.json {
					g.Out.Write(append(alertJSON(a), '\n')) //nolint:errcheck // the terminal is gone
					continue
				}
				fmt.Fprintf(g.Out, "%s  %-8s %-28s %s\n%22s%d events, %s, session %s\n", a.First.UTC().Format("2006-01-02 15:04:05"), a.Rule.Level, a.Rule.Name, safe(a.Title, 160), "", a.Count, strings.Join(a.Rule.Techniques, " "), a.Session) //nolint:errcheck // as above
			}
			return nil
		},
	}
	sel.flags(c)
	return c
}

// visitSession is what is known of one session.
type visitSession struct {
	ID, Source, Host, User, Kind string
	Start, End                   time.Time
	Commands, Files              int64
	Events                       []event.Event
}

// sessions collects every session, oldest first; keep says whether to hold its events.
func sessions(c *cobra.Command, dir app.Dir, keep string) ([]*visitSession, error) {
	all := map[string]*visitSession{}
	var order []*visitSession
	q := app.Query{Where: "lapwing.session.id:*"}
	if keep != "" {
		q = sessionQuery(keep)
	}
	err := dir.Events(c.Context(), q, func(e event.Event) error {
		if e.Session == "" {
			return nil
		}
		s := all[e.Session]
		if s == nil {
			s = &visitSession{ID: e.Session, Source: e.Source.Addr().String(), Host: e.Host, User: e.User, Start: e.Time}
			all[e.Session] = s
			order = append(order, s)
		}
		switch e.Action {
		case event.ActionSessionStarted:
			v, _ := e.Get("lapwing.session.kind")
			s.Kind, s.Start = v.Text(), e.Time
		case event.ActionSessionEnded:
			s.End = e.Time
		case event.ActionCommandExecuted:
			s.Commands++
		case event.ActionFileCaptured:
			s.Files++
		}
		if keep != "" && strings.HasPrefix(e.Session, keep) {
			s.Events = append(s.Events, e)
		}
		return nil
	})
	return order, err
}

func newSessions(g *globals) *cobra.Command {
	var sel selection
	c := &cobra.Command{
		Use: "sessions", Short: "List the sessions on decoys", Args: cobra.NoArgs,
		Long: "Lists who logged in to a decoy and how much he did.\n\nExit status: 0 fine, 2 error, 64 wrong usage.", Example: "  lapwing sessions -n 20",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			list, err := sessions(c, dir, "")
			if err != nil {
				return err
			}
			now := time.Now()
			for _, s := range last(list, sel.n) {
				if sel.since > 0 && now.Sub(s.Start) > sel.since {
					continue
				}
				if g.json {
					e := event.Event{Session: s.ID, Time: s.Start, User: s.User, Host: s.Host}
					e.Add("source.ip", s.Source)
					e.Add("lapwing.session.kind", s.Kind)
					e.AddInt("lapwing.session.commands", s.Commands)
					e.AddInt("lapwing.session.captures", s.Files)
					fmt.Fprintf(g.Out, "%s\n", e.AppendJSON(nil)) //nolint:errcheck // the terminal is gone
					continue
				}
				state := "live"
				if !s.End.IsZero() {
					state = s.End.Sub(s.Start).Round(time.Second).String()
				}
				fmt.Fprintf(g.Out, "%s  %s  %-15s %-10s %-10s %-6s %3d commands %3d files  %s\n", s.ID, s.Start.UTC().Format("2006-01-02 15:04:05"), s.Source, safe(s.Host, 10), safe(s.User, 10), s.Kind, s.Commands, s.Files, state) //nolint:errcheck // as above
			}
			return nil
		},
	}
	sel.flags(c)
	return c
}

// find resolves a session by its id or an unambiguous beginning of it.
func find(c *cobra.Command, g *globals, id string) (*visitSession, app.Dir, error) {
	dir, err := g.dir()
	if err != nil {
		return nil, "", err
	}
	list, err := sessions(c, dir, id)
	if err != nil {
		return nil, "", err
	}
	var hit *visitSession
	for _, s := range list {
		if strings.HasPrefix(s.ID, id) {
			if hit != nil {
				return nil, "", fmt.Errorf("%q begins more than one session: give more of the id", id)
			}
			hit = s
		}
	}
	if hit == nil {
		return nil, "", fmt.Errorf("no session %q: see lapwing sessions", id)
	}
	return hit, dir, nil
}

func newSession(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "session", Short: "Show, replay or export one session", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		return usageError{fmt.Errorf("session: say show, replay or cast")}
	}}
	show := &cobra.Command{
		Use: "show ID", Short: "Print everything a session did", Args: cobra.ExactArgs(1), Example: "  lapwing session show 0192f0c0",
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := find(c, g, args[0])
			if err != nil {
				return err
			}
			for _, e := range s.Events {
				if g.json {
					fmt.Fprintf(g.Out, "%s\n", e.AppendJSON(nil)) //nolint:errcheck // the terminal is gone
				} else {
					fmt.Fprintln(g.Out, row(e)) //nolint:errcheck // as above
				}
			}
			return nil
		},
	}
	cast := &cobra.Command{
		Use: "cast ID", Short: "Write the recording as asciicast v2", Args: cobra.ExactArgs(1), Example: "  lapwing session cast 0192f0c0 > intruder.cast",
		RunE: func(c *cobra.Command, args []string) error {
			s, dir, err := find(c, g, args[0])
			if err != nil {
				return err
			}
			data, err := dir.Recording(s.ID)
			if err != nil {
				return err
			}
			_, err = g.Out.Write(data)
			return err
		},
	}
	var speed float64
	var idle time.Duration
	replay := &cobra.Command{
		Use: "replay ID", Short: "Play the recording in this terminal", Args: cobra.ExactArgs(1),
		Long:    "Plays what the visitor saw, with its timing. Sequences that could act on your terminal (titles, clipboard, queries) are left out.",
		Example: "  lapwing session replay 0192f0c0 --speed 2 --max-idle 1s",
		RunE: func(c *cobra.Command, args []string) error {
			s, dir, err := find(c, g, args[0])
			if err != nil {
				return err
			}
			data, err := dir.Recording(s.ID)
			if err != nil {
				return err
			}
			return play(c.Context(), g.Out, data, speed, idle)
		},
	}
	replay.Flags().Float64Var(&speed, "speed", 1, "times as fast")
	replay.Flags().DurationVar(&idle, "max-idle", 2*time.Second, "longest silence to keep")
	c.AddCommand(show, replay, cast)
	return c
}

func newCaptures(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "captures", Short: "List the files that visitors left", Args: cobra.NoArgs, Example: "  lapwing captures\n  lapwing captures get SHA256 -o sample.zip",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return dir.Events(c.Context(), app.Query{Where: "event.action:=" + event.ActionFileCaptured}, func(e event.Event) error {
				if e.Action != event.ActionFileCaptured || e.SHA256 == "" {
					return nil
				}
				if g.json {
					_, err := fmt.Fprintf(g.Out, "%s\n", e.AppendJSON(nil))
					return err
				}
				_, err := fmt.Fprintf(g.Out, "%s  %9d  %s  %-15s %s\n", e.SHA256, e.Size, e.Time.UTC().Format("2006-01-02 15:04:05"), e.Source.Addr(), safe(e.Path, 80))
				return err
			})
		},
	}
	var raw bool
	var out string
	get := &cobra.Command{
		Use: "get SHA256", Short: "Take a captured file out of its seal", Args: cobra.ExactArgs(1),
		Long: "Writes the file as the visitor left it in a zip archive, encrypted (AES-256) with the password \"infected\",\nso that nothing on the way runs or removes it. --raw gives the file itself: it may be malware.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			w := io.Writer(g.Out)
			if out != "" {
				f, err := os.OpenFile(out, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
				if err != nil {
					return err
				}
				defer f.Close() //nolint:errcheck // the write tells
				w = f
			}
			return dir.Capture(w, args[0], raw)
		},
	}
	get.Flags().BoolVar(&raw, "raw", false, "the file itself, not in an encrypted archive")
	get.Flags().StringVarP(&out, "output", "o", "", "file to write; it must not exist")
	c.AddCommand(get)
	return c
}
