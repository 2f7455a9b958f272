package scenario

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// maxFaults bounds what one file is told; the rest are counted.
const maxFaults = 200

// checker holds a tree against a Spec, puts defaults in, and gathers faults.
type checker struct {
	file   string
	names  names // what is there to refer to
	faults yamldoc.Faults
	more   int // beyond maxFaults
	// without are the parts of the file of which something was left out because of
	// its faults: what would need it is not checked.
	without map[string]bool
}

func (c *checker) fault(line int, remedy, format string, args ...any) {
	f := yamldoc.Fault{File: c.file, Line: line, Text: fmt.Sprintf(format, args...), Remedy: remedy}
	switch {
	case slices.Contains(c.faults, f):
	case len(c.faults) == maxFaults:
		c.more++
	default:
		c.faults = append(c.faults, f)
	}
}

// check holds the node at path against a spec. path is for people.
func (c *checker) check(n *yamldoc.Node, s *Spec, path string) {
	switch s.Type {
	case TypeBlock:
		c.block(n, s, path)
	case TypeTable:
		c.table(n, s, path)
	case TypeList, TypeListOrOne:
		c.list(n, s, path)
	case TypeEither:
		if n.Kind == yamldoc.Scalar {
			c.check(n, s.One, path)
			return
		}
		c.check(n, s.Elem, path)
	case TypeArgs: // held against the action by block
	default:
		c.scalar(n, s, path)
	}
}

// block checks keys, what is missing, and puts defaults in.
func (c *checker) block(n *yamldoc.Node, s *Spec, path string) {
	if n.Kind != yamldoc.Map {
		c.fault(n.Line, "write its keys below it", "%s is a block of keys, not %s", path, kindName(n))
		return
	}
	seen := c.keys(n, path)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, v := n.Content[i], n.Content[i+1]
		f := s.field(key.Value)
		if f == nil && key.Value == "<<" {
			c.fault(key.Line, "write out the keys that it stands for", "a merge key (<<) in %s", path)
			continue
		}
		if f == nil {
			c.fault(key.Line, suggest(key.Value, fieldNames(s.Fields)), "%s has no key %s", path, strconv.Quote(clip(key.Value)))
			continue
		}
		c.check(v, &f.Spec, join(path, f.Name))
	}
	for i := range s.Fields {
		f := &s.Fields[i]
		switch {
		case seen[f.Name] > 0:
		case f.Required:
			c.fault(n.Line, f.Doc, "%s lacks the key %q", path, f.Name)
		case f.Default != "":
			c.put(n, f, path)
		}
	}
	if f := s.field("args"); f != nil && f.Spec.Type == TypeArgs {
		c.action(n, path)
	}
}

// keys finds keys that are no texts or come twice.
func (c *checker) keys(n *yamldoc.Node, path string) map[string]int {
	seen := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind != yamldoc.Scalar {
			c.fault(key.Line, "write KEY: VALUE", "%s has a key that is %s", path, kindName(key))
			continue
		}
		if first := seen[key.Value]; first > 0 {
			c.fault(key.Line, "keep one", "%s has the key %s twice, first in line %d", path, strconv.Quote(clip(key.Value)), first)
			continue
		}
		seen[key.Value] = key.Line
	}
	return seen
}

// put adds a default to the tree.
func (c *checker) put(n *yamldoc.Node, f *Field, path string) {
	docs, err := yamldoc.Documents("default", []byte(f.Default))
	if err != nil || len(docs) != 1 {
		panic("the default of " + f.Name + " does not parse") // a table of ours is wrong; a test reads them all
	}
	setLine(docs[0], n.Line)
	n.Content = append(n.Content, &yamldoc.Node{Kind: yamldoc.Scalar, Tag: "!!str", Value: f.Name, Line: n.Line}, docs[0])
	c.check(docs[0], &f.Spec, join(path, f.Name))
}

func setLine(n *yamldoc.Node, line int) {
	n.Line = line
	for _, c := range n.Content {
		setLine(c, line)
	}
}

// action holds args against the table of the action beside them.
func (c *checker) action(n *yamldoc.Node, path string) {
	named := value(n, "action")
	if named == nil || named.Kind != yamldoc.Scalar {
		return
	}
	a := FindAction(named.Value)
	if a == nil {
		return // the name was told already
	}
	args := value(n, "args")
	if args == nil {
		args = &yamldoc.Node{Kind: yamldoc.Map, Tag: "!!map", Line: n.Line}
		n.Content = append(n.Content, &yamldoc.Node{Kind: yamldoc.Scalar, Tag: "!!str", Value: "args", Line: n.Line}, args)
	}
	short(n, args)
	c.block(args, &Spec{Type: TypeBlock, Fields: a.Args}, join(path, "args")+" of "+a.Name)
}

// short moves the paths that background entries may give beside args.
func short(n, args *yamldoc.Node) {
	if p := value(n, "paths"); p != nil && args.Kind == yamldoc.Map && value(args, "paths") == nil {
		args.Content = append(args.Content, &yamldoc.Node{Kind: yamldoc.Scalar, Tag: "!!str", Value: "paths", Line: p.Line}, p)
	}
}

func (c *checker) table(n *yamldoc.Node, s *Spec, path string) {
	if n.Kind != yamldoc.Map {
		c.fault(n.Line, "write NAME: and what it is, one below the other", "%s is a table by name, not %s", path, kindName(n))
		return
	}
	if !c.size(n, len(n.Content)/2, s, path) {
		return
	}
	c.keys(n, path)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		if key.Kind == yamldoc.Scalar && !fits(s.Pattern, key.Value) {
			c.fault(key.Line, "it must fit "+s.Pattern, "%s: %s is no name", path, strconv.Quote(clip(key.Value)))
			continue
		}
		c.check(n.Content[i+1], s.Elem, join(path, key.Value))
	}
}

func (c *checker) list(n *yamldoc.Node, s *Spec, path string) {
	switch {
	case n.Kind == yamldoc.Scalar && s.Type == TypeListOrOne:
		c.check(n, s.Elem, path)
		return
	case n.Kind != yamldoc.List:
		c.fault(n.Line, "write [A, B], or one after a dash in each line", "%s is a list, not %s", path, kindName(n))
		return
	}
	if !c.size(n, len(n.Content), s, path) {
		return
	}
	for i, e := range n.Content {
		c.check(e, s.Elem, fmt.Sprintf("%s[%d]", path, i))
	}
}

// size tells of too many entries, at the line of the first too many.
func (c *checker) size(n *yamldoc.Node, have int, s *Spec, path string) bool {
	if have < int(s.Min) {
		c.fault(n.Line, "write at least one", "%s is empty", path)
	}
	if have <= int(s.Max) {
		return true
	}
	over := int(s.Max)
	if n.Kind == yamldoc.Map {
		over *= 2
	}
	c.fault(n.Content[over].Line, "split the scenario", "%s has %d entries, the limit is %d", path, have, int(s.Max))
	return false
}

// scalar checks one value.
func (c *checker) scalar(n *yamldoc.Node, s *Spec, path string) {
	if n.Kind != yamldoc.Scalar {
		c.fault(n.Line, "write one value", "%s is %s, not %s", path, s.article(), kindName(n))
		return
	}
	if n.ShortTag() == "!!null" || n.ShortTag() == "!!binary" || !strings.HasPrefix(n.ShortTag(), "!!") {
		c.fault(n.Line, "write "+s.article()+", or leave the key out", "%s has no value", path)
		return
	}
	if _, err := s.read(n.Value); err != nil {
		c.fault(n.Line, s.remedy(), "%s: %s %s", path, strconv.Quote(clip(n.Value)), err)
		return
	}
	if s.Type == TypeName {
		c.refer(n, s, path)
	}
}

// refer checks that what a name stands for is there.
func (c *checker) refer(n *yamldoc.Node, s *Spec, path string) {
	known, ok := c.names[s.Names]
	if !ok || known.has(n.Value) {
		return
	}
	c.fault(n.Line, suggest(n.Value, known.list), "%s: there is no %s %s", path, s.Names, strconv.Quote(clip(n.Value)))
}

// read gives the value of a scalar as Args hold it.
func (s *Spec) read(v string) (any, error) {
	switch s.Type {
	case TypeText, TypeName:
		return v, s.checkText(v)
	case TypeTechnique:
		if !fits(techniquePattern, v) {
			return v, valueError("is no id of ATT&CK")
		}
		if !given(v) {
			return v, valueError("is a number that ATT&CK has not given out")
		}
		return v, nil
	case TypeWord:
		if !slices.Contains(s.Words, v) {
			return v, valueError("is none of the words that may stand here")
		}
		return v, nil
	case TypeInteger:
		i, err := strconv.ParseInt(v, 10, 64)
		if err == nil && strconv.FormatInt(i, 10) != v { // 010 is eight to YAML
			return 0, valueError("is no plain integer")
		}
		return int(i), s.inside(float64(i), err, "is no integer")
	case TypeNumber:
		f, err := strconv.ParseFloat(v, 64)
		if strings.ContainsAny(v, "xXpP_") || strings.HasPrefix(v, "0") && !strings.HasPrefix(v, "0.") && v != "0" {
			return 0.0, valueError("is no plain number")
		}
		return f, s.inside(f, err, "is no number")
	case TypeBoolean:
		if v != "true" && v != "false" {
			return false, valueError("is neither true nor false")
		}
		return v == "true", nil
	case TypeDuration:
		d, err := time.ParseDuration(v)
		return d, s.inside(d.Seconds(), err, "is no time")
	}
	return s.readUnit(v)
}

// readUnit reads the values with a syntax of their own.
func (s *Spec) readUnit(v string) (any, error) {
	b := []byte(v)
	switch s.Type {
	case TypeShare:
		var x Share
		err := x.UnmarshalText(b)
		return float64(x), shortened(err, "is no share")
	case TypeRate:
		var x Rate
		err := x.UnmarshalText(b)
		return float64(x), shortened(err, "is no rate")
	case TypeBandwidth:
		var x Bandwidth
		err := x.UnmarshalText(b)
		return int(x), shortened(err, "is no bandwidth")
	case TypeAddress:
		a, err := netip.ParseAddr(v)
		if err == nil && a.Zone() != "" {
			err = valueError("zone")
		}
		return v, shortened(err, "is no address")
	case TypePrefix:
		p, err := netip.ParsePrefix(v)
		if err == nil && p.Masked() != p {
			return v, fmt.Errorf("has bits beside the network: it is %s", p.Masked())
		}
		return v, shortened(err, "is no network")
	case TypePort:
		return v, shortened(new(Port).UnmarshalText(b), "is no port")
	case TypePorts:
		return v, shortened(new(PortRange).UnmarshalText(b), "is no port")
	case TypeService:
		return v, shortened(new(ServiceRef).UnmarshalText(b), "names no service")
	}
	return nil, valueError("cannot stand here")
}

// valueError is an error without a place; who reports it adds one.
type valueError string

func (e valueError) Error() string { return string(e) }

func shortened(err error, text string) error {
	if err != nil {
		return valueError(text)
	}
	return nil
}

func (s *Spec) inside(f float64, err error, text string) error {
	switch {
	case err != nil || f != f:
		return valueError(text)
	case f < s.Min || f > s.Max:
		return valueError("is outside " + s.bounds())
	}
	return nil
}

func (s *Spec) checkText(v string) error {
	switch {
	case !utf8.ValidString(v):
		return valueError("is no UTF-8")
	case s.Max > 0 && len(v) > int(s.Max):
		return fmt.Errorf("is %d bytes long, the limit is %d", len(v), int(s.Max))
	case len(v) < int(s.Min):
		return valueError("is empty")
	case s.Pattern != "" && !fits(s.Pattern, v):
		return valueError("does not fit")
	}
	return nil
}

// bounds is the range of a number or a span of time.
func (s *Spec) bounds() string {
	if s.Type == TypeDuration {
		return fmt.Sprintf("%s to %s", seconds(s.Min), seconds(s.Max))
	}
	return fmt.Sprintf("%s to %s", strconv.FormatFloat(s.Min, 'f', -1, 64), strconv.FormatFloat(s.Max, 'f', -1, 64))
}

// seconds writes a span as people do: 1h, not 1h0m0s.
func seconds(s float64) string {
	t := time.Duration(s * float64(time.Second)).String()
	t = strings.TrimSuffix(t, "m0s") + strings.Repeat("m", strings.Count(t, "m0s"))
	return strings.TrimSuffix(t, "h0m") + strings.Repeat("h", strings.Count(t, "h0m"))
}

// article names the type for people.
func (s *Spec) article() string {
	switch s.Type {
	case TypeInteger:
		return "an integer of " + s.bounds()
	case TypeNumber:
		return "a number of " + s.bounds()
	case TypeBoolean:
		return "true or false"
	case TypeDuration:
		return "a time such as 90s or 5m, of " + s.bounds()
	case TypeShare:
		return "a share such as 30% or 0.3"
	case TypeRate:
		return "a rate such as 20/s or 6/m"
	case TypeBandwidth:
		return "a bandwidth such as 100Mbit"
	case TypeAddress:
		return "an address such as 10.20.1.10"
	case TypePrefix:
		return "a network such as 10.20.1.0/24"
	case TypePort:
		return "a port such as tcp/22"
	case TypePorts:
		return "ports such as tcp/22, tcp/8000-8099, tcp/any or icmp"
	case TypeService:
		return "a service such as web01/tcp/80"
	case TypeTechnique:
		return "an id of ATT&CK such as T1110.001"
	case TypeWord:
		return "one of " + strings.Join(s.Words, ", ")
	case TypeName:
		return "the name of a " + s.Names
	case TypeList, TypeListOrOne:
		return "a list"
	case TypeTable, TypeBlock, TypeArgs:
		return "a block of keys"
	}
	return "a text"
}

// remedy says what to write instead.
func (s *Spec) remedy() string {
	switch {
	case s.Type == TypeText && s.Pattern == oneLine:
		return "write one line without control characters"
	case s.Type == TypeText && s.Pattern == printable:
		return "write text without control characters"
	case s.Type == TypeText && s.Pattern != "":
		return "it must fit " + s.Pattern
	}
	return "write " + s.article()
}

func kindName(n *yamldoc.Node) string {
	switch n.Kind {
	case yamldoc.Map:
		return "a block of keys"
	case yamldoc.List:
		return "a list"
	}
	if n.ShortTag() == "!!null" {
		return "nothing"
	}
	return "the value " + strconv.Quote(clip(n.Value))
}

func join(path, key string) string {
	if path == topName {
		return key
	}
	return path + "." + clip(key)
}

// clip keeps what people are shown of foreign text short.
func clip(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "..."
	}
	return s
}

func fieldNames(fs []Field) []string {
	out := make([]string, len(fs))
	for i, f := range fs {
		out[i] = f.Name
	}
	return out
}

// fits tells whether the whole of v fits a pattern of the tables.
func fits(pattern, v string) bool { return matchers[pattern].MatchString(v) }

// matchers are the patterns of the tables.
var matchers = compile( //nolint:gochecknoglobals // a table that nobody writes
	wordPattern, hostPattern, printable, oneLine, techniquePattern, userPattern, pathPattern, filePattern, dnsPattern,
	versionPattern, rulePattern, oidPattern, topicPattern, mailPattern, agentPattern, sharePattern)

func compile(list ...string) map[string]*regexp.Regexp {
	out := make(map[string]*regexp.Regexp, len(list))
	for _, p := range list {
		out[p] = regexp.MustCompile(`\A(?s:` + p + `)\z`)
	}
	return out
}
