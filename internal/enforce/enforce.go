// Package enforce is the process that carries blocks out, and its client. The
// process holds CAP_NET_ADMIN and nothing else: no file, no other socket than
// the one it answers on. What it can be asked is block, unblock, allow, list,
// health and panic; every address and time is checked again on its side
// (package nft), whoever asks.
//
// A frame, in both directions, big-endian (docs/formats/enforcer.md):
//
//	length  4 bytes   of all that follows, at most 128 KiB
//	version 1 byte    1
//	word    1 byte    a request's; its answer's has the highest bit set
//	status  2 bytes   of an answer; 0 in a request
//	id      4 bytes   the answer's is the request's
//	body
package enforce

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/enforce/nft"
)

// Firewall is where blocks stand: *nft.Table.
type Firewall interface {
	Block([]nft.Element) []error
	Unblock([]netip.Prefix) error
	Allow([]netip.Prefix) error
	List() ([]nft.Held, error)
	Panic() error
	Stats() nft.Stats
}

// The words.
const (
	wordHello byte = iota // the server's first frame: who it is
	wordBlock
	wordUnblock
	wordAllow
	wordList
	wordHealth
	wordPanic

	answer  = 0x80
	version = 1
)

// The states of an answer.
const (
	statusOK     uint16 = iota
	statusSome          // of what was asked some failed: a fault for each
	statusFailed        // nothing was done: a text
	statusBad           // the request is none: a text, and the end of the connection
	statusMore          // another frame of this answer follows
)

// The bounds.
const (
	headSize  = 8
	maxFrame  = 128 << 10
	entrySize = 18 // address 16, bits 1, family 1
	blockSize = entrySize + 8
	heldSize  = blockSize + 8
	faultSize = 4 + 1
	perFrame  = 2000 // blocks of a request
	perAnswer = 3500 // blocks of a part of a list
	maxText   = 1 << 10
)

// frame is one of either direction.
type frame struct {
	word   byte
	status uint16
	id     uint32
	body   []byte
}

var errFrame = errors.New("not a frame of this protocol")

// write sends f in one piece.
func (f frame) write(w io.Writer) error {
	b := make([]byte, 4, 4+headSize+len(f.body))
	binary.BigEndian.PutUint32(b, uint32(headSize+len(f.body)))
	b = append(b, version, f.word)
	b = binary.BigEndian.AppendUint16(b, f.status)
	b = binary.BigEndian.AppendUint32(b, f.id)
	_, err := w.Write(append(b, f.body...))
	return err
}

// readFrame reads one. began is called after the first bytes, when the rest
// has to follow soon.
func readFrame(r io.Reader, began func() error) (frame, error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return frame{}, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n < headSize || n > maxFrame {
		return frame{}, fmt.Errorf("%w: %d bytes", errFrame, n)
	}
	if err := began(); err != nil {
		return frame{}, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(r, b); err != nil {
		return frame{}, fmt.Errorf("%w: cut off: %w", errFrame, err)
	}
	if b[0] != version {
		return frame{}, fmt.Errorf("%w: version %d, this is version %d: two versions of lapwing meet; start it again", errFrame, b[0], version)
	}
	return frame{b[1], binary.BigEndian.Uint16(b[2:]), binary.BigEndian.Uint32(b[4:]), b[headSize:]}, nil
}

// appendPrefix writes an entry.
func appendPrefix(b []byte, p netip.Prefix) []byte {
	a := p.Addr().As16()
	family := byte(4)
	if p.Addr().Is6() {
		family = 6
	}
	return append(append(b, a[:]...), byte(p.Bits()), family)
}

// takePrefix reads one. Only what appendPrefix writes is an entry.
func takePrefix(b []byte) (netip.Prefix, error) {
	a := netip.AddrFrom16([16]byte(b))
	switch {
	case b[17] == 4 && a.Is4In6():
		a = a.Unmap()
	case b[17] != 6 || a.Is4In6():
		return netip.Prefix{}, fmt.Errorf("%w: family %d", errFrame, b[17])
	}
	p := netip.PrefixFrom(a, int(b[16]))
	if !p.IsValid() || p != p.Masked() {
		return netip.Prefix{}, fmt.Errorf("%w: %s/%d is no network", errFrame, a, b[16])
	}
	return p, nil
}

// entries cuts a body into pieces of a size.
func entries[T any](body []byte, size, most int, take func([]byte) (T, error)) ([]T, error) {
	if len(body)%size != 0 || len(body)/size > most {
		return nil, fmt.Errorf("%w: a body of %d bytes", errFrame, len(body))
	}
	list := make([]T, 0, len(body)/size)
	for ; len(body) > 0; body = body[size:] {
		v, err := take(body[:size])
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	return list, nil
}

func appendBlock(b []byte, e nft.Element) []byte {
	return binary.BigEndian.AppendUint64(appendPrefix(b, e.Prefix), uint64(max(0, min(e.TTL, nft.MaxTTL))/time.Millisecond))
}

func takeBlock(b []byte) (nft.Element, error) {
	p, err := takePrefix(b)
	ttl := min(binary.BigEndian.Uint64(b[entrySize:]), uint64((nft.MaxTTL+time.Hour)/time.Millisecond)) // what is more is refused as too long
	return nft.Element{Prefix: p, TTL: time.Duration(ttl) * time.Millisecond}, err
}

func appendHeld(b []byte, h nft.Held) []byte {
	return binary.BigEndian.AppendUint64(appendBlock(b, h.Element), h.Packets)
}

func takeHeld(b []byte) (nft.Held, error) {
	e, err := takeBlock(b)
	return nft.Held{Element: e, Packets: binary.BigEndian.Uint64(b[blockSize:])}, err
}

// fault is why one element of a request failed.
type fault struct {
	index uint32
	code  byte
}

// The codes of faults.
const (
	faultKernel byte = iota // the text says what
	faultPrefix
	faultAllowed
	faultFull
	faultTTL
)

func faultOf(err error) byte {
	switch {
	case errors.Is(err, nft.ErrPrefix):
		return faultPrefix
	case errors.Is(err, nft.ErrAllowed):
		return faultAllowed
	case errors.Is(err, nft.ErrFull):
		return faultFull
	case errors.Is(err, nft.ErrTTL):
		return faultTTL
	}
	return faultKernel
}

// Health is what the process says of itself.
type Health struct {
	Instance uint64 // another one after each start
	Blocks   uint32 // that stand
	Owned    bool   // the kernel keeps other programs off the table
	Repairs  uint64 // times that the table had to be put back
	Refused  uint64 // blocks for which there was no room
	Err      string // why it does not do what it should
}

const healthSize = 8 + 4 + 1 + 8 + 8

func (h Health) append(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, h.Instance)
	b = binary.BigEndian.AppendUint32(b, h.Blocks)
	owned := byte(0)
	if h.Owned {
		owned = 1
	}
	b = append(b, owned)
	b = binary.BigEndian.AppendUint64(b, h.Repairs)
	b = binary.BigEndian.AppendUint64(b, h.Refused)
	return append(b, cut(h.Err)...)
}

func takeHealth(b []byte) (Health, error) {
	if len(b) < healthSize || len(b) > healthSize+maxText {
		return Health{}, fmt.Errorf("%w: health of %d bytes", errFrame, len(b))
	}
	return Health{
		binary.BigEndian.Uint64(b), binary.BigEndian.Uint32(b[8:]), b[12] == 1,
		binary.BigEndian.Uint64(b[13:]), binary.BigEndian.Uint64(b[21:]), string(b[healthSize:]),
	}, nil
}

// cut bounds a text.
func cut(s string) string { return s[:min(len(s), maxText)] }
