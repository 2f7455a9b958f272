package sigma

import (
	"errors"
	"hash/maphash"
	"sort"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// MaxRules is the number of rules in a Set.
const MaxRules = 200_000

// Options is what reading rules depends on.
type Options struct {
	// Placeholders are the tables behind %name% in values with |expand. Values
	// may hold wildcards. A rule whose table is missing is refused.
	Placeholders map[string][]string
}

// Set collects rules from files before they are compiled.
type Set struct {
	opts     Options
	rules    []*Rule
	filters  []*filter
	problems []Problem
	byID     map[string]*Rule
	seed     maphash.Seed
	files    int
	refused  int
}

// NewSet makes an empty set.
func NewSet(opts Options) *Set {
	return &Set{opts: opts, byID: map[string]*Rule{}, seed: maphash.MakeSeed()}
}

// Rules are the rules loaded so far: also correlations, not filters.
func (s *Set) Rules() []*Rule { return s.rules }

// Filters is the number of filters loaded so far.
func (s *Set) Filters() int { return len(s.filters) }

// Refused is the number of rules and files that were refused so far.
func (s *Set) Refused() int { return s.refused }

// Problems is everything that was found wrong so far, by file and line.
// Compile adds what only shows when all rules are known.
func (s *Set) Problems() []Problem {
	sort.SliceStable(s.problems, func(i, j int) bool {
		a, b := &s.problems[i], &s.problems[j]
		if a.File != b.File {
			return a.File < b.File
		}
		return a.Line < b.Line
	})
	return s.problems
}

func (s *Set) problem(p Problem) {
	if p.Severity == Refused {
		s.refused++
	}
	s.problems = append(s.problems, p)
}

// Add reads a file of one or more rules. file is its name in problems. A rule
// that cannot be loaded is among the problems, and the others of the file are
// loaded all the same.
func (s *Set) Add(file string, data []byte) {
	s.files++
	docs, err := yamldoc.Documents(file, data)
	if faults, ok := errors.AsType[yamldoc.Faults](err); ok {
		for _, f := range faults {
			s.problem(Problem{File: file, Line: f.Line, Severity: Refused, Code: "bad-yaml", Text: f.Text, Remedy: f.Remedy})
		}
	}
	if err == nil && len(docs) == 0 {
		s.problem(Problem{File: file, Severity: Warning, Code: "empty-file", Text: "no rule in the file"})
	}
	for _, doc := range s.actions(file, docs) {
		s.addDocument(file, doc)
	}
}

// Unreadable notes a file of rules that could not be read: nothing of it is
// loaded, and it counts as refused.
func (s *Set) Unreadable(file, why, remedy string) {
	s.files++
	s.problem(Problem{File: file, Severity: Refused, Code: "unreadable", Text: why, Remedy: remedy})
}

// actions carries out the old "action: global, reset, repeat" of files with
// several documents.
func (s *Set) actions(file string, docs []*yamldoc.Node) []*yamldoc.Node {
	var out []*yamldoc.Node
	var global, last *yamldoc.Node
	for _, d := range docs {
		switch action := scalarOf(d, "action"); action {
		case "":
		case "global":
			global = merge(global, d, 0)
			continue
		case "reset":
			global = nil
			continue
		case "repeat":
			if last == nil {
				s.problem(Problem{File: file, Line: d.Line, Severity: Refused, Code: "bad-action", Text: "action repeat without a rule before it"})
				continue
			}
			d = merge(last, d, 0)
			last = d
			out = append(out, d)
			continue
		default:
			s.problem(Problem{File: file, Line: d.Line, Severity: Refused, Code: "bad-action", Text: "unknown action " + action, Remedy: "use global, reset or repeat"})
			continue
		}
		d = merge(global, d, 0)
		last = d
		out = append(out, d)
	}
	return out
}

// merge lays b over a: blocks key by key, everything else whole.
func merge(a, b *yamldoc.Node, depth int) *yamldoc.Node {
	if a == nil || a.Kind != yamldoc.Map || b.Kind != yamldoc.Map || depth > yamldoc.MaxDepth {
		return b
	}
	out := *a
	out.Line = b.Line
	out.Content = append([]*yamldoc.Node(nil), a.Content...)
	for i := 0; i+1 < len(b.Content); i += 2 {
		at := -1
		for j := 0; j+1 < len(out.Content); j += 2 {
			if out.Content[j].Value == b.Content[i].Value {
				at = j
				break
			}
		}
		if at < 0 {
			out.Content = append(out.Content, b.Content[i], b.Content[i+1])
			continue
		}
		out.Content[at+1] = merge(out.Content[at+1], b.Content[i+1], depth+1)
	}
	return &out
}

func (s *Set) addDocument(file string, doc *yamldoc.Node) {
	r := &Rule{File: file, Line: doc.Line}
	if f := s.parseDocument(r, doc); f != nil {
		s.refuse(r, f)
		return
	}
	for _, n := range r.notes {
		s.note(r, n)
	}
	r.notes = nil
}

func (s *Set) refuse(r *Rule, f *fault) {
	s.problem(Problem{File: r.File, Line: f.line, Rule: r.Key(), Severity: Refused, Code: f.code, Text: f.text, Remedy: f.remedy})
}

func (s *Set) note(r *Rule, f *fault) {
	s.problem(Problem{File: r.File, Line: f.line, Rule: r.Key(), Severity: Warning, Code: f.code, Text: f.text, Remedy: f.remedy})
}

// parseDocument reads one rule, correlation or filter and adds it.
func (s *Set) parseDocument(r *Rule, doc *yamldoc.Node) *fault {
	if doc.Kind != yamldoc.Map {
		return faultf(doc.Line, "not-a-rule", "", "a rule must be a block of keys")
	}
	if f := checkKeys(doc); f != nil {
		return f
	}
	m := metaParser{r}
	m.parse(doc)
	kinds := 0
	for _, k := range []string{"detection", "correlation", "filter"} {
		if lookup(doc, k) != nil {
			kinds++
		}
	}
	if kinds != 1 {
		return faultf(doc.Line, "not-a-rule", "a rule has one of detection, correlation and filter", "%d of detection, correlation and filter", kinds)
	}
	if lookup(doc, "correlation") != nil {
		return s.addCorrelation(r, doc)
	}
	l := lookup(doc, "logsource")
	if l == nil || l.Kind != yamldoc.Map {
		return faultf(doc.Line, "no-logsource", "add logsource: with category, product or service", "no log source")
	}
	if r.Logsource == (Logsource{}) && r.Definition == "" { // a definition says which records are meant
		r.notes = append(r.notes, faultf(l.Line, "no-logsource", "name a category, product or service, or say in definition: which records are meant", "the log source names nothing: the rule looks at every record"))
	}
	if lookup(doc, "filter") != nil {
		return s.addFilter(r, doc)
	}
	d, e, f := parseDetection(lookup(doc, "detection"), s.opts.Placeholders)
	r.notes = append(r.notes, d.notes...)
	if f != nil {
		return f
	}
	r.cond = e
	return s.addRule(r, doc)
}

// addRule adds a rule, unless the very same is there already.
func (s *Set) addRule(r *Rule, doc *yamldoc.Node) *fault {
	if len(s.rules) >= MaxRules {
		return faultf(doc.Line, "too-many", "", "more than %d rules", MaxRules)
	}
	r.hash = s.hashNode(doc)
	r.print = s.fingerprint(doc)
	if first := s.byID[r.ID]; first != nil && r.ID != "" {
		if first.hash == r.hash {
			r.notes = append(r.notes, faultf(doc.Line, "same-rule", "remove one", "the same rule as %s:%d: loaded once", first.File, first.Line))
			return nil
		}
		r.notes = append(r.notes, faultf(doc.Line, "duplicate-id", "give it a new id", "id %s is also that of %s:%d", r.ID, first.File, first.Line))
	} else if r.ID != "" {
		s.byID[r.ID] = r
	}
	s.rules = append(s.rules, r)
	return nil
}

func (s *Set) hashNode(n *yamldoc.Node) uint64 {
	var h maphash.Hash
	h.SetSeed(s.seed)
	writeNode(&h, n)
	return h.Sum64()
}

func writeNode(h *maphash.Hash, n *yamldoc.Node) {
	h.WriteByte(byte(n.Kind))
	h.WriteString(n.Value)
	for _, c := range n.Content {
		writeNode(h, c)
	}
	h.WriteByte(0xff)
}
