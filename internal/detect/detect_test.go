package detect

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

var t0 = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

func ids(key string, _ time.Time) string { return key }

func login(i int, user, src string) event.Event {
	e := event.Event{ID: fmt.Sprint(i), Time: t0.Add(time.Duration(i) * time.Second), Source: netip.MustParseAddrPort(src), User: user, Outcome: "failure"}
	e.Describe(event.ActionLogin)
	return e
}

func names(g *Engine, events []event.Event) map[string]int64 {
	got := map[string]int64{}
	for _, e := range events {
		for _, a := range g.Judge(e) {
			got[a.Rule.Name] = a.Count
		}
	}
	return got
}

func TestOneMistypedPasswordIsNoAlert(t *testing.T) {
	if got := names(New(ids), []event.Event{login(1, "root", "198.51.100.7:1")}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}

func TestSprayAndBruteForceAreGrouped(t *testing.T) {
	var l []event.Event
	for i := range 20 {
		l = append(l, login(i, fmt.Sprintf("u%d", i), "198.51.100.7:1"))
	}
	got := names(New(ids), l)
	if got[ruleSpray.Name] != 16 || got[ruleBrute.Name] != 11 {
		t.Errorf("got %v", got)
	}
}

func TestRotatingInsideA64IsOneSource(t *testing.T) {
	var l []event.Event
	for i := range 12 {
		l = append(l, login(i, "root", fmt.Sprintf("[2001:db8::%x]:1", i+1)))
	}
	if got := names(New(ids), l); got[ruleBrute.Name] != 3 {
		t.Errorf("got %v", got)
	}
}

func TestExercisesAreNotRealLife(t *testing.T) {
	e := login(1, "root", "198.51.100.7:1")
	e.Outcome, e.Exercise = "success", "x"
	if got := names(New(ids), []event.Event{e}); len(got) != 0 {
		t.Errorf("got %v", got)
	}
}
