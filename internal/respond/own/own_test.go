package own_test

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/utmp"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/respond/own"
)

func file(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }

func root() fstest.MapFS {
	book := utmp.Record{Kind: utmp.User, User: "ann", Host: "198.51.100.7", Addr: utmp.Addr("198.51.100.7")}.Append(nil)
	book = utmp.Record{Kind: utmp.User, User: "bob", Host: "laptop.example", Addr: utmp.Addr("2001:db8::7")}.Append(book)
	book = utmp.Record{Kind: utmp.User, User: "eve", Host: "", Addr: utmp.Addr("198.51.100.8")}.Append(book)
	book = utmp.Record{Kind: utmp.Dead, User: "", Host: "198.51.100.66"}.Append(book)
	book = append(book, "torn"...)
	return fstest.MapFS{
		"etc/resolv.conf":                   file("# by hand\nnameserver 127.0.0.53\nnameserver fe80::1%eth0\nsearch example.org\n"),
		"run/systemd/resolve/resolv.conf":   file("nameserver 192.0.2.53\n"),
		"etc/chrony/chrony.conf":            file("pool ntp.example iburst\nserver 192.0.2.123 # near\n; no\n! no\n"),
		"etc/systemd/timesyncd.conf":        file("[Time]\n#NTP=203.0.113.1\nNTP=192.0.2.124 2001:db8::123\n"),
		"run/systemd/netif/leases/2":        file("ADDRESS=192.0.2.10\nSERVER_ADDRESS=192.0.2.67\n"),
		"var/lib/dhcp/dhclient.eth0.leases": file("lease {\n  option dhcp-server-identifier 192.0.2.68;\n}\n"),
		"run/systemd/sessions/c1":           file("UID=0\nUSER=ann\nSTATE=active\nREMOTE=1\nREMOTE_HOST=198.51.100.9\n"),
		"run/systemd/sessions/c2":           file("UID=0\nUSER=ann\nSTATE=closing\nREMOTE_HOST=198.51.100.99\n"),
		"run/utmp":                          {Data: book},
		"etc/ssh/sshd_config":               file("Port 22\nPort 2200\n"),
		"proc/net/tcp": file("  sl  local_address rem_address   st\n" +
			"   0: 0A0200C0:0898 0B6433C6:C350 01 00000000:00000000\n" + // 198.51.100.11 to port 2200, logged in
			"   1: 0A0200C0:0016 0C6433C6:C350 01 00000000:00000000\n" + // 198.51.100.12: a guesser
			"   2: 0A0200C0:1F90 0B7100CB:C350 01 00000000:00000000\n" + // 203.0.113.11 at another port
			"   3: 0A0200C0:0016 0D6433C6:C350 06 00000000:00000000\n"), // over
		"proc/net/tcp6": file("   0: 0000000000000000FFFF00000A0200C0:0016 0000000000000000FFFF00000E6433C6:C350 01\n   x: y z 01\n"),
	}
}

func newOwn(r fstest.MapFS, change func(*own.Config)) *own.Own {
	cfg := own.Config{
		Root: r, Now: time.Now,
		Addresses: func() (map[netip.Addr]string, error) {
			return map[netip.Addr]string{netip.MustParseAddr("192.0.2.10"): "own address on eth0", netip.MustParseAddr("fe80::5%eth0"): "own address on eth0"}, nil
		},
		Gateways: func() (map[netip.Addr]string, error) {
			return map[netip.Addr]string{netip.MustParseAddr("192.0.2.1"): "default gateway"}, nil
		},
		Lookup: func(context.Context, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("192.0.2.125")}, nil
		},
		LoggedIn: func(a netip.Addr) bool {
			return a == netip.MustParseAddr("198.51.100.11") || a == netip.MustParseAddr("198.51.100.14") || a == netip.MustParseAddr("203.0.113.11")
		},
		Fixed: action.AllowList{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Why: "configured"}},
	}
	if change != nil {
		change(&cfg)
	}
	return own.New(cfg)
}

func TestList(t *testing.T) {
	l, err := newOwn(root(), nil).List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for a, why := range map[string]string{
		"10.1.2.3": "configured", "192.0.2.10": "own address on eth0", "fe80::5": "own address", "192.0.2.1": "default gateway",
		"127.0.0.53": "resolver", "fe80::1": "resolver", "192.0.2.53": "resolver in /run/systemd", "192.0.2.123": "time server in /etc/chrony/chrony.conf",
		"192.0.2.124": "time server", "2001:db8::123": "time server", "192.0.2.125": "ntp.example", "192.0.2.67": "DHCP server", "192.0.2.68": "DHCP server",
		"198.51.100.7": "session of ann", "2001:db8::7": "session of bob", "198.51.100.8": "session of eve", "198.51.100.9": "session c1 of ann",
		"198.51.100.11": "open connection to sshd", "198.51.100.14": "open connection to sshd",
		"198.51.100.66": "", "198.51.100.99": "", "198.51.100.12": "", "198.51.100.13": "", "203.0.113.11": "", "203.0.113.1": "",
	} {
		ip := netip.MustParseAddr(a)
		got, hit := l.Hit(netip.PrefixFrom(ip, ip.BitLen()))
		if hit != (why != "") || !strings.Contains(got.Why, why) {
			t.Errorf("%s: %v %q, want %q", a, hit, got.Why, why)
		}
	}
}

func TestWhatCannotBeReadStaysAsItWas(t *testing.T) {
	var fail error
	o := newOwn(root(), func(c *own.Config) {
		gw := c.Gateways
		c.Gateways = func() (map[netip.Addr]string, error) {
			if fail != nil {
				return nil, fail
			}
			return gw()
		}
	})
	if _, err := o.List(t.Context()); err != nil {
		t.Fatal(err)
	}
	fail = errors.New("no such device")
	l, err := o.List(t.Context())
	if err == nil || !strings.Contains(err.Error(), "default gateways: no such device") {
		t.Errorf("%v", err)
	}
	if _, hit := l.Hit(netip.MustParsePrefix("192.0.2.1/32")); !hit {
		t.Error("the gateway is gone from the list")
	}
}

func TestNothingThere(t *testing.T) {
	l, err := newOwn(fstest.MapFS{}, nil).List(t.Context())
	if err != nil || len(l) != 4 {
		t.Errorf("%v, %v", l, err)
	}
}

func TestThisMachine(t *testing.T) {
	o := own.New(own.Config{Root: fstest.MapFS{}, Now: time.Now})
	l, err := o.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, hit := l.Hit(netip.MustParsePrefix("127.0.0.1/32")); !hit {
		t.Errorf("%v", l)
	}
}

func FuzzList(f *testing.F) {
	r := root()
	f.Add(r["run/utmp"].Data, []byte("nameserver 192.0.2.1\n"), r["proc/net/tcp"].Data)
	f.Add([]byte{7}, []byte("nameserver\nserver :::\nNTP= , x"), []byte("0: : 01"))
	f.Fuzz(func(t *testing.T, book, conf, tcp []byte) {
		r := fstest.MapFS{"run/utmp": {Data: book}, "proc/net/tcp": {Data: tcp}, "proc/net/tcp6": {Data: tcp}}
		for _, n := range []string{"etc/resolv.conf", "etc/chrony.conf", "etc/systemd/timesyncd.conf", "var/lib/dhcp/x.leases", "run/systemd/sessions/1", "etc/ssh/sshd_config"} {
			r[n] = &fstest.MapFile{Data: conf}
		}
		l, _ := newOwn(r, nil).List(t.Context())
		for _, a := range l {
			if !a.Prefix.IsValid() || a.Prefix != a.Prefix.Masked() || a.Prefix.Addr().Is4In6() || a.Why == "" {
				t.Errorf("%+v", a)
			}
		}
		for _, must := range []string{"10.0.0.1/32", "192.0.2.10/32", "192.0.2.1/32"} {
			if _, hit := l.Hit(netip.MustParsePrefix(must)); !hit {
				t.Errorf("%s is not on the list", must)
			}
		}
	})
}
