package event

import (
	"net/netip"
	"strings"
	"time"
)

// Stamp is what a receiver sets in events that come as lines.
type Stamp struct {
	Observer string    // observer.name
	Ingested time.Time // event.ingested
	Decode   []string  // lines with a name that begins with one of these are to be decoded
	Kind     string    // lines of this event.kind are to be decoded
}

// What a name of AppendJSON holds.
type content uint8

const (
	text content = iota
	stamp
	address
	port
	small // a number of at most nine digits, not 0
	whole // of at most 18
	depthWord
	kindWord
	ours // what the receiver sets: the line is to be decoded
)

type known struct {
	name string
	is   content
}

// The places of names in written; that of a port is after its address.
const (
	timeAt = iota
	idAt
	ingestedAt
	kindAt
	categoryAt
	typeAt
	actionAt
	outcomeAt
	datasetAt
	reasonAt
	sourceAt
	_
	destinationAt
	_
	transportAt
	protocolAt
	userAt
	observerAt
	hostAt
	decoyAt
	personaAt
	connectionAt
	sessionAt
	depthAt
	logTypeAt
	commandAt
	exitAt
	pathAt
	sizeAt
	sumAt
	urlAt
	exerciseAt
)

// written are the names of AppendJSON in its order.
var written = [...]known{
	timeAt:            {"@timestamp", stamp},
	idAt:              {"event.id", text},
	ingestedAt:        {"event.ingested", ours},
	kindAt:            {"event.kind", kindWord},
	categoryAt:        {"event.category", text},
	typeAt:            {"event.type", text},
	actionAt:          {"event.action", text},
	outcomeAt:         {"event.outcome", text},
	datasetAt:         {"event.dataset", text},
	reasonAt:          {"event.reason", text},
	sourceAt:          {"source.ip", address},
	sourceAt + 1:      {"source.port", port},
	destinationAt:     {"destination.ip", address},
	destinationAt + 1: {"destination.port", port},
	transportAt:       {"network.transport", text},
	protocolAt:        {"network.protocol", text},
	userAt:            {"user.name", text},
	observerAt:        {"observer.name", ours},
	hostAt:            {"lapwing.host", text},
	decoyAt:           {"lapwing.decoy", text},
	personaAt:         {"lapwing.persona", text},
	connectionAt:      {"lapwing.connection.id", text},
	sessionAt:         {"lapwing.session.id", text},
	depthAt:           {"lapwing.depth", depthWord},
	logTypeAt:         {"logtype", small},
	commandAt:         {"process.command_line", text},
	exitAt:            {"process.exit_code", whole},
	pathAt:            {"file.path", text},
	sizeAt:            {"file.size", whole},
	sumAt:             {"file.hash.sha256", text},
	urlAt:             {"url.original", text},
	exerciseAt:        {"lapwing.exercise.id", ours},
}

// nameIndex is the place of a name in written, -1 for another.
func nameIndex[T string | []byte](name T) int {
	for k := range written {
		if string(name) == written[k].name {
			return k
		}
	}
	return -1
}

// Append appends line with the stamp in it, as Decode, setting the fields and
// AppendJSON would, at a fraction of their cost. ok is false and dst as it was
// where that cannot be told for sure: for a line that AppendJSON would write
// otherwise, one that has the fields already or an exercise, one with bytes
// above ASCII, lists or fractions, one without an id, and one that s.Decode
// names (of the names with a place of their own, it can be url.original alone).
// Such a line is to be decoded.
func (s *Stamp) Append(dst, line []byte) (out []byte, ok bool) {
	c := checker{b: line, decode: s.Decode, kind: s.Kind}
	if len(line) > MaxLine || !c.object() || !c.seen[idAt] || (c.seen[pathAt] || c.seen[sumAt]) != c.seen[sizeAt] {
		return dst, false
	}
	w := writer(append(dst, line[:c.ingested]...))
	w.time(`,"event.ingested":`, s.Ingested)
	w = append(w, line[c.ingested:c.observer]...)
	w.str(`,"observer.name":`, s.Observer)
	return append(w, line[c.observer:]...), true
}

// checker goes through a line that AppendJSON may have written.
type checker struct {
	b      []byte
	i      int
	decode []string
	kind   string

	seen               [len(written)]bool
	next               int // in written
	ingested, observer int // where to put these
}

func (c *checker) object() bool {
	if !c.take('{') {
		return false
	}
	for n := 0; ; n++ {
		at := c.i
		if c.take('}') {
			c.pass(len(written), at)
			return n > 0 && c.i == len(c.b)
		}
		if n >= MaxFields-2 || n > 0 && !c.take(',') || !c.field(at) {
			return false
		}
	}
}

// pass notes the places that are before the name number k, which begins at.
func (c *checker) pass(k, at int) {
	if c.ingested == 0 && k > ingestedAt {
		c.ingested = at
	}
	if c.observer == 0 && k > observerAt {
		c.observer = at
	}
}

// field takes a name and its value; before them is the place at.
func (c *checker) field(at int) bool {
	rest := c.b[c.i:]
	for k := c.next; k < len(written); k++ {
		n := len(written[k].name)
		if len(rest) < n+3 || rest[n+1] != '"' || rest[n+2] != ':' || string(rest[1:n+1]) != written[k].name || rest[0] != '"' {
			continue
		}
		if k == urlAt && c.named([]byte(written[k].name)) {
			return false
		}
		c.i += n + 3
		c.pass(k, at)
		c.next, c.seen[k] = k+1, true
		return c.value(written[k].is)
	}
	name, ok := c.text()
	if !ok || !c.take(':') {
		return false
	}
	if !plainName(name) || nameIndex(name) >= 0 || c.named(name) { // twice, or out of order
		return false
	}
	c.pass(len(written), at)
	c.next = len(written)
	if c.i < len(c.b) && c.b[c.i] == '"' {
		_, ok := c.text()
		return ok
	}
	return c.number(18)
}

// named tells of a name for which the line is to be decoded.
func (c *checker) named(name []byte) bool {
	for _, p := range c.decode {
		if len(name) >= len(p) && string(name[:len(p)]) == p {
			return true
		}
	}
	return false
}

// plainName tells of a name that it needs no escape and is not typed.
func plainName(name []byte) bool {
	for _, b := range name {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '.' && b != '_' {
			return false
		}
	}
	return true
}

func (c *checker) value(is content) bool {
	switch is {
	case small:
		return c.i < len(c.b) && c.b[c.i] != '0' && c.number(9)
	case port:
		return c.seen[c.next-2] && c.port()
	case whole:
		return c.number(9)
	case ours:
		return false
	}
	v, ok := c.text()
	if !ok {
		return false
	}
	switch is {
	case stamp:
		return timeForm(v)
	case address:
		return c.address(v)
	case kindWord:
		return string(v) != c.kind
	case depthWord:
		return ParseDepth(string(v)) != DepthNone
	}
	return true
}

// port takes a number of 16 bits; the name before it was the address.
func (c *checker) port() bool {
	from, n := c.i, 0
	if !c.number(5) {
		return false
	}
	for _, b := range c.b[from:c.i] {
		n = n*10 + int(b) - '0'
	}
	return c.b[from] != '-' && n <= 65535
}

// address checks that v is written as we write it, and that its port follows.
func (c *checker) address(v []byte) bool {
	if !quad(v) {
		a, err := netip.ParseAddr(string(v))
		if err != nil {
			return false
		}
		var buf [64]byte
		if string(a.Unmap().WithZone("").AppendTo(buf[:0])) != string(v) {
			return false
		}
	}
	rest, ok := c.b[c.i:], true
	for _, part := range [...]string{`,"`, written[c.next].name, `":`} {
		if ok = len(rest) >= len(part) && string(rest[:len(part)]) == part; !ok {
			break
		}
		rest = rest[len(part):]
	}
	return ok
}

// quad tells of an IPv4 address as we write it.
func quad(v []byte) bool {
	dots, n, digits := 0, 0, 0
	for _, b := range v {
		switch {
		case b == '.' && digits > 0:
			dots++
			n, digits = 0, 0
		case b < '0' || b > '9' || digits > 0 && n == 0: // a zero in front
			return false
		default:
			n, digits = n*10+int(b-'0'), digits+1
		}
		if n > 255 {
			return false
		}
	}
	return dots == 3 && digits > 0
}

func (c *checker) take(b byte) bool {
	if c.i < len(c.b) && c.b[c.i] == b {
		c.i++
		return true
	}
	return false
}

// text takes a string that is not empty, has only ASCII in it, and only those
// escapes that have a letter.
func (c *checker) text() ([]byte, bool) {
	if !c.take('"') {
		return nil, false
	}
	from := c.i
	c.i += plain(c.b[from:])
	for ; c.i < len(c.b); c.i++ {
		switch b := c.b[c.i]; {
		case b == '"':
			c.i++
			return c.b[from : c.i-1], c.i-1 > from
		case b == '\\':
			c.i++
			if c.i >= len(c.b) || strings.IndexByte(`"\nrt`, c.b[c.i]) < 0 {
				return nil, false
			}
		case b < 0x20 || b >= 0x7f:
			return nil, false
		}
	}
	return nil, false
}

// number takes a whole number of at most so many digits, as we write it.
func (c *checker) number(digits int) bool {
	minus := c.take('-')
	from := c.i
	for c.i < len(c.b) && c.b[c.i] >= '0' && c.b[c.i] <= '9' {
		c.i++
	}
	n := c.i - from
	return n > 0 && n <= digits && (c.b[from] != '0' || n == 1 && !minus)
}

// timeForm checks a time in timeLayout.
func timeForm(v []byte) bool {
	if len(v) != len(timeLayout) {
		return false
	}
	for i, b := range v {
		switch l := timeLayout[i]; {
		case l >= '0' && l <= '9':
			if b < '0' || b > '9' {
				return false
			}
		case b != l:
			return false
		}
	}
	two := func(i int) int { return int(v[i]-'0')*10 + int(v[i+1]-'0') }
	month, day := two(5), two(8)
	// Every month has 28 days; the rest of them are for Decode to check.
	return string(v[:4]) != "0001" && month >= 1 && month <= 12 && day >= 1 && day <= 28 && two(11) < 24 && two(14) < 60 && two(17) < 60
}
