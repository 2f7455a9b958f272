package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// template says what the records of a set hold.
type template struct {
	fields []field
	size   int // bytes of a record at least
	fixed  bool
	option bool // of options: its data is passed over
	at     time.Time
}

type field struct {
	id       uint16
	length   uint16 // variable: it stands before the value
	vendor   uint32 // 0: registered
	reversed bool   // the other direction (RFC 5103)
}

const (
	variable       = 0xffff
	vendorReversed = 29305
)

// templates reads a set of templates.
func (d *Decoder) templates(p *packet, b []byte) error {
	for len(b) >= 4 {
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		b = b[4:]
		if id < 256 && n == 0 { // padding, or all templates are withdrawn
			if p.ipfix && id == 2 {
				clear(p.exporter.templates)
			}
			continue
		}
		if n == 0 && p.ipfix {
			delete(p.exporter.templates, id)
			continue
		}
		t, rest, err := readTemplate(b, n, p.ipfix)
		if err != nil {
			return fmt.Errorf("template %d: %w", id, err)
		}
		b = rest
		if id >= 256 {
			d.keep(p, id, t)
		}
	}
	return nil
}

// keep takes a template if there is room.
func (d *Decoder) keep(p *packet, id uint16, t *template) {
	t.at = p.received
	have := p.exporter.templates
	if _, known := have[id]; !known && len(have) >= d.cfg.Templates {
		for old, x := range have {
			if p.received.Sub(x.at) > d.cfg.Life {
				delete(have, old)
			}
		}
		if len(have) >= d.cfg.Templates {
			d.stats.Refused++
			return
		}
	}
	have[id] = t
}

// readTemplate reads n descriptions of fields.
func readTemplate(b []byte, n int, ipfix bool) (*template, []byte, error) {
	if n > maxFields {
		return nil, nil, fmt.Errorf("it has %d fields, at most %d are read", n, maxFields)
	}
	t := &template{fields: make([]field, 0, min(n, len(b)/4)), fixed: true}
	for range n {
		if len(b) < 4 {
			return nil, nil, errors.New("it is cut off")
		}
		f := field{id: binary.BigEndian.Uint16(b), length: binary.BigEndian.Uint16(b[2:])}
		b = b[4:]
		if ipfix && f.id&0x8000 != 0 {
			if len(b) < 4 {
				return nil, nil, errors.New("it is cut off")
			}
			f.id &= 0x7fff
			f.vendor = binary.BigEndian.Uint32(b)
			f.reversed = f.vendor == vendorReversed
			b = b[4:]
		}
		if f.length == variable && ipfix {
			t.fixed = false
			t.size++
		} else {
			t.size += int(f.length)
		}
		t.fields = append(t.fields, f)
	}
	if t.size == 0 {
		return nil, nil, errors.New("its records would be empty")
	}
	return t, b, nil
}

// options reads a set of options templates only to know the numbers of their data.
func (d *Decoder) options(p *packet, b []byte) error {
	for len(b) >= 6 {
		id := binary.BigEndian.Uint16(b)
		var n int
		if p.ipfix { // fields in all, and of these the scope's
			n = int(binary.BigEndian.Uint16(b[2:]))
		} else { // bytes of the scope's fields and of the others
			n = (int(binary.BigEndian.Uint16(b[2:])) + int(binary.BigEndian.Uint16(b[4:]))) / 4
		}
		b = b[6:]
		if id < 256 {
			return nil // padding
		}
		if p.ipfix && n == 0 {
			delete(p.exporter.templates, id)
			continue
		}
		t, rest, err := readTemplate(b, n, p.ipfix)
		if err != nil {
			return fmt.Errorf("options template %d: %w", id, err)
		}
		t.option = true
		b = rest
		d.keep(p, id, t)
	}
	return nil
}

// data reads a set of records.
func (d *Decoder) data(p *packet, id uint16, b []byte) error {
	t := p.exporter.templates[id]
	if t == nil || p.received.Sub(t.at) > d.cfg.Life {
		delete(p.exporter.templates, id)
		d.stats.NoTemplate++
		p.unread = true
		return nil
	}
	for len(b) >= t.size {
		f := flow{}
		rest, err := t.read(b, p, &f)
		if err != nil {
			return fmt.Errorf("record of template %d: %w", id, err)
		}
		b = rest
		p.records++
		if !t.option {
			d.emit(p, &f)
		}
	}
	return nil
}

// read takes one record off b.
func (t *template) read(b []byte, p *packet, f *flow) ([]byte, error) {
	for i := range t.fields {
		x := &t.fields[i]
		n := int(x.length)
		if x.length == variable && p.ipfix {
			if len(b) < 1 {
				return nil, errors.New("it is cut off")
			}
			n, b = int(b[0]), b[1:]
			if n == 255 {
				if len(b) < 2 {
					return nil, errors.New("it is cut off")
				}
				n, b = int(binary.BigEndian.Uint16(b)), b[2:]
			}
		}
		if n > len(b) {
			return nil, errors.New("it is cut off")
		}
		if x.vendor == 0 || x.reversed {
			f.take(x, b[:n], p)
		}
		b = b[n:]
	}
	return b, nil
}
