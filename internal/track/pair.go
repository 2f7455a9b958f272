package track

import (
	"bytes"
	"math"
	"math/bits"
	"time"
)

type pairKey struct {
	Src, Dst addr
	Port     uint16
	Proto    uint8
}

// pair is what is remembered of one host that talks to one port of another.
type pair struct {
	First, Last int64 // starts of connections
	N           uint32
	Out, In     uint64
	Rhythm      rhythm
	Told        int64 // when its rhythm was told
	Sess        [2]session
	Hour        int64 // of what follows
	HourBytes   uint64
	HourPackets uint64
	TunnelOn    int32 // the day on which a tunnel was told
}

// session is a connection that may be told in parts.
type session struct {
	Sport      uint16
	Start, End int64
	Out, In    uint64
	Told       uint8
}

// stitch is the pause in seconds up to which parts are of one connection.
const stitch = 900

// talk reads a connection outwards into its pair.
func (s *Set) talk(r *reading, c conn, h *host, o *outer) {
	key := pairKey{c.src.As16(), c.dst.As16(), c.port, c.proto}
	p, isNew := s.s.pairs.obtain(key)
	if isNew {
		p.First = c.start
	}
	se, fresh := p.session(c)
	se.Out += c.out
	se.In += c.in
	p.Out += c.out
	p.In += c.in
	s.carried(r, c, h, p)
	s.oddTLS(r, c, h, o, p)
	if c.port != 123 || c.proto != protoUDP { // each question of a time client comes from the same port
		s.long(r, key, p, se, h, o)
	}
	if !fresh {
		return
	}
	p.N++
	if c.start > p.Last {
		p.Last = c.start
	}
	if p.Rhythm.add(c.start) {
		s.beacon(r, key, p, h, o)
	}
}

// session finds the connection that a record is of, or begins one.
func (p *pair) session(c conn) (*session, bool) {
	oldest := 0
	for i := range p.Sess {
		se := &p.Sess[i]
		if se.End != 0 && se.Sport == c.sport && c.start <= se.End+stitch && c.sport != 0 {
			se.Start, se.End = min(se.Start, c.start), max(se.End, c.end)
			return se, false
		}
		if se.End < p.Sess[oldest].End {
			oldest = i
		}
	}
	p.Sess[oldest] = session{Sport: c.sport, Start: c.start, End: c.end}
	return &p.Sess[oldest], !c.reply
}

// long tells of connections that last, once at the length of the configuration
// and once at a day.
func (s *Set) long(r *reading, k pairKey, p *pair, se *session, h *host, o *outer) {
	length := se.End - se.Start
	step := uint8(0)
	if length >= 86400 {
		step = 2
	} else if length >= int64(s.cfg.Session/time.Second) {
		step = 1
	}
	if step <= se.Told {
		return
	}
	se.Told = step
	key := kindKey{Server: h.Server, Class: classSession, Port: k.Port, A: octave(se.Out / uint64(length)), B: octave(se.In / uint64(length))}
	known := s.known(r, key, k, p, s.fresh(o, r.at))
	if s.learning(r.at) || p.First < s.s.Began+int64(s.cfg.Learning/time.Second) {
		return
	}
	r.count(r.sessionHours, length/3600)
	r.count(r.sessionRate, int64((se.Out+se.In)/uint64(length)))
	if low, high := min(se.Out, se.In), max(se.Out, se.In); low > 0 && high/low < 20 {
		r.yes(r.sessionTwoWay)
	}
	if known {
		r.yes(r.fields.kind)
	}
	s.rarity(r, o)
	s.about(r, h)
}

// How even a rhythm has to be to be told, and of how many connections over which
// time.
const (
	beaconScore = 50
	beaconCount = 20
	beaconTime  = 9000      // seconds
	beaconAgain = 7 * 86400 // seconds until the same pair is told again
)

// beacon tells of a pair whose connections come evenly.
func (s *Set) beacon(r *reading, k pairKey, p *pair, h *host, o *outer) {
	now := p.Last
	if p.Told != 0 && now-p.Told < beaconAgain {
		return
	}
	b, ok := p.Rhythm.judge()
	if !ok || b.score < beaconScore {
		return
	}
	p.Told = now
	n := uint64(max(p.N, 1))
	key := kindKey{Server: h.Server, Class: classBeacon, Port: k.Port, A: half(uint64(b.interval)), B: half(p.Out / n), C: half(p.In / n), D: uint8(min(b.jitter, 200) / 25)}
	known := s.known(r, key, k, p, s.fresh(o, r.at))
	if s.learning(r.at) || p.First < s.s.Began+int64(s.cfg.Learning/time.Second) {
		return
	}
	r.count(r.beaconScore, int64(b.score))
	r.count(r.beaconInterval, int64(b.interval))
	r.count(r.beaconJitter, int64(b.jitter))
	r.count(r.beaconHours, (now-p.Rhythm.Start)/3600)
	r.count(r.beaconCount, int64(p.Rhythm.N))
	if known {
		r.yes(r.fields.kind)
	}
	s.rarity(r, o)
	s.about(r, h)
}

// What of a network's traffic is its kind: programs ask in their own rhythm, on
// their port, and say about as much each time, whatever address they ask.
const (
	classBeacon = iota + 1
	classSession
)

type kindKey struct {
	Host   addr // zero: of anybody
	Server bool // of servers or of others: what desktops do excuses no server
	Class  uint8
	Port   uint16
	// Beacons: pause, bytes out and in of a connection in powers of √2, jitter in
	// quarters. Sessions: bytes out and in of a second in powers of two.
	A, B, C, D uint8
}

// habit is a kind of traffic and who has it.
type habit struct {
	First int64
	Hosts [3]uint64
}

// octave is the logarithm of base two, half of base √2.
func octave(n uint64) uint8 { return uint8(bits.Len64(n)) }

func half(n uint64) uint8 {
	if n == 0 {
		return 0
	}
	return uint8(math.Round(2*math.Log2(float64(n)))) + 1
}

// ripe is after how long even a kind that was told as strange counts as known.
const ripe = 3 * 86400

// known tells whether a kind of traffic is one that the host had before it began
// to speak with this address, or that three hosts have; and notes it.
func (s *Set) known(r *reading, key kindKey, k pairKey, p *pair, fresh bool) bool {
	now := r.at.Unix()
	own := key
	own.Host = k.Src
	yes := s.near(own, func(h *habit) bool { return h.First < p.First })
	yes = s.near(key, func(h *habit) bool { return h.Hosts[2] != 0 }) || yes
	everybody, isNew := s.s.kinds.obtain(key)
	if isNew {
		everybody.First = now
	}
	everybody.note(hash16(k.Src))
	if !fresh || yes || s.learning(r.at) || now-p.First > ripe {
		mine, isNew := s.s.kinds.obtain(own)
		if isNew {
			mine.First = now
		}
	}
	return yes
}

func hash16(a addr) uint64 {
	h := uint64(14695981039346656037)
	for _, b := range a {
		h = (h ^ uint64(b)) * 1099511628211
	}
	return h | 1
}

func (h *habit) note(who uint64) {
	for i := range h.Hosts {
		if h.Hosts[i] == who {
			return
		}
		if h.Hosts[i] == 0 {
			h.Hosts[i] = who
			return
		}
	}
}

// near tells whether a kind or one beside it fits.
func (s *Set) near(k kindKey, fits func(*habit) bool) bool {
	for i := range 81 {
		n := k
		n.A += uint8(i%3) - 1
		n.B += uint8(i/3%3) - 1
		n.C += uint8(i/9%3) - 1
		n.D += uint8(i/27) - 1
		if i, ok := s.s.kinds.index[n]; ok && fits(&s.s.kinds.items[i].Val) {
			s.s.kinds.find(n)
			return true
		}
	}
	return false
}

// What no clock and no echo needs: bytes of a question or an answer, and bytes in
// an hour.
const (
	clockPacket = 120
	clockHour   = 200_000
	echoHour    = 1_000_000
)

// carried tells when protocols that have little to say are made to carry much, and
// protocols that carry others, to somebody outside who is new.
func (s *Set) carried(r *reading, c conn, h *host, p *pair) {
	clock := c.proto == protoUDP && c.port == 123
	echo := c.proto == protoICMP || c.proto == protoICMPv6
	carrier := c.proto == protoGRE || c.proto == protoESP || c.proto == protoV6
	if !clock && !echo && !carrier || s.learning(r.at) {
		return
	}
	if hour := c.end / 3600; hour != p.Hour {
		p.Hour, p.HourBytes, p.HourPackets = hour, 0, 0
	}
	p.HourBytes += c.out + c.in
	p.HourPackets += c.packets
	how := ""
	switch {
	case clock && (p.HourBytes >= clockHour || p.HourPackets >= 8 && p.HourBytes/p.HourPackets > 2*clockPacket):
		how = "ntp"
	case echo && p.HourBytes >= echoHour:
		how = "icmp"
	case carrier && p.N == 0 && p.First >= s.s.Began+int64(s.cfg.Learning/time.Second) && !c.reply:
		how = "protocol"
	}
	s.once(r, h, p, how)
}

// once tells a tunnel once a day and pair.
func (s *Set) once(r *reading, h *host, p *pair, how string) {
	if day := int32(r.at.Unix()/86400) + 1; how != "" && p.TunnelOn != day {
		p.TunnelOn = day
		s.tunnelled(r, h, how)
	}
}

// oddTLS tells of TLS, where somebody looked into the connection and says so, on
// a port that is not for it, to somebody new.
func (s *Set) oddTLS(r *reading, c conn, h *host, o *outer, p *pair) {
	if c.reply || c.proto != protoTCP || ofTLS(c.port) || s.learning(r.at) {
		return
	}
	app := bytes.ToLower(r.text(r.app, r.zeekService))
	if (bytes.Contains(app, []byte("ssl")) || bytes.Contains(app, []byte("tls"))) && o.N <= 2 && s.fresh(o, r.at) {
		s.once(r, h, p, "tls on an odd port")
	}
}

// ofTLS tells ports on which TLS is at home.
func ofTLS(port uint16) bool {
	switch port {
	case 25, 110, 143, 389, 443, 465, 563, 587, 636, 853, 989, 990, 993, 995, 3268, 3269, 3389, 5061, 5223, 5228, 5349, 5671, 6514, 6697, 8443, 8883, 9443:
		return true
	}
	return false
}
