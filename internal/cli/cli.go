// Package cli is the commands of the program, one file for each group. Only
// this package knows cobra.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// IO is what a command talks to.
type IO struct {
	In       io.Reader
	Out, Err io.Writer
}

// The exit statuses.
const (
	statusFine  = 0
	statusError = 2
	statusUsage = 64
)

// usageError is a wrong use of a command.
type usageError struct{ error }

// globals are the flags that every command takes.
type globals struct {
	IO
	data    string
	config  string
	json    bool
	quiet   bool
	seated  bool // within range join
	version string
}

func (g *globals) dir() (app.Dir, error) {
	d := app.Dir(g.data)
	if g.data == "" {
		var err error
		if d, err = app.DefaultDir(); err != nil {
			return "", err
		}
	}
	abs, err := filepath.Abs(string(d)) // our processes run in another directory
	if err != nil {
		return "", fmt.Errorf("the data directory %s: %w", d, err)
	}
	return app.Dir(abs), nil
}

func (g *globals) log() *slog.Logger {
	level := slog.LevelInfo
	if g.quiet {
		level = slog.LevelError
	}
	return slog.New(slog.NewTextHandler(g.Err, &slog.HandlerOptions{Level: level}))
}

// Run runs the program with args and gives its exit status.
func Run(ctx context.Context, args []string, std IO, version string) int {
	g := &globals{IO: std, version: version}
	root := newRoot(g)
	root.SetArgs(args)
	root.SetIn(std.In)
	root.SetOut(std.Out)
	root.SetErr(std.Err)
	err := root.ExecuteContext(ctx)
	var use usageError
	var faults yamldoc.Faults
	var status exitStatus
	switch {
	case err == nil:
		return statusFine
	case errors.As(err, &status):
		return int(status)
	case errors.As(err, &use) || strings.HasPrefix(err.Error(), "unknown command") || strings.HasPrefix(err.Error(), "unknown flag") || strings.HasPrefix(err.Error(), "unknown shorthand") || strings.Contains(err.Error(), "arg(s)"):
		fmt.Fprintf(std.Err, "lapwing: %v\nTry 'lapwing --help'.\n", err) //nolint:errcheck // nowhere else to say it
		return statusUsage
	case errors.As(err, &faults):
		fmt.Fprintln(std.Err, err) //nolint:errcheck // as above
	default:
		fmt.Fprintf(std.Err, "lapwing: %v\n", err) //nolint:errcheck // as above
	}
	return statusError
}

func newRoot(g *globals) *cobra.Command {
	root := &cobra.Command{
		Use:          "lapwing",
		Short:        "A defence platform for small teams",
		Long:         "lapwing lures intruders away from what matters: decoys that record them, a judge that raises alerts, a keeper of everything seen.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		SilenceUsage: true, SilenceErrors: true,
	}
	f := root.PersistentFlags()
	f.StringVar(&g.data, "data", "", "data directory (default $XDG_STATE_HOME/lapwing)")
	f.StringVar(&g.config, "config", "", "configuration file; none is needed")
	f.BoolVar(&g.json, "json", false, "one JSON object a line")
	f.BoolVar(&g.quiet, "quiet", false, "say only what goes wrong")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newVersion(g), newScan(g), newYara(g), newHunt(g), newRules(g), newRange(g), newExplain(g, nil))
	addPlatform(root, g)
	root.SetHelpCommand(newHelp())
	addCompletion(root)
	return root
}

func newVersion(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		Long:    "Prints the version that this program was built as." + statusHelpUsage,
		Example: "  lapwing version\n  lapwing version --json",
		RunE: func(*cobra.Command, []string) error {
			if g.json {
				_, err := fmt.Fprintf(g.Out, "{\"service.version\":%q}\n", g.version)
				return err
			}
			_, err := fmt.Fprintf(g.Out, "lapwing %s\n", g.version)
			return err
		},
	}
}
