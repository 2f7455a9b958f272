package entry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// SOCKSConfig is what NewSOCKS takes.
type SOCKSConfig struct {
	Listen string // a loopback address and a port; port 0 takes a free one
	Seats  []Seat
	Limits SOCKSLimits
}

// SOCKSLimits bound what people can do to the door. 0 means the number in
// brackets.
type SOCKSLimits struct {
	Open      int           // connections of all together; more are closed at once (1,024)
	Greeting  int           // connections that have not logged in yet (64)
	PerSeat   int           // connections of one seat (256)
	Rate      int           // new connections a second of one seat, twice that at once (200)
	Datagrams int           // datagrams a second of one seat, both ways together; more are dropped (5,000)
	Relays    int           // UDP associations of one seat (8)
	Handshake time.Duration // for a connection to log in and say where to (10 s)
	Dial      time.Duration // for the connection into the range (20 s)
	Idle      time.Duration // without a byte in either direction (15 min)
}

func (l SOCKSLimits) filled() SOCKSLimits {
	l.Open, l.Greeting, l.PerSeat = cmp.Or(l.Open, 1024), cmp.Or(l.Greeting, 64), cmp.Or(l.PerSeat, 256)
	l.Rate, l.Datagrams, l.Relays = cmp.Or(l.Rate, 200), cmp.Or(l.Datagrams, 5000), cmp.Or(l.Relays, 8)
	l.Handshake, l.Dial, l.Idle = cmp.Or(l.Handshake, 10*time.Second), cmp.Or(l.Dial, 20*time.Second), cmp.Or(l.Idle, 15*time.Minute)
	return l
}

// SOCKSStats are the counters of a door.
type SOCKSStats struct {
	Open         int    // connections now
	Accepted     uint64 // connections that came
	RefusedOpen  uint64 // too many at once
	RefusedEarly uint64 // too many that had not logged in
	BadHandshake uint64 // no SOCKS5, or a command or an address that it does not know
	Late         uint64 // did not say all in time
	BadLogin     uint64 // a wrong name or secret, or none
	Seats        []SeatStats
}

// SeatStats are the counters of one seat.
type SeatStats struct {
	User             string
	Open             int    // connections now
	Connections      uint64 // that logged in
	RefusedOpen      uint64 // too many at once, or the seat was taken away
	RefusedRate      uint64 // too many in a short time
	Failed           uint64 // the range did not answer, or refused
	Datagrams        uint64 // carried, both ways
	DatagramsDropped uint64 // too many, broken, fragments, of a stranger, or without a way
	ToRange          uint64 // bytes of connections and datagrams
	FromRange        uint64
}

// SOCKS is a SOCKS5 server (RFC 1928 with the login of RFC 1929) before a
// virtual network: CONNECT and UDP ASSOCIATE, IPv4, IPv6 and names.
type SOCKS struct {
	lim SOCKSLimits
	l   *net.TCPListener

	mu     sync.Mutex
	chairs map[string]*chair
	counts map[string]*seatCounters

	open, greeting                                                 atomic.Int64
	accepted, refusedOpen, refusedEarly, badHandshake, late, login atomic.Uint64
}

// NewSOCKS opens the door's socket. Serve lets people in; where it is never
// called, Close gives the socket back.
func NewSOCKS(ctx context.Context, cfg SOCKSConfig) (*SOCKS, error) {
	s := &SOCKS{lim: cfg.Limits.filled(), chairs: map[string]*chair{}, counts: map[string]*seatCounters{}}
	for _, seat := range cfg.Seats {
		if s.chairs[seat.User] != nil {
			return nil, fmt.Errorf("socks door: seat %q is there twice", seat.User)
		}
		if err := s.SetSeat(seat); err != nil {
			return nil, err
		}
	}
	at, err := loopback(cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("socks door: %w", err)
	}
	if s.l, err = listenTCP(ctx, at); err != nil {
		return nil, fmt.Errorf("socks door: %w", err)
	}
	return s, nil
}

// SetSeat gives somebody a seat, or changes it: what he has open ends then.
// Counters go on.
func (s *SOCKS) SetSeat(seat Seat) error {
	if err := seat.check(); err != nil {
		return fmt.Errorf("socks door: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	count := s.counts[seat.User]
	if count == nil {
		count = new(seatCounters)
		s.counts[seat.User] = count
	}
	if old := s.chairs[seat.User]; old != nil {
		old.clear()
	}
	s.chairs[seat.User] = newChair(seat, s.lim, count, time.Now())
	return nil
}

// RemoveSeat takes somebody's seat away and ends what he has open.
func (s *SOCKS) RemoveSeat(user string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.chairs[user]; old != nil {
		old.clear()
	}
	delete(s.chairs, user)
	delete(s.counts, user)
}

// Addr is where the door listens.
func (s *SOCKS) Addr() netip.AddrPort { return plain(s.l.Addr().(*net.TCPAddr).AddrPort()) }

// Close gives the socket back; Serve ends by ctx.
func (s *SOCKS) Close() error { return s.l.Close() }

// Stats reads the counters; seats are in the order of their names.
func (s *SOCKS) Stats() SOCKSStats {
	out := SOCKSStats{
		Open: int(s.open.Load()), Accepted: s.accepted.Load(), RefusedOpen: s.refusedOpen.Load(), RefusedEarly: s.refusedEarly.Load(),
		BadHandshake: s.badHandshake.Load(), Late: s.late.Load(), BadLogin: s.login.Load(),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for user, c := range s.chairs {
		n := c.count
		out.Seats = append(out.Seats, SeatStats{
			User: user, Open: c.open(), Connections: n.connections.Load(), RefusedOpen: n.refusedOpen.Load(), RefusedRate: n.refusedRate.Load(), Failed: n.failed.Load(),
			Datagrams: n.datagrams.Load(), DatagramsDropped: n.datagramsDropped.Load(), ToRange: n.toRange.Load(), FromRange: n.fromRange.Load(),
		})
	}
	slices.SortFunc(out.Seats, func(a, b SeatStats) int { return strings.Compare(a.User, b.User) })
	return out
}

// Serve lets people in until ctx ends, and returns nil then, when the last
// connection is closed. Other ends of the socket are errors.
func (s *SOCKS) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	stop := context.AfterFunc(ctx, func() { shut(s.l) })
	defer stop()
	for {
		c, err := s.l.AcceptTCP()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				shut(c)
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("socks door on %s: %w", s.Addr(), err)
		case err != nil: // no files left, or the client went away already
			wait(ctx, 50*time.Millisecond)
			continue
		}
		s.accepted.Add(1)
		if !s.admit() {
			shut(c)
			continue
		}
		open.Go(func() {
			defer s.open.Add(-1)
			s.serve(ctx, c)
		})
	}
}

// admit counts one more connection, if there is room.
func (s *SOCKS) admit() bool {
	switch {
	case s.open.Load() >= int64(s.lim.Open): // only Serve's goroutine adds
		s.refusedOpen.Add(1)
		return false
	case s.greeting.Load() >= int64(s.lim.Greeting):
		s.refusedEarly.Add(1)
		return false
	}
	s.open.Add(1)
	s.greeting.Add(1)
	return true
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// serve is one connection: it closes c.
func (s *SOCKS) serve(ctx context.Context, c *net.TCPConn) {
	defer shut(c)
	stop := context.AfterFunc(ctx, func() { shut(c) })
	defer stop()
	chair, cmd, to, err := s.welcome(c)
	s.greeting.Add(-1)
	if err != nil {
		s.blame(c, err)
		return
	}
	count := chair.count
	ctx, done, ok := chair.enter(ctx, s.lim.PerSeat)
	switch {
	case !ok:
		count.refusedOpen.Add(1)
		answer(c, replyNotAllowed, netip.AddrPort{})
		return
	case !chair.rate.take(time.Now()):
		done()
		count.refusedRate.Add(1)
		answer(c, replyNotAllowed, netip.AddrPort{})
		return
	}
	defer done()
	count.connections.Add(1)
	seatStop := context.AfterFunc(ctx, func() { shut(c) })
	defer seatStop()
	_ = c.SetDeadline(time.Time{})
	if cmd == cmdAssociate {
		s.associate(ctx, chair, c, to)
		return
	}
	s.connect(ctx, chair, c, to)
}

// errLogin is a name or secret that is not known.
var errLogin = errors.New("wrong user or secret")

// errCommand is a command that the door does not have.
var errCommand = fmt.Errorf("%w: unknown command", errWire)

// welcome reads all that comes before the reply to the request.
func (s *SOCKS) welcome(c *net.TCPConn) (*chair, byte, target, error) {
	_ = c.SetDeadline(time.Now().Add(s.lim.Handshake))
	offered, err := readMethods(c)
	if err != nil {
		return nil, 0, target{}, err
	}
	if !offered {
		_, _ = c.Write([]byte{socksVersion, methodNone})
		return nil, 0, target{}, errLogin
	}
	if _, err := c.Write([]byte{socksVersion, methodPassword}); err != nil {
		return nil, 0, target{}, err
	}
	user, secret, err := readLogin(c)
	if err != nil {
		return nil, 0, target{}, err
	}
	s.mu.Lock()
	chair := s.chairs[user]
	s.mu.Unlock()
	if chair == nil || !chair.opens(secret) {
		_, _ = c.Write([]byte{authVersion, 1})
		return nil, 0, target{}, errLogin
	}
	if _, err := c.Write([]byte{authVersion, 0}); err != nil {
		return nil, 0, target{}, err
	}
	cmd, to, err := readRequest(c)
	if err == nil && cmd != cmdConnect && cmd != cmdAssociate {
		err = errCommand
	}
	return chair, cmd, to, err
}

// blame counts why a connection did not come in and says it where SOCKS can.
func (s *SOCKS) blame(c *net.TCPConn, err error) {
	var timeout net.Error
	switch {
	case errors.Is(err, errLogin):
		s.login.Add(1)
		return
	case errors.As(err, &timeout) && timeout.Timeout():
		s.late.Add(1)
		return
	case errors.Is(err, errCommand):
		answer(c, replyCommand, netip.AddrPort{})
	case errors.Is(err, errAddressType):
		answer(c, replyAddressType, netip.AddrPort{})
	}
	s.badHandshake.Add(1)
}

// answer sends a reply; that a client is gone shows at the next read.
func answer(c *net.TCPConn, code reply, bound netip.AddrPort) {
	_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
	_, _ = c.Write(appendReply(nil, code, bound))
	_ = c.SetWriteDeadline(time.Time{})
}
