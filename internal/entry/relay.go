package entry

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// connect dials into the range and carries bytes both ways.
func (s *SOCKS) connect(ctx context.Context, who *chair, c *net.TCPConn, to target) {
	if to.nowhere() {
		who.count.failed.Add(1)
		answer(c, replyNotAllowed, netip.AddrPort{})
		return
	}
	dialCtx, cancel := context.WithTimeout(ctx, s.lim.Dial)
	far, err := who.dialer.DialContext(dialCtx, "tcp", to.String())
	cancel()
	if err != nil {
		who.count.failed.Add(1)
		answer(c, replyFor(err), netip.AddrPort{})
		return
	}
	defer shut(far)
	stop := context.AfterFunc(ctx, func() { shut(far) })
	defer stop()
	var bound netip.AddrPort
	if a, ok := far.LocalAddr().(*net.TCPAddr); ok {
		bound = plain(a.AddrPort())
	}
	answer(c, replyGranted, bound)
	p := &pair{idle: s.lim.Idle}
	p.touch()
	var up sync.WaitGroup
	up.Go(func() { p.carry(far, c, &who.count.toRange) })
	p.carry(c, far, &who.count.fromRange)
	up.Wait()
}

// replyFor says with RFC 1928's words why the range gave no connection.
func replyFor(err error) reply {
	var dns *net.DNSError
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ECONNRESET):
		return replyRefused
	case errors.Is(err, syscall.ENETUNREACH):
		return replyNetwork
	case errors.As(err, &dns), errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ETIMEDOUT), errors.Is(err, context.DeadlineExceeded):
		return replyHost
	}
	return replyFailed
}

// pair is a connection from outside and one into the range.
type pair struct {
	idle time.Duration
	last atomic.Int64 // when a byte last went either way, Unix nanoseconds
}

func (p *pair) touch() { p.last.Store(time.Now().UnixNano()) }

// carry copies from one to the other until the end, an error, or long
// silence in both directions. The end of from is told to to; after anything
// else both are closed.
func (p *pair) carry(to, from net.Conn, count *atomic.Uint64) {
	b := make([]byte, 32<<10)
	for {
		_ = from.SetReadDeadline(time.Unix(0, p.last.Load()).Add(p.idle))
		n, err := from.Read(b)
		if n > 0 {
			p.touch()
			_ = to.SetWriteDeadline(time.Now().Add(p.idle))
			if _, werr := to.Write(b[:n]); werr != nil {
				break
			}
			p.touch()
			count.Add(uint64(n))
		}
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if time.Since(time.Unix(0, p.last.Load())) < p.idle { // the other direction is busy
				continue
			}
			break
		}
		if half, ok := to.(interface{ CloseWrite() error }); ok && errors.Is(err, io.EOF) && half.CloseWrite() == nil {
			return
		}
		if hard, ok := to.(interface{ SetLinger(sec int) error }); ok && errors.Is(err, syscall.ECONNRESET) {
			_ = hard.SetLinger(0) // a reset stays a reset
		}
		break
	}
	shut(to)
	shut(from)
}
