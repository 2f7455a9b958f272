package exercise_test

import (
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

const bySix = `range: "1"
id: six
name: By IPv6
duration: 10m
networks:
  office: {cidr: 10.1.0.0/24, cidr6: "fd00:1::/64", gateway: r1}
  servers: {cidr: 10.2.0.0/24, cidr6: "fd00:2::/64", gateway: r1}
routers:
  r1: {rules: [{from: office, to: servers, action: allow}, {from: any, to: internet, action: allow}]}
hosts:
  red: {network: office, persona: linux-6, roles: [red]}
  trap: {network: servers, persona: linux-5, decoy: true, services: [{port: tcp/22, type: ssh, accept: [bait]}, {port: tcp/80, type: http}]}
credentials:
  bait: {user: backup, password: Herbst-3-Laub, decoy: true}
adversary:
  steps:
    - {id: ping, technique: {attack_id: T1018}, tactic: discovery, from: red, action: icmp.ping, target: {host: trap, ipv6: true}, at: 1s}
    - {id: probe, technique: {attack_id: T1046}, tactic: discovery, from: red, action: tcp.probe, target: {host: trap, ipv6: true}, args: {ports: [22, 81]}}
    - {id: page, technique: {attack_id: T1595.002}, tactic: reconnaissance, from: red, action: http.get, target: {host: trap, ipv6: true}}
    - {id: login, technique: {attack_id: T1078}, tactic: lateral-movement, from: red, action: ssh.login, target: {host: trap, ipv6: true},
       args: {credential: bait, commands: [id]}, expect: {level: technique, within: 1m, detections: [planted]}}
    - {id: call, technique: {attack_id: T1071.001}, tactic: command-and-control, from: red, action: http.get, target: {external: "2001:db8:ffff::1"}}
detections:
  planted: {rule: "builtin:honeytoken", source: decoy}
`

// TestStepsByIPv6: who asks for a host's IPv6 address speaks IPv6 to it, through a
// router, and what the decoy saw is joined to the step.
func TestStepsByIPv6(t *testing.T) {
	p, err := exercise.Run(t.Context(), loaded(t, bySix), exercise.Config{Start: monday})
	if err != nil {
		t.Fatal(err)
	}
	for i, s := range p.Truth.Steps {
		if s.Outcome != score.Done || len(s.Flows) == 0 {
			t.Errorf("%s is %s with %d flows: %s", s.ID, s.Outcome, len(s.Flows), s.Note)
		}
		for _, f := range s.Flows {
			if !f.Src.Addr().Is6() || !f.Dst.Addr().Is6() {
				t.Errorf("a flow of %s: %v to %v", s.ID, f.Src, f.Dst)
			}
		}
		if r := &p.Result.Steps[i]; r.Category < score.Telemetry || r.Status == score.Missed {
			t.Errorf("%s: %s, %s", s.ID, r.Category, r.Status)
		}
	}
	if p.Result.FalseAlarms != 0 {
		t.Errorf("%d false alarms", p.Result.FalseAlarms)
	}
}
