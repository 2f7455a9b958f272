package detect

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// source is what is remembered of one source since its first event of the day.
type source struct {
	First    time.Time         `json:"first"`
	Seen     time.Time         `json:"seen"`
	Tries    int64             `json:"tries,omitempty"`
	Users    []uint64          `json:"users,omitempty"` // hashes of names, at most maxUsers
	Got      bool              `json:"got,omitempty"`   // in
	Groups   map[string]*group `json:"groups,omitempty"`
	Campaign string            `json:"campaign"`
	Own      string            `json:"own"`              // the campaign that began with this source
	Joined   bool              `json:"joined,omitempty"` // others are in its own campaign
	Prints   int               `json:"prints,omitempty"` // made known, at most maxPrints

	derived bool // Own follows from the rest
}

// group is one alert of a source.
type group struct {
	ID      string      `json:"id"`
	First   time.Time   `json:"first"`
	Last    time.Time   `json:"last"`
	Count   int64       `json:"count"`
	Level   alert.Level `json:"level"`
	Session string      `json:"session,omitempty"`

	derived bool   // ID follows from the rest
	key     string // of the alert, once it was needed
}

// imprint is a thing that sources have in common, and whose it was first.
type imprint struct {
	Seen     time.Time  `json:"seen"`
	Campaign string     `json:"campaign"` // "": that of the owner; older versions wrote it
	Owner    netip.Addr `json:"owner"`    // first address of the source's prefix
}

// The bounds of what one source can make us remember.
const (
	maxUsers  = 256
	maxPrints = 128
)

// State is a piece of memory to be kept over a restart.
type State struct {
	Key    string
	Source netip.Addr
	Seen   time.Time
	Data   []byte
}

// memory holds states: those of this batch and the last one as they are, the
// newest of the others packed. The rest is recalled from where the caller keeps
// it: forgetting costs time, it splits no group.
type memory struct {
	recall  func(ctx context.Context, key string) (State, bool, error)
	sources map[netip.Addr]*item // by the first address of the prefix
	prints  map[[16]byte]*item
	dirty   []*item // of one key the last counts
	most    int     // in sources and prints, before those that are kept are packed
	batch   int     // the number of this one

	packedSources, packedPrints *packed
	buf, spare                  []byte
}

// maxOpen is how many states are held as they are; what is not kept yet stays
// beyond that.
const (
	maxOpen    = 100_000
	usualState = 64 // bytes
)

type item struct {
	key    string
	addr   netip.Addr // of a source
	hash   [16]byte   // of a print
	source *source
	print  *imprint
	dirty  bool // to be kept
	packed bool // as it is packed
	batch  int  // in which it was asked for
}

func newMemory(limit int, recall func(context.Context, string) (State, bool, error)) memory {
	return memory{
		recall: recall, sources: map[netip.Addr]*item{}, prints: map[[16]byte]*item{}, most: maxOpen,
		packedSources: newPacked(limit / 3 * 2), packedPrints: newPacked(limit / 3),
	}
}

// reset forgets everything.
func (m *memory) reset() {
	clear(m.sources)
	clear(m.prints)
	m.dirty = nil
	m.packedSources.reset()
	m.packedPrints.reset()
}

func sourceKey(addr netip.Addr) string { return "s " + prefix(addr).String() }

func printKey(hash [16]byte) string { return "p " + hex.EncodeToString(hash[:]) }

// find is what is known of a source; nil where nothing is.
func (m *memory) find(ctx context.Context, addr netip.Addr) (*item, error) {
	if it := m.sources[addr]; it != nil {
		it.batch = m.batch
		return it, nil
	}
	it := &item{key: sourceKey(addr), addr: addr, batch: m.batch}
	at := addr.As16()
	data, ok := m.packedSources.get(at[:])
	if ok, err := m.unpack(ctx, it, State{Data: data}, ok); !ok || err != nil {
		return nil, err
	}
	m.sources[addr] = it
	return it, nil
}

// findPrint is what is known of a print; nil where it is new.
func (m *memory) findPrint(ctx context.Context, hash [16]byte) (*item, error) {
	if it := m.prints[hash]; it != nil {
		it.batch = m.batch
		return it, nil
	}
	it := &item{key: printKey(hash), hash: hash, batch: m.batch}
	data, ok := m.packedPrints.get(hash[:])
	var st State
	if ok {
		d := decoder{b: data}
		st.Seen = d.time()
		st.Source, _ = netip.AddrFromSlice(d.take(int(d.byte())))
		st.Data = d.b
	}
	if ok, err := m.unpack(ctx, it, st, ok); !ok || err != nil {
		return nil, err
	}
	m.prints[hash] = it
	return it, nil
}

// unpack fills an item from what was packed, or else from what the caller kept;
// false where there is nothing.
func (m *memory) unpack(ctx context.Context, it *item, st State, packed bool) (ok bool, err error) {
	if it.packed = packed; !packed {
		if m.recall == nil {
			return false, nil
		}
		if st, ok, err = m.recall(ctx, it.key); !ok || err != nil {
			return false, err
		}
	}
	if err := it.decode(st); err != nil {
		return false, fmt.Errorf("recall %q: %w", it.key, err)
	}
	return true, nil
}

// put takes a new item, instead of one that may be there.
func (m *memory) put(it *item) {
	it.batch = m.batch
	if it.print != nil {
		m.prints[it.hash] = it
	} else {
		m.sources[it.addr] = it
	}
	m.mark(it)
}

// mark says that an item has changed.
func (m *memory) mark(it *item) {
	if !it.dirty {
		it.dirty = true
		m.dirty = append(m.dirty, it)
	}
}

// changed gives what is to be kept, and takes it as kept.
func (m *memory) changed() []State {
	out := make([]State, 0, len(m.dirty))
	all := make([]byte, 0, usualState*len(m.dirty))
	for _, it := range m.dirty {
		from := len(all)
		all = it.append(all)
		s := State{Key: it.key, Source: it.addr, Data: all[from:len(all):len(all)]}
		if it.print != nil {
			s.Seen, s.Source = it.print.Seen, it.print.Owner
		} else {
			s.Seen = it.source.Seen
		}
		out = append(out, s)
		m.pack(it, s.Data)
		it.dirty = false
	}
	clear(m.dirty)
	m.dirty = m.dirty[:0]
	m.close()
	return out
}

// close packs everything that was not asked for since the last time, but what is
// to be kept first: visits go on over several batches.
func (m *memory) close() {
	for addr, it := range m.sources {
		if m.closed(it) {
			delete(m.sources, addr)
		}
	}
	for hash, it := range m.prints {
		if m.closed(it) {
			delete(m.prints, hash)
		}
	}
	m.batch++
}

// closed packs an item where it is time, and tells whether it is packed.
func (m *memory) closed(it *item) bool {
	if it.dirty && m.recall != nil || it.batch == m.batch {
		return false
	}
	if it.dirty || !it.packed {
		m.spare = it.append(m.spare[:0])
		m.pack(it, m.spare)
	}
	return true
}

// pack keeps the data of an item packed.
func (m *memory) pack(it *item, data []byte) {
	it.packed = true
	if it.print == nil {
		at := it.addr.As16()
		m.packedSources.put(at[:], data)
		return
	}
	owner := it.print.Owner.AsSlice()
	m.buf = append(appendTime(m.buf[:0], it.print.Seen), byte(len(owner)))
	m.buf = append(append(m.buf, owner...), data...)
	m.packedPrints.put(it.hash[:], m.buf)
}

// bound packs what is not of this batch where much is open. No item may be in
// hand.
func (m *memory) bound() {
	if len(m.sources)+len(m.prints) < m.most {
		return
	}
	m.close()
	m.most = max(maxOpen, 2*(len(m.sources)+len(m.prints)))
}
