package exercise_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

const behindNAT = `range: "1"
id: nat
name: Behind one address
duration: 20m
networks:
  home: {cidr: 10.1.0.0/24, gateway: r1}
  town: {cidr: 10.9.0.0/24, gateway: r1}
routers:
  r1: {default: allow, nat: town}
hosts:
  red: {network: home, ip: 10.1.0.66, persona: linux-6, roles: [red]}
  desk: {network: home, ip: 10.1.0.10, persona: linux-6, roles: [green], user: k.dietz}
  files: {network: town, ip: 10.9.0.20, persona: linux-6, services: [{port: tcp/22, type: ssh, accept: [work, other]}]}
  trap: {network: town, ip: 10.9.0.30, persona: linux-5, decoy: true, services: [{port: tcp/22, type: ssh}]}
credentials:
  work: {user: k.dietz, password: Sommer-7-Regen}
  other: {user: m.berger, password: Winter-4-Sonne}
background:
  - {id: day, from: desk, action: ssh.login, target: {host: files}, args: {credential: work, commands: [id]}, every: 1m}
  - {id: slip, from: desk, action: ssh.login, target: {host: trap}, args: {user: k.dietz, wordlist: "builtin:spray-3", delay: 1s}, every: 8m}
adversary:
  steps:
    - id: guess
      technique: {attack_id: T1110.001}
      tactic: credential-access
      from: red
      action: ssh.login
      target: {host: trap}
      args: {user: root, wordlist: "builtin:decoy-20", delay: 1s}
      at: 5m
      expect: {level: general, within: 5m}
`

// TestTruthBehindNAT lets an intruder and a colleague speak to one decoy from
// behind one address: what the decoy saw is joined to who did it.
func TestTruthBehindNAT(t *testing.T) {
	sc, err := scenario.Load("nat", strings.NewReader(behindNAT))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := exercise.Run(t.Context(), sc, exercise.Config{Start: monday, Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(filepath.Join(dir, "events.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	seen := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if l := lines.Text(); strings.Contains(l, `"destination.ip":"10.9.0.30"`) && !strings.Contains(l, "flowlog") {
			if !strings.Contains(l, `"source.ip":"10.9.0.1"`) {
				t.Errorf("the decoy saw through the router: %s", l)
			}
			seen++
		}
	}
	guess := &p.Result.Steps[0]
	if seen < 40 || guess.Status != score.Met || len(guess.Joins) == 0 {
		t.Errorf("%d records of the decoy, the step is %s with %d alerts", seen, guess.Status, len(guess.Joins))
	}
	verdicts := map[score.Verdict]int{}
	for _, a := range p.Result.Alerts {
		verdicts[a.Verdict]++
		for _, s := range a.Steps {
			if s != "guess" {
				t.Errorf("%s is joined to %s", a.RuleName, s)
			}
		}
	}
	for _, s := range p.Truth.Steps {
		for _, fl := range s.Flows {
			if len(fl.As) != 1 || fl.As[0].Src.Addr().String() != "10.9.0.1" || fl.Src.Addr().String() != "10.1.0.66" {
				t.Errorf("a flow of %s: %+v", s.ID, fl)
			}
		}
	}
	t.Logf("alerts by verdict: %v", verdicts)
}
