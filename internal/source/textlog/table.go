package textlog

import (
	"bytes"
	"encoding/hex"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// MaxColumns is the number of columns of a table that are read.
const MaxColumns = 512

// Header is what a table says about its columns; it does not change once made.
type Header struct {
	names []string
	sets  []bool // columns that hold lists (Zeek)
	sep   byte
	unset string
	empty string
	list  string
	path  string // Zeek's name for the log
	day   string // of rows without a date
	w3c   bool
	proxy bool // its columns are those of a proxy
}

type column struct {
	id   sigma.FieldID
	name []byte
	set  bool
}

// HeaderLine reads a line that begins with # and gives the header that holds
// from there on; before may be nil.
func HeaderLine(line []byte, before *Header) *Header {
	h := Header{sep: '\t', unset: "-", empty: "(empty)", list: ","}
	if before != nil {
		h = *before
	}
	text := strings.TrimRight(string(line), "\r\n")
	key, rest, _ := strings.Cut(text, string(h.sep))
	if strings.HasPrefix(text, "#separator ") {
		key, rest, _ = strings.Cut(text, " ")
	}
	switch key {
	case "#separator":
		if b := unescaped([]byte(rest)); len(b) > 0 {
			h.sep = b[0]
		}
	case "#set_separator":
		h.list = rest
	case "#empty_field":
		h.empty = rest
	case "#unset_field":
		h.unset = rest
	case "#path":
		h.path = rest
	case "#fields":
		h.names = cut(strings.Split(rest, string(h.sep)))
		h.sets, h.w3c = nil, false
	case "#types":
		h.sets = make([]bool, len(h.names))
		for i, t := range strings.Split(rest, string(h.sep)) {
			if i < len(h.sets) {
				h.sets[i] = strings.HasPrefix(t, "set[") || strings.HasPrefix(t, "vector[")
			}
		}
	default:
		if f, ok := strings.CutPrefix(text, "#Date:"); ok {
			h.day, _, _ = strings.Cut(strings.TrimSpace(f), " ")
		}
		if f, ok := strings.CutPrefix(text, "#Fields:"); ok {
			h.names, h.sets, h.w3c, h.sep = cut(strings.Fields(f)), nil, true, ' '
			h.proxy = isProxy(h.names)
			for i, n := range h.names {
				h.names[i] = w3cName(n)
			}
		}
	}
	return &h
}

func cut(names []string) []string { return names[:min(len(names), MaxColumns)] }

// SetHeader says what the columns of the rows to come are.
func (d *Decoder) SetHeader(h *Header) {
	if d.table == h {
		return
	}
	d.table, d.cols = h, d.cols[:0]
	if h == nil {
		return
	}
	for i, n := range h.names {
		d.cols = append(d.cols, column{d.fields.ID(n), []byte(n), i < len(h.sets) && h.sets[i]})
	}
}

// row decodes a line of a table.
func (d *Decoder) row(line []byte) bool {
	h := d.table
	if h == nil || len(d.cols) == 0 || len(line) == 0 || line[0] == '#' {
		return false
	}
	var day, clock []byte
	sep := h.sep
	if h.w3c && bytes.IndexByte(line, '\t') >= 0 {
		sep = '\t' // some write the names with spaces between and the values with tabs
	}
	for i := 0; i < len(d.cols); i++ {
		var v []byte
		v, line = nextCell(line, sep, h.w3c)
		if h.w3c {
			switch string(d.cols[i].name) {
			case "date":
				day = v
			case "time":
				clock = v
			}
		}
		d.cell(h, &d.cols[i], v)
		if line == nil {
			break
		}
	}
	if h.w3c {
		d.w3c(day, clock)
	} else if v, _, ok := d.rec.First(d.fields.ID("ts")); ok {
		d.rec.Time, _ = logsource.ParseTime(v.Text)
	}
	d.derive(d.id.path, []byte(h.path))
	return true
}

// nextCell cuts the first value off a row; rest is nil after the last one.
func nextCell(line []byte, sep byte, quotes bool) (v, rest []byte) {
	if quotes && len(line) > 1 && line[0] == '"' {
		end := bytes.IndexByte(line[1:], '"') + 2
		if end > 1 && (end == len(line) || line[end] == sep) {
			v = line[1 : end-1]
			if end < len(line) {
				rest = line[end+1:]
			}
			return v, rest
		}
	}
	if j := bytes.IndexByte(line, sep); j >= 0 {
		return line[:j], line[j+1:]
	}
	return line, nil
}

func (d *Decoder) cell(h *Header, c *column, v []byte) {
	switch {
	case string(v) == h.unset:
	case string(v) == h.empty:
		d.rec.SetID(c.id, c.name, sigma.Bytes(nil))
	case c.set && h.list != "":
		for x := range bytes.SplitSeq(v, []byte(h.list)) {
			d.rec.AddID(c.id, c.name, sigma.Bytes(unescaped(x)))
		}
	case h.w3c && (string(c.name) == "cs-user-agent" || string(c.name) == "c-agent"):
		from := len(d.arena) // spaces are written as plus signs
		d.arena = append(d.arena, v...)
		v = d.arena[from:len(d.arena):len(d.arena)]
		for i := range v {
			if v[i] == '+' {
				v[i] = ' '
			}
		}
		d.rec.SetID(c.id, c.name, sigma.Bytes(v))
	case h.w3c:
		d.rec.SetID(c.id, c.name, sigma.Bytes(v))
	default:
		d.rec.SetID(c.id, c.name, sigma.Bytes(unescaped(v)))
	}
}

// unescaped resolves what Zeek writes for separators, backslashes and bytes that
// cannot be printed: \x2c and \\.
func unescaped(b []byte) []byte {
	if bytes.IndexByte(b, '\\') < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		c := b[i]
		if c == '\\' && i+1 < len(b) {
			var x [1]byte
			if b[i+1] == '\\' {
				i++
			} else if b[i+1] == 'x' && i+3 < len(b) {
				if _, err := hex.Decode(x[:], b[i+2:i+4]); err == nil {
					c = x[0]
					i += 3
				}
			}
		}
		out = append(out, c)
	}
	return out
}
