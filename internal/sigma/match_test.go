package sigma

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// compileRules compiles rules given as YAML; problems that refuse one fail the
// test.
func compileRules(tb testing.TB, rules ...string) *Engine {
	tb.Helper()
	s := NewSet(Options{Placeholders: map[string][]string{"admins": {"root", "adm_*"}, "one": {"x"}}})
	for i, r := range rules {
		s.Add(fmt.Sprintf("rule%d.yml", i), []byte(r))
	}
	e := Compile(s, NewFields())
	for _, p := range s.Problems() {
		if p.Severity == Refused {
			tb.Fatal(p)
		}
	}
	return e
}

// rule makes a rule of a detection block.
func rule(detection string) string {
	return "title: T\nlogsource: {product: test}\ndetection:\n" + indent(detection)
}

func indent(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ") + "\n"
}

var testSource = &Source{Logsources: []Logsource{{Product: "test"}}}

// event fills a record from "name=value" pairs: 1:n is a number, null: is null.
func event(e *Engine, pairs ...string) *Record {
	rec := NewRecord(e.Fields())
	rec.Source = testSource
	for _, p := range pairs {
		name, value, _ := strings.Cut(p, "=")
		v := String(value)
		if n, ok := strings.CutPrefix(value, "num:"); ok {
			v = Value{[]byte(n), Number}
		} else if value == "null:" {
			v = Value{}
		}
		rec.Add([]byte(name), v)
	}
	return rec
}

// matchBoth tells whether the engine's only rule matches, and fails when brute
// force says otherwise.
func matchBoth(t *testing.T, e *Engine, rec *Record) bool {
	t.Helper()
	got := len(e.NewWorker().Match(rec)) > 0
	if brute := len(e.Brute(rec)) > 0; brute != got {
		t.Errorf("index says %v, brute force %v", got, brute)
	}
	return got
}

func TestMatch(t *testing.T) {
	const sel = "condition: s\n"
	for _, tt := range []struct {
		name, det string
		yes, no   []string // events, fields separated by ;
	}{
		{"plain", sel + "s: {F: Abc}", []string{"F=abc", "F=ABC"}, []string{"F=abcd", "G=abc", "F=null:", ""}},
		{"windash and all", sel + "s: {F|windash|contains|all: [' -a', ' -b']}", []string{"F=x -a /b", "F=x /a -b", "F=x –b -a"}, []string{"F=x -a", "F=x /b", "F=x -a /a"}},
		{"base64offset and all", sel + "s: {F|base64offset|contains|all: [foobar, secret]}", []string{"F=Zm9vYmFy c2VjcmV0"}, []string{"F=Zm9vYmFy", "F=c2VjcmV0"}},
		{"expand and all", sel + "s: {F|expand|contains|all: ['%admins%', 'x']}", []string{"F=rootx", "F=xadm_1"}, []string{"F=root", "F=x"}},
		{"empty", sel + "s: {F: ''}", []string{"F="}, []string{"F=x", "G=", "F=null:"}},
		{"null", sel + "s: {F: null}", []string{"F=null:", "G=1", ""}, []string{"F=", "F=x"}},
		{"star", sel + "s: {F: '*'}", []string{"F=", "F=x", "F=num:1"}, []string{"G=1", "F=null:"}},
		{"wildcards", sel + "s: {F: 'a*b?c'}", []string{"F=axxbyc", "F=abäc"}, []string{"F=abc", "F=abyycx"}},
		{"escapes", sel + `s: {F: 'a\*b\?c\\*'}`, []string{`F=a*b?c\`, `F=a*b?c\dd`}, []string{"F=axb?c", `F=a*b?cd`}},
		{"backslashes", sel + `s: {F: 'C:\Win\x'}`, []string{`F=c:\win\X`}, []string{`F=c:win\x`}},
		{"double backslash", sel + `s: {F: '\\\\srv'}`, []string{`F=\\srv`}, []string{`F=\srv`}},
		{"contains", sel + "s: {F|contains: evil}", []string{"F=evil", "F=an EVIL thing"}, []string{"F=evi l"}},
		{"startswith", sel + "s: {F|startswith: ab}", []string{"F=ABc", "F=ab"}, []string{"F=cab"}},
		{"endswith", sel + `s: {F|endswith: '\cmd.exe'}`, []string{`F=C:\x\CMD.EXE`}, []string{`F=C:\x\xcmd.exe`, "F=cmd.exe"}},
		{"list", sel + "s: {F: [a, b, 3]}", []string{"F=A", "F=b", "F=3", "F=num:3"}, []string{"F=c"}},
		{"all", sel + "s: {F|contains|all: [a, b]}", []string{"F=xbxa"}, []string{"F=a", "F=b"}},
		{"number", sel + "s: {F: 4688}", []string{"F=4688", "F=num:4688", "F=num:4688.0", "F=num:4.688e3"}, []string{"F=46880", "F=num:4688.5"}},
		{"bool", sel + "s: {F: true}", []string{"F=true", "F=True"}, []string{"F=1"}},
		{"several values", sel + "s: {F: a}", []string{"F=b;F=a"}, []string{"F=b;F=c"}},
		{"unicode", sel + "s: {F|contains: ÄRGER}", []string{"F=xärgerx"}, []string{"F=arger"}},
		{"kelvin", sel + "s: {F|contains: kilo}", []string{"F=\u212Ailo"}, []string{"F=ilo"}},
		{"map and", sel + "s: {F: a, G: b}", []string{"F=a;G=b"}, []string{"F=a", "G=b"}},
		{"list of maps", sel + "s: [{F: a}, {G: b}]", []string{"F=a", "G=b"}, []string{"F=b"}},
		{"keywords", sel + "s: [foo bar, 'x*z']", []string{"Q=a FOO BAR b", "Z=--xyyz--"}, []string{"A=foo;B=bar", "Z=zx"}},
		{"keywords all", sel + "s: {'|all': [foo, bar]}", []string{"A=foo;B=bar"}, []string{"A=foo"}},
		{"keyword regex", sel + "s: {'|re': 'fo+bar[0-9]'}", []string{"Q=xfooobar1"}, []string{"Q=fobar"}},
		{"cased", sel + "s: {F|contains|cased: Evil}", []string{"F=an Evil"}, []string{"F=an evil"}},
		{"re", sel + "s: {F|re: '^a.c$'}", []string{"F=abc"}, []string{"F=ABC", "F=abcd"}},
		{"re i", sel + "s: {F|re|i: 'KILLS'}", []string{"F=kills", "F=\u212Aill\u017F"}, []string{"F=kil"}},
		{"re m s", sel + "s: {F|re|m|s: '^b.c$'}", []string{"F=a\nb\nc\nd"}, []string{"F=abc"}},
		{"cidr", sel + "s: {F|cidr: [10.0.0.0/8, 'fe80::/10']}", []string{"F=10.1.2.3", "F=FE80::1", "F=::ffff:10.0.0.1", "F=fe80::1%eth0"}, []string{"F=11.0.0.1", "F=10.0.0", "F=x"}},
		{"exists", sel + "s: {F|exists: true}", []string{"F=", "F=null:"}, []string{"G=1"}},
		{"not exists", sel + "s: {F|exists: false}", []string{"G=1"}, []string{"F="}},
		{"exists in words", sel + "s: {F|exists: yes}", []string{"F="}, []string{"G=1"}},
		{"not exists in words", sel + "s: {F|exists: 'Off'}", []string{"G=1"}, []string{"F="}},
		{"number as written", sel + "s: {F: [1.0, 0x10]}", []string{"F=1.0", "F=num:1.0", "F=1", "F=num:1", "F=0X10", "F=16"}, []string{"F=1.00", "F=1.01", "F=10"}},
		{"number as written within", sel + "s: {F|contains: 2.0}", []string{"F=v2.0.1", "F=12"}, []string{"F=v3.0"}},
		{"gt", sel + "s: {F|gt: 10}", []string{"F=11", "F=10.5", "F=num:1e9"}, []string{"F=10", "F=x", "F=9"}},
		{"lte", sel + "s: {F|lte: -1.5}", []string{"F=-1.5", "F=-2"}, []string{"F=-1", "F="}},
		{"big", sel + "s: {F|gt: 9007199254740992}", []string{"F=9007199254740993"}, []string{"F=9007199254740992"}},
		{"neq", sel + "s: {F|neq: [a, b]}", []string{"F=c", "G=1"}, []string{"F=A"}},
		{"neq contains", sel + "s: {F|contains|neq: x}", []string{"F=c"}, []string{"F=axb"}},
		{"fieldref", sel + "s: {F|fieldref: G}", []string{"F=Aa;G=aA"}, []string{"F=a;G=b", "F=a", "G=a"}},
		{"fieldref endswith", sel + "s: {F|fieldref|endswith: G}", []string{"F=xya;G=YA"}, []string{"F=ya;G=xya"}},
		{"fieldref startswith", sel + "s: {F|fieldref|startswith: G}", []string{"F=yax;G=YA"}, []string{"F=xya;G=ya"}},
		{"fieldref contains cased", sel + "s: {F|fieldref|contains|cased: G}", []string{"F=xyaz;G=ya"}, []string{"F=xYAz;G=ya"}},
		{"fieldref neq", sel + "s: {F|fieldref|neq: G}", []string{"F=a;G=b", "F=a"}, []string{"F=a;G=A"}},
		{"hour", sel + "s: {T|hour|gte: 22}", []string{"T=2026-01-02T22:10:00Z", "T=2026-01-02 23:10:00"}, []string{"T=2026-01-02T21:10:00Z", "T=x"}},
		{"minute", sel + "s: {T|minute: 10}", []string{"T=2026-01-02T22:10:00Z"}, []string{"T=2026-01-02T22:11:00Z"}},
		{"week", sel + "s: {T|week: 1}", []string{"T=2026-01-02"}, []string{"T=2026-01-12"}},
		{"month year day", sel + "s: {T|month: 3, T|year: 2026, T|day|neq: 1}", []string{"T=2026-03-02"}, []string{"T=2026-03-01"}},
		{"base64", sel + "s: {F|base64|contains: foobar}", []string{"F=-e Zm9vYmFy"}, []string{"F=foobar"}},
		{"base64offset", sel + "s: {F|base64offset|contains: foobar}", []string{"F=IGZvb2Jhci", "F=Zm9vYmFy", "F=ICBmb29iYXIg"}, []string{"F=Zm9v"}},
		{"wide base64", sel + "s: {F|wide|base64offset|contains: ab}", []string{"F=YQBiAA", "F=IGEAYgA="}, []string{"F=YWI="}},
		{"utf16", sel + "s: {F|utf16|base64: a}", []string{"F=//5hAA=="}, []string{"F=YQA="}},
		{"utf16be", sel + "s: {F|utf16be|base64: a}", []string{"F=AGE="}, []string{"F=YQA="}},
		{"windash", sel + "s: {F|windash|contains: ' -f '}", []string{"F=x -f y", "F=x /f y", "F=x –f y", "F=x ―F y"}, []string{"F=x f y", "F=x_f_y"}},
		{"windash of many", sel + "s: {F|windash|contains: '-a -b -c -d -e -f -g x-y'}", []string{"F=x -a /b –c —d ―e -f /g x-y", "F=/A /B /C /D /E /F /G X-Y"}, []string{"F=-a -b -c -d -e -f _g x-y", "F=-a -b -c -d -e -f -g x/y"}},
		{"windash of many and cased", sel + "s: {F|windash|cased: '-a -b -c -d -e'}", []string{"F=/a –b —c ―d -e"}, []string{"F=/A -b -c -d -e", "F=-a -b -c -d -e f"}},
		{"windash inner", sel + "s: {F|windash: a-b}", []string{"F=a-b"}, []string{"F=a/b"}},
		{"expand", sel + "s: {F|expand: '%admins%'}", []string{"F=ROOT", "F=adm_x"}, []string{"F=bob", "F=%admins%"}},
		{"expand within", sel + "s: {F|expand|contains: 'a-%one%-\\%c%one%'}", []string{"F=za-x-%cxz"}, []string{"F=a-x-"}},
		{"no expand", sel + "s: {F: '%one%'}", []string{"F=%one%"}, []string{"F=x"}},
		{"precedence", "condition: a or b and not c\na: {F: 1}\nb: {G: 1}\nc: {H: 1}", []string{"F=1;H=1", "G=1"}, []string{"G=1;H=1"}},
		{"brackets", "condition: (a or b) and not c\na: {F: 1}\nb: {G: 1}\nc: {H: 1}", []string{"F=1"}, []string{"F=1;H=1"}},
		{"1 of", "condition: 1 of s*\nsa: {F: 1}\nsb: {G: 1}\nx: {H: 1}", []string{"F=1", "G=1"}, []string{"H=1"}},
		{"all of", "condition: all of s*\nsa: {F: 1}\nsb: {G: 1}", []string{"F=1;G=1"}, []string{"F=1"}},
		{"of them", "condition: 1 of them\nsa: {F: 1}\n_b: {G: 1}", []string{"F=1"}, []string{"G=1"}},
		{"pattern middle", "condition: all of *_x_*\na_x_b: {F: 1}\nxx: {G: 1}", []string{"F=1"}, []string{"G=1"}},
		{"not 1 of", "condition: s and not 1 of f*\ns: {F: 1}\nfa: {G: 1}\nfb: {H: null}", []string{"F=1;H=2"}, []string{"F=1;H=2;G=1", "F=1"}},
		{"conditions", "condition: [a, b]\na: {F: 1}\nb: {G: 1}", []string{"F=1", "G=1"}, []string{"H=1"}},
		{"NOT AND", "condition: a AND NOT b\na: {F: 1}\nb: {G: 1}", []string{"F=1"}, []string{"F=1;G=1"}},
		{"many", sel + "s: {F|contains: [" + strings.Join(names(40), ", ") + "]}", []string{"F=..name39x.."}, []string{"F=name", "F=name40"}},
		{"many ends", sel + "s: {F|endswith: [" + strings.Join(names(40), ", ") + "]}", []string{"F=..name39X"}, []string{"F=name39xx"}},
		{"many starts", sel + "s: {F|startswith: [" + strings.Join(names(40), ", ") + "]}", []string{"F=NAME39xx"}, []string{"F=xname39x"}},
		{"many plain", sel + "s: {F: [" + strings.Join(names(40), ", ") + "]}", []string{"F=NAME39x"}, []string{"F=name39"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := compileRules(t, rule(tt.det))
			for _, ev := range tt.yes {
				if !matchBoth(t, e, event(e, strings.Split(ev, ";")...)) {
					t.Errorf("no match: %q", ev)
				}
			}
			for _, ev := range tt.no {
				if matchBoth(t, e, event(e, strings.Split(ev, ";")...)) {
					t.Errorf("match: %q", ev)
				}
			}
		})
	}
}

func names(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprintf("name%dx", i))
	}
	return out
}

// refusals is what must not load, and what the reason says.
func TestRefused(t *testing.T) {
	deep := strings.Repeat("(", 200) + "s" + strings.Repeat(")", 200)
	for _, tt := range []struct{ name, in, code string }{
		{"yaml", "title: [", "bad-yaml"},
		{"scalar", "hello", "not-a-rule"},
		{"no detection", "title: x\nlogsource: {product: a}", "not-a-rule"},
		{"no logsource", "title: x\ndetection: {s: {a: 1}, condition: s}", "no-logsource"},
		{"no condition", rule("s: {a: 1}"), "no-condition"},
		{"unknown modifier", rule("condition: s\ns: {a|contain: 1}"), "unknown-modifier"},
		{"unknown selection", rule("condition: s and t\ns: {a: 1}"), "bad-condition"},
		{"pattern of nothing", rule("condition: 1 of t*\ns: {a: 1}"), "bad-condition"},
		{"parenthesis", rule("condition: (s\ns: {a: 1}"), "bad-condition"},
		{"trailing", rule("condition: s s\ns: {a: 1}"), "bad-condition"},
		{"aggregation", rule("condition: s | count() > 5\ns: {a: 1}"), "bad-condition"},
		{"two of", rule("condition: 2 of s*\ns: {a: 1}"), "bad-condition"},
		{"deep", rule("condition: " + deep + "\ns: {a: 1}"), "bad-condition"},
		{"deep not", rule("condition: " + strings.Repeat("not ", 200) + "s\ns: {a: 1}"), "bad-condition"},
		{"placeholder", rule("condition: s\ns: {a|expand: '%nope%'}"), "placeholder"},
		{"look-ahead", rule("condition: s\ns: {a|re: 'a(?=b)'}"), "bad-regex"},
		{"back-reference", rule("condition: s\ns: {a|re: '(a)\\1'}"), "bad-regex"},
		{"i without re", rule("condition: s\ns: {a|i: x}"), "bad-combination"},
		{"cidr", rule("condition: s\ns: {a|cidr: 10.0.0.0/33}"), "bad-cidr"},
		{"number", rule("condition: s\ns: {a|gt: x}"), "bad-value"},
		{"exists", rule("condition: s\ns: {a|exists: 3}"), "bad-value"},
		{"base64 wildcard", rule("condition: s\ns: {a|base64: 'x*'}"), "bad-value"},
		{"windash", rule("condition: s\ns: {a|windash|base64: '-a -b -c -d -e -f -g'}"), "bad-value"},
		{"re and cidr", rule("condition: s\ns: {a|re|cidr: x}"), "bad-combination"},
		{"duplicate key", rule("condition: s\ns: {a: 1, a: 2}"), "duplicate-key"},
		{"empty list", rule("condition: s\ns: {a: []}"), "no-values"},
		{"empty selection", rule("condition: s\ns: {}"), "empty-selection"},
		{"map value", rule("condition: s\ns: {a: {b: 1}}"), "bad-value"},
		{"bomb", rule("a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e,*e]\ncondition: a"), "bad-yaml"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := NewSet(Options{})
			s.Add("f.yml", []byte(tt.in))
			ps := s.Problems()
			i := slices.IndexFunc(ps, func(p Problem) bool { return p.Severity == Refused })
			if i < 0 {
				t.Fatalf("loaded: %v", ps)
			}
			if p := ps[i]; p.Code != tt.code || p.File != "f.yml" || p.Line == 0 || p.Text == "" {
				t.Errorf("%+v, want code %s", p, tt.code)
			}
			if len(s.Rules()) != 0 {
				t.Error("a rule was loaded all the same")
			}
		})
	}
}

func TestOthersOfAFileLoad(t *testing.T) {
	s := NewSet(Options{})
	s.Add("f.yml", []byte("title: bad\n---\n"+rule("condition: s\ns: {a: 1}")+"---\nx: ["))
	if len(s.Rules()) != 1 || s.Refused() != 2 {
		t.Errorf("%d rules, %v", len(s.Rules()), s.Problems())
	}
}

func TestActions(t *testing.T) {
	s := NewSet(Options{})
	s.Add("f.yml", []byte("action: global\ntitle: G\nlogsource: {product: p}\ndetection: {condition: s}\n---\n"+
		"logsource: {service: a}\ndetection: {s: {F: 1}}\n---\naction: repeat\nlogsource: {service: b}\n---\naction: reset\n---\n"+
		"title: R\nlogsource: {product: q}\ndetection: {condition: s, s: {F: 2}}\n"))
	var got []string
	for _, r := range s.Rules() {
		got = append(got, r.Title+" "+r.Logsource.Product+"/"+r.Logsource.Service)
	}
	if diff := cmp.Diff([]string{"G p/a", "G p/b", "R q/"}, got); diff != "" {
		t.Error(diff, s.Problems())
	}
}

func TestLint(t *testing.T) {
	s := NewSet(Options{})
	s.Add("f.yml", []byte(`title: T
id: x
status: good
level: hot
date: 2026/01/02
tags: [attack.defense-evasion, attack.stealth, attack.t1059.001, attack.t12, attack.g0001, foo.bar, attack.stealht]
logsource: {product: Test}
levl: low
detection:
  s: {F: 1, F|contains|all: x}
  t: {G: 1}
  never: {A: x, A|re: y}
  u: {H: [a, null]}
  condition: s and u
`))
	s.Add("g.yml", []byte("title: D\nid: x\n"+rule("condition: s\ns: {F: a}")[9:]))
	s.Add("h.yml", []byte("title: N\n"+rule("condition: a and not a\na: {F: a}")[9:]))
	s.Add("i.yml", []byte("title: N\n"+rule("condition: a and b\na: {F: a}\nb: {F: b}")[9:]))
	s.Add("j.yml", []byte("title: T\nlogsource: {}\nfilter: {rules: [zz], s: {F: 1}, condition: s}"))
	Compile(s, NewFields())
	got := map[string]int{}
	for _, p := range s.Problems() {
		got[p.File+" "+p.Code]++
		if p.Severity == Refused {
			t.Error(p)
		}
	}
	want := map[string]int{
		"f.yml bad-id": 1, "f.yml bad-status": 1, "f.yml bad-level": 1, "f.yml bad-date": 1, "f.yml bad-attack-tag": 2,
		"f.yml unknown-namespace": 1, "f.yml bad-logsource": 1, "f.yml unknown-key": 1, "f.yml single-all": 1,
		"f.yml unused-selection": 2, "f.yml null-in-list": 1, "g.yml bad-id": 1, "g.yml duplicate-id": 1,
		"h.yml never-matches": 1, "i.yml never-matches": 1, "j.yml filter-keeps": 1, "j.yml unknown-rule": 1, "j.yml no-logsource": 1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestFilter(t *testing.T) {
	filter := "title: Fi\nlogsource: {product: test}\nfilter:\n  rules: %s\n  s: {U|startswith: adm_}\n  condition: not s\n"
	r := "id: 6f3e2987-db24-4c78-a860-b4f4095a7095\nname: nm\n" + rule("condition: s\ns: {F: 1}")
	for _, refs := range []string{"any", "[6f3e2987-db24-4c78-a860-b4f4095a7095]", "nm", "[]"} {
		e := compileRules(t, fmt.Sprintf(filter, refs), r)
		if !matchBoth(t, e, event(e, "F=1", "U=bob")) || matchBoth(t, e, event(e, "F=1", "U=adm_x")) {
			t.Errorf("rules: %s", refs)
		}
		if diff := cmp.Diff([]string{"Fi"}, e.Rules()[0].Filters); diff != "" {
			t.Error(diff)
		}
	}
	e := compileRules(t, strings.Replace(fmt.Sprintf(filter, "any"), "product: test", "product: other", 1), r)
	if !matchBoth(t, e, event(e, "F=1", "U=adm_x")) {
		t.Error("a filter of another log source was applied")
	}
}

func TestConst(t *testing.T) {
	e := compileRules(t, rule("condition: s and not f\ns: {EventID: [1, 2], F: a}\nf: {P: null}"), rule("condition: s or t\ns: {EventID: 3}\nt: {EventID: 1, P: x}"))
	w := e.NewWorker()
	w.broad = 0
	for _, tt := range []struct {
		id   string
		want int
	}{{"1", 2}, {"2", 1}, {"3", 1}, {"4", 0}, {"99", 0}} {
		rec := event(e, "EventID="+tt.id, "F=a", "P=x")
		rec.Source = &Source{Logsources: testSource.Logsources, Const: []Const{{"EventID", tt.id}}}
		if got := w.Match(rec); len(got) != tt.want || len(e.Brute(rec)) != tt.want {
			t.Errorf("%s: %d", tt.id, len(got))
		}
	}
	if e.Plans() != 4 { // 4 and 99 share one
		t.Errorf("%d plans", e.Plans())
	}
}

func TestHiddenFields(t *testing.T) {
	e := compileRules(t, rule("condition: s\ns: [secret]"))
	rec := event(e, "A=x")
	id := e.Fields().Add("File")[0]
	rec.Hide(id, String("the secret file"))
	if matchBoth(t, e, rec) {
		t.Error("keyword found in a hidden field")
	}
}
