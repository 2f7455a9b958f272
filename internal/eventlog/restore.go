package eventlog

import (
	"bytes"
	"fmt"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// Restore turns a row of the store's answer into an event's line, which it
// appends to dst, or appends nothing where the row is none.
func Restore(dst, row []byte) ([]byte, error) {
	start := len(dst)
	var filed, other []byte
	own := true
	dst = append(dst, '{')
	more := func() {
		if dst[len(dst)-1] != '{' {
			dst = append(dst, ',')
		}
	}
	put := func(name, value []byte) {
		more()
		dst = append(dst, '"')
		dst = append(dst, name...)
		dst = append(dst, '"', ':')
		dst = append(dst, value...)
	}
	s := scanner{data: row}
	err := s.each(func(f field) {
		if len(f.value) < 3 || f.value[0] != '"' {
			return
		}
		name := string(f.name)
		if name == columnTime {
			filed = f.value
			return
		}
		if name == columnOther {
			other = f.value
			return
		}
		if name == "@timestamp" {
			own = false
		}
		switch kinds[name] {
		case kindText:
			put(f.name, f.value)
		case kindList:
			put(f.name, unescape(f.value))
		case kindInt, kindFloat, kindBool:
			put(f.name, unquoted(f.value))
		}
	})
	if err != nil {
		return dst[:start], fmt.Errorf("read a row of the event log: %w", err)
	}
	if own && filed != nil {
		put([]byte("@timestamp"), filed)
	}
	if other != nil { // last, so that of two of one name the first is the first
		s = scanner{data: unescape(other)}
		if n := len(dst); s.each(func(o field) { put(o.name, o.value) }) != nil {
			dst = dst[:n]
			put([]byte(columnOther), other)
		}
	}
	return append(dst, '}'), nil
}

// unescape is the text of a JSON string.
func unescape(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return unquoted(v)
	}
	e, err := event.Decode(append(append([]byte(`{"x":`), v...), '}'))
	if err != nil || len(e.Extra) != 1 {
		return nil
	}
	return []byte(e.Extra[0].Value.Text())
}
