package scenario_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
)

// actionTable is the part of docs/formats/scenario.md that the tables write.
func actionTable() string {
	var b strings.Builder
	for _, a := range scenario.Actions {
		var to, args []string
		for _, t := range []struct {
			bit  scenario.Targets
			name string
		}{{scenario.ToHost, "host"}, {scenario.ToNetwork, "network"}, {scenario.ToExternal, "external"}, {scenario.ToNothing, "none"}} {
			if a.Targets&t.bit != 0 {
				to = append(to, t.name)
			}
		}
		for _, f := range a.Args {
			word := "`" + f.Name + "`"
			if f.Required {
				word += "!"
			}
			if f.Default != "" {
				word += " (" + f.Default + ")"
			}
			args = append(args, word)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", a.Name, a.Doc, strings.Join(to, ", "), strings.Join(args, ", "))
	}
	return b.String()
}

func TestDocs(t *testing.T) {
	for _, name := range []string{"formats/scenario.md", "guides/range.md"} {
		file := "../../../docs/" + name
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		blocks := strings.Split(string(text), "```yaml\n")[1:]
		if len(blocks) == 0 {
			t.Errorf("%s has no scenario", name)
		}
		for i, b := range blocks {
			if _, err := scenario.Load(fmt.Sprintf("%s, block %d", name, i+1), strings.NewReader(strings.SplitN(b, "```", 2)[0])); err != nil {
				t.Error(err)
			}
		}
		head, _, found := strings.Cut(string(text), "|---|---|---|---|\n")
		if !found {
			continue
		}
		want := head + "|---|---|---|---|\n" + actionTable()
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if string(text) != want {
			t.Errorf("%s: the table of actions is old: go test ./internal/exercise/scenario -update", name)
		}
	}
}
