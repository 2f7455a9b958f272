package journal

import (
	"bytes"
	"encoding/binary"
	"sync"
)

// recent holds the newest groups of records as they were written, so that who
// follows the journal closely reads them without the disk: they are synced, and
// nobody but this process had them since their sums were made. Groups go when
// they are released, or when newer ones need the room.
type recent struct {
	mu     sync.Mutex
	groups []group // in the order of their places
	size   int
}

// group is what lies in a segment from a place on. Its bytes never change.
type group struct {
	segment uint64
	from    int64
	data    []byte
}

// recentBytes is half a second of the largest flood that is planned for.
const recentBytes = 24 << 20

// put takes a copy of a group that was written.
func (r *recent) put(segment uint64, from int64, data []byte) {
	g := group{segment, from, bytes.Clone(data)}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.groups = append(r.groups, g)
	r.size += len(data)
	n := 0
	for ; r.size > recentBytes; n++ {
		r.size -= len(r.groups[n].data)
	}
	r.drop(n)
}

// release lets groups go that end before a position.
func (r *recent) release(upTo Position) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for ; n < len(r.groups) && !upTo.Before(r.groups[n].end()); n++ {
		r.size -= len(r.groups[n].data)
	}
	r.drop(n)
}

// drop takes the first n groups away; r.mu is held.
func (r *recent) drop(n int) {
	if n == 0 {
		return
	}
	left := copy(r.groups, r.groups[n:])
	clear(r.groups[left:])
	r.groups = r.groups[:left]
}

func (g *group) end() Position { return Position{g.segment, g.from + int64(len(g.data))} }

// after is the group that holds what comes after a position; false where there
// is none.
func (r *recent) after(p Position) (group, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.groups) - 1; i >= 0; i-- {
		g := &r.groups[i]
		if begin := (Position{g.segment, g.from}); !p.Before(begin) {
			return *g, p.Before(g.end())
		}
	}
	return group{}, false
}

// each calls fn with the records of g after a position, up to a place in the
// segment, and gives the position after the last one that was taken. A position
// that is inside of a record is where it stays.
func (g *group) each(after Position, size int64, fn func(Entry) error) (Position, error) {
	for off := int64(0); off < int64(len(g.data)) && g.from+off < size; {
		b := g.data[off:]
		n := int64(binary.LittleEndian.Uint32(b[4:]))
		at := g.from + off
		off += recordSize + int64(padded(int(n)))
		if at < after.Offset {
			if g.from+off > after.Offset {
				break
			}
			continue
		}
		end := Position{g.segment, min(g.from+off, size)}
		if err := fn(Entry{Pos: end, Data: b[recordSize:][:n]}); err != nil {
			return after, err
		}
		after = end
	}
	return after, nil
}
