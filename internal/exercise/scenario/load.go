package scenario

import (
	"fmt"
	"io"
	"slices"
	"strconv"

	"github.com/lapwing-defence/lapwing/internal/exercise/record"
	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// MaxSize bounds a scenario file, bytes.
const MaxSize = 4 << 20

// topName is what the whole file is called in faults.
const topName = "the scenario"

// source is what a Scenario was read from, to fill it in for another trainee.
type source struct {
	name string
	text []byte
	seed *uint64 // in the place of the file's; nil: the file's
}

// Load reads a scenario with the variables of nobody in particular. The error is
// yamldoc.Faults: every fault with its line and what to do.
func Load(name string, r io.Reader) (*Scenario, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxSize+1)) //nolint:forbidigo // limited
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > MaxSize {
		return nil, yamldoc.Faults{{File: name, Text: fmt.Sprintf("more than %d bytes", MaxSize), Remedy: "split the scenario"}}
	}
	return parse(source{name: name, text: text}, "")
}

// For is the same scenario with the variables of one trainee, whose name is at
// most 100 bytes long.
func (s *Scenario) For(trainee string) (*Scenario, error) {
	if len(trainee) > 100 {
		return nil, fmt.Errorf("the name of the trainee is %d bytes long: at most 100", len(trainee))
	}
	return parse(s.file, trainee)
}

// Reseed is the same scenario for the same trainee with another seed: addresses and
// variables are drawn anew.
func (s *Scenario) Reseed(seed uint64) (*Scenario, error) {
	src := s.file
	src.seed = &seed
	return parse(src, s.Trainee)
}

func parse(src source, trainee string) (*Scenario, error) {
	docs, err := yamldoc.Documents(src.name, src.text)
	if err != nil {
		return nil, err
	}
	if line := yamldoc.AliasLine(src.text); line > 0 {
		return nil, yamldoc.Faults{{File: src.name, Line: line, Text: "an alias (*NAME)", Remedy: "write out what it stands for"}}
	}
	if len(docs) != 1 {
		line, text := 1, "no document"
		if len(docs) > 1 {
			line, text = docs[1].Line, "a second document"
		}
		return nil, yamldoc.Faults{{File: src.name, Line: line, Text: text, Remedy: "write one scenario a file"}}
	}
	root := docs[0]
	if line := yamldoc.TagLine(root); line > 0 {
		return nil, yamldoc.Faults{{File: src.name, Line: line, Text: "a tag (!!NAME)", Remedy: "write the value alone"}}
	}
	c := &checker{file: src.name, names: gather(root)}
	spec := fileSpec()
	f := newFiller(c, root, trainee, src.seed)
	f.fill(root)
	c.check(root, &spec, topName)
	s := &Scenario{Trainee: trainee, Variables: f.vars, file: src}
	sound := c.sound(root)
	c.build(sound, s, f)
	s.Seed = f.seed
	if c.without["duration"] {
		s.Duration = 7 * day // what lasts longer does so in any case
	}
	c.cross(sound, s)
	if len(c.faults) > 0 {
		if c.more > 0 {
			c.faults = append(c.faults, yamldoc.Fault{File: src.name, Text: fmt.Sprintf("%d more faults", c.more), Remedy: "mend these first"})
		}
		c.faults.Sort()
		return nil, c.faults
	}
	return s, nil
}

// known are the names of one kind.
type known struct {
	list []string
	set  map[string]bool
}

func (k known) has(name string) bool { return k.set[name] }

// names are those of every kind.
type names map[string]known

func (ns names) add(kind string, list ...string) {
	k := ns[kind]
	if k.set == nil {
		k.set = map[string]bool{}
	}
	for _, n := range list {
		if !k.set[n] {
			k.set[n] = true
			k.list = append(k.list, n)
		}
	}
	ns[kind] = k
}

// gather finds what the file defines and what is built in.
func gather(root *yamldoc.Node) names {
	ns := names{}
	for kind, key := range map[string]string{
		namesNetwork: "networks", namesRouter: "routers", namesHost: "hosts", namesCredential: "credentials", namesDetection: "detections",
	} {
		ns.add(kind)
		for name := range entries(value(root, key)) {
			ns.add(kind, name)
		}
	}
	for name, h := range entries(value(root, "hosts")) {
		if n := counted(h); n > 1 {
			for i := range n {
				ns.add(namesHost, member(name, i))
			}
		}
	}
	ns.add(namesPlace, ns[namesHost].list...)
	ns.add(namesPlace, ns[namesNetwork].list...)
	ns.add(namesStep)
	if steps := value(value(root, "adversary"), "steps"); steps != nil {
		for _, s := range steps.Content {
			if id := value(s, "id"); id != nil {
				ns.add(namesStep, id.Value)
			}
		}
	}
	for _, a := range Actions {
		ns.add("action", a.Name)
	}
	for _, k := range service.Kinds() {
		ns.add("service", k.Name)
	}
	ns.add("site", service.Sites()...)
	for _, p := range service.Personas() {
		ns.add("persona", p.Name)
	}
	ns.add("persona", "mixed")
	for _, b := range record.Behaviours() {
		ns.add("behaviour", b.Name)
	}
	return ns
}

// entries are the names and values of a table, as far as it is one.
func entries(n *yamldoc.Node) func(func(string, *yamldoc.Node) bool) {
	return func(yield func(string, *yamldoc.Node) bool) {
		for i := 0; n != nil && n.Kind == yamldoc.Map && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Kind == yamldoc.Scalar && !yield(n.Content[i].Value, n.Content[i+1]) {
				return
			}
		}
	}
}

// counted is how many hosts an entry stands for.
func counted(h *yamldoc.Node) int {
	c := value(h, "count")
	if c == nil {
		return 1
	}
	n, err := strconv.Atoi(c.Value)
	if err != nil || n < 1 || n > MaxHosts {
		return 1
	}
	return n
}

// member is the name of the i-th host of a group.
func member(group string, i int) string { return fmt.Sprintf("%s-%d", group, i+1) }

// suggest names what is nearest to a word that was not found, or all there is.
func suggest(word string, list []string) string {
	best, least := "", len(word)/2+2
	for _, n := range list {
		if d := distance(word, n); d < least {
			best, least = n, d
		}
	}
	switch {
	case best != "":
		return "did you mean " + strconv.Quote(best) + "?"
	case len(list) == 0:
		return "define it first"
	}
	sorted := slices.Sorted(slices.Values(list))
	if len(sorted) > 12 {
		return fmt.Sprintf("there are %d, such as %s, %s and %s", len(sorted), sorted[0], sorted[1], sorted[2])
	}
	return fmt.Sprintf("write one of %q", sorted)
}

// distance is how many letters must change (Levenshtein); long words are not
// compared.
func distance(a, b string) int {
	if len(a) > 40 || len(b) > 40 {
		return 1000
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0]++
		for j := range len(b) {
			here := last + 1
			if a[i] == b[j] {
				here = last
			}
			last = row[j+1]
			row[j+1] = min(here, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
