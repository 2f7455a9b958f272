package scenario

import (
	"slices"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// sound is the tree without what has faults already, so that one look finds the
// others too: entries of tables, steps, and background activities with a fault
// in one of their lines, and other parts of the file whole. c.without says of
// what something is missing.
func (c *checker) sound(root *yamldoc.Node) *yamldoc.Node {
	bad := map[int]bool{}
	for _, f := range c.faults {
		bad[f.Line] = true
	}
	if len(bad) == 0 {
		return root
	}
	c.without = map[string]bool{}
	out := *root
	out.Content = nil
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, v := root.Content[i], root.Content[i+1]
		if !touched(key, bad) && !touched(v, bad) {
			out.Content = append(out.Content, key, v)
			continue
		}
		c.without[key.Value] = true
		switch key.Value {
		case "networks", "routers", "hosts", "credentials", "tokens", "detections":
			out.Content = append(out.Content, key, soundEntries(v, bad))
		case "background":
			out.Content = append(out.Content, key, soundItems(v, bad))
		case "adversary":
			if steps := value(v, "steps"); steps != nil {
				kept := *v
				kept.Content = []*yamldoc.Node{{Kind: yamldoc.Scalar, Value: "steps", Line: steps.Line}, soundItems(steps, bad)}
				out.Content = append(out.Content, key, &kept)
			}
		}
	}
	return &out
}

// touched says whether a line of n, or of what is in it, is among bad.
func touched(n *yamldoc.Node, bad map[int]bool) bool {
	return bad[n.Line] || slices.ContainsFunc(n.Content, func(e *yamldoc.Node) bool { return touched(e, bad) })
}

func soundEntries(n *yamldoc.Node, bad map[int]bool) *yamldoc.Node {
	out := *n
	out.Content = nil
	for i := 0; n.Kind == yamldoc.Map && i+1 < len(n.Content); i += 2 {
		if len(out.Content) == 2*MaxHosts {
			break // no table may be longer
		}
		if key, v := n.Content[i], n.Content[i+1]; !touched(key, bad) && !touched(v, bad) {
			out.Content = append(out.Content, key, v)
		}
	}
	return &out
}

func soundItems(n *yamldoc.Node, bad map[int]bool) *yamldoc.Node {
	out := *n
	out.Content = nil
	if n.Kind == yamldoc.List {
		out.Content = slices.DeleteFunc(slices.Clone(n.Content), func(e *yamldoc.Node) bool { return touched(e, bad) })
	}
	return &out
}
