package keep

import (
	"context"
	"errors"
	"time"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
)

// recover goes through the journal from the last checkpoint to where
// something was sent last, and inserts what the log does not have.
func (k *Keeper) recover(ctx context.Context) error {
	k.count(func(st *Stats) { st.Doubts++ })
	if !k.began {
		k.tried = k.cfg.Journal.End()
	}
	end := k.tried
	k.at, k.open = k.Stats().Kept, nil
	k.begin()
	for k.at.Before(end) {
		from := k.at
		if _, err := k.fill(ctx, end, largeRows, largeBytes); err != nil {
			return err
		}
		if k.at == from {
			break
		}
		if err := k.replay(ctx); err != nil {
			return err
		}
	}
	k.began = true
	return nil
}

// tries is how often a row is inserted before it is put aside: the log may
// have ended between the insert and the checkpoint.
const tries = 3

// replay inserts the rows of the batch that are missing, and makes sure of them.
func (k *Keeper) replay(ctx context.Context) error {
	b := k.batch
	all := b.Len()
	for try := 0; ; try++ {
		if err := k.cfg.Log.Missing(ctx, b); err != nil {
			return err
		}
		if try == tries {
			if err := k.putAside(b); err != nil {
				return err
			}
			break
		}
		if try > 0 && b.Len() > 0 {
			k.cfg.Slog.Warn("the event log has not stored everything; it is inserted again", "missing", b.Len(), "of", all)
		}
		stored, err := k.sendAll(ctx)
		if err != nil {
			return err
		}
		if stored == k.cur.sent {
			break
		}
		k.begin()
	}
	if err := k.keep(k.at); err != nil {
		return err
	}
	k.begin()
	return nil
}

// sendAll inserts the batch and makes a checkpoint of it.
func (k *Keeper) sendAll(ctx context.Context) (stored int64, err error) {
	n := k.batch.Len()
	if k.account(k.batch); n > 0 {
		if err := k.insert(ctx, k.cur.Mark, k.batch, k.at); err != nil {
			return 0, err
		}
	}
	k.cur.Until = time.Now()
	k.count(func(st *Stats) { st.Replayed += uint64(n) })
	for {
		stored, err = k.cfg.Log.Checkpoint(ctx, k.cur.Stretch)
		if !errors.Is(err, eventlog.ErrNotYet) {
			return stored, err
		}
		if err := sleep(ctx, time.Second); err != nil {
			return 0, err
		}
	}
}

// putAside takes away what the log does not store however often it is asked.
func (k *Keeper) putAside(b *eventlog.Batch) error {
	return b.Each(func(line []byte) error {
		return k.refuse(line, errors.New("the event log does not store it"))
	})
}
