// Package casebooktest is the suite that every casebook.Book must pass.
package casebooktest

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// T0 is when everything in the suite begins.
var T0 = time.Date(2026, 5, 6, 7, 8, 9, 123456789, time.UTC) //nolint:gochecknoglobals // nobody writes it

// ID is a UUID for a number.
func ID(n int) string {
	return fmt.Sprintf("%08x-0000-7000-8000-%012x", uint32(n*0x01000193), n)
}

// Event is one of a session.
func Event(n int, source, session, action string) *event.Event {
	e := &event.Event{ID: ID(n), Time: T0.Add(time.Duration(n) * time.Second), Source: netip.AddrPortFrom(netip.MustParseAddr(source), 4711), Session: session, Host: "files", Decoy: "ssh", User: "root", Depth: event.DepthAct}
	e.Describe(action)
	return e
}

// Alert is one that has grown to count events.
func Alert(n int, source string, count int64) alert.Alert {
	return alert.Alert{
		ID: ID(1000 + n), Key: "k " + source, Source: netip.MustParseAddr(source), Count: count, Host: "files", User: "root", Log: "auth", Title: "it happened",
		Campaign: ID(5000), First: T0.Add(time.Duration(n) * time.Minute), Last: T0.Add(time.Duration(n)*time.Minute + time.Duration(count)*time.Second),
		Rule: alert.Rule{ID: ID(9), Name: "A rule", Level: alert.High, Techniques: []string{"T1078", "T1110"}, Tactics: []string{"initial-access"}, Description: "What to do."},
	}
}

// Run runs the suite; open opens the same book again each time for one t.
func Run(t *testing.T, open func(t *testing.T) casebook.Book) {
	t.Helper()
	for _, tt := range []struct {
		name string
		run  func(*testing.T, func(*testing.T) casebook.Book)
	}{
		{"alerts grow and keep the first and the last evidence", alertsGrow},
		{"a batch is applied whole, with its position", positions},
		{"queries", queries},
		{"sessions add up over batches", sessions},
		{"captures add up", captures},
		{"findings are of a content, and go with it", findings},
		{"states", states},
		{"holds and acts", desk},
		{"forget a source", forgetSource},
		{"forget a session", forgetSession},
		{"expire", expire},
		{"campaigns move", moves},
		{"copy", copies},
	} {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, open) })
	}
}

func apply(t *testing.T, b casebook.Book, fn func(*casebook.Batch)) {
	t.Helper()
	var batch casebook.Batch
	fn(&batch)
	if err := b.Apply(t.Context(), &batch); err != nil {
		t.Fatal(err)
	}
}

func alerts(t *testing.T, b casebook.Book, q casebook.Query) (out []*alert.Alert) {
	t.Helper()
	if err := b.Alerts(t.Context(), q, func(a *alert.Alert) error { out = append(out, a); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func sessionList(t *testing.T, b casebook.Book, q casebook.Query) (out []casebook.Session) {
	t.Helper()
	if err := b.Sessions(t.Context(), q, func(s *casebook.Session) error { out = append(out, *s); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func captureList(t *testing.T, b casebook.Book) (out []casebook.Capture) {
	t.Helper()
	if err := b.Captures(t.Context(), casebook.Query{}, func(c *casebook.Capture) error { out = append(out, *c); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

func source(t *testing.T, text string) casebook.Source {
	t.Helper()
	s, err := casebook.ParseSource(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func alertsGrow(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	n := 0
	grow := func(from, to int64) {
		apply(t, b, func(batch *casebook.Batch) {
			for c := from; c <= to; c++ {
				n++
				batch.Alert(Alert(1, "198.51.100.7", c), Event(int(c), "198.51.100.7", ID(77), event.ActionCommandExecuted))
			}
		})
	}
	grow(1, 3)
	if a, err := b.Alert(t.Context(), ID(1001)[:8]); err != nil || len(a.Evidence) != 3 || a.Count != 3 {
		t.Fatalf("got %+v, %v", a, err)
	}
	grow(4, 60)
	grow(61, 400)
	shut(t, b)
	a, err := open(t).Alert(t.Context(), ID(1001))
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Events) != alert.MaxEvents || len(a.Evidence) != alert.MaxEvents || a.Count != 400 {
		t.Fatalf("%d events, %d lines, count %d", len(a.Events), len(a.Evidence), a.Count)
	}
	for i, id := range a.Events {
		want := i + 1
		if i >= alert.MaxEvents/2 {
			want = 400 - alert.MaxEvents + i + 1
		}
		e, err := event.Decode(a.Evidence[i])
		if id != ID(want) || err != nil || e.ID != id {
			t.Fatalf("event %d is %s, evidence %s, want %s", i, id, a.Evidence[i], ID(want))
		}
	}
	want := Alert(1, "198.51.100.7", 400)
	want.Events, want.Evidence = a.Events, a.Evidence
	if d := cmp.Diff(&want, a, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); d != "" {
		t.Error(d)
	}
}

func positions(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	if p, err := b.Position(t.Context()); p != "" || err != nil {
		t.Fatalf("a new book is at %q, %v", p, err)
	}
	apply(t, b, func(batch *casebook.Batch) { batch.Position = "3:77" })
	shut(t, b)
	if p, err := open(t).Position(t.Context()); p != "3:77" || err != nil {
		t.Fatalf("got %q, %v", p, err)
	}
}

func queries(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	for i := range 9 {
		apply(t, b, func(batch *casebook.Batch) {
			a := Alert(i, fmt.Sprintf("198.51.100.%d", i), 1)
			a.Rule.Level = alert.Level(i % 5)
			batch.Alert(a, Event(i, "198.51.100.7", "", event.ActionLogin))
		})
	}
	for _, tt := range []struct {
		name  string
		q     casebook.Query
		first string // of the ids
		n     int
	}{
		{"all", casebook.Query{}, ID(1000), 9},
		{"last", casebook.Query{Last: 2}, ID(1007), 2},
		{"level", casebook.Query{Level: alert.High}, ID(1003), 3},
		{"since", casebook.Query{Since: T0.Add(7 * time.Minute)}, ID(1007), 2},
		{"source", casebook.Query{Source: source(t, "198.51.100.4")}, ID(1004), 1},
		{"id", casebook.Query{ID: ID(1005)[:8]}, ID(1005), 1},
		{"nothing", casebook.Query{ID: "zz"}, "", 0},
		{"injection", casebook.Query{ID: "' OR 1=1 --"}, "", 0},
	} {
		got := alerts(t, b, tt.q)
		if len(got) != tt.n || tt.n > 0 && got[0].ID != tt.first {
			t.Errorf("%s: %d alerts, want %d beginning with %s", tt.name, len(got), tt.n, tt.first)
		}
	}
	if _, err := b.Alert(t.Context(), "ffffffff"); !errors.Is(err, casebook.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func sessions(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	id := ID(500)
	for n, action := range []string{event.ActionSessionStarted, event.ActionCommandExecuted, event.ActionCommandExecuted, event.ActionFileCaptured, event.ActionSessionEnded} {
		apply(t, b, func(batch *casebook.Batch) {
			e := Event(n, "2001:db8::9", id, action)
			if n == 0 {
				e.Add("lapwing.session.kind", "exec")
			}
			batch.Index(e)
		})
	}
	got := sessionList(t, b, casebook.Query{ID: id[:6]})
	want := []casebook.Session{{
		ID: id, Source: netip.MustParseAddr("2001:db8::9"), Host: "files", Decoy: "ssh", User: "root", Kind: "exec",
		Start: T0, End: T0.Add(4 * time.Second), Last: T0.Add(4 * time.Second), Commands: 2, Files: 1, Depth: int(event.DepthAct),
	}}
	if d := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); d != "" {
		t.Error(d)
	}
	if l := sessionList(t, b, casebook.Query{Source: source(t, "2001:db8::1")}); len(l) != 1 {
		t.Errorf("by the /64: %v", l)
	}
}

func left(n int, source, session, path string) *event.Event {
	e := Event(n, source, session, event.ActionFileCaptured)
	e.Path, e.Size, e.SHA256 = path, 5, fmt.Sprintf("%064x", 1+n%2)
	return e
}

func captures(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	for n := range 4 {
		apply(t, b, func(batch *casebook.Batch) { batch.Index(left(n, "198.51.100.7", ID(500), "/tmp/x\x1b[2J")) })
	}
	got := captureList(t, b)
	if len(got) != 2 || got[0].Count != 2 || got[0].Path != "/tmp/x\x1b[2J" || got[0].Size != 5 || !got[1].First.Equal(T0.Add(time.Second)) {
		t.Errorf("got %+v", got)
	}
}

// same is left with one content for all.
func same(n int, source, session, path string) *event.Event {
	e := left(n, source, session, path)
	e.SHA256 = strings.Repeat("e", 64)
	return e
}

// found is what a scan says about the file that same makes.
func found(n int, rule string) *event.Event {
	e := same(n, "192.0.2.1", ID(2), "/tmp/a")
	e.Describe(event.ActionMalwareFound)
	e.Add("rule.name", rule)
	e.Add("rule.level", "high")
	e.Add("rule.category", "yara")
	e.Add("rule.description", "It is bad.")
	return e
}

func findings(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	apply(t, b, func(t *casebook.Batch) { t.Index(found(1, "Orphan")) }) // nobody left such a file
	apply(t, b, func(t *casebook.Batch) {
		t.Index(same(1, "192.0.2.1", ID(2), "/tmp/a"))
		t.Index(same(2, "192.0.2.2", ID(3), "/tmp/b"))
		t.Index(found(3, "Rule_B"))
	})
	part := found(4, "")
	part.Extra, part.Reason = nil, "it took too long"
	part.Describe(event.ActionScanIncomplete)
	apply(t, b, func(t *casebook.Batch) {
		t.Index(found(4, "Rule_A"))
		t.Index(found(5, "Rule_B"))
		t.Index(part)
	})
	want := []casebook.Finding{
		{Description: "it took too long"},
		{Rule: "Rule_A", Level: "high", Category: "yara", Description: "It is bad."},
		{Rule: "Rule_B", Level: "high", Category: "yara", Description: "It is bad."},
	}
	for _, c := range captureList(t, b) {
		if d := cmp.Diff(want, c.Findings); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.Path, d)
		}
	}
	forget := func(s string) {
		t.Helper()
		if _, err := b.Forget(t.Context(), source(t, s), "x"); err != nil {
			t.Fatal(err)
		}
	}
	forget("192.0.2.1")
	if l := captureList(t, b); len(l) != 1 || len(l[0].Findings) != 3 {
		t.Errorf("the other source's file: %+v", l)
	}
	forget("192.0.2.2")
	apply(t, b, func(t *casebook.Batch) { t.Index(same(6, "192.0.2.3", ID(4), "/tmp/c")) })
	if l := captureList(t, b); len(l) != 1 || l[0].Findings != nil {
		t.Errorf("findings outlive the file: %+v", l)
	}
}

func states(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	// Times of states are kept to about a minute: this one is on it.
	want := casebook.State{Key: "s", Source: netip.MustParseAddr("198.51.100.7"), Seen: T0.Truncate(64 * time.Second), Data: []byte("one\x00")}
	apply(t, b, func(batch *casebook.Batch) { batch.State(want) })
	want.Data = []byte("two")
	apply(t, b, func(batch *casebook.Batch) { batch.State(want) })
	got, ok, err := b.Recall(t.Context(), "s")
	if d := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); d != "" || !ok || err != nil {
		t.Errorf("%s, %v, %v", d, ok, err)
	}
	if _, ok, err := b.Recall(t.Context(), "none"); ok || err != nil {
		t.Errorf("got %v, %v", ok, err)
	}
}

func desk(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	h := casebook.Hold{Source: source(t, "198.51.100.7"), Why: "a case", Who: "ada", At: T0}
	if err := b.Hold(t.Context(), h); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Holds(t.Context()); err != nil || len(got) != 1 || got[0] != h {
		t.Errorf("got %+v, %v", got, err)
	}
	if err := b.Unhold(t.Context(), h.Source); err != nil {
		t.Error(err)
	}
	if err := b.Unhold(t.Context(), h.Source); !errors.Is(err, casebook.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	act := casebook.Act{At: T0, Who: "ada", Act: "hold", Target: "198.51.100.7", Why: "a case", Result: "held"}
	if err := b.Note(t.Context(), act); err != nil {
		t.Fatal(err)
	}
	var acts []casebook.Act
	if err := b.Acts(t.Context(), func(a casebook.Act) error { acts = append(acts, a); return nil }); err != nil || len(acts) != 1 || acts[0] != act {
		t.Errorf("got %+v, %v", acts, err)
	}
}

// fill makes two sources, each with an alert, a session and a capture that
// both left.
func fill(t *testing.T, b casebook.Book) {
	t.Helper()
	apply(t, b, func(batch *casebook.Batch) {
		for i, src := range []string{"198.51.100.7", "203.0.113.9"} {
			e := left(2, src, ID(500+i), "/tmp/x")
			batch.Index(e)
			batch.Alert(Alert(i, src, 1), e)
			own := left(3, src, ID(500+i), "/tmp/own")
			own.SHA256 = fmt.Sprintf("%064x", 100+i)
			batch.Index(own)
			batch.State(casebook.State{Key: src, Source: netip.MustParseAddr(src), Seen: T0, Data: []byte(src)})
		}
	})
}

func forgetSource(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	fill(t, b)
	got, err := b.Forget(t.Context(), source(t, "198.51.100.7"), "alias")
	want := casebook.Gone{Alerts: 1, Evidence: 1, Sessions: []string{ID(500)}, Captures: []string{fmt.Sprintf("%064x", 100)}, States: 1}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if l := alerts(t, b, casebook.Query{}); len(l) != 1 || l[0].Source.String() != "203.0.113.9" {
		t.Errorf("left: %v", l)
	}
	if _, ok, _ := b.Recall(t.Context(), "198.51.100.7"); ok {
		t.Error("the judge remembers him")
	}
}

func forgetSession(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	fill(t, b)
	got, err := b.Forget(t.Context(), source(t, ID(501)), "alias")
	want := casebook.Gone{Alerts: 1, Evidence: 1, Sessions: []string{ID(501)}, Captures: []string{fmt.Sprintf("%064x", 101)}}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if l := sessionList(t, b, casebook.Query{}); len(l) != 1 {
		t.Errorf("left: %v", l)
	}
}

func expire(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	fill(t, b)
	if err := b.Hold(t.Context(), casebook.Hold{Source: source(t, "198.51.100.7"), At: T0}); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Expire(t.Context(), casebook.Cuts{Cases: T0, Sessions: T0, Captures: T0}); err != nil || got.Alerts != 0 || got.Sessions != nil {
		t.Errorf("too early: %+v, %v", got, err)
	}
	later := T0.Add(time.Hour)
	got, err := b.Expire(t.Context(), casebook.Cuts{Cases: later, Sessions: later, Captures: later, States: later})
	want := casebook.Gone{Alerts: 1, Evidence: 1, Sessions: []string{ID(501)}, Captures: []string{fmt.Sprintf("%064x", 101)}, States: 2}
	if d := cmp.Diff(want, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if l := alerts(t, b, casebook.Query{}); len(l) != 1 || l[0].Source.String() != "198.51.100.7" {
		t.Errorf("the hold did not keep it: %v", l)
	}
}

func moves(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	fill(t, b)
	apply(t, b, func(batch *casebook.Batch) { batch.Move(casebook.Move{From: ID(5000), To: ID(6000)}) })
	for _, a := range alerts(t, b, casebook.Query{}) {
		if a.Campaign != ID(6000) {
			t.Errorf("campaign %s", a.Campaign)
		}
	}
	apply(t, b, func(batch *casebook.Batch) {
		batch.Move(casebook.Move{From: ID(6000), To: ID(7000), Source: netip.MustParseAddr("198.51.100.7")})
	})
	n := 0
	for _, a := range alerts(t, b, casebook.Query{}) {
		if moved := a.Campaign == ID(7000); moved != (a.Source.String() == "198.51.100.7") {
			t.Errorf("%s is in campaign %s", a.Source, a.Campaign)
		} else if moved {
			n++
		}
	}
	if n == 0 {
		t.Error("no alert of the source: this shows nothing")
	}
}

func copies(t *testing.T, open func(*testing.T) casebook.Book) {
	t.Helper()
	b := open(t)
	fill(t, b)
	file := filepath.Join(t.TempDir(), "copy.db")
	if err := b.Copy(t.Context(), file); err != nil {
		t.Fatal(err)
	}
	if err := b.Copy(t.Context(), file); err == nil {
		t.Error("a copy overwrote a file")
	}
}

func shut(t *testing.T, b casebook.Book) {
	t.Helper()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}
