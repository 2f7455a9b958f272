package yara_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// places scans text with one rule and gives where its strings were found.
func places(tb testing.TB, rule string, text []byte) ([]yara.StringMatch, bool) {
	tb.Helper()
	rules, problems := yara.Compile([]yara.Source{{Name: "rule", Text: []byte(rule)}}, yara.Options{})
	if yara.Failed(problems) {
		return nil, false
	}
	res, err := rules.Scan(tb.Context(), bytes.NewReader(text), int64(len(text)), yara.ScanOptions{Limits: yara.Limits{Report: 1 << 20}})
	if err != nil || len(res.Limits) > 0 {
		tb.Fatalf("%s: %v %v", rule, err, res.Limits)
	}
	if len(res.Matches) == 0 {
		return nil, true
	}
	return res.Matches[0].Strings, true
}

// expression makes a random regular expression that YARA and Go read alike.
func expression(r *rand.Rand, depth int, lazy string) string {
	var b strings.Builder
	for range 1 + r.IntN(4) {
		var atom string
		switch n := r.IntN(10); {
		case n < 4 || depth == 0:
			atom = string("abcAB_"[r.IntN(6)])
		case n < 5:
			atom = "."
		case n < 6:
			atom = []string{"[ab]", "[^a]", "[a-c]", `\w`, `\d`, "[A-B_]"}[r.IntN(6)]
		case n < 8:
			atom = "(" + expression(r, depth-1, lazy) + "|" + expression(r, depth-1, lazy) + ")"
		default:
			atom = "(" + expression(r, depth-1, lazy) + ")"
		}
		if r.IntN(3) == 0 {
			atom += []string{"*", "+", "?", "{2}", "{1,3}", "{0,2}", "{2,}"}[r.IntN(7)] + lazy
		}
		b.WriteString(atom)
	}
	return b.String()
}

func randomText(r *rand.Rand, n int) []byte {
	text := make([]byte, n)
	for i := range text {
		text[i] = "abcAB_ \n1"[r.IntN(9)]
	}
	return text
}

// reference finds with Go's regexp, trying each place.
func reference(re *regexp.Regexp, text []byte) []int64 {
	var out []int64
	for i := range text {
		if loc := re.FindIndex(text[i:]); loc != nil && loc[1] > 0 {
			out = append(out, int64(i))
		}
	}
	return out
}

func checkExpression(t *testing.T, expr, flags string, text []byte) {
	t.Helper()
	goFlags := "(?" + flags + ")"
	if flags == "" {
		goFlags = ""
	}
	if strings.Contains(expr, ".{2,}?") {
		return // a jump: it is cut there, as libyara does, and means another thing
	}
	re, err := regexp.Compile(goFlags + "^(?:" + expr + ")")
	if err != nil {
		t.Skip(err)
	}
	full := regexp.MustCompile(goFlags + "^(?:" + expr + ")$")
	got, ok := places(t, fmt.Sprintf("rule t { strings: $a = /%s/%s condition: $a }", expr, flags), text)
	if !ok {
		t.Skip("does not compile")
	}
	var offsets []int64
	for _, m := range got {
		offsets = append(offsets, m.Offset)
		if s := text[m.Offset : m.Offset+m.Length]; !full.Match(s) {
			t.Errorf("/%s/%s on %q: %q at %d does not match", expr, flags, text, s, m.Offset)
		}
	}
	if d := cmp.Diff(reference(re, text), offsets); d != "" {
		t.Errorf("/%s/%s on %q: %s", expr, flags, text, d)
	}
}

// TestExpressionsAgainstGo holds the matcher against Go's regexp.
func TestExpressionsAgainstGo(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		lazy := []string{"", "?"}[r.IntN(2)]
		flags := []string{"", "i", "s", "is"}[r.IntN(4)]
		checkExpression(t, expression(r, 2, lazy), flags, randomText(r, 1+r.IntN(60)))
		if t.Failed() {
			return
		}
	}
}

// hexString makes a hex string and the regular expression that means the same.
func hexString(r *rand.Rand) (pattern, expr string) {
	letters := "abcAB_"
	one := func() (string, string) {
		c := letters[r.IntN(len(letters))]
		switch r.IntN(6) {
		case 0:
			return "??", "."
		case 1:
			return fmt.Sprintf("~%02X", c), fmt.Sprintf(`[^\x%02x]`, c)
		case 2:
			return fmt.Sprintf("%X?", c>>4), fmt.Sprintf(`[\x%x0-\x%xf]`, c>>4, c>>4)
		}
		return fmt.Sprintf("%02X", c), fmt.Sprintf(`\x%02x`, c)
	}
	var p, e strings.Builder
	n := 2 + r.IntN(4)
	for i := range n {
		a, b := one()
		switch k := r.IntN(8); {
		case k == 0:
			c, d := one()
			a, b = "("+a+" | "+c+" "+c+")", "("+b+"|"+d+d+")"
		case k == 1 && i > 0:
			lo := r.IntN(4)
			hi := lo + 1 + r.IntN(4)
			a, b = fmt.Sprintf("[%d-%d] %s", lo, hi, a), fmt.Sprintf("[\\x00-\\x{10FFFF}]{%d,%d}?%s", lo, hi, b)
		}
		p.WriteString(a + " ")
		e.WriteString(b)
	}
	return p.String(), e.String()
}

// TestHexAgainstGo holds hex strings against regular expressions.
func TestHexAgainstGo(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 600 {
		pattern, expr := hexString(r)
		text := randomText(r, 1+r.IntN(60))
		got, ok := places(t, "rule t { strings: $a = { "+pattern+"} condition: $a }", text)
		if !ok {
			t.Fatalf("{ %s} does not compile", pattern)
		}
		var offsets []int64
		for _, m := range got {
			offsets = append(offsets, m.Offset)
		}
		if d := cmp.Diff(reference(regexp.MustCompile("(?s)^(?:"+expr+")"), text), offsets); d != "" {
			t.Fatalf("{ %s} on %q: %s", pattern, text, d)
		}
	}
}

// textVariant is a modifier and what it looks for.
type textVariant struct {
	words string
	find  func(lit, text []byte, at int) bool
}

func wide(b []byte) []byte {
	var out []byte
	for _, c := range b {
		out = append(out, c, 0)
	}
	return out
}

func textVariants() []textVariant {
	prefix := func(lit, text []byte, at int) bool { return bytes.HasPrefix(text[at:], lit) }
	word := func(c byte) bool { return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' }
	return []textVariant{
		{"", prefix},
		{"nocase", func(l, x []byte, at int) bool { return len(x)-at >= len(l) && bytes.EqualFold(x[at:at+len(l)], l) }},
		{"wide", func(l, x []byte, at int) bool { return prefix(wide(l), x, at) }},
		{"wide ascii", func(l, x []byte, at int) bool { return prefix(l, x, at) || prefix(wide(l), x, at) }},
		{"fullword", func(l, x []byte, at int) bool {
			end := at + len(l)
			return prefix(l, x, at) && (at == 0 || !word(x[at-1])) && (end == len(x) || !word(x[end]))
		}},
		{"xor(1-3)", func(l, x []byte, at int) bool {
			for k := byte(1); k <= 3; k++ {
				y := slices.Clone(l)
				for i := range y {
					y[i] ^= k
				}
				if prefix(y, x, at) {
					return true
				}
			}
			return false
		}},
	}
}

// TestTextsAgainstSearch holds text strings against a plain search.
func TestTextsAgainstSearch(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for _, v := range textVariants() {
		t.Run(v.words, func(t *testing.T) {
			for range 60 {
				lit := make([]byte, 1+r.IntN(6))
				for i := range lit {
					lit[i] = "abAB"[r.IntN(4)]
				}
				text := make([]byte, 1+r.IntN(80))
				for i := range text {
					text[i] = "abAB\x00`c"[r.IntN(7)]
				}
				var want, got []int64
				for i := range text {
					if v.find(lit, text, i) {
						want = append(want, int64(i))
					}
				}
				found, ok := places(t, fmt.Sprintf("rule t { strings: $a = %q %s condition: $a }", lit, v.words), text)
				if !ok {
					t.Fatal("does not compile")
				}
				for _, m := range found {
					got = append(got, m.Offset)
				}
				if d := cmp.Diff(want, got); d != "" {
					t.Fatalf("%q %s in %q: %s", lit, v.words, text, d)
				}
			}
		})
	}
}

// TestWindow scans a file larger than the window: what lies across its edges
// is found once, and long jumps reach over it.
func TestWindow(t *testing.T) {
	const size = 9 << 20
	text := bytes.Repeat([]byte{'.'}, size)
	var want []int64
	for at := int64(1); at < size-64; at += 524287 {
		copy(text[at:], "needle-in-hay")
		want = append(want, at)
	}
	copy(text[size-8:], "last-one")
	rule := `rule t { strings: $a = "needle-in-hay" $b = /ne+dle-[a-z]{2}-hay/ $c = { 6E 65 65 64 [-] 6C 61 73 74 2D 6F 6E 65 } $d = /last-one$/
	condition: #a == 18 and #b == #a and #c == #a and @c[1] == 1 and !c[1] == filesize - 1 and $d at filesize - 8 and uint32be(8000000) == 0x2e2e2e2e }`
	got, ok := places(t, rule, text)
	if !ok {
		t.Fatal("does not compile")
	}
	var offsets []int64
	for _, m := range got {
		if m.Name == "$a" {
			offsets = append(offsets, m.Offset)
		}
	}
	if d := cmp.Diff(want, offsets); d != "" {
		t.Error(d)
	}
}
