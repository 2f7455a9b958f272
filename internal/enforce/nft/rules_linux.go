package nft

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// The names in the table.
const (
	chainInput   = "input"
	chainForward = "forward"
	chainSources = "sources"
	setAllow4    = "allow4"
	setAllow6    = "allow6"
	priority     = -10
	loopback     = 1 // index of the interface lo, in every network namespace
	drop         = 0 // verdicts
	accept       = 1
)

// width is the number of bytes of an address.
func (l length) width() int {
	if l.six {
		return 16
	}
	return 4
}

// layout is what the table is made of, beside the elements.
type layout struct {
	flags   uint32 // of the table
	lengths []length
	max     int
	counted bool // each element counts its packets
	allow   []netip.Prefix
}

// write puts the whole table into a transaction: what is there stays with its
// elements, rules and allow list are made new. fresh: nothing of it stays; it has to be there.
func (l *layout) write(w *writer, fresh bool) {
	w.batch()
	if fresh {
		w.table(unix.NFT_MSG_DELTABLE, 0, 0)
	}
	w.table(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, l.flags)
	w.chain(chainSources, 0)
	w.chain(chainInput, unix.NF_INET_LOCAL_IN)
	w.chain(chainForward, unix.NF_INET_FORWARD)
	w.set(setAllow4, length{32, false}, unix.NFT_SET_INTERVAL, maxAllow, false)
	w.set(setAllow6, length{128, true}, unix.NFT_SET_INTERVAL, maxAllow, false)
	for _, n := range l.lengths {
		w.set(n.name(), n, unix.NFT_SET_TIMEOUT, l.room(n), l.counted)
		w.counter(n.name())
	}
	w.allowed(l.allow)
	for _, c := range []string{chainInput, chainForward, chainSources} {
		w.emptyChain(c)
	}
	w.rule(chainInput, func() { w.interfaceIs(loopback); w.verdict(accept, "") })
	for _, c := range []string{chainInput, chainForward} {
		w.rule(c, func() { w.verdict(unix.NFT_JUMP, chainSources) })
	}
	w.rule(chainSources, func() { w.source(length{32, false}, setAllow4); w.verdict(accept, "") })
	w.rule(chainSources, func() { w.source(length{128, true}, setAllow6); w.verdict(accept, "") })
	for _, n := range l.lengths {
		w.rule(chainSources, func() { w.source(n, n.name()); w.count(n.name()); w.verdict(drop, "") })
	}
	w.commit()
}

// most is how many blocks of a length may stand.
func (l *layout) most(n length) int {
	if slices.Contains(usual(), n) {
		return l.max
	}
	return max(l.max/10, 1)
}

// room is the size of the kernel's set. What ended is in it for a while, and
// at three quarters the kernel moves it all to a larger table.
func (l *layout) room(n length) int { return l.most(n) + l.most(n)/4 }

func (w *writer) table(kind, flags uint16, tableFlags uint32) {
	w.message(kind, flags)
	w.text(unix.NFTA_TABLE_NAME, Name)
	if kind == unix.NFT_MSG_NEWTABLE {
		w.u32(unix.NFTA_TABLE_FLAGS, tableFlags)
	}
	w.end()
}

// chain makes one; a hook makes it a base chain that accepts what it does not judge.
func (w *writer) chain(name string, hook uint32) {
	w.message(unix.NFT_MSG_NEWCHAIN, unix.NLM_F_CREATE)
	w.text(unix.NFTA_CHAIN_TABLE, Name)
	w.text(unix.NFTA_CHAIN_NAME, name)
	if hook != 0 {
		at := w.open(unix.NFTA_CHAIN_HOOK)
		w.u32(unix.NFTA_HOOK_HOOKNUM, hook)
		prio := int32(priority)
		w.u32(unix.NFTA_HOOK_PRIORITY, uint32(prio))
		w.close(at)
		w.u32(unix.NFTA_CHAIN_POLICY, accept)
		w.text(unix.NFTA_CHAIN_TYPE, "filter")
	}
	w.end()
}

func (w *writer) emptyChain(name string) {
	w.message(unix.NFT_MSG_DELRULE, 0)
	w.text(unix.NFTA_RULE_TABLE, Name)
	w.text(unix.NFTA_RULE_CHAIN, name)
	w.end()
}

func (w *writer) set(name string, l length, flags uint32, size int, counted bool) {
	w.id++
	w.message(unix.NFT_MSG_NEWSET, unix.NLM_F_CREATE)
	w.text(unix.NFTA_SET_TABLE, Name)
	w.text(unix.NFTA_SET_NAME, name)
	w.u32(unix.NFTA_SET_FLAGS, flags)
	kind := uint32(typeIPv4)
	if l.six {
		kind = typeIPv6
	}
	w.u32(unix.NFTA_SET_KEY_TYPE, kind)
	w.u32(unix.NFTA_SET_KEY_LEN, uint32(l.width()))
	w.u32(unix.NFTA_SET_ID, w.id)
	at := w.open(unix.NFTA_SET_DESC)
	if flags&unix.NFT_SET_INTERVAL != 0 {
		size *= 2 // the kernel counts both ends
	}
	w.u32(unix.NFTA_SET_DESC_SIZE, uint32(size))
	w.close(at)
	if counted {
		at := w.open(setExpr)
		w.text(unix.NFTA_EXPR_NAME, "counter")
		w.close(w.open(unix.NFTA_EXPR_DATA))
		w.close(at)
	}
	w.end()
}

func (w *writer) counter(name string) {
	w.message(unix.NFT_MSG_NEWOBJ, unix.NLM_F_CREATE)
	w.text(unix.NFTA_OBJ_TABLE, Name)
	w.text(unix.NFTA_OBJ_NAME, name)
	w.u32(unix.NFTA_OBJ_TYPE, unix.NFT_OBJECT_COUNTER)
	w.close(w.open(unix.NFTA_OBJ_DATA))
	w.end()
}

func (w *writer) rule(chain string, expressions func()) {
	w.message(unix.NFT_MSG_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_APPEND)
	w.text(unix.NFTA_RULE_TABLE, Name)
	w.text(unix.NFTA_RULE_CHAIN, chain)
	at := w.open(unix.NFTA_RULE_EXPRESSIONS)
	expressions()
	w.close(at)
	w.end()
}

// meta compares a fact about the packet.
func (w *writer) meta(key uint32, want []byte) {
	done := w.expr("meta")
	w.u32(unix.NFTA_META_DREG, unix.NFT_REG_1)
	w.u32(unix.NFTA_META_KEY, key)
	done()
	done = w.expr("cmp")
	w.u32(unix.NFTA_CMP_SREG, unix.NFT_REG_1)
	w.u32(unix.NFTA_CMP_OP, unix.NFT_CMP_EQ)
	w.value(unix.NFTA_CMP_DATA, want)
	done()
}

func (w *writer) interfaceIs(index uint32) {
	w.meta(unix.NFT_META_IIF, binary.NativeEndian.AppendUint32(nil, index))
}

// source looks the packet's source up in a set, by its first bits.
func (w *writer) source(l length, set string) {
	family, offset := byte(unix.NFPROTO_IPV4), uint32(12)
	if l.six {
		family, offset = unix.NFPROTO_IPV6, 8
	}
	w.meta(unix.NFT_META_NFPROTO, []byte{family})
	done := w.expr("payload")
	w.u32(unix.NFTA_PAYLOAD_DREG, unix.NFT_REG_1)
	w.u32(unix.NFTA_PAYLOAD_BASE, unix.NFT_PAYLOAD_NETWORK_HEADER)
	w.u32(unix.NFTA_PAYLOAD_OFFSET, offset)
	w.u32(unix.NFTA_PAYLOAD_LEN, uint32(l.width()))
	done()
	if l.bits < 8*l.width() {
		done := w.expr("bitwise")
		w.u32(unix.NFTA_BITWISE_SREG, unix.NFT_REG_1)
		w.u32(unix.NFTA_BITWISE_DREG, unix.NFT_REG_1)
		w.u32(unix.NFTA_BITWISE_LEN, uint32(l.width()))
		w.value(unix.NFTA_BITWISE_MASK, l.mask())
		w.value(unix.NFTA_BITWISE_XOR, make([]byte, l.width()))
		done()
	}
	done = w.expr("lookup")
	w.text(unix.NFTA_LOOKUP_SET, set)
	w.u32(unix.NFTA_LOOKUP_SREG, unix.NFT_REG_1)
	done()
}

func (l length) mask() []byte {
	m := make([]byte, l.width())
	for i := range l.bits {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m
}

func (w *writer) count(counter string) {
	done := w.expr("objref")
	w.u32(unix.NFTA_OBJREF_IMM_TYPE, unix.NFT_OBJECT_COUNTER)
	w.text(unix.NFTA_OBJREF_IMM_NAME, counter)
	done()
}

func (w *writer) verdict(code int32, chain string) {
	done := w.expr("immediate")
	w.u32(unix.NFTA_IMMEDIATE_DREG, unix.NFT_REG_VERDICT)
	at := w.open(unix.NFTA_IMMEDIATE_DATA)
	v := w.open(unix.NFTA_DATA_VERDICT)
	w.u32(unix.NFTA_VERDICT_CODE, uint32(code))
	if chain != "" {
		w.text(unix.NFTA_VERDICT_CHAIN, chain)
	}
	w.close(v)
	w.close(at)
	done()
}

// allowed puts the allow list in the place of the one before.
func (w *writer) allowed(list []netip.Prefix) {
	for _, name := range []string{setAllow4, setAllow6} {
		w.message(unix.NFT_MSG_DELSETELEM, 0)
		w.text(unix.NFTA_SET_ELEM_LIST_TABLE, Name)
		w.text(unix.NFTA_SET_ELEM_LIST_SET, name)
		w.end()
		var of []netip.Prefix
		for _, p := range list {
			if p.Addr().Is6() == (name == setAllow6) {
				of = append(of, p)
			}
		}
		if len(of) > 0 {
			w.intervals(name, of)
		}
	}
}

// intervals adds prefixes that do not overlap to a set of intervals.
func (w *writer) intervals(set string, list []netip.Prefix) {
	for part := range slices.Chunk(list, perMessage/2) {
		list := w.elements(unix.NFT_MSG_NEWSETELEM, set)
		for _, p := range part {
			at := w.open(unix.NFTA_LIST_ELEM)
			w.value(unix.NFTA_SET_ELEM_KEY, p.Addr().AsSlice())
			w.close(at)
			if end := after(p); end != nil {
				at := w.open(unix.NFTA_LIST_ELEM)
				w.u32(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)
				w.value(unix.NFTA_SET_ELEM_KEY, end)
				w.close(at)
			}
		}
		list()
	}
}

// after is the first address beyond p, nil where there is none.
func after(p netip.Prefix) []byte {
	a := p.Masked().Addr().AsSlice()
	m := length{p.Bits(), p.Addr().Is6()}.mask()
	for i := range a {
		a[i] |= ^m[i]
	}
	last, ok := netip.AddrFromSlice(a)
	if !ok {
		return nil
	}
	next := last.Next()
	if !next.IsValid() {
		return nil
	}
	return next.AsSlice()
}

// merged sorts prefixes, and leaves out what lies in another.
func merged(list []netip.Prefix) []netip.Prefix {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if a.Addr().BitLen() != b.Addr().BitLen() {
			return a.Addr().BitLen() - b.Addr().BitLen()
		}
		if c := bytes.Compare(a.Addr().AsSlice(), b.Addr().AsSlice()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	var out []netip.Prefix
	for _, p := range list {
		if n := len(out); n == 0 || !out[n-1].Overlaps(p) {
			out = append(out, p)
		}
	}
	return out
}

// elements starts a message about elements of a set; done ends it.
func (w *writer) elements(kind uint16, set string) (done func()) {
	flags := uint16(0)
	if kind == unix.NFT_MSG_NEWSETELEM {
		flags = unix.NLM_F_CREATE
	}
	w.message(kind, flags)
	w.text(unix.NFTA_SET_ELEM_LIST_TABLE, Name)
	w.text(unix.NFTA_SET_ELEM_LIST_SET, set)
	at := w.open(unix.NFTA_SET_ELEM_LIST_ELEMENTS)
	return func() { w.close(at); w.end() }
}

// perMessage is how many elements one message holds: an attribute's length has
// 16 bits.
const perMessage = 500

// blocks adds elements to the set of their length; to remove them, kind is
// NFT_MSG_DELSETELEM.
func (w *writer) blocks(kind uint16, l length, list []Element) {
	for part := range slices.Chunk(list, perMessage) {
		done := w.elements(kind, l.name())
		for _, e := range part {
			at := w.open(unix.NFTA_LIST_ELEM)
			w.value(unix.NFTA_SET_ELEM_KEY, e.Prefix.Addr().AsSlice())
			if kind == unix.NFT_MSG_NEWSETELEM {
				w.u64(unix.NFTA_SET_ELEM_TIMEOUT, uint64(e.TTL.Milliseconds()))
			}
			w.close(at)
		}
		done()
	}
}
