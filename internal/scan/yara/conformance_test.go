package yara_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

type suite struct {
	Externals map[string]any `json:"externals"`
	Cases     []suiteCase    `json:"cases"`
}

type suiteCase struct {
	ID, Func, Expect string
	Rule             []byte   `json:"rule_b64"`
	Input            []byte   `json:"input_b64"`
	Capture          []byte   `json:"expect_capture_b64"`
	Count            int      `json:"expect_rule_count"`
	Error            string   `json:"error_name"`
	Modules          []string `json:"modules"`
}

// run tells how the outcome of a case differs from what is expected.
func (c *suiteCase) run(t *testing.T, externals map[string]any) string {
	t.Helper()
	rules, problems := yara.Compile([]yara.Source{{Name: c.ID, Text: c.Rule}}, yara.Options{Externals: externals})
	switch {
	case c.Expect == "compile_error" && !yara.Failed(problems):
		return "compiles"
	case c.Expect == "compile_error":
		for _, p := range problems {
			if !p.Warning && p.Code == c.Error {
				return ""
			}
		}
		return "another error: " + problems[0].Error()
	case yara.Failed(problems):
		return "fails: " + problems[0].Error()
	case c.Expect == "compile_ok_with_warnings" && len(problems) == 0:
		return "no warning"
	case c.Expect == "compile_ok_no_warnings" && len(problems) > 0:
		return "warns: " + problems[0].Error()
	case c.Expect == "compile_ok_with_warnings" || c.Expect == "compile_ok_no_warnings":
		return ""
	}
	got, err := rules.Scan(t.Context(), bytes.NewReader(c.Input), int64(len(c.Input)), yara.ScanOptions{})
	if err != nil {
		return err.Error()
	}
	switch c.Expect {
	case "match":
		if len(got.Matches) == 0 {
			return "no match"
		}
	case "no_match":
		if len(got.Matches) > 0 {
			return "matches"
		}
	case "match_count":
		if len(got.Matches) != c.Count {
			return "another number of matches"
		}
	case "match_with_capture":
		return c.captured(got)
	default:
		t.Fatalf("%s: unknown expectation %q", c.ID, c.Expect)
	}
	return ""
}

func (c *suiteCase) captured(got yara.Result) string {
	if len(got.Matches) == 0 {
		return "no match"
	}
	for _, s := range got.Matches[0].Strings {
		if bytes.Equal(s.Data, c.Capture) {
			return ""
		}
	}
	return "captures " + base64.StdEncoding.EncodeToString(got.Matches[0].Strings[0].Data)
}

// TestConformance runs cases of libyara's own test suite, whose outcomes were
// verified with libyara 4.5.8. LAPWING_YARA_CASES names another file of them.
func TestConformance(t *testing.T) {
	path := os.Getenv("LAPWING_YARA_CASES")
	if path == "" {
		path = filepath.Join(sharedtest.Dir(t), "yara", "conformance.json")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Skip(err)
	}
	var s suite
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	for name, v := range s.Externals {
		if f, ok := v.(float64); ok {
			s.Externals[name] = int64(f)
		}
	}
	core, coreBad, bad := 0, 0, 0
	for i := range s.Cases {
		c := &s.Cases[i]
		diff := c.run(t, s.Externals)
		if len(c.Modules) == 0 {
			core++
		}
		if diff == "" {
			continue
		}
		bad++
		if len(c.Modules) == 0 {
			coreBad++
		}
		t.Logf("%s %s: expected %s %s, but it %s\n%s", c.ID, c.Func, c.Expect, c.Error, diff, c.Rule)
	}
	t.Logf("core %d of %d, all %d of %d", core-coreBad, core, len(s.Cases)-bad, len(s.Cases))
	if coreBad*100 > core {
		t.Errorf("core: %d of %d differ; at least 99 %% must agree", coreBad, core)
	}
	if bad*20 > len(s.Cases) {
		t.Errorf("all: %d of %d differ; at least 95 %% must agree", bad, len(s.Cases))
	}
}
