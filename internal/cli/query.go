//go:build unix

package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
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
	return fmt.Sprintf("%s  %-15s  %-9s  %s", e.Time.UTC().Format("2006-01-02 15:04:05"), from(e), safe(e.Host, 12), words(e))
}

func newAlerts(g *globals) *cobra.Command {
	var sel selection
	var level, source string
	c := &cobra.Command{
		Use: "alerts", Short: "Print the alerts", Args: cobra.NoArgs,
		Long: "Prints alerts, oldest first, each with the number of events under it. One alert is one rule and one source in a day;\n" +
			"sources that do the same have one campaign. What a new rule or indicator found among events of the past is marked \"found later\". lapwing alerts show ID prints the events that an alert rests on.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
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
						return putLine(out, jsonText(line))
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
	if a.Campaign != "" {
		more += ", campaign " + safe(a.Campaign[:min(8, len(a.Campaign))], 40)
	}
	if a.Retrospective {
		more += ", found later by a new rule or indicator"
	}
	return fmt.Sprintf("%s  %-8s %-28s %s\n%21s%s: %d events, %s%s", a.First.UTC().Format("2006-01-02 15:04:05"), a.Rule.Level, safe(a.Rule.Name, 60), safe(a.Title, 160),
		"", safe(a.ID, 40), a.Count, safe(strings.Join(a.Rule.Techniques, " "), 80), more)
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
						return putLine(out, jsonText(line))
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
						return putLine(out, jsonText(line))
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
