package access

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// sink keeps what is emitted.
type sink struct {
	events []event.Event
	fail   error
}

func (s *sink) Emit(_ context.Context, events []event.Event) error {
	if s.fail != nil {
		return s.fail
	}
	s.events = append(s.events, events...)
	return nil
}

// words are events in short: action, rule, source and user.
func (s *sink) words(action string) []string {
	var out []string
	for _, e := range s.events {
		if e.Action != action {
			continue
		}
		w := e.User
		if e.Source.IsValid() {
			w = e.Source.Addr().String() + " " + w
		}
		if v, ok := e.Get("rule.name"); ok {
			w = v.Text() + ": " + w
		}
		if v, ok := e.Get("lapwing.count"); ok && action != ActionMatched {
			w += " x" + v.Text()
		}
		out = append(out, strings.TrimSpace(w))
	}
	return out
}

// began is when tests begin.
var began = time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)

const guessing = `title: Refused
id: 00000000-0000-4000-8000-000000000001
name: refused
logsource: {category: authentication}
detection:
  selection: {event.action: logon-failed}
  condition: selection
level: informational
---
title: Guessed
id: 00000000-0000-4000-8000-000000000002
name: guessed
correlation:
  type: event_count
  rules: [refused]
  group-by: [lapwing.net]
  timespan: 10m
  condition: {gte: 5}
level: medium
tags: [attack.t1110.001]
---
title: Accepted
id: 00000000-0000-4000-8000-000000000003
name: accepted
logsource: {category: authentication}
detection:
  selection: {event.action: logon}
  condition: selection
level: informational
---
title: In After Guessing
id: 00000000-0000-4000-8000-000000000004
correlation:
  type: temporal_ordered
  rules: [guessed, accepted]
  generate: true
  group-by: [lapwing.net]
  timespan: 1h
level: high
---
title: Root
id: 00000000-0000-4000-8000-000000000005
logsource: {category: authentication}
detection:
  selection: {event.action: logon, user.name: root}
  condition: selection
level: medium
`

// reader makes a Reader over rules, with a clock an hour after began.
func reader(tb testing.TB, out Emitter, rules string, change func(*Config)) (*Reader, *clock.Manual) {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(rules), 0o600); err != nil {
		tb.Fatal(err)
	}
	clk := clock.NewManual(began.Add(time.Hour))
	cfg := Config{Rules: live.Config{Rules: ruleset.Config{Paths: []string{file}}}, Out: out, Clock: clk, Location: time.UTC}
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return r, clk
}

// sshd is a line of sshd after a number of seconds.
func sshd(sec int, text string) string {
	return began.Add(time.Duration(sec)*time.Second).Format("Jan _2 15:04:05") + " srv sshd[7]: " + text
}

func failed(sec int, user, addr string) string {
	return sshd(sec, fmt.Sprintf("Failed password for %s from %s port 4000 ssh2", user, addr))
}

func accepted(sec int, user, addr string) string {
	return sshd(sec, fmt.Sprintf("Accepted password for %s from %s port 4000 ssh2", user, addr))
}

func batch(lines ...string) line.Batch {
	b := line.Batch{Source: "auth"}
	for _, l := range lines {
		b.Lines = append(b.Lines, line.Line{Text: []byte(l), Received: began.Add(time.Hour)})
	}
	return b
}

func take(tb testing.TB, r *Reader, lines ...string) {
	tb.Helper()
	if err := r.Take(tb.Context(), batch(lines...)); err != nil {
		tb.Fatal(err)
	}
}

func TestVerdict(t *testing.T) {
	out := &sink{}
	r, clk := reader(t, out, guessing, nil)
	for i := range 4 {
		take(t, r, failed(i, "bob", "192.0.2.7"))
	}
	if got := out.words(ActionMatched); len(got) != 0 {
		t.Fatalf("after four: %v", got)
	}
	take(t, r, failed(4, "bob", "192.0.2.7"))
	if diff := cmp.Diff([]string{"Guessed: 192.0.2.7 bob"}, out.words(ActionMatched)); diff != "" {
		t.Fatalf("at the fifth: %s", diff)
	}
	v := out.events[slices.IndexFunc(out.events, func(e event.Event) bool { return e.Action == ActionMatched })]
	got := map[string]string{}
	for _, f := range v.Extra {
		got[f.Name] = f.Value.Text()
	}
	want := map[string]string{
		"rule.id": "00000000-0000-4000-8000-000000000002", "rule.name": "Guessed", "rule.level": "medium", "threat.technique.id": "T1110.001",
		"lapwing.source": "auth", "host.name": "srv", "service.name": "sshd", "process.pid": "7", "lapwing.net": "192.0.2.7/32", "lapwing.group": "lapwing.net=192.0.2.7/32",
		"lapwing.count": "5", "lapwing.first": "2026-11-24T10:00:00.000000Z", "lapwing.last": "2026-11-24T10:00:04.000000Z",
		"event.original": failed(4, "bob", "192.0.2.7"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if v.Kind != "alert" || v.ID == "" || v.Dataset != Dataset {
		t.Errorf("%+v", v)
	}

	take(t, r, accepted(10, "bob", "192.0.2.7"))
	clk.Advance(time.Minute)
	if err := r.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"Guessed: 192.0.2.7 bob", "In After Guessing: 192.0.2.7 bob"}, out.words(ActionMatched)); diff != "" {
		t.Error(diff)
	}
}

// TestOneVerdict: of a rule about single lines one is told, and then how many.
func TestOneVerdict(t *testing.T) {
	out := &sink{}
	r, clk := reader(t, out, guessing, nil)
	for i := range 20 {
		take(t, r, accepted(i*30, "root", "192.0.2.8"))
	}
	if n := len(out.words(ActionMatched)); n != 1 {
		t.Errorf("%d verdicts of twenty within ten minutes", n)
	}
	clk.Advance(time.Hour)
	if err := r.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	total := int64(0)
	for _, e := range out.events {
		if e.Action == ActionMatched {
			n, _ := e.Get("lapwing.count")
			total += n.Int64()
		}
	}
	if total != 20 {
		t.Errorf("%d of 20 were told", total)
	}
}

// TestKept: the first of each are kept, the others are counted, and none is
// missing.
func TestKept(t *testing.T) {
	out := &sink{}
	r, clk := reader(t, out, guessing, nil)
	for i := range 100 {
		take(t, r, failed(i, "bob", "192.0.2.7"), accepted(i, "ann", "192.0.2.9"))
	}
	if n := len(out.words("logon-failed")); n < keptFailures || n > keptFlagged {
		t.Errorf("%d failures kept", n)
	}
	clk.Advance(2 * time.Hour)
	if err := r.Advance(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct{ one, many string }{{"logon-failed", ActionFailed}, {"logon", ActionLogons}} {
		n := int64(len(out.words(x.one)))
		for _, e := range out.events {
			if e.Action == x.many {
				c, _ := e.Get("lapwing.count")
				n += c.Int64()
			}
		}
		if n != 100 {
			t.Errorf("%s: %d of 100", x.one, n)
		}
	}
}

// TestRefused: what could not be kept is offered again and counted once.
func TestRefused(t *testing.T) {
	out := &sink{}
	r, _ := reader(t, out, guessing, nil)
	for i := range 2 {
		take(t, r, failed(i, "bob", "192.0.2.7"))
	}
	out.fail = errors.New("the hub is away")
	b := batch(failed(3, "ann", "192.0.2.7"))
	for range 5 {
		if err := r.Take(t.Context(), b); !errors.Is(err, out.fail) {
			t.Fatalf("error %v", err)
		}
	}
	out.fail = nil
	if err := r.Take(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if got := out.words(ActionMatched); len(got) != 0 {
		t.Errorf("three failures count as %v", got)
	}
	if n := len(out.words("logon-failed")); n != 3 {
		t.Errorf("%d of 3 failures are kept", n)
	}
	take(t, r, failed(5, "bob", "192.0.2.7"), failed(6, "bob", "192.0.2.7"))
	if n := len(out.words(ActionMatched)); n != 1 {
		t.Errorf("%d verdicts at the fifth", n)
	}
}

// TestSpoofable: a line that anybody could have sent says so.
func TestSpoofable(t *testing.T) {
	out := &sink{}
	r, _ := reader(t, out, guessing, func(c *Config) { c.Sources = map[string]Source{"auth": {Spoofable: true}} })
	for i := range 5 {
		take(t, r, failed(i, "bob", "192.0.2.7"))
	}
	for _, e := range out.events {
		if v, ok := e.Get("lapwing.spoofable"); !ok || v.Text() != "true" {
			t.Errorf("%+v", e)
		}
	}
	if len(out.events) == 0 {
		t.Error("nothing was emitted")
	}
}

func TestTimes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		received time.Time
		lines    []string
		want     int // verdicts
	}{
		{"out of order", began.Add(time.Hour), []string{failed(9, "a", "192.0.2.1"), failed(2, "a", "192.0.2.1"), failed(7, "a", "192.0.2.1"), failed(1, "a", "192.0.2.1"), failed(5, "a", "192.0.2.1")}, 1},
		{"a clock a day ahead, then right", began, append(repeat5(86400), repeat5(1)...), 1},
		{"across New Year", time.Date(2027, 1, 1, 0, 0, 5, 0, time.UTC), []string{
			"Dec 31 23:59:57 srv sshd[7]: Failed password for a from 192.0.2.1 port 1 ssh2", "Dec 31 23:59:58 srv sshd[7]: Failed password for a from 192.0.2.1 port 1 ssh2",
			"Dec 31 23:59:59 srv sshd[7]: Failed password for a from 192.0.2.1 port 1 ssh2", "Jan  1 00:00:01 srv sshd[7]: Failed password for a from 192.0.2.1 port 1 ssh2",
			"Jan  1 00:00:02 srv sshd[7]: Failed password for a from 192.0.2.1 port 1 ssh2",
		}, 1},
		{"an hour apart", began.Add(9 * time.Hour), []string{failed(0, "a", "192.0.2.1"), failed(3600, "a", "192.0.2.1"), failed(7200, "a", "192.0.2.1"), failed(10800, "a", "192.0.2.1"), failed(14400, "a", "192.0.2.1")}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := &sink{}
			r, _ := reader(t, out, guessing, nil)
			b := batch(tt.lines...)
			for i := range b.Lines {
				b.Lines[i].Received = tt.received
			}
			if err := r.Take(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			if got := out.words(ActionMatched); len(got) != tt.want {
				t.Errorf("%v, want %d", got, tt.want)
			}
		})
	}
}

func repeat5(sec int) []string {
	var out []string
	for i := range 5 {
		out = append(out, failed(sec+i, "a", "192.0.2.1"))
	}
	return out
}

// TestOddLines: what no log should hold is read to an end and hides nothing after
// it.
func TestOddLines(t *testing.T) {
	out := &sink{}
	r, _ := reader(t, out, guessing, nil)
	odd := []string{
		"", "\x00\x00\x00", strings.Repeat("x", 1<<20), strings.Repeat("\xff", 1000), "{", `{"a":`, "<34>1 - - - - - -", "<", sshd(0, strings.Repeat(" from ", 100_000)),
		sshd(0, "Failed password for invalid user "+strings.Repeat("a", 1<<20)+" from 192.0.2.5 port 1 ssh2"), "Nov 24", "\x1b[2J", sshd(1, "Failed password for \x00 from 192.0.2.5 port 1 ssh2"),
	}
	for _, l := range odd {
		take(t, r, l)
	}
	take(t, r, repeat5(10)...)
	if diff := cmp.Diff([]string{"Guessed: 192.0.2.1 a"}, out.words(ActionMatched)); diff != "" {
		t.Error(diff)
	}
	for _, e := range out.events {
		text, _ := e.Get("event.original")
		if len(text.Text()) > 3*maxText {
			t.Errorf("an event holds %d bytes of a line", len(text.Text()))
		}
	}
}

// counting counts what is emitted.
type counting struct {
	events   int
	verdicts map[string]int
}

func (c *counting) Emit(_ context.Context, events []event.Event) error {
	if c.verdicts == nil {
		c.verdicts = map[string]int{}
	}
	for i := range events {
		c.events++
		if events[i].Action == ActionMatched {
			c.verdicts[events[i].Source.Addr().String()]++
		}
	}
	return nil
}
