package scenario_test

import (
	"flag"
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/exercise/record"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	"github.com/lapwing-defence/lapwing/scenarios"
)

var update = flag.Bool("update", false, "write the schema anew")

func shipped(t *testing.T, name string) *scenario.Scenario {
	t.Helper()
	f, err := scenarios.FS.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := scenario.Load(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestShippedScenarios(t *testing.T) {
	all, err := fs.Glob(scenarios.FS, "*.range.yaml")
	if err != nil || len(all) < 5 {
		t.Fatalf("%d scenarios, %v", len(all), err)
	}
	for _, name := range all {
		t.Run(name, func(t *testing.T) {
			s := shipped(t, name)
			if s.ID+".range.yaml" != name {
				t.Errorf("the id is %q", s.ID)
			}
			if len(s.Background) < 3 {
				t.Errorf("%d entries of background: people work everywhere", len(s.Background))
			}
			used := map[string]bool{}
			for i := range s.Adversary.Steps {
				st := &s.Adversary.Steps[i]
				if st.Expect == nil {
					continue
				}
				for _, d := range st.Expect.Detections {
					used[d] = true
				}
			}
			for _, d := range s.Detections {
				if !used[d.Name] {
					t.Errorf("no step expects the detection %s", d.Name)
				}
				if len(d.Rules) == 0 {
					t.Errorf("the detection %s has no rule", d.Name)
				}
			}
		})
	}
	if n := len(shipped(t, "noise-only.range.yaml").Adversary.Steps); n != 0 {
		t.Errorf("the control run has %d steps", n)
	}
}

// notEmulated are the techniques of the threat profile that no scenario shows,
// with the reason.
var notEmulated = map[string]string{
	"T1588.002": "the intruder buys tools: nothing of it reaches a defender",
	"T1587.001": "the intruder writes tools: nothing of it reaches a defender",
	"T1583.003": "the intruder rents servers: nothing of it reaches a defender",
}

func TestFlaxTyphoonShowsEveryTechnique(t *testing.T) {
	text, err := os.ReadFile(sharedtest.Dir(t) + "/threat/flax_typhoon.yaml")
	if err != nil {
		t.Skip(err)
	}
	docs, err := yamldoc.Documents("flax_typhoon.yaml", text)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	// The botnet of its devices has a scenario of its own.
	for _, name := range []string{"flax-typhoon.range.yaml", "iot-botnet.range.yaml"} {
		for _, st := range shipped(t, name).Adversary.Steps {
			for _, id := range append(slices.Clone(st.Emulates), st.Technique.ID) {
				shown[id] = true
			}
		}
	}
	asked := 0
	var walk func(n *yamldoc.Node)
	walk = func(n *yamldoc.Node) {
		for i, c := range n.Content {
			if n.Kind != yamldoc.Map || i%2 == 1 {
				walk(c)
				continue
			}
			if c.Value != "attack" || n.Content[i+1].Kind != yamldoc.List {
				continue
			}
			for _, a := range n.Content[i+1].Content {
				id := a.Content[1].Value
				asked++
				if shown[id] == (notEmulated[id] != "") {
					t.Errorf("%s: shown %v, and the reason against it is %q", id, shown[id], notEmulated[id])
				}
			}
		}
	}
	walk(docs[0])
	if asked < 50 {
		t.Fatalf("%d techniques found in the profile", asked)
	}
}

// TestBehavioursShow wants steps of host.behaviour to claim nothing that their
// behaviour does not show.
func TestBehavioursShow(t *testing.T) {
	all, _ := fs.Glob(scenarios.FS, "*.range.yaml")
	for _, name := range all {
		for _, st := range shipped(t, name).Adversary.Steps {
			if st.Action != "host.behaviour" {
				continue
			}
			b, err := record.FindBehaviour(st.Args.Text("behaviour"))
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range append(slices.Clone(st.Emulates), st.Technique.ID) {
				if !slices.Contains(b.Techniques, id) {
					t.Errorf("%s: step %s claims %s, the behaviour %s shows %v", name, st.ID, id, b.Name, b.Techniques)
				}
			}
		}
	}
}

func TestSchemaIsWritten(t *testing.T) {
	want, err := scenario.Schema()
	if err != nil {
		t.Fatal(err)
	}
	const file = "../../../scenarios/" + scenario.SchemaID
	if *update {
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(strings.Split(string(want), "\n"), strings.Split(string(have), "\n")); d != "" {
		t.Errorf("go test ./internal/exercise/scenario -update writes it anew:\n%s", d)
	}
}
