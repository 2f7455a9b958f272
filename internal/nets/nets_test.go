package nets

import (
	"net/netip"
	"testing"
)

func TestOf(t *testing.T) {
	for _, tt := range []struct{ addr, net, wide, wider string }{
		{"192.0.2.1", "192.0.2.1/32", "", ""},
		{"::ffff:192.0.2.1", "192.0.2.1/32", "", ""},
		{"[2001:db8::1]", "2001:db8::/64", "2001:db8::/56", "2001:db8::/48"},
		{"2001:db8:a:1ff:2::3", "2001:db8:a:1ff::/64", "2001:db8:a:100::/56", "2001:db8:a::/48"},
		{"fe80::1%eth0", "fe80::1/128", "", ""},
		{"::1", "::1/128", "", ""},
		{"64:ff9b::c000:201", "64:ff9b::c000:201/128", "", ""},
		{"2001:0:1::2", "2001:0:1::2/128", "", ""},
	} {
		t.Run(tt.addr, func(t *testing.T) {
			a, ok := Parse([]byte(tt.addr))
			if !ok {
				t.Fatal("no address")
			}
			text := func(p netip.Prefix) string {
				if !p.IsValid() {
					return ""
				}
				return string(Append(nil, p))
			}
			net, wide, wider := Of(a)
			if got := [3]string{text(net), text(wide), text(wider)}; got != [3]string{tt.net, tt.wide, tt.wider} {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestNoAddress(t *testing.T) {
	for _, bad := range []string{"", "1.2.3", "1.2.3.4.5", "01.2.3.4", "256.1.1.1", "x", "1.2.3.4:5", ":", "host.example.org", "[]", "deadbeef"} {
		if a, ok := Parse([]byte(bad)); ok {
			t.Errorf("%q is %v", bad, a)
		}
	}
}

// FuzzParse: what is read as an address is one that net/netip knows, as the same.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"192.0.2.1", "0.0.0.0", "00.0.0.0", "2001:db8::1", "[::1]", "fe80::1%x", "1.2.3.4 "} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, ok := Parse([]byte(s))
		want, err := netip.ParseAddr(s)
		if err == nil && len(s) <= 64 && (!ok || a != want.WithZone("").Unmap()) {
			t.Errorf("%q: %v, want %v", s, a, want)
		}
		if ok && err != nil && s[0] != '[' {
			t.Errorf("%q: %v, which is no address", s, a)
		}
	})
}
