package live

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
)

const loginRule = `title: Login
id: 11111111-1111-4111-8111-111111111111
name: login
status: test
logsource: {product: lapwing, service: decoy}
detection:
  selection: {event.action: login, event.outcome: success}
  condition: selection
level: high
tags: [attack.initial-access, attack.t1078]
`

const tryRule = `title: Try
id: 22222222-2222-4222-8222-222222222222
name: try
status: test
logsource: {product: lapwing, service: decoy}
detection:
  selection: {event.action: login}
  condition: selection
level: low
---
title: Many users
id: 33333333-3333-4333-8333-333333333333
status: test
correlation:
  type: value_count
  rules: [try]
  group-by: [source.ip]
  timespan: 1h
  condition: {field: user.name, gte: 3}
level: medium
`

func dir(t *testing.T, files ...string) string {
	t.Helper()
	d := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		write(t, filepath.Join(d, files[i]), files[i+1])
	}
	return d
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, d string, s ...Suppression) *Engine {
	t.Helper()
	e, err := New(Config{Rules: ruleset.Config{Paths: []string{d}}, Suppress: s, Lateness: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func login(n int, ip, user, outcome string) []byte {
	at := time.Date(2026, 1, 1, 10, 0, n, 0, time.UTC).Format(time.RFC3339Nano)
	return fmt.Appendf(nil, `{"@timestamp":%q,"event.dataset":"decoy.ssh","event.action":"login","event.outcome":%q,"source.ip":%q,"user.name":%q}`, at, outcome, ip, user)
}

// titles judges lines, then tells the time (10:30, or 10:59 for lines of the
// second half hour), and gives what fired.
func titles(e *Engine, lines ...[]byte) []string {
	end := time.Date(2026, 1, 1, 10, 30, 0, 0, time.UTC)
	if bytes.Contains(lines[len(lines)-1], []byte("T10:3")) {
		end = end.Add(29 * time.Minute)
	}
	var out []string
	for _, l := range lines {
		for _, v := range e.Judge(l) {
			out = append(out, v.Rule.Title+v.Group["source.ip"])
		}
	}
	for _, v := range e.Advance(end) {
		out = append(out, v.Rule.Title+v.Group["source.ip"])
	}
	return out
}

func TestJudge(t *testing.T) {
	e := open(t, dir(t, "a.yml", loginRule, "b.yml", tryRule))
	got := titles(e, login(1, "192.0.2.1", "a", "failure"), login(2, "192.0.2.2", "a", "success"), login(3, "192.0.2.1", "b", "failure"), login(4, "192.0.2.1", "c", "failure"), []byte("no json"))
	if d := cmp.Diff([]string{"Login", "Many users192.0.2.1"}, got); d != "" {
		t.Error(d)
	}
	if s := e.Stats(); s.Failed != 1 || s.Rules == 0 {
		t.Errorf("%+v", s)
	}
}

func TestSuppression(t *testing.T) {
	d := dir(t, "a.yml", loginRule, "b.yml", tryRule)
	lines := [][]byte{login(1, "192.0.2.1", "a", "success"), login(2, "192.0.2.1", "b", "failure"), login(3, "192.0.2.1", "c", "failure"), login(4, "198.51.100.1", "Monitor", "success")}
	net := netip.MustParsePrefix("192.0.2.0/24")
	for name, c := range map[string]struct {
		s    Suppression
		want string
	}{
		"rule":    {Suppression{Rule: "Login", Reason: "x"}, "Many users192.0.2.1"},
		"source":  {Suppression{Source: net, Reason: "x"}, "Login"},
		"field":   {Suppression{Rule: "11111111-1111-4111-8111-111111111111", Field: "user.name", Value: "monitor", Reason: "x"}, "Login Many users192.0.2.1"},
		"expired": {Suppression{Source: net, Reason: "x", Until: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}, "Login Login Many users192.0.2.1"},
	} {
		t.Run(name, func(t *testing.T) {
			got := titles(open(t, d, c.s), lines...)
			want := map[string]int{}
			for w := range strings.SplitSeq(strings.ReplaceAll(c.want, "Many users", "Many_users"), " ") {
				want[strings.ReplaceAll(w, "_", " ")]++
			}
			have := map[string]int{}
			for _, g := range got {
				have[g]++
			}
			if d := cmp.Diff(want, have); d != "" {
				t.Error(d)
			}
		})
	}
	for _, s := range []Suppression{{Reason: "all"}, {Rule: "Login"}, {Field: "a", Reason: "x"}} {
		if _, err := New(Config{Rules: ruleset.Config{Paths: []string{d}}, Suppress: []Suppression{s}}); err == nil {
			t.Errorf("%+v is taken", s)
		}
	}
}

func TestReloadWholeOrNotAtAll(t *testing.T) {
	d := dir(t, "a.yml", loginRule, "b.yml", tryRule)
	e := open(t, d)
	if got := titles(e, login(1, "192.0.2.1", "a", "failure"), login(2, "192.0.2.1", "b", "failure")); len(got) != 0 {
		t.Fatal(got)
	}
	write(t, filepath.Join(d, "a.yml"), strings.Replace(loginRule, "condition: selection", "condition: selectoin", 1))
	_, _, err := e.Reload()
	if !errors.Is(err, ErrRules) || !strings.Contains(err.Error(), "a.yml") {
		t.Errorf("a broken rule: %v", err)
	}
	if got := titles(e, login(3, "192.0.2.9", "a", "success")); len(got) != 1 {
		t.Errorf("the old rules are gone: %v", got)
	}
	if err := os.Remove(filepath.Join(d, "a.yml")); err != nil {
		t.Fatal(err)
	}
	if _, dropped, err := e.Reload(); err != nil || dropped != 0 {
		t.Fatal(dropped, err)
	}
	// The group of before goes on: the third user fires. The login rule is gone.
	if d := cmp.Diff([]string{"Many users192.0.2.1"}, titles(e, login(1801, "192.0.2.1", "c", "success"))); d != "" {
		t.Error(d)
	}
}

func TestSnapshot(t *testing.T) {
	d := dir(t, "b.yml", tryRule)
	e := open(t, d)
	titles(e, login(1, "192.0.2.1", "a", "failure"), login(2, "192.0.2.1", "b", "failure"))
	var b bytes.Buffer
	if err := e.Snapshot(&b); err != nil {
		t.Fatal(err)
	}
	again := open(t, d)
	if _, err := again.Restore(bytes.NewReader(b.Bytes())); err != nil {
		t.Fatal(err)
	}
	if got := titles(again, login(1801, "192.0.2.1", "c", "failure")); len(got) != 1 {
		t.Errorf("after a restart: %v", got)
	}
	if _, err := open(t, d).Restore(strings.NewReader("junk")); err == nil {
		t.Error("junk is taken for a snapshot")
	}
}

func TestWatch(t *testing.T) {
	d := dir(t, "b.yml", tryRule)
	link := filepath.Join(t.TempDir(), "rules")
	if err := os.Symlink(d, link); err != nil {
		link = d // a system without links
	}
	e := open(t, link)
	var log bytes.Buffer
	clk := clock.NewManual(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	done := make(chan struct{})
	ctx := t.Context()
	go func() { defer close(done); e.Watch(ctx, clk, slog.New(slog.NewTextHandler(&log, nil))) }()
	until := func(rules int, what string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); e.Stats().Rules != rules && time.Now().Before(deadline); {
			clk.Advance(watchEvery)
			time.Sleep(5 * time.Millisecond)
		}
		if n := e.Stats().Rules; n != rules {
			t.Errorf("%d rules after %s, want %d", n, what, rules)
		}
	}
	write(t, filepath.Join(d, "a.yml"), loginRule)
	until(3, "a new file")
	// What a link leads to counts, not the link.
	far := dir(t, "c.yml", strings.NewReplacer("11111111", "33333333", "title: Login", "title: Far").Replace(loginRule))
	if err := os.Symlink(filepath.Join(far, "c.yml"), filepath.Join(d, "link.yml")); err != nil {
		t.Skip(err)
	}
	until(4, "a link")
	write(t, filepath.Join(far, "c.yml"), "# nothing any more\n")
	until(3, "a change behind the link")
}

func TestAlertRule(t *testing.T) {
	e := open(t, dir(t, "a.yml", strings.Replace(loginRule, "[attack.", "[attack.g0001, attack.s0002, attack.", 1)))
	got := Rule(e.Judge(login(1, "192.0.2.1", "a", "success"))[0].Rule)
	want := alert.Rule{ID: "11111111-1111-4111-8111-111111111111", Name: "Login", Level: alert.High, Techniques: []string{"T1078"}, Tactics: []string{"initial-access"}}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
