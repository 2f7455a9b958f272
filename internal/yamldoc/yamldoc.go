// Package yamldoc reads one strict YAML document: an unknown key, a repeated
// key or a second document is a fault with its line, and all faults that can
// be found are reported at once.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// MaxSize is the size in bytes of the largest document read.
const MaxSize = 4 << 20

// Fault is one thing wrong with a document.
type Fault struct { //nolint:errname // the word that people read
	File   string
	Line   int // 1-based; 0 when it concerns the whole file
	Text   string
	Remedy string // what to try, may be empty
}

// Error is "file:line: text (remedy)".
func (f Fault) Error() string {
	var b strings.Builder
	b.WriteString(f.File)
	if f.Line > 0 {
		fmt.Fprintf(&b, ":%d", f.Line)
	}
	b.WriteString(": " + f.Text)
	if f.Remedy != "" {
		b.WriteString(" (" + f.Remedy + ")")
	}
	return b.String()
}

// Faults is every fault of a document, in order of line. It is an error.
type Faults []Fault //nolint:errname // the word that people read

// Error joins the faults with newlines.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// Sort orders by line.
func (fs Faults) Sort() {
	sort.SliceStable(fs, func(i, j int) bool { return fs[i].Line < fs[j].Line })
}

// Document is a decoded file that still knows its lines.
type Document struct {
	file string
	root *yaml.Node
}

// Decode reads data into v, which is a pointer to a struct with yaml tags.
// file is the name used in faults. The error is Faults. An empty document
// leaves v as it is.
func Decode(file string, data []byte, v any) (*Document, error) {
	if len(data) > MaxSize {
		return nil, Faults{{File: file, Text: fmt.Sprintf("%d bytes, the limit is %d", len(data), MaxSize)}}
	}
	d := &Document{file: file, root: new(yaml.Node)}
	if err := yaml.Unmarshal(data, d.root); err != nil {
		d.root = new(yaml.Node)
	}
	data, faults := d.repeated(data)
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return d, nil
	}
	faults = append(faults, faultsOf(file, err)...)
	var second yaml.Node
	if _, typed := errors.AsType[*yaml.TypeError](err); err == nil || typed { // else the first did not end
		if err := dec.Decode(&second); !errors.Is(err, io.EOF) {
			faults = append(faults, Fault{file, second.Line, "a second document", "keep one document in one file"})
		}
	}
	if len(faults) > 0 {
		faults.Sort()
		return d, faults
	}
	return d, nil
}

var (
	lineRE    = regexp.MustCompile(`line (\d+): `)
	unknownRE = regexp.MustCompile(`field (\S+) not found in type \S+`)
	typeRE    = regexp.MustCompile("cannot unmarshal !!(\\w+) (`[^`]*` )?into (\\S+)")
	dupRE     = regexp.MustCompile(`mapping key "(.*)" already defined at line (\d+)`)
)

func faultsOf(file string, err error) Faults {
	if err == nil {
		return nil
	}
	var te *yaml.TypeError
	if !errors.As(err, &te) {
		return Faults{fault(file, strings.TrimPrefix(err.Error(), "yaml: "))}
	}
	var out Faults
	for _, s := range te.Errors {
		if !strings.Contains(s, "field "+repeatedKey) {
			out = append(out, fault(file, s))
		}
	}
	return out
}

func fault(file, text string) Fault {
	f := Fault{File: file}
	if m := lineRE.FindStringSubmatchIndex(text); m != nil {
		f.Line, _ = strconv.Atoi(text[m[2]:m[3]])
		text = text[:m[0]] + text[m[1]:]
	}
	switch {
	case unknownRE.MatchString(text):
		f.Text = fmt.Sprintf("unknown key %q", unknownRE.FindStringSubmatch(text)[1])
		f.Remedy = "remove it, or look for a typing error"
	case dupRE.MatchString(text):
		m := dupRE.FindStringSubmatch(text)
		f.Text = fmt.Sprintf("key %q stands twice, first in line %s", m[1], m[2])
		f.Remedy = "keep one of them"
	case typeRE.MatchString(text):
		m := typeRE.FindStringSubmatch(text)
		f.Text = strings.TrimSpace(fmt.Sprintf("expected %s, found %s %s", goType(m[3]), yamlType(m[1]), m[2]))
	default:
		f.Text = text
	}
	return f
}

// encoding gives a fault of the bytes of a text, which comes without its line,
// the line and a remedy.
func encoding(data []byte, f Fault) Fault {
	if f.Line > 0 || f.Remedy != "" || bytes.HasPrefix(data, []byte("\xff\xfe")) || bytes.HasPrefix(data, []byte("\xfe\xff")) {
		return f
	}
	line := 1
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			f.Line, f.Text, f.Remedy = line, fmt.Sprintf("the byte %#02x is not UTF-8", data[i]), "save the file as UTF-8"
			return f
		case r < ' ' && r != '\n' && r != '\r' && r != '\t', r == 0x7f:
			f.Line, f.Text, f.Remedy = line, fmt.Sprintf("the control character %#02x", r), "take it out, or write it as \"\\x..\" in quotes"
			return f
		case r == '\n':
			line++
		}
		i += n
	}
	return f
}

func goType(t string) string {
	switch {
	case strings.HasPrefix(t, "[]"):
		return "a list"
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"):
		return "a whole number"
	case t == "string":
		return "a text"
	case t == "bool":
		return "true or false"
	}
	return "a block of keys"
}

func yamlType(t string) string {
	switch t {
	case "str":
		return "text"
	case "map":
		return "a block of keys"
	case "seq":
		return "a list"
	}
	return t
}

// Line finds the line of the value at path, such as Line("hosts", 0, "name");
// where a part is missing, the line of the nearest part that exists.
func (d *Document) Line(path ...any) int {
	n := d.root
	if n.Kind == yaml.DocumentNode && len(n.Content) > 0 {
		n = n.Content[0]
	}
	line := n.Line
	for _, p := range path {
		n = child(n, p)
		if n == nil {
			return line
		}
		line = n.Line
	}
	return line
}

func child(n *yaml.Node, p any) *yaml.Node {
	switch p := p.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && p < len(n.Content) {
			return n.Content[p]
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == p {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// Fault makes a fault at path.
func (d *Document) Fault(text, remedy string, path ...any) Fault {
	return Fault{File: d.file, Line: d.Line(path...), Text: text, Remedy: remedy}
}
