package textlog

import (
	"bytes"
	"strconv"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

const maxXMLDepth = 16

// xmlWalk is the place in an event's XML.
type xmlWalk struct {
	d       *Decoder
	head    *logsource.Head
	path    [maxXMLDepth][]byte
	depth   int
	data    []byte // Name of the Data element that is open
	isData  bool
	text    []byte
	unnamed []byte
}

// xml decodes one <Event>, with the field names that the same event has in an
// event log file.
func (d *Decoder) xml(b []byte, head *logsource.Head) bool {
	w := xmlWalk{d: d, head: head}
	b = bytes.TrimLeft(b, " \t")
	if !bytes.HasPrefix(b, []byte("<Event")) {
		return false
	}
	for len(b) > 0 {
		i := bytes.IndexByte(b, '<')
		if i < 0 {
			break
		}
		w.text = append(w.text, b[:i]...)
		b = b[i+1:]
		if bytes.HasPrefix(b, []byte("![CDATA[")) {
			end := bytes.Index(b, []byte("]]>"))
			if end < 0 {
				return false
			}
			w.text = append(w.text, b[8:end]...)
			b = b[end+3:]
			continue
		}
		end := tagEnd(b)
		if end < 0 {
			return false
		}
		if !w.tag(b[:end]) {
			return false
		}
		b = b[end+1:]
		if w.depth == 0 {
			break
		}
	}
	if len(w.unnamed) > 0 {
		d.rec.SetString("Data", sigma.Bytes(w.unnamed))
	}
	head.Format = XML
	return len(head.EventID) > 0
}

// tagEnd finds the > that is not in quotes.
func tagEnd(b []byte) int {
	quote := byte(0)
	for i, c := range b {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i
		}
	}
	return -1
}

func (w *xmlWalk) tag(t []byte) bool {
	switch {
	case len(t) == 0 || t[0] == '?' || t[0] == '!':
		return true
	case t[0] == '/':
		w.end()
		return w.depth >= 0
	}
	empty := t[len(t)-1] == '/'
	if empty {
		t = t[:len(t)-1]
	}
	n := bytes.IndexAny(t, " \t\r\n")
	if n < 0 {
		n = len(t)
	}
	if w.depth >= maxXMLDepth {
		return false
	}
	w.path[w.depth] = t[:n]
	w.depth++
	w.text = nil
	w.attributes(t[:n], t[n:])
	if empty {
		w.end()
	}
	return w.depth >= 0
}

func (w *xmlWalk) system() bool {
	return w.depth == 3 && string(w.path[1]) == "System"
}

func (w *xmlWalk) eventData() bool {
	return w.depth == 3 && string(w.path[1]) == "EventData"
}

func (w *xmlWalk) attributes(elem, b []byte) {
	w.isData = w.eventData() && string(elem) == "Data"
	w.data = nil
	for {
		b = bytes.TrimLeft(b, " \t\r\n")
		eq := bytes.IndexByte(b, '=')
		if eq <= 0 || eq+1 >= len(b) || (b[eq+1] != '"' && b[eq+1] != '\'') {
			return
		}
		end := bytes.IndexByte(b[eq+2:], b[eq+1])
		if end < 0 {
			return
		}
		name, value := b[:eq], unXML(b[eq+2:eq+2+end])
		b = b[eq+3+end:]
		switch {
		case w.isData && string(name) == "Name":
			w.data = bytes.ReplaceAll(value, []byte(" "), nil)
		case w.system():
			full := append(append(append([]byte(nil), elem...), '_'), name...)
			w.d.rec.Set(full, sigma.Bytes(value))
			if string(full) == "Provider_Name" {
				w.head.Provider = value
			}
			if string(full) == "TimeCreated_SystemTime" {
				w.d.rec.Time, _ = logsource.ParseTime(value)
			}
		}
	}
}

// end closes the innermost element.
func (w *xmlWalk) end() {
	if w.depth == 0 {
		w.depth = -1
		return
	}
	name := w.path[w.depth-1]
	value := unXML(w.text)
	switch {
	case w.system():
		if len(value) == 0 {
			break
		}
		w.d.rec.Set(name, sigma.Bytes(value))
		switch string(name) {
		case "Channel":
			w.head.Channel = value
		case "EventID":
			w.head.EventID = value
		}
	case w.isData && w.data != nil:
		w.d.rec.Set(w.data, sigma.Bytes(value))
	case w.isData:
		if len(w.unnamed) > 0 {
			w.unnamed = append(w.unnamed, '\n')
		}
		w.unnamed = append(w.unnamed, value...)
	case w.depth > 3 && string(w.path[1]) == "UserData" && len(bytes.TrimSpace(value)) > 0:
		w.d.rec.Set(name, sigma.Bytes(value))
	}
	w.isData, w.data, w.text = false, nil, nil
	w.depth--
}

// unXML resolves the entities of XML.
func unXML(b []byte) []byte {
	if bytes.IndexByte(b, '&') < 0 {
		return b
	}
	var out []byte
	for len(b) > 0 {
		i := bytes.IndexByte(b, '&')
		if i < 0 {
			break
		}
		out = append(out, b[:i]...)
		b = b[i:]
		end := bytes.IndexByte(b[:min(len(b), 12)], ';')
		if end < 0 {
			out, b = append(out, '&'), b[1:]
			continue
		}
		out = append(out, entity(b[1:end])...)
		b = b[end+1:]
	}
	return append(out, b...)
}

func entity(name []byte) []byte {
	switch string(name) {
	case "amp":
		return []byte("&")
	case "lt":
		return []byte("<")
	case "gt":
		return []byte(">")
	case "quot":
		return []byte(`"`)
	case "apos":
		return []byte("'")
	}
	if len(name) > 1 && name[0] == '#' {
		base, digits := 10, string(name[1:])
		if digits[0] == 'x' || digits[0] == 'X' {
			base, digits = 16, digits[1:]
		}
		if n, err := strconv.ParseInt(digits, base, 32); err == nil {
			return utf8.AppendRune(nil, rune(n))
		}
	}
	return append(append([]byte("&"), name...), ';')
}
