package exercise_test

import (
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/respond"
)

const besieged = `range: "1"
id: besieged
name: A town with an answer
duration: 40m
networks:
  outside: {cidr: 198.51.100.0/25, cidr6: "2001:db8:7::/64", gateway: edge}
  town: {cidr: 10.1.0.0/24, cidr6: "fd00:1::/64", gateway: edge}
routers:
  edge: {default: allow}
hosts:
  red: {network: outside, ip: 198.51.100.66, persona: linux-6, roles: [red]}
  customer: {network: outside, ip: 198.51.100.9, persona: linux-6, roles: [green]}
  trap: {network: town, ip: 10.1.0.30, persona: linux-5, decoy: true, services: [{port: tcp/22, type: ssh, accept: [bait]}]}
  shop: {network: town, ip: 10.1.0.10, persona: linux-6, services: [{port: tcp/80, type: http, site: intranet}]}
credentials:
  bait: {user: backup, password: Herbst-3-Laub, decoy: true}
background:
  - {id: buy, from: customer, action: http.get, target: shop, every: 1m}
adversary:
  steps:
    - {id: first, technique: {attack_id: T1078}, tactic: initial-access, from: red, action: ssh.login, target: {host: trap}, args: {credential: bait, commands: [id]}, at: 2m, expect: {level: technique, within: 1m}}
    - {id: soon, technique: {attack_id: T1190}, tactic: initial-access, from: red, action: http.get, target: {host: shop}, at: 5m}
    - {id: later, technique: {attack_id: T1190}, tactic: initial-access, from: red, action: http.get, target: {host: shop}, at: 30m}
scoring:
  weights: {detection: 40, response: 25, availability: 15, tasks: 20}
  availability: {services: [shop/tcp/80], interval: 1m}
`

// policyOf answers alerts from a level on.
func policyOf(mode respond.Mode, from alert.Level) *respond.Policy {
	p := respond.DefaultPolicy()
	p.Rules = []respond.Rule{{Level: from, Mode: mode}}
	return &p
}

// TestPolicyAnswers lets the decision engine of the product answer at the routers:
// what it blocks comes to nothing until the block is over, what it only observes or
// proposes goes on, and nobody else is hit.
func TestPolicyAnswers(t *testing.T) {
	six := strings.NewReplacer(
		"target: {host: trap}", "target: {host: trap, ipv6: true}", "target: {host: shop}", "target: {host: shop, ipv6: true}",
	).Replace(besieged)
	for _, tt := range []struct {
		name, text                  string
		policy                      *respond.Policy
		soon, later                 score.Status
		blocked, observed, proposed int
	}{
		{"nobody", besieged, nil, score.NotAsked, score.NotAsked, 0, 0, 0},
		{"observe", besieged, policyOf(respond.Observe, alert.High), score.NotAsked, score.NotAsked, 0, 1, 0},
		{"propose", besieged, policyOf(respond.Propose, alert.High), score.NotAsked, score.NotAsked, 0, 0, 1},
		{"enforce", besieged, policyOf(respond.Enforce, alert.High), score.Prevented, score.NotAsked, 1, 0, 0}, // a first block lasts ten minutes
		{"enforce by IPv6", six, policyOf(respond.Enforce, alert.High), score.Prevented, score.NotAsked, 1, 0, 0},
		{"no alert is as bad", besieged, policyOf(respond.Enforce, alert.Critical+1), score.NotAsked, score.NotAsked, 0, 1, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, err := exercise.Run(t.Context(), loaded(t, tt.text), exercise.Config{Start: monday, Respond: tt.policy})
			if err != nil {
				t.Fatal(err)
			}
			if s := p.Result.Steps; s[0].Status != score.Met || s[1].Status != tt.soon || s[2].Status != tt.later {
				t.Errorf("first %s, soon %s (%s), later %s (%s)", s[0].Status, s[1].Status, p.Truth.Steps[1].Note, s[2].Status, p.Truth.Steps[2].Note)
			}
			if a := p.Result.Metrics.Availability; a == nil || *a != 1 {
				t.Errorf("availability %v", a)
			}
			if len(p.Truth.Responses) != tt.blocked || len(p.Result.Metrics.WrongHosts) != 0 {
				t.Errorf("responses %+v, wrong ones about %v", p.Truth.Responses, p.Result.Metrics.WrongHosts)
			}
			if tt.policy == nil {
				return
			}
			if d := p.Truth.Policy; d.Blocked != tt.blocked || d.Observed != tt.observed || d.Proposed != tt.proposed || len(d.Decisions) != 1 {
				t.Errorf("decided: %+v", d)
			}
			if tt.blocked > 0 && (p.Truth.Responses[0].Lifted.IsZero() || p.Result.Steps[1].TimeToBlock == nil || *p.Result.Steps[1].TimeToBlock != 0) {
				t.Errorf("%+v; time to block %v", p.Truth.Responses[0], p.Result.Steps[1].TimeToBlock)
			}
		})
	}
}

// TestPolicySparesTheRouter: from behind one address the intruder and a colleague
// come, and it is the router's. As in life, what a machine lives by is not blocked.
func TestPolicySparesTheRouter(t *testing.T) {
	p, err := exercise.Run(t.Context(), loaded(t, behindNAT), exercise.Config{Start: monday, Respond: policyOf(respond.Enforce, alert.Low)})
	if err != nil {
		t.Fatal(err)
	}
	if d := p.Truth.Policy; d.Blocked != 0 || d.NotBlocked == 0 || len(p.Truth.Responses) != 0 {
		t.Errorf("decided: %+v", d)
	}
	if s := p.Result.Steps[0]; s.Status != score.Met {
		t.Errorf("%s is %s", s.ID, s.Status)
	}
}
