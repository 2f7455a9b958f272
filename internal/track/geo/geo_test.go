package geo_test

import (
	"errors"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/track/geo"
	"github.com/lapwing-defence/lapwing/internal/track/geo/geotest"
)

func TestLook(t *testing.T) {
	dir := t.TempDir()
	city, asn := filepath.Join(dir, "city.mmdb"), filepath.Join(dir, "asn.mmdb")
	geotest.Write(t, city, map[string]geotest.Row{
		"198.51.100.0/24": {Country: "DE", City: "Berlin", Lat: 52.52, Lon: 13.4, Radius: 20},
		"203.0.113.0/25":  {Country: "TW"},
		"2001:db8:7::/48": {Country: "FR", City: "Paris", Lat: 48.85, Lon: 2.35, Radius: 50},
		"192.0.2.0/24":    {Country: "XX", Lat: 123, Lon: 4},
	})
	geotest.Write(t, asn, map[string]geotest.Row{"198.51.100.0/22": {ASN: 64500, Org: "Example Net"}})
	r, err := geo.Open(city, asn)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		addr string
		want geo.Place
	}{
		{"198.51.100.9", geo.Place{Country: "DE", City: "Berlin", Lat: 52.52, Lon: 13.4, Radius: 20, Point: true, ASN: 64500, Org: "Example Net"}},
		{"::ffff:198.51.100.9", geo.Place{Country: "DE", City: "Berlin", Lat: 52.52, Lon: 13.4, Radius: 20, Point: true, ASN: 64500, Org: "Example Net"}},
		{"198.51.101.1", geo.Place{ASN: 64500, Org: "Example Net"}},
		{"203.0.113.1", geo.Place{Country: "TW"}},
		{"203.0.113.129", geo.Place{}},
		{"2001:db8:7::1", geo.Place{Country: "FR", City: "Paris", Lat: 48.85, Lon: 2.35, Radius: 50, Point: true}},
		{"2001:db8:8::1", geo.Place{}},
		{"192.0.2.1", geo.Place{Country: "XX"}}, // no place on earth
	} {
		for range 2 { // the second time out of memory
			if diff := cmp.Diff(tt.want, r.Look(netip.MustParseAddr(tt.addr))); diff != "" {
				t.Errorf("%s: %s", tt.addr, diff)
			}
		}
	}
	var none *geo.Reader
	if none.Ready() || none.Look(netip.MustParseAddr("192.0.2.1")) != (geo.Place{}) {
		t.Error("without files something is known")
	}
}

func TestBrokenAndChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.mmdb")
	if _, err := geo.Open(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
	good := geotest.Bytes(t, map[string]geotest.Row{"198.51.100.0/24": {Country: "DE"}})
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("hello"), "no metadata": good[:len(good)-300], "cut": good[len(good)/2:]} {
		write(t, path, b, 0)
		if _, err := geo.Open(path); !errors.Is(err, geo.ErrBroken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := geo.Open(t.TempDir()); !errors.Is(err, geo.ErrBroken) {
		t.Errorf("directory: %v", err)
	}

	write(t, path, good, 1)
	r, err := geo.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(want string) {
		t.Helper()
		if got := r.Look(netip.MustParseAddr("198.51.100.1")).Country; got != want {
			t.Errorf("country is %q, want %q", got, want)
		}
	}
	look("DE")
	write(t, path, geotest.Bytes(t, map[string]geotest.Row{"198.51.100.0/24": {Country: "FR"}}), 2)
	if err := r.Refresh(); err != nil {
		t.Fatal(err)
	}
	look("FR")
	write(t, path, []byte("half a download"), 3)
	if err := r.Refresh(); !errors.Is(err, geo.ErrBroken) {
		t.Errorf("broken file: %v", err)
	}
	look("FR")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := r.Refresh(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("file is gone: %v", err)
	}
	look("FR")
}

// write writes a file with a time of change of its own.
func write(t *testing.T, path string, b []byte, n int64) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(path, time.Time{}, time.Unix(1_700_000_000+n, 0)); err != nil {
		t.Fatal(err)
	}
}

func TestDistance(t *testing.T) {
	berlin := geo.Place{Lat: 52.52, Lon: 13.405, Point: true}
	for _, tt := range []struct {
		name string
		to   geo.Place
		want float64
	}{
		{"itself", berlin, 0},
		{"Paris", geo.Place{Lat: 48.857, Lon: 2.352, Point: true}, 878},
		{"Taipei, within 100 km", geo.Place{Lat: 25.033, Lon: 121.565, Radius: 100, Point: true}, 8958 - 100},
		{"across the date line", geo.Place{Lat: -52.52, Lon: -166.595, Point: true}, math.Pi * 6371},
		{"nobody knows", geo.Place{}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := geo.Distance(berlin, tt.to); math.Abs(got-tt.want) > 15 {
				t.Errorf("%.0f km, want %.0f", got, tt.want)
			}
		})
	}
}

// FuzzOpen: what Open takes answers; no bytes make it fall over.
func FuzzOpen(f *testing.F) {
	good := geotest.Bytes(f, map[string]geotest.Row{"198.51.100.0/24": {Country: "DE", Lat: 1, Lon: 2}, "2001:db8::/32": {ASN: 7, Org: "x"}})
	f.Add(good)
	f.Add(good[10:])
	path := filepath.Join(f.TempDir(), "f.mmdb")
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := geo.Open(path)
		if err != nil {
			if !errors.Is(err, geo.ErrBroken) {
				t.Errorf("%v", err)
			}
			return
		}
		for _, a := range []string{"198.51.100.1", "2001:db8::1", "255.255.255.255", "::"} {
			if p := r.Look(netip.MustParseAddr(a)); p.Point && (math.Abs(p.Lat) > 90 || math.Abs(p.Lon) > 180 || p.Lat != p.Lat) {
				t.Errorf("%s lies at %v %v", a, p.Lat, p.Lon)
			}
		}
	})
}
