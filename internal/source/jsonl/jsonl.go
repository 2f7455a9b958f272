// Package jsonl reads JSON objects into the fields of a sigma.Record in one
// pass: nested objects become names with dots, arrays several values, and the
// layouts in which shippers wrap Windows events are unwrapped as the mapping of
// log sources says. Values that hold no escapes are not copied.
package jsonl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// MaxDepth is how deep objects and arrays are taken apart. What is nested deeper
// is the value of its name as JSON text, in which keywords and |contains find
// what it holds.
const MaxDepth = 64

const (
	maxNodes  = 1 << 14 // distinct paths remembered; more are resolved each time
	tableSize = 1 << 13
	maxPath   = 1 << 10 // bytes of a path; what is deeper keeps the path of its parent
)

// ErrNotObject is given for JSON that is not one object.
var ErrNotObject = errors.New("not a JSON object")

// SyntaxError says where JSON stops being JSON.
type SyntaxError struct {
	Offset int // in bytes from the start of the object
	What   string
	Whole  bool // the object is whole: at Offset something else begins
	Seen   int  // how many bytes were looked at before it was known
}

// Error says it for people.
func (e *SyntaxError) Error() string { return fmt.Sprintf("byte %d: %s", e.Offset+1, e.What) }

// Scanner scans objects. It serves one goroutine.
type Scanner struct {
	fields *sigma.Fields
	m      *logsource.Mapping
	seen   int
	gen    uint32 // of the object
	nodes  []node
	table  []int32
	arena  []byte
	rec    *sigma.Record
	head   *logsource.Head
	fault  SyntaxError
}

// node is a path that was met before.
type node struct {
	key    []byte // as written, without its parent's path
	name   []byte // of the field
	path   string
	id     sigma.FieldID
	parent int32
	next   int32  // the key that followed it last time
	gen    uint32 // of the object that had it last
	role   role
	weak   bool
	data   bool // unnamed data of an event: arrays are joined
	plain  bool // the key stands in the source as it is, without escapes
}

type role uint8

const (
	roleNone role = iota
	roleChannel
	roleProvider
	roleEventID
)

// NewScanner makes a Scanner that names fields as the mapping says.
func NewScanner(f *sigma.Fields, m *logsource.Mapping) *Scanner {
	s := &Scanner{fields: f, m: m, table: make([]int32, tableSize)}
	s.forget()
	return s
}

func (s *Scanner) forget() {
	s.seen = s.fields.Len()
	s.nodes = append(s.nodes[:0], node{id: sigma.NoField, parent: -1})
	clear(s.table)
}

// Scan empties rec and fills it with the fields of one object. Of head it sets
// Channel, Provider and EventID. The bytes of obj must stay as they are until
// the record is reset. The error is ErrNotObject or a *SyntaxError that is good
// until the next Scan; the record then holds what stood before the fault. A name
// that an object has twice has both values: neither hides the other, whichever
// of them the program that wrote the record, or reads it, believes.
func (s *Scanner) Scan(obj []byte, rec *sigma.Record, head *logsource.Head) error {
	if s.seen != s.fields.Len() || len(s.nodes) > maxNodes {
		s.forget()
	}
	rec.Reset()
	if s.gen++; s.gen == 0 { // after four billion objects
		s.forget()
		s.gen = 1
	}
	s.arena = s.arena[:0]
	s.rec, s.head = rec, head
	head.Channel, head.Provider, head.EventID = nil, nil, nil
	s.fault = SyntaxError{}
	p := space(obj, 0)
	if p >= len(obj) || obj[p] != '{' {
		return ErrNotObject
	}
	if p = s.object(obj, p+1, 0, 1, false); p < 0 {
		return &s.fault
	}
	if p = space(obj, p); p != len(obj) {
		s.fault = SyntaxError{Offset: p, What: "text after the object", Whole: true, Seen: p}
		return &s.fault
	}
	return nil
}

func (s *Scanner) fail(p int, what string) int {
	if s.fault.What == "" {
		s.fault = SyntaxError{Offset: p, What: what, Seen: p}
	}
	return -1
}

// open is the fault of a string that begins at p and does not end.
func (s *Scanner) open(b []byte, p int) int {
	if s.fault.What == "" {
		s.fault = SyntaxError{Offset: p, What: "the quote is not closed", Seen: len(b)}
	}
	return -1
}

func space(b []byte, p int) int {
	for p < len(b) && (b[p] == ' ' || b[p] == '\n' || b[p] == '\r' || b[p] == '\t') {
		p++
	}
	return p
}

// object scans behind the opening brace; add: values join those already there.
func (s *Scanner) object(b []byte, p int, parent int32, depth int, add bool) int {
	p = space(b, p)
	if p < len(b) && b[p] == '}' {
		return p + 1
	}
	prev := parent
	for {
		if p >= len(b) || b[p] != '"' {
			return s.fail(p, "a name in quotes was expected")
		}
		n, end := s.key(b, p+1, parent, prev)
		if end < 0 {
			return s.open(b, p)
		}
		prev = n
		if p = space(b, end+1); p >= len(b) || b[p] != ':' {
			return s.fail(p, "a colon was expected")
		}
		if p = s.value(b, space(b, p+1), n, depth, add); p < 0 {
			return -1
		}
		if p = space(b, p); p >= len(b) {
			return s.fail(p, "the object is cut off")
		}
		switch b[p] {
		case ',':
			p = space(b, p+1)
		case '}':
			return p + 1
		default:
			return s.fail(p, "a comma or a closing brace was expected")
		}
	}
}

func (s *Scanner) value(b []byte, p int, n int32, depth int, add bool) int {
	if p >= len(b) {
		return s.fail(p, "a value was expected")
	}
	switch c := b[p]; {
	case c == '"':
		end, esc := quote(b, p+1)
		if end < 0 {
			return s.open(b, p)
		}
		text := b[p+1 : end]
		if esc {
			text = s.unescape(text)
		}
		s.set(n, sigma.Bytes(text))
		return end + 1
	case depth >= MaxDepth && (c == '{' || c == '['):
		end := s.deep(b, p)
		if end > 0 {
			s.set(n, sigma.Bytes(b[p:end]))
		}
		return end
	case c == '{':
		end := s.object(b, p+1, n, depth+1, add)
		s.whole(b, p, end, n)
		return end
	case c == '[':
		return s.array(b, p, n, depth+1, add)
	case c == '-' || (c >= '0' && c <= '9'):
		end := p + 1
		for end < len(b) && numeric[b[end]] {
			end++
		}
		s.set(n, sigma.Value{Text: b[p:end], Type: sigma.Number})
		return end
	}
	return s.word(b, p, n, add)
}

// deep finds the end of an object or an array that is not taken apart.
func (s *Scanner) deep(b []byte, p int) int {
	open := 0
	for i := p; i < len(b); i++ {
		switch b[i] {
		case '{', '[':
			open++
		case '}', ']':
			if open--; open == 0 {
				return i + 1
			}
		case '"':
			end, _ := quote(b, i+1)
			if end < 0 {
				return s.open(b, i)
			}
			i = end
		}
	}
	return s.fail(len(b), "the object is cut off")
}

var numeric = [256]bool{
	'0': true, '1': true, '2': true, '3': true, '4': true, '5': true, '6': true, '7': true, '8': true, '9': true,
	'.': true, 'e': true, 'E': true, '+': true, '-': true,
}

func (s *Scanner) word(b []byte, p int, n int32, add bool) int {
	rest := b[p:]
	switch {
	case bytes.HasPrefix(rest, []byte("true")):
		s.set(n, sigma.Value{Text: b[p : p+4], Type: sigma.Bool})
		return p + 4
	case bytes.HasPrefix(rest, []byte("false")):
		s.set(n, sigma.Value{Text: b[p : p+5], Type: sigma.Bool})
		return p + 5
	case bytes.HasPrefix(rest, []byte("null")):
		if !add {
			s.set(n, sigma.Value{Type: sigma.Null})
		}
		return p + 4
	}
	return s.fail(p, "no value begins like this")
}

// whole gives a field that rules read but that is an object or an array the
// JSON text of it.
func (s *Scanner) whole(b []byte, from, to int, n int32) {
	if to > 0 && s.nodes[n].id != sigma.NoField && !s.rec.Has(s.nodes[n].id) {
		s.rec.Hide(s.nodes[n].id, sigma.Bytes(b[from:to]))
	}
}

func (s *Scanner) array(b []byte, from int, n int32, depth int, add bool) int {
	if s.nodes[n].data && string(s.nodes[n].name) == "Data" {
		return s.data(b, from, n, depth)
	}
	p, objects := space(b, from+1), false
	if p < len(b) && b[p] == ']' {
		if !add {
			s.set(n, sigma.Value{Type: sigma.Null}) // the field is there
		}
		return p + 1
	}
	for i := 0; ; i++ {
		if p < len(b) && b[p] == '{' {
			objects = true
		}
		if p = s.value(b, p, n, depth, add || i > 0); p < 0 {
			return -1
		}
		if p = space(b, p); p >= len(b) {
			return s.fail(p, "the array is cut off")
		}
		switch b[p] {
		case ',':
			p = space(b, p+1)
		case ']':
			if objects {
				s.whole(b, from, p+1, n)
			}
			return p + 1
		default:
			return s.fail(p, "a comma or a closing bracket was expected")
		}
	}
}

// set gives the field of a node a value.
func (s *Scanner) set(n int32, v sigma.Value) {
	nd := &s.nodes[n]
	switch nd.role {
	case roleChannel:
		s.head.Channel = v.Text
	case roleProvider:
		s.head.Provider = v.Text
	case roleEventID:
		s.head.EventID = v.Text
	}
	again := nd.gen == s.gen // in an array, or a name that is given twice
	nd.gen = s.gen
	switch {
	case nd.weak && s.rec.Has(nd.id):
	case again:
		s.rec.AddID(nd.id, nd.name, v)
	default:
		s.rec.SetID(nd.id, nd.name, v)
	}
}

// key reads a name and gives its node and where its quote closes. Records of
// one kind have their names in the same order, so the one that followed last
// time is tried first, before its end is looked for.
func (s *Scanner) key(b []byte, p int, parent, prev int32) (n int32, end int) {
	if i := s.nodes[prev].next; i != 0 {
		nd := &s.nodes[i]
		end := p + len(nd.key)
		if nd.plain && nd.parent == parent && end < len(b) && b[end] == '"' && string(b[p:end]) == string(nd.key) {
			return i, end
		}
	}
	end, esc := quote(b, p)
	if end < 0 {
		return 0, -1
	}
	key := b[p:end]
	if esc {
		key = s.unescape(key)
	}
	return s.find(key, parent, prev), end
}

// find gives the node of a key.
func (s *Scanner) find(key []byte, parent, prev int32) int32 {
	if i := s.nodes[prev].next; i != 0 && s.nodes[i].parent == parent && string(s.nodes[i].key) == string(key) {
		return i
	}
	slot := &s.table[hash(key, parent)%tableSize]
	i := *slot
	if i == 0 || s.nodes[i].parent != parent || string(s.nodes[i].key) != string(key) {
		i = s.learn(key, parent)
		*slot = i
	}
	s.nodes[prev].next = i
	return i
}

func hash(key []byte, parent int32) uint64 {
	h := uint64(parent)*0x9e3779b97f4a7c15 + uint64(len(key))
	for len(key) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(key)) * 0xff51afd7ed558ccd
		h ^= h >> 32
		key = key[8:]
	}
	for _, c := range key {
		h = (h ^ uint64(c)) * 0x100000001b3
	}
	return h ^ h>>29
}

// learn makes a node. The number of nodes is looked at between records.
func (s *Scanner) learn(key []byte, parent int32) int32 {
	up := &s.nodes[parent]
	path := string(key)
	if parent != 0 {
		path = up.path + "." + path
	}
	if len(path) > maxPath {
		path = path[:maxPath]
	}
	t := s.m.Target(path)
	n := node{key: append([]byte(nil), key...), name: []byte(t.Name), path: path, parent: parent, weak: t.Weak, data: t.Data}
	n.plain = !bytes.ContainsAny(key, `"\`)
	n.id = s.fields.IDBytes(n.name)
	if !t.Data {
		switch t.Name {
		case "Channel":
			n.role = roleChannel
		case "Provider_Name":
			n.role = roleProvider
		case "EventID":
			n.role = roleEventID
		}
	}
	s.nodes = append(s.nodes, n)
	return int32(len(s.nodes) - 1)
}

// quote finds the end of a string that begins at p, -1 when there is none, and
// whether it holds escapes.
func quote(b []byte, p int) (end int, esc bool) {
	for start := p; ; p = end + 1 {
		i := bytes.IndexByte(b[p:], '"')
		if i < 0 {
			return -1, false
		}
		end = p + i
		first := end // of the backslashes before it
		for first > start && b[first-1] == '\\' {
			first--
		}
		if (end-first)&1 == 0 {
			return end, first < end || bytes.IndexByte(b[start:end], '\\') >= 0
		}
	}
}

var plainEscape = [256]byte{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// unescape resolves the escapes of a string into the arena; one that JSON does
// not know stays as it is. What comes out is never longer than what went in, so
// eight bytes can be stored at a time.
func (s *Scanner) unescape(b []byte) []byte {
	const ones, slashes, highs = 0x0101010101010101, 0x5c5c5c5c5c5c5c5c, 0x8080808080808080
	from := len(s.arena)
	dst := slices.Grow(s.arena, len(b)+8)
	dst = dst[:from+len(b)+8]
	w, i := from, 0
	for i < len(b) {
		for i+8 <= len(b) {
			x := binary.LittleEndian.Uint64(b[i:])
			binary.LittleEndian.PutUint64(dst[w:], x)
			e := x ^ slashes
			hit := (e - ones) & ^e & highs
			if hit != 0 {
				n := bits.TrailingZeros64(hit) >> 3
				i, w = i+n, w+n
				break
			}
			i, w = i+8, w+8
		}
		for i < len(b) && b[i] != '\\' {
			dst[w] = b[i]
			i, w = i+1, w+1
		}
		if i+1 >= len(b) {
			w += copy(dst[w:], b[i:])
			break
		}
		if c := plainEscape[b[i+1]]; c != 0 {
			dst[w] = c
			i, w = i+2, w+1
		} else if r, n := unicodeEscape(b[i:]); n > 0 {
			w += utf8.EncodeRune(dst[w:], r)
			i += n
		} else {
			w += copy(dst[w:], b[i:i+2])
			i += 2
		}
	}
	s.arena = dst[:w]
	return dst[from:w:w]
}

// unicodeEscape reads \uXXXX, or two of them that make one character.
func unicodeEscape(b []byte) (rune, int) {
	r, ok := hex4(b)
	if !ok {
		return 0, 0
	}
	if utf16.IsSurrogate(r) {
		if low, ok := hex4(b[6:]); ok {
			if full := utf16.DecodeRune(r, low); full != utf8.RuneError {
				return full, 12
			}
		}
		return utf8.RuneError, 6
	}
	return r, 6
}

func hex4(b []byte) (rune, bool) {
	if len(b) < 6 || b[0] != '\\' || b[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range b[2:6] {
		r <<= 4
		switch {
		case c >= '0' && c <= '9':
			r |= rune(c - '0')
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			r |= rune(c|0x20-'a') + 10
		default:
			return 0, false
		}
	}
	return r, true
}
