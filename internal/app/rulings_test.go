//go:build unix

package app

import (
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/detect"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
)

const ownRules = `title: Odd user
id: 11111111-1111-4111-8111-111111111111
name: odd
status: test
logsource: {product: lapwing, service: decoy}
detection:
  selection: {user.name|startswith: odd}
  condition: selection
level: high
---
title: Three odd users
id: 22222222-2222-4222-8222-222222222222
status: test
correlation:
  type: value_count
  rules: [odd]
  generate: true
  group-by: [source.ip]
  timespan: 1h
  condition: {field: user.name, gte: 3}
level: critical
`

// court is a judge's rules and engine without journal and casebook.
type court struct {
	t     *testing.T
	rules *rulings
	g     *detect.Engine
	seen  map[string]int64 // alert's rule -> count
}

func newCourt(t *testing.T, c config.Rules) *court {
	t.Helper()
	r, err := newRulings(c, filepath.Join(t.TempDir(), "correlations"))
	if err != nil {
		t.Fatal(err)
	}
	return &court{t, r, detect.New(detect.Config{}), map[string]int64{}}
}

func (c *court) login(n int, user, outcome string) {
	c.t.Helper()
	e := event.Event{
		ID: fmt.Sprintf("01900000-0000-7000-8000-%012d", n), Time: time.Now().Add(-time.Minute).Add(time.Duration(n) * time.Second), User: user, Outcome: outcome,
		Source: netip.MustParseAddrPort("192.0.2.1:1024"), Dataset: "decoy.ssh", Host: "files",
	}
	e.Describe(event.ActionLogin)
	line := e.AppendJSON(nil)
	var batch casebook.Batch
	c.rules.again()
	c.rules.entry(journal.Position{Segment: 1, Offset: int64(n)})
	if err := c.rules.raise(c.t.Context(), c.g, &batch, seen{&e, string(line)}, c.rules.line(line)); err != nil {
		c.t.Fatal(err)
	}
	c.count(&batch)
}

func (c *court) due() {
	c.t.Helper()
	var batch casebook.Batch
	g := &judge{rules: c.rules, engine: c.g, log: slog.New(slog.DiscardHandler)}
	if err := g.due(c.t.Context(), &batch); err != nil {
		c.t.Fatal(err)
	}
	c.count(&batch)
}

func (c *court) count(batch *casebook.Batch) {
	for _, a := range batch.Alerts() {
		c.seen[a.Rule.Name] = a.Count
		if a.Source.String() != "192.0.2.1" || !strings.Contains(a.Title, "192.0.2.1") {
			c.t.Errorf("%s: source %s, title %q", a.Rule.Name, a.Source, a.Title)
		}
	}
}

func ruleDir(t *testing.T) string {
	t.Helper()
	d := t.TempDir()
	if err := os.WriteFile(filepath.Join(d, "own.yml"), []byte(ownRules), 0o600); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestRulings(t *testing.T) {
	c := newCourt(t, config.Rules{Dirs: []string{ruleDir(t)}})
	c.login(1, "odd1", "failure")
	c.login(2, "odd2", "success")
	c.login(2, "odd2", "success") // the same event again, after a batch that was not written: no third user
	c.login(3, "odd2", "failure")
	if c.seen["Odd user"] == 0 || c.seen["Login on a decoy"] == 0 || c.seen["Three odd users"] != 0 {
		t.Errorf("after two users: %v", c.seen)
	}
	c.login(4, "odd3", "failure")
	c.due()
	if c.seen["Three odd users"] != 1 {
		t.Errorf("after three users: %v", c.seen)
	}
	if n := c.seen["Login on a Decoy"]; n != 0 {
		t.Error("the shipped rule of the same id speaks beside the built-in one")
	}
}

func TestRulingsOverARestart(t *testing.T) {
	d := ruleDir(t)
	c := newCourt(t, config.Rules{Dirs: []string{d}})
	c.login(1, "odd1", "failure")
	c.login(2, "odd2", "failure")
	if err := c.rules.save(journal.Position{}, true); err != nil {
		t.Fatal(err)
	}
	again := newCourt(t, config.Rules{Dirs: []string{d}})
	again.rules.file = c.rules.file
	if err := again.rules.load(t.Context(), nil, journal.Position{}, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	again.login(3, "odd3", "failure")
	again.due()
	if again.seen["Three odd users"] != 1 {
		t.Errorf("the count did not survive: %v", again.seen)
	}
	if err := again.rules.forget(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(c.rules.file); !os.IsNotExist(err) {
		t.Errorf("the state is still there: %v", err)
	}
}

func TestSuppressed(t *testing.T) {
	c := newCourt(t, config.Rules{Dirs: []string{ruleDir(t)}, Suppress: []config.Suppress{
		{Rule: "Login on a decoy", Field: "user.name", Value: "odd2", Reason: "our scanner"},
		{Rule: "Odd user", Source: config.Network{Prefix: netip.MustParsePrefix("192.0.2.0/24")}, Reason: "our network"},
	}})
	c.login(1, "odd2", "success")
	if len(c.seen) != 0 {
		t.Errorf("not quiet: %v", c.seen)
	}
	c.login(2, "root", "success")
	if c.seen["Login on a decoy"] != 1 {
		t.Errorf("quiet for another user too: %v", c.seen)
	}
	if _, err := newRulings(config.Rules{Dirs: []string{t.TempDir()}}, ""); err == nil {
		t.Error("a directory without a rule is taken")
	}
}
