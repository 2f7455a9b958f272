package action_test

import (
	"net/netip"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

func TestAllowListHit(t *testing.T) {
	l := append(action.Never(), action.Allowed{Prefix: netip.MustParsePrefix("192.0.2.7/32"), Why: "gateway"},
		action.Allowed{Prefix: netip.MustParsePrefix("2001:db8:1::/48"), Why: "office"},
		action.Allowed{Prefix: netip.MustParsePrefix("::ffff:198.51.100.9/128"), Why: "mapped"})
	for _, c := range []struct{ p, why string }{
		{"192.0.2.7/32", "gateway"},
		{"192.0.2.0/24", "gateway"}, // covers it
		{"::ffff:192.0.2.7/128", "gateway"},
		{"0.0.0.0/0", "loopback"},
		{"192.0.2.8/32", ""},
		{"2001:db8:1:2::/64", "office"}, // inside
		{"2001:db8::/32", "office"},
		{"2001:db8:2::/64", ""},
		{"198.51.100.9/32", "mapped"},
		{"127.9.9.9/32", "loopback"},
		{"::1/128", "loopback"},
		{"::/64", "loopback"},
		{"fe80::1/128", "link-local"},
		{"::fff8:0:0/93", "loopback"}, // around all IPv4 addresses written as IPv6
		{"255.255.255.255/32", "multicast or broadcast"},
	} {
		t.Run(c.p, func(t *testing.T) {
			a, hit := l.Hit(netip.MustParsePrefix(c.p))
			if hit != (c.why != "") {
				t.Fatalf("hit %v (%v), want %q", hit, a, c.why)
			}
			if hit && a.Why != c.why && c.why != "multicast or broadcast" {
				t.Errorf("%q, want %q", a.Why, c.why)
			}
		})
	}
}

func TestUnmap(t *testing.T) {
	for in, want := range map[string]string{
		"::ffff:192.0.2.9/120": "192.0.2.0/24",
		"192.0.2.9/24":         "192.0.2.0/24",
		"2001:db8::1/64":       "2001:db8::/64",
		"::ffff:0:0/64":        "::/64",
	} {
		if got := action.Unmap(netip.MustParsePrefix(in)); got.String() != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := action.Unmap(netip.Prefix{}); got.IsValid() {
		t.Errorf("an invalid prefix became %s", got)
	}
}

func TestNeverIsMasked(t *testing.T) {
	l := action.Never()
	for _, a := range l {
		if !a.Prefix.IsValid() || a.Prefix != a.Prefix.Masked() {
			t.Errorf("%v", a)
		}
	}
	l[0].Prefix = netip.Prefix{}
	if !action.Never()[0].Prefix.IsValid() {
		t.Error("the caller's copy is the table")
	}
}
