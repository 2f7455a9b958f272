package flow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// wire puts bytes together: integers of their size, addresses, other bytes.
func wire(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch x := p.(type) {
		case uint8:
			b = append(b, x)
		case uint16:
			b = binary.BigEndian.AppendUint16(b, x)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, x)
		case uint64:
			b = binary.BigEndian.AppendUint64(b, x)
		case string:
			b = append(b, netip.MustParseAddr(x).AsSlice()...)
		case []byte:
			b = append(b, x...)
		default:
			panic(fmt.Sprintf("%T", p))
		}
	}
	return b
}

// set is a set of version 9 or IPFIX.
func set(id uint16, parts ...any) []byte {
	body := wire(parts...)
	return append(wire(id, uint16(len(body)+4)), body...)
}

func v9(seq uint32, sets ...any) []byte {
	return append(wire(uint16(9), uint16(len(sets)), uint32(100_000), uint32(now.Unix()), seq, uint32(7)), wire(sets...)...)
}

func ipfix(seq uint32, sets ...any) []byte {
	body := wire(sets...)
	return append(wire(uint16(10), uint16(16+len(body)), uint32(now.Unix()), seq, uint32(7)), body...)
}

// template9 has addresses, ports, protocol, bytes, packets, start and end.
func template9(id uint16) []byte {
	return set(0, id, uint16(9), uint16(8), uint16(4), uint16(12), uint16(4), uint16(7), uint16(2), uint16(11), uint16(2),
		uint16(4), uint16(1), uint16(1), uint16(4), uint16(2), uint16(4), uint16(22), uint16(4), uint16(21), uint16(4))
}

func flow9(src, dst string) []byte {
	return wire(src, dst, uint16(50123), uint16(443), uint8(6), uint32(4000), uint32(12), uint32(10_000), uint32(70_000))
}

type rig struct {
	t    *testing.T
	d    *Decoder
	rec  *sigma.Record
	errs []string
}

func newRig(t *testing.T, cfg Config) *rig {
	t.Helper()
	f := sigma.NewFields()
	return &rig{t: t, d: New(f, cfg), rec: sigma.NewRecord(f)}
}

// take gives the flows of a datagram.
func (r *rig) take(peer string, b []byte) []map[string]string {
	return r.takeAt(peer, b, now)
}

func (r *rig) takeAt(peer string, b []byte, at time.Time) []map[string]string {
	r.t.Helper()
	var out []map[string]string
	err := r.d.Datagram(peer, b, at, r.rec, func(rec *sigma.Record) {
		m := map[string]string{"time": time.Unix(0, rec.Time).UTC().Format("15:04:05")}
		for name, v := range rec.All() {
			m[name] = string(v.Text)
		}
		for _, same := range []string{"event.category", "event.action", "event.dataset", "lapwing.spoofable"} {
			delete(m, same)
		}
		out = append(out, m)
	})
	if err != nil {
		if !errors.Is(err, ErrDatagram) {
			r.t.Errorf("%v", err)
		}
		r.errs = append(r.errs, err.Error())
	}
	return out
}

func TestVersion5(t *testing.T) {
	r := newRig(t, Config{})
	record := wire("10.0.0.5", "203.0.113.7", "10.0.0.1", uint16(1), uint16(2), uint32(12), uint32(4000), uint32(10_000), uint32(70_000),
		uint16(50123), uint16(443), uint8(0), uint8(0x1b), uint8(6), uint8(0), uint32(0), uint32(0))
	head := func(n int, seq uint32) []byte {
		return wire(uint16(5), uint16(n), uint32(100_000), uint32(now.Unix()), uint32(500_000_000), seq, uint32(0))
	}
	want := []map[string]string{{
		"time": "11:59:30", "source.ip": "10.0.0.5", "source.port": "50123", "destination.ip": "203.0.113.7", "destination.port": "443", "network.transport": "tcp",
		"network.type": "ipv4", "source.bytes": "4000", "source.packets": "12", "network.bytes": "4000", "event.duration": "60000000000", "observer.ip": "192.0.2.1",
	}}
	if diff := cmp.Diff(want, r.take("192.0.2.1:2055", append(head(1, 0), record...))); diff != "" {
		t.Error(diff)
	}
	if n := len(r.take("192.0.2.1", wire(head(2, 1), record))); n != 1 || len(r.errs) != 1 {
		t.Errorf("%d flows of a datagram that is cut off, errors %q", n, r.errs)
	}
	r.take("192.0.2.1", wire(head(1, 13), record))
	r.take("192.0.2.1", wire(head(1, 5), record)) // late
	if st := r.d.Stats(); st.Missed != 10 || st.Flows != 4 || st.Broken != 1 {
		t.Errorf("%+v", st)
	}
}

func TestVersion9(t *testing.T) {
	r := newRig(t, Config{})
	if got := r.take("192.0.2.1:2055", v9(1, set(256, flow9("10.0.0.5", "203.0.113.7")))); got != nil || r.d.Stats().NoTemplate != 1 {
		t.Errorf("without a template: %v", got)
	}
	got := r.take("192.0.2.1:2055", v9(2, template9(256), set(256, flow9("10.0.0.5", "203.0.113.7"), flow9("203.0.113.7", "10.0.0.5"), []byte{0, 0, 0})))
	if len(got) != 2 || got[0]["source.ip"] != "10.0.0.5" || got[1]["source.ip"] != "203.0.113.7" || got[0]["event.duration"] != "60000000000" || got[0]["time"] != "11:59:30" {
		t.Errorf("%v", got)
	}
	if got := r.take("192.0.2.2:2055", v9(2, set(256, flow9("10.0.0.5", "203.0.113.7")))); got != nil {
		t.Errorf("the template of another exporter counts: %v", got)
	}
	if got := r.takeAt("192.0.2.1:2055", v9(3, set(256, flow9("10.0.0.5", "203.0.113.7"))), now.Add(3*time.Hour)); got != nil {
		t.Errorf("a template counts after three hours: %v", got)
	}
	// A template that changes its form counts from then on.
	r.take("192.0.2.1:2055", v9(4, set(0, uint16(256), uint16(2), uint16(27), uint16(16), uint16(28), uint16(16))))
	got = r.take("192.0.2.1:2055", v9(9, set(256, "2001:db8::5", "2001:db8:7::9")))
	if len(got) != 1 || got[0]["source.ip"] != "2001:db8::5" || got[0]["network.type"] != "ipv6" {
		t.Errorf("%v", got)
	}
	if st := r.d.Stats(); st.Missed != 4 || len(r.errs) != 0 {
		t.Errorf("%+v, errors %q", st, r.errs)
	}
}

func TestOptions(t *testing.T) {
	r := newRig(t, Config{})
	// Version 9: a scope of one field of 4 bytes, two options; the data has addresses in it and is no flow.
	opt9 := set(1, uint16(300), uint16(4), uint16(8), uint16(1), uint16(4), uint16(8), uint16(4), uint16(12), uint16(4))
	if got := r.take("192.0.2.1", v9(1, opt9, set(300, uint32(1), "10.0.0.1", "10.0.0.2"), template9(256), set(256, flow9("10.0.0.5", "203.0.113.7")))); len(got) != 1 {
		t.Errorf("version 9: %v", got)
	}
	opt10 := set(3, uint16(301), uint16(2), uint16(1), uint16(8), uint16(4), uint16(12), uint16(4))
	if got := r.take("192.0.2.1", ipfix(0, opt10, set(301, "10.0.0.1", "10.0.0.2"))); len(got) != 0 {
		t.Errorf("IPFIX: %v", got)
	}
	if len(r.errs) > 0 || r.d.Stats().NoTemplate != 0 {
		t.Errorf("%q", r.errs)
	}
}

func TestIPFIX(t *testing.T) {
	r := newRig(t, Config{})
	const pen = 0x8000
	// A name of variable length, a vendor's field, and the way back.
	tmpl := set(2, uint16(400), uint16(10), uint16(8), uint16(4), uint16(12), uint16(4), uint16(7), uint16(2), uint16(11), uint16(2), uint16(4), uint16(1),
		uint16(96), uint16(variable), uint16(pen|1), uint16(8), uint32(vendorReversed), uint16(pen|1), uint16(4), uint32(9), uint16(1), uint16(8),
		uint16(152), uint16(8), uint16(153), uint16(8))
	// Eleven fields were written and ten announced: the rest of the set is read as another template, which is cut off.
	if r.take("192.0.2.1", ipfix(0, tmpl)); len(r.errs) != 1 {
		t.Fatalf("%q", r.errs)
	}
	binary.BigEndian.PutUint16(tmpl[6:], 11)
	r.errs = nil
	ms := uint64(now.UnixMilli())
	data := func(name []byte) []byte {
		return wire("10.0.0.5", "203.0.113.7", uint16(50123), uint16(443), uint8(17), name, uint64(6000), uint32(1), uint64(4000), ms-3_600_000, ms-1000)
	}
	long := append([]byte{255, 1, 4}, make([]byte, 260)...)
	got := r.take("192.0.2.1", ipfix(0, tmpl, set(400, data([]byte{3, 'd', 'n', 's'}), data(long), data([]byte{0}))))
	want := map[string]string{
		"time": "11:59:59", "source.ip": "10.0.0.5", "source.port": "50123", "destination.ip": "203.0.113.7", "destination.port": "443", "network.transport": "udp",
		"network.type": "ipv4", "source.bytes": "4000", "source.packets": "0", "destination.bytes": "6000", "destination.packets": "0", "network.bytes": "10000",
		"event.duration": "3599000000000", "observer.ip": "192.0.2.1",
	}
	if diff := cmp.Diff([]map[string]string{want, want, want}, got); diff != "" {
		t.Error(diff)
	}
	r.take("192.0.2.1", ipfix(3, set(400, data([]byte{0}))))
	r.take("192.0.2.1", ipfix(9, set(400, data([]byte{0}))))
	if st := r.d.Stats(); st.Missed != 5 || len(r.errs) > 0 {
		t.Errorf("%+v, errors %q", st, r.errs)
	}
	r.take("192.0.2.1", ipfix(10, set(2, uint16(400), uint16(0)))) // withdrawn
	if got := r.take("192.0.2.1", ipfix(10, set(400, data([]byte{0})))); got != nil {
		t.Errorf("a template that was withdrawn counts: %v", got)
	}
}

// TestFirewall: Cisco's firewalls tell both directions and refusals in version 9.
func TestFirewall(t *testing.T) {
	r := newRig(t, Config{})
	tmpl := set(0, uint16(270), uint16(8), uint16(8), uint16(4), uint16(12), uint16(4), uint16(7), uint16(2), uint16(11), uint16(2), uint16(4), uint16(1),
		uint16(231), uint16(8), uint16(232), uint16(8), uint16(233), uint16(1))
	rec := func(event uint8) []byte {
		return wire("10.0.0.5", "203.0.113.7", uint16(50123), uint16(443), uint8(6), uint64(700), uint64(900), event)
	}
	got := r.take("192.0.2.1", v9(1, tmpl, set(270, rec(2), rec(3))))
	if len(got) != 2 || got[0]["destination.bytes"] != "900" || got[0]["event.outcome"] != "" || got[1]["event.outcome"] != "failure" {
		t.Errorf("%v", got)
	}
}

func TestClock(t *testing.T) {
	r := newRig(t, Config{})
	r.take("192.0.2.1", v9(1, template9(256)))
	b := v9(2, set(256, flow9("10.0.0.5", "203.0.113.7")))
	for _, sec := range []uint32{0, uint32(now.AddDate(1, 0, 0).Unix()), uint32(now.Add(-12 * time.Hour).Unix())} {
		binary.BigEndian.PutUint32(b[8:], sec)
		got := r.take("192.0.2.1", b)
		if len(got) != 1 || got[0]["time"] != "12:00:00" || got[0]["event.duration"] != "60000000000" {
			t.Errorf("clock at %d: %v", sec, got)
		}
	}
	if r.d.Stats().Clock != 3 {
		t.Errorf("%+v", r.d.Stats())
	}
}

func TestBounds(t *testing.T) {
	r := newRig(t, Config{Exporters: 4, Templates: 8})
	for i := range 100 {
		r.take(fmt.Sprintf("192.0.2.%d", i), v9(1, template9(256)))
	}
	for i := range 100 {
		r.take("198.51.100.1", v9(uint32(i), template9(uint16(256+i))))
	}
	if st := r.d.Stats(); len(r.d.exporters) != 4 || st.Evicted != 97 || st.Refused != 92 {
		t.Errorf("%d exporters, %+v", len(r.d.exporters), st)
	}
	for name, b := range map[string][]byte{
		"empty": nil, "version 1": wire(uint16(1), uint16(1)), "head": wire(uint16(9), uint16(1), uint32(1)), "set of 3 bytes": v9(1, uint16(256), uint16(3)),
		"set beyond the end":  v9(1, uint16(256), uint16(30)),
		"too many fields":     v9(1, set(0, uint16(256), uint16(60000), uint16(8), uint16(4))),
		"empty records":       v9(1, set(0, uint16(256), uint16(1), uint16(8), uint16(0))),
		"IPFIX beyond":        wire(uint16(10), uint16(400), uint32(1), uint32(1), uint32(1)),
		"template is cut off": ipfix(0, set(2, uint16(256), uint16(2), uint16(8), uint16(4))),
	} {
		r.errs = nil
		if got := r.take("192.0.2.1", b); len(got) != 0 || len(r.errs) != 1 {
			t.Errorf("%s: %v, errors %q", name, got, r.errs)
		}
	}
}

// FuzzDatagram: whatever comes, flows have valid addresses of one family, their
// number is counted, and no more is kept than the bounds allow.
func FuzzDatagram(f *testing.F) {
	f.Add(v9(1, template9(256), set(256, flow9("10.0.0.5", "203.0.113.7"))), v9(2, set(256, flow9("10.0.0.5", "203.0.113.7"))))
	f.Add(ipfix(0, set(2, uint16(400), uint16(2), uint16(27), uint16(16), uint16(96), uint16(variable))), ipfix(0, set(400, "2001:db8::1", uint8(255), uint16(1), uint8(1))))
	f.Add(v9(1, set(1, uint16(300), uint16(4), uint16(4), uint16(1), uint16(4), uint16(8), uint16(4))), wire(uint16(5), uint16(1)))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		fields := sigma.NewFields()
		d := New(fields, Config{Exporters: 2, Templates: 4})
		rec := sigma.NewRecord(fields)
		given := uint64(0)
		for i, data := range [][]byte{a, b, a, b} {
			err := d.Datagram(fmt.Sprintf("192.0.2.%d:9", i%3), data, now, rec, func(rec *sigma.Record) {
				given++
				src, _, _ := rec.First(d.id.src)
				dst, _, _ := rec.First(d.id.dst)
				x, err1 := netip.ParseAddr(string(src.Text))
				y, err2 := netip.ParseAddr(string(dst.Text))
				if err1 != nil || err2 != nil || !x.IsValid() || !y.IsValid() {
					t.Errorf("flow from %q to %q", src.Text, dst.Text)
				}
				if rec.Time > now.Add(maxAhead).UnixNano() || rec.Time < now.Add(-maxSkew).UnixNano() {
					t.Errorf("time %d", rec.Time)
				}
			})
			if err != nil && !errors.Is(err, ErrDatagram) {
				t.Error(err)
			}
		}
		if given != d.Stats().Flows || d.Stats().Datagrams != 4 || len(d.exporters) > 2 {
			t.Errorf("%d flows given, %+v, %d exporters", given, d.Stats(), len(d.exporters))
		}
		for _, e := range d.exporters {
			if len(e.templates) > 4 {
				t.Errorf("%d templates", len(e.templates))
			}
		}
	})
}

// BenchmarkVersion9 decodes datagrams of 24 flows.
func BenchmarkVersion9(b *testing.B) {
	fields := sigma.NewFields()
	d := New(fields, Config{})
	rec := sigma.NewRecord(fields)
	var flows []any
	for range 24 {
		flows = append(flows, flow9("10.0.0.5", "203.0.113.7"))
	}
	data := v9(2, template9(256), set(256, flows...))
	n := 0
	for b.Loop() {
		if err := d.Datagram("192.0.2.1:9", data, now, rec, func(*sigma.Record) { n++ }); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "flows/s")
}
