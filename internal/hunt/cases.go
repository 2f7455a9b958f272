package hunt

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Records judges records that are at hand, one a line, correlations included.
// format is json or one of the text formats.
func (h *Hunt) Records(format string, data []byte) ([]Match, error) {
	f := newFacts(h.cfg.Rules.Engine, h.cfg.TempDir)
	defer f.close()
	j := h.newJudge()
	r := j.block(&block{in: &input{name: "-", format: format}, data: data, line: 1})
	if err := f.add(r.points, "-"); err != nil {
		return nil, err
	}
	out := &kept{matches: r.matches}
	err := h.correlate(f, out)
	return out.matches, err
}

type kept struct{ matches []Match }

func (k *kept) Match(m *Match) error {
	k.matches = append(k.matches, *m)
	return nil
}

// caseFile is a file of cases beside a rule file; see package rules.
type caseFile struct {
	Cases []testCase `yaml:"cases"`
}

type testCase struct {
	Name    string   `yaml:"name"`
	Format  string   `yaml:"format"`
	Records []any    `yaml:"records"`
	Match   []string `yaml:"match"`
}

// Outcome is what a test of a rule gave.
type Outcome struct {
	File, Name string
	Line       int
	Fault      string // empty: as expected
}

// RunCases runs the cases of a file: in each, the rules named fire and no other
// of the rule file beside it does. The error is about the file itself.
func (h *Hunt) RunCases(file string, data []byte) ([]Outcome, error) {
	var cf caseFile
	doc, err := yamldoc.Decode(file, data, &cf)
	if err != nil {
		return nil, err
	}
	ext := path.Ext(file)
	beside := strings.TrimSuffix(strings.TrimSuffix(file, ext), ".test") + ext
	rules := map[*sigma.Rule]bool{}
	for _, r := range h.cfg.Rules.Engine.Rules() {
		if path.Clean(filepath.ToSlash(r.File)) == path.Clean(filepath.ToSlash(beside)) {
			rules[r] = true
		}
	}
	if len(rules) == 0 {
		return nil, yamldoc.Faults{{File: file, Text: "no rule of " + beside + " is loaded", Remedy: "give its directory with --rules"}}
	}
	var out []Outcome
	for i, c := range cf.Cases {
		o := Outcome{File: file, Name: c.Name, Line: doc.Line("cases", i)}
		o.Fault, err = h.runCase(c, rules)
		if err != nil {
			return out, err
		}
		out = append(out, o)
	}
	return out, nil
}

func (h *Hunt) runCase(c testCase, rules map[*sigma.Rule]bool) (fault string, err error) {
	format := c.Format
	if format == "" {
		format = formatLines
	}
	if len(c.Records) == 0 {
		return "no records", nil
	}
	var data []byte
	for _, r := range c.Records {
		if text, ok := r.(string); ok {
			data = append(data, text...)
		} else {
			line, err := json.Marshal(r)
			if err != nil {
				return "a record that cannot be written as JSON: " + err.Error(), nil //nolint:nilerr // a fault of the case
			}
			data = append(data, line...)
		}
		data = append(data, '\n')
	}
	damaged := h.Stats.Damaged.Load()
	matches, err := h.Records(format, data)
	if err != nil {
		return "", err
	}
	if h.Stats.Damaged.Load() > damaged {
		return "a record could not be read", nil
	}
	fired := map[string]bool{}
	var faults []string
	for _, m := range matches {
		if !rules[m.Rule] {
			continue
		}
		names := []string{m.Rule.ID, m.Rule.Title, m.Rule.Name}
		expected := false
		for _, n := range names {
			if n != "" && slices.Contains(c.Match, n) {
				fired[n], expected = true, true
			}
		}
		if text := fmt.Sprintf("%s (%s) fired on record %d", m.Rule.Title, m.Rule.ID, m.Record); !expected && !slices.Contains(faults, text) {
			faults = append(faults, text)
		}
	}
	for _, want := range c.Match {
		if !fired[want] {
			faults = append(faults, want+" did not fire")
		}
	}
	return strings.Join(faults, "; "), nil
}

// regression is an info.yml of SigmaHQ's regression_data, as far as it is used.
type regression struct {
	id    string
	tests []regressionTest
}

type regressionTest struct {
	path string
	min  int
}

// RunRegression runs the tests of an info.yml: a recording on which a rule fires
// at least as often as is said. open gives the path of a recording that the
// file names.
func (h *Hunt) RunRegression(ctx context.Context, file string, data []byte, open func(string) string) ([]Outcome, error) {
	docs, err := yamldoc.Documents(file, data)
	if err != nil {
		return nil, err
	}
	var out []Outcome
	for _, d := range docs {
		r := readRegression(d)
		for _, t := range r.tests {
			o := Outcome{File: file, Name: r.id + " " + path.Base(t.path), Line: d.Line}
			n, err := h.fires(ctx, r.id, open(t.path))
			if err != nil {
				return out, err
			}
			if n < t.min {
				o.Fault = fmt.Sprintf("fired %d times, want at least %d", n, t.min)
			}
			out = append(out, o)
		}
	}
	return out, nil
}

func readRegression(d *yamldoc.Node) regression {
	var r regression
	var walk func(key string, n *yamldoc.Node, t *regressionTest)
	walk = func(key string, n *yamldoc.Node, t *regressionTest) {
		switch n.Kind {
		case yamldoc.List:
			for _, x := range n.Content {
				if key == "regression_tests_info" {
					one := regressionTest{min: 1}
					walk("", x, &one)
					if one.path != "" {
						r.tests = append(r.tests, one)
					}
					continue
				}
				walk(key, x, t)
			}
		case yamldoc.Map:
			for i := 0; i+1 < len(n.Content); i += 2 {
				k := n.Content[i].Value
				if key == "rule_metadata" && k == "id" {
					r.id = n.Content[i+1].Value
				}
				walk(k, n.Content[i+1], t)
			}
		default:
			if t == nil {
				return
			}
			if key == "path" {
				t.path = n.Value
			}
			if key == "match_count" {
				fmt.Sscan(n.Value, &t.min) //nolint:errcheck // stays at least 1
			}
		}
	}
	walk("", d, nil)
	return r
}

// fires counts how often a rule fires on a recording.
func (h *Hunt) fires(ctx context.Context, id, file string) (int, error) {
	cfg := h.cfg
	cfg.Paths, cfg.Router, cfg.Events = []string{file}, h.router, false
	sub, err := New(cfg)
	if err != nil {
		return 0, err
	}
	out := &kept{}
	if err := sub.Run(ctx, out); err != nil {
		return 0, err
	}
	n := 0
	for _, m := range out.matches {
		if m.Rule.ID == id {
			n++
		}
	}
	if list, _ := sub.Problems(); n == 0 && len(list) > 0 && list[0].Fatal {
		return 0, list[0]
	}
	return n, nil
}

// Look decodes the inputs and calls fn with each record, routed and ready to be
// judged, until it returns false. fn is called by one goroutine.
func (h *Hunt) Look(ctx context.Context, fn func(rec *sigma.Record, id uint64) bool) error {
	cfg := h.cfg
	cfg.Workers, cfg.Router = 1, h.router
	sub, err := New(cfg)
	if err != nil {
		return err
	}
	ended := false
	sub.look = func(rec *sigma.Record, id uint64) {
		if !ended {
			ended = !fn(rec, id)
		}
	}
	err = sub.Run(ctx, &kept{})
	if list, _ := sub.Problems(); err == nil && len(list) > 0 && list[0].Fatal {
		return list[0]
	}
	return err
}

// LookAt is Look for records that are at hand, one a line.
func (h *Hunt) LookAt(format string, data []byte, fn func(rec *sigma.Record, id uint64)) {
	h.look = fn
	defer func() { h.look = nil }()
	if format == "" {
		format = formatLines
		if !bytes.HasPrefix(bytes.TrimSpace(data), []byte("{")) {
			format = sniff(data, "")
		}
	}
	h.newJudge().block(&block{in: &input{name: "-", format: format}, data: data, line: 1})
}
