package keep

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/journal"
)

// launch sends the batch under the present mark, while the next is made.
func (k *Keeper) launch(ctx context.Context) error {
	b := k.batch
	k.account(b)
	if b.Len() == 0 {
		return nil
	}
	at, mark := k.at, k.cur.Mark
	var err error
	k.batch, err = k.air.start(func() error { return k.insert(ctx, mark, b, at) }, b)
	return err
}

// account notes that b is about to be sent.
func (k *Keeper) account(b *eventlog.Batch) {
	k.cur.at = k.at
	if b.Len() == 0 {
		k.count(func(st *Stats) { st.Position = k.at })
		return
	}
	if k.cur.sent == 0 {
		k.cur.since = time.Now()
	}
	if k.tried.Before(k.at) {
		k.tried = k.at
	}
	k.cur.sent += int64(b.Len())
	k.cur.bytes += int64(b.Size())
	k.cur.Span = k.cur.Span.Union(b.Range())
}

func (k *Keeper) insert(ctx context.Context, mark string, b *eventlog.Batch, at journal.Position) error {
	if err := k.cfg.Log.Insert(ctx, mark, b); err != nil {
		return err
	}
	k.count(func(st *Stats) {
		st.Inserted += uint64(b.Len())
		if st.Position.Before(at) {
			st.Position = at
		}
	})
	return nil
}

// flight is the inserts that are under way.
type flight struct {
	free chan *eventlog.Batch
	wg   sync.WaitGroup
	mu   sync.Mutex
	err  error
}

// inserts is how many are under way at once.
const inserts = 2

// fresh makes new batches; old ones keep the memory of their best days.
func (k *Keeper) fresh() {
	k.batch = &eventlog.Batch{}
	k.air.free = make(chan *eventlog.Batch, inserts)
	for range inserts {
		k.air.free <- &eventlog.Batch{}
	}
}

// start runs fn, which uses b, and gives a batch that is free, waiting for
// one. The error is that of an insert before.
func (f *flight) start(fn func() error, b *eventlog.Batch) (*eventlog.Batch, error) {
	f.wg.Go(func() {
		err := fn()
		f.mu.Lock()
		f.err = errors.Join(f.err, err)
		f.mu.Unlock()
		f.free <- b
	})
	next := <-f.free
	f.mu.Lock()
	defer f.mu.Unlock()
	return next, f.err
}

// land waits for all of them. The error is the first of theirs.
func (f *flight) land() error {
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	f.err = nil
	return err
}
