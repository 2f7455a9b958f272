//go:build unix

package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
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

// ask is s for the casebook.
func (s *selection) ask(of string) (app.Ask, error) {
	if s.n < 0 || s.since < 0 {
		return app.Ask{}, usageError{fmt.Errorf("%s: -n and --since must not be negative", of)}
	}
	q := app.Ask{Last: s.n}
	if s.since > 0 {
		q.Since = time.Now().Add(-s.since)
	}
	return q, nil
}

// print runs fn with a buffer to the output; --quiet prints nothing.
func (g *globals) print(fn func(*bufio.Writer) error) error {
	w := g.Out
	if g.quiet {
		w = io.Discard
	}
	out := bufio.NewWriterSize(w, 32<<10)
	err := fn(out)
	if ferr := out.Flush(); err == nil {
		err = ferr
	}
	return err
}

func putLine(out *bufio.Writer, line []byte) error {
	out.Write(line) //nolint:errcheck // the next write tells
	return out.WriteByte('\n')
}

// The bounds of what the shell's completion asks for.
const (
	maxCompletions = 50
	completionTime = 2 * time.Second
)

// completes makes a completion of the first argument from the casebook.
func (g *globals) completes(fn func(ctx context.Context, dir app.Dir, begin string, add func(string)) error) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, begin string) ([]cobra.Completion, cobra.ShellCompDirective) {
		dir, err := g.dir()
		if err != nil || len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(c.Context(), completionTime)
		defer cancel()
		var out []cobra.Completion
		fn(ctx, dir, begin, func(s string) { out = append(out, s) }) //nolint:errcheck // no completion is an answer
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

// complete gives a flag its words.
func complete(c *cobra.Command, flag string, words []string) {
	c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)) //nolint:errcheck // the flag is there
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
	var level, source string
	c := &cobra.Command{
		Use: "alerts", Short: "Print the alerts", Args: cobra.NoArgs,
		Long: "Prints alerts, oldest first, each with the number of events under it. One alert is one rule and one source in a day;\n" +
			"sources that do the same have one campaign. lapwing alerts show ID prints the events that an alert rests on.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing alerts\n  lapwing alerts --json --since 24h --level high\n  lapwing alerts show 3f2a",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			q, err := sel.ask("alerts")
			if err != nil {
				return err
			}
			if _, ok := alert.ParseLevel(level); level != "" && !ok {
				return usageError{fmt.Errorf("alerts: level %q: use informational, low, medium, high or critical", level)}
			}
			q.Level, q.Source = level, source
			return g.print(func(out *bufio.Writer) error {
				return dir.Alerts(c.Context(), q, func(line []byte, a *alert.Alert) error {
					if g.json || a == nil {
						return putLine(out, line)
					}
					return putLine(out, []byte(alertText(a)))
				})
			})
		},
	}
	sel.flags(c)
	c.Flags().StringVar(&level, "level", "", "only this level and worse: informational, low, medium, high, critical")
	c.Flags().StringVar(&source, "source", "", "only of this source: an address, an IPv6 /64 or the id of a session")
	complete(c, "level", []string{"informational", "low", "medium", "high", "critical"})
	c.AddCommand(newAlertsShow(g))
	return c
}

func alertText(a *alert.Alert) string {
	more := ""
	if a.Session != "" {
		more += ", session " + safe(a.Session, 40)
	}
	return fmt.Sprintf("%s  %-8s %-28s %s\n%21s%s: %d events, %s%s, campaign %.8s", a.First.UTC().Format("2006-01-02 15:04:05"), a.Rule.Level, safe(a.Rule.Name, 60), safe(a.Title, 160),
		"", safe(a.ID, 40), a.Count, safe(strings.Join(a.Rule.Techniques, " "), 80), more, safe(a.Campaign, 40))
}

func newAlertsShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Print one alert and the events that it rests on", Args: cobra.ExactArgs(1),
		Long:    "Prints an alert with the first and the last of its events, as they were copied into the casebook. ID may be the beginning of one.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing alerts show 3f2a\n  lapwing alerts show 3f2a --json",
		ValidArgsFunction: g.completes(func(ctx context.Context, dir app.Dir, begin string, add func(string)) error {
			return dir.Alerts(ctx, app.Ask{ID: begin, Last: maxCompletions}, func(_ []byte, a *alert.Alert) error {
				if a != nil {
					add(a.ID + "\t" + safe(a.Title, 60))
				}
				return nil
			})
		}),
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return g.print(func(out *bufio.Writer) error {
				return dir.Alert(c.Context(), args[0], func(line []byte, a *alert.Alert) error {
					if g.json || a == nil {
						return putLine(out, line)
					}
					fmt.Fprintf(out, "%s\n%s\n\n", alertText(a), safe(a.Rule.Description, 300)) //nolint:errcheck // Flush tells
					for _, l := range a.Evidence {
						if e, err := event.Decode(l); err == nil {
							putLine(out, []byte(row(e))) //nolint:errcheck // Flush tells
						}
					}
					if n := a.Count - int64(len(a.Evidence)); n > 0 {
						fmt.Fprintf(out, "(%d more between the first and the last)\n", n) //nolint:errcheck // Flush tells
					}
					return nil
				})
			})
		},
	}
}

func newSessions(g *globals) *cobra.Command {
	var sel selection
	var source string
	c := &cobra.Command{
		Use: "sessions", Short: "List the sessions on decoys", Args: cobra.NoArgs,
		Long: "Lists who logged in to a decoy and how much he did, oldest first.\n\nExit status: 0 fine, 2 error, 64 wrong usage.", Example: "  lapwing sessions -n 20\n  lapwing sessions --source 198.51.100.7",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			q, err := sel.ask("sessions")
			if err != nil {
				return err
			}
			q.Source = source
			return g.print(func(out *bufio.Writer) error {
				return dir.Sessions(c.Context(), q, func(line []byte, s *app.Session) error {
					if g.json {
						return putLine(out, line)
					}
					state := "live"
					if s.End != nil {
						state = s.End.Sub(s.Start).Round(time.Second).String()
					}
					_, err := fmt.Fprintf(out, "%s  %s  %-15s %-10s %-10s %-6s %3d commands %3d files  %s\n", safe(s.ID, 40), s.Start.UTC().Format("2006-01-02 15:04:05"), s.Source, safe(s.Host, 10), safe(s.User, 10), safe(s.Kind, 10), s.Commands, s.Files, state)
					return err
				})
			})
		},
	}
	sel.flags(c)
	c.Flags().StringVar(&source, "source", "", "only of this source: an address or an IPv6 /64")
	return c
}

// visitSession is one session and what it did.
type visitSession struct {
	ID     string
	Events []event.Event
}

// find resolves a session by its id or an unambiguous beginning of it, with
// its events where they are wanted.
func find(c *cobra.Command, g *globals, id string, events bool) (*visitSession, app.Dir, error) {
	dir, err := g.dir()
	if err != nil {
		return nil, "", err
	}
	var hit *visitSession
	if err := dir.Sessions(c.Context(), app.Ask{ID: id, Last: 2}, func(_ []byte, s *app.Session) error {
		if hit != nil {
			return fmt.Errorf("%q begins more than one session: give more of the id", id)
		}
		hit = &visitSession{ID: s.ID}
		return nil
	}); err != nil {
		return nil, "", err
	}
	if hit == nil {
		return nil, "", fmt.Errorf("no session %q: see lapwing sessions", id)
	}
	if !events {
		return hit, dir, nil
	}
	err = dir.Events(c.Context(), sessionQuery(hit.ID), func(e event.Event) error {
		if e.Session == hit.ID {
			hit.Events = append(hit.Events, e)
		}
		return nil
	})
	return hit, dir, err
}

func newSession(g *globals) *cobra.Command {
	c := &cobra.Command{Use: "session", Short: "Show, replay or export one session", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		return usageError{errors.New("session: say show, replay or cast")}
	}}
	show := &cobra.Command{
		Use: "show ID", Short: "Print everything a session did", Args: cobra.ExactArgs(1), Example: "  lapwing session show 0192f0c0",
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := find(c, g, args[0], true)
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
			s, dir, err := find(c, g, args[0], false)
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
			s, dir, err := find(c, g, args[0], false)
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
	for _, k := range []*cobra.Command{show, replay, cast} {
		k.ValidArgsFunction = g.completes(func(ctx context.Context, dir app.Dir, begin string, add func(string)) error {
			return dir.Sessions(ctx, app.Ask{ID: begin, Last: maxCompletions}, func(_ []byte, s *app.Session) error {
				add(fmt.Sprintf("%s\t%s %s %s", s.ID, s.Start.UTC().Format("01-02 15:04"), s.Source, safe(s.User, 20)))
				return nil
			})
		})
	}
	c.AddCommand(show, replay, cast)
	return c
}

func newCaptures(g *globals) *cobra.Command {
	var sel selection
	c := &cobra.Command{
		Use: "captures", Short: "List the files that visitors left", Args: cobra.NoArgs, Example: "  lapwing captures\n  lapwing captures get SHA256 -o sample.zip",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			q, err := sel.ask("captures")
			if err != nil {
				return err
			}
			return g.print(func(out *bufio.Writer) error {
				return dir.Captures(c.Context(), q, func(line []byte, f *app.Capture) error {
					if g.json {
						return putLine(out, line)
					}
					_, err := fmt.Fprintf(out, "%s  %9d  %s  %-15s %s\n", f.SHA256, f.Size, f.Last.UTC().Format("2006-01-02 15:04:05"), f.Source, safe(f.Path, 80))
					return err
				})
			})
		},
	}
	sel.flags(c)
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
			w := g.Out
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
	get.ValidArgsFunction = g.completes(func(ctx context.Context, dir app.Dir, begin string, add func(string)) error {
		return dir.Captures(ctx, app.Ask{ID: begin, Last: maxCompletions}, func(_ []byte, f *app.Capture) error {
			add(f.SHA256 + "\t" + safe(f.Path, 40))
			return nil
		})
	})
	get.Flags().BoolVar(&raw, "raw", false, "the file itself, not in an encrypted archive")
	get.Flags().StringVarP(&out, "output", "o", "", "file to write; it must not exist")
	c.AddCommand(get)
	return c
}
