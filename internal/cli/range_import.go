package cli

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
)

func newRangeImport(g *globals) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "import FILE", Short: "Make a scenario of a Caldera or emulation plan", Args: cobra.ExactArgs(1),
		Long: "Reads abilities and adversary profiles of Caldera, or an emulation plan of the Center for Threat-Informed Defense, and writes a scenario. " +
			"What an action of the range can show becomes a step; the rest is named \"not emulated\" in its notes and on the error output. " +
			"Commands and payloads of the plan are left behind: the network and what stands for them are to be adapted.\n\n" +
			"Exit status: 0 a scenario was written, 2 faults or an unreadable file, 64 wrong usage.",
		Example: "  lapwing range import plan.yaml -o plan.range.yaml\n  lapwing range check plan.range.yaml",
		RunE: func(_ *cobra.Command, args []string) error {
			// A pipe would be waited for without end.
			if at, err := os.Stat(args[0]); err == nil && !at.Mode().IsRegular() {
				return fmt.Errorf("open the plan: %s is no regular file: name a file", args[0])
			}
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("open the plan: %w", err)
			}
			defer f.Close() //nolint:errcheck // only read
			made, err := scenario.Convert(args[0], f)
			if err != nil {
				return err
			}
			if out == "" {
				_, err = g.Out.Write(made.YAML)
			} else {
				err = writeScenario(out, made.YAML)
			}
			if err != nil {
				return fmt.Errorf("write the scenario: %w", err)
			}
			if !g.quiet {
				for _, s := range made.Skipped {
					fmt.Fprintln(g.Err, s) //nolint:errcheck // the terminal is gone
				}
				fmt.Fprintf(g.Err, "%d steps emulated, %d not\n", made.Steps, len(made.Skipped)) //nolint:errcheck // as above
			}
			return nil
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "file to write; it must not exist")
	return c
}

// writeScenario writes a file that is not there yet.
func writeScenario(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err = f.Write(text); err != nil {
		f.Close() //nolint:errcheck // the fault before is told
		return err
	}
	return f.Close()
}
