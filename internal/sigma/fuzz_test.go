package sigma

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

// FuzzRules: whatever stands in a file, each document is loaded or refused with
// its place, what is loaded compiles, and the index agrees with brute force.
func FuzzRules(f *testing.F) {
	f.Add(rule("condition: s and not 1 of f*\ns: {F|contains|all: [a, 'b*c']}\nf1: {G|re: 'x+'}\nf2: {H: null}"), "F=abxc;G=xx")
	f.Add(rule("condition: s\ns: ['key word', 'x?y']"), "A=the KEY word")
	f.Add(rule("condition: s\ns: {F|windash|base64offset|contains: '-a'}"), "F=LWE")
	f.Add(chained, "EventID=4625;User=a")
	f.Add("action: global\ntitle: x\n---\naction: repeat\n", "")
	f.Fuzz(func(t *testing.T, text, ev string) {
		s := NewSet(Options{Placeholders: map[string][]string{"a": {"b", "c*"}}})
		s.Add("f.yml", []byte(text))
		e := Compile(s, NewFields())
		for _, p := range s.Problems() {
			if p.File != "f.yml" || p.Text == "" || p.Severity == Refused && p.Code == "" {
				t.Errorf("%+v", p)
			}
		}
		rec := event(e, strings.Split(ev, ";")...)
		for _, l := range e.sources {
			rec.Source = &Source{Logsources: []Logsource{l}}
			compareBoth(t, e, rec)
		}
	})
}

// compareBoth holds the index against brute force, which it gives.
func compareBoth(t *testing.T, e *Engine, rec *Record) []string {
	t.Helper()
	want := titles(e.Brute(rec))
	for _, broad := range []int32{0, 1} { // with a plan of the kind's own, and with that of its product
		w := e.NewWorker()
		w.broad = broad
		for range 4 { // the second time the kind has its own plan; then values are remembered, then answers
			compare(t, w, rec, want)
		}
	}
	return want
}

func compare(t *testing.T, w *Worker, rec *Record, want []string) {
	t.Helper()
	w.Match(rec)
	if got := titles(w.hits); !slices.Equal(got, want) {
		t.Errorf("index %q, brute force %q on %q", got, want, pairs(rec))
	}
	w.Points(nil)
}

func titles(rules []*Rule) []string {
	var out []string
	for _, r := range rules {
		out = append(out, fmt.Sprint(r.index, r.Title))
	}
	return out
}

// FuzzPattern holds the matching of wildcards against regular expressions.
func FuzzPattern(f *testing.F) {
	f.Add(`a*b?c`, "aXXbYc")
	f.Add(`*\\*\*?`, `x\y*z`)
	f.Add("*a*ab*b*?", "aabab\xffb\u212A")
	f.Fuzz(func(t *testing.T, p, s string) {
		pat := parsePattern(p).mapLits(lower)
		if got, want := pat.match([]byte(lower(s))), bruteMatch(pat, lower(s)); got != want && validText(p) && validText(s) {
			t.Errorf("%q on %q: %v, want %v", p, s, got, want)
		}
		m := newTextMatcher([]pattern{pat})
		if got, want := m.match([]byte(lower(s))), pat.match([]byte(lower(s))); got != want {
			t.Errorf("%q on %q: matcher %v, pattern %v", p, s, got, want)
		}
		if back := parsePattern(parsePattern(p).String()); back.String() != parsePattern(p).String() {
			t.Errorf("%q is written as %q", p, back)
		}
	})
}

// TestIndexEqualsBrute judges random records made of pieces of random rules.
func TestIndexEqualsBrute(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"cmd", ".exe", `\`, "-e", "K", "\u212A", "ſ", "S", "ä", "Ä", " ", "powershell", "\xff", "x", "*", "?", "İ", "1", "admin"}
	text := func() string {
		var b strings.Builder
		for range 1 + rnd.IntN(5) {
			b.WriteString(pieces[rnd.IntN(len(pieces))])
		}
		return b.String()
	}
	value := func() string {
		s := strings.NewReplacer("'", "''", "\xff", "y").Replace(text())
		return "'" + strings.Repeat("*", rnd.IntN(2)) + s + "'"
	}
	mods := []string{"", "|contains", "|startswith", "|endswith", "|contains|all", "|cased", "|re|i", "|neq", "|windash|contains", "|fieldref", "|contains|cased"}
	for round := range 25 {
		var rules []string
		for range 40 {
			var sel []string
			for k, name := range []string{"a", "b", "c"} {
				var items []string
				for i := range 1 + rnd.IntN(2) {
					m := mods[rnd.IntN(len(mods))]
					vals := value() + ", " + value()
					if strings.Contains(m, "re") {
						vals = "'" + []string{"p.w", "(cmd|admin)x?", "[kK]1?", "ä+", "s.*exe"}[rnd.IntN(5)] + "'"
					}
					items = append(items, fmt.Sprintf("F%d%s: [%s]", (k+i)%3, m, vals))
				}
				if rnd.IntN(6) == 0 {
					items = []string{value(), value()}
					sel = append(sel, name+": ["+strings.Join(items, ", ")+"]")
					continue
				}
				sel = append(sel, name+":\n    - {"+strings.Join(items[:1], ", ")+"}\n    - {"+items[len(items)-1]+"}")
			}
			conds := []string{"a", "a and b", "a or b", "a and not b", "not a", "1 of them", "all of them", "a and (b or not c)"}
			rules = append(rules, rule("condition: "+conds[rnd.IntN(len(conds))]+"\n"+strings.Join(sel, "\n")))
		}
		e := compileRules(t, rules...)
		w := e.NewWorker()
		w.broad = 50
		var pool []string
		for range 15 {
			pool = append(pool, text())
		}
		for range 100 {
			var fields []string
			for i := range 4 {
				for range rnd.IntN(5) / 2 { // none, one or two values
					fields = append(fields, fmt.Sprintf("F%d=%s", i, pool[rnd.IntN(len(pool))]))
				}
			}
			rec := event(e, fields...)
			compare(t, w, rec, compareBoth(t, e, rec)) // w has seen others
		}
		if t.Failed() {
			t.Fatalf("round %d", round)
		}
	}
}

// FuzzIndex judges the records of a log, one a line, with a worker that remembers
// what it saw, and holds each against brute force.
func FuzzIndex(f *testing.F) {
	f.Add(strings.Repeat("F=\\cmd.exe;G=y\n", 8) + "F=\\cmd.exe;G=x\nF=\\cmd.exe;F=b;G=x\nF=\\cmd.exe;F=windows\nG=\\cmd.exe")
	f.Add(strings.Repeat("F=a key word;H=\n", 8) + "G=a key word;F=\u212aey")
	f.Add(strings.Repeat("F=c:\\windows\\cmd.exe;G=1;H=xx\n", 8) + "H=xx\nF=c:\\windows\\cmd.exe;G=1\nF=c:\\windows\\cmd.exe;H=xx")
	f.Add(strings.Repeat("F=q;G=q;H=1\n", 8) + "F=q;G=r;H=1\nF=\u03a9x bcdez\nF=a\u0130b c,K")
	rules := []string{
		rule("condition: s\ns: {F: '\u03c9*bcde*'}"),
		rule("condition: s and not 1 of f*\ns: {F|endswith: ['\\cmd.exe', '.ps1']}\nf1: {G: [y, 'z*']}\nf2: {F|contains: windows}"),
		rule("condition: s or t\ns: {F|contains|all: [a, 'b*c']}\nt: {G|re: 'x+y?'}"),
		rule("condition: s\ns: ['key word', 'cmd.exe']"),
		rule("condition: s\ns: {F|fieldref: G, H|exists: true}"),
		rule("condition: not s\ns: {H: null}"),
		rule("condition: s and t\ns: {F|startswith: 'c:'}\nt: {G|gte: 1, H|contains: [x, key]}"),
	}
	e := compileRules(f, rules...)
	f.Fuzz(func(t *testing.T, log string) {
		w := e.NewWorker()
		w.broad = 3
		for line := range strings.Lines(log) {
			rec := event(e, strings.Split(strings.TrimSuffix(line, "\n"), ";")...)
			compare(t, w, rec, titles(e.Brute(rec)))
		}
	})
}

// TestCorpusBrute holds the index against brute force on real records with all
// rules: a sample of them.
func TestCorpusBrute(t *testing.T) {
	e := Compile(loadCorpus(t, Options{}), NewFields())
	m, rec := loadMapping(t, e.Fields()), NewRecord(e.Fields())
	step := 400
	if testing.Short() {
		step = 4000
	}
	evs, w := otrfEvents(t), e.NewWorker()
	w.broad = 3
	for i := 0; i < len(evs); i += 20 {
		if !fillOTRF(rec, m, evs[i].raw) {
			continue
		}
		if i%step == 0 {
			compare(t, w, rec, compareBoth(t, e, rec))
		} else {
			w.Match(rec) // so that w remembers what a log has
		}
	}
}

// TestBombs: what is made to cost much must cost little.
func TestBombs(t *testing.T) {
	start := cpuTime()
	e := compileRules(t,
		rule("condition: s\ns: {F: '"+strings.Repeat("*a", 2000)+"*b'}"),
		rule("condition: s\ns: {F|re: '"+strings.Repeat("(a?)", 20)+strings.Repeat("a", 10)+"[bc-z]'}"),
		rule("condition: s\ns: ["+strings.Join(names(3000), ", ")+"]"),
		rule("condition: s\ns: {F|contains: ["+strings.Join(names(3000), ", ")+"]}"),
	)
	w := e.NewWorker()
	w.broad = 0
	rec := NewRecord(e.Fields())
	rec.Source = testSource
	rec.SetString("F", String(strings.Repeat("a", 10<<20)))
	if got := w.Match(rec); len(got) != 0 {
		t.Errorf("%d matches", len(got))
	}
	rec.Reset()
	rec.Source = testSource
	for i := range 100_000 {
		rec.Add(fmt.Append(nil, "f", i), String("value"))
	}
	w.Match(rec)
	if rec.Left == 0 {
		t.Error("no value was left out")
	}
	src := make([]Source, 20_000) // invented event ids
	for i := range src {
		src[i] = Source{Logsources: testSource.Logsources, Const: []Const{{"F", fmt.Sprint("id", i)}}}
		rec.Reset()
		rec.Source = &src[i]
		w.Match(rec)
	}
	if n := e.Plans(); n > 3 || len(w.bySrc) > maxSources {
		t.Errorf("%d plans, %d sources", n, len(w.bySrc))
	}
	if d := cpuTime() - start; d > 30*time.Second {
		t.Errorf("it took %v of processor time", d)
	}
}
