package respond_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// own is what must never be hit: it is checked address by address, without the
// code that decides.
var own = []string{
	"192.0.2.10", "192.0.2.1", "192.0.2.53", "198.51.100.44", // own address, gateway, resolver, administrator
	"2001:db8:aa::10", "fe80::1", "2001:db8:aa::53", "2001:db8:bb:1::44",
	"127.0.0.1", "::1",
}

// watcher is hands that cry when something protected is hit.
type watcher struct {
	t       testing.TB
	safe    []netip.Addr
	allow   action.AllowList
	blocked map[netip.Prefix]bool
	applied int
}

func (w *watcher) Apply(as []action.Action) {
	for _, a := range as {
		w.applied++
		if a.Kind != action.Block || !a.Prefix.IsValid() || a.Until.IsZero() || a.Prefix != a.Prefix.Masked() || a.Prefix.Addr().Is4In6() || a.ID == "" {
			w.t.Fatalf("no sound action: %+v", a)
		}
		w.blocked[a.Prefix] = true
		for _, s := range w.safe {
			w.check(a.Prefix, s)
		}
		for _, al := range w.allow {
			w.check(a.Prefix, al.Prefix.Addr())
			if al.Prefix.Contains(a.Prefix.Addr()) {
				w.t.Fatalf("%s is inside the allowed %s (%s)", a.Prefix, al.Prefix, al.Why)
			}
		}
	}
}

// check asks all ways in which an address can be written in a packet.
func (w *watcher) check(p netip.Prefix, a netip.Addr) {
	a = a.Unmap().WithZone("")
	forms := []netip.Addr{a}
	if a.Is4() {
		b := a.As4()
		forms = append(forms, netip.AddrFrom16(a.As16()))
		forms = append(forms, netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], b[1], b[2], b[3]}))
		forms = append(forms, netip.AddrFrom16([16]byte{0x20, 0x02, b[0], b[1], b[2], b[3], 15: 1}))
	}
	for _, f := range forms {
		if p.Contains(f) {
			w.t.Fatalf("%s hits %s (%s)", p, f, a)
		}
	}
}

func (w *watcher) Revert(as []action.Action) {
	for _, a := range as {
		delete(w.blocked, a.Prefix)
	}
}

func (w *watcher) Allow(l action.AllowList) { w.allow = l }

// adversary writes alerts and commands around what is protected.
type adversary struct {
	*rand.Rand
	safe []netip.Addr
}

// addr is an address that is, or lies near, a protected one, in any writing.
func (r *adversary) addr() netip.Addr {
	a := r.safe[r.IntN(len(r.safe))].Unmap().WithZone("")
	if r.IntN(8) == 0 {
		a = netip.AddrFrom4([4]byte{byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32()), byte(r.Uint32())})
	}
	raw := a.AsSlice()
	for range r.IntN(3) {
		bit := r.IntN(len(raw) * 8)
		if r.IntN(2) == 0 {
			bit = len(raw)*8 - 1 - r.IntN(16)
		}
		raw[bit/8] ^= 1 << (7 - bit%8)
	}
	a, _ = netip.AddrFromSlice(raw)
	if a.Is4() {
		b := a.As4()
		switch r.IntN(6) {
		case 0:
			return netip.AddrFrom16(a.As16())
		case 1:
			return netip.AddrFrom16([16]byte{0, 0x64, 0xff, 0x9b, 12: b[0], b[1], b[2], b[3]})
		case 2:
			return netip.AddrFrom16([16]byte{0x20, 0x02, b[0], b[1], b[2], b[3], 15: byte(r.Uint32())})
		case 3:
			return netip.AddrFrom16([16]byte{0x20, 0x01, 4: b[0], b[1], b[2], b[3]})
		}
		return a
	}
	if r.IntN(4) == 0 {
		return a.WithZone("eth0")
	}
	return a
}

func (r *adversary) prefix() netip.Prefix {
	a := r.addr()
	return netip.PrefixFrom(a, r.IntN(a.BitLen()+1))
}

func (r *adversary) alert(n int) alert.Alert {
	id := fmt.Sprintf("event-%d", n)
	if n > 100 && r.IntN(20) == 0 {
		id = fmt.Sprintf("event-%d", n-r.IntN(100))
	}
	a := alert.Alert{Source: r.addr(), Events: []string{id}, Rule: alert.Rule{ID: strconv.Itoa(r.IntN(5)), Level: alert.Level(r.IntN(5))}, Spoofable: r.IntN(10) == 0}
	if r.IntN(50) == 0 {
		a.Source = netip.Addr{}
	}
	if r.IntN(20) == 0 {
		a.Exercise = "drill"
	}
	return a
}

// TestNeverItsOwn throws a million alerts and commands at an engine, all around
// what it must not touch, with allow lists that change, clocks that jump, and
// restarts. No action ever hits what is protected at that moment.
func TestNeverItsOwn(t *testing.T) {
	n := 60_000
	if os.Getenv("LAPWING_SOAK") != "" {
		n = 1_500_000
	}
	neverItsOwn(t, rand.New(rand.NewPCG(7, 11)), n)
}

func FuzzNeverItsOwn(f *testing.F) {
	f.Add(uint64(1))
	f.Add(uint64(99))
	f.Fuzz(func(t *testing.T, seed uint64) { neverItsOwn(t, rand.New(rand.NewPCG(seed, 1)), 500) })
}

func neverItsOwn(t *testing.T, rnd *rand.Rand, n int) {
	t.Helper()
	w := &watcher{t: t, blocked: map[netip.Prefix]bool{}}
	var list action.AllowList
	for _, s := range own {
		a := netip.MustParseAddr(s)
		w.safe = append(w.safe, a)
		list = append(list, action.Allowed{Prefix: netip.PrefixFrom(a, a.BitLen()), Why: "ours"})
	}
	r := &adversary{rnd, w.safe}
	s := newSite(t, func(c *respond.Config) {
		c.Hands, c.Allow, c.Policy.PerMinute, c.Policy.Total = w, list, 100_000, 5000
		c.Note, c.Tell = nil, nil
		c.Policy.Rules = []respond.Rule{{Rule: "0", Mode: respond.Propose}, {Rule: "1", Mode: respond.Observe}}
	})
	var open []string
	for i := range n {
		switch r.IntN(100) {
		default:
			if o := s.Consider(r.alert(i), time.Time{}); o.Verdict == respond.Proposes {
				open = append(open, o.Decision)
			}
		case 0, 1, 2, 3:
			if d, err := s.Block(respond.Order{Prefix: r.prefix(), Actor: "ann", For: time.Duration(r.IntN(100)) * time.Minute}); err == nil && d.State == respond.Waiting {
				open = append(open, d.ID)
			}
		case 4, 5:
			if len(open) > 0 {
				s.Approve(open[len(open)-1-r.IntN(min(20, len(open)))], "bob")
			}
		case 6:
			s.Unblock(r.prefix(), "ann", "")
		case 7:
			s.Login(r.addr(), "u", time.Time{})
		case 8:
			s.clock.Advance(time.Duration(binary.BigEndian.Uint16([]byte{byte(r.Uint32()), byte(r.Uint32())})) * time.Second)
		case 9:
			if r.IntN(40) == 0 {
				s.clock.Advance(-time.Duration(r.IntN(1000)) * time.Hour)
			}
			if r.IntN(40) == 0 {
				s.Panic("ann", "")
				s.SetPolicy(nil, "ann")
				s.Confirm("ann")
			}
		case 10:
			if r.IntN(20) == 0 { // a session of an administrator begins
				a := r.addr().Unmap().WithZone("")
				s.SetAllow(append(list, action.Allowed{Prefix: netip.PrefixFrom(a, a.BitLen()), Why: "session"}))
				for _, b := range s.Standing() { // what is over ended by itself
					if w.check(b.Prefix, a); !w.blocked[b.Prefix] {
						t.Fatalf("%s stands and is not in the kernel", b.Prefix)
					}
				}
			}
			if r.IntN(400) == 0 {
				s.cfg.Allow = list
				if err := s.Compact(); err != nil {
					t.Fatal(err)
				}
				s.open()
				w.blocked = map[netip.Prefix]bool{}
				w.Apply(s.Standing())
			}
		}
	}
	if w.applied < n/50 {
		t.Errorf("only %d blocks in %d steps: nothing was tried", w.applied, n)
	}
	t.Logf("%d blocks", w.applied)
}
