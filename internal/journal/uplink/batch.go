package uplink

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// batcher sends what waits in the queue, one batch at a time: while one is on
// its way the next gathers.
func (c *Client) batcher(ctx context.Context) {
	var held *emit
	var batch []*emit
	var last time.Time
	buf := make([]byte, 0, 64<<10)
	for {
		batch = batch[:0]
		if held == nil {
			select {
			case held = <-c.queue:
			case <-ctx.Done():
				return
			}
		}
		c.linger(ctx, last)
		batch, held = c.collect(batch, held)
		last = time.Now()
		c.send(ctx, batch, &buf)
		if ctx.Err() != nil {
			if held != nil {
				c.tell(held, ErrClosed)
			}
			return
		}
		if cap(buf) > 2*MaxPayload {
			buf = make([]byte, 0, 64<<10)
		}
	}
}

// linger lets a batch gather where the last one has just gone.
func (c *Client) linger(ctx context.Context, last time.Time) {
	d := c.cfg.Linger - time.Since(last)
	if d <= 0 || len(c.queue) >= c.cfg.Batch {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// collect adds what waits to a batch that begins with first; held is one
// that did not fit.
func (c *Client) collect(batch []*emit, first *emit) (all []*emit, held *emit) {
	batch = append(batch, first)
	n, size := first.n, len(first.lines)
	for n < c.cfg.Batch {
		select {
		case r := <-c.queue:
			if size += len(r.lines); size > MaxPayload-64 {
				return batch, r
			}
			n += r.n
			batch = append(batch, r)
			continue
		default:
		}
		break
	}
	return batch, nil
}

// send hands a batch to the hub and tells each Emit how it went. Where there
// is no room for the shallowest, each depth is tried alone, deepest first.
func (c *Client) send(ctx context.Context, batch []*emit, buf *[]byte) {
	err := c.deliver(ctx, batch, buf)
	if !errors.Is(err, ErrFull) || mixed(batch) == 1 {
		c.finish(batch, err)
		return
	}
	slices.SortStableFunc(batch, func(a, b *emit) int { return rank(b.depth) - rank(a.depth) })
	for len(batch) > 0 {
		n := 1
		for n < len(batch) && batch[n].depth == batch[0].depth {
			n++
		}
		c.finish(batch[:n], c.deliver(ctx, batch[:n], buf))
		batch = batch[n:]
	}
}

// mixed counts the depths in a batch.
func mixed(batch []*emit) int {
	var seen [int(event.DepthAct) + 1]bool
	n := 0
	for _, r := range batch {
		if d := min(r.depth, event.DepthAct); !seen[d] {
			seen[d] = true
			n++
		}
	}
	return n
}

func (c *Client) finish(batch []*emit, err error) {
	n := uint64(0)
	for _, r := range batch {
		n += uint64(r.n)
		c.tell(r, err)
	}
	switch {
	case err == nil:
		c.stats.events.Add(n)
		c.stats.batches.Add(1)
	case away(err):
		c.stats.expired.Add(n)
	default:
		c.stats.refused.Add(n)
	}
}

// deliver sends a batch until it is answered or its oldest event has waited
// too long. A batch whose answer was lost is sent again under its number, so
// that the hub can tell.
func (c *Client) deliver(ctx context.Context, batch []*emit, buf *[]byte) error {
	c.seq++
	deadline := batch[0].at
	depth := batch[0].depth
	b := binary.LittleEndian.AppendUint64(append((*buf)[:0], 0), c.seq)
	for _, r := range batch {
		b = append(b, r.lines...)
		if rank(r.depth) < rank(depth) {
			depth = r.depth
		}
		if r.at.Before(deadline) {
			deadline = r.at
		}
	}
	b[0] = byte(depth)
	*buf = b
	deadline = deadline.Add(c.cfg.Timeout)
	for try := 0; ; try++ {
		l, err := c.live(ctx, deadline)
		if err != nil {
			return err
		}
		if try > 0 {
			c.stats.repeated.Add(1)
		}
		if _, err = l.call(kindEvents, l.id(), b); !away(err) {
			return err
		}
		if ctx.Err() != nil || time.Now().After(deadline) {
			return ErrAway
		}
	}
}
