package detect

import (
	"container/list"
	"context"
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

	derived bool // ID follows from the rest
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

// memory holds the newest states, the others are recalled from where the
// caller keeps them: forgetting costs time, it splits no group.
type memory struct {
	limit   int
	recall  func(ctx context.Context, key string) (State, bool, error)
	byKey   map[string]*list.Element
	order   list.List // of *item, the most recent first
	dirty   map[string]*item
	Evicted int64
}

type item struct {
	key    string
	source *source
	print  *imprint
}

// get finds an item, in memory or where it is kept; nil where there is none.
func (m *memory) get(ctx context.Context, key string) (*item, error) {
	if el := m.byKey[key]; el != nil {
		m.order.MoveToFront(el)
		return el.Value.(*item), nil // nothing else is put in
	}
	if m.recall == nil {
		return nil, nil //nolint:nilnil // none is an answer
	}
	st, ok, err := m.recall(ctx, key)
	if err != nil || !ok {
		return nil, err
	}
	it := &item{key: key}
	if err := it.decode(st); err != nil {
		return nil, fmt.Errorf("recall %q: %w", key, err)
	}
	m.put(it)
	return it, nil
}

func (m *memory) put(it *item) {
	if el := m.byKey[it.key]; el != nil {
		el.Value = it
		m.order.MoveToFront(el)
		return
	}
	m.byKey[it.key] = m.order.PushFront(it)
	for el := m.order.Back(); el != nil && len(m.byKey) > m.limit; {
		old, prev := el.Value.(*item), el.Prev() // as above
		if m.recall == nil || m.dirty[old.key] == nil {
			m.order.Remove(el)
			delete(m.byKey, old.key)
			delete(m.dirty, old.key)
			m.Evicted++
		} else if len(m.byKey) <= 2*m.limit {
			return // what is not kept yet stays; the next batch keeps it
		}
		el = prev
	}
}

// changed gives what is to be kept, and takes it as kept.
func (m *memory) changed() ([]State, error) {
	out := make([]State, 0, len(m.dirty))
	for key, it := range m.dirty {
		s := State{Key: key}
		if it.print != nil {
			s.Seen, s.Source = it.print.Seen, it.print.Owner
		} else {
			s.Seen = it.source.Seen
			p, err := netip.ParsePrefix(key[2:])
			if err != nil {
				return nil, fmt.Errorf("keep %q: %w", key, err)
			}
			s.Source = p.Addr()
		}
		s.Data = it.encode()
		out = append(out, s)
	}
	clear(m.dirty)
	return out, nil
}
