package exercise_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/scenarios"
)

var monday = time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)

func play(t *testing.T, sc *scenario.Scenario) *exercise.Played {
	t.Helper()
	p, err := exercise.Run(t.Context(), sc, exercise.Config{Start: monday, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func shipped(t *testing.T, name string) *scenario.Scenario {
	t.Helper()
	f, err := scenarios.FS.Open(name + ".range.yaml")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sc, err := scenario.Load(name, f)
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

// TestSharedExample plays a scenario that was not written for these rules: what
// decoys see of it must come out.
func TestSharedExample(t *testing.T) {
	name := filepath.Join(sharedtest.Dir(t), "range", "example.range.yaml")
	f, err := os.Open(name)
	if err != nil {
		t.Skip(err)
	}
	defer f.Close()
	sc, err := scenario.Load(name, f)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, s := range play(t, sc).Result.Steps {
		got[s.ID] = string(s.Outcome) + " " + s.Category.String()
	}
	want := map[string]string{"s1": "done technique", "s2": "failed technique", "s3": "done technique", "s4": "done technique"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// story is what must be the same in every run of one seed.
func story(p *exercise.Played) []string {
	var out []string
	for _, s := range p.Result.Steps {
		var alerts []string
		for _, j := range s.Joins {
			alerts = append(alerts, j.RuleName)
		}
		after := score.Millis(-1)
		if s.TimeToDetect != nil {
			after = *s.TimeToDetect
		}
		out = append(out, fmt.Sprintln(s.ID, s.Outcome, s.Category, s.Status, int64(after), alerts))
	}
	r := &p.Result
	return append(out, fmt.Sprintln(r.Score, r.Expected, r.Met, r.Missed, r.FalseAlarms, p.Truth.Exercise))
}

// spin takes a processor away until the test ends.
func spin(t *testing.T) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestSpin$")
	c.Env = append(os.Environ(), "LAPWING_SPIN=1")
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Wait()
	})
}

// TestSpin is the body of spin's processes.
func TestSpin(t *testing.T) {
	if os.Getenv("LAPWING_SPIN") == "" {
		t.Skip("only as a child of another test")
	}
	var over atomic.Bool
	go func() {
		os.Stdin.Read(make([]byte, 1))
		over.Store(true)
	}()
	for end := time.Now().Add(time.Minute); !over.Load() && time.Now().Before(end); {
		for range 1_000_000 {
			_ = over.Load()
		}
	}
}

// TestOneSeedOneStory plays the long scenario twice, the second time beside work
// that takes the processors away.
func TestOneSeedOneStory(t *testing.T) {
	sc := shipped(t, "flax-typhoon")
	first := play(t, sc)
	for range runtime.GOMAXPROCS(0) {
		spin(t)
	}
	second := play(t, sc)
	if d := cmp.Diff(story(first), story(second)); d != "" {
		t.Error(d)
	}
	if r := &first.Result; r.Missed > 0 || r.Expected < 25 {
		t.Errorf("%d of %d expected detections were missed:\n%s", r.Missed, r.Expected, strings.Join(story(first), ""))
	}
}

// TestAvailabilityIsAsked plays a scenario whose services nobody disturbs.
func TestAvailabilityIsAsked(t *testing.T) {
	sc := shipped(t, "office-intruder")
	p := play(t, sc)
	if len(p.Truth.Services) != 1 || p.Truth.Services[0].ID != "intranet/tcp/80" {
		t.Fatalf("services %+v", p.Truth.Services)
	}
	checks := p.Truth.Services[0].Checks
	if want := int(sc.Duration/sc.Scoring.Availability.Interval) - 1; len(checks) < want {
		t.Errorf("%d checks, not %d", len(checks), want)
	}
	for _, c := range checks {
		if !c.Up {
			t.Errorf("down at %s: %s", c.At, c.Why)
		}
	}
	if m := p.Result.Metrics.Availability; m == nil || *m != 1 || p.Result.FalseAlarms != 0 {
		t.Errorf("availability %v, %d false alarms", m, p.Result.FalseAlarms)
	}
}

// TestBombsStarveNothing types what would bring a real machine down into fake
// hosts: what comes after is done and seen as if nothing had been.
func TestBombsStarveNothing(t *testing.T) {
	t.Parallel()
	p := play(t, loaded(t, `range: "1"
id: bombs
name: Bombs
duration: 10m
networks:
  lan: {cidr: 10.1.0.0/24}
hosts:
  red: {network: lan, persona: linux-6, roles: [red]}
  one: {network: lan, persona: linux-5, decoy: true, services: [{port: tcp/22, type: ssh, accept: [c]}]}
  two: {network: lan, persona: linux-5, decoy: true, services: [{port: tcp/22, type: ssh, accept: [c]}]}
credentials:
  c: {user: root, password: toor}
adversary:
  steps:
    - {id: fork, technique: {attack_id: T1499}, tactic: impact, from: red, action: ssh.login, target: {host: one}, args: {credential: c, commands: [":(){ :|:& };:", "echo alive"]}, at: 10s}
    - {id: loop, technique: {attack_id: T1499}, tactic: impact, from: red, action: ssh.login, target: {host: two}, args: {credential: c, commands: ["while true; do :; done", "yes > /tmp/x", "sleep 100000"]}, at: 10s}
    - {id: after, technique: {attack_id: T1078}, tactic: initial-access, from: red, action: ssh.login, target: {host: one}, args: {credential: c, commands: [id]}, at: 8m, expect: {level: technique, within: 1m}}
`))
	for _, s := range p.Result.Steps {
		if s.Outcome == score.NotRun || s.Category < score.General {
			t.Errorf("%s: %s, seen as %s", s.ID, s.Outcome, s.Category)
		}
	}
	if p.Result.Met != 1 || p.Result.FalseAlarms != 0 {
		t.Errorf("%d expected detections met, %d false alarms", p.Result.Met, p.Result.FalseAlarms)
	}
}
