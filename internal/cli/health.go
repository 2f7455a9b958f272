//go:build unix

package cli

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
)

func newStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show how the sources of logs go", Args: cobra.NoArgs,
		Long: "Shows for each source of logs how many lines were taken, when the last one was, how far it is behind, what was dropped or refused, and what keeps\n" +
			"it from its lines, with a remedy. What is shown is at most a few seconds old while lapwing runs.\n\n" +
			"Exit status: 0 all sources work, 1 one has trouble, is silent for longer than ever, or nobody reads, 2 error, 64 wrong usage.",
		Example: "  lapwing status\n  lapwing status --json",
		RunE:    func(*cobra.Command, []string) error { return g.status() },
	}
}

func (g *globals) status() error {
	dir, err := g.dir()
	if err != nil {
		return err
	}
	if _, err := os.Stat(string(dir)); err != nil {
		return fmt.Errorf("%s holds nothing yet: start with lapwing up: %w", dir, fs.ErrNotExist)
	}
	h, err := dir.Sources()
	if err != nil {
		return err
	}
	if h == nil {
		return g.say("no source of logs is read here: name some under sources: (docs/guides/sources.md), and lapwing up\n")
	}
	bad := h.Stale(time.Now())
	err = g.print(func(out *bufio.Writer) error {
		if bad && !g.json {
			fmt.Fprintf(out, "nobody reads: the reader was last heard of %s ago; is lapwing up?\n", time.Since(h.At).Round(time.Second)) //nolint:errcheck // the next write tells
		}
		for i := range h.Sources {
			s := &h.Sources[i]
			bad = bad || s.Trouble != "" || s.Silent
			if !g.json {
				if err := putLine(out, []byte(sourceText(s, time.Now()))); err != nil {
					return err
				}
				continue
			}
			line, err := json.Marshal(s)
			if err != nil {
				return err
			}
			if err := putLine(out, jsonText(line)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && bad {
		return exitStatus(statusFound)
	}
	return err
}

// sourceText is one source for a person.
func sourceText(s *app.SourceStats, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-16s %-9s %10d lines", safe(s.Name, 40), s.Type, s.Lines)
	if !s.Last.IsZero() {
		fmt.Fprintf(&b, ", the last %s ago", now.Sub(s.Last).Round(time.Second))
	}
	if s.Behind > 0 {
		fmt.Fprintf(&b, ", %d bytes behind", s.Behind)
	}
	for _, x := range []struct {
		n    uint64
		what string
	}{{s.Cut, "cut"}, {s.Dropped, "dropped"}, {s.Refused, "refused"}, {s.Again, "offers again"}} {
		if x.n > 0 {
			fmt.Fprintf(&b, ", %d %s", x.n, x.what)
		}
	}
	if s.Silent {
		b.WriteString("\n  silent for longer than ever (" + s.Longest + ")")
	}
	if s.Trouble != "" {
		b.WriteString("\n  " + safe(s.Trouble, 400))
	}
	if s.Note != "" {
		b.WriteString("\n  " + safe(s.Note, 200))
	}
	return b.String()
}
