package uplink

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// ClientConfig is what NewClient takes. Zero limits mean the defaults.
type ClientConfig struct {
	Name string // of the sensor, at most MaxKey bytes
	Dial func(ctx context.Context) (net.Conn, error)
	Log  *slog.Logger

	Timeout   time.Duration // how long a call waits for a hub that is away, 10 s
	Queue     int           // emits that wait, 4096; more of them block
	Batch     int           // events of one frame, 2048
	CastBytes int           // of recordings that wait, 4 MiB; more of them block
	Linger    time.Duration // least time between two batches, 12 ms: under load batches grow, alone an event goes at once
}

// Client is the sender's side. Its methods are safe for concurrent use and
// work while Run does.
type Client struct {
	cfg ClientConfig
	id  [16]byte
	seq uint64 // of the batcher

	queue chan *emit
	pool  sync.Pool
	done  chan struct{} // closed when Run ends

	mu    sync.Mutex
	cur   *link
	moved chan struct{} // closed when cur changes

	states sync.Mutex
	blobs  chan struct{} // captures at once
	casts  casts
	stats  clientStats
}

// maxBlobs is how many captures are sent at once; the server takes 16.
const maxBlobs = 12

type clientStats struct {
	events, batches, repeated, refused, expired, castLost atomic.Uint64
}

// ClientStats counts what a Client did.
type ClientStats struct {
	Events, Batches uint64 // acknowledged
	Repeated        uint64 // batches sent again, the answer was lost
	Refused         uint64 // events that the hub did not take
	Expired         uint64 // events given up, the hub was away for too long
	CastLost        uint64 // bytes of recordings given up
}

// emit is one call of Emit.
type emit struct {
	lines []byte
	n     int
	depth event.Depth
	at    time.Time
	done  chan error
	then  func(error) // of Post; nil: done
}

var _ event.Sink = (*Client)(nil)

// NewClient makes a Client; Run sets it to work.
func NewClient(cfg ClientConfig) (*Client, error) {
	if len(cfg.Name) == 0 || len(cfg.Name) > MaxKey {
		return nil, fmt.Errorf("sensor name %q: 1 to %d bytes", cfg.Name, MaxKey)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	def(&cfg.Timeout, 10*time.Second)
	def(&cfg.Queue, 4096)
	def(&cfg.Batch, 2048)
	def(&cfg.CastBytes, 4<<20)
	def(&cfg.Linger, 12*time.Millisecond)
	c := &Client{cfg: cfg, queue: make(chan *emit, cfg.Queue), done: make(chan struct{}), moved: make(chan struct{}), blobs: make(chan struct{}, maxBlobs)}
	rand.Read(c.id[:])
	c.pool.New = func() any { return &emit{done: make(chan error, 1)} }
	c.casts.init(cfg.CastBytes)
	return c, nil
}

// Stats is a copy of the counters.
func (c *Client) Stats() ClientStats {
	return ClientStats{
		Events: c.stats.events.Load(), Batches: c.stats.batches.Load(), Repeated: c.stats.repeated.Load(),
		Refused: c.stats.refused.Load(), Expired: c.stats.expired.Load(), CastLost: c.stats.castLost.Load(),
	}
}

// Run connects, sends, and connects again, until ctx ends. Then all calls
// end with ErrClosed.
func (c *Client) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer c.drain()
	defer wg.Wait()
	defer close(c.done)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	wg.Go(func() { c.batcher(ctx) })
	wg.Go(func() { c.caster(ctx) })
	const first, most = 20 * time.Millisecond, time.Second
	for wait := first; ctx.Err() == nil; wait = min(2*wait, most) {
		if worked, err := c.connect(ctx); ctx.Err() == nil {
			if worked {
				wait = first
			}
			c.cfg.Log.Warn("the hub is away", "error", err, "next", wait.String())
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

// connect lives through one connection; worked tells whether HELLO was taken.
func (c *Client) connect(ctx context.Context) (worked bool, err error) {
	conn, err := c.cfg.Dial(ctx)
	if err != nil {
		return false, fmt.Errorf("connect to the hub: %w", err)
	}
	l := newLink(conn, c.cfg.Timeout)
	stop := context.AfterFunc(ctx, l.close)
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	var rerr error
	wg.Go(func() { rerr = l.read() })
	_, err = l.call(kindHello, l.id(), c.id[:], []byte(c.cfg.Name))
	if err != nil {
		l.close()
		return false, fmt.Errorf("greet the hub: %w", err)
	}
	c.set(l)
	<-l.dead
	c.set(nil)
	wg.Wait()
	return true, rerr
}

func (c *Client) set(l *link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cur = l
	close(c.moved)
	c.moved = make(chan struct{})
}

// live waits for a connection until the deadline, in ctx or not.
func (c *Client) live(ctx context.Context, deadline time.Time) (*link, error) {
	var timer *time.Timer
	for {
		c.mu.Lock()
		l, moved := c.cur, c.moved
		c.mu.Unlock()
		if l != nil && !l.isDead() {
			return l, nil
		}
		if timer == nil {
			timer = time.NewTimer(time.Until(deadline))
			defer timer.Stop()
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-c.done:
			return nil, ErrClosed
		case <-timer.C:
			return nil, ErrAway
		}
	}
}

// Emit implements event.Sink: it returns nil when the hub has e durably. It
// waits for a hub that is away as long as ctx lasts, at most the Timeout.
func (c *Client) Emit(ctx context.Context, e event.Event) error {
	return c.EmitAll(ctx, e)
}

// EmitAll is Emit for events that belong together: one round trip, and all
// or none of them are kept.
func (c *Client) EmitAll(ctx context.Context, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	r, err := c.encode(events)
	if err != nil {
		return fmt.Errorf("emit event: %w", err)
	}
	if err := c.enqueue(ctx, r); err != nil {
		return fmt.Errorf("emit event: %w", err)
	}
	select {
	case err := <-r.done: // also at the end of Run
		c.recycle(r)
		if err != nil {
			return fmt.Errorf("emit event: %w", err)
		}
	case <-ctx.Done():
		return fmt.Errorf("emit event: %w", ctx.Err())
	}
	for i := range events {
		if events[i].Action == event.ActionSessionEnded {
			c.casts.end(events[i].Session)
		}
	}
	return nil
}

// Post is Emit without the wait: done is called once with the outcome, from
// another goroutine, and must not block. Events of one caller keep their
// order. Post waits only while the queue is full, at most the Timeout.
func (c *Client) Post(ctx context.Context, e event.Event, done func(error)) {
	r, err := c.encode([]event.Event{e})
	if err != nil {
		done(fmt.Errorf("emit event: %w", err))
		return
	}
	r.then = done
	if e.Action == event.ActionSessionEnded {
		r.then = func(err error) { c.casts.end(e.Session); done(err) }
	}
	if err := c.enqueue(ctx, r); err != nil {
		r.then = nil
		done(fmt.Errorf("emit event: %w", err))
	}
}

// encode writes events into one emit of the pool.
func (c *Client) encode(events []event.Event) (*emit, error) {
	r, _ := c.pool.Get().(*emit)
	r.lines, r.n, r.depth, r.at, r.then = r.lines[:0], len(events), events[0].Depth, time.Now(), nil
	for i := range events {
		n := len(r.lines)
		r.lines = append(events[i].AppendJSON(r.lines), '\n')
		if len(r.lines)-n > event.MaxLine || len(r.lines) > MaxPayload-64 {
			c.pool.Put(r)
			return nil, ErrTooBig
		}
		if rank(events[i].Depth) < rank(r.depth) {
			r.depth = events[i].Depth
		}
	}
	return r, nil
}

func (c *Client) recycle(r *emit) {
	if cap(r.lines) <= 64<<10 {
		c.pool.Put(r)
	}
}

// drain ends what waits in the queue after Run.
func (c *Client) drain() {
	for {
		select {
		case r := <-c.queue:
			c.tell(r, ErrClosed)
		default:
			return
		}
	}
}

// tell says how an emit went.
func (c *Client) tell(r *emit, err error) {
	then := r.then
	if then == nil {
		r.done <- err
		return
	}
	c.recycle(r)
	then(err)
}

// enqueue hands r to the batcher. Where it returns nil, r is told of once.
func (c *Client) enqueue(ctx context.Context, r *emit) error {
	err := c.put(ctx, r)
	select {
	case <-c.done: // nobody else takes it any more
		c.drain()
	default:
	}
	return err
}

func (c *Client) put(ctx context.Context, r *emit) error {
	select {
	case c.queue <- r:
		return nil
	default:
	}
	t := time.NewTimer(c.cfg.Timeout)
	defer t.Stop()
	select {
	case c.queue <- r:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-c.done:
		return ErrClosed
	case <-t.C:
		return ErrBusy
	}
}

// rank orders depths by who goes first when room is short; an event without
// a depth is about ourselves and goes last.
func rank(d event.Depth) int {
	if d == event.DepthNone {
		return int(event.DepthAct) + 1
	}
	return int(d)
}

// Capture streams what r gives, at most limit bytes, to the hub. If r fails,
// what came before is kept, and the error comes with its name and size. A
// connection that breaks loses the capture: r cannot be read again.
func (c *Client) Capture(ctx context.Context, r io.Reader, limit int64) (sum string, size int64, err error) {
	sum, size, rerr, err := c.capture(ctx, io.LimitReader(r, limit))
	if err != nil {
		return "", 0, fmt.Errorf("hand over a capture: %w", err)
	}
	if rerr != nil {
		return sum, size, fmt.Errorf("read a capture: %w", rerr)
	}
	return sum, size, nil
}

func (c *Client) capture(ctx context.Context, r io.Reader) (sum string, size int64, rerr, err error) {
	select {
	case c.blobs <- struct{}{}:
		defer func() { <-c.blobs }()
	case <-ctx.Done():
		return "", 0, nil, ctx.Err()
	case <-c.done:
		return "", 0, nil, ErrClosed
	}
	l, err := c.live(ctx, time.Now().Add(c.cfg.Timeout))
	if err != nil {
		return "", 0, nil, err
	}
	id := l.id()
	if _, err := l.call(kindBlob, id); err != nil {
		return "", 0, nil, err
	}
	h := sha256.New()
	buf := make([]byte, 32<<10)
	for rerr == nil && ctx.Err() == nil {
		var n int
		n, rerr = fill(r, buf)
		if n > 0 {
			if _, err := l.call(kindChunk, id, buf[:n]); err != nil {
				return "", 0, nil, err
			}
			h.Write(buf[:n])
			size += int64(n)
			if n == len(buf) && n < chunkSize {
				buf = make([]byte, chunkSize)
			}
		}
	}
	if errors.Is(rerr, io.EOF) {
		rerr = nil
	} else if rerr == nil {
		rerr = ctx.Err()
	}
	end := binary.LittleEndian.AppendUint64(h.Sum(nil), uint64(size))
	if _, err := l.call(kindEnd, id, end); err != nil {
		return "", 0, nil, err
	}
	return hex.EncodeToString(end[:sha256.Size]), size, rerr, nil
}

// fill reads until buf is full or r ends.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	return n, err
}
