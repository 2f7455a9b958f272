package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Node is a part of a parsed document whose shape is not known beforehand.
type Node = yaml.Node

// The kinds of Node that Documents gives.
const (
	Map    = yaml.MappingNode
	List   = yaml.SequenceNode
	Scalar = yaml.ScalarNode
)

// Limits of Documents: nodes of one file with aliases counted as often as they
// are used, and nesting.
const (
	MaxNodes = 500_000
	MaxDepth = 64
)

// Documents parses every document of a file into nodes, with aliases put in
// their places. At a fault it returns the documents before it and Faults; an
// empty document is left out. A file that grows by its aliases beyond MaxNodes,
// nests deeper than MaxDepth or holds an alias within itself is refused.
func Documents(file string, data []byte) ([]*Node, error) {
	if len(data) > MaxSize {
		return nil, Faults{{File: file, Text: fmt.Sprintf("%d bytes, the limit is %d", len(data), MaxSize), Remedy: "split the file"}}
	}
	if root := parseQuick(data); root != nil {
		return []*Node{root}, nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var docs []*Node
	left := MaxNodes
	for {
		var n Node
		err := dec.Decode(&n)
		if errors.Is(err, io.EOF) {
			return docs, nil
		}
		if err != nil {
			return docs, Faults{encoding(data, fault(file, strings.TrimPrefix(err.Error(), "yaml: ")))}
		}
		root, f := resolve(&n, &left, 0)
		if f != nil {
			f.File = file
			return docs, Faults{*f}
		}
		if root != nil && (root.Kind != Scalar || root.ShortTag() != "!!null") {
			docs = append(docs, root)
		}
	}
}

// resolve takes off the document node and puts aliases' targets in place.
func resolve(n *Node, left *int, depth int) (*Node, *Fault) {
	*left--
	switch {
	case *left < 0:
		return nil, &Fault{Line: n.Line, Text: fmt.Sprintf("more than %d values, aliases counted", MaxNodes), Remedy: "write fewer, or no aliases"}
	case depth > MaxDepth:
		return nil, &Fault{Line: n.Line, Text: fmt.Sprintf("nested deeper than %d", MaxDepth)}
	case n.Kind == yaml.DocumentNode:
		if len(n.Content) == 0 {
			return nil, nil
		}
		return resolve(n.Content[0], left, depth)
	case n.Kind == yaml.AliasNode:
		return resolve(n.Alias, left, depth+1)
	}
	for i, c := range n.Content {
		r, f := resolve(c, left, depth+1)
		if f != nil {
			return nil, f
		}
		n.Content[i] = r
	}
	return n, nil
}

// AliasLine is the line of the first alias in data, 0 where there is none or
// where data is no YAML.
func AliasLine(data []byte) int {
	if !bytes.ContainsRune(data, '*') {
		return 0
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var n Node
		if dec.Decode(&n) != nil {
			return 0
		}
		if line := aliasLine(&n); line > 0 {
			return line
		}
	}
}

func aliasLine(n *Node) int {
	if n.Kind == yaml.AliasNode {
		return n.Line
	}
	for _, c := range n.Content {
		if line := aliasLine(c); line > 0 {
			return line
		}
	}
	return 0
}

// TagLine is the line of the first value at or below n that is marked with a tag
// (!!NAME), 0 where there is none.
func TagLine(n *Node) int {
	if n.Style&yaml.TaggedStyle != 0 {
		return n.Line
	}
	for _, c := range n.Content {
		if line := TagLine(c); line > 0 {
			return line
		}
	}
	return 0
}
