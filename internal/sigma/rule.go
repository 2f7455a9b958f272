package sigma

import (
	"strings"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Level is the severity that a rule claims.
type Level uint8

// The levels, in rising order. NoLevel is a rule that states none.
const (
	NoLevel Level = iota
	Informational
	Low
	Medium
	High
	Critical
)

var levelNames = []string{"", "informational", "low", "medium", "high", "critical"}

// String is the word that rules use, "" for NoLevel.
func (l Level) String() string { return levelNames[l] }

// ParseLevel reads the word that rules use.
func ParseLevel(s string) (Level, bool) {
	for i, n := range levelNames {
		if n == s && s != "" {
			return Level(i), true
		}
	}
	return NoLevel, false
}

// Related is a reference to another rule; Type is derived, obsolete, merged,
// renamed or similar.
type Related struct{ ID, Type string }

// Rule is a loaded rule: what its author says about it and, inside, its
// condition. It is immutable once Compile has seen it. The Detection Rule
// License asks that Author be shown wherever a match names the rule.
type Rule struct {
	ID, Name, Title        string
	Description, Status    string
	Author, License        string
	Date, Modified         string // YYYY-MM-DD
	Taxonomy               string
	Level                  Level
	Tags, References       []string
	FalsePositives, Fields []string
	Scope                  []string
	Related                []Related
	Logsource              Logsource // empty for a correlation
	Definition             string    // of the log source, for people
	File                   string
	Line                   int
	Correlation            *Correlation // nil for a rule about single records
	Filters                []string     // titles of the filters applied to it
	cond                   *expr
	fast                   *expr  // cond with what is quick to answer first
	reads                  uint64 // fields of cond, a bit for each id modulo 64
	index                  int    // among an engine's rules
	quiet                  bool   // only feeds correlations
	hash                   uint64
	print                  [16]byte // of what it looks for
	notes                  []*fault
}

// Key is what people call the rule: its id, or its title where it has none.
func (r *Rule) Key() string {
	if r.ID != "" {
		return r.ID
	}
	return r.Title
}

// Fingerprint stands for what the rule looks for: its log source, detection or
// correlation, with the filters on it, the tables behind its placeholders and
// the rules that it refers to. What is said about the rule (title, level, tags)
// does not change it. It is the same in every process. Of a rule that Compile
// has not seen, filters and references are missing.
func (r *Rule) Fingerprint() [16]byte { return r.print }

// ruleKeys is what a rule, correlation or filter may have at its top.
var ruleKeys = []string{
	"title", "id", "name", "related", "taxonomy", "status", "description", "license", "references", "author",
	"date", "modified", "logsource", "detection", "fields", "falsepositives", "level", "tags", "scope",
	"correlation", "generate", "filter", "action", "sigma-version",
}

// metaParser reads what all kinds of rules have in common.
type metaParser struct {
	r *Rule
}

func (m *metaParser) note(n *yamldoc.Node, code, remedy, format string, args ...any) {
	m.r.notes = append(m.r.notes, faultf(n.Line, code, remedy, format, args...))
}

// parse reads every key at the top but detection, correlation and filter.
func (m *metaParser) parse(doc *yamldoc.Node) {
	for i := 0; i+1 < len(doc.Content); i += 2 {
		k, v := doc.Content[i], doc.Content[i+1]
		if text := m.textOf(k.Value); text != nil {
			if v.Kind != yamldoc.Scalar {
				m.note(v, "bad-"+k.Value, "write a text", "%s must be a text", k.Value)
				continue
			}
			*text = v.Value
			continue
		}
		if list := m.listOf(k.Value); list != nil {
			*list = m.list(k.Value, v)
			continue
		}
		m.other(k, v)
	}
	m.check(doc)
}

func (m *metaParser) textOf(key string) *string {
	r := m.r
	switch key {
	case "title":
		return &r.Title
	case "id":
		return &r.ID
	case "name":
		return &r.Name
	case "taxonomy":
		return &r.Taxonomy
	case "status":
		return &r.Status
	case "description":
		return &r.Description
	case "license":
		return &r.License
	case "author":
		return &r.Author
	case "date":
		return &r.Date
	case "modified":
		return &r.Modified
	}
	return nil
}

func (m *metaParser) listOf(key string) *[]string {
	r := m.r
	switch key {
	case "tags":
		return &r.Tags
	case "references":
		return &r.References
	case "falsepositives":
		return &r.FalsePositives
	case "fields":
		return &r.Fields
	case "scope":
		return &r.Scope
	}
	return nil
}

func (m *metaParser) list(key string, v *yamldoc.Node) []string {
	if v.Kind == yamldoc.Scalar {
		if v.Value == "" || v.ShortTag() == "!!null" {
			return nil
		}
		if key != "falsepositives" {
			m.note(v, "bad-"+key, "write a list", "%s must be a list", key)
		}
		return []string{v.Value}
	}
	if v.Kind != yamldoc.List {
		m.note(v, "bad-"+key, "write a list", "%s must be a list", key)
		return nil
	}
	out := make([]string, 0, len(v.Content))
	for _, c := range v.Content {
		if c.Kind != yamldoc.Scalar {
			m.note(c, "bad-"+key, "write texts", "%s must be a list of texts", key)
			continue
		}
		if contains(out, c.Value) {
			m.note(c, "repeated-value", "remove one", "%q stands twice in %s", c.Value, key)
			continue
		}
		out = append(out, c.Value)
	}
	return out
}

func (m *metaParser) other(k, v *yamldoc.Node) {
	switch k.Value {
	case "level":
		level, ok := ParseLevel(v.Value)
		if !ok {
			m.note(v, "bad-level", "use informational, low, medium, high or critical", "level %q", v.Value)
		}
		m.r.Level = level
	case "related":
		m.related(v)
	case "logsource":
		m.logsource(v)
	case "detection", "correlation", "filter", "action", "sigma-version":
	default:
		if near := nearest(k.Value, ruleKeys); strings.HasPrefix(near, "did") {
			m.note(k, "unknown-key", near, "unknown key %q", k.Value)
		}
	}
}

func (m *metaParser) related(v *yamldoc.Node) {
	if v.Kind != yamldoc.List {
		m.note(v, "bad-related", "write a list of id and type", "related must be a list")
		return
	}
	for _, c := range v.Content {
		id, typ := scalarOf(c, "id"), scalarOf(c, "type")
		if id == "" || typ == "" {
			m.note(c, "bad-related", "give it an id and a type", "an entry of related without id or type")
			continue
		}
		if !contains([]string{"derived", "obsolete", "merged", "renamed", "similar", "obsoletes", "correlation"}, typ) {
			m.note(c, "bad-related", "use derived, obsolete, merged, renamed or similar", "related type %q", typ)
		}
		m.r.Related = append(m.r.Related, Related{id, typ})
	}
}

func (m *metaParser) logsource(v *yamldoc.Node) {
	if v.Kind != yamldoc.Map {
		return // refused by the caller
	}
	l := &m.r.Logsource
	l.Category, l.Product, l.Service = scalarOf(v, "category"), scalarOf(v, "product"), scalarOf(v, "service")
	m.r.Definition = scalarOf(v, "definition")
	for _, s := range []string{l.Category, l.Product, l.Service} {
		if s != strings.ToLower(s) || strings.Contains(s, " ") {
			m.note(v, "bad-logsource", "write it in lower case with _ for spaces", "log source %q", s)
		}
	}
	l.Category, l.Product, l.Service = strings.ToLower(l.Category), strings.ToLower(l.Product), strings.ToLower(l.Service)
}

// lookup finds the value of a key of a block, nil where there is none.
func lookup(n *yamldoc.Node, key string) *yamldoc.Node {
	if n == nil || n.Kind != yamldoc.Map {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// scalarOf is the text of a key, "" where there is none.
func scalarOf(n *yamldoc.Node, key string) string {
	v := lookup(n, key)
	if v == nil || v.Kind != yamldoc.Scalar || v.ShortTag() == "!!null" {
		return ""
	}
	return v.Value
}
