package evtx

import (
	"bytes"
	"unicode/utf8"
)

func dataName() []byte { return []byte("Data") }

func appendRune(dst []byte, r rune) []byte { return utf8.AppendRune(dst, r) }

// template gives the program of the template defined at off.
func (d *Decoder) template(off uint32, ctx context) *program {
	key := progKey{off, ctx}
	if p, ok := d.progs[key]; ok {
		return p
	}
	p := d.newProgram()
	d.progs[key] = p // before compiling: a template cannot hold itself
	c := cursor{b: d.chunk, p: int(off) + 20}
	size := int64(c.u32())
	if c.bad || size > int64(len(d.chunk)-c.p) {
		p.err = errRecord
		return p
	}
	c.b = d.chunk[:c.p+int(size)]
	k := compiler{d: d, c: &c, p: p, deps: true}
	p.err = k.nodes(ctx, 0)
	return p
}

func (d *Decoder) newProgram() *program {
	if d.used == len(d.pool) {
		d.pool = append(d.pool, &program{})
	}
	p := d.pool[d.used]
	d.used++
	p.ops, p.pieces, p.err = p.ops[:0], p.pieces[:0], nil
	return p
}

// compiler turns tokens into operations.
type compiler struct {
	d    *Decoder
	c    *cursor
	p    *program
	deps bool // elements carry a dependency id, as they do in templates
}

// nodes compiles elements and text up to the end of the fragment.
func (k *compiler) nodes(ctx context, depth int) error {
	for {
		t, ok := k.c.peek()
		if !ok || t == tokEOF {
			return nil
		}
		switch t &^ tokMore {
		case tokHeader:
			k.c.take(4)
		case tokOpen:
			if err := k.element(ctx, depth); err != nil {
				return err
			}
		case tokSub, tokOptSub:
			from := len(k.p.pieces)
			k.piece()
			k.p.ops = append(k.p.ops, op{from: int32(from), to: int32(len(k.p.pieces)), id: -1, ctx: ctx, container: true})
		default:
			return errRecord
		}
		if k.c.bad {
			return errRecord
		}
	}
}

// piece reads one part of a value; false when something else comes.
func (k *compiler) piece() bool {
	t, ok := k.c.peek()
	if !ok {
		return false
	}
	c, d := k.c, k.d
	switch t &^ tokMore {
	case tokValue:
		c.p++
		if typ := c.u8(); typ != typString {
			c.bad = true
			return false
		}
		k.lit(d.literal(c.take(c.u16() * 2)))
	case tokCData:
		c.p++
		k.lit(d.literal(c.take(c.u16() * 2)))
	case tokCharRef:
		c.p++
		from := len(d.lits)
		d.lits = appendRune(d.lits, rune(c.u16()))
		k.lit(d.lits[from:])
	case tokEntityRef:
		c.p++
		k.lit(entity(d.name(c)))
	case tokSub, tokOptSub:
		c.p++
		n := c.u16()
		c.u8() // the type in the value's own descriptor counts
		k.p.pieces = append(k.p.pieces, piece{sub: int32(n)})
	case tokPITarget:
		c.p++
		d.name(c)
	case tokPIData:
		c.p++
		c.take(c.u16() * 2)
	default:
		return false
	}
	return !c.bad && len(k.p.pieces) < maxPieces && len(d.lits) < maxLits
}

func (k *compiler) lit(b []byte) { k.p.pieces = append(k.p.pieces, piece{lit: b, sub: -1}) }

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
	return nil
}

// openTag reads the head of an element. Whether the dependency id is there is
// known from where the element stands; writers disagree, so when the name that
// follows cannot be one, the other form is tried.
func (k *compiler) openTag() (name []byte, attrs bool) {
	c := k.c
	attrs = c.u8()&tokMore != 0
	start := c.p
	for try := range 2 {
		c.p, c.bad = start, false
		if k.deps == (try == 0) {
			c.u16()
		}
		size := c.u32()
		name = k.d.name(c)
		if !c.bad && len(name) > 0 && int64(size) <= int64(len(k.d.chunk)) {
			break
		}
	}
	if attrs {
		c.u32()
	}
	return name, attrs
}

// element compiles one element with all it holds.
func (k *compiler) element(ctx context, depth int) error {
	if depth >= maxDepth {
		return errDeep
	}
	name, attrs := k.openTag()
	if k.c.bad {
		return errRecord
	}
	o := op{name: name, ctx: child(ctx, name)}
	isData := ctx == ctxEventData && string(name) == "Data"
	if isData {
		o.role = roleUnnamed
	}
	if attrs {
		k.attributes(ctx, &o, isData)
	}
	switch k.c.u8() &^ tokMore {
	case tokCloseEmpty:
		if o.ctx == ctxLeaf && ctx != ctxSystem {
			k.emit(ctx, o)
		}
		return k.fault()
	case tokCloseStart:
	default:
		return errRecord
	}
	return k.content(ctx, o, depth)
}

func (k *compiler) fault() error {
	if k.c.bad {
		return errRecord
	}
	return nil
}

// content compiles what stands between the tags of an element.
func (k *compiler) content(ctx context, o op, depth int) error {
	from := len(k.p.pieces)
	children := false
	for {
		t, ok := k.c.peek()
		if !ok {
			return errRecord
		}
		switch t &^ tokMore {
		case tokEnd:
			k.c.p++
			o.from, o.to = int32(from), int32(len(k.p.pieces))
			if o.ctx == ctxLeaf {
				if !children || o.to > o.from {
					k.emit(ctx, o)
				}
			} else if o.to > o.from {
				o.container, o.id = true, -1
				k.p.ops = append(k.p.ops, o)
			}
			return k.fault()
		case tokOpen:
			if children = true; o.ctx != ctxLeaf && len(k.p.pieces) > from {
				k.p.ops = append(k.p.ops, op{from: int32(from), to: int32(len(k.p.pieces)), id: -1, ctx: o.ctx, container: true})
			}
			inner := o.ctx
			if inner == ctxLeaf {
				inner = ctxUserBody
			}
			if err := k.element(inner, depth+1); err != nil {
				return err
			}
			from = len(k.p.pieces)
		default:
			if !k.piece() {
				return errRecord
			}
		}
	}
}

// attributes compiles the attributes of an element: Name of Data names the
// field, others become fields of their own.
func (k *compiler) attributes(ctx context, o *op, isData bool) {
	for {
		t, ok := k.c.peek()
		if !ok || t&^tokMore != tokAttr {
			return
		}
		k.c.p++
		attr := k.d.name(k.c)
		from := len(k.p.pieces)
		for k.piece() {
		}
		to := len(k.p.pieces)
		switch {
		case k.c.bad:
			return
		case isData && string(attr) == "Name":
			k.dataName(o, from, to)
		case bytes.HasPrefix(attr, []byte("xmlns")) || ctx == ctxRoot || ctx == ctxEvent:
		case isData && string(attr) == "Type":
		default:
			k.emit(ctx, op{name: k.d.joined(o.name, attr), from: int32(from), to: int32(to), ctx: ctxLeaf, role: attrRole(ctx, o.name, attr), keepAbsent: true})
		}
	}
}

// dataName makes the Name attribute the name of the field.
func (k *compiler) dataName(o *op, from, to int) {
	if to-from == 1 && k.p.pieces[from].sub < 0 {
		o.name = k.d.bare(k.p.pieces[from].lit)
		o.role = roleNone
		return
	}
	if to > from {
		o.nameFrom, o.nameTo, o.role = int32(from), int32(to), roleNone
	}
}

// emit adds the operation that sets a field.
func (k *compiler) emit(ctx context, o op) {
	if ctx == ctxRendering && string(o.name) != "Message" {
		return
	}
	if ctx == ctxSystem {
		o.keepAbsent = true
		if o.role == roleNone {
			o.role = elementRole(o.name)
		}
	}
	o.id = k.d.fields.IDBytes(o.name)
	k.p.ops = append(k.p.ops, o)
}

func elementRole(name []byte) role {
	switch string(name) {
	case "Channel":
		return roleChannel
	case "EventID":
		return roleEventID
	case "EventRecordID":
		return roleRecordID
	}
	return roleNone
}

func attrRole(ctx context, elem, attr []byte) role {
	switch {
	case ctx != ctxSystem:
	case string(elem) == "Provider" && string(attr) == "Name":
		return roleProvider
	case string(elem) == "TimeCreated" && string(attr) == "SystemTime":
		return roleTime
	}
	return roleNone
}

// child is the context inside an element.
func child(ctx context, name []byte) context {
	switch ctx {
	case ctxRoot:
		if string(name) == "Event" {
			return ctxEvent
		}
		return child(ctxEvent, name)
	case ctxEvent:
		switch string(name) {
		case "System":
			return ctxSystem
		case "EventData":
			return ctxEventData
		case "UserData":
			return ctxUserData
		case "RenderingInfo":
			return ctxRendering
		}
		return ctxUserBody
	case ctxUserData:
		return ctxUserBody
	}
	return ctxLeaf
}
