package sigma

import (
	"regexp"
	"regexp/syntax"
	"strings"
	"testing"
)

// FuzzDFA holds the automaton against package regexp.
func FuzzDFA(f *testing.F) {
	for _, s := range [][2]string{
		{`^a.c$`, "abc"},
		{`(?m)^b\b`, "a\nb c"},
		{`(?i)k+ſ`, "\u212AKs"},
		{`\Bx\B|[^a-z]{3}`, "axb 12"},
		{`(a|ab)(c|bcd)*$`, "xabcd"},
		{`a{3,5}b?`, "aaaaa"},
		{`é[^é]`, "éé\xff"},
		{`(?s)a.b`, "a\nb"},
		{`\z`, ""},
		{`(?:a?){30}a{30}b`, strings.Repeat("a", 80)},
		{`[01]*1[01]{12}x`, strings.Repeat("0110100", 300)},
		{`$^`, ""},
		{`a$`, "a\n"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, src, text string) {
		re, err := regexp.Compile(src)
		if err != nil {
			return
		}
		tree, _ := syntax.Parse(src, syntax.Perl)
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil || len(prog.Inst) > maxRegexSteps {
			return
		}
		d := newDFA(prog)
		for range 2 {
			got, ok := d.match([]byte(text))
			if want := re.MatchString(text); ok && got != want {
				t.Errorf("%q on %q: %v, want %v", src, text, got, want)
			}
			if len(d.states) > dfaStates {
				t.Errorf("%d states", len(d.states))
			}
		}
	})
}

func TestDFAGivesUp(t *testing.T) {
	tree, _ := syntax.Parse(`[01]*1[01]{16}x`, syntax.Perl)
	prog, _ := syntax.Compile(tree.Simplify())
	var b strings.Builder
	for i, x := 0, uint32(1); i < 50_000; i++ {
		x = x*1664525 + 1013904223
		b.WriteByte('0' + byte(x>>31))
	}
	if _, ok := newDFA(prog).match([]byte(b.String())); ok {
		t.Error("a text that needs thousands of states was matched with few")
	}
	e := compileRules(t, rule("condition: s\ns: {F|re: '[01]*1[01]{16}x'}"))
	if matchBoth(t, e, event(e, "F="+b.String())) || !matchBoth(t, e, event(e, "F="+b.String()+"x")) {
		t.Error("regexp does not take over")
	}
}
