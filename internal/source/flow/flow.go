// Package flow decodes what routers and switches tell of connections: NetFlow
// version 5 and 9 (RFC 3954) and IPFIX (RFC 7011), one record for each flow.
//
// Templates are kept for each exporter, within bounds, and forgotten when the
// exporter does not repeat them. Options templates and their data are passed over.
// Datagrams that were lost on the way are counted by their sequence numbers.
package flow

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// Format is the word for these records in the mapping of log sources.
const Format = "netflow"

// ErrDatagram says that bytes are no export of flows; the text says where.
var ErrDatagram = errors.New("not a NetFlow or IPFIX datagram")

// Config is what New takes. Zero fields take what stands in brackets.
type Config struct {
	// Exporters is how many exporters (address, version, observation domain) are
	// kept apart (256); the one that was not heard for longest goes.
	Exporters int
	// Templates is how many templates are kept of an exporter (256); more are
	// refused and counted.
	Templates int
	// Life is for how long a template counts without being repeated (2 h).
	Life time.Duration
}

// Bounds of what an exporter may say.
const (
	maxFields = 512             // of a template
	maxSkew   = 6 * time.Hour   // of an exporter's clock before it is not believed
	maxAhead  = 5 * time.Minute // the same, towards the future
)

// Stats counts.
type Stats struct {
	Datagrams, Flows uint64
	// Broken are datagrams of which at least a part could not be read.
	Broken uint64
	// NoTemplate are sets of data whose template has not come yet; their flows are
	// lost.
	NoTemplate uint64
	// Missed are datagrams (version 9) or flows (others) that did not arrive, by
	// the sequence numbers of the exporters.
	Missed uint64
	// Refused are templates beyond the bounds, Evicted exporters.
	Refused, Evicted uint64
	// Clock are flows whose time cannot be; they count as of now.
	Clock uint64
}

// Decoder decodes datagrams. It serves one goroutine.
type Decoder struct {
	cfg       Config
	fields    *sigma.Fields
	id        ids
	exporters map[exporterKey]*exporter
	stats     Stats
	arena     []byte
}

type exporterKey struct {
	addr    netip.Addr
	version uint16
	domain  uint32
}

// exporter is what is remembered of one that sends.
type exporter struct {
	templates map[uint16]*template
	heard     time.Time
	next      uint32 // sequence number that is to come
	known     bool   // next holds
}

// New makes a Decoder over a table of fields, to which it adds the names that it
// writes.
func New(f *sigma.Fields, cfg Config) *Decoder {
	cfg.Exporters, cfg.Templates = cmp.Or(cfg.Exporters, 256), cmp.Or(cfg.Templates, 256)
	cfg.Life = cmp.Or(cfg.Life, 2*time.Hour)
	d := &Decoder{cfg: cfg, exporters: map[exporterKey]*exporter{}}
	d.Bind(f)
	return d
}

// Bind takes another table of fields; what is known of exporters stays.
func (d *Decoder) Bind(f *sigma.Fields) {
	d.fields = f
	d.id.bind(f)
}

// Stats gives the counts since New.
func (d *Decoder) Stats() Stats { return d.stats }

// Datagram decodes one that came from a peer ("192.0.2.1:2055" or an address) and
// gives each of its flows in rec, which it fills anew; what rec holds is valid
// until each returns. Flows before a fault are given; the error, which wraps
// ErrDatagram, tells of the first fault.
func (d *Decoder) Datagram(peer string, b []byte, received time.Time, rec *sigma.Record, each func(*sigma.Record)) error {
	d.stats.Datagrams++
	if err := d.datagram(packet{peer: address(peer), b: b, received: received, rec: rec, each: each}); err != nil {
		d.stats.Broken++
		return fmt.Errorf("%w from %s: %w", ErrDatagram, peer, err)
	}
	return nil
}

// Decode is Datagram for a line that holds one.
func (d *Decoder) Decode(l *line.Line, rec *sigma.Record, each func(*sigma.Record)) error {
	received := l.Received
	if received.IsZero() {
		return fmt.Errorf("%w: nobody says when it came", ErrDatagram)
	}
	return d.Datagram(l.Peer, l.Text, received, rec, each)
}

func address(peer string) netip.Addr {
	if ap, err := netip.ParseAddrPort(peer); err == nil {
		return ap.Addr().Unmap()
	}
	a, _ := netip.ParseAddr(peer) // an unknown peer is one exporter too
	return a.Unmap()
}

// packet is a datagram on its way.
type packet struct {
	peer     netip.Addr
	b        []byte
	received time.Time
	rec      *sigma.Record
	each     func(*sigma.Record)

	exporter *exporter
	ipfix    bool
	boot     int64  // when the exporter's clock of milliseconds began, in ns
	records  uint32 // data records that were read
	unread   bool   // a set could not be read: their number is not known
}

func (d *Decoder) datagram(p packet) error {
	if len(p.b) < 4 {
		return errors.New("it is too short")
	}
	switch v := binary.BigEndian.Uint16(p.b); v {
	case 5:
		return d.v5(&p)
	case 9:
		return d.v9(&p)
	case 10:
		return d.ipfix(&p)
	default:
		return fmt.Errorf("version %d: 5, 9 and 10 (IPFIX) are read", v)
	}
}

// export finds what is known of who sent a datagram.
func (d *Decoder) export(p *packet, version uint16, domain uint32) {
	k := exporterKey{p.peer, version, domain}
	e := d.exporters[k]
	if e == nil {
		if len(d.exporters) >= d.cfg.Exporters {
			d.evict()
		}
		e = &exporter{templates: map[uint16]*template{}}
		d.exporters[k] = e
	}
	e.heard = p.received
	p.exporter = e
}

func (d *Decoder) evict() {
	var oldest exporterKey
	var at time.Time
	for k, e := range d.exporters {
		if at.IsZero() || e.heard.Before(at) {
			oldest, at = k, e.heard
		}
	}
	delete(d.exporters, oldest)
	d.stats.Evicted++
}

// sequence compares a sequence number with the one that was to come. A step back
// is a datagram that came late, or a restart: nothing is missed then.
func (d *Decoder) sequence(e *exporter, got, count uint32) {
	if gap := got - e.next; e.known && gap > 0 && gap < 1<<24 {
		d.stats.Missed += uint64(gap)
	}
	e.next, e.known = got+count, true
}

// v5 reads version 5: 24 bytes, then records of 48.
func (d *Decoder) v5(p *packet) error {
	const head, size = 24, 48
	if len(p.b) < head {
		return errors.New("its head is cut off")
	}
	count := int(binary.BigEndian.Uint16(p.b[2:]))
	d.export(p, 5, uint32(binary.BigEndian.Uint16(p.b[20:])))
	p.clock(p.b[8:], p.b[12:], p.b[4:])
	d.sequence(p.exporter, binary.BigEndian.Uint32(p.b[16:]), uint32(count))
	have := min(count, (len(p.b)-head)/size)
	for i := range have {
		r := p.b[head+i*size:][:size]
		f := flow{
			src: netip.AddrFrom4([4]byte(r[0:4])), dst: netip.AddrFrom4([4]byte(r[4:8])),
			packets: uint64(binary.BigEndian.Uint32(r[16:])), bytes: uint64(binary.BigEndian.Uint32(r[20:])),
			sport: binary.BigEndian.Uint16(r[32:]), dport: binary.BigEndian.Uint16(r[34:]), proto: r[38],
			start: p.uptime(r[24:]), end: p.uptime(r[28:]),
		}
		d.emit(p, &f)
	}
	if have < count {
		return fmt.Errorf("%d of %d flows are cut off", count-have, count)
	}
	return nil
}

// clock works out when the exporter was started: seconds and nanoseconds of now,
// and the milliseconds since.
func (p *packet) clock(sec, nsec, up []byte) {
	p.boot = int64(binary.BigEndian.Uint32(sec))*1e9 - int64(binary.BigEndian.Uint32(up))*1e6
	if nsec != nil {
		p.boot += int64(binary.BigEndian.Uint32(nsec))
	}
}

func (p *packet) uptime(b []byte) int64 { return p.boot + int64(binary.BigEndian.Uint32(b))*1e6 }

// v9 reads version 9: 20 bytes, then sets.
func (d *Decoder) v9(p *packet) error {
	const head = 20
	if len(p.b) < head {
		return errors.New("its head is cut off")
	}
	d.export(p, 9, binary.BigEndian.Uint32(p.b[16:]))
	p.clock(p.b[8:], nil, p.b[4:])
	d.sequence(p.exporter, binary.BigEndian.Uint32(p.b[12:]), 1)
	return d.sets(p, p.b[head:])
}

// ipfix reads IPFIX: 16 bytes, then sets.
func (d *Decoder) ipfix(p *packet) error {
	const head = 16
	if len(p.b) < head {
		return errors.New("its head is cut off")
	}
	length := int(binary.BigEndian.Uint16(p.b[2:]))
	if length < head || length > len(p.b) {
		return fmt.Errorf("it says that it has %d bytes and has %d", length, len(p.b))
	}
	p.ipfix = true
	d.export(p, 10, binary.BigEndian.Uint32(p.b[12:]))
	err := d.sets(p, p.b[head:length])
	d.sequence(p.exporter, binary.BigEndian.Uint32(p.b[8:]), p.records)
	if p.unread || err != nil { // nobody knows how many records there were
		p.exporter.known = false
	}
	return err
}

// sets reads the sets of version 9 and IPFIX, which differ in the numbers of those
// that hold templates.
func (d *Decoder) sets(p *packet, b []byte) error {
	for len(b) >= 4 {
		id, n := binary.BigEndian.Uint16(b), int(binary.BigEndian.Uint16(b[2:]))
		if n < 4 || n > len(b) {
			return fmt.Errorf("a set says that it has %d bytes, there are %d", n, len(b))
		}
		body := b[4:n]
		b = b[n:]
		var err error
		switch {
		case id == 0 && !p.ipfix, id == 2 && p.ipfix:
			err = d.templates(p, body)
		case id < 256: // options templates (1, 3) and what is not defined
			if id == 1 && !p.ipfix || id == 3 && p.ipfix {
				err = d.options(p, body)
			}
		default:
			err = d.data(p, id, body)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
