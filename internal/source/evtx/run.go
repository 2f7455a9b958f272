package evtx

import (
	"bytes"
	"strconv"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// fragment reads a fragment of binary XML: a template instance, or elements.
func (d *Decoder) fragment(c *cursor, ctx context, depth int) error {
	if depth >= maxDepth {
		return errDeep
	}
	for {
		t, ok := c.peek()
		if !ok || t == tokEOF {
			return nil
		}
		switch t &^ tokMore {
		case tokHeader:
			c.take(4)
		case tokTemplate:
			if err := d.instance(c, ctx, depth); err != nil {
				return err
			}
		case tokOpen:
			if err := d.elements(c, ctx, depth); err != nil {
				return err
			}
		default:
			return errRecord
		}
		if c.bad {
			return errRecord
		}
	}
}

// elements runs elements that stand in the record without a template, as
// forwarded records have them.
func (d *Decoder) elements(c *cursor, ctx context, depth int) error {
	p := &d.raw[depth]
	p.ops, p.pieces = p.ops[:0], p.pieces[:0]
	k := compiler{d: d, c: c, p: p}
	if err := k.element(ctx, depth); err != nil {
		return err
	}
	return d.run(p, nil, depth)
}

// instance runs a template with the values that follow it.
func (d *Decoder) instance(c *cursor, ctx context, depth int) error {
	c.take(6) // token, version, template id
	off := c.u32()
	if int64(off) == int64(c.p) {
		c.take(20)
		c.take(int(c.u32()))
	}
	n := int(c.u32())
	if c.bad || n > (len(c.b)-c.p)/4 || len(d.subs)+n > maxSubs {
		return errRecord
	}
	if int64(off)+24 > int64(len(d.chunk)) {
		return errRecord
	}
	base := len(d.subs)
	at := c.p + 4*n
	for range n {
		size := c.u16()
		typ := c.u8()
		c.u8()
		if at+size > len(c.b) {
			return errRecord
		}
		d.subs = append(d.subs, sub{from: int32(at), to: int32(at + size), typ: typ})
		at += size
	}
	c.p = at
	p := d.template(off, ctx)
	if p.err != nil {
		return p.err
	}
	err := d.run(p, d.subs[base:len(d.subs):len(d.subs)], depth)
	d.subs = d.subs[:base]
	return err
}

func (d *Decoder) run(p *program, subs []sub, depth int) error {
	for i := range p.ops {
		o := &p.ops[i]
		d.budget--
		if d.budget < 0 || len(d.arena) > maxArena {
			return errDeep
		}
		pieces := p.pieces[o.from:o.to]
		if o.container {
			if err := d.nested(o, pieces, subs, depth); err != nil {
				return err
			}
			continue
		}
		if len(pieces) == 1 && int(pieces[0].sub) < len(subs) && pieces[0].sub >= 0 && subs[pieces[0].sub].typ == typBinXML {
			if err := d.inner(o, subs[pieces[0].sub], depth); err != nil {
				return err
			}
			continue
		}
		v, ok := d.value(pieces, subs, o)
		if ok || !absent(o, pieces) {
			d.set(o, p, subs, v)
		}
	}
	return nil
}

// absent tells whether an element all of whose parts are missing is missing
// itself. An element written without any content is there and empty.
func absent(o *op, pieces []piece) bool { return o.keepAbsent || len(pieces) > 0 }

// nested goes into the fragments inside a container; plain text directly in
// EventData counts as unnamed data.
func (d *Decoder) nested(o *op, pieces []piece, subs []sub, depth int) error {
	for _, pc := range pieces {
		if pc.sub < 0 || int(pc.sub) >= len(subs) {
			continue
		}
		s := subs[pc.sub]
		if s.typ == typBinXML {
			c := cursor{b: d.chunk[:s.to], p: int(s.from)}
			if err := d.fragment(&c, o.ctx, depth+1); err != nil {
				return err
			}
			continue
		}
		if o.ctx == ctxEventData && s.typ != typNull {
			from := len(d.arena)
			d.arena = d.appendValue(d.arena, s)
			d.addUnnamed(d.arena[from:])
		}
	}
	return nil
}

// inner goes into a fragment that is the value of an element.
func (d *Decoder) inner(o *op, s sub, depth int) error {
	c := cursor{b: d.chunk[:s.to], p: int(s.from)}
	_ = o
	return d.fragment(&c, ctxUserBody, depth+1)
}

// value renders the parts of a value; false when every part is missing.
func (d *Decoder) value(pieces []piece, subs []sub, o *op) (sigma.Value, bool) {
	if len(pieces) == 1 {
		pc := pieces[0]
		if pc.sub < 0 {
			return sigma.Bytes(pc.lit), true
		}
		if int(pc.sub) >= len(subs) || subs[pc.sub].typ == typNull {
			return sigma.Value{}, false
		}
		s := subs[pc.sub]
		if o.role == roleTime && s.typ == typFileTime && s.to-s.from >= 8 {
			d.head.Time = fileTime(le64(d.chunk[s.from:]))
		}
		from := len(d.arena)
		d.arena = d.appendValue(d.arena, s)
		return sigma.Value{Text: d.arena[from:len(d.arena):len(d.arena)], Type: valueType(s.typ)}, true
	}
	from, there := len(d.arena), false
	for _, pc := range pieces {
		switch {
		case pc.sub < 0:
			d.arena, there = append(d.arena, pc.lit...), true
		case int(pc.sub) < len(subs) && subs[pc.sub].typ != typNull:
			d.arena, there = d.appendValue(d.arena, subs[pc.sub]), true
		}
	}
	return sigma.Bytes(d.arena[from:len(d.arena):len(d.arena)]), there
}

// set puts a value into the record, and into the head where it belongs there.
func (d *Decoder) set(o *op, p *program, subs []sub, v sigma.Value) {
	if v.Type == sigma.Null {
		v.Type = sigma.Text
	}
	switch o.role {
	case roleUnnamed:
		d.addUnnamed(v.Text)
		return
	case roleChannel:
		d.head.Channel = v.Text
	case roleProvider:
		d.head.Provider = v.Text
	case roleEventID:
		d.head.EventID = v.Text
	case roleRecordID:
		if n, err := strconv.ParseUint(string(v.Text), 10, 64); err == nil {
			d.head.ID = n
		}
	case roleTime:
		if !rendered(p.pieces[o.from:o.to], subs) {
			if t, ok := parseTime(v.Text); ok {
				d.head.Time = t
			}
		}
	}
	name, id := o.name, o.id
	if o.nameTo > o.nameFrom {
		nv, ok := d.value(p.pieces[o.nameFrom:o.nameTo], subs, &op{})
		if !ok {
			d.addUnnamed(v.Text)
			return
		}
		name = bytes.ReplaceAll(nv.Text, []byte(" "), nil)
		id = d.fields.IDBytes(name)
	}
	d.rec.SetID(id, name, v)
}

// rendered tells whether a time was a number, which value has read.
func rendered(pieces []piece, subs []sub) bool {
	return len(pieces) == 1 && pieces[0].sub >= 0 && int(pieces[0].sub) < len(subs) && subs[pieces[0].sub].typ == typFileTime
}

func (d *Decoder) addUnnamed(text []byte) {
	if len(d.unnamed) > 0 {
		d.unnamed = append(d.unnamed, '\n')
	}
	d.unnamed = append(d.unnamed, text...)
}
