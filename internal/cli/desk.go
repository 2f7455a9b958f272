//go:build unix

package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
)

const sourceHelp = `SOURCE is an IPv4 address, an IPv6 /64 (an IPv6 address stands for its /64) or the whole id of a session.`

func newHold(g *globals) *cobra.Command {
	var why string
	var release bool
	c := &cobra.Command{
		Use: "hold [SOURCE]", Short: "Keep what is known of a source from being forgotten or expired", Args: cobra.MaximumNArgs(1),
		Long:    "Without SOURCE, lists the holds. " + sourceHelp + "\nWhat is on hold outlives every retention time, and lapwing forget refuses it.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing hold 198.51.100.7 --why 'police report 4711'\n  lapwing hold 198.51.100.7 --release\n  lapwing hold",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return g.print(func(out *bufio.Writer) error {
					return dir.Holds(c.Context(), func(line []byte, h *app.HoldLine) error {
						if g.json {
							return putLine(out, jsonText(line))
						}
						return putLine(out, []byte(fmt.Sprintf("%s  %-40s by %s  %s", h.At.UTC().Format("2006-01-02 15:04"), h.Source, safe(h.Who, 40), safe(h.Why, 120))))
					})
				})
			}
			if err := dir.Hold(c.Context(), args[0], why, release); err != nil {
				return err
			}
			word := "is on hold"
			if release {
				word = "is not on hold any more"
			}
			return g.say("%s %s", args[0], word)
		},
	}
	c.Flags().StringVar(&why, "why", "", "the reason; it is written down")
	c.Flags().BoolVar(&release, "release", false, "end the hold")
	return c
}

// say prints a line for a person.
func (g *globals) say(format string, args ...any) error {
	if g.quiet || g.json {
		return nil
	}
	_, err := fmt.Fprintf(g.Out, format+"\n", args...)
	return err
}

func newForget(g *globals) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use: "forget SOURCE", Short: "Remove everything that is known of a source", Args: cobra.ExactArgs(1),
		Long: "Removes the events, alerts, sessions, recordings, files that only this source left, and the fake hosts as it had changed them.\n" + sourceHelp +
			"\nThe act itself is written down, with a keyed hash instead of the source. What other visitors typed is theirs and stays.\n\nExit status: 0 gone, 2 error or on hold (nothing is removed), 64 wrong usage.",
		Example: "  lapwing forget 198.51.100.7 --why 'asked by letter of 3 May'\n  lapwing forget 2001:db8::/64",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			line, f, err := dir.Forget(c.Context(), args[0], why)
			if err != nil {
				return err
			}
			if g.json {
				_, err := fmt.Fprintf(g.Out, "%s\n", line)
				return err
			}
			return g.say("%s is forgotten: %d events, %d alerts, %d sessions, %d recordings, %d captured files, %d states of fake hosts", f.Source, f.Events, f.Alerts, f.Sessions, f.Recordings, f.Captures, f.States)
		},
	}
	c.Flags().StringVar(&why, "why", "", "the reason; it is written down")
	return c
}

func newExport(g *globals) *cobra.Command {
	var why, out string
	c := &cobra.Command{
		Use: "export SOURCE [-o FILE]", Short: "Write what is known of a source to an archive", Args: cobra.ExactArgs(1),
		Long: "Writes events, alerts with their evidence, sessions, what is known of files (not the files) as lines of JSON, and the recordings,\n" +
			"as a tar.gz, or into a directory where FILE is an empty one or ends in a slash. Passwords are in it only as they are kept.\n" +
			"Without -o, or with -o -, the archive goes to the standard output; on a terminal, to lapwing-SOURCE.tar.gz here.\n" + sourceHelp + "\n\nExit status: 0 written, 2 error, 64 wrong usage.",
		Example: "  lapwing export 198.51.100.7 -o case-4711.tar.gz\n  lapwing export 198.51.100.7 -o case-4711/\n  lapwing export 198.51.100.7 | tar tz",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			if out == "" && isTerminal(g.Out) {
				out = "lapwing-" + strings.NewReplacer("/", "_", ":", "_").Replace(args[0]) + ".tar.gz"
			}
			if out == "" || out == "-" {
				return dir.Export(c.Context(), g.Out, args[0], why)
			}
			if err := writeArchive(c.Context(), out, func(w io.Writer) error { return dir.Export(c.Context(), w, args[0], why) }); err != nil {
				return err
			}
			return g.say("what is known of %s is in %s", args[0], out)
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "file or directory to write; it must not exist, or be an empty directory; - is the standard output")
	c.Flags().StringVar(&why, "why", "", "the reason; it is written down")
	return c
}

func newBackup(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "backup FILE", Short: "Write everything to one archive, while it runs", Args: cobra.ExactArgs(1),
		Long: "Writes a tar.gz with checksums, or into a directory where FILE is an empty one or ends in a slash. It holds the keys, too:\n" +
			"keep it as safe as the data directory. Events in an external event log are not in it.\n\nExit status: 0 written, 2 error, 64 wrong usage.",
		Example: "  lapwing backup /media/usb/lapwing-$(date +%F).tar.gz",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			if err := writeArchive(c.Context(), args[0], func(w io.Writer) error { return dir.Backup(c.Context(), w) }); err != nil {
				return err
			}
			return g.say("everything is in %s", args[0])
		},
	}
}

func newRestore(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "restore FILE", Short: "Put a backup into an empty data directory", Args: cobra.ExactArgs(1),
		Long:    "Checks every checksum first; puts nothing in place where one is wrong, or where the data directory is not empty.\n\nExit status: 0 restored, 2 error, 64 wrong usage.",
		Example: "  lapwing restore lapwing-2026-05-06.tar.gz --data /var/lib/lapwing",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			r, err := app.OpenArchive(args[0])
			if err != nil {
				return err
			}
			defer r.Close() //nolint:errcheck // only read
			n, err := dir.Restore(c.Context(), r)
			if err != nil {
				return err
			}
			return g.say("%d files are restored into %s", n, dir)
		},
	}
}

// writeArchive writes an archive to a new file, or its files into a
// directory. After an error nothing of that name is left.
func writeArchive(ctx context.Context, name string, fn func(io.Writer) error) error {
	st, err := os.Stat(name)
	if strings.HasSuffix(name, string(filepath.Separator)) || err == nil && st.IsDir() {
		return writeTree(ctx, name, fn)
	}
	return writeNew(name, fn)
}

func writeTree(ctx context.Context, name string, fn func(io.Writer) error) error {
	if list, err := os.ReadDir(name); err == nil && len(list) > 0 {
		return fmt.Errorf("the directory %s is not empty: choose another", name)
	}
	if err := os.MkdirAll(name, 0o700); err != nil {
		return err
	}
	pr, pw := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := fn(pw)
		pw.CloseWithError(err)
		done <- err
	}()
	_, err := app.Unpack(ctx, pr, name)
	io.Copy(io.Discard, pr) //nolint:errcheck // what comes after the list is padding
	pr.Close()              //nolint:errcheck // never fails
	if werr := <-done; werr != nil {
		return werr
	}
	return err
}
