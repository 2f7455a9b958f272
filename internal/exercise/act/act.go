// Package act is what actors of a range do: red steps and green background. It
// speaks protocols over the dialer of a virtual host and over nothing else; it
// takes names, paths, credentials of the scenario and counts, never bytes to
// send. What it types is typed into the shells of fake hosts.
package act

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// dialer is what a *vnet.Dialer does; tests have others.
type dialer interface {
	DialContext(ctx context.Context, network, address string) (net.Conn, error)
	LookupHost(ctx context.Context, name string) ([]netip.Addr, error)
	Ping(ctx context.Context, addr netip.Addr) (time.Duration, error)
	Probe(ctx context.Context, addr netip.Addr, port uint16) (vnet.State, error)
}

var _ dialer = (*vnet.Dialer)(nil)

// Config is what New takes beside the dialer.
type Config struct {
	Clock   clock.Clock
	Seed    uint64
	Host    string        // name of the acting host, told to servers as the client's
	Timeout time.Duration // of connecting, and of each wait for an answer (10 s)
}

// Actor acts from one host. It is safe for concurrent use.
type Actor struct {
	d dialer
	c Config

	mu   sync.Mutex
	rand *rand.Rand
}

// New makes an Actor. It acts from the dialer's host, with the dialer's label.
func New(d *vnet.Dialer, c Config) *Actor { return newActor(d, c) }

func newActor(d dialer, c Config) *Actor {
	if c.Timeout == 0 {
		c.Timeout = 10 * time.Second
	}
	return &Actor{d: d, c: c, rand: rand.New(rand.NewPCG(c.Seed, 0x616374))}
}

// Target is a service of a host: a name of the range's own DNS, or an address.
type Target struct {
	Host string
	Port uint16
}

func (t Target) address() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

// Credential is one of the scenario's, or of a list that is built in.
type Credential struct{ User, Password string }

// Result is how an action ended.
type Result string

// Results of actions.
const (
	Done        Result = "done"
	Refused     Result = "refused"     // the service answered, and said no
	Unreachable Result = "unreachable" // there was no connection
	Broken      Result = "broken"      // the answer was none of the protocol's, or the connection ended
	Stopped     Result = "stopped"     // the exercise ended first
	Wrong       Result = "wrong"       // arguments that no action takes
)

// Flow is one connection, or one exchange of datagrams, that an action used.
// The source of a half-open probe or a ping is not known here; the network's own
// flows have it.
type Flow struct {
	Transport string // tcp, udp or icmp
	Src, Dst  netip.AddrPort
}

// maxFlows bounds what an Outcome lists.
const maxFlows = 4096

// Outcome is what every action gives.
type Outcome struct {
	Action         string
	Result         Result
	Reason         string // of any result but Done
	Flows          []Flow
	MoreFlows      int // used beyond those that are listed
	Started, Ended time.Time
}

// OK tells whether the action did what it was to do.
func (o Outcome) OK() bool { return o.Result == Done }

// Errors that say how an action ends.
var (
	errRefused     = errors.New("refused")
	errUnreachable = errors.New("no connection")
	errWrong       = errors.New("wrong arguments")
)

// run is one action under way.
type run struct {
	*Actor
	ctx context.Context //nolint:containedctx // of the action
	out *Outcome
}

func (a *Actor) begin(ctx context.Context, action string, out *Outcome) *run {
	out.Action, out.Started = action, a.c.Clock.Now()
	return &run{a, ctx, out}
}

// end says how it ended.
func (r *run) end(err error) {
	o := r.out
	o.Ended = r.c.Clock.Now()
	switch {
	case err == nil:
		o.Result = Done
		return
	case errors.Is(err, errWrong):
		o.Result = Wrong
	case r.ctx.Err() != nil:
		o.Result = Stopped
	case errors.Is(err, errUnreachable):
		o.Result = Unreachable
	case errors.Is(err, errRefused):
		o.Result = Refused
	default:
		o.Result = Broken
	}
	o.Reason = err.Error()
}

// conn is a connection with deadlines by the clock and a limit of what is read.
type conn struct {
	net.Conn
	r    *run
	left int64
	buf  *bufio.Reader
	stop func() bool
}

// maxRead bounds what is read from one connection.
const maxRead = 4 << 20

// Read waits as long as the actor's Timeout.
func (c *conn) Read(b []byte) (int, error) {
	if c.left <= 0 {
		return 0, fmt.Errorf("more than %d bytes came: %w", int64(maxRead), wire.ErrMalformed)
	}
	if err := c.SetReadDeadline(c.r.c.Clock.Now().Add(c.r.c.Timeout)); err != nil {
		return 0, err
	}
	n, err := c.Conn.Read(b)
	c.left -= int64(n)
	return n, err
}

// Write waits as long.
func (c *conn) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(c.r.c.Clock.Now().Add(c.r.c.Timeout)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// Close ends the connection.
func (c *conn) Close() error {
	c.stop()
	return c.Conn.Close()
}

// within is a context that ends after the actor's Timeout, by the clock.
func (r *run) within() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(r.ctx)
	stop := r.c.Clock.AfterFunc(r.c.Timeout, cancel)
	return ctx, func() { stop(); cancel() }
}

// dial connects and notes the flow.
func (r *run) dial(network string, t Target) (*conn, error) {
	ctx, done := r.within()
	c, err := r.d.DialContext(ctx, network, t.address())
	done()
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w: %w", t.address(), errUnreachable, err)
	}
	r.flow(Flow{network[:3], addrPort(c.LocalAddr()), addrPort(c.RemoteAddr())})
	k := &conn{Conn: c, r: r, left: maxRead}
	k.buf = bufio.NewReader(k)
	k.stop = context.AfterFunc(r.ctx, func() { c.Close() }) //nolint:errcheck // ends every wait
	return k, nil
}

func (r *run) flow(f Flow) {
	if len(r.out.Flows) >= maxFlows {
		r.out.MoreFlows++
		return
	}
	r.out.Flows = append(r.out.Flows, f)
}

func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch t := a.(type) {
	case *net.TCPAddr:
		ap = t.AddrPort()
	case *net.UDPAddr:
		ap = t.AddrPort()
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// line reads one line without its end, at most 4 KiB.
func (c *conn) line() (string, error) {
	b, err := c.buf.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return "", fmt.Errorf("a line of more than 4 KiB: %w", wire.ErrMalformed)
	}
	return strings.TrimRight(string(b), "\r\n"), err
}

func (c *conn) say(format string, args ...any) error {
	_, err := fmt.Fprintf(c, format+"\r\n", args...)
	return err
}

func (c *conn) send(b []byte) error {
	_, err := c.Write(b)
	return err
}

// Repeat is how often something is done.
type Repeat struct {
	Times  int           // 0 is once
	Every  time.Duration // pause between
	Jitter float64       // share of the pause, 0 to 1
}

// maxTimes bounds every repetition.
const maxTimes = 100_000

// repeat does f so often; an error ends it.
func (r *run) repeat(p Repeat, f func(i int) error) error {
	if p.Times < 0 || p.Times > maxTimes || p.Jitter < 0 || p.Jitter > 1 || p.Every < 0 {
		return fmt.Errorf("repeat %d times every %v, jitter %v: %w", p.Times, p.Every, p.Jitter, errWrong)
	}
	for i := range max(p.Times, 1) {
		if i > 0 {
			if err := r.pause(p.Every, p.Jitter); err != nil {
				return err
			}
		}
		if err := f(i); err != nil {
			return err
		}
	}
	return nil
}

// pause waits for d, more or less.
func (r *run) pause(d time.Duration, jitter float64) error {
	r.mu.Lock()
	d = time.Duration(float64(d) * (1 + jitter*(2*r.rand.Float64()-1)))
	r.mu.Unlock()
	return r.c.Clock.Sleep(r.ctx, d)
}

func (a *Actor) draw(n int) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.rand.IntN(n)
}

// plain refuses texts that could end a line or hide something.
func plain(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%s of %d bytes, at most %d: %w", what, len(s), limit, errWrong)
	}
	for _, c := range s {
		if c < ' ' || c == 0x7f {
			return fmt.Errorf("%s %q: no control characters: %w", what, s, errWrong)
		}
	}
	return nil
}

// limited reads at most n bytes.
func limited(r io.Reader, n int64) (string, error) {
	var b strings.Builder
	_, err := io.Copy(&b, io.LimitReader(r, n))
	return b.String(), err
}
