package cli

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

func newCheck(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "check FILE", Short: "Name every fault of a configuration, a scenario, a persona, or a file or directory of rules", Args: cobra.ExactArgs(1),
		Long: "Reads FILE as lapwing up would, and names all faults with their lines. What ends with .range.yaml or .range.yml is a scenario; a directory,\n" +
			"or a file with the key detection or correlation, holds Sigma rules; .yar, .yara and .lwy, or a directory of such, holds YARA rules; a file\n" +
			"with the keys family and hostnames is the template of a persona.\n\nExit status: 0 no fault, 2 faults or an unreadable file, 64 wrong usage.",
		Example: "  lapwing check lapwing.yaml\n  lapwing check my-rules\n  lapwing check my-rules/malware.yar",
		RunE: func(_ *cobra.Command, args []string) error {
			name := args[0]
			switch {
			case isScenario(name):
				return g.checkScenario(name)
			case holdsYARA(name):
				return yaraCheck(g, func(paths []string) (*yara.Rules, []yara.Problem, error) { return scan.LoadYARA(paths, nil) }, args)
			case holdsKeys(name, "family:", "hostnames:"):
				return g.checkPersona(name)
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
	return holdsKeys(name, "detection:") || holdsKeys(name, "correlation:")
}

// holdsKeys reports whether a file has lines that begin with each of keys.
func holdsKeys(name string, keys ...string) bool {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close() //nolint:errcheck // only read
	lines := bufio.NewScanner(io.LimitReader(f, maxLook))
	for lines.Scan() && len(keys) > 0 {
		keys = slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return strings.HasPrefix(lines.Text(), k) })
	}
	return len(keys) == 0
}

// yaraNames are the ends of the names of files with YARA rules.
var yaraNames = []string{".yar", ".yara", ".lwy"}

// holdsYARA reports whether a path is a file of YARA rules, or a directory that
// holds such and no Sigma rules.
func holdsYARA(name string) bool {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return err == nil && slices.Contains(yaraNames, strings.ToLower(filepath.Ext(name)))
	}
	found := false
	err = filepath.WalkDir(name, func(path string, d fs.DirEntry, err error) error {
		ext := strings.ToLower(filepath.Ext(path))
		switch {
		case err != nil || d.IsDir():
			return err
		case ext == ".yml" || ext == ".yaml":
			return fs.ErrExist
		}
		found = found || slices.Contains(yaraNames, ext)
		return nil
	})
	return err == nil && found
}

func (g *globals) checkPersona(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	var b bytes.Buffer
	if _, err := io.CopyN(&b, f, maxLook+1); err == nil {
		return fmt.Errorf("%s: larger than %d bytes: a template of a persona is not", name, maxLook)
	}
	if err := persona.CheckTemplate(name, b.Bytes()); err != nil {
		return err
	}
	if !g.quiet {
		fmt.Fprintf(g.Out, "%s: no faults\n", name) //nolint:errcheck // the terminal is gone
	}
	return nil
}
