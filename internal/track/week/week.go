// Package week makes a week of a small site's traffic as a router would tell of
// it, seeded, for measuring what rules about quiet intruders find and what they
// cost: a hundred and more hosts, and of what they do above all that which looks
// like an intruder: programs that ask for news evenly, keep connections open for
// days, change their addresses, are new.
//
// docs/formats/track.md describes what is in it.
package week

import (
	"math"
	"math/rand/v2"
	"net/netip"
	"sort"
	"time"
)

// Flow is one connection, or a part of at most half an hour of one.
type Flow struct {
	Start, End   float64 // seconds since the week began
	Src, Dst     netip.Addr
	SPort, DPort uint16
	Proto        uint8
	Out, In      uint64 // bytes
}

// Days is how long it is.
const Days = 7

// active is after how many seconds a router tells of a connection that goes on.
const active = 1800

// The parts of the site.
const (
	Desktops = 80
	Servers  = 24
	Devices  = 16
	Hosts    = Desktops + Servers + Devices
)

// Site is one week of one site.
type Site struct {
	rng   *rand.Rand
	hours [Days * 24][]Flow
	next  uint16 // source port

	sites [][]netip.Addr // of the web, the most visited first
	cloud []netip.Addr   // where services live, one address in each network
	ntp   []netip.Addr
}

// New makes a week that begins on a Monday.
func New(seed uint64) *Site {
	s := &Site{rng: rand.New(rand.NewPCG(seed, 0x5eed)), next: 32768}
	s.internet()
	for i := range Desktops {
		s.desktop(i)
	}
	for i := range Servers {
		s.server(i)
	}
	for i := range Devices {
		s.device(i)
	}
	s.services()
	s.news()
	return s
}

// Began is when the week begins: a Monday at midnight.
func Began() time.Time { return time.Date(2026, 11, 16, 0, 0, 0, 0, time.UTC) }

// Desktop is the address of a person's computer.
func Desktop(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 1, byte(i + 10)}) }

// Server is the address of a server: 0 is a resolver, 1 the mail server, 2 the web server, 3 makes backups, 4
// watches the others.
func Server(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 10)}) }

// Device is the address of a camera, a telephone or a printer.
func Device(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 2, byte(i + 10)}) }

// Each gives the flows in the order in which they ended.
func (s *Site) Each(yield func(*Flow)) {
	for h := range s.hours {
		fs := s.hours[h]
		sort.SliceStable(fs, func(i, j int) bool { return fs[i].End < fs[j].End })
		for i := range fs {
			yield(&fs[i])
		}
	}
}

// Len is the number of flows.
func (s *Site) Len() int {
	n := 0
	for h := range s.hours {
		n += len(s.hours[h])
	}
	return n
}

// link is who talks with whom.
type link struct {
	src, dst netip.Addr
	port     uint16
	proto    uint8
}

const (
	tcp = 6
	udp = 17
)

// open adds a connection from a time on that takes some seconds; a long one is
// told in parts.
func (s *Site) open(l link, start, took, out, in float64) {
	if s.next++; s.next < 32768 {
		s.next = 32768
	}
	s.from(l, s.next, start, took, [2]float64{out, in})
}

func (s *Site) from(l link, sport uint16, start, took float64, bytes [2]float64) {
	for at := start; ; at += active {
		part := min(active, start+took-at)
		share := 1.0
		if took > 0 {
			share = part / took
		}
		end := at + part
		if h := int(end / 3600); end >= 0 && h < len(s.hours) {
			s.hours[h] = append(s.hours[h], Flow{
				Start: at, End: end, Src: l.src, Dst: l.dst, SPort: sport, DPort: l.port, Proto: l.proto, Out: uint64(bytes[0] * share), In: uint64(bytes[1] * share),
			})
		}
		if at+active >= start+took {
			return
		}
	}
}

// poll asks again and again from a time to another: a pause of some seconds, more
// or less by a share of it, and about so many bytes.
func (s *Site) poll(l link, from, to, pause, jitter, out, in float64) {
	for at := from + s.rng.Float64()*pause; at < to; at += s.about(pause, jitter) {
		s.open(l, at, 0.05+s.rng.Float64(), s.about(out, 0.05), s.about(in, 0.05))
	}
}

// about is a number more or less a share of it.
func (s *Site) about(x, share float64) float64 { return x * (1 + share*(2*s.rng.Float64()-1)) }

// between is a number between two.
func (s *Site) between(a, b float64) float64 { return a + (b-a)*s.rng.Float64() }

func (s *Site) chance(p float64) bool { return s.rng.Float64() < p }

// heavy is a number of bytes as they are distributed: most small, some huge.
func (s *Site) heavy(mid float64) float64 { return mid * math.Exp(1.3*s.rng.NormFloat64()) }

// outside is an address of the Internet, in a network of its own most likely.
func (s *Site) outside() netip.Addr {
	for {
		a := netip.AddrFrom4([4]byte{byte(1 + s.rng.IntN(222)), byte(s.rng.IntN(256)), byte(s.rng.IntN(256)), byte(1 + s.rng.IntN(254))})
		b := a.As4()
		if !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast() && (b[0] != 100 || b[1]&0xc0 != 64) {
			return a
		}
	}
}

// internet makes up what is out there: sites of one to four addresses, clouds in
// which services move about, time servers.
func (s *Site) internet() {
	for range 4000 {
		var site []netip.Addr
		for range 1 + s.rng.IntN(4) {
			site = append(site, s.outside())
		}
		s.sites = append(s.sites, site)
	}
	for range 600 {
		s.cloud = append(s.cloud, s.outside())
	}
	for range 200 {
		s.ntp = append(s.ntp, s.outside())
	}
}

// site picks one as people do: few are visited much and many once (Zipf).
func (s *Site) site() []netip.Addr {
	n := float64(len(s.sites))
	i := int(math.Exp(s.rng.Float64()*math.Log(n))) - 1
	return s.sites[min(i, len(s.sites)-1)]
}

func (s *Site) pick(list []netip.Addr) netip.Addr { return list[s.rng.IntN(len(list))] }

// neighbour is another address of the same network.
func (s *Site) neighbour(a netip.Addr) netip.Addr {
	b := a.As4()
	b[3] = byte(1 + s.rng.IntN(254))
	return netip.AddrFrom4(b)
}

const (
	hour = 3600.0
	day  = 24 * hour
)
