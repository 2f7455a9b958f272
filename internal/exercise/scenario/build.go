package scenario

import (
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// build decodes a tree that was checked into s.
func (c *checker) build(root *yamldoc.Node, s *Scenario, f *filler) {
	for key, to := range map[string]any{
		"id": &s.ID, "name": &s.Name, "description": &s.Description, "level": &s.Level, "duration": &s.Duration, "attack": &s.Attack, "seed": &s.Seed,
		"clock": &s.Clock, "notes": &s.Notes, "training": &s.Training, "scoring": &s.Scoring, "export": &s.Export, "range": &s.Format, "adversary": &s.Adversary,
	} {
		c.decode(value(root, key), to, key)
	}
	for name, n := range entries(value(root, "networks")) {
		x := Network{Name: name}
		c.decode(n, &x, name)
		x.Name = name
		s.Networks = append(s.Networks, x)
	}
	for name, n := range entries(value(root, "routers")) {
		x := Router{}
		c.decode(n, &x, name)
		x.Name = name
		s.Routers = append(s.Routers, x)
	}
	for name, n := range entries(value(root, "hosts")) {
		c.host(name, n, s, f)
	}
	for name, n := range entries(value(root, "credentials")) {
		x := Credential{}
		c.decode(n, &x, name)
		if x.Name = name; x.Decoy && x.Token == "" {
			x.Token = name
		}
		s.Credentials = append(s.Credentials, x)
	}
	for name, n := range entries(value(root, "tokens")) {
		x := Token{}
		c.decode(n, &x, name)
		x.ID = name
		s.Tokens = append(s.Tokens, x)
	}
	for name, n := range entries(value(root, "detections")) {
		x := Detection{}
		c.decode(n, &x, name)
		x.Name = name
		x.Rules = c.ruleIDs(value(n, "rule"), &x)
		s.Detections = append(s.Detections, x)
	}
	c.background(value(root, "background"), s)
	if steps := value(value(root, "adversary"), "steps"); steps != nil {
		for i, n := range steps.Content {
			s.Adversary.Steps[i].Args = args(n)
		}
	}
}

func (c *checker) decode(n *yamldoc.Node, to any, what string) {
	if n == nil {
		return
	}
	if err := n.Decode(to); err != nil {
		c.fault(n.Line, "", "%s: %s", clip(what), strings.TrimPrefix(err.Error(), "yaml: "))
	}
}

func (c *checker) host(name string, n *yamldoc.Node, s *Scenario, f *filler) {
	count := counted(n)
	if len(s.Hosts)+count > MaxHosts {
		c.fault(n.Line, "make fewer", "more than %d hosts", MaxHosts)
		return
	}
	for i := range count {
		x := Host{}
		c.decode(n, &x, name)
		x.Name, x.Group = name, name
		if count > 1 {
			x.Name = member(name, i)
		}
		if x.IP = f.addrs[x.Name]; !x.IP.IsValid() {
			c.fault(n.Line, "make the network larger, or write an ip", "host %s: its network has no free address", clip(x.Name))
			return
		}
		if x.IP6.IsValid() {
			for range i {
				x.IP6 = x.IP6.Next()
			}
		} else if p := prefix6(s, x.Network); p.IsValid() {
			b := p.Masked().Addr().As16()
			h := x.IP.As4()
			copy(b[12:], h[:])
			x.IP6 = netip.AddrFrom16(b)
		}
		s.Hosts = append(s.Hosts, x)
	}
}

func prefix6(s *Scenario, network string) netip.Prefix {
	for i := range s.Networks {
		if s.Networks[i].Name == network {
			return s.Networks[i].CIDR6
		}
	}
	return netip.Prefix{}
}

func (c *checker) background(list *yamldoc.Node, s *Scenario) {
	if list == nil {
		return
	}
	for _, n := range list.Content {
		var x struct {
			Background `yaml:",inline"`
			Target     yamldoc.Node `yaml:"target"`
			Paths      Texts        `yaml:"paths"`
			Args       yamldoc.Node `yaml:"args"`
		}
		c.decode(n, &x, "background")
		b := x.Background
		switch x.Target.Kind {
		case yamldoc.Scalar:
			if c.names[namesNetwork].has(x.Target.Value) {
				b.Target.Network = x.Target.Value
			} else {
				b.Target.Hosts = Texts{x.Target.Value}
			}
		case yamldoc.Map:
			c.decode(&x.Target, &b.Target, "target")
		}
		b.Args = args(n)
		s.Background = append(s.Background, b)
	}
}

// args are the values of a step's arguments, as its action's table reads them.
func args(step *yamldoc.Node) Args {
	out := Args{values: map[string]any{}}
	a := FindAction(text1(value(step, "action")))
	if a == nil {
		return out
	}
	spec := Spec{Type: TypeBlock, Fields: a.Args}
	for name, n := range entries(value(step, "args")) {
		if f := spec.field(name); f != nil {
			out.values[name] = f.Spec.arg(n)
		}
	}
	return out
}

// arg is the value of an argument that was checked.
func (s *Spec) arg(n *yamldoc.Node) any {
	switch s.Type {
	case TypeTable:
		out := map[string]string{}
		for k, v := range entries(n) {
			out[k] = text1(v)
		}
		return out
	case TypeList, TypeListOrOne:
		nodes := n.Content
		if n.Kind == yamldoc.Scalar {
			nodes = []*yamldoc.Node{n}
		}
		if s.Elem.Type == TypeInteger {
			out := []int{}
			for _, e := range nodes {
				v, _ := s.Elem.read(e.Value) // checked
				i, _ := v.(int)
				out = append(out, i)
			}
			return out
		}
		out := []string{}
		for _, e := range nodes {
			out = append(out, e.Value)
		}
		return out
	}
	v, _ := s.read(n.Value) // checked
	return v
}

// span is how long a step may take, waiting for answers left out.
func (s *Step) span(targets int) time.Duration {
	a := FindAction(s.Action)
	if a == nil {
		return 0
	}
	return a.Length(s.Args, targets)
}

func (c *checker) at(n *yamldoc.Node, keys ...string) int {
	line := 0
	for _, k := range keys {
		if n = value(n, k); n == nil {
			return line
		}
		line = n.Line
	}
	return line
}
