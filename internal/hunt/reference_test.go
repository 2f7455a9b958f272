package hunt

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// allRules loads SigmaHQ's rules once for all tests.
var allRules = sync.OnceValues(func() (*ruleset.Loaded, error) {
	dir := os.Getenv("LAPWING_SHARED_RULES")
	var paths []string
	for _, d := range []string{"rules", "rules-emerging-threats", "rules-threat-hunting", "rules-placeholder", "rules-compliance"} {
		paths = append(paths, filepath.Join(dir, d))
	}
	return ruleset.Load(ruleset.Config{Paths: paths}, sigma.NewFields())
})

func sigmaHQ(tb testing.TB) (*ruleset.Loaded, string) {
	tb.Helper()
	dir := filepath.Join(sharedtest.Dir(tb), "sigma")
	tb.Setenv("LAPWING_SHARED_RULES", filepath.Join(dir, "rules"))
	l, err := allRules()
	if err != nil {
		tb.Fatal(err)
	}
	return l, filepath.Join(dir, "data")
}

// collector keeps what a hunt finds.
type collector struct{ matches []Match }

func (c *collector) Match(m *Match) error {
	c.matches = append(c.matches, *m)
	return nil
}

func hunting(tb testing.TB, l *ruleset.Loaded, cfg Config) (*Hunt, []Match) {
	tb.Helper()
	m, err := logsource.Default()
	if err != nil {
		tb.Fatal(err)
	}
	cfg.Rules, cfg.Mapping = l, m
	h, err := New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	c := &collector{}
	if err := h.Run(context.Background(), c); err != nil {
		tb.Fatal(err)
	}
	return h, c.matches
}

func readJSON(tb testing.TB, file string, v any) {
	tb.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(data, v); err != nil {
		tb.Fatal(err)
	}
}

// same holds that both sets are the same.
func same(t *testing.T, want, got map[string]bool) {
	t.Helper()
	missing, extra := 0, 0
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if !got[k] {
			if missing++; missing <= 20 {
				t.Errorf("missing %s", k)
			}
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if !want[k] {
			if extra++; extra <= 20 {
				t.Errorf("extra %s", k)
			}
		}
	}
	t.Logf("%d rows wanted, %d found, %d missing, %d extra", len(want), len(got), missing, extra)
}

func TestReferenceEVTX(t *testing.T) {
	l, data := sigmaHQ(t)
	var rows []struct {
		Rule      string `json:"rule_id"`
		File      string `json:"file"`
		Record    uint64 `json:"record_id"`
		Confirmed bool   `json:"confirmed"`
	}
	readJSON(t, filepath.Join(data, "reference-matches-evtx.json"), &rows)
	want, got := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		if !r.Confirmed {
			t.Logf("unconfirmed: %+v", r)
		}
		want[fmt.Sprintf("%s %s %d", r.Rule, r.File, r.Record)] = true
	}
	_, matches := hunting(t, l, Config{Paths: []string{filepath.Join(data, "evtx-to-mitre")}})
	for _, m := range matches {
		rel, err := filepath.Rel(data, m.File)
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprintf("%s %s %d", m.Rule.ID, rel, m.Record)] = true
	}
	same(t, want, got)
}

func TestReferenceOTRF(t *testing.T) {
	l, data := sigmaHQ(t)
	var rows []struct {
		Rule      string `json:"rule_id"`
		Archive   string `json:"archive"`
		Member    string `json:"member"`
		Line      uint64 `json:"line"`
		Confirmed bool   `json:"confirmed"`
	}
	readJSON(t, filepath.Join(data, "reference-matches-otrf.json"), &rows)
	want, got := map[string]bool{}, map[string]bool{}
	for _, r := range rows {
		if !r.Confirmed {
			t.Logf("unconfirmed: %+v", r)
		}
		want[fmt.Sprintf("%s %s!%s %d", r.Rule, r.Archive, r.Member, r.Line)] = true
	}
	h, matches := hunting(t, l, Config{Paths: []string{filepath.Join(data, "otrf")}})
	for _, m := range matches {
		rel, err := filepath.Rel(data, m.File)
		if err != nil {
			t.Fatal(err)
		}
		got[fmt.Sprintf("%s %s %d", m.Rule.ID, rel, m.Record)] = true
	}
	same(t, want, got)
	t.Logf("%d records, %d of unknown source, %d damaged", h.Stats.Records.Load(), h.Stats.Unknown.Load(), h.Stats.Damaged.Load())
}

// Every regression rule fires on its own recording as often as it should.
func TestRegression(t *testing.T) {
	l, data := sigmaHQ(t)
	var rows []struct {
		Rule  string `json:"rule_id"`
		File  string `json:"data_file"`
		JSON  string `json:"json_file"`
		Count int    `json:"expected_match_count"`
	}
	readJSON(t, filepath.Join(data, "sigmahq-regression.json"), &rows)
	_, matches := hunting(t, l, Config{Paths: []string{filepath.Join(data, "sigmahq-regression")}})
	counts := map[string]int{}
	for _, m := range matches {
		counts[m.Rule.ID+" "+filepath.Base(m.File)]++
	}
	fired, also := 0, 0
	for _, r := range rows {
		if n := counts[r.Rule+" "+filepath.Base(r.File)]; n != r.Count {
			t.Errorf("%s: %d, want %d", r.File, n, r.Count)
		} else {
			fired++
		}
		if counts[r.Rule+" "+filepath.Base(r.JSON)] > 0 {
			also++
		}
	}
	t.Logf("%d of %d rules fire on the event log, %d on its JSON", fired, len(rows), also)
	if also < len(rows)*9/10 {
		t.Errorf("only %d of %d fire on the nested JSON form", also, len(rows))
	}
}

// The findings and their order do not depend on the number of judges.
func TestOrder(t *testing.T) {
	l, data := sigmaHQ(t)
	paths := []string{filepath.Join(data, "evtx-to-mitre"), filepath.Join(data, "crowdsec-hub")}
	list := func(workers int) string {
		_, m := hunting(t, l, Config{Paths: paths, Workers: workers})
		var b strings.Builder
		for _, x := range m {
			fmt.Fprintln(&b, x.Rule.ID, x.File, x.Record)
		}
		return b.String()
	}
	if one, many := list(1), list(runtime.NumCPU()+3); one != many || one == "" {
		t.Error("another order with more judges")
	}
}
