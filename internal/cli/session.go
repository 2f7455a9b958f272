//go:build unix

package cli

import (
	"bufio"
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// visitSession is one session and what it did.
type visitSession struct {
	ID     string
	Open   bool // no end is known
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
			return fmt.Errorf("%.80q begins more than one session: give more of the id", id)
		}
		hit = &visitSession{ID: s.ID, Open: s.End == nil}
		return nil
	}); err != nil {
		return nil, "", err
	}
	if hit == nil {
		return nil, "", fmt.Errorf("no session %.80q: see lapwing sessions", id)
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

const idHelp = "ID is the id of a session, or the beginning of one: lapwing sessions lists them."

func newSession(g *globals) *cobra.Command {
	c := group(&cobra.Command{
		Use: "session", Short: "Show, replay or export one session",
		Long:    "Shows what one visitor did on a decoy, or what he saw. " + idHelp + statusHelp,
		Example: "  lapwing session show 0192f0c0\n  lapwing session replay 0192f0c0 --speed 2\n  lapwing session cast 0192f0c0 > intruder.cast",
	}, newSessionShow(g), newSessionReplay(g), newSessionCast(g))
	for _, k := range c.Commands() {
		k.ValidArgsFunction = g.completes(func(ctx context.Context, dir app.Dir, begin string, add func(string)) error {
			return dir.Sessions(ctx, app.Ask{ID: begin, Last: maxCompletions}, func(_ []byte, s *app.Session) error {
				add(fmt.Sprintf("%s\t%s %s %s", s.ID, s.Start.UTC().Format("01-02 15:04"), s.Source, safe(s.User, 20)))
				return nil
			})
		})
	}
	return c
}

func newSessionShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Print everything a session did", Args: cobra.ExactArgs(1),
		Long:    "Prints the events of a session, oldest first. " + idHelp + statusHelp,
		Example: "  lapwing session show 0192f0c0\n  lapwing session show 0192f0c0 --json",
		RunE: func(c *cobra.Command, args []string) error {
			s, _, err := find(c, g, args[0], true)
			if err != nil {
				return err
			}
			return g.print(func(out *bufio.Writer) error {
				for _, e := range s.Events {
					line := []byte(row(e))
					if g.json {
						line = jsonText(e.AppendJSON(nil))
					}
					if err := putLine(out, line); err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
}

func newSessionCast(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "cast ID", Short: "Write the recording as asciicast v2", Args: cobra.ExactArgs(1),
		Long:    "Writes the recording of a session for other players, such as asciinema. It holds what the visitor's terminal was sent, as it was. " + idHelp + statusHelp,
		Example: "  lapwing session cast 0192f0c0 > intruder.cast",
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
}

func newSessionReplay(g *globals) *cobra.Command {
	var speed float64
	var idle time.Duration
	c := &cobra.Command{
		Use: "replay ID", Short: "Play the recording in this terminal", Args: cobra.ExactArgs(1),
		Long:    "Plays what the visitor saw, with its timing. Sequences that could act on your terminal (titles, clipboard, queries) are left out.\n" + idHelp + statusHelp,
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
			lost, err := tape{data, speed, idle}.play(c.Context(), g.Out)
			if err != nil {
				return err
			}
			if lost > 0 {
				fmt.Fprintf(g.Err, "lapwing: %d lines of this recording are lost or cut: a process of lapwing or the machine was stopped meanwhile\n", lost) //nolint:errcheck // nowhere else to say it
			}
			if s.Open {
				fmt.Fprintln(g.Err, "lapwing: the session has no end: it still lasts, or a process of lapwing was killed meanwhile") //nolint:errcheck // as above
			}
			return nil
		},
	}
	c.Flags().Float64Var(&speed, "speed", 1, "times as fast")
	c.Flags().DurationVar(&idle, "max-idle", 2*time.Second, "longest silence to keep")
	return c
}
