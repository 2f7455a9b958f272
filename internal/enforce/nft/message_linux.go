package nft

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// Constants that package unix does not name.
const (
	tableOwner   = 2    // NFT_TABLE_F_OWNER
	tablePersist = 4    // NFT_TABLE_F_PERSIST
	setExpr      = 0x11 // NFTA_SET_EXPR
	elemExprs    = 0x0b // NFTA_SET_ELEM_EXPRESSIONS
	typeIPv4     = 7    // of nft's own data types, for its listings
	typeIPv6     = 8
	subsystem    = unix.NFNL_SUBSYS_NFTABLES << 8
)

// writer puts netlink messages together.
type writer struct {
	b     []byte
	seq   uint32
	begun int // of the message in work
	id    uint32
}

// batch starts a transaction.
func (w *writer) batch() {
	w.b = w.b[:0]
	w.header(unix.NFNL_MSG_BATCH_BEGIN, unix.NLM_F_REQUEST, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	w.end()
}

// commit ends it. The message before is the one that the kernel answers.
func (w *writer) commit() {
	flags := binary.NativeEndian.Uint16(w.b[w.begun+6:])
	binary.NativeEndian.PutUint16(w.b[w.begun+6:], flags|unix.NLM_F_ACK)
	w.header(unix.NFNL_MSG_BATCH_END, unix.NLM_F_REQUEST, unix.AF_UNSPEC, unix.NFNL_SUBSYS_NFTABLES)
	w.end()
}

// message starts one of nftables, for our family.
func (w *writer) message(kind, flags uint16) {
	w.header(subsystem|kind, unix.NLM_F_REQUEST|flags, unix.NFPROTO_INET, 0)
}

func (w *writer) header(kind, flags uint16, family byte, res uint16) {
	w.begun = len(w.b)
	w.seq++
	w.b = binary.NativeEndian.AppendUint32(w.b, 0)
	w.b = binary.NativeEndian.AppendUint16(w.b, kind)
	w.b = binary.NativeEndian.AppendUint16(w.b, flags)
	w.b = binary.NativeEndian.AppendUint32(w.b, w.seq)
	w.b = append(w.b, 0, 0, 0, 0, family, unix.NFNETLINK_V0)
	w.b = binary.BigEndian.AppendUint16(w.b, res)
}

func (w *writer) end() {
	binary.NativeEndian.PutUint32(w.b[w.begun:], uint32(len(w.b)-w.begun))
}

// open starts an attribute that holds others; close ends it.
func (w *writer) open(kind uint16) (at int) {
	at = len(w.b)
	w.b = binary.NativeEndian.AppendUint16(w.b, 0)
	w.b = binary.NativeEndian.AppendUint16(w.b, kind|unix.NLA_F_NESTED)
	return at
}

func (w *writer) close(at int) {
	binary.NativeEndian.PutUint16(w.b[at:], uint16(len(w.b)-at))
}

func (w *writer) bytes(kind uint16, data []byte) {
	w.b = binary.NativeEndian.AppendUint16(w.b, uint16(4+len(data)))
	w.b = binary.NativeEndian.AppendUint16(w.b, kind)
	w.b = append(w.b, data...)
	for len(w.b)%4 != 0 {
		w.b = append(w.b, 0)
	}
}

func (w *writer) text(kind uint16, s string) { w.bytes(kind, append([]byte(s), 0)) }

func (w *writer) u32(kind uint16, v uint32) {
	w.bytes(kind, binary.BigEndian.AppendUint32(nil, v))
}

func (w *writer) u64(kind uint16, v uint64) {
	w.bytes(kind, binary.BigEndian.AppendUint64(nil, v))
}

// value is data as nftables nests it.
func (w *writer) value(kind uint16, data []byte) {
	at := w.open(kind)
	w.bytes(unix.NFTA_DATA_VALUE, data)
	w.close(at)
}

// expr starts an expression of a rule; done ends it.
func (w *writer) expr(name string) (done func()) {
	at := w.open(unix.NFTA_LIST_ELEM)
	w.text(unix.NFTA_EXPR_NAME, name)
	data := w.open(unix.NFTA_EXPR_DATA)
	return func() { w.close(data); w.close(at) }
}

// attrs calls f for each attribute, until b ends or is cut off.
func attrs(b []byte, f func(kind uint16, data []byte)) {
	for len(b) >= 4 {
		n := int(binary.NativeEndian.Uint16(b))
		if n < 4 || n > len(b) {
			return
		}
		f(binary.NativeEndian.Uint16(b[2:])&^(unix.NLA_F_NESTED|unix.NLA_F_NET_BYTEORDER), b[4:n])
		b = b[min((n+3)&^3, len(b)):]
	}
}

// reply is one message from the kernel.
type reply struct {
	kind, flags uint16
	seq, pid    uint32
	body        []byte
}

// replies cuts what was read into messages; what is cut off is left out.
func replies(b []byte, f func(reply)) {
	for len(b) >= unix.NLMSG_HDRLEN {
		n := int(binary.NativeEndian.Uint32(b))
		if n < unix.NLMSG_HDRLEN || n > len(b) {
			return
		}
		f(reply{
			binary.NativeEndian.Uint16(b[4:]), binary.NativeEndian.Uint16(b[6:]),
			binary.NativeEndian.Uint32(b[8:]), binary.NativeEndian.Uint32(b[12:]), b[unix.NLMSG_HDRLEN:n],
		})
		b = b[min((n+3)&^3, len(b)):]
	}
}

// attributes are those of a message of nftables.
func (r reply) attributes(f func(kind uint16, data []byte)) {
	if len(r.body) > 4 {
		attrs(r.body[4:], f)
	}
}

// failure is the error of an NLMSG_ERROR, nil for an acknowledgement.
func (r reply) failure() error {
	if len(r.body) < 4 {
		return unix.EBADMSG
	}
	if n := int32(binary.NativeEndian.Uint32(r.body)); n < 0 {
		return unix.Errno(-n)
	}
	return nil
}
