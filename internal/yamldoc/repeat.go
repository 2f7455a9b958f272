package yamldoc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// repeatedKey begins the name that a repeated key is given, so that the rest
// of its block is looked at: the decoder gives up on a block with one.
const repeatedKey = "lapwing-repeated-key-"

// repeated names the keys that stand twice in a block, and gives data with
// other names for them, line by line the same.
func (d *Document) repeated(data []byte) ([]byte, Faults) {
	var keys []*yaml.Node
	var faults Faults
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		first := map[string]int{}
		for i, c := range n.Content {
			if n.Kind != yaml.MappingNode || i%2 == 1 || c.Kind != yaml.ScalarNode {
				walk(c)
				continue
			}
			if at := first[c.Value]; at > 0 {
				keys = append(keys, c)
				faults = append(faults, Fault{d.file, c.Line, fmt.Sprintf("key %q stands twice, first in line %d", c.Value, at), "keep one of them"})
				continue
			}
			first[c.Value] = c.Line
		}
	}
	walk(d.root)
	if len(keys) == 0 {
		return data, nil
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	for i, key := range slices.Backward(keys) { // from the end, so that columns stay
		line, ok := rename(lines, key, fmt.Sprint(repeatedKey, i))
		if !ok {
			return data, nil // the decoder finds it, and nothing else in its block
		}
		lines[key.Line-1] = line
	}
	return bytes.Join(lines, nil), faults
}

// rename gives the line of a key with another name for it.
func rename(lines [][]byte, key *yaml.Node, name string) ([]byte, bool) {
	if key.Line < 1 || key.Line > len(lines) {
		return nil, false
	}
	line := []rune(string(lines[key.Line-1]))
	if key.Column < 1 || key.Column > len(line) {
		return nil, false
	}
	head, rest := string(line[:key.Column-1]), string(line[key.Column-1:])
	for _, written := range []string{key.Value, `"` + key.Value + `"`, "'" + key.Value + "'"} {
		if after, ok := strings.CutPrefix(rest, written); ok {
			return []byte(head + name + after), true
		}
	}
	return nil, false
}
