//go:build unix

package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/respond/quarantine"
	"github.com/lapwing-defence/lapwing/internal/scan/allow"
)

func newQuarantine(g *globals) *cobra.Command {
	return group(&cobra.Command{
		Use:   "quarantine",
		Short: "Files that were taken away: list, show, restore, release, delete",
		Long: "quarantine works on the files that lapwing scan --quarantine took away. They lie sealed in the data directory, so that nothing runs or " +
			"triggers them, and come back byte for byte with owner, mode, times and attributes.\n\nAn id may be cut to its first letters.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing quarantine list\n  lapwing quarantine restore 3f2a\n  lapwing quarantine release 3f2a --why 'our own tool' --for 2160h",
	}, quarantineList(g), quarantineShow(g), quarantineRestore(g), quarantineRelease(g), quarantineDelete(g))
}

// withStore runs fn on the opened quarantine.
func withStore(c *cobra.Command, g *globals, fn func(*quarantine.Store) error) error {
	dir, err := g.dir()
	if err != nil {
		return err
	}
	s, done, err := dir.Quarantine(c.Context())
	if err != nil {
		return err
	}
	defer done()
	return fn(s)
}

func quarantineList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "What lies in quarantine, the newest first", Args: cobra.NoArgs,
		Long:    "Lists id, time, size, path and the rules that found each file." + statusHelp,
		Example: "  lapwing quarantine list\n  lapwing quarantine list --json",
		RunE: func(c *cobra.Command, _ []string) error {
			return withStore(c, g, func(s *quarantine.Store) error { return listItems(g, s) })
		},
	}
}

func listItems(g *globals, s *quarantine.Store) error {
	items, err := s.List()
	if err != nil {
		return err
	}
	for _, it := range items {
		if g.json {
			if err := json.NewEncoder(g.Out).Encode(it); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprintf(g.Out, "%s  %s  %10d  %s  %s\n", it.ID, it.Taken.Local().Format(time.DateTime), it.Size, quoteText(it.Path), quoteText(strings.Join(it.Rules, ", "))); err != nil {
			return err
		}
	}
	return nil
}

func quarantineShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show ID", Short: "Everything that is known of one item", Args: cobra.ExactArgs(1),
		Long:    "Prints what was found in the file, where it lay, and what it will be given back with." + statusHelp,
		Example: "  lapwing quarantine show 3f2a",
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(c, g, func(s *quarantine.Store) error {
				it, err := s.Get(args[0])
				if err != nil {
					return err
				}
				enc := json.NewEncoder(g.Out)
				if !g.json {
					enc.SetIndent("", "  ")
				}
				return enc.Encode(it)
			})
		},
	}
}

func quarantineRestore(g *globals) *cobra.Command {
	var to string
	c := &cobra.Command{
		Use: "restore ID", Short: "Give a file back as it was", Args: cobra.ExactArgs(1),
		Long:    "Puts a file back byte for byte, with owner, mode, times and attributes. The next scan finds it again: see release." + statusHelp,
		Example: "  lapwing quarantine restore 3f2a\n  lapwing quarantine restore 3f2a --to /tmp/sample",
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(c, g, func(s *quarantine.Store) error { return giveBack(g, s, args[0], to) })
		},
	}
	c.Flags().StringVar(&to, "to", "", "another place, an absolute path where nothing lies yet")
	return c
}

func giveBack(g *globals, s *quarantine.Store, id, to string) error {
	path, warnings, err := s.Restore(id, to)
	for _, w := range warnings {
		fmt.Fprintf(g.Err, "not put back: %s\n", quoteText(w)) //nolint:errcheck // nowhere else to say it
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.Out, "restored %s\n", quoteText(path))
	return err
}

func quarantineRelease(g *globals) *cobra.Command {
	var to, why string
	var period time.Duration
	c := &cobra.Command{
		Use: "release ID --why TEXT", Short: "Give a file back and put it on the allow list", Args: cobra.ExactArgs(1),
		Long:    "Puts a file back and writes its SHA-256 into the allow list, with the reason: scans leave this content alone for as long as --for says." + statusHelp,
		Example: "  lapwing quarantine release 3f2a --why 'our own tool' --for 2160h",
		RunE: func(c *cobra.Command, args []string) error {
			if why == "" {
				return usageError{errors.New("release needs a reason: --why TEXT")}
			}
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return withStore(c, g, func(s *quarantine.Store) error {
				it, err := s.Get(args[0])
				if err != nil {
					return err
				}
				e := allow.Entry{SHA256: it.SHA256, Reason: why, Added: time.Now().UTC()}
				if period > 0 {
					e.Until = e.Added.Add(period)
				}
				if err := allow.Append(dir.AllowList(), e); err != nil {
					return err
				}
				return giveBack(g, s, it.ID, to)
			})
		},
	}
	c.Flags().StringVar(&to, "to", "", "another place, an absolute path where nothing lies yet")
	c.Flags().StringVar(&why, "why", "", "why this content is good")
	c.Flags().DurationVar(&period, "for", 90*24*time.Hour, "how long it stays allowed; 0 is for ever")
	return c
}

func quarantineDelete(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "delete ID", Short: "Remove an item for good", Args: cobra.ExactArgs(1),
		Long:    "Removes a file from the quarantine. It cannot be given back after that." + statusHelp,
		Example: "  lapwing quarantine delete 3f2a",
		RunE: func(c *cobra.Command, args []string) error {
			return withStore(c, g, func(s *quarantine.Store) error {
				it, err := s.Delete(args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(g.Out, "deleted %s\n", quoteText(it.Path))
				return err
			})
		},
	}
}
