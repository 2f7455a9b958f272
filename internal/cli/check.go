package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func newCheck(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Name every fault of a configuration, a scenario, or a file or directory of rules", Args: cobra.ExactArgs(1),
		Long: "Reads FILE as lapwing up would, and names all faults with their lines. What ends with .range.yaml or .range.yml is a scenario; a directory,\n" +
			"or a file with the key detection or correlation, holds Sigma rules.\n\nExit status: 0 no fault, 2 faults or an unreadable file, 64 wrong usage.",
		Example: "  lapwing check lapwing.yaml\n  lapwing check my-rules",
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			switch {
			case isScenario(name):
				return g.checkScenario(name)
			case holdsRules(name):
				refused, err := g.checkRules(&ruleFlags{rules: []string{name}})
				if err == nil && refused > 0 {
					return exitStatus(statusError)
				}
				return err
			}
			if _, err := config.Load(name, persona.Templates()); err != nil {
				return err
			}
			if !g.quiet {
				fmt.Fprintf(g.Out, "%s: no faults\n", name) //nolint:errcheck // the terminal is gone
			}
			return nil
		},
	}
}

// maxLook is how far holdsRules looks into a file.
const maxLook = 1 << 20

// holdsRules reports whether a path is a directory or a file with a Sigma rule.
func holdsRules(name string) bool {
	info, err := os.Stat(name)
	if err != nil || info.IsDir() {
		return err == nil
	}
	if !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(io.LimitReader(f, maxLook))
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "detection:") || strings.HasPrefix(lines.Text(), "correlation:") {
			return true
		}
	}
	return false
}
