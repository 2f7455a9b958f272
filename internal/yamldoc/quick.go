package yamldoc

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// quick reads the plain part of YAML that nearly every rule file keeps to:
// one document of blocks and lists by indentation, scalars on one line, literal
// texts. It is several times as fast as the full parser. Whatever it does not
// know for sure it leaves to the full parser, so it need not know everything; the
// nodes are the same but for columns, comments and tags, which ShortTag finds.
type quick struct {
	lines []quickLine
	i     int
	nodes []Node
	count int
	whole bool // the last line ends with a line break
}

// quickLine is a line without its indentation.
type quickLine struct {
	text   string
	indent int
	blank  bool // empty or a comment
}

// parseQuick gives the root, or nil for what the full parser must read.
func parseQuick(data []byte) *Node {
	if !quickText(data) {
		return nil
	}
	q := &quick{whole: len(data) > 0 && data[len(data)-1] == '\n'}
	q.split(string(data))
	q.skip()
	if q.i == len(q.lines) || q.lines[q.i].indent != 0 {
		return nil
	}
	n := q.block(0, 0)
	q.skip()
	if n == nil || q.i != len(q.lines) || n.Kind != Map || q.count > MaxNodes {
		return nil
	}
	return n
}

// quickText refuses tabs, control characters and rare line breaks.
func quickText(data []byte) bool {
	ascii := true
	for _, c := range data {
		if c < ' ' && c != '\n' || c == 0x7f {
			return false
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return true
	}
	for i := 0; i < len(data); {
		r, n := utf8.DecodeRune(data[i:])
		if r == utf8.RuneError || r > 0x7f && r < 0xa0 || r == 0x2028 || r == 0x2029 || r == 0xfeff || r >= 0xfff0 && r <= 0xffff {
			return false
		}
		i += n
	}
	return true
}

func (q *quick) split(s string) {
	q.lines = make([]quickLine, 0, strings.Count(s, "\n")+1)
	for len(s) > 0 {
		line, rest, _ := strings.Cut(s, "\n")
		s = rest
		text := strings.TrimLeft(line, " ")
		q.lines = append(q.lines, quickLine{text: text, indent: len(line) - len(text), blank: text == "" || text[0] == '#'})
	}
}

// skip goes to the next line that says something.
func (q *quick) skip() {
	for q.i < len(q.lines) && q.lines[q.i].blank {
		q.i++
	}
}

func (q *quick) node(kind yaml.Kind, line int) *Node {
	if len(q.nodes) == 0 {
		q.nodes = make([]Node, 32)
	}
	n := &q.nodes[0]
	q.nodes = q.nodes[1:]
	n.Kind, n.Line = kind, line
	q.count++
	return n
}

func isItem(text string) bool { return strings.HasPrefix(text, "- ") }

// block reads the map or list that begins at the present line.
func (q *quick) block(indent, depth int) *Node {
	if depth > MaxDepth/2 {
		return nil
	}
	if isItem(q.lines[q.i].text) {
		return q.list(indent, depth)
	}
	return q.mapping(indent, depth)
}

func (q *quick) mapping(indent, depth int) *Node {
	m := q.node(Map, q.i+1)
	for {
		q.skip()
		if q.i == len(q.lines) || q.lines[q.i].indent < indent {
			return m
		}
		l := q.lines[q.i]
		if l.indent > indent || strings.HasPrefix(l.text, "---") || strings.HasPrefix(l.text, "...") {
			return nil
		}
		if isItem(l.text) {
			return m // the caller knows whether that can be
		}
		key, rest, ok := q.key(l.text)
		if !ok {
			return nil
		}
		v := q.value(rest, indent, depth)
		if v == nil {
			return nil
		}
		m.Content = append(m.Content, key, v)
	}
}

// key reads "key:" and gives what follows it.
func (q *quick) key(text string) (*Node, string, bool) {
	n := q.node(Scalar, q.i+1)
	if text[0] == '\'' {
		end := strings.IndexByte(text[1:], '\'') + 1
		if end == 0 || end+1 >= len(text) || text[end+1] != ':' {
			return nil, "", false
		}
		n.Value, n.Style = text[1:end], yaml.SingleQuotedStyle
		text = text[end+1:]
	} else {
		end := strings.IndexByte(text, ':')
		if end <= 0 || !plainKey(text[:end]) {
			return nil, "", false
		}
		n.Value = text[:end]
		text = text[end:]
	}
	if len(text) > 1 && text[1] != ' ' {
		return nil, "", false
	}
	return n, strings.Trim(text[1:], " "), true
}

func plainKey(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_':
		case i > 0 && (c == '-' || c == '|' || c == '.' || c == '$' || c == '/'):
		case i > 0 && i < len(s)-1 && c == ' ':
		default:
			return false
		}
	}
	return true
}

// value reads what follows a key of a map at indent.
func (q *quick) value(rest string, indent, depth int) *Node {
	line := q.i
	if rest == "|" || rest == "|-" {
		return q.literal(indent, rest == "|-")
	}
	if rest != "" && rest[0] != '#' {
		n := q.scalar(rest, indent)
		return n
	}
	q.i++
	q.skip()
	if q.i == len(q.lines) {
		return nil
	}
	l := q.lines[q.i]
	switch {
	case l.indent > indent:
		return q.block(l.indent, depth+1)
	case l.indent == indent && isItem(l.text):
		return q.list(indent, depth+1)
	}
	q.i = line
	return nil
}

func (q *quick) list(indent, depth int) *Node {
	n := q.node(List, q.i+1)
	for {
		q.skip()
		if q.i == len(q.lines) || q.lines[q.i].indent < indent {
			return n
		}
		l := q.lines[q.i]
		if l.indent > indent {
			return nil
		}
		if !isItem(l.text) {
			return n
		}
		rest := strings.TrimLeft(l.text[2:], " ")
		if rest == "" || rest[0] == '#' || isItem(rest) || rest == "-" {
			return nil
		}
		item := q.item(rest, l, indent, depth)
		if item == nil {
			return nil
		}
		n.Content = append(n.Content, item)
	}
}

// item reads what follows a dash: a map that begins on the same line, or a
// scalar.
func (q *quick) item(rest string, l quickLine, indent, depth int) *Node {
	if !isEntry(rest) {
		return q.scalar(strings.TrimRight(rest, " "), indent)
	}
	if depth > MaxDepth/2 {
		return nil
	}
	col := l.indent + len(l.text) - len(rest)
	q.lines[q.i] = quickLine{text: rest, indent: col}
	return q.mapping(col, depth+1)
}

// isEntry tells whether the text after a dash is a key and a value.
func isEntry(s string) bool {
	if s[0] == '\'' || s[0] == '"' {
		end := strings.IndexByte(s[1:], s[0]) + 1
		return end > 0 && end+1 < len(s) && s[end+1] == ':'
	}
	if at := strings.Index(s, " #"); at >= 0 {
		s = s[:at]
	}
	s = strings.TrimRight(s, " ")
	return strings.Contains(s, ": ") || strings.HasSuffix(s, ":")
}

// scalar reads a text, number or the like on the present line; indent is that
// of the block it stands in.
func (q *quick) scalar(s string, indent int) *Node {
	n := q.node(Scalar, q.i+1)
	switch s[0] {
	case '\'', '"':
		if !quoted(n, s) {
			return nil
		}
	case '[', '{', '&', '*', '!', '|', '>', '%', '@', '`', ']', '}', ',', '#', '?', ':':
		return nil
	default:
		if at := strings.Index(s, " #"); at >= 0 {
			s = strings.TrimRight(s[:at], " ")
		}
		if s == "-" || isItem(s) || strings.Contains(s, ": ") || strings.HasSuffix(s, ":") {
			return nil
		}
		n.Value = s
	}
	q.i++
	for j := q.i; j < len(q.lines); j++ { // a longer line would go on with it
		if q.lines[j].text == "" {
			continue
		}
		if q.lines[j].indent > indent {
			return nil
		}
		break
	}
	return n
}

// quoted reads a quoted text without escapes that ends on its line.
func quoted(n *Node, s string) bool {
	quote := s[0]
	end := 1
	for end < len(s) && (s[end] != quote || quote == '\'' && end+1 < len(s) && s[end+1] == quote) {
		if s[end] == quote {
			end++
		}
		if s[end] == '\\' && quote == '"' {
			return false
		}
		end++
	}
	if end >= len(s) {
		return false
	}
	if rest := s[end+1:]; strings.TrimLeft(rest, " ") != "" && !strings.HasPrefix(strings.TrimLeft(rest, " "), "#") || strings.HasPrefix(rest, "#") {
		return false
	}
	n.Value = s[1:end]
	if quote == '"' {
		n.Style = yaml.DoubleQuotedStyle
		return true
	}
	n.Style = yaml.SingleQuotedStyle
	n.Value = strings.ReplaceAll(n.Value, "''", "'")
	return true
}

// literal reads a text behind |.
func (q *quick) literal(indent int, strip bool) *Node {
	n := q.node(Scalar, q.i+1)
	n.Style = yaml.LiteralStyle
	q.i++
	if q.i == len(q.lines) || q.lines[q.i].text == "" || q.lines[q.i].indent <= indent {
		return nil
	}
	var b bytes.Buffer
	in, gap := q.lines[q.i].indent, 0
	for ; q.i < len(q.lines); q.i++ {
		l := q.lines[q.i]
		if l.text == "" {
			if l.indent > in {
				return nil
			}
			gap++
			continue
		}
		if l.indent <= indent {
			break
		}
		if l.indent < in {
			return nil
		}
		for ; gap > 0; gap-- {
			b.WriteByte('\n')
		}
		b.WriteString(strings.Repeat(" ", l.indent-in))
		b.WriteString(l.text)
		b.WriteByte('\n')
	}
	if q.i == len(q.lines) && !q.whole {
		return nil
	}
	n.Value = b.String()
	if strip {
		n.Value = strings.TrimSuffix(n.Value, "\n")
	}
	return n
}
