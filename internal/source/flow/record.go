package flow

import (
	"net/netip"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// flow is what is read of one.
type flow struct {
	src, dst           netip.Addr
	sport, dport       uint16
	proto              uint8
	bytes, packets     uint64
	back, backPackets  uint64 // of the other direction, where one record tells of both
	both               bool
	start, end         int64 // ns since 1970, 0: not said
	denied             bool
	icmp               uint16
	translated         netip.Addr
	duration, observed int64
}

// The registered information elements that are read (IANA, IPFIX).
const (
	ieBytes, iePackets, ieProto      = 1, 2, 4
	ieSrcPort, ieSrc4, ieDstPort     = 7, 8, 11
	ieDst4, ieEndUp, ieStartUp       = 12, 21, 22
	ieOutBytes, ieOutPackets         = 23, 24
	ieSrc6, ieDst6, ieICMP           = 27, 28, 32
	ieTotalBytes, ieTotalPackets     = 85, 86
	ieICMP6                          = 139
	ieStartSec, ieEndSec             = 150, 151
	ieStartMilli, ieEndMilli         = 152, 153
	ieStartMicro, ieEndMicro         = 154, 155
	ieStartNano, ieEndNano           = 156, 157
	ieDurationMilli, ieDurationMicro = 161, 162
	ieNATSrc4                        = 225
	ieInitBytes, ieRespBytes         = 231, 232
	ieFirewall                       = 233
	ieInitPackets, ieRespPackets     = 298, 299
	ieObservedMilli                  = 323
	firewallDenied                   = 3
	secondsFrom1900                  = 2_208_988_800
	protoICMP, protoTCP, protoUDP    = 1, 6, 17
	protoGRE, protoESP, protoICMPv6  = 47, 50, 58
	protoIPv6, protoSCTP             = 41, 132
)

func number(b []byte) uint64 {
	n := uint64(0)
	if len(b) > 8 {
		return 0
	}
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n
}

// ntp reads the 64 bits of microseconds and nanoseconds: seconds since 1900 and
// their fraction.
func ntp(b []byte) int64 {
	if len(b) != 8 {
		return 0
	}
	n := number(b)
	return (int64(n>>32)-secondsFrom1900)*1e9 + int64((n&0xffffffff)*1e9>>32)
}

// milli turns milliseconds into nanoseconds; 0 for what does not fit.
func milli(b []byte) int64 {
	if n := number(b); n < 1<<43 {
		return int64(n) * 1e6
	}
	return 0
}

// take reads the value of a field.
func (f *flow) take(x *field, b []byte, p *packet) {
	if x.reversed {
		switch x.id {
		case ieBytes, ieTotalBytes:
			f.back, f.both = number(b), true
		case iePackets, ieTotalPackets:
			f.backPackets, f.both = number(b), true
		}
		return
	}
	switch x.id {
	case ieBytes, ieTotalBytes, ieInitBytes:
		f.bytes = number(b)
	case ieOutBytes:
		f.bytes = max(f.bytes, number(b))
	case iePackets, ieTotalPackets, ieInitPackets:
		f.packets = number(b)
	case ieOutPackets:
		f.packets = max(f.packets, number(b))
	case ieRespBytes:
		f.back, f.both = number(b), true
	case ieRespPackets:
		f.backPackets, f.both = number(b), true
	case ieProto:
		f.proto = uint8(number(b))
	case ieSrcPort:
		f.sport = uint16(number(b))
	case ieDstPort:
		f.dport = uint16(number(b))
	case ieICMP, ieICMP6:
		f.icmp = uint16(number(b))
	case ieFirewall:
		f.denied = number(b) == firewallDenied
	default:
		f.where(x.id, b)
		f.when(x.id, b, p)
	}
}

// where reads addresses.
func (f *flow) where(id uint16, b []byte) {
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		return
	}
	four := a.Is4()
	switch {
	case id == ieSrc4 && four, id == ieSrc6 && !four && !f.src.Is4():
		f.src = a
	case id == ieDst4 && four, id == ieDst6 && !four && !f.dst.Is4():
		f.dst = a
	case id == ieNATSrc4 && four:
		f.translated = a
	}
}

// when reads times.
func (f *flow) when(id uint16, b []byte, p *packet) {
	switch id {
	case ieStartUp, ieEndUp:
		if len(b) != 4 || p.boot == 0 {
			return
		}
		if id == ieStartUp {
			f.start = p.uptime(b)
		} else {
			f.end = p.uptime(b)
		}
	case ieStartSec:
		f.start = int64(uint32(number(b))) * 1e9
	case ieEndSec:
		f.end = int64(uint32(number(b))) * 1e9
	case ieStartMilli:
		f.start = milli(b)
	case ieEndMilli:
		f.end = milli(b)
	case ieObservedMilli:
		f.observed = milli(b)
	case ieStartMicro, ieStartNano:
		f.start = ntp(b)
	case ieEndMicro, ieEndNano:
		f.end = ntp(b)
	case ieDurationMilli:
		f.duration = milli(b)
	case ieDurationMicro:
		f.duration = milli(b) / 1000
	}
}

// times gives the end of a flow and how long it took, both in nanoseconds.
func (d *Decoder) times(p *packet, f *flow) (end, took int64) {
	end = f.end
	if end == 0 {
		end = f.observed
	}
	took = f.duration
	if f.start != 0 && end >= f.start && took == 0 {
		took = end - f.start
	}
	if took > 400*24*int64(time.Hour) {
		took = 0
	}
	now := p.received.UnixNano()
	if end == 0 {
		return now, took
	}
	if end > now+int64(maxAhead) || end < now-int64(maxSkew) {
		d.stats.Clock++
		return now, took
	}
	return end, took
}

// emit gives one flow. Records without both addresses tell of something else.
func (d *Decoder) emit(p *packet, f *flow) {
	if !f.src.IsValid() || !f.dst.IsValid() {
		return
	}
	d.stats.Flows++
	end, took := d.times(p, f)
	rec := p.rec
	rec.Reset()
	d.arena = d.arena[:0]
	rec.Time = end
	d.words(rec, f)
	d.addr(rec, d.id.src, f.src)
	d.addr(rec, d.id.dst, f.dst)
	if p.peer.IsValid() {
		d.addr(rec, d.id.observer, p.peer)
	}
	if f.translated.IsValid() && f.translated != f.src {
		d.addr(rec, d.id.natSrc, f.translated)
	}
	if f.proto == protoICMP || f.proto == protoICMPv6 { // without a field of its own the type stands where the port does
		d.number(rec, d.id.icmpType, uint64(max(f.icmp, f.dport)>>8))
	} else if f.sport != 0 || f.dport != 0 {
		d.number(rec, d.id.sport, uint64(f.sport))
		d.number(rec, d.id.dport, uint64(f.dport))
	}
	d.number(rec, d.id.bytes, f.bytes)
	d.number(rec, d.id.packets, f.packets)
	if f.both {
		d.number(rec, d.id.backBytes, f.back)
		d.number(rec, d.id.backPackets, f.backPackets)
	}
	d.number(rec, d.id.total, f.bytes+f.back)
	if took > 0 {
		d.number(rec, d.id.duration, uint64(took))
	}
	p.each(rec)
}

// words sets what is one of a few.
func (d *Decoder) words(rec *sigma.Record, f *flow) {
	set := func(id sigma.FieldID, s string) { rec.SetID(id, nil, sigma.String(s)) }
	set(d.id.category, "network")
	set(d.id.action, "flow")
	set(d.id.dataset, "netflow")
	rec.Hide(d.id.spoofable, sigma.Value{Text: []byte("true"), Type: sigma.Bool})
	if f.src.Is4() {
		set(d.id.ipType, "ipv4")
	} else {
		set(d.id.ipType, "ipv6")
	}
	set(d.id.proto, transport(f))
	if f.denied {
		set(d.id.outcome, "failure")
	}
}

func transport(f *flow) string {
	switch f.proto {
	case protoTCP:
		return "tcp"
	case protoUDP:
		return "udp"
	case protoICMP:
		return "icmp"
	case protoICMPv6:
		return "ipv6-icmp"
	case protoGRE:
		return "gre"
	case protoESP:
		return "esp"
	case protoIPv6:
		return "ipv6"
	case protoSCTP:
		return "sctp"
	}
	return strconv.Itoa(int(f.proto))
}

func (d *Decoder) addr(rec *sigma.Record, id sigma.FieldID, a netip.Addr) {
	from := len(d.arena)
	d.arena = a.AppendTo(d.arena)
	rec.SetID(id, nil, sigma.Bytes(d.arena[from:len(d.arena):len(d.arena)]))
}

func (d *Decoder) number(rec *sigma.Record, id sigma.FieldID, n uint64) {
	from := len(d.arena)
	d.arena = strconv.AppendUint(d.arena, n, 10)
	rec.SetID(id, nil, sigma.Value{Text: d.arena[from:len(d.arena):len(d.arena)], Type: sigma.Number})
}

// ids are the fields that are written.
type ids struct {
	category, action, dataset, outcome, spoofable                     sigma.FieldID
	src, dst, sport, dport, proto, ipType, natSrc, icmpType           sigma.FieldID
	bytes, packets, backBytes, backPackets, total, duration, observer sigma.FieldID
}

func (x *ids) bind(f *sigma.Fields) {
	for _, n := range []struct {
		id   *sigma.FieldID
		name string
	}{
		{&x.category, "event.category"},
		{&x.action, "event.action"},
		{&x.dataset, "event.dataset"},
		{&x.outcome, "event.outcome"},
		{&x.spoofable, "lapwing.spoofable"},
		{&x.src, "source.ip"},
		{&x.dst, "destination.ip"},
		{&x.sport, "source.port"},
		{&x.dport, "destination.port"},
		{&x.natSrc, "source.nat.ip"},
		{&x.proto, "network.transport"},
		{&x.ipType, "network.type"},
		{&x.icmpType, "lapwing.flow.icmp_type"},
		{&x.bytes, "source.bytes"},
		{&x.packets, "source.packets"},
		{&x.backBytes, "destination.bytes"},
		{&x.backPackets, "destination.packets"},
		{&x.total, "network.bytes"},
		{&x.duration, "event.duration"},
		{&x.observer, "observer.ip"},
	} {
		*n.id = f.Add(n.name)[0]
	}
}
