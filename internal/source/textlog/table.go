package textlog

import (
	"bytes"
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
	w3c   bool
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
		if rest == "\\x09" || rest == "" {
			rest = "\t"
		}
		h.sep = rest[0]
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
		if f, ok := strings.CutPrefix(text, "#Fields:"); ok {
			h.names, h.w3c, h.sep = cut(strings.Fields(f)), true, ' '
			for i, n := range h.names {
				h.names[i] = w3cName(n)
			}
		}
	}
	return &h
}

func cut(names []string) []string { return names[:min(len(names), MaxColumns)] }

// w3cName gives the headers of requests the names that rules use.
func w3cName(n string) string {
	if inner, ok := strings.CutPrefix(n, "cs("); ok && strings.HasSuffix(inner, ")") {
		return "cs-" + strings.ToLower(strings.TrimSuffix(inner, ")"))
	}
	return n
}

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
	for i := 0; i < len(d.cols); i++ {
		v := line
		if j := bytes.IndexByte(line, h.sep); j >= 0 {
			v, line = line[:j], line[j+1:]
		} else {
			line = nil
		}
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

func (d *Decoder) cell(h *Header, c *column, v []byte) {
	switch {
	case string(v) == h.unset:
	case string(v) == h.empty:
		d.rec.SetID(c.id, c.name, sigma.Bytes(nil))
	case c.set && h.list != "":
		for x := range bytes.SplitSeq(v, []byte(h.list)) {
			d.rec.AddID(c.id, c.name, sigma.Bytes(x))
		}
	case h.w3c && string(c.name) == "cs-user-agent":
		from := len(d.arena) // spaces are written as plus signs
		d.arena = append(d.arena, v...)
		v = d.arena[from:len(d.arena):len(d.arena)]
		for i := range v {
			if v[i] == '+' {
				v[i] = ' '
			}
		}
		d.rec.SetID(c.id, c.name, sigma.Bytes(v))
	default:
		d.rec.SetID(c.id, c.name, sigma.Bytes(v))
	}
}

// w3c gives the record its time, and the whole target as cs-uri-query.
func (d *Decoder) w3c(day, clock []byte) {
	if len(day) > 0 && len(clock) > 0 {
		at := append(append(append([]byte(nil), day...), ' '), clock...)
		d.rec.Time, _ = logsource.ParseTime(at)
	}
	stem, _, ok := d.rec.First(d.id.stem)
	if !ok {
		return
	}
	from := len(d.arena)
	d.arena = append(d.arena, stem.Text...)
	if q, _, ok := d.rec.First(d.id.query); ok {
		d.arena = append(append(d.arena, '?'), q.Text...)
	}
	d.rec.SetID(d.id.query, nil, sigma.Bytes(d.arena[from:len(d.arena):len(d.arena)]))
}
