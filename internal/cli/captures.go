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

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
)

func newCaptures(g *globals) *cobra.Command {
	var sel selection
	var source string
	c := &cobra.Command{
		Use: "captures", Short: "List the files that visitors left", Args: cobra.NoArgs,
		Long: "Lists SHA-256, size, time, source and path of each file that was left on a decoy, and under it what the scan on arrival found.\n" +
			"The files lie sealed: lapwing captures get takes one out." + statusHelp,
		Example: "  lapwing captures --since 24h\n  lapwing captures --source 198.51.100.7 --json\n  lapwing captures get SHA256 -o sample.zip",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			q, err := sel.ask("captures")
			if err != nil {
				return err
			}
			q.Source = source
			return g.print(func(out *bufio.Writer) error {
				return dir.Captures(c.Context(), q, func(line []byte, f *app.Capture) error {
					if g.json {
						return putLine(out, jsonText(line))
					}
					return putLine(out, []byte(captureText(f)))
				})
			})
		},
	}
	sel.flags(c)
	c.Flags().StringVar(&source, "source", "", "only of this source: an address, an IPv6 /64 or the id of a session")
	c.AddCommand(newCapturesGet(g))
	return c
}

func captureText(f *app.Capture) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %9d  %s  %-15s %s", f.SHA256, f.Size, f.Last.UTC().Format("2006-01-02 15:04:05"), f.Source, safe(f.Path, 80))
	for _, x := range f.Findings {
		if x.Rule == "" {
			fmt.Fprintf(&b, "\n  not fully scanned: %s", safe(x.Description, 160))
			continue
		}
		fmt.Fprintf(&b, "\n  FOUND %-8s %s: %s", safe(x.Level, 20), safe(x.Rule, 80), safe(x.Description, 160))
	}
	return b.String()
}

func newCapturesGet(g *globals) *cobra.Command {
	var raw bool
	var out string
	get := &cobra.Command{
		Use: "get SHA256", Short: "Take a captured file out of its seal", Args: cobra.ExactArgs(1),
		Long: "Writes the file as the visitor left it in a zip archive, encrypted (AES-256) with the password \"infected\",\n" +
			"so that nothing on the way runs or removes it. --raw gives the file itself: it may be malware.\n" +
			"SHA256 may be the beginning of one." + statusHelp,
		Example: "  lapwing captures get 911169ddaaf1 -o sample.zip\n  lapwing captures get 911169ddaaf1 --raw | file -",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			sum, err := wholeSum(c.Context(), dir, strings.ToLower(args[0]))
			if err != nil {
				return err
			}
			if out == "" {
				return dir.Capture(g.Out, sum, raw)
			}
			return writeNew(out, func(w io.Writer) error { return dir.Capture(w, sum, raw) })
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
	return get
}

// wholeSum is the SHA-256 of which begin is the beginning.
func wholeSum(ctx context.Context, dir app.Dir, begin string) (string, error) {
	if begin == "" || strings.Trim(begin, "0123456789abcdef") != "" || len(begin) > 64 {
		return "", usageError{fmt.Errorf("captures get: %.80q is no SHA-256: give its 64 hexadecimal digits or the first of them (lapwing captures lists them)", begin)}
	}
	sum, more := "", false
	err := dir.Captures(ctx, app.Ask{ID: begin}, func(_ []byte, f *app.Capture) error {
		more = more || sum != "" && sum != f.SHA256
		sum = f.SHA256
		return nil
	})
	switch {
	case err != nil:
		return "", err
	case more:
		return "", fmt.Errorf("%q begins more than one captured file: give more digits (lapwing captures lists them)", begin)
	case sum == "":
		return "", fmt.Errorf("no captured file with the SHA-256 %q: lapwing captures lists those that there are", begin)
	}
	return sum, nil
}

// writeNew writes a file that does not exist yet. After an error nothing of
// that name is left.
func writeNew(name string, fn func(io.Writer) error) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s exists: choose another name", name)
	}
	if err != nil {
		return err
	}
	err = fn(f)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		os.Remove(name) //nolint:errcheck // the other error is told
	}
	return err
}
