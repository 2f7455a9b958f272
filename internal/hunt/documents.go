package hunt

import (
	"bytes"
	"errors"
	"io"
)

// documents cuts JSON whose objects go over several lines, stand in an array,
// or in an array inside one object.
func (c *cutter) documents() error {
	d := docScanner{c: c}
	buf := make([]byte, 256<<10)
	var err error
	for err == nil {
		var n int
		n, err = c.in.Read(buf)
		if ferr := d.feed(buf[:n]); ferr != nil {
			return ferr
		}
	}
	if ferr := d.end(); ferr != nil {
		return ferr
	}
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// docScanner finds where objects begin and end. Records are the objects at
// level 0, or at level 1 in an array, or in the array of a wrapper.
type docScanner struct {
	c       *cutter
	out     []byte
	spans   []span
	doc     int // where the open record begins in out, -1 outside
	line    int64
	depth   int // braces and brackets open
	base    int // depth at which records begin
	quoted  bool
	escaped bool
	started bool
	skip    bool // the open record is too long
	head    []byte
	indent  int  // blanks at the beginning of this line, -1 when more was seen of it
	own     int  // blanks before the open record's brace, -1 when that is not first in its line
	deeper  bool // its next line stands further in
	second  bool // that next line was seen
}

func (d *docScanner) feed(b []byte) error {
	if !d.started {
		d.head = append(d.head, b...)
		body := bytes.TrimLeft(d.head, " \t\r\n\x00")
		if len(body) < 64 && len(d.head) < 4096 && len(b) > 0 {
			return nil // a little more, to tell wrappers
		}
		return d.start()
	}
	return d.scan(b)
}

func (d *docScanner) start() error {
	d.started, d.doc, d.line = true, -1, 1
	body := bytes.TrimLeft(d.head, " \t\r\n\x00")
	switch {
	case len(body) > 0 && body[0] == '[':
		d.base = 1
	case len(body) > 0 && body[0] == '{' && wrapper(body):
		d.base = 2
	}
	b := d.head
	d.head = nil
	return d.scan(b)
}

func (d *docScanner) scan(b []byte) error {
	for i := range b {
		ch := b[i]
		first := -1
		if d.indent >= 0 || ch == '\n' {
			first = d.layout(ch)
		}
		if d.doc >= 0 && !d.skip {
			d.out = append(d.out, ch)
		}
		switch {
		case d.escaped:
			d.escaped = false
		case d.quoted:
			switch ch {
			case '\\':
				d.escaped = true
			case '"':
				d.quoted = false
			}
		case ch == '"':
			d.quoted = true
		case ch == '{' || ch == '[':
			if err := d.open(ch, first); err != nil {
				return err
			}
		case ch == '}' || ch == ']':
			if err := d.shut(); err != nil {
				return err
			}
		}
		if d.doc >= 0 && !d.skip && len(d.out)-d.doc > maxLine {
			d.skip = true
			d.out = d.out[:d.doc]
			d.c.r.h.Stats.Damaged.Add(1)
			d.c.r.h.problem(d.c.s.name, partly, "the object in line %d is longer than %d MiB: left out", d.line, maxLine>>20)
		}
	}
	return nil
}

// layout follows how the text is laid out, and gives the blanks before what
// stands first in a line, -1 for all that is not first. In a record whose lines
// stand further in than its brace, a brace where that stood begins the next
// record, whatever is still open: the one before is broken, and must not take
// the rest with it. The same holds for a text that goes over the end of a line,
// which JSON has not.
func (d *docScanner) layout(ch byte) int {
	switch ch {
	case '\n':
		d.c.line++
		d.indent = 0
		return -1
	case ' ', '\t':
		d.indent++
		return -1
	}
	first := d.indent
	d.indent = -1
	if d.doc < 0 || ch == '\r' {
		return first
	}
	if !d.second {
		d.second, d.deeper = true, d.own >= 0 && first > d.own
	}
	if ch == '{' && first == d.own && (d.deeper || d.quoted) {
		d.quoted, d.escaped, d.depth = false, false, d.base
		if !d.skip {
			d.spans = append(d.spans, span{d.doc, len(d.out), d.line})
		}
		d.doc, d.skip = -1, false
	}
	return first
}

func (d *docScanner) open(ch byte, first int) error {
	if d.doc < 0 && ch == '{' && d.depth == d.base {
		if d.out == nil {
			m, err := d.c.r.memory()
			if err != nil {
				return err
			}
			d.out = m
		}
		d.doc, d.line = len(d.out), d.c.line
		d.own, d.second, d.deeper = first, false, false
		d.out = append(d.out, ch)
	}
	d.depth++
	return nil
}

func (d *docScanner) shut() error {
	d.depth = max(0, d.depth-1)
	if d.depth > d.base || d.doc < 0 {
		return nil
	}
	if !d.skip {
		d.spans = append(d.spans, span{d.doc, len(d.out), d.line})
	}
	d.doc, d.skip = -1, false
	if len(d.out) >= blockSize {
		return d.flush()
	}
	return nil
}

func (d *docScanner) flush() error {
	if d.out == nil {
		return nil
	}
	b := &block{in: d.c.to, data: d.out, spans: d.spans}
	d.out, d.spans, d.doc = nil, nil, -1
	return d.c.r.emit(b)
}

// end hands on what is left; an object that is cut off is handed on too, to be
// counted as damaged.
func (d *docScanner) end() error {
	if !d.started {
		if err := d.start(); err != nil {
			return err
		}
	}
	if d.doc >= 0 && !d.skip {
		d.spans = append(d.spans, span{d.doc, len(d.out), d.line})
	}
	return d.flush()
}
