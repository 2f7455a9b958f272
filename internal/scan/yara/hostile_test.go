package yara_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

func rows(n int, f func(i int) string, sep string) string {
	out := make([]string, n)
	for i := range out {
		out[i] = f(i)
	}
	return strings.Join(out, sep)
}

// TestHostileRules compiles rules made to exhaust a compiler. Each ends, with
// rules or with a problem that has a place.
func TestHostileRules(t *testing.T) {
	deep := func(open, inner, shut string) string {
		return strings.Repeat(open, 100_000) + inner + strings.Repeat(shut, 100_000)
	}
	for name, rule := range map[string]string{
		"jump of 2^30":          "rule t { strings: $a = { 61 [1073741824-1073741825] 62 } condition: $a }",
		"many jumps":            "rule t { strings: $a = { 61 " + strings.Repeat("[1-200] 62 ", 2000) + "} condition: $a }",
		"10,000 alternatives":   "rule t { strings: $a = /x(" + rows(10_000, func(i int) string { return fmt.Sprintf("alt%05d", i) }, "|") + ")y/ condition: $a }",
		"10,000 hex options":    "rule t { strings: $a = { 00 (" + rows(10_000, func(i int) string { return fmt.Sprintf("%02X%02X ??", i>>8, i&255) }, "|") + ") 01 } condition: $a }",
		"nested repeats":        "rule t { strings: $a = /((((a{1,1000}){1,1000}){1,1000}){1,1000}){1,1000}/ condition: $a }",
		"nested empty repeats":  "rule t { strings: $a = /((((x{0}){1,1000}){1,1000}){1,1000}){1,1000}b/ condition: $a }",
		"deep parentheses":      "rule t { condition: " + deep("(", "true", ")") + " }",
		"deep not":              "rule t { condition: " + deep("not ", "true", "") + " }",
		"deep minus":            "rule t { condition: " + deep("-", "1", "") + " == 1 }",
		"deep groups":           "rule t { strings: $a = /" + deep("(", "a", ")") + "/ condition: $a }",
		"deep hex":              "rule t { strings: $a = { 00 " + deep("(", "01", ")") + " 02 } condition: $a }",
		"long or":               "rule t { condition: " + strings.Repeat("false or ", 100_000) + "true }",
		"long sum":              "rule t { condition: " + strings.Repeat("1 + ", 100_000) + "1 > 0 }",
		"many strings":          "rule t { strings: " + rows(20_000, func(i int) string { return fmt.Sprintf("$a%d = \"text%d\"", i, i) }, " ") + " condition: any of them }",
		"long string":           "rule t { strings: $a = \"" + strings.Repeat("a", 2<<20) + "\" condition: $a }",
		"unterminated":          "rule t { strings: $a = \"abc",
		"unterminated comment":  "rule t { /* ",
		"zero bytes":            "rule t\x00 { condition: true }",
		"xor of a long text":    "rule t { strings: $a = \"" + strings.Repeat("abcd", 10_000) + "\" xor wide ascii condition: $a }",
		"all bytes in a class":  "rule t { strings: $a = /[\\x00-\\xff]{4000}[^a]{1,4000}/ condition: $a }",
		"many wild nibbles":     "rule t { strings: $a = { ?1 2? ?3 4? ?5 6? } condition: $a }",
		"quantifier of nothing": "rule t { strings: $a = /(a|b|)*{2}/ condition: $a }",
	} {
		t.Run(name, func(t *testing.T) {
			rules, problems := yara.Compile([]yara.Source{{Name: "hostile.yar", Text: []byte(rule)}}, yara.Options{})
			for _, p := range problems {
				if p.File != "hostile.yar" || p.Line < 1 {
					t.Errorf("problem without a place: %v", p)
				}
			}
			if yara.Failed(problems) {
				return
			}
			text := bytes.Repeat([]byte("ab\x00\x01xalt00001y"), 500)
			if _, err := rules.Scan(t.Context(), bytes.NewReader(text), int64(len(text)), yara.ScanOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestSlowRuleIsNamed gives a rule that would take for ever beside one that
// matches: the one is named, the other found.
func TestSlowRuleIsNamed(t *testing.T) {
	for name, slow := range map[string]string{
		"expression": `rule slow { strings: $a = /(a|b).{0,1000}[0-9]/s condition: $a }`,
		"condition":  `rule slow { condition: for all i in (0..0x7fffffffffffffff) : (for all j in (0..0x7fffffffffffffff) : (i + j >= 0)) }`,
		"matches":    `rule slow { strings: $a = "a" condition: #a > 5 }`,
	} {
		t.Run(name, func(t *testing.T) {
			rules, problems := yara.Compile([]yara.Source{{Name: "slow.yar", Text: []byte(slow + "\nrule quick { strings: $q = \"quick\" condition: $q }")}}, yara.Options{})
			if yara.Failed(problems) {
				t.Fatal(problems)
			}
			text := append(bytes.Repeat([]byte("a"), 20_000), "quick"...)
			res, err := rules.Scan(t.Context(), bytes.NewReader(text), int64(len(text)), yara.ScanOptions{Limits: yara.Limits{Steps: 1_000_000, Matches: 1000}})
			if err != nil {
				t.Fatal(err)
			}
			found := map[string]bool{}
			for _, m := range res.Matches {
				found[m.Name] = true
			}
			if !found["quick"] {
				t.Error("the other rule is not found")
			}
			if len(res.Limits) == 0 || res.Limits[0].Rule != "slow" || res.Limits[0].Reason == "" {
				t.Errorf("the slow rule is not named: %v", res.Limits)
			}
		})
	}
}

type failing struct{ after int64 }

var errDisk = errors.New("disk")

func (f failing) ReadAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > f.after {
		return 0, errDisk
	}
	return len(b), nil
}

func TestScanErrors(t *testing.T) {
	rules, problems := yara.Compile([]yara.Source{{Name: "r", Text: []byte(`rule t { strings: $a = "abc" condition: $a or uint8(5000000) == 1 }`)}}, yara.Options{})
	if yara.Failed(problems) {
		t.Fatal(problems)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx  context.Context //nolint:containedctx // a row of a table
		in   io.ReaderAt
		size int64
		o    yara.ScanOptions
		want error
	}{
		"unreadable":      {t.Context(), failing{1 << 20}, 9 << 20, yara.ScanOptions{}, errDisk},
		"stopped":         {stopped, bytes.NewReader(nil), 0, yara.ScanOptions{}, context.Canceled},
		"out of time":     {t.Context(), bytes.NewReader(make([]byte, 4<<20)), 4 << 20, yara.ScanOptions{Limits: yara.Limits{Time: time.Nanosecond}}, yara.ErrTime},
		"shorter than it": {t.Context(), bytes.NewReader([]byte("abc")), 9 << 20, yara.ScanOptions{}, nil},
		"empty":           {t.Context(), bytes.NewReader(nil), 0, yara.ScanOptions{}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := rules.Scan(c.ctx, c.in, c.size, c.o); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
}

func TestExternalsPerScan(t *testing.T) {
	src := `rule t { condition: name matches /\.exe$/i and n > 2 and f > 1.5 and yes }`
	vars := map[string]any{"name": "", "n": 0, "f": 0.0, "yes": false}
	rules, problems := yara.Compile([]yara.Source{{Name: "r", Text: []byte(src)}}, yara.Options{Externals: vars})
	if yara.Failed(problems) {
		t.Fatal(problems)
	}
	s := rules.NewScanner()
	var got []int
	for _, v := range []map[string]any{nil, {"name": "a.EXE", "n": 3, "f": 1.6, "yes": true, "other": 1}, nil} {
		res, err := s.Scan(t.Context(), bytes.NewReader(nil), 0, yara.ScanOptions{Externals: v})
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, len(res.Matches))
	}
	if d := cmp.Diff([]int{0, 1, 0}, got); d != "" {
		t.Error(d)
	}
}

// TestProblems holds the places and names of faults.
func TestProblems(t *testing.T) {
	type fault struct {
		Line int
		Code string
	}
	for name, c := range map[string]struct {
		src  string
		want []fault
	}{
		"each rule on its own": {"rule a { condition: b }\nrule c {\n strings:\n $x = \"x\"\n condition: true }\nrule d { condition: true }", []fault{{1, "ERROR_UNDEFINED_IDENTIFIER"}, {4, "ERROR_UNREFERENCED_STRING"}}},
		"duplicate rule":       {"rule a { condition: true }\nrule a { condition: true }", []fault{{2, "ERROR_DUPLICATED_IDENTIFIER"}}},
		"duplicate string":     {"rule a { strings: $x = \"a\"\n$x = \"b\" condition: $x }", []fault{{2, "ERROR_DUPLICATED_STRING_IDENTIFIER"}}},
		"duplicate modifier":   {"rule a { strings: $x = \"a\" wide wide condition: $x }", []fault{{1, "ERROR_DUPLICATED_MODIFIER"}}},
		"include forbidden":    {"include \"x.yar\"\nrule a { condition: true }", []fault{{1, "ERROR_COULD_NOT_OPEN_FILE"}}},
		"field":                {"import \"pe\"\nrule a { condition: pe.nothing == 1 }", []fault{{2, "ERROR_INVALID_FIELD_NAME"}}},
		"arguments":            {"import \"hash\"\nrule a { condition: hash.md5(1) == \"\" }", []fault{{2, "ERROR_WRONG_ARGUMENTS"}}},
		"wildcard":             {"rule a1 { condition: true }\nrule b { condition: any of (a*) }\nrule a2 { condition: true }", []fault{{3, "ERROR_IDENTIFIER_MATCHES_WILDCARD"}}},
		"loops":                {"rule a { condition: for any i in (1,2) : (for any i in (1,2) : (true)) }", []fault{{1, "ERROR_DUPLICATED_LOOP_IDENTIFIER"}}},
		"division":             {"rule a { condition: 1 \\ 0 == 1 }", []fault{{1, "ERROR_DIVISION_BY_ZERO"}}},
	} {
		t.Run(name, func(t *testing.T) {
			_, problems := yara.Compile([]yara.Source{{Name: "r.yar", Text: []byte(c.src)}}, yara.Options{})
			var got []fault
			for _, p := range problems {
				if !p.Warning {
					got = append(got, fault{p.Line, p.Code})
				}
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("%s\n%v", d, problems)
			}
		})
	}
}
