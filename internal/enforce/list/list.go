// Package list keeps blocks as a plain list, one network a line, for firewalls
// that read one: as a file, over HTTP, or both.
//
// The list holds at most Config.Max networks; when more are blocked, those
// that end last stay on it: they are the newest, and those who came again and
// again. After a start nothing is written or given out for Config.Settle, so
// that no firewall takes a list that is not yet filled for one that is empty.
package list

import (
	"bytes"
	"container/heap"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Config is what New takes.
type Config struct {
	Name   string           // shown to people; empty: "list"
	Path   string           // the file; empty: none
	Max    int              // networks on it; 0: DefaultMax
	Settle time.Duration    // after a start
	Now    func() time.Time // the time
}

// DefaultMax is what common firewalls take of an external list.
const DefaultMax = 100_000

const (
	writeEvery = time.Second // at most, so that a storm of blocks is one write
	tick       = 250 * time.Millisecond
)

// List is the back end. It is safe for concurrent use.
type List struct {
	c     Config
	began time.Time
	wake  chan struct{}

	mu      sync.Mutex
	allow   action.AllowList
	held    map[netip.Prefix]*entry
	ends    queue
	dirty   bool  // the file is not as it should be
	failed  error // of the last write
	evicted uint64

	page page
}

// page is the list as text.
type page struct {
	text    []byte
	tag     string // of HTTP
	changed time.Time
	stale   bool
}

var (
	_ action.Backend = (*List)(nil)
	_ action.Guard   = (*List)(nil)
)

// New makes an empty list. Run keeps the file.
func New(c Config) *List {
	if c.Name == "" {
		c.Name = "list"
	}
	if c.Max <= 0 {
		c.Max = DefaultMax
	}
	return &List{
		c: c, began: c.Now(), wake: make(chan struct{}, 1), held: map[netip.Prefix]*entry{}, dirty: true,
		page: page{stale: true},
	}
}

// entry is a block.
type entry struct {
	action action.Action
	at     int // in the queue
}

// queue is a heap; first the one that ends first.
type queue []*entry

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].action.Until.Before(q[j].action.Until) }
func (q queue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].at, q[j].at = i, j
}

// Push adds one.
func (q *queue) Push(x any) {
	e, _ := x.(*entry)
	e.at = len(*q)
	*q = append(*q, e)
}

// Pop takes the last.
func (q *queue) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

// Name is Config.Name.
func (l *List) Name() string { return l.c.Name }

// Handles blocks only.
func (l *List) Handles(k action.Kind) bool { return k == action.Block }

// Plan says which line would be added.
func (l *List) Plan(_ context.Context, a action.Action) (action.Plan, error) {
	if a.Kind != action.Block {
		return action.Plan{}, action.ErrUnsupported
	}
	p := action.Unmap(a.Prefix)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.admit(p); err != nil {
		return action.Plan{}, fmt.Errorf("%s: %w", p, err)
	}
	e, there := l.held[p]
	return action.Plan{
		Text: []string{"add the line " + p.String() + " to the list " + l.c.Name},
		Undo: []string{"take the line " + p.String() + " away"},
		Noop: there && e.action.Until.Equal(a.Until) || !a.Until.After(l.c.Now()),
	}, nil
}

// admit says why a network may not be on the list.
func (l *List) admit(p netip.Prefix) error {
	if !p.IsValid() || p.Addr().Is4In6() || p.Bits() == 0 {
		return action.ErrUnsupported
	}
	if _, hit := action.Never().Hit(p); hit {
		return action.ErrAllowed
	}
	if _, hit := l.allow.Hit(p); hit {
		return action.ErrAllowed
	}
	return nil
}

// Apply puts networks on the list. One that ends before all others on a full
// list is refused (ErrFull).
func (l *List) Apply(_ context.Context, list []action.Action) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	var errs []error
	for _, a := range list {
		if err := l.put(a); err != nil {
			errs = append(errs, &action.Error{Action: a, Err: err})
		}
	}
	return errors.Join(errs...)
}

func (l *List) put(a action.Action) error {
	if a.Kind != action.Block {
		return action.ErrUnsupported
	}
	p := action.Unmap(a.Prefix)
	if err := l.admit(p); err != nil {
		return err
	}
	if !a.Until.After(l.c.Now()) {
		return nil
	}
	if e, there := l.held[p]; there {
		e.action = a
		heap.Fix(&l.ends, e.at)
		return nil
	}
	if len(l.held) >= l.c.Max {
		if !l.ends[0].action.Until.Before(a.Until) {
			return fmt.Errorf("%w: %d networks are on the list", action.ErrFull, l.c.Max)
		}
		l.remove(l.ends[0])
		l.evicted++
	}
	e := &entry{action: a}
	l.held[p] = e
	heap.Push(&l.ends, e)
	l.changed()
	return nil
}

func (l *List) remove(e *entry) {
	heap.Remove(&l.ends, e.at)
	delete(l.held, action.Unmap(e.action.Prefix))
	l.changed()
}

// changed notes that text and file are not as they should be.
func (l *List) changed() {
	l.dirty, l.page.stale = true, true
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// expire takes away what ended.
func (l *List) expire() {
	now := l.c.Now()
	for len(l.ends) > 0 && !l.ends[0].action.Until.After(now) {
		l.remove(l.ends[0])
	}
}

// Revert takes networks off the list.
func (l *List) Revert(_ context.Context, list []action.Action) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range list {
		if e, there := l.held[action.Unmap(a.Prefix)]; there && a.Kind == action.Block {
			l.remove(e)
		}
	}
	return nil
}

// Allow sets what is never on the list; what it hits goes at once.
func (l *List) Allow(_ context.Context, allow action.AllowList) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.allow = slices.Clone(allow)
	for p, e := range l.held {
		if l.admit(p) != nil {
			l.remove(e)
		}
	}
	return nil
}

// List gives what is on the list.
func (l *List) List(context.Context) ([]action.Standing, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	out := make([]action.Standing, 0, len(l.held))
	for p, e := range l.held {
		a := e.action
		a.Prefix = p
		out = append(out, action.Standing{Action: a, Expires: a.Until})
	}
	return out, nil
}

// Health says why the file is not as it should be.
func (l *List) Health(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.failed != nil {
		return fmt.Errorf("%w: %w", action.ErrDegraded, l.failed)
	}
	return nil
}

// settled tells whether the list may be shown.
func (l *List) settled() bool { return l.c.Now().Sub(l.began) >= l.c.Settle }

// render is the list as text, in the order of addresses, IPv4 first.
func (l *List) render() page {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	if !l.page.stale {
		return l.page
	}
	list := make([]netip.Prefix, 0, len(l.held))
	for p := range l.held {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int {
		if c := a.Addr().Compare(b.Addr()); c != 0 {
			return c
		}
		return a.Bits() - b.Bits()
	})
	text := make([]byte, 0, 20*len(list))
	for _, p := range list {
		text = append(p.AppendTo(text), '\n')
	}
	l.page.stale = false
	if l.page.tag == "" || !bytes.Equal(text, l.page.text) {
		sum := sha256.Sum256(text)
		l.page = page{text: text, tag: `"` + hex.EncodeToString(sum[:16]) + `"`, changed: l.c.Now().Truncate(time.Second)}
	}
	return l.page
}

// Run keeps the file like the list until ctx ends, and then once more.
func (l *List) Run(ctx context.Context) error {
	if l.c.Path == "" {
		<-ctx.Done()
		return nil
	}
	t := time.NewTicker(tick)
	defer t.Stop()
	var last time.Time
	for {
		select {
		case <-ctx.Done():
			l.save()
			return nil
		case <-l.wake:
		case <-t.C:
		}
		if now := l.c.Now(); now.Sub(last) >= writeEvery && l.due() {
			l.save()
			last = now
		}
	}
}

// due tells whether the file is to be written.
func (l *List) due() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.expire()
	return l.dirty && l.settled()
}

// save writes the file in one step.
func (l *List) save() {
	if !l.due() {
		return
	}
	l.mu.Lock()
	l.dirty = false
	l.mu.Unlock()
	err := durable.Publish(l.c.Path, l.render().text)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.failed = nil
	if err != nil {
		l.failed = fmt.Errorf("write the block list: %w", err)
		l.dirty = true
	}
}
