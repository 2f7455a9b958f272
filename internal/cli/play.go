package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// tape is a recording as it is played.
type tape struct {
	cast  []byte // asciicast v2
	speed float64
	idle  time.Duration // longest silence that is kept
}

// play writes the output in a recording with its timing. Sequences that could
// act on the terminal of the person who watches are left out. lost is how many
// lines cannot be read: a crash cuts the last one, and leaves zeros where a part
// never arrived.
func (t tape) play(ctx context.Context, w io.Writer) (lost int, err error) {
	if t.speed <= 0 {
		return 0, usageError{errors.New("session replay: --speed must be above 0")}
	}
	at := 0.0
	var calm tamer
	for i, line := range bytes.Split(t.cast, []byte("\n")) {
		whole := bytes.TrimLeft(line, "\x00")
		if len(whole) < len(line) {
			lost++
		}
		if i == 0 && len(whole) == len(line) || len(whole) == 0 {
			continue
		}
		when, kind, text, ok := castEvent(whole)
		switch {
		case !ok && !bytes.HasPrefix(whole, []byte("{")): // a header is none
			lost++
			continue
		case kind != "o":
			continue
		}
		wait := min(time.Duration((when-at)*float64(time.Second)), t.idle)
		at = when
		select {
		case <-ctx.Done():
			return lost, nil
		case <-time.After(time.Duration(float64(max(wait, 0)) / t.speed)):
		}
		if _, err := io.WriteString(w, calm.next(text)); err != nil {
			return lost, err
		}
	}
	_, err = io.WriteString(w, "\x1b[0m\n")
	return lost, err
}

// castEvent reads one line of an asciicast.
func castEvent(line []byte) (at float64, kind, text string, ok bool) {
	var ev [3]json.RawMessage
	ok = json.Unmarshal(line, &ev) == nil && json.Unmarshal(ev[0], &at) == nil && json.Unmarshal(ev[1], &kind) == nil && json.Unmarshal(ev[2], &text) == nil
	return at, kind, text, ok
}

// tamer keeps text, colours and cursor movement, and drops every other escape
// sequence (ECMA-48): operating system commands, device queries, modes. A
// sequence may begin in one piece of the output and end in a later one.
type tamer struct {
	held string // the beginning of a sequence, at most maxHeldEscape bytes
}

const maxHeldEscape = 256

// next is what of s may be written.
func (t *tamer) next(s string) string {
	s = t.held + s
	t.held = ""
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == 0x1b:
			n, good := escape(s[i:])
			if n == 0 { // it is not whole yet
				t.hold(s[i:])
				return b.String()
			}
			if good {
				b.WriteString(s[i : i+n])
			}
			i += n
		case c == '\n' || c == '\r' || c == '\t' || c == 8 || c >= 0x20 && c < 0x7f:
			b.WriteByte(c)
			i++
		case c < 0x80:
			i++
		default:
			n := 1
			for i+n < len(s) && s[i+n]&0xc0 == 0x80 {
				n++
			}
			if r := s[i : i+n]; harmless(r) {
				b.WriteString(r)
			}
			i += n
		}
	}
	return b.String()
}

// harmless reports whether a character beyond ASCII only shows: no control
// character of ISO 6429, none that turns the direction of the text.
func harmless(r string) bool {
	switch {
	case r[0] == 0xc2:
		return len(r) == 2 && r[1] >= 0xa0
	case strings.HasPrefix(r, "\u202a"[:2]):
		return r < "\u202a" || r > "\u202e"
	case strings.HasPrefix(r, "\u2066"[:2]):
		return r < "\u2066" || r > "\u2069"
	}
	return true
}

// hold keeps the beginning of a sequence. Of one that is too long what kind it
// is stays: its rest is dropped as it comes.
func (t *tamer) hold(s string) {
	switch {
	case len(s) <= maxHeldEscape:
		t.held = s
	case s[1] != '[':
		t.held = s[:2] + s[len(s)-1:] // the last byte may begin the end
	}
}

// escape measures the sequence that s begins with: 0 bytes when its end is not
// there. good is one that only moves the cursor, erases or colours.
func escape(s string) (n int, good bool) {
	if len(s) == 1 {
		return 0, false
	}
	switch {
	case s[1] == '[':
		j := 2
		for j < len(s) && s[j] >= 0x20 && s[j] < 0x40 {
			j++
		}
		if j == len(s) {
			return 0, false
		}
		return j + 1, strings.IndexByte("mABCDEFGHJKfSTPX@", s[j]) >= 0 && j < 32 && strings.IndexByte("<=>?", s[2]) < 0
	case strings.IndexByte("]PX^_", s[1]) >= 0:
		for j := 2; j < len(s); j++ {
			switch {
			case s[j] == 7:
				return j + 1, false
			case s[j] == 0x1b && j+1 < len(s) && s[j+1] == '\\':
				return j + 2, false
			}
		}
		return 0, false
	}
	return 2, false
}
