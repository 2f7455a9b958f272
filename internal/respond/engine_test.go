package respond_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// kernel is hands that hold what a kernel would.
type kernel struct {
	mu      sync.Mutex
	blocked map[netip.Prefix]action.Action
	allow   action.AllowList
	applied int
}

func (k *kernel) Apply(as []action.Action) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range as {
		k.blocked[a.Prefix] = a
		k.applied++
	}
}

func (k *kernel) Revert(as []action.Action) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, a := range as {
		delete(k.blocked, a.Prefix)
	}
}

func (k *kernel) Allow(l action.AllowList) { k.allow = l }

// site is an engine with what is around it.
type site struct {
	*respond.Engine
	t       *testing.T
	clock   *clock.Manual
	kernel  *kernel
	store   respond.Store
	cfg     respond.Config
	facts   []respond.Fact
	notices []respond.Notice
	ids     int
}

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func newSite(t *testing.T, change func(*respond.Config)) *site {
	t.Helper()
	s := &site{t: t, clock: clock.NewManual(start), kernel: &kernel{blocked: map[netip.Prefix]action.Action{}}, store: &respond.Memory{}}
	p := respond.DefaultPolicy()
	p.Default = respond.Enforce
	s.cfg = respond.Config{
		Clock: s.clock, Store: s.store, Hands: s.kernel, Policy: p,
		Allow: action.AllowList{{Prefix: netip.MustParsePrefix("192.0.2.1/32"), Why: "default gateway"}, {Prefix: netip.MustParsePrefix("2001:db8:aa::/48"), Why: "office"}},
		NewID: func() string { s.ids++; return fmt.Sprintf("%08d-0000-0000-0000-000000000000", s.ids) },
		Note:  func(f respond.Fact) { s.facts = append(s.facts, f) },
		Tell:  func(n respond.Notice) { s.notices = append(s.notices, n) },
	}
	if change != nil {
		change(&s.cfg)
	}
	s.open()
	return s
}

// open begins again with what the store holds.
func (s *site) open() {
	s.t.Helper()
	e, err := respond.New(s.cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Engine = e
}

func (s *site) alert(from string) alert.Alert {
	s.ids++
	return alert.Alert{
		ID: "a", Source: netip.MustParseAddr(from), First: s.clock.Now(), Last: s.clock.Now(), Count: 5, Events: []string{fmt.Sprintf("event-%d", s.ids)},
		Rule: alert.Rule{ID: "rule-1", Name: "SSH guessing", Level: alert.High, Techniques: []string{"T1110.001"}, Tactics: []string{"credential-access"}},
	}
}

func (s *site) blocks(want ...string) {
	s.t.Helper()
	for _, w := range want {
		if _, ok := s.kernel.blocked[netip.MustParsePrefix(w)]; !ok {
			s.t.Errorf("%s is not blocked; what is: %v", w, s.kernel.blocked)
		}
	}
	if len(s.kernel.blocked) != len(want) {
		s.t.Errorf("%d are blocked, want %v: %v", len(s.kernel.blocked), want, s.kernel.blocked)
	}
}

func code(o respond.Outcome) respond.Code {
	if len(o.Reasons) == 0 {
		return ""
	}
	return o.Reasons[len(o.Reasons)-1].Code
}

func TestModes(t *testing.T) {
	rules := []respond.Rule{
		{Rule: "SSH guessing", Level: alert.Critical, Mode: respond.Observe},
		{Tag: "T1110", Level: alert.High, Mode: respond.Enforce, TTL: 30 * time.Minute},
		{Tag: "credential-access", Mode: respond.Propose},
	}
	s := newSite(t, func(c *respond.Config) { c.Policy.Rules, c.Policy.Default = rules, respond.Observe })
	for i, c := range []struct {
		change  func(*alert.Alert)
		verdict respond.Verdict
		ttl     time.Duration
	}{
		{func(*alert.Alert) {}, respond.Blocks, 30 * time.Minute},
		{func(a *alert.Alert) { a.Rule.Level = alert.Critical }, respond.Observes, 10 * time.Minute},
		{func(a *alert.Alert) { a.Rule.Level = alert.Low }, respond.Proposes, 10 * time.Minute},
		{func(a *alert.Alert) { a.Rule.Techniques, a.Rule.Tactics = []string{"T11100"}, nil }, respond.Observes, 10 * time.Minute},
	} {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			a := s.alert(fmt.Sprintf("203.0.113.%d", i+1))
			c.change(&a)
			want := s.Explain(a)
			o := s.Consider(a, time.Time{})
			if o.Verdict != c.verdict || o.TTL != c.ttl {
				t.Errorf("%+v, want %s for %s", o, c.verdict, c.ttl)
			}
			if want.Verdict != o.Verdict || want.Prefix != o.Prefix || want.Decision != "" {
				t.Errorf("explained %+v, did %+v", want, o)
			}
		})
	}
	s.blocks("203.0.113.1/32")
}

func TestWhyNot(t *testing.T) {
	for _, c := range []struct {
		name, from string
		change     func(*site, *alert.Alert)
		code       respond.Code
	}{
		{"gateway", "192.0.2.1", nil, respond.CodeAllowed},
		{"gateway, mapped", "::ffff:192.0.2.1", nil, respond.CodeAllowed},
		{"gateway behind NAT64", "64:ff9b::192.0.2.1", nil, respond.CodeAllowed},
		{"gateway behind 6to4", "2002:c000:201::1", nil, respond.CodeAllowed},
		{"loopback", "127.8.9.1", nil, respond.CodeAllowed},
		{"link-local", "fe80::1%eth0", nil, respond.CodeAllowed},
		{"office", "2001:db8:aa:1::7", nil, respond.CodeAllowed},
		{"spoofable", "203.0.113.7", func(_ *site, a *alert.Alert) { a.Spoofable = true }, respond.CodeSpoofable},
		{"exercise", "203.0.113.7", func(_ *site, a *alert.Alert) { a.Exercise = "x" }, respond.CodeExercise},
		{"past", "203.0.113.7", func(_ *site, a *alert.Alert) { a.Retrospective = true }, respond.CodePast},
		{"no source", "203.0.113.7", func(_ *site, a *alert.Alert) { a.Source = netip.Addr{} }, respond.CodeNoSource},
		{"covered", "203.0.113.7", func(s *site, _ *alert.Alert) { s.Consider(s.alert("203.0.113.7"), time.Time{}) }, respond.CodeCovered},
		{"panic", "203.0.113.7", func(s *site, _ *alert.Alert) { s.Panic("eve", "") }, respond.CodePanic},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t, nil)
			a := s.alert(c.from)
			if c.change != nil {
				c.change(s, &a)
			}
			before := s.kernel.applied
			o := s.Consider(a, time.Time{})
			if code(o) != c.code || o.Verdict == respond.Blocks || s.kernel.applied != before {
				t.Errorf("%+v, want %s", o, c.code)
			}
		})
	}
}

func TestRangeAnswersItsOwn(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Exercise = "drill" })
	if o := s.Consider(s.alert("203.0.113.7"), time.Time{}); code(o) != respond.CodeExercise {
		t.Errorf("real life in a range: %+v", o)
	}
	a := s.alert("203.0.113.7")
	a.Exercise = "drill"
	if o := s.Consider(a, time.Time{}); o.Verdict != respond.Blocks {
		t.Errorf("%+v", o)
	}
}

func TestLadder(t *testing.T) {
	s := newSite(t, nil)
	want := []time.Duration{10 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour, 7 * 24 * time.Hour}
	for i, w := range want {
		o := s.Consider(s.alert("203.0.113.7"), time.Time{})
		if o.TTL != w || o.Step != i+1 {
			t.Errorf("block %d: %+v, want %s", i+1, o, w)
		}
		s.clock.Advance(w + time.Second)
		if s.Tick(); len(s.Standing()) != 0 {
			t.Fatal("a block outlived its time")
		}
		if i == 2 {
			s.open() // the count outlives a restart
		}
	}
	s.clock.Advance(3 * 7 * 24 * time.Hour) // three steps back
	if o := s.Consider(s.alert("203.0.113.7"), time.Time{}); o.Step != 4 || o.TTL != 24*time.Hour {
		t.Errorf("after three quiet weeks: %+v", o)
	}
}

func TestObservedBlocksDoNotEscalateReal(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Policy.Default = respond.Observe })
	for range 3 {
		s.Consider(s.alert("203.0.113.7"), time.Time{})
		s.clock.Advance(5 * time.Hour)
	}
	p := s.cfg.Policy
	p.Default = respond.Enforce
	s.SetPolicy(&p, "ann")
	if o := s.Consider(s.alert("203.0.113.7"), time.Time{}); o.Step != 1 || o.Verdict != respond.Blocks {
		t.Errorf("%+v", o)
	}
}

func TestSixWidens(t *testing.T) {
	s := newSite(t, nil)
	for i := range 4 {
		s.Consider(s.alert(fmt.Sprintf("2001:db8:1:%x::1", i)), time.Time{})
		s.clock.Advance(time.Second)
	}
	s.blocks("2001:db8:1::/56")
	for i := range 12 { // a /64 in each of twelve other /56
		s.Consider(s.alert(fmt.Sprintf("2001:db8:1:%x::1", (i+1)<<8)), time.Time{})
		s.clock.Advance(time.Second)
	}
	s.blocks("2001:db8:1::/48")
	if o := s.Consider(s.alert("2001:db8:1:ffff::9"), time.Time{}); code(o) != respond.CodeCovered {
		t.Errorf("inside the /48: %+v", o)
	}
}

func TestSixNeverWidensOverOthers(t *testing.T) {
	s := newSite(t, func(c *respond.Config) {
		c.Allow = action.AllowList{{Prefix: netip.MustParsePrefix("2001:db8:1:ff::1/128"), Why: "resolver"}}
	})
	s.Login(netip.MustParseAddr("2001:db8:2:ff::5"), "ann", start)
	s.clock.Advance(3 * time.Hour)
	for i := range 8 {
		s.Consider(s.alert(fmt.Sprintf("2001:db8:1:%x::1", i)), time.Time{})
		s.Consider(s.alert(fmt.Sprintf("2001:db8:2:%x::1", i)), time.Time{})
	}
	if len(s.kernel.blocked) != 16 {
		t.Errorf("%v", s.kernel.blocked)
	}
	s.Consider(s.alert("2001:db8:1:ff::2"), time.Time{}) // its neighbour
	if _, ok := s.kernel.blocked[netip.MustParsePrefix("2001:db8:1:ff::2/128")]; !ok {
		t.Error("a neighbour of the resolver is blocked by its address alone")
	}
}

func TestTranslatedIsOneAddress(t *testing.T) {
	s := newSite(t, nil)
	s.Consider(s.alert("64:ff9b::203.0.113.7"), time.Time{})
	s.Consider(s.alert("2001:0:cb00:7101::1"), time.Time{})
	s.blocks("64:ff9b::cb00:7107/128", "2001:0:cb00:7101::1/128")
}

func TestLegitimate(t *testing.T) {
	s := newSite(t, nil)
	friend, thief := "203.0.113.50", "203.0.113.66"
	s.Login(netip.MustParseAddr(friend), "ann", start)
	s.clock.Advance(2 * time.Hour)
	s.Login(netip.MustParseAddr(thief), "root", s.clock.Now())
	s.clock.Advance(time.Minute)
	if o := s.Consider(s.alert(friend), time.Time{}); o.Verdict != respond.Proposes || code(o) != respond.CodeLegitimate {
		t.Errorf("who logged in before: %+v", o)
	}
	if o := s.Consider(s.alert(thief), time.Time{}); o.Verdict != respond.Blocks {
		t.Errorf("who got in by the attack itself: %+v", o)
	}
	l := s.List(respond.Query{})
	if len(l) != 2 || l[0].Risk == "" || !strings.Contains(l[0].Risk, `"ann"`) {
		t.Errorf("%+v", l)
	}
	s.clock.Advance(31 * 24 * time.Hour)
	if o := s.Consider(s.alert(friend), time.Time{}); o.Verdict != respond.Blocks {
		t.Errorf("who logged in long ago: %+v", o)
	}
}

func TestStorm(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Policy.PerMinute = 5 })
	for i := range 20 {
		s.Consider(s.alert(fmt.Sprintf("203.0.113.%d", i)), time.Time{})
	}
	if len(s.kernel.blocked) != 5 {
		t.Errorf("%d blocks", len(s.kernel.blocked))
	}
	kinds := func() (out []string) {
		for _, n := range s.notices {
			out = append(out, n.Kind)
		}
		return out
	}
	if got := kinds(); len(got) != 1 || got[0] != "storm" {
		t.Errorf("%v", got)
	}
	s.clock.Advance(2 * time.Minute)
	s.Tick()
	if got := kinds(); len(got) != 2 || got[1] != "storm-over" || !strings.Contains(s.notices[1].Text, "15 alerts") {
		t.Errorf("%v %v", got, s.notices)
	}
	if len(s.kernel.blocked) != 5 {
		t.Error("what stands does not stay")
	}
	if o := s.Consider(s.alert("203.0.113.200"), time.Time{}); o.Verdict != respond.Blocks {
		t.Errorf("after the storm: %+v", o)
	}
}

func TestTotal(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Policy.PerMinute, c.Policy.Total = 100, 3 })
	for i := range 10 {
		s.Consider(s.alert(fmt.Sprintf("203.0.113.%d", i)), time.Time{})
	}
	s.blocks("203.0.113.0/32", "203.0.113.1/32", "203.0.113.2/32")
	_, err := s.Block(respond.Order{Prefix: netip.MustParsePrefix("198.51.100.1/32"), Actor: "ann"})
	var no *respond.RefusedError
	if !errors.As(err, &no) || no.Code != respond.CodeFull {
		t.Errorf("%v", err)
	}
}

func TestSameEventsOnce(t *testing.T) {
	s := newSite(t, nil)
	a := s.alert("203.0.113.7")
	o := s.Consider(a, time.Time{})
	if _, err := s.Undo(o.Decision, "ann", "mistake"); err != nil {
		t.Fatal(err)
	}
	s.open()
	if again := s.Consider(a, s.clock.Now()); again.Verdict != respond.Nothing || code(again) != respond.CodeKnown || again.Decision != o.Decision {
		t.Errorf("%+v", again)
	}
	if b := s.Consider(s.alert("203.0.113.7"), s.clock.Now()); code(b) != respond.CodePardoned {
		t.Errorf("an event of before the undo: %+v", b)
	}
	s.clock.Advance(time.Second)
	if b := s.Consider(s.alert("203.0.113.7"), time.Time{}); b.Verdict != respond.Blocks || b.Step != 1 {
		t.Errorf("an event after the undo: %+v", b)
	}
}

func TestLateEvents(t *testing.T) {
	s := newSite(t, nil)
	if o := s.Consider(s.alert("203.0.113.7"), start.Add(-11*time.Minute)); code(o) != respond.CodePast {
		t.Errorf("%+v", o)
	}
	if o := s.Consider(s.alert("203.0.113.7"), start.Add(-9*time.Minute)); o.Verdict != respond.Blocks {
		t.Errorf("%+v", o)
	}
}
