package scenario

import "github.com/lapwing-defence/lapwing/internal/yamldoc"

// Type is what kind of value a place in the file takes.
type Type int

// Types of values. What Min and Max of a Spec mean is said beside each.
const (
	TypeText      Type = iota // Max bytes, Min bytes
	TypeName                  // a word that other places refer to
	TypeWord                  // one of Words
	TypeInteger               // Min to Max
	TypeNumber                // Min to Max
	TypeBoolean               //
	TypeDuration              // such as 90s, 5m, 1h30m; Min to Max seconds
	TypeShare                 // 30% or 0.3
	TypeRate                  // 20/s, 6/m, 10/h
	TypeBandwidth             // 100Mbit
	TypeAddress               // an IP address
	TypePrefix                // an IP network
	TypePort                  // tcp/22
	TypePorts                 // tcp/22, tcp/8000-8099, tcp/any, icmp
	TypeService               // HOST/tcp/80
	TypeTechnique             // T1046, T1110.001
	TypeList                  // of Elem; Min to Max of them
	TypeListOrOne             // the same, and one alone needs no brackets
	TypeTable                 // names of the author's own to Elem; at most Max of them
	TypeBlock                 // Fields
	TypeEither                // One where it is a scalar, Elem where not
	TypeArgs                  // what the action beside it takes
)

// Spec says what a place in the file takes. The loader, the JSON schema and the
// documentation all read it.
type Spec struct {
	Type     Type
	Min, Max float64
	Words    []string
	Elem     *Spec
	One      *Spec
	Fields   []Field
	Pattern  string // of texts: a regular expression that the whole fits
	Names    string // of names and texts: what must bear the name (host, network, credential ...), "" checks nothing
}

// Field is a key of a block, or an argument of an action.
type Field struct {
	Name     string
	Doc      string // one line for people
	Spec     Spec
	Required bool
	Default  string // as the file would say it; "" for none
}

func (s *Spec) field(name string) *Field {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return &s.Fields[i]
		}
	}
	return nil
}

// value gives the node of a key, or nil.
func value(n *yamldoc.Node, key string) *yamldoc.Node {
	for i := 0; n != nil && n.Kind == yamldoc.Map && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}
