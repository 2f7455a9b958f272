package journal

import "sync"

// Holds releases a journal up to where everybody who reads it is done.
type Holds struct {
	mu      sync.Mutex
	release func(Position) error
	at      map[*Hold]Position
	done    Position
}

// NewHolds calls release with rising positions, for example Journal.Release.
func NewHolds(release func(Position) error) *Holds {
	return &Holds{release: release, at: map[*Hold]Position{}}
}

// Hold keeps entries after a position from being released.
type Hold struct{ of *Holds }

// Hold makes a Hold; take them all before the first Move, or, later, at a
// position that another Hold keeps meanwhile.
func (h *Holds) Hold(at Position) *Hold {
	h.mu.Lock()
	defer h.mu.Unlock()
	k := &Hold{h}
	h.at[k] = at
	return k
}

// Move lets entries before the position go. The error is release's.
func (k *Hold) Move(to Position) error {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	if k.of.at[k].Before(to) {
		k.of.at[k] = to
	}
	return k.of.settle()
}

// Drop ends the Hold.
func (k *Hold) Drop() error {
	k.of.mu.Lock()
	defer k.of.mu.Unlock()
	delete(k.of.at, k)
	return k.of.settle()
}

func (h *Holds) settle() error {
	first := true
	var least Position
	for _, p := range h.at {
		if first || p.Before(least) {
			least, first = p, false
		}
	}
	if first || !h.done.Before(least) {
		return nil
	}
	h.done = least
	return h.release(least)
}
