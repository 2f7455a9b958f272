package receive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// Syslog receives syslog.
type Syslog struct {
	cfg   Config
	queue *queue
	clean bool // of what stands at the ends of a text
}

// NewSyslog makes a receiver of syslog on cfg.TCP, cfg.UDP or both, which it closes.
func NewSyslog(cfg Config) (*Syslog, error) {
	cfg.defaults()
	if cfg.TCP == nil && cfg.UDP == nil {
		return nil, errNothing
	}
	return &Syslog{cfg, newQueue(cfg.Queue), true}, nil
}

// NewNetflow makes a receiver of datagrams on cfg.UDP, which are handed on as they are.
func NewNetflow(cfg Config) (*Syslog, error) {
	cfg.defaults()
	if cfg.UDP == nil {
		return nil, errNothing
	}
	return &Syslog{cfg, newQueue(cfg.Queue), false}, nil
}

// Run receives until ctx ends; it returns nil then.
func (s *Syslog) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	defer wg.Wait()
	errs := make(chan error, 2)
	wg.Go(func() { s.queue.drain(ctx, s.cfg.Feed, s.cfg.Format) })
	if c := s.cfg.UDP; c != nil {
		defer context.AfterFunc(ctx, func() { c.Close() })() //nolint:errcheck // ends the reads
		wg.Go(func() { errs <- s.datagrams(ctx, c) })
	}
	if s.cfg.TCP != nil {
		defer context.AfterFunc(ctx, func() { s.cfg.TCP.Close() })() //nolint:errcheck // ends Accept
		wg.Go(func() { errs <- s.accept(ctx, &wg) })
	}
	s.cfg.Feed.Begin()
	var err error
	select {
	case <-ctx.Done():
	case err = <-errs:
	}
	cancel()
	return err
}

// datagrams reads datagrams. What comes faster than it is taken is dropped and
// counted, also what the kernel had to drop.
func (s *Syslog) datagrams(ctx context.Context, c net.PacketConn) error {
	udp, ok := c.(*net.UDPConn)
	if !ok {
		return fmt.Errorf("receive datagrams: %T", c)
	}
	countDrops(udp)
	buf, oob := make([]byte, 64<<10), make([]byte, 64)
	var lost uint32
	for {
		n, on, _, from, err := udp.ReadMsgUDPAddrPort(buf, oob)
		if err != nil {
			return ended(ctx, "receive datagrams", err)
		}
		if all, ok := dropped(oob[:on]); ok {
			s.cfg.Feed.Dropped(uint64(all - lost))
			lost = all
		}
		text := buf[:n]
		if s.clean {
			text = trim(text)
		}
		if len(text) == 0 {
			s.cfg.Feed.Refused(1)
			continue
		}
		m := message{text: bytes.Clone(text), peer: from.Addr().Unmap().String(), received: s.cfg.Feed.Now()}
		if m.cut = len(m.text) > line.MaxText; m.cut {
			m.text = m.text[:line.MaxText]
		}
		if !s.queue.offer(m) {
			s.cfg.Feed.Dropped(1)
		}
	}
}

// ended is the error that something ended with, unless it was told to.
func ended(ctx context.Context, what string, err error) error {
	if ctx.Err() == nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// trim takes line ends and NULs off the end of a message.
func trim(b []byte) []byte { return bytes.TrimRight(b, "\r\n\x00") }

// accept serves connections.
func (s *Syslog) accept(ctx context.Context, wg *sync.WaitGroup) error {
	ln := limit(&s.cfg)
	for {
		c, err := ln.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return ended(ctx, "accept connections", err)
		}
		if err != nil { // such as too many open files
			s.cfg.Log.Warn("a connection was not accepted", "source", s.cfg.Feed.Name(), "error", err)
			t := time.NewTimer(acceptPause)
			select {
			case <-ctx.Done():
			case <-t.C:
			}
			t.Stop()
			continue
		}
		wg.Go(func() {
			defer context.AfterFunc(ctx, func() { c.Close() })() //nolint:errcheck // ends the reads
			defer c.Close()                                      //nolint:errcheck // nothing was written
			s.serve(ctx, c)
		})
	}
}

// serve reads the messages of one connection.
func (s *Syslog) serve(ctx context.Context, c net.Conn) {
	peer := c.RemoteAddr().String()
	if host, _, err := net.SplitHostPort(peer); err == nil {
		peer = strings.TrimPrefix(host, "::ffff:")
	}
	if s.cfg.TLS != nil {
		t := tls.Server(c, s.cfg.TLS)
		hctx, cancel := context.WithTimeout(ctx, s.cfg.handshake)
		err := t.HandshakeContext(hctx)
		cancel()
		if err != nil {
			s.cfg.Feed.Refused(1)
			return
		}
		c = t
	}
	r := &reader{conn: c, in: bufio.NewReaderSize(c, 16<<10), idle: s.cfg.idle, message: s.cfg.message}
	for {
		text, cut, err := r.next()
		if text = trim(text); len(text) > 0 && (err == nil || errors.Is(err, io.EOF)) {
			m := message{text: bytes.Clone(text), peer: peer, received: s.cfg.Feed.Now(), cut: cut}
			if s.queue.put(ctx, m) != nil {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) && ctx.Err() == nil {
				s.cfg.Feed.Refused(1)
			}
			return
		}
	}
}

// reader takes messages from a stream, in either framing, message by message.
type reader struct {
	conn          interface{ SetReadDeadline(time.Time) error }
	in            *bufio.Reader
	idle, message time.Duration
	buf           []byte
}

var (
	errLong = errors.New("a message is too long")
	errCut  = errors.New("a message has no end")
)

// next gives a message, without its frame, valid until the next call. With
// io.EOF it may be the last one.
func (r *reader) next() (text []byte, cut bool, err error) {
	if r.in.Buffered() == 0 {
		r.conn.SetReadDeadline(time.Now().Add(r.idle)) //nolint:errcheck // seen by the read
	}
	if _, err := r.in.Peek(1); err != nil {
		return nil, false, err
	}
	r.conn.SetReadDeadline(time.Now().Add(r.message)) //nolint:errcheck // seen by the read
	n, err := r.counted()
	if err != nil {
		return nil, false, err
	}
	if n > 0 {
		return r.octets(n)
	}
	return r.line()
}

// maxDigits is how many digits a length may have: maxMessage has seven.
const maxDigits = 7

// counted gives the length of the message where one stands before it ("123 <"),
// and takes it; 0: the message ends with its line. A time at the beginning of a
// line is no length.
func (r *reader) counted() (n int, err error) {
	for i := 1; i <= maxDigits+2; i++ {
		head, err := r.in.Peek(i)
		if err != nil { // so short a message ends with the stream
			return 0, nil //nolint:nilerr // whoever reads it meets the error again
		}
		b := head[i-1]
		switch {
		case b >= '0' && b <= '9' && (i > 1 || b != '0') && i <= maxDigits:
			n = n*10 + int(b-'0')
			continue
		case b != ' ' || i == 1:
			return 0, nil
		}
		if next, err := r.in.Peek(i + 1); err != nil || next[i] != '<' {
			return 0, nil //nolint:nilerr // as above
		}
		if n > maxMessage {
			return 0, errLong
		}
		r.in.Discard(i) //nolint:errcheck // it is buffered
		return n, nil
	}
	return 0, nil
}

// octets reads a message of n bytes.
func (r *reader) octets(n int) (text []byte, cut bool, err error) {
	keep := min(n, line.MaxText)
	if cap(r.buf) < keep {
		r.buf = make([]byte, keep)
	}
	r.buf = r.buf[:keep]
	if _, err := io.ReadFull(r.in, r.buf); err != nil {
		return nil, false, errCut
	}
	if _, err := r.in.Discard(n - keep); err != nil {
		return r.buf, true, errCut
	}
	return r.buf, n > keep, nil
}

// line reads a message up to the end of its line.
func (r *reader) line() (text []byte, cut bool, err error) {
	r.buf = r.buf[:0]
	for skipped := 0; ; {
		part, err := r.in.ReadSlice('\n')
		room := line.MaxText - len(r.buf)
		r.buf = append(r.buf, part[:min(len(part), room)]...)
		if len(part) > room && len(trim(part)) > room {
			cut = true
			skipped += len(part) - room
		}
		switch {
		case err == nil:
			return r.buf, cut, nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return r.buf, cut, err
		case skipped > maxSkip:
			return r.buf, true, errLong
		}
	}
}
