package eventlog

import (
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The limits of Parse.
const (
	maxQuery = 64 << 10 // bytes
	maxDepth = 64       // parentheses and nots in each other
)

// Parse reads a query; docs/formats/events.md describes the language. Pipes
// are what follows the first "|": for the store alone, not for Match. The
// error is a QueryError.
func Parse(query string) (e Expr, pipes string, err error) {
	p := &parser{s: query}
	if len(query) > maxQuery {
		return e, "", p.fail(0, "it is longer than 64 KiB")
	}
	if !utf8.ValidString(query) {
		return e, "", p.fail(0, "it is not UTF-8")
	}
	p.space()
	if p.i == len(p.s) {
		return e, "", nil
	}
	if p.s[p.i] != '|' {
		if e.n, err = p.or(""); err != nil {
			return Expr{}, "", err
		}
	}
	p.space()
	if p.i < len(p.s) && p.s[p.i] == '|' {
		pipes = strings.TrimSpace(p.s[p.i+1:])
		p.i = len(p.s)
		if pipes == "" {
			return Expr{}, "", p.fail(p.i, "nothing follows the \"|\"")
		}
	}
	if p.i < len(p.s) {
		return Expr{}, "", p.fail(p.i, "unexpected \""+p.s[p.i:p.i+1]+"\"")
	}
	if e.n.everything() {
		e.n = nil
	}
	return e, pipes, nil
}

// everything tells whether n is the lone "*".
func (n *node) everything() bool {
	return n != nil && n.op == opSet && n.field == anyField
}

type parser struct {
	s     string
	i     int
	depth int
}

func (p *parser) fail(at int, text string) error { return QueryError{Query: p.s, At: at, Text: text} }

func (p *parser) space() {
	for p.i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		if !unicode.IsSpace(r) {
			return
		}
		p.i += n
	}
}

// word takes an operator word that stands alone.
func (p *parser) word(w string) bool {
	p.space()
	end := p.i + len(w)
	if end > len(p.s) || !strings.EqualFold(p.s[p.i:end], w) {
		return false
	}
	if end < len(p.s) && strings.IndexByte(" \t\r\n()\"!", p.s[end]) < 0 {
		return false
	}
	p.i = end
	return true
}

func (p *parser) or(field string) (*node, error) {
	n, err := p.and(field)
	if err != nil {
		return nil, err
	}
	kids := []*node{n}
	for p.word("or") {
		if n, err = p.and(field); err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &node{op: opOr, kids: kids}, nil
}

func (p *parser) and(field string) (*node, error) {
	n, err := p.unary(field)
	if err != nil {
		return nil, err
	}
	kids := []*node{n}
	for {
		at := p.i
		explicit := p.word("and")
		p.space()
		if !explicit && (p.i == len(p.s) || p.s[p.i] == ')' || p.s[p.i] == '|' || p.word("or")) {
			p.i = at
			break
		}
		if n, err = p.unary(field); err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &node{op: opAnd, kids: kids}, nil
}

func (p *parser) unary(field string) (*node, error) {
	p.space()
	if p.depth++; p.depth > maxDepth {
		return nil, p.fail(p.i, "it is nested too deeply")
	}
	defer func() { p.depth-- }()
	at := p.i
	switch {
	case p.i == len(p.s):
		return nil, p.fail(p.i, "it ends where a condition is expected")
	case p.word("not"):
		return p.not(field)
	case p.s[p.i] == '!' && !strings.HasPrefix(p.s[p.i:], "!=") && !strings.HasPrefix(p.s[p.i:], "!~"), p.s[p.i] == '-':
		p.i++
		return p.not(field)
	case p.s[p.i] == '(':
		p.i++
		n, err := p.or(field)
		if err != nil {
			return nil, err
		}
		p.space()
		if p.i == len(p.s) || p.s[p.i] != ')' {
			return nil, p.fail(at, "the parenthesis is not closed")
		}
		p.i++
		return n, nil
	}
	return p.term(field)
}

func (p *parser) not(field string) (*node, error) {
	n, err := p.unary(field)
	if err != nil {
		return nil, err
	}
	return &node{op: opNot, kids: []*node{n}}, nil
}

// term is [field:]value.
func (p *parser) term(field string) (*node, error) {
	if field != "" {
		return p.value(field)
	}
	at := p.i
	name, ok, err := p.name()
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return p.value(anyField)
	}
	if _, known := columns[name]; name != anyField && (!known || name == columnMark) {
		return nil, p.fail(at, "no field is called "+strconv.Quote(name)+near(name))
	}
	if p.space(); p.i < len(p.s) && strings.IndexByte("(!-", p.s[p.i]) >= 0 {
		return p.unary(name)
	}
	return p.value(name)
}

// name takes a field's name and its colon, or nothing.
func (p *parser) name() (name string, ok bool, err error) {
	start := p.i
	if p.s[p.i] == '"' {
		text, _, err := p.text()
		if err != nil {
			return "", false, err
		}
		if p.i < len(p.s) && p.s[p.i] == ':' {
			p.i++
			return text, true, nil
		}
		p.i = start
		return "", false, nil
	}
	for i := p.i; i < len(p.s); i++ {
		switch c := p.s[i]; {
		case c == ':' && i > p.i:
			name, p.i = p.s[p.i:i], i+1
			return name, true, nil
		case c == '*' || c == '@' || c == '.' || c == '_' || c == '-' && i > p.i || isWord(rune(c)) && c < 0x80:
		default:
			return "", false, nil
		}
	}
	return "", false, nil
}

// text takes a quoted text or a bare one; star says that "*" follows it.
func (p *parser) text() (text string, quoted bool, err error) {
	start := p.i
	if p.i < len(p.s) && (p.s[p.i] == '"' || p.s[p.i] == '\'' || p.s[p.i] == '`') {
		quote := p.s[p.i]
		for p.i++; p.i < len(p.s) && p.s[p.i] != quote; p.i++ {
			if p.s[p.i] == '\\' && quote != '`' {
				p.i++
			}
		}
		if p.i >= len(p.s) {
			return "", false, p.fail(start, "the quote is not closed")
		}
		p.i++
		raw := p.s[start:p.i]
		if quote == '\'' {
			raw = `"` + strings.ReplaceAll(strings.ReplaceAll(raw[1:len(raw)-1], `\'`, `'`), `"`, `\"`) + `"`
		}
		if text, err = strconv.Unquote(raw); err != nil {
			return "", false, p.fail(start, "the quoted text has a bad escape")
		}
		return text, true, nil
	}
	for p.i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		if unicode.IsSpace(r) || strings.ContainsRune("()\"'`|,*", r) {
			break
		}
		p.i += n
	}
	return p.s[start:p.i], false, nil
}

func (p *parser) star() bool {
	if p.i < len(p.s) && p.s[p.i] == '*' {
		p.i++
		return true
	}
	return false
}

// operators in the order in which they are tried.
func operator(s string) (o op, size int) {
	switch {
	case strings.HasPrefix(s, "!="), strings.HasPrefix(s, "!~"):
		return opNot, 1
	case strings.HasPrefix(s, ">="):
		return opMoreEqual, 2
	case strings.HasPrefix(s, "<="):
		return opLessEqual, 2
	case strings.HasPrefix(s, ">"):
		return opMore, 1
	case strings.HasPrefix(s, "<"):
		return opLess, 1
	case strings.HasPrefix(s, "="):
		return opExact, 1
	case strings.HasPrefix(s, "~"):
		return opRegexp, 1
	}
	return opWord, 0
}

func (p *parser) value(field string) (*node, error) {
	p.space()
	at := p.i
	o, size := operator(p.s[p.i:])
	p.i += size
	n := &node{op: o, field: field}
	switch o {
	case opNot:
		k, err := p.value(field)
		if err != nil {
			return nil, err
		}
		return &node{op: opNot, kids: []*node{k}}, nil
	case opWord:
		return p.words(n, at)
	}
	text, quoted, err := p.text()
	if err != nil {
		return nil, err
	}
	if n.text = text; text == "" && !quoted {
		return nil, p.fail(p.i, "a value is missing")
	}
	switch o {
	case opExact:
		if p.star() {
			n.op = opExactPrefix
		}
	case opRegexp:
		if n.re, err = regexp.Compile("(?s)" + text); err != nil {
			return nil, p.fail(at, "the regular expression is wrong ("+strings.TrimPrefix(err.Error(), "error parsing regexp: ")+")")
		}
	default:
		if k := kinds[field]; k != kindInt && k != kindFloat {
			return nil, p.fail(at, "only a field that holds numbers can be compared")
		}
		if n.num, err = strconv.ParseFloat(text, 64); err != nil {
			return nil, p.fail(at, strconv.Quote(text)+" is not a number")
		}
	}
	return n, nil
}

// words is a value without an operator.
func (p *parser) words(n *node, at int) (*node, error) {
	if p.star() {
		text, quoted, err := p.text()
		if err != nil {
			return nil, err
		}
		if n.text = text; text == "" && !quoted {
			n.op = opSet
			return n, nil
		}
		if n.op = opPart; !p.star() {
			return nil, p.fail(p.i, "a \"*\" is missing after *"+text)
		}
		return n, nil
	}
	for _, f := range []string{"in(", "i(", "ipv4_range(", "ipv6_range("} {
		if strings.HasPrefix(p.s[p.i:], f) {
			p.i += len(f)
			return p.call(n, f, at)
		}
	}
	text, quoted, err := p.text()
	if err != nil {
		return nil, err
	}
	if text == "" && !quoted {
		if p.i < len(p.s) {
			return nil, p.fail(p.i, "unexpected \""+p.s[p.i:p.i+1]+"\"")
		}
		return nil, p.fail(p.i, "a value is missing")
	}
	if text == "" {
		n.op = opSet
		if p.star() {
			return n, nil
		}
		return &node{op: opNot, kids: []*node{n}}, nil // the field is not there
	}
	n.text = text
	if p.star() {
		n.op = opPrefix
		return n, nil
	}
	return n.address(), nil
}

// address makes of the value of an address field what a person means by it.
func (n *node) address() *node {
	if !strings.HasSuffix(n.field, ".ip") || kinds[n.field] != kindText {
		return n
	}
	if a, err := netip.ParseAddr(n.text); err == nil {
		n.op, n.text = opExact, a.Unmap().String()
	} else if net, err := netip.ParsePrefix(n.text); err == nil {
		n.op, n.net = opNet, net.Masked()
		n.text = n.net.String()
		if n.net.Contains(mapped(netip.IPv4Unspecified())) {
			v4 := &node{op: opNet, field: n.field, text: "0.0.0.0/0", net: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
			return &node{op: opAnd, kids: []*node{n, {op: opNot, kids: []*node{v4}}}}
		}
	}
	return n
}

// mapped is an address as the log's ipv6_range sees it: an IPv4 address lies
// in ::ffff:0:0/96 there, so that ::/64, of the machine's own ::1, holds all of
// them. A network that a person writes does not mean that.
func mapped(a netip.Addr) netip.Addr { return netip.AddrFrom16(a.As16()) }

// call is in(a, b, …) or i(text).
func (p *parser) call(n *node, name string, at int) (*node, error) {
	var kids []*node
	for {
		p.space()
		text, quoted, err := p.text()
		if err != nil {
			return nil, err
		}
		if text == "" && (!quoted || name == "i(") {
			return nil, p.fail(p.i, "a value is missing")
		}
		k := &node{op: opExact, field: n.field, text: text}
		if name == "i(" {
			k.op, k.fold, k.text = opWord, true, strings.ToLower(text)
			if p.star() {
				k.op = opPrefix
			}
		}
		if name[:2] == "ip" {
			if k.net, err = netip.ParsePrefix(text); err != nil {
				return nil, p.fail(at, strconv.Quote(text)+" is no network; write one such as 192.0.2.0/24")
			}
			k.op, k.net = opNet, k.net.Masked()
			k.text = k.net.String()
		}
		kids = append(kids, k)
		p.space()
		if p.i < len(p.s) && p.s[p.i] == ',' && name == "in(" {
			p.i++
			continue
		}
		break
	}
	if p.i == len(p.s) || p.s[p.i] != ')' {
		return nil, p.fail(at, name+"…) is not closed")
	}
	p.i++
	if len(kids) == 1 {
		return kids[0], nil
	}
	return &node{op: opOr, kids: kids}, nil
}

// near proposes a field for one that does not exist.
func near(name string) string {
	if name == "_time" {
		return "; say --since"
	}
	best, score := "", 3
	for c := range columns {
		if d := distance(name, c); d < score || d == score && c < best {
			best, score = c, d
		}
		if strings.HasSuffix(c, "."+name) && (score > 0 || c < best) {
			best, score = c, 0
		}
	}
	if best == "" {
		return "; a value that holds \":\" must stand in quotes"
	}
	return "; did you mean " + best + "?"
}

// distance is the edit distance of two short texts.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 {
		return 64
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		prev := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			prev, row[j+1] = row[j+1], min(prev+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
