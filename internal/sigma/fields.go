package sigma

import (
	"maps"
	"sync"
	"sync/atomic"
)

// FieldID stands for a field name that some rule reads. It stays the same for
// as long as its Fields lives, also when rules are loaded again.
type FieldID int32

// NoField is the FieldID of a name that no rule reads.
const NoField FieldID = -1

// Fields is the table of the field names that rules read. Engines add the
// names of their rules when they are compiled; decoders look names up, at best
// once per template, header line or key and not once per record. One Fields is
// shared by every Engine and Record that follow each other in a process, so an
// engine can be swapped while records are being filled. It only grows, by the
// names in rule files and never by names in records. All methods may be
// called at once.
type Fields struct {
	mu    sync.Mutex
	table atomic.Pointer[fieldTable]
}

// fieldTable is immutable once stored.
type fieldTable struct {
	ids   map[string]FieldID
	names []string
}

// NewFields makes an empty table.
func NewFields() *Fields {
	f := &Fields{}
	f.table.Store(&fieldTable{ids: map[string]FieldID{}})
	return f
}

// ID finds the id of a name, which is compared exactly: case counts, as it does
// in rules. NoField when no rule reads the name.
func (f *Fields) ID(name string) FieldID {
	if id, ok := f.table.Load().ids[name]; ok {
		return id
	}
	return NoField
}

// IDBytes is ID for a name that is still bytes. It does not allocate.
func (f *Fields) IDBytes(name []byte) FieldID {
	if id, ok := f.table.Load().ids[string(name)]; ok {
		return id
	}
	return NoField
}

// Name is the name behind an id, "" for NoField.
func (f *Fields) Name(id FieldID) string {
	t := f.table.Load()
	if id < 0 || int(id) >= len(t.names) {
		return ""
	}
	return t.names[id]
}

// Len is the number of names. A decoder that keeps ids of names compares it
// with the Len it saw then: when it has grown, a name that was NoField may have
// an id now.
func (f *Fields) Len() int { return len(f.table.Load().names) }

// Add gives ids to names that have none yet and returns the ids of all.
func (f *Fields) Add(names ...string) []FieldID {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := f.table.Load()
	next, ids := old, make([]FieldID, len(names))
	for i, name := range names {
		id, ok := next.ids[name]
		if !ok {
			if next == old {
				next = old.clone(len(names) - i)
			}
			id = FieldID(len(next.names))
			next.names = append(next.names, name)
			next.ids[name] = id
		}
		ids[i] = id
	}
	if next != old {
		f.table.Store(next)
	}
	return ids
}

func (t *fieldTable) clone(more int) *fieldTable {
	c := &fieldTable{ids: make(map[string]FieldID, len(t.ids)+more), names: make([]string, len(t.names), len(t.names)+more)}
	copy(c.names, t.names)
	maps.Copy(c.ids, t.ids)
	return c
}
