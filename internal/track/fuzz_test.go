package track

import (
	"bytes"
	"compress/gzip"
	"errors"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

// FuzzAdd: whatever stands in a record, what trackers say are numbers where they
// should be, tables keep their bounds, and what was said in a first run is said
// again in a second from the same state.
func FuzzAdd(f *testing.F) {
	f.Add("ann", "198.51.100.7", "203.0.113.9", "443", "50000", "tcp", "1000", int64(60), "a.b.example.org")
	f.Add("", "::1", "2001:db8::1", "99999", "-1", "gre", "1e300", int64(-5), "...")
	f.Add("x\x00\xff", "10.0.0.1", "255.255.255.255", "0x10", "", "", "18446744073709551615", int64(1<<62), "xn--a.co.uk")
	f.Fuzz(func(t *testing.T, user, src, dst, port, sport, proto, size string, sec int64, name string) {
		once := func() (all []map[string]string) {
			b := newBench(t, Config{Limits: Limits{Users: 2, Hosts: 2, Pairs: 2, Networks: 2, Destinations: 2, Names: 2}, Servers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}})
			at := time.Unix(sec, 0)
			for i := range 5 {
				at := at.Add(time.Duration(i*i*20) * time.Hour)
				all = append(
					all,
					b.login(at, user, src, "lapwing.auth.method", proto),
					b.add(at, "event.category", "network", "source.ip", src, "destination.ip", dst, "destination.port", port, "source.port", sport, "network.transport", proto,
						"source.bytes", size, "destination.bytes", size, "event.duration", size, "event.start", sport, "event.dataset", proto),
					b.add(at, "source.ip", src, "dns.question.name", name),
				)
			}
			for n, x := range b.set.Stats().Entries {
				if x > 2 {
					t.Errorf("%d %s", x, n)
				}
			}
			return all
		}
		first, second := once(), once()
		for i := range first {
			for k, v := range first[i] {
				if second[i][k] != v {
					t.Errorf("%s was %q and is %q", k, v, second[i][k])
				}
				switch k {
				case "travel_km", "travel_kmh", "dormant_days", "session.hours", "session.rate", "hosts", "usual_per_week", "fanout", "beacon.score":
					if _, err := strconv.ParseUint(v, 10, 63); err != nil {
						t.Errorf("%s is %q", k, v)
					}
				}
			}
		}
	})
}

// FuzzRestore: bytes that are no state are refused, and leave what was known.
func FuzzRestore(f *testing.F) {
	b := newBench(f, Config{})
	b.routine(1, "ann")
	flows(b, began, 30)
	var buf bytes.Buffer
	if err := b.set.Snapshot(&buf); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes(), false)
	f.Add([]byte("\x05\x01\x02\x03\x04\x05"), true)
	f.Fuzz(func(t *testing.T, data []byte, pack bool) {
		if pack {
			var z bytes.Buffer
			w := gzip.NewWriter(&z)
			w.Write(data)
			w.Close()
			data = z.Bytes()
		}
		s := newBench(t, Config{Limits: Limits{Pairs: 4, Users: 4, Hosts: 4}})
		s.login(began, "bob", "198.51.100.7")
		err := s.set.Restore(bytes.NewReader(data))
		if err != nil && !errors.Is(err, ErrState) {
			t.Errorf("%v", err)
		}
		if err != nil && s.set.Stats().Entries["users"] != 1 {
			t.Error("a refused state replaced what was known")
		}
		s.login(began.AddDate(0, 0, 9), "bob", "198.51.100.7")
		flows(s, began.AddDate(0, 0, 9), 3)
		if n := s.set.Stats().Entries; n["pairs"] > 4 || n["users"] > 4 {
			t.Errorf("%v", n)
		}
	})
}
