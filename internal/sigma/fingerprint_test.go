package sigma

import (
	"strings"
	"testing"
)

const printed = `title: A
id: 11111111-1111-4111-8111-111111111111
name: a
logsource: {category: test}
detection:
  s: {f|expand: '%who%'}
  condition: s
level: low
---
title: C
id: 22222222-2222-4222-8222-222222222222
correlation: {type: event_count, rules: [a], group-by: [g], timespan: 1m, condition: {gte: 2}}
---
title: Other
logsource: {category: test}
detection: {s: {f: x}, condition: s}
`

// prints are the fingerprints by title.
func prints(t *testing.T, text string, who ...string) map[string][16]byte {
	t.Helper()
	set := NewSet(Options{Placeholders: map[string][]string{"who": who}})
	set.Add("x.yml", []byte(text))
	e := Compile(set, NewFields())
	if set.Refused() > 0 {
		t.Fatal(set.Problems())
	}
	out := map[string][16]byte{}
	for _, r := range e.Rules() {
		out[r.Title] = r.Fingerprint()
	}
	return out
}

// TestFingerprint: what a rule looks for changes it, what is said of it does not.
func TestFingerprint(t *testing.T) {
	base := prints(t, printed, "x")
	for name, c := range map[string]struct {
		text    string
		who     []string
		changed string
	}{
		"the same":        {printed, []string{"x"}, ""},
		"words about it":  {strings.Replace(printed, "level: low", "level: high\ndescription: more\ntags: [attack.t1059]", 1), []string{"x"}, ""},
		"a value":         {strings.Replace(printed, "{f: x}", "{f: y}", 1), []string{"x"}, "Other"},
		"the log source":  {strings.Replace(printed, "logsource: {category: test}\ndetection: {", "logsource: {category: more}\ndetection: {", 1), []string{"x"}, "Other"},
		"a referred rule": {strings.Replace(printed, "f|expand", "h|expand", 1), []string{"x"}, "A C"},
		"a placeholder":   {printed, []string{"x", "y"}, "A C"},
		"a count":         {strings.Replace(printed, "gte: 2", "gte: 3", 1), []string{"x"}, "C"},
		"a filter":        {printed + "---\ntitle: F\nlogsource: {category: test}\nfilter: {rules: [a], s: {f: z}, condition: not s}\n", []string{"x"}, "A C"},
	} {
		t.Run(name, func(t *testing.T) {
			got := prints(t, c.text, c.who...)
			for _, title := range []string{"A", "C", "Other"} {
				if changed := got[title] != base[title]; changed != strings.Contains(" "+c.changed+" ", " "+title+" ") {
					t.Errorf("%s changed: %v", title, changed)
				}
			}
		})
	}
}

// TestOnly: a part of a set has what its correlations refer to, and no more.
func TestOnly(t *testing.T) {
	set := NewSet(Options{Placeholders: map[string][]string{"who": {"x"}}})
	set.Add("x.yml", []byte(printed))
	part := set.Only(func(r *Rule) bool { return r.Title == "C" })
	e := Compile(part, NewFields())
	var titles []string
	for _, r := range e.Rules() {
		titles = append(titles, r.Title)
	}
	if got := strings.Join(titles, " "); got != "A C" || e.Correlations() != 1 {
		t.Errorf("%s, %d correlations", got, e.Correlations())
	}
}
