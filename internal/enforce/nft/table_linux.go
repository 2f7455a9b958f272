package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Table is our table in the kernel. It is safe for concurrent use.
type Table struct {
	log    *slog.Logger
	listMu sync.Mutex // for reader
	reader *socket    // lists; its slow answers hold up nobody else
	ears   *socket    // hears what others change

	mu      sync.Mutex
	writer  *socket // owns the table while it is open
	w       writer
	layout  layout
	blocks  map[length]map[netip.Addr]time.Time // when they end
	there   bool                                // the table is in the kernel
	broken  error                               // why it is not as it should be
	repairs uint64
	refused uint64 // blocks for which a set had no room
}

// Open takes over the table that a process before left, with its elements, or
// makes it. Only one process at a time can hold it (ErrOwned).
func Open(c Config) (*Table, error) {
	if c.Max <= 0 {
		c.Max = DefaultMax
	}
	t := &Table{log: c.Log, blocks: map[length]map[netip.Addr]time.Time{}}
	t.layout = layout{flags: tableOwner | tablePersist, lengths: usual(), max: c.Max, counted: true}
	if c.Shared {
		t.layout.flags = 0
	}
	for _, s := range []**socket{&t.writer, &t.reader, &t.ears} {
		var err error
		if *s, err = openSocket(); err != nil {
			return nil, errors.Join(err, t.Close())
		}
	}
	err := t.ears.listen(t.writer.id)
	if err == nil {
		err = t.adopt()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("set up the table inet %s: %w", Name, err), t.Close())
	}
	return t, nil
}

// Close lets go of the table. With the flag persist, and without the flag
// owner, it stays in the kernel, and its elements end by their timeouts.
func (t *Table) Close() error {
	var errs []error
	for _, s := range []*socket{t.writer, t.reader, t.ears} {
		if s != nil {
			errs = append(errs, s.close())
		}
	}
	return errors.Join(errs...)
}

// Owned tells whether the kernel keeps other programs off the table.
func (t *Table) Owned() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.layout.flags&tableOwner != 0
}

// adopt brings the kernel's table into the form that it must have. What the
// kernel cannot do is done without, from the best form to the plainest.
func (t *Table) adopt() error {
	held, err := t.dump()
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return err
	}
	found := err == nil
	for _, h := range held {
		t.note(h.Element)
	}
	for {
		if err = t.write(false); err == nil {
			return nil
		}
		if found && !errors.Is(err, unix.EPERM) {
			if err = t.rebuild(); err == nil {
				return nil
			}
		}
		switch {
		case errors.Is(err, unix.EPERM):
			return errors.Join(ErrOwned, err)
		case t.layout.flags != 0:
			t.layout.flags = 0
		case t.layout.counted:
			t.layout.counted = false
		default:
			return err
		}
	}
}

// note remembers a block that stands.
func (t *Table) note(e Element) {
	l := lengthOf(e.Prefix)
	if t.blocks[l] == nil {
		t.blocks[l] = map[netip.Addr]time.Time{}
		if !slices.Contains(t.layout.lengths, l) {
			t.layout.lengths = append(t.layout.lengths, l)
			slices.SortFunc(t.layout.lengths, length.compare)
		}
	}
	t.blocks[l][e.Prefix.Addr()] = time.Now().Add(e.TTL)
}

// write makes the table what layout says.
func (t *Table) write(fresh bool) error {
	t.layout.write(&t.w, fresh)
	err := t.writer.transact(&t.w)
	t.there = t.there || err == nil
	return err
}

// rebuild makes the table anew, with all that stands.
func (t *Table) rebuild() error {
	t.there = false
	err := t.write(true)
	if errors.Is(err, unix.ENOENT) {
		err = t.write(false)
	}
	if err != nil {
		return err
	}
	now := time.Now()
	for l, m := range t.blocks {
		list := make([]Element, 0, len(m))
		for a, until := range m {
			if ttl := until.Sub(now); ttl >= minTTL {
				list = append(list, Element{netip.PrefixFrom(a, l.bits), ttl})
			}
		}
		for part := range slices.Chunk(list, perTransaction) {
			if err := t.add(l, part, false); err != nil {
				return err
			}
		}
	}
	return nil
}

// perTransaction is how many elements become valid in one step.
const perTransaction = 8 * perMessage

// add puts elements in. The timeout of those that stand begins anew: kernels
// before 6.12 keep that of an element which is added again, and one that just
// ended cannot be deleted, so it is added, deleted and added.
func (t *Table) add(l length, list []Element, stand bool) error {
	t.w.batch()
	t.w.blocks(unix.NFT_MSG_NEWSETELEM, l, list)
	if stand {
		t.w.blocks(unix.NFT_MSG_DELSETELEM, l, list)
		t.w.blocks(unix.NFT_MSG_NEWSETELEM, l, list)
	}
	t.w.commit()
	return t.writer.transact(&t.w)
}

// dump lists the blocks in the kernel; unix.ENOENT: there is no table.
func (t *Table) dump() ([]Held, error) {
	t.listMu.Lock()
	defer t.listMu.Unlock()
	sets, err := t.sets()
	if err != nil {
		return nil, err
	}
	var held []Held
	for _, l := range sets {
		seen := map[netip.Prefix]Held{}
		for range dumpTries {
			list, err := t.dumpSet(l)
			if err != nil && !errors.Is(err, errInterrupted) {
				return nil, err
			}
			for _, h := range list {
				seen[h.Prefix] = h
			}
			if err == nil && len(seen) == len(list) {
				break
			}
		}
		held = slices.AppendSeq(held, maps.Values(seen))
	}
	return held, nil
}

// dumpTries is how often a set is listed that changes meanwhile. While the
// kernel makes the hash table larger it lists some elements twice, and others
// not at all.
const dumpTries = 2

// sets lists those in the kernel's table that hold blocks.
func (t *Table) sets() ([]length, error) {
	var w writer
	w.message(unix.NFT_MSG_GETTABLE, unix.NLM_F_ACK)
	w.text(unix.NFTA_TABLE_NAME, Name)
	w.end()
	if err := t.reader.ask(&w); err != nil {
		return nil, err
	}
	w.b = w.b[:0]
	w.message(unix.NFT_MSG_GETSET, unix.NLM_F_DUMP)
	w.text(unix.NFTA_SET_TABLE, Name)
	w.end()
	var found []length
	err := t.reader.dump(&w, func(r reply) {
		var name string
		var width uint32
		r.attributes(func(kind uint16, data []byte) {
			switch {
			case kind == unix.NFTA_SET_NAME:
				name = cstring(data)
			case kind == unix.NFTA_SET_KEY_LEN && len(data) == 4:
				width = binary.BigEndian.Uint32(data)
			}
		})
		for bits := range int(min(width, 16))*8 + 1 {
			if l := (length{bits, width == 16}); l.name() == name && l.width() == int(width) {
				found = append(found, l)
			}
		}
	})
	return found, err
}

func cstring(b []byte) string {
	if n := slices.Index(b, 0); n >= 0 {
		b = b[:n]
	}
	return string(b)
}

// dumpSet lists a set's blocks.
func (t *Table) dumpSet(l length) ([]Held, error) {
	var w writer
	w.message(unix.NFT_MSG_GETSETELEM, unix.NLM_F_DUMP)
	w.text(unix.NFTA_SET_ELEM_LIST_TABLE, Name)
	w.text(unix.NFTA_SET_ELEM_LIST_SET, l.name())
	w.end()
	var held []Held
	err := t.reader.dump(&w, func(r reply) {
		r.attributes(func(kind uint16, data []byte) {
			if kind != unix.NFTA_SET_ELEM_LIST_ELEMENTS {
				return
			}
			attrs(data, func(_ uint16, data []byte) {
				if h, ok := element(l, data); ok {
					held = append(held, h)
				}
			})
		})
	})
	return held, err
}

// element reads one of a set. One that never ends, or that no block can be, is
// none of ours.
func element(l length, data []byte) (h Held, ok bool) {
	var a netip.Addr
	attrs(data, func(kind uint16, data []byte) {
		switch kind {
		case unix.NFTA_SET_ELEM_KEY:
			attrs(data, func(_ uint16, data []byte) { a, _ = netip.AddrFromSlice(data) })
		case unix.NFTA_SET_ELEM_EXPIRATION:
			if len(data) == 8 {
				h.TTL = time.Duration(min(binary.BigEndian.Uint64(data), uint64(MaxTTL.Milliseconds()))) * time.Millisecond
			}
		case unix.NFTA_SET_ELEM_EXPR:
			h.Packets = packets(data)
		}
	})
	h.Prefix = netip.PrefixFrom(a, l.bits)
	return h, a.IsValid() && Check(h.Prefix) == nil && h.TTL >= minTTL
}

// packets reads an element's counter.
func packets(expr []byte) (n uint64) {
	attrs(expr, func(kind uint16, data []byte) {
		if kind != unix.NFTA_EXPR_DATA {
			return
		}
		attrs(data, func(kind uint16, data []byte) {
			if kind == unix.NFTA_COUNTER_PACKETS && len(data) == 8 {
				n = binary.BigEndian.Uint64(data)
			}
		})
	})
	return n
}

// List gives the blocks that stand in the kernel, in no order.
func (t *Table) List() ([]Held, error) {
	held, err := t.dump()
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return nil, fmt.Errorf("list the blocks: %w", err)
	}
	return held, nil
}

// Watch puts the table back whenever another program changed or removed it,
// and forgets what ended. It returns when ctx ends.
func (t *Table) Watch(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { t.ears.f.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a closed socket ends the loop too
	defer stop()
	pause, last := pauseFirst, time.Time{}
	for {
		hit, err := t.hear(ctx)
		if err != nil || ctx.Err() != nil {
			return err
		}
		if !hit {
			continue
		}
		if time.Since(last) > pauseCalm {
			pause = pauseFirst
		}
		last = time.Now()
		t.repair()
		select { // who fights us has to fight slowly
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, pauseLast)
	}
}

// hear waits for the next changes by others, and for those that follow at
// once, and tells whether our table may be among them.
func (t *Table) hear(ctx context.Context) (hit bool, err error) {
	if err := t.ears.f.SetReadDeadline(time.Time{}); err != nil || ctx.Err() != nil {
		return false, err
	}
	for range settleMost {
		b, err := t.ears.receive()
		lost := errors.Is(err, unix.ENOBUFS)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return hit, nil
		}
		if err != nil && !lost {
			return hit, fmt.Errorf("hear of changes to nftables: %w", err)
		}
		hit = hit || lost && !t.Owned()
		replies(b, func(r reply) { hit = hit || ours(r) })
		if !hit {
			return false, nil
		}
		if err := t.ears.f.SetReadDeadline(time.Now().Add(settle)); err != nil {
			return true, err
		}
	}
	return hit, nil
}

// settle is how long nothing more must be heard before the table is put back.
const (
	settle     = 3 * time.Millisecond
	settleMost = 1000 // datagrams
)

// The pauses after the table was put back.
const (
	pauseFirst = 20 * time.Millisecond
	pauseLast  = 640 * time.Millisecond
	pauseCalm  = time.Minute
)

// ours tells whether a notification is about our table.
func ours(r reply) (is bool) {
	if len(r.body) < 4 || r.body[0] != unix.NFPROTO_INET || r.kind&0xff == unix.NFT_MSG_NEWGEN {
		return false
	}
	r.attributes(func(kind uint16, data []byte) {
		// In every message the first attribute is the name of the table.
		is = is || kind == unix.NFTA_TABLE_NAME && cstring(data) == Name
	})
	return is
}
