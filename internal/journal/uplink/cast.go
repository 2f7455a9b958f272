package uplink

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

const (
	castMerge    = 64 << 10
	castSessions = 1 << 16
	castPatience = time.Minute // how long recordings wait for a hub that is away
)

// casts is the queue of recordings: bounded in bytes, sent by caster.
type casts struct {
	mu      sync.Mutex
	limit   int
	used    int
	waiting []*castChunk
	last    map[string]*castChunk // newest waiting chunk of a session
	offsets map[string]int64
	wake    chan struct{}
	freed   chan struct{} // closed when used falls
}

type castChunk struct {
	session string
	offset  int64
	data    []byte
	at      time.Time
}

func (q *casts) init(limit int) {
	q.limit = limit
	q.last, q.offsets = map[string]*castChunk{}, map[string]int64{}
	q.wake, q.freed = make(chan struct{}, 1), make(chan struct{})
}

// add queues a copy of data; ok is false where there is no room now.
func (q *casts) add(session string, data []byte) (ok bool, freed chan struct{}, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.used > 0 && q.used+len(data) > q.limit {
		return false, q.freed, nil
	}
	off, known := q.offsets[session]
	if !known && len(q.offsets) >= castSessions {
		return false, nil, ErrBusy
	}
	q.offsets[session] = off + int64(len(data))
	q.used += len(data)
	if c := q.last[session]; c != nil && len(c.data)+len(data) <= castMerge {
		c.data = append(c.data, data...)
	} else {
		c := &castChunk{session: session, offset: off, data: append([]byte(nil), data...), at: time.Now()}
		q.waiting = append(q.waiting, c)
		q.last[session] = c
	}
	select {
	case q.wake <- struct{}{}:
	default:
	}
	return true, nil, nil
}

// end forgets where a session's recording was.
func (q *casts) end(session string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.offsets, session)
}

// take gives the oldest chunk; used falls only when sent.
func (q *casts) take() *castChunk {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting = nil
		return nil
	}
	c := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	if q.last[c.session] == c {
		delete(q.last, c.session)
	}
	return c
}

func (q *casts) sent(c *castChunk) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.used -= len(c.data)
	close(q.freed)
	q.freed = make(chan struct{})
}

// Cast queues data, whole lines, for the recording of a session and returns.
// It waits while too much is queued, at most the Timeout. The recording ends
// with the session-ended event; casts after it begin anew.
func (c *Client) Cast(ctx context.Context, session string, data []byte) error {
	if len(session) == 0 || len(session) > MaxKey || len(data) > 1<<20 {
		return fmt.Errorf("record session: %w", ErrTooBig)
	}
	if len(data) == 0 {
		return nil
	}
	var timer *time.Timer
	for {
		ok, freed, err := c.casts.add(session, data)
		if err != nil {
			return fmt.Errorf("record session: %w", err)
		}
		if ok {
			return nil
		}
		if timer == nil {
			timer = time.NewTimer(c.cfg.Timeout)
			defer timer.Stop()
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return fmt.Errorf("record session: %w", ctx.Err())
		case <-c.done:
			return fmt.Errorf("record session: %w", ErrClosed)
		case <-timer.C:
			c.stats.castLost.Add(uint64(len(data)))
			return fmt.Errorf("record session: %w", ErrBusy)
		}
	}
}

// Flush waits until every recording queued so far is with the hub.
func (c *Client) Flush(ctx context.Context) error {
	for {
		c.casts.mu.Lock()
		used, freed := c.casts.used, c.casts.freed
		c.casts.mu.Unlock()
		if used == 0 {
			return nil
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return ctx.Err()
		case <-c.done:
			return ErrClosed
		}
	}
}

// caster sends recordings, oldest first.
func (c *Client) caster(ctx context.Context) {
	for {
		k := c.casts.take()
		if k == nil {
			select {
			case <-c.casts.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if err := c.sendCast(ctx, k); err != nil {
			c.stats.castLost.Add(uint64(len(k.data)))
			if ctx.Err() == nil {
				c.cfg.Log.Warn("a piece of a recording was lost", "session", k.session, "bytes", len(k.data), "error", err)
			}
		}
		c.casts.sent(k)
		if ctx.Err() != nil {
			return
		}
	}
}

func (c *Client) sendCast(ctx context.Context, k *castChunk) error {
	head := appendName(nil, k.session)
	head = binary.LittleEndian.AppendUint64(head, uint64(k.offset))
	for {
		l, err := c.live(ctx, k.at.Add(castPatience))
		if err != nil {
			return err
		}
		if _, err = l.call(kindCast, l.id(), head, k.data); !away(err) || time.Since(k.at) > castPatience {
			return err
		}
		if err := ctx.Err(); err != nil {
			return err
		}
	}
}
