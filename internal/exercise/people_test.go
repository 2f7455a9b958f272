package exercise_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

const town = `range: "1"
id: town
name: A town
duration: 200s
clock: {mode: real, speed: 25}
networks:
  office: {cidr: 10.1.0.0/24, gateway: r1}
  plant: {cidr: 10.2.0.0/24, gateway: r1, accessible_by_user: false}
  decoys: {cidr: 10.3.0.0/26, gateway: r1, fill: {persona: mixed}}
routers:
  r1: {default: allow, persona: switch}
hosts:
  tap: {network: office, persona: linux-6, access: [socks5]}
  desk: {network: office, persona: linux-6, services: [{port: tcp/80, type: http}]}
  pump: {network: plant, persona: plc, services: [{port: tcp/502, type: modbus}]}
  red: {network: office, persona: linux-6, roles: [red], hidden: true, domain: town.example}
adversary:
  steps:
    - {id: ask, technique: {attack_id: T1046}, tactic: discovery, from: red, action: modbus.read, target: {host: pump}, at: 10s}
    - {id: wait, technique: {attack_id: T1046}, tactic: discovery, from: red, action: http.get, target: {host: desk}, after: ask, delay: 20s}
training:
  levels:
    - {id: l1, type: response, answer: {state: {host: red, isolated: true}}, points: 100}
scoring:
  weights: {detection: 50, response: 50, availability: 0, tasks: 0}
`

func loaded(t *testing.T, text string) *scenario.Scenario {
	t.Helper()
	sc, err := scenario.Load("t", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return sc
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// TestWhatPeopleMayReach sits at a trainee's machine: a network that is not for
// people is shut, a hidden host has no name, the router has its persona's TTL.
func TestWhatPeopleMayReach(t *testing.T) {
	l, err := exercise.Start(t.Context(), loaded(t, town), exercise.LiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d, red := l.Place().Host.Dialer(), l.Network().Host("red").Dialer()
	probe := func(d *vnet.Dialer, host string, port uint16) vnet.State {
		st, _ := d.Probe(within(t, 3*time.Second), l.Network().Host(host).Addrs()[0], port) // silence is an answer
		return st
	}
	got := []vnet.State{probe(d, "desk", 80), probe(d, "pump", 502), probe(red, "pump", 502)}
	if want := []vnet.State{vnet.Open, vnet.Unanswered, vnet.Open}; !slices.Equal(got, want) {
		t.Errorf("the trainee's way to desk and pump, and the intruder's to pump: %v, want %v", got, want)
	}
	for name, known := range map[string]bool{"desk": true, "red": false, "red.town.example": false} {
		if addrs, _ := d.LookupHost(t.Context(), name); (len(addrs) > 0) != known {
			t.Errorf("the name %s stands for %v", name, addrs)
		}
	}
}

// TestAMixedField asks every address of a field of all sorts for the ports of its
// kinds: each is one system, and all kinds are there.
func TestAMixedField(t *testing.T) {
	l, err := exercise.Start(t.Context(), loaded(t, town), exercise.LiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := l.Network().Host("red").Dialer()
	kinds := map[string]int{}
	p := netip.MustParsePrefix("10.3.0.0/26")
	for a := p.Addr().Next().Next(); p.Contains(a.Next()); a = a.Next() {
		var open []string
		for _, port := range []struct {
			name string
			port uint16
		}{{"ftp", 21}, {"ssh", 22}, {"telnet", 23}, {"http", 80}, {"rpc", 135}, {"smb", 445}, {"rdp", 3389}, {"none", 99}} {
			switch st, err := d.Probe(within(t, 30*time.Second), a, port.port); st {
			case vnet.Open:
				open = append(open, port.name)
			case vnet.Closed:
			default:
				t.Errorf("%s port %d is %s: %v", a, port.port, st, err)
			}
		}
		kinds[strings.Join(open, " ")]++
	}
	for _, k := range []string{"ftp ssh", "rpc smb rdp", "telnet http"} {
		if kinds[k] < 5 {
			t.Errorf("%d hosts serve %s", kinds[k], k)
		}
		delete(kinds, k)
	}
	if len(kinds) > 0 {
		t.Errorf("hosts that are of no kind: %v", kinds)
	}
}

// TestRealTime plays by the clock of the wall, twenty-five times as fast.
func TestRealTime(t *testing.T) {
	t.Parallel()
	p, err := exercise.Run(t.Context(), loaded(t, town), exercise.Config{Start: monday, Real: true, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Truth.Steps {
		got = append(got, s.ID+" "+string(s.Outcome))
	}
	if d := cmp.Diff([]string{"ask done", "wait done"}, got); d != "" {
		t.Error(d)
	}
	s := p.Truth.Steps
	if took := s[1].Started.Sub(s[0].Ended); took < 800*time.Millisecond {
		t.Errorf("the second step began %s after the first, not 20 s of the exercise", took)
	}
	if d := time.Until(p.Truth.Started); d > 0 || d < -10*time.Minute {
		t.Errorf("it began at %s", p.Truth.Started)
	}
}

// TestNobodyResponds: what only people can do has no part in the score of a run
// without any, and it says so.
func TestNobodyResponds(t *testing.T) {
	p, err := exercise.Run(t.Context(), loaded(t, town), exercise.Config{Start: monday})
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range p.Result.Parts {
		if part.Name != "response" && part.Name != "tasks" {
			continue
		}
		if part.Played || len(part.Reasons) != 1 || !strings.Contains(part.Reasons[0].Text, "unattended run") {
			t.Errorf("%+v", part)
		}
	}
	if p.Result.Parts[0].Max != 100 || p.Result.Steps[0].Status != score.NotAsked {
		t.Errorf("%+v", p.Result.Parts[0])
	}
}
