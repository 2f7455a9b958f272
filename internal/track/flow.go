package track

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
)

type addr [16]byte

// network is what addresses outside count as: a /24 of IPv4, a /48 of IPv6.
type network uint64

func networkOf(a netip.Addr) network {
	if a.Is4() {
		b := a.As4()
		return network(4<<60 | uint64(b[0])<<16 | uint64(b[1])<<8 | uint64(b[2]))
	}
	b := a.As16()
	return network(6<<60 | binary.BigEndian.Uint64(b[:8])>>16)
}

// inside tells whether an address is of one's own networks.
func (s *Set) inside(a netip.Addr) bool {
	for _, list := range [...][]netip.Prefix{s.cfg.Inside, s.cfg.Servers} {
		for _, p := range list {
			if p.Contains(a) {
				return true
			}
		}
	}
	if a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return true
	}
	if len(s.cfg.Inside) > 0 {
		return false
	}
	if a.Is4() {
		b := a.As4()
		return a.IsPrivate() || b[0] == 100 && b[1]&0xc0 == 64 || b == [4]byte{255, 255, 255, 255}
	}
	return a.IsPrivate()
}

// conn is a connection, or a part of one, that a record tells of.
type conn struct {
	src, dst    netip.Addr
	sport, port uint16
	proto       byte
	start, end  int64 // seconds
	out, in     uint64
	packets     uint64 // of the source
	part        bool   // the record tells of one direction
	reply       bool   // the record was of the way back, ends are swapped
	refused     bool
}

// The protocols that are told apart.
const (
	protoICMP   = 1
	protoTCP    = 6
	protoUDP    = 17
	protoV6     = 41
	protoGRE    = 47
	protoESP    = 50
	protoICMPv6 = 58
	protoOther  = 255
)

func protocol(b []byte) byte {
	switch string(b) {
	case "tcp", "TCP", "6", "":
		return protoTCP
	case "udp", "UDP", "17":
		return protoUDP
	case "icmp", "ICMP", "1":
		return protoICMP
	case "ipv6-icmp", "icmp6", "ICMP6", "58":
		return protoICMPv6
	case "gre", "GRE", "47":
		return protoGRE
	case "esp", "ESP", "50":
		return protoESP
	case "ipv6", "IPv6", "41":
		return protoV6
	}
	return protoOther
}

// conn reads a connection out of a record.
func (r *reading) conn() (c conn, ok bool) {
	c.src, ok = r.addr(r.srcIP, r.oldSrc)
	if !ok {
		return c, false
	}
	if c.dst, ok = r.addr(r.dstIP, r.oldDst); !ok {
		return c, false
	}
	c.sport, c.port = uint16(r.number(r.srcPort)), uint16(r.number(r.dstPort, r.oldPort))
	c.proto = protocol(r.text(r.proto))
	c.out, c.in = r.number(r.srcBytes, r.zeekOut), r.number(r.dstBytes, r.zeekIn)
	if c.out == 0 && c.in == 0 {
		c.out = r.number(r.bytes)
	}
	c.packets = r.number(r.srcPackets)
	c.refused = string(r.text(r.outcome)) == "failure"
	c.start, c.end = r.at.Unix(), r.at.Unix()
	if at, ok := logsource.ParseTime(r.text(r.start)); ok && at > 0 && at <= r.at.UnixNano() {
		c.start = at / 1e9
	} else if ns := r.number(r.duration); ns > 0 && ns < 1e18 {
		c.start -= int64(ns / 1e9)
	} else if d := r.seconds(r.zeekDuration); d > 0 && r.rec.Has(r.zeekPath) {
		c.end += int64(d) // Zeek's time is the beginning
	}
	c.part = string(r.text(r.dataset)) == "netflow" && !r.rec.Has(r.dstBytes)
	return c, true
}

// turn swaps the ends of a record of the way back. Exporters of flows report
// both directions, each as one of its own.
func (s *Set) turn(c *conn) {
	if !c.part {
		return
	}
	back := c.sport < 1024 && c.port >= 1024 || c.sport < 10000 && c.port >= 32768
	if !back && c.sport == c.port && s.s.pairs.find(pairKey{c.dst.As16(), c.src.As16(), c.port, c.proto}) != nil {
		back = true
	}
	if back {
		c.src, c.dst, c.sport, c.port, c.out, c.in, c.reply = c.dst, c.src, c.port, c.sport, 0, c.out, true
	}
}

// flow reads a connection.
func (s *Set) flow(r *reading) {
	c, ok := r.conn()
	if !ok || c.src.IsMulticast() || c.dst.IsMulticast() {
		return
	}
	s.turn(&c)
	from, to := s.inside(c.src), s.inside(c.dst)
	if to && (c.reply || c.in > 0) && !c.refused {
		s.served(c)
	}
	if !from || c.reply && to {
		return
	}
	if !c.reply {
		s.fan(r, c, to)
	}
	if !to {
		s.outgoing(r, c)
	}
}

// host is what is remembered of a host inside.
type host struct {
	First    int64
	Clients  [2]uint64 // who asked something of it, as bits
	Server   bool
	OutFirst int64   // its first connection outwards, 0: none yet
	NewRate  float32 // networks outside that it met for the first time, a day
	NewToday uint16
	Day      int32
	Fan      [2]fan // towards inside, and towards unusual ports outside
	Listen   listeners
}

// fan counts whom a host asks within a window.
type fan struct {
	Window int64
	Bits   [4]uint64
	Set    uint16  // bits that are set
	Usual  float32 // the most of a window, fading
	Told   int32   // the day on which it was told
}

// listeners notes which of a VPN server's ports of one host were tried.
type listeners struct {
	Dst  uint64
	Mask uint8
	At   int64
}

func (s *Set) host(a netip.Addr, at int64) *host {
	h, isNew := s.s.hosts.obtain(a.As16())
	if isNew {
		h.First, h.Day = at, int32(at/86400)
		for _, p := range s.cfg.Servers {
			h.Server = h.Server || p.Contains(a)
		}
	}
	return h
}

// serverClients is how many clients make a host a server.
const serverClients = 8

// served notes that a host inside answered one who asked.
func (s *Set) served(c conn) {
	if c.port >= 32768 {
		return
	}
	h := s.host(c.dst, c.start)
	if h.Server {
		return
	}
	i := hashAddr(c.src, 0)
	h.Clients[i>>6&1] |= 1 << (i & 63)
	h.Server = bits.OnesCount64(h.Clients[0])+bits.OnesCount64(h.Clients[1]) >= serverClients
}

// hashAddr mixes an address and a number; the same in each process.
func hashAddr(a netip.Addr, n uint64) uint64 {
	b := a.As16()
	h := (binary.LittleEndian.Uint64(b[:8])^n)*0x9e3779b97f4a7c15 ^ binary.LittleEndian.Uint64(b[8:])
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return h ^ h>>32
}

// What counts as a scan: so many targets within ten minutes, and so many times
// what the host ever asked for.
const (
	fanWindow = 600
	fanMin    = 30
	fanTimes  = 4
	fanFade   = 0.9 // of what is usual, a day
)

// fan counts whom a host asks, and tells when it asks far more than ever.
func (s *Set) fan(r *reading, c conn, to bool) {
	h := s.host(c.src, c.start)
	s.day(h, c.start)
	f, side := &h.Fan[0], "inside"
	if !to {
		if ordinary(c.port) || c.proto != protoTCP && c.proto != protoUDP {
			return
		}
		f, side = &h.Fan[1], "outside"
	}
	if w := c.start / fanWindow; w != f.Window {
		if w < f.Window {
			return // late
		}
		f.Usual = max(f.Usual, targets(f.Set))
		f.Window, f.Bits, f.Set = w, [4]uint64{}, 0
	}
	i := hashAddr(c.dst, uint64(c.port)) >> 3
	if bit := uint64(1) << (i & 63); f.Bits[i>>6&3]&bit == 0 {
		f.Bits[i>>6&3] |= bit
		f.Set++
	} else {
		return
	}
	n := targets(f.Set)
	if day := int32(c.start / 86400); n >= fanMin && n >= fanTimes*f.Usual && f.Told != day && !s.learning(r.at) {
		f.Told = day
		r.count(r.fanout, int64(n))
		r.count(r.fanUsual, int64(f.Usual))
		r.say(r.fanSide, side)
		s.about(r, h)
	}
}

func (s *Set) about(r *reading, h *host) {
	if h.Server {
		r.yes(r.server)
	}
}

// ordinary tells ports of which every browser asks many hosts outside.
func ordinary(port uint16) bool { return port == 80 || port == 443 || port == 53 || port == 123 }

// targets estimates how many targets set so many of 256 bits.
func targets(set uint16) float32 {
	free := 256 - float64(min(set, 255))
	return float32(-256 * math.Log(free/256))
}

// day lets what is usual fade with each day.
func (s *Set) day(h *host, at int64) {
	day := int32(at / 86400)
	if day <= h.Day {
		return
	}
	n := min(float64(day-h.Day), 60)
	for i := range h.Fan {
		h.Fan[i].Usual *= float32(math.Pow(fanFade, n))
	}
	h.NewRate = (0.7*h.NewRate + 0.3*float32(h.NewToday)) * float32(math.Pow(0.7, n-1))
	h.NewToday, h.Day = 0, day
}

// outer is what is remembered of a network outside.
type outer struct {
	First int64
	Hosts [4]uint32 // who spoke with it
	N     uint16    // how many, as far as they are told apart
}

func (o *outer) met(h uint32) {
	for i := range min(int(o.N), len(o.Hosts)) {
		if o.Hosts[i] == h {
			return
		}
	}
	if int(o.N) < len(o.Hosts) {
		o.Hosts[o.N] = h
		o.N++
	}
}

// dest is a network that a server sent to.
type dest struct{ First, Last int64 }

type destKey struct {
	Host addr
	Net  network
}

// outgoing reads a connection from inside to outside.
func (s *Set) outgoing(r *reading, c conn) {
	net := networkOf(c.dst)
	o, isNew := s.s.nets.obtain(net)
	if isNew {
		o.First = c.start
	}
	o.met(uint32(hashAddr(c.src, 0)))
	h := s.host(c.src, c.start)
	if !c.reply {
		s.destination(r, c, h, o)
		s.oddPorts(r, c, h)
	}
	s.talk(r, c, h, o)
}

// fresh tells whether anybody spoke with a network only lately.
func (s *Set) fresh(o *outer, at time.Time) bool {
	return o.First >= s.s.Began+int64(s.cfg.Learning/time.Second) && at.Unix()-o.First < int64(s.cfg.Fresh/time.Second)
}

// destination tells of networks that a server never sent to.
func (s *Set) destination(r *reading, c conn, h *host, o *outer) {
	first := h.OutFirst == 0
	if first {
		h.OutFirst = c.start
	}
	if !h.Server {
		return
	}
	d, isNew := s.s.dests.obtain(destKey{c.src.As16(), networkOf(c.dst)})
	d.Last = max(d.Last, c.start)
	if !isNew {
		return
	}
	d.First = c.start
	if h.NewToday < 1<<16-1 {
		h.NewToday++
	}
	if s.learning(r.at) || c.start-h.First < settled {
		return
	}
	r.yes(r.firstDest)
	r.count(r.usual, int64(math.Round(float64(h.NewRate)*7)))
	if first {
		r.yes(r.outward)
	}
	s.rarity(r, o)
	s.about(r, h)
}

// rarity says how well a network outside is known.
func (s *Set) rarity(r *reading, o *outer) {
	if s.fresh(o, r.at) {
		r.yes(r.fresh)
	}
	r.count(r.hosts, int64(o.N))
}

// oddPorts tells when a host tries the listeners of a SoftEther server one after
// the other: its clients ask for 443, 992, 1194 and 5555 of the same host.
func (s *Set) oddPorts(r *reading, c conn, h *host) {
	bit := uint8(0)
	for i, p := range [...]uint16{443, 992, 1194, 5555} {
		if c.port == p && c.proto == protoTCP {
			bit = 1 << i
		}
	}
	if bit == 0 {
		return
	}
	dst := hashAddr(c.dst, 0)
	l := &h.Listen
	if l.Dst != dst || c.start-l.At > 3600 {
		if bit == 1 {
			return // 443 alone is everybody's
		}
		*l = listeners{Dst: dst}
	}
	before := l.Mask
	l.Mask |= bit
	l.At = c.start
	if l.Mask != before && bits.OnesCount8(l.Mask) == 2 && !s.learning(r.at) {
		s.tunnelled(r, h, "softether ports")
	}
}

func (s *Set) tunnelled(r *reading, h *host, how string) {
	r.say(r.tunnel, how)
	s.about(r, h)
}
