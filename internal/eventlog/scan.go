package eventlog

import (
	"bytes"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// scanner walks a flat JSON object. It is lenient: what passes here and is no
// JSON is refused by the store or by event.Decode.
type scanner struct {
	data []byte
	i    int
	n    int // members so far
}

// field is one member of a flat object, as it stands in the text.
type field struct {
	name  []byte // without quotes, escapes as they stand
	value []byte
}

func (s *scanner) fail(what string) error {
	return fmt.Errorf("%w: %s at byte %d", event.ErrSyntax, what, s.i)
}

func (s *scanner) space() {
	for s.i < len(s.data) && s.data[s.i] <= ' ' {
		s.i++
	}
}

func (s *scanner) take(c byte) bool {
	s.space()
	if s.i < len(s.data) && s.data[s.i] == c {
		s.i++
		return true
	}
	return false
}

// each calls fn with every member.
func (s *scanner) each(fn func(field)) error {
	var f field
	for {
		more, err := s.member(&f)
		if !more {
			return err
		}
		fn(f)
	}
}

// member takes the next member; more is false after the last one, and with an
// error.
func (s *scanner) member(f *field) (more bool, err error) {
	if s.n == 0 && !s.take('{') {
		return false, s.fail("expected '{'")
	}
	if s.take('}') {
		if s.space(); s.i != len(s.data) {
			return false, s.fail("data after the object")
		}
		return false, nil
	}
	if s.n > 0 && !s.take(',') {
		return false, s.fail("expected ',' or '}'")
	}
	if s.n++; s.n > event.MaxFields {
		return false, s.fail("too many fields")
	}
	s.space()
	name, err := s.str()
	if err != nil {
		return false, err
	}
	if !s.take(':') {
		return false, s.fail("expected ':'")
	}
	s.space()
	if f.value, err = s.value(); err != nil {
		return false, err
	}
	f.name = unquoted(name)
	return true, nil
}

// expect takes the name of a member other than the first if it is this key.
func (s *scanner) expect(key string) bool {
	rest := s.data[s.i:]
	if s.n == 0 || s.n >= event.MaxFields || len(rest) <= len(key)+1 || rest[0] != ',' || string(rest[1:1+len(key)]) != key {
		return false
	}
	s.n++
	s.i += 1 + len(key)
	return true
}

// str is a string with its quotes.
func (s *scanner) str() ([]byte, error) {
	start := s.i
	if s.i >= len(s.data) || s.data[s.i] != '"' {
		return nil, s.fail("expected a string")
	}
	for s.i++; ; s.i++ {
		n := bytes.IndexByte(s.data[s.i:], '"')
		if n < 0 {
			break
		}
		part := s.data[s.i : s.i+n]
		s.i += n
		back := 0
		for back < len(part) && part[len(part)-1-back] == '\\' {
			back++
		}
		if back%2 == 0 { // the quote is not escaped
			s.i++
			return s.data[start:s.i], nil
		}
	}
	return nil, s.fail("string not closed")
}

// value is a string, a list of scalars, or a bare word.
func (s *scanner) value() ([]byte, error) {
	start := s.i
	if s.i >= len(s.data) {
		return nil, s.fail("value missing")
	}
	switch s.data[s.i] {
	case '"':
		return s.str()
	case '[':
		for s.i++; s.i < len(s.data); {
			switch s.data[s.i] {
			case ']':
				s.i++
				return s.data[start:s.i], nil
			case '"':
				if _, err := s.str(); err != nil {
					return nil, err
				}
			case '[', '{':
				return nil, s.fail("a list in a list")
			default:
				s.i++
			}
		}
		return nil, s.fail("list not closed")
	case '{':
		return nil, s.fail("an object in an object")
	}
	for s.i < len(s.data) && s.data[s.i] != ',' && s.data[s.i] != '}' && s.data[s.i] > ' ' {
		s.i++
	}
	if s.i == start {
		return nil, s.fail("value missing")
	}
	return s.data[start:s.i], nil
}
