package detect

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// TestVerdictsFromLogs groups verdicts per rule, group and day, also those that
// are about no address.
func TestVerdictsFromLogs(t *testing.T) {
	g := New(Config{})
	rule := &alert.Rule{ID: "11111111-2222-4333-8444-555555555555", Name: "r", Level: alert.High}
	raise := func(at time.Duration, from string, group ...string) alert.Alert {
		t.Helper()
		e := event.Event{ID: "x", Time: t0.Add(at)}
		if from != "" {
			e.Source = netip.AddrPortFrom(netip.MustParseAddr(from), 0)
		}
		l, err := g.Raise(t.Context(), &e, Verdict{Rule: rule, Title: "t", Host: "web1", Log: "auth", Group: group})
		if err != nil || len(l) != 1 {
			t.Fatalf("%v %v", l, err)
		}
		return l[0]
	}
	one := raise(0, "192.0.2.1", "lapwing.net=192.0.2.1/32")
	if one.Log != "auth" || one.Host != "web1" || one.Source.String() != "192.0.2.1" || one.Count != 1 {
		t.Errorf("got %+v", one)
	}
	for name, again := range map[string]struct {
		a, b alert.Alert
		same bool
	}{
		"one source":              {one, raise(time.Hour, "192.0.2.1", "source.ip=192.0.2.1"), true},
		"another source":          {one, raise(time.Hour, "192.0.2.2", "lapwing.net=192.0.2.2/32"), false},
		"another day":             {one, raise(25*time.Hour, "192.0.2.1", "lapwing.net=192.0.2.1/32"), false},
		"one user, two sources":   {raise(0, "192.0.2.1", "user.name=root"), raise(0, "192.0.2.3", "user.name=root"), true},
		"two users, one source":   {raise(0, "192.0.2.1", "user.name=ann"), raise(0, "192.0.2.1", "user.name=bob"), false},
		"no address":              {raise(0, "", "host.name=db"), raise(0, "", "host.name=db"), true},
		"no address, two groups":  {raise(0, "", "host.name=a"), raise(0, "", "host.name=b"), false},
		"addresses of one prefix": {raise(0, "2001:db8::1", "lapwing.net=2001:db8::/64"), raise(0, "2001:db8::2", "lapwing.net=2001:db8::/64"), true},
		"a wider prefix":          {raise(0, "", "lapwing.net56=2001:db8::/56"), raise(0, "2001:db8::7", "lapwing.net=2001:db8::/64"), false},
	} {
		if same := again.a.ID == again.b.ID; same != again.same {
			t.Errorf("%s: one alert: %v", name, same)
		}
	}
	// No group takes an address from those that exist.
	v := Verdict{Rule: rule, Log: "auth", Group: []string{"user.name=root"}}
	if home := v.home(netip.Addr{}); !netip.MustParsePrefix("100::/8").Contains(home) || prefix(home).Addr() != home {
		t.Errorf("home %s", home)
	}
}
