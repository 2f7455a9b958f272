package uplink

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// Batch is events as they came up: valid, stamped, written anew by this side.
type Batch struct {
	Client [16]byte // of the sending process
	Seq    uint64   // rises with each batch of that client; repeated where an answer was lost
	Depth  event.Depth
	Lines  []byte // JSON, a newline after each; valid for the length of the call
	N      int    // of them
}

// Handler keeps what comes up. Its methods are called by many connections at once.
type Handler interface {
	// Events returns when the batch is durable. A Batch of a known Client
	// and Seq is one that was kept before. An error that is ErrFull is told
	// to the sender as such.
	Events(ctx context.Context, b Batch) error
	// Capture stores what a visitor left, as far as r goes.
	Capture(ctx context.Context, r io.Reader) (sha256 string, size int64, err error)
	// Cast writes data at offset of the recording of a session.
	Cast(ctx context.Context, session string, offset int64, data []byte) error
	// State keeps the newest data of a key, none to forget it. An error that
	// is ErrGone says that the key was forgotten since token was given.
	State(ctx context.Context, key string, token uint64, data []byte) error
	// Recall gives back the newest data of a key, none where there is none,
	// and a token for State.
	Recall(ctx context.Context, key string) (token uint64, data []byte, err error)
}

// ServerConfig is what NewServer takes. Zero limits mean the defaults.
type ServerConfig struct {
	Handler Handler
	// Stamp sets what the hub knows better than the sender, such as
	// observer.name and event.ingested; nil for nothing. It keeps nothing of e.
	Stamp func(name string, e *event.Event)
	// Quick is Stamp for a line as it came, appended to dst without a newline,
	// where that is sure to give the same; nil, or false: it is decoded.
	Quick func(name string, dst, line []byte) ([]byte, bool)
	Clock clock.Clock
	Log   *slog.Logger

	MaxConnections int   // 64
	MaxEvents      int   // a second and connection, 200,000
	MaxBytes       int64 // a second and connection, 256 MiB
	MaxCapture     int64 // bytes of one capture, 256 MiB
	MaxBlobs       int   // at once on a connection, 16
	FrameTimeout   time.Duration
}

// Server is the hub's side.
type Server struct{ cfg ServerConfig }

// NewServer makes a Server.
func NewServer(cfg ServerConfig) *Server {
	if cfg.Clock == nil {
		cfg.Clock = clock.System()
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	def(&cfg.MaxConnections, 64)
	def(&cfg.MaxEvents, 200_000)
	def(&cfg.MaxBytes, 256<<20)
	def(&cfg.MaxCapture, 256<<20)
	def(&cfg.MaxBlobs, 16)
	def(&cfg.FrameTimeout, 30*time.Second)
	return &Server{cfg: cfg}
}

func def[T int | int64 | time.Duration](v *T, to T) {
	if *v <= 0 {
		*v = to
	}
}

// ServeListener serves each connection that ln accepts, until ctx ends; it
// closes ln and waits for the connections.
func (s *Server) ServeListener(ctx context.Context, ln net.Listener) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	stop := context.AfterFunc(ctx, func() { ln.Close() }) //nolint:errcheck // ends Accept
	defer stop()
	slots := make(chan struct{}, s.cfg.MaxConnections)
	for {
		conn, err := ln.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, net.ErrClosed) {
			return fmt.Errorf("accept uplink: %w", err)
		}
		if err != nil {
			s.cfg.Log.Warn("accept uplink", "error", err)
			if s.cfg.Clock.Sleep(ctx, 100*time.Millisecond) != nil {
				return nil
			}
			continue
		}
		select {
		case slots <- struct{}{}:
		default:
			s.cfg.Log.Warn("too many uplinks, one is closed", "limit", s.cfg.MaxConnections)
			conn.Close() //nolint:errcheck // unwanted
			continue
		}
		wg.Go(func() {
			defer func() { <-slots }()
			if err := s.Serve(ctx, conn); err != nil {
				s.cfg.Log.Warn("an uplink ended", "error", err)
			}
		})
	}
}

// Serve speaks with one sender until it leaves (nil), ctx ends (nil) or it
// breaks the protocol. It closes conn.
func (s *Server) Serve(ctx context.Context, conn net.Conn) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // ends the reads
	defer stop()
	defer conn.Close() //nolint:errcheck // nothing is lost by it
	p := &peer{
		Server: s, conn: conn, blobs: map[uint64]*blob{}, slow: make(chan frame, 64), recalls: make(chan frame, 64),
		events: newBucket(s.cfg.Clock, int64(s.cfg.MaxEvents)), bytes: newBucket(s.cfg.Clock, s.cfg.MaxBytes),
	}
	p.in = frameReader{r: conn, begun: func() { conn.SetReadDeadline(time.Now().Add(s.cfg.FrameTimeout)) }} //nolint:errcheck // a dead conn is seen by the read
	p.wg.Go(func() { p.slowLane(ctx) })
	p.wg.Go(func() { p.recallLane(ctx) })
	err := p.loop(ctx)
	cancel()
	close(p.slow)
	close(p.recalls)
	p.bmu.Lock()
	for _, b := range p.blobs {
		b.fail(io.ErrUnexpectedEOF)
	}
	p.bmu.Unlock()
	p.wg.Wait()
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	if !errors.Is(err, ErrProtocol) {
		err = fmt.Errorf("read uplink: %w", err)
	}
	return err
}

// peer is one connection.
type peer struct {
	*Server
	conn   net.Conn
	in     frameReader
	wg     sync.WaitGroup
	client [16]byte
	name   string
	slow   chan frame
	state  partState // of the slow lane
	events *bucket
	bytes  *bucket
	lines  []byte
	reader event.Reader

	recalls chan frame

	wmu  sync.Mutex
	wbuf []byte

	bmu   sync.Mutex
	blobs map[uint64]*blob
}

func (p *peer) loop(ctx context.Context) error {
	for first := true; ; first = false {
		f, err := p.in.next()
		if err != nil {
			return err
		}
		p.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // a dead conn is seen by the read
		if first != (f.kind == kindHello) {
			return fmt.Errorf("%w: HELLO comes first and once", ErrProtocol)
		}
		if err := p.bytes.take(ctx, int64(len(f.payload)+frameHeader)); err != nil {
			return err
		}
		if err := p.handle(ctx, f); err != nil {
			return err
		}
	}
}

func (p *peer) handle(ctx context.Context, f frame) error {
	switch f.kind {
	case kindHello:
		if len(f.payload) < 17 || len(f.payload) > 16+MaxKey {
			return fmt.Errorf("%w: bad HELLO", ErrProtocol)
		}
		copy(p.client[:], f.payload)
		p.name = string(f.payload[16:])
		return p.answer(f.id, nil, nil)
	case kindEvents:
		return p.onEvents(ctx, f)
	case kindBlob:
		return p.onBlob(ctx, f)
	case kindChunk, kindEnd:
		return p.onChunk(f)
	case kindCast, kindState:
		return queue(ctx, p.slow, f)
	case kindRecall:
		return queue(ctx, p.recalls, f)
	}
	return fmt.Errorf("%w: unexpected kind %d", ErrProtocol, f.kind)
}

// queue hands a copy of f to a lane.
func queue(ctx context.Context, lane chan<- frame, f frame) error {
	select {
	case lane <- frame{f.kind, f.id, bytes.Clone(f.payload)}:
	case <-ctx.Done():
	}
	return nil
}

func (p *peer) onEvents(ctx context.Context, f frame) error {
	if len(f.payload) < 10 {
		return fmt.Errorf("%w: short EVENTS", ErrProtocol)
	}
	b := Batch{Client: p.client, Depth: event.Depth(f.payload[0]), Seq: binary.LittleEndian.Uint64(f.payload[1:])}
	if b.Depth > event.DepthAct {
		return fmt.Errorf("%w: depth %d", ErrProtocol, b.Depth)
	}
	if err := p.events.take(ctx, int64(bytes.Count(f.payload[9:], []byte{'\n'}))); err != nil {
		return err
	}
	err := p.stamp(&b, f.payload[9:])
	if err == nil {
		err = p.cfg.Handler.Events(ctx, b)
	}
	return p.answer(f.id, nil, err)
}

// stamp sets in each line what the hub knows better: in its bytes where that is
// sure, else it is decoded and written anew.
func (p *peer) stamp(b *Batch, lines []byte) error {
	out := p.lines[:0]
	for len(lines) > 0 {
		line, rest, ok := bytes.Cut(lines, []byte{'\n'})
		if !ok {
			return fmt.Errorf("%w: no newline at the end", ErrInvalid)
		}
		lines = rest
		if p.cfg.Quick != nil {
			if out, ok = p.cfg.Quick(p.name, out, line); ok {
				out = append(out, '\n')
				b.N++
				continue
			}
		}
		e, err := p.reader.Decode(string(line))
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if e.ID == "" {
			return fmt.Errorf("%w: no event.id", ErrInvalid)
		}
		if p.cfg.Stamp != nil {
			p.cfg.Stamp(p.name, e)
		}
		out = append(e.AppendJSON(out), '\n')
		b.N++
	}
	b.Lines, p.lines = out, out
	if cap(p.lines) > 2*MaxPayload {
		p.lines = nil
	}
	if b.N == 0 {
		return fmt.Errorf("%w: no events", ErrInvalid)
	}
	return nil
}

// slowLane does what must not hold up events.
func (p *peer) slowLane(ctx context.Context) {
	for f := range p.slow {
		if ctx.Err() != nil {
			continue
		}
		name, rest, err := named(f.payload)
		switch {
		case err != nil:
		case f.kind == kindState:
			err = p.onState(ctx, name, rest)
		case len(rest) < 8:
			err = ErrInvalid
		default:
			offset := int64(binary.LittleEndian.Uint64(rest))
			if err = ErrInvalid; offset >= 0 {
				err = p.cfg.Handler.Cast(ctx, name, offset, rest[8:])
			}
		}
		p.answer(f.id, nil, err) //nolint:errcheck // a dead conn is seen by the reader
	}
}

// answer sends ACK with data, or NAK where err is set.
func (p *peer) answer(id uint64, data []byte, err error) error {
	k := kindAck
	if err != nil {
		k, data = kindNak, nakPayload(err)
	}
	p.wmu.Lock()
	defer p.wmu.Unlock()
	p.wbuf = append(appendFrame(p.wbuf[:0], k, id, len(data)), data...)
	p.conn.SetWriteDeadline(time.Now().Add(p.cfg.FrameTimeout)) //nolint:errcheck // seen by the write
	_, werr := p.conn.Write(p.wbuf)
	return werr
}

func nakPayload(err error) []byte {
	code := CodeFailed
	switch {
	case errors.Is(err, ErrFull):
		code = CodeFull
	case errors.Is(err, ErrGone):
		code = CodeGone
	case errors.Is(err, ErrInvalid), errors.Is(err, ErrProtocol):
		code = CodeInvalid
	}
	text := err.Error()
	return append([]byte{byte(code)}, text[:min(len(text), maxText)]...)
}

// blob is one capture on its way.
type blob struct {
	chunks chan []byte // nil: the end
	once   sync.Once
	dead   chan struct{}
	err    error
	claim  [sha256.Size]byte
	size   uint64

	refused error // under bmu: the handler gave up, and the sender does not know yet
}

func (b *blob) fail(err error) {
	b.once.Do(func() { b.err = err; close(b.dead) })
}

func (p *peer) onBlob(ctx context.Context, f frame) error {
	p.bmu.Lock()
	defer p.bmu.Unlock()
	if p.blobs[f.id] != nil || len(p.blobs) >= p.cfg.MaxBlobs {
		return fmt.Errorf("%w: too many captures at once", ErrProtocol)
	}
	b := &blob{chunks: make(chan []byte, 1), dead: make(chan struct{})}
	p.blobs[f.id] = b
	p.wg.Go(func() {
		br := &blobReader{peer: p, id: f.id, blob: b, ctx: ctx, left: p.cfg.MaxCapture}
		sum, size, err := p.cfg.Handler.Capture(ctx, br)
		br.finish(sum, size, err)
	})
	return p.answer(f.id, nil, nil)
}

func (p *peer) onChunk(f frame) error {
	p.bmu.Lock()
	defer p.bmu.Unlock() // finish must not run between the look-up and the send
	b := p.blobs[f.id]
	if b == nil {
		return p.answer(f.id, nil, fmt.Errorf("%w: no such capture", ErrInvalid))
	}
	if b.refused != nil {
		delete(p.blobs, f.id)
		return p.answer(f.id, nil, b.refused)
	}
	var data []byte
	if f.kind == kindEnd {
		if len(f.payload) != sha256.Size+8 {
			return fmt.Errorf("%w: bad END", ErrProtocol)
		}
		copy(b.claim[:], f.payload)
		b.size = binary.LittleEndian.Uint64(f.payload[sha256.Size:])
	} else if data = bytes.Clone(f.payload); len(data) == 0 {
		return fmt.Errorf("%w: empty CHUNK", ErrProtocol)
	}
	select {
	case b.chunks <- data:
		return nil
	default:
		return fmt.Errorf("%w: CHUNK before the answer to the last one", ErrProtocol)
	}
}

// blobReader is what Capture reads: it asks for each chunk by answering the
// one before.
type blobReader struct {
	*peer
	id    uint64
	blob  *blob
	ctx   context.Context //nolint:containedctx // io.Reader has no place for it; lives as long as one call
	data  []byte
	left  int64
	owed  bool // an answer
	ended bool
}

// Read implements io.Reader.
func (r *blobReader) Read(b []byte) (int, error) {
	for len(r.data) == 0 {
		if r.ended {
			return 0, io.EOF
		}
		if r.owed {
			r.owed = false
			if err := r.answer(r.id, nil, nil); err != nil {
				return 0, err
			}
		}
		select {
		case r.data = <-r.blob.chunks:
			r.owed = true
		case <-r.blob.dead:
			return 0, r.blob.err
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
		r.ended = r.data == nil
		if r.left -= int64(len(r.data)); r.left < 0 {
			return 0, fmt.Errorf("%w: the capture is larger than %d bytes", ErrInvalid, r.cfg.MaxCapture)
		}
	}
	n := copy(b, r.data)
	r.data = r.data[n:]
	return n, nil
}

// finish takes the capture off the list and answers what is still owed.
func (r *blobReader) finish(sum string, size int64, err error) {
	var reply []byte
	switch {
	case err != nil:
	case !r.ended:
		err = errors.New("the capture was not read to its end")
	case sum != hex.EncodeToString(r.blob.claim[:]) || uint64(size) != r.blob.size:
		err = fmt.Errorf("%w: what arrived is not what was sent", ErrInvalid)
	default:
		reply = binary.LittleEndian.AppendUint64(append([]byte(nil), r.blob.claim[:]...), r.blob.size)
	}
	r.bmu.Lock()
	defer r.bmu.Unlock()
	select {
	case <-r.blob.chunks:
		r.owed = true
	default:
	}
	if !r.owed {
		r.blob.refused = err
		return
	}
	delete(r.blobs, r.id)
	r.answer(r.id, reply, err) //nolint:errcheck // a dead conn is seen by the reader
}

// bucket is a token bucket of one second's size; who takes too much waits.
type bucket struct {
	clock clock.Clock
	rate  int64
	have  float64
	last  time.Time
}

func newBucket(c clock.Clock, rate int64) *bucket {
	return &bucket{clock: c, rate: rate, have: float64(rate), last: c.Now()}
}

func (b *bucket) take(ctx context.Context, n int64) error {
	now := b.clock.Now()
	b.have = min(b.have+now.Sub(b.last).Seconds()*float64(b.rate), float64(b.rate))
	b.last = now
	b.have -= float64(n)
	if b.have >= 0 {
		return nil
	}
	return b.clock.Sleep(ctx, time.Duration(-b.have/float64(b.rate)*float64(time.Second)))
}
