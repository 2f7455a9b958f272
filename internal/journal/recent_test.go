package journal

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// entries reads everything after a position.
func entries(t *testing.T, s *Spool, from Position) (out []Entry) {
	t.Helper()
	if _, err := s.Read(t.Context(), from, func(e Entry) error {
		out = append(out, Entry{e.Pos, bytes.Clone(e.Data)})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMemoryIsTheDisk reads from each position, and from places inside of
// records, out of memory and with the memory emptied, as far as segments are.
func TestMemoryIsTheDisk(t *testing.T) {
	s, err := Open(Config{Dir: t.TempDir(), SegmentSize: 8 << 10})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	r := rand.New(rand.NewPCG(1, 2))
	at := []Position{{}}
	for range 24 {
		p, err := s.Append(t.Context(), event.DepthAct, append(bytes.Repeat([]byte{'x'}, r.IntN(2000)), '\n'))
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, p, Position{p.Segment, p.Offset - 8})
	}
	if s.recent.size == 0 || len(s.recent.groups) == 0 {
		t.Fatal("nothing is in memory")
	}
	var mixed, memory [][]Entry
	for _, p := range at {
		memory = append(memory, entries(t, s, p))
	}
	s.recent.release(at[20]) // the older ones are on disk alone
	for _, p := range at {
		mixed = append(mixed, entries(t, s, p))
	}
	s.recent.release(s.End())
	if s.recent.size != 0 || len(s.recent.groups) != 0 {
		t.Fatalf("%d bytes are in memory when all is released", s.recent.size)
	}
	for i, p := range at {
		disk := entries(t, s, p)
		if d := cmp.Diff(disk, memory[i]); d != "" {
			t.Errorf("after %s, memory: %s", p, d)
		}
		if d := cmp.Diff(disk, mixed[i]); d != "" {
			t.Errorf("after %s, half in memory: %s", p, d)
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	var r recent
	data := bytes.Repeat([]byte{'x'}, 1<<20)
	for i := range 100 {
		r.put(1, int64(i)<<20, data)
	}
	if r.size > recentBytes || len(r.groups) != recentBytes>>20 {
		t.Errorf("%d bytes in %d groups", r.size, len(r.groups))
	}
	if _, ok := r.after(Position{1, 0}); ok {
		t.Error("what went is there")
	}
	if g, ok := r.after(Position{1, 99 << 20}); !ok || g.from != 99<<20 {
		t.Error("the newest is not there")
	}
}
