// Package logsource knows which records are which Sigma log source and which
// names of fields mean the same. What it knows is data: rules/logsources.yml,
// and files of the operator's in front of it (docs/formats/logsources.md). The
// meaning of the entries for Windows is that of SigmaHQ's own mapping for its
// rules.
package logsource

import (
	"fmt"
	"maps"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	"github.com/lapwing-defence/lapwing/rules"
)

// Mapping is one or more files of log sources. It does not change.
type Mapping struct {
	doc document
}

type document struct {
	JSON     jsonNames         `yaml:"json"`
	Time     []string          `yaml:"time"`
	Alias    map[string]string `yaml:"alias"`
	Channels []channel         `yaml:"channels"`
	Events   []eventEntry      `yaml:"events"`
	Records  []recordEntry     `yaml:"records"`
}

type jsonNames struct {
	Wrappers []string          `yaml:"wrappers"`
	Prefixes []prefix          `yaml:"prefixes"`
	Names    map[string]string `yaml:"names"`
}

type prefix struct {
	Path    string `yaml:"path"`
	Spaces  *bool  `yaml:"spaces"`  // false: spaces are taken out of the name
	System  bool   `yaml:"system"`  // gives way to a field of the same name
	Capital bool   `yaml:"capital"` // the name's first letter becomes a capital
}

type channel struct {
	Service  string   `yaml:"service"`
	Product  string   `yaml:"product"` // windows when empty
	Category string   `yaml:"category"`
	Names    []string `yaml:"names"`
}

type eventEntry struct {
	Service  string              `yaml:"service"`
	IDs      []int               `yaml:"ids"`
	Category string              `yaml:"category"`
	When     map[string][]string `yaml:"when"`
	Alias    map[string]string   `yaml:"alias"`
	Set      map[string]string   `yaml:"set"` // fields that get this text where they are absent
}

type recordEntry struct {
	Name    string              `yaml:"name"`
	Format  []string            `yaml:"format"`
	When    map[string][]string `yaml:"when"`
	Sources []source            `yaml:"sources"`
	Alias   map[string]string   `yaml:"alias"`
	// Set gives fields, where they are absent, a value that the record says in
	// other words, which When looked at.
	Set map[string]string `yaml:"set"`
	// Windows: the record is one of an event log, and these fields say which.
	Windows *windowsNames `yaml:"windows"`
}

// windowsNames are the names that a shipper gives the fields of an event log.
type windowsNames struct {
	Channel  string `yaml:"channel"`
	EventID  string `yaml:"event_id"`
	Provider string `yaml:"provider"`
}

type source struct {
	Category string `yaml:"category"`
	Product  string `yaml:"product"`
	Service  string `yaml:"service"`
}

// Default is the mapping that is shipped.
func Default() (*Mapping, error) { return Parse("rules/logsources.yml", rules.LogSources) }

// Parse reads a mapping; file is its name in faults, which are yamldoc.Faults.
func Parse(file string, data []byte) (*Mapping, error) {
	m := &Mapping{}
	d, err := yamldoc.Decode(file, data, &m.doc)
	if err != nil {
		return nil, err
	}
	var faults yamldoc.Faults
	for i, c := range m.doc.Channels {
		if len(c.Names) == 0 || (c.Service == "" && c.Category == "") {
			faults = append(faults, d.Fault("a channel entry needs names, and a service or a category", "see docs/formats/logsources.md", "channels", i))
		}
	}
	for i, e := range m.doc.Events {
		if e.Service == "" || len(e.IDs) == 0 || e.Category == "" {
			faults = append(faults, d.Fault("an event entry needs service, ids and category", "see docs/formats/logsources.md", "events", i))
		}
		if len(e.When) > 1 {
			faults = append(faults, d.Fault("an event entry may look at one field", "keep one name under when", "events", i, "when"))
		}
	}
	for i, r := range m.doc.Records {
		switch w := r.Windows; {
		case (w == nil) == (len(r.Sources) == 0) || (len(r.Format) == 0 && len(r.When) == 0):
			faults = append(faults, d.Fault("a record entry needs sources or windows, and format or when", "see docs/formats/logsources.md", "records", i))
		case w != nil && (w.Channel == "" || w.EventID == ""):
			faults = append(faults, d.Fault("windows needs channel and event_id, the names of fields", "see docs/formats/logsources.md", "records", i, "windows"))
		}
	}
	if len(faults) > 0 {
		faults.Sort()
		return nil, faults
	}
	return m, nil
}

// Before gives a mapping in which the entries of first come before those of m.
func (m *Mapping) Before(first *Mapping) *Mapping {
	a, b := first.doc, m.doc
	out := &Mapping{doc: document{
		JSON: jsonNames{
			Wrappers: join(a.JSON.Wrappers, b.JSON.Wrappers), Prefixes: join(a.JSON.Prefixes, b.JSON.Prefixes),
			Names: merge(a.JSON.Names, b.JSON.Names),
		},
		Time:     join(a.Time, b.Time),
		Alias:    merge(a.Alias, b.Alias),
		Channels: join(a.Channels, b.Channels),
		Events:   join(a.Events, b.Events),
		Records:  join(a.Records, b.Records),
	}}
	return out
}

func join[T any](a, b []T) []T { return append(append([]T(nil), a...), b...) }

func merge(first, then map[string]string) map[string]string {
	out := map[string]string{}
	maps.Copy(out, then)
	maps.Copy(out, first)
	return out
}

// Logsources is every log source that the mapping can give a record, each
// once, with a name for people.
func (m *Mapping) Logsources() map[sigma.Logsource]string {
	out := map[sigma.Logsource]string{}
	services := map[string][]channel{}
	for _, c := range m.doc.Channels {
		c.Product = productOf(c)
		services[c.Service] = append(services[c.Service], c)
		out[sigma.Logsource{Category: c.Category, Product: c.Product, Service: c.Service}] = "event log channel " + c.Names[0]
	}
	for _, e := range m.doc.Events {
		for _, c := range services[e.Service] {
			out[sigma.Logsource{Category: e.Category, Product: c.Product, Service: e.Service}] = fmt.Sprintf("%s %s, event %v", c.Product, e.Service, e.IDs)
		}
	}
	for _, r := range m.doc.Records {
		for _, s := range r.Sources {
			out[sigma.Logsource(s)] = r.Name
		}
	}
	return out
}

func productOf(c channel) string {
	if c.Product == "" {
		return "windows"
	}
	return c.Product
}

// Target says what a path in JSON is called.
type Target struct {
	Name string
	// Weak: gives way to a field of the same name that is there already.
	Weak bool
	// Data: below EventData, where an array has no names of its own.
	Data bool
}

// Target resolves a path with dots, such as winlog.event_data.Image.
func (m *Mapping) Target(path string) Target {
	for _, w := range m.doc.JSON.Wrappers {
		path = strings.TrimPrefix(path, w)
	}
	if name, ok := m.doc.JSON.Names[path]; ok {
		return Target{Name: name, Weak: strings.HasPrefix(path, "Event.System.")}
	}
	for _, p := range m.doc.JSON.Prefixes {
		rest, ok := under(path, p.Path)
		if !ok {
			continue
		}
		rest = strings.TrimSuffix(rest, ".#text")
		rest = strings.ReplaceAll(rest, ".#attributes.", "_")
		rest = strings.ReplaceAll(rest, "_attributes.", "_")
		rest = strings.ReplaceAll(rest, ".@", "_")
		if p.Spaces != nil && !*p.Spaces {
			rest = strings.ReplaceAll(rest, " ", "")
		}
		if p.Capital {
			rest = strings.ToUpper(rest[:1]) + rest[1:]
		}
		return Target{Name: rest, Weak: p.System, Data: !p.System}
	}
	return Target{Name: path}
}

// under takes a prefix off, whose parts of "*" stand for one part of any name.
func under(path, pre string) (string, bool) {
	for pre != "" {
		i := strings.IndexByte(pre, '.')
		if i < 0 {
			return "", false
		}
		part := pre[:i]
		pre = pre[i+1:]
		j := strings.IndexByte(path, '.')
		if j < 0 || (part != "*" && path[:j] != part) {
			return "", false
		}
		path = path[j+1:]
	}
	return path, path != ""
}
