package act

import (
	"bufio"
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

func newReader(r io.Reader) *bufio.Reader { return bufio.NewReaderSize(r, 4096) }

// Sweep is what is probed.
type Sweep struct {
	Hosts []string
	Ports []uint16
	Rate  float64 // probes a second; 0 is as fast as they are answered
}

// Port is what a probe found.
type Port struct {
	Target
	Open   bool
	Banner string // first words of the server, if it speaks first
}

// Probed is the outcome of a Sweep.
type Probed struct {
	Outcome
	Tried  int
	Found  []Port // open ones, at most 10,000
	Closed int    // answered, but closed
}

// Limits of a sweep.
const (
	maxProbes  = 1_000_000
	bannerWait = 2 * time.Second
)

func (s Sweep) check() error {
	if n := len(s.Hosts) * max(len(s.Ports), 1); n == 0 || n > maxProbes || s.Rate < 0 {
		return fmt.Errorf("%d hosts and %d ports at %v a second: 1 to %d probes: %w", len(s.Hosts), len(s.Ports), s.Rate, maxProbes, errWrong)
	}
	return nil
}

// each goes over hosts and ports at the rate. Hosts that do not answer are no
// error.
func (r *run) each(s Sweep, f func(Target) error) error {
	if err := s.check(); err != nil {
		return err
	}
	ports := s.Ports
	if len(ports) == 0 {
		ports = []uint16{0}
	}
	first := true
	for _, h := range s.Hosts {
		for _, p := range ports {
			if !first && s.Rate > 0 {
				if err := r.pause(time.Duration(float64(time.Second)/s.Rate), 0.1); err != nil {
					return err
				}
			}
			first = false
			err := f(Target{h, p})
			if r.ctx.Err() != nil {
				return r.ctx.Err()
			}
			if err != nil && !errors.Is(err, errUnreachable) {
				return err
			}
		}
	}
	return nil
}

// TCPConnect opens each port and, with banners, reads what the server says first.
func (a *Actor) TCPConnect(ctx context.Context, s Sweep, banners bool) Probed {
	var out Probed
	r := a.begin(ctx, "tcp.connect", &out.Outcome)
	r.end(r.each(s, func(t Target) error {
		out.Tried++
		return r.once("tcp", t, func(c *conn) error {
			p := Port{Target: t, Open: true}
			if banners {
				p.Banner = c.banner()
			}
			out.found(p)
			return nil
		})
	}))
	return out
}

func (p *Probed) found(x Port) {
	if len(p.Found) < maxPages {
		p.Found = append(p.Found, x)
	}
}

// banner is the first line that comes within two seconds.
func (c *conn) banner() string {
	if err := c.SetReadDeadline(c.r.c.Clock.Now().Add(bannerWait)); err != nil {
		return ""
	}
	b := make([]byte, 256)
	n, err := c.Conn.Read(b)
	if err != nil && n == 0 {
		return ""
	}
	l, _, _ := strings.Cut(string(b[:n]), "\n")
	return strings.TrimRight(l, "\r")
}

// TCPProbe sends half-open probes: the handshake is never completed.
func (a *Actor) TCPProbe(ctx context.Context, s Sweep) Probed {
	var out Probed
	r := a.begin(ctx, "tcp.probe", &out.Outcome)
	r.end(r.each(s, func(t Target) error {
		out.Tried++
		addr, err := r.lookup(t.Host)
		if err != nil {
			return err
		}
		ctx, done := r.within()
		defer done()
		r.flow(Flow{Transport: "tcp", Dst: netip.AddrPortFrom(addr, t.Port)})
		switch state, err := r.d.Probe(ctx, addr, t.Port); {
		case err != nil:
			return fmt.Errorf("probe %s: %w: %w", t.address(), errUnreachable, err)
		case state == vnet.Open:
			out.found(Port{Target: t, Open: true})
		case state == vnet.Closed:
			out.Closed++
		}
		return nil
	}))
	return out
}

// lookup is the first address of a host.
func (r *run) lookup(host string) (netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return a, nil
	}
	list, err := r.d.LookupHost(r.ctx, host)
	if err != nil || len(list) == 0 {
		return netip.Addr{}, fmt.Errorf("look up %s: %w: %w", host, errUnreachable, err)
	}
	return list[0], nil
}

// Pinged is the outcome of echo requests.
type Pinged struct {
	Outcome
	Sent     int
	Answered int
	Alive    []string // hosts that answered, at most 10,000
}

// Ping sends echo requests to hosts, each so often.
func (a *Actor) Ping(ctx context.Context, hosts []string, p Repeat) Pinged {
	var out Pinged
	r := a.begin(ctx, "icmp.ping", &out.Outcome)
	r.end(r.each(Sweep{Hosts: hosts}, func(t Target) error {
		addr, err := r.lookup(t.Host)
		if err != nil {
			return err
		}
		alive := false
		err = r.repeat(p, func(int) error {
			ctx, done := r.within()
			defer done()
			r.flow(Flow{Transport: "icmp", Dst: netip.AddrPortFrom(addr, 0)})
			out.Sent++
			if _, err := r.d.Ping(ctx, addr); err == nil {
				out.Answered++
				alive = true
			}
			return r.ctx.Err()
		})
		if alive && len(out.Alive) < maxPages {
			out.Alive = append(out.Alive, t.Host)
		}
		return err
	}))
	return out
}

// UDPProbe sends one datagram with the marker to each port; a port that answers
// is open.
func (a *Actor) UDPProbe(ctx context.Context, s Sweep) Probed {
	var out Probed
	r := a.begin(ctx, "udp.probe", &out.Outcome)
	r.end(r.each(s, func(t Target) error {
		out.Tried++
		return r.once("udp", t, func(c *conn) error {
			if err := c.send([]byte(MarkerText)); err != nil {
				return nil //nolint:nilerr // the port is closed
			}
			if said := c.banner(); said != "" {
				out.found(Port{Target: t, Open: true, Banner: said})
			}
			return nil
		})
	}))
	return out
}

// Resolved is the outcome of questions to a DNS server.
type Resolved struct {
	Outcome
	Answers []wire.Answer // at most 1,000
	Asked   int
}

// Ask is what is asked of a DNS server.
type Ask struct {
	Names []string
	Type  string // A where ""
	Repeat
}

// DNSQuery asks for names.
func (a *Actor) DNSQuery(ctx context.Context, t Target, q Ask) Resolved {
	return a.ask(ctx, "dns.query", t, q, func(i int) string { return q.Names[i%len(q.Names)] }, len(q.Names)*max(q.Times, 1))
}

// Tunnel is a lot of names as a tunnel through DNS asks for them. They are
// drawn; nothing is carried.
type Tunnel struct {
	Domain  string
	Queries int
	Label   int     // bytes of each name before the domain, 8 to 60
	Rate    float64 // queries a second
}

// DNSTunnelLike asks for drawn names below a domain.
func (a *Actor) DNSTunnelLike(ctx context.Context, t Target, q Tunnel) Resolved {
	every := Repeat{}
	if q.Rate > 0 {
		every = Repeat{Every: time.Duration(float64(time.Second) / q.Rate), Jitter: 0.2}
	}
	label := min(max(q.Label, 8), 60)
	return a.ask(ctx, "dns.tunnel_like", t, Ask{Type: "TXT", Repeat: every, Names: []string{q.Domain}}, func(int) string { return a.drawn(label) + "." + q.Domain }, q.Queries)
}

// DNSBeacon asks for changing names below a domain, again and again.
func (a *Actor) DNSBeacon(ctx context.Context, t Target, domain string, p Repeat) Resolved {
	return a.ask(ctx, "beacon.dns", t, Ask{Repeat: p, Names: []string{domain}}, func(int) string { return a.drawn(8) + "." + domain }, max(p.Times, 1))
}

// drawn is a word of n letters and digits of the seed's.
func (a *Actor) drawn(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(a.draw(256))
	}
	return strings.ToLower(base32.StdEncoding.EncodeToString(b)[:n])
}

func (a *Actor) ask(ctx context.Context, action string, t Target, q Ask, name func(i int) string, n int) Resolved {
	var out Resolved
	r := a.begin(ctx, action, &out.Outcome)
	typ, ok := wire.DNSTypeOf(q.Type)
	if q.Type == "" {
		typ, ok = wire.DNSA, true
	}
	if !ok || len(q.Names) == 0 || n < 1 {
		r.end(fmt.Errorf("%d names of type %q, %d times: %w", len(q.Names), q.Type, n, errWrong))
		return out
	}
	q.Times = n
	r.end(r.repeat(q.Repeat, func(i int) error {
		out.Asked++
		answer, err := r.question(t, wire.Question{ID: uint16(a.draw(1 << 16)), Name: name(i), Type: typ, RD: true})
		if err == nil && len(out.Answers) < 1000 {
			out.Answers = append(out.Answers, answer)
		}
		return err
	}))
	return out
}

// question is one exchange over UDP.
func (r *run) question(t Target, q wire.Question) (answer wire.Answer, err error) {
	b, err := wire.AppendQuestion(q)
	if err != nil {
		return answer, fmt.Errorf("ask for %q: %w: %w", q.Name, err, errWrong)
	}
	err = r.once("udp", t, func(c *conn) error {
		in, err := c.exchange(b)
		if err != nil {
			return fmt.Errorf("ask %s for %q: %w", t.address(), q.Name, err)
		}
		answer, err = wire.ParseAnswer(in)
		return err
	})
	return answer, err
}

// exchange sends a datagram and reads one.
func (c *conn) exchange(b []byte) ([]byte, error) {
	if err := c.send(b); err != nil {
		return nil, err
	}
	in := make([]byte, 2048)
	n, err := c.Read(in)
	return in[:n], err
}
