package regex

import "testing"

func TestCompile(t *testing.T) {
	ext, fold := Options{Extended: true}, Options{Extended: true, Fold: true}
	for _, c := range []struct {
		pat  string
		o    Options
		in   string
		want string // the match, "-" for none
	}{
		{"a*b", Options{}, "xaab", "aab"},
		{"*b", Options{}, "a*b", "*b"},
		{`a\+b`, Options{}, "aab", "aab"},
		{"a+b", Options{}, "a+b", "a+b"},
		{`\(a\|b\)c`, Options{}, "bc", "bc"},
		{"(a|ab)(c|bcd)", ext, "abcd", "abcd"},
		{"[]a]", ext, "]", "]"},
		{"[^]a]", ext, "]b", "b"},
		{"[[:digit:]]+", ext, "a12", "12"},
		{`[\n]`, ext, `\`, `\`},
		{"a{2}", ext, "aaa", "aa"},
		{"a{x", ext, "a{x", "a{x"},
		{`\<b`, Options{}, "ab b", "b"},
		{"A", fold, "a", "a"},
		{"a.b", Options{Fixed: true}, "axb", "-"},
		{"b", Options{Word: true}, "ab", "-"},
		{"[[]", ext, "[", "["},
		{"^a$", Options{}, "a", "a"},
		{"a^b$c", Options{}, "a^b$c", "a^b$c"},
	} {
		re, err := Compile(c.pat, c.o)
		if err != nil {
			t.Errorf("%q: %v", c.pat, err)
			continue
		}
		got := "-"
		if re.MatchString(c.in) {
			got = re.FindString(c.in)
		}
		if got != c.want {
			t.Errorf("%q on %q gives %q, want %q", c.pat, c.in, got, c.want)
		}
	}
}

func FuzzCompile(f *testing.F) {
	for _, s := range []string{"a*", `\(a\)`, "[[:alpha:]", "{", `\`, "[", "a{2,1}", "^*"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(_ *testing.T, pat string, ext bool) {
		if re, err := Compile(pat, Options{Extended: ext}); err == nil {
			re.MatchString("some text 123") // no panic
		}
	})
}
