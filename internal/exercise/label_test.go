package exercise_test

import (
	"bufio"
	"bytes"
	"net/netip"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// actor says who does what to whom, by the scenario's file alone.
type actor struct {
	step string // "" for the background
	from netip.Addr
	to   []netip.Prefix
}

// actors are all of a scenario, the adversary's first.
func actors(sc *scenario.Scenario) []actor {
	var out []actor
	for i := range sc.Adversary.Steps {
		s := &sc.Adversary.Steps[i]
		for _, from := range addresses(sc, s.From) {
			out = append(out, actor{s.ID + " " + s.Technique.ID, from.Addr(), towards(sc, &s.Target)})
		}
	}
	for i := range sc.Background {
		b := &sc.Background[i]
		for _, from := range addresses(sc, b.From...) {
			out = append(out, actor{"", from.Addr(), towards(sc, &b.Target)})
		}
	}
	for _, ref := range sc.Scoring.Availability.Services { // the referee asks from somebody's host
		for i := range sc.Hosts {
			if h := &sc.Hosts[i]; !h.Has("red") {
				out = append(out, actor{"", h.IP, addresses(sc, ref.Host)})
			}
		}
	}
	return out
}

func addresses(sc *scenario.Scenario, names ...string) []netip.Prefix {
	var out []netip.Prefix
	for i := range sc.Hosts {
		if h := &sc.Hosts[i]; slices.Contains(names, h.Name) || slices.Contains(names, h.Group) {
			out = append(out, netip.PrefixFrom(h.IP, h.IP.BitLen()))
		}
	}
	return out
}

func towards(sc *scenario.Scenario, t *scenario.Target) []netip.Prefix {
	out := addresses(sc, append(slices.Clone(t.Hosts), t.Host)...)
	for i := range sc.Networks {
		if n := &sc.Networks[i]; n.Name == t.Network {
			out = append(out, n.CIDR)
		}
	}
	if a, err := netip.ParseAddr(t.External); err == nil {
		out = append(out, netip.PrefixFrom(a, a.BitLen()))
	} else if t.External != "" { // a name of the inside DNS
		out = append(out, netip.MustParsePrefix("203.0.113.0/24"))
	}
	return out
}

// of finds whose packets go between a and b: those of the adversary's steps, or
// of nobody else.
func of(all []actor, a, b netip.Addr) (steps []string, known bool) {
	between := func(x actor, from, to netip.Addr) bool {
		return x.from == from && slices.ContainsFunc(x.to, func(p netip.Prefix) bool { return p.Contains(to) })
	}
	for _, x := range all {
		if between(x, a, b) || between(x, b, a) {
			if known = true; x.step != "" {
				steps = append(steps, x.step)
			}
		}
	}
	return steps, known
}

// TestEveryLabelIsTrue plays the long scenario and reads its packets back with a
// reader of other people. Who is red follows from the scenario's file alone: in
// this one no two hosts have both an attack and ordinary business.
func TestEveryLabelIsTrue(t *testing.T) {
	tshark := sharedtest.Program(t, "tshark")
	sc := shipped(t, "flax-typhoon")
	dir := t.TempDir()
	if _, err := exercise.Run(t.Context(), sc, exercise.Config{Start: monday, Dir: dir}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), tshark, "-n", "-r", filepath.Join(dir, "capture.pcapng"),
		"-T", "fields", "-e", "frame.number", "-e", "ip.src", "-e", "ip.dst", "-e", "frame.comment", "-e", "_ws.col.Info").Output()
	if err != nil {
		t.Fatal(err)
	}
	all := actors(sc)
	red, benign, steps := 0, 0, map[string]int{}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		f := strings.Split(lines.Text(), "\t")
		a, err := netip.ParseAddr(last(f[1])) // an ICMP error is about what it quotes
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		b, err := netip.ParseAddr(last(f[2]))
		if err != nil {
			t.Fatalf("%s: %v", lines.Text(), err)
		}
		want, known := of(all, a, b)
		switch {
		case !known:
			t.Errorf("nobody's packet: %s", lines.Text())
		case len(want) == 0 && f[3] != "":
			t.Errorf("a benign packet has a label: %s", lines.Text())
		case len(want) > 0 && !slices.Contains(want, f[3]):
			t.Errorf("a packet of %v has another label, or none: %s", want, lines.Text())
		case len(want) > 0:
			if strings.HasPrefix(f[3], "haul ") && strings.Contains(f[4], "[RST") {
				t.Errorf("the bytes were refused: %s", lines.Text())
			}
			red++
			steps[f[3]]++
		default:
			benign++
		}
		if t.Failed() && red+benign > 50_000 {
			break
		}
	}
	t.Logf("%d packets of %d steps, %d of the background", red, len(steps), benign)
	if red < 5_000 || benign < 10_000 || len(steps) < 15 {
		t.Errorf("too little was compared: %d packets of %d steps, %d of the background", red, len(steps), benign)
	}
}

func last(s string) string { return s[strings.LastIndexByte(s, ',')+1:] }
