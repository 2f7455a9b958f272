package week

import "net/netip"

// Tunnel is what an intruder does in the week.
type Tunnel struct {
	Name     string
	Src, Dst netip.Addr
	Port     uint16
	From, To float64 // seconds
	// Pause between connections and its jitter as a share of it, 0 for one
	// connection that stays.
	Pause, Jitter float64
	Out, In       float64 // bytes of a connection; of one that stays: a second
}

// Dig adds a tunnel. It may be called once New has made the week.
func (s *Site) Dig(t Tunnel) {
	l := link{t.Src, t.Dst, t.Port, tcp}
	if t.Pause == 0 {
		took := t.To - t.From
		s.open(l, t.From, took, t.Out*took, t.In*took)
		return
	}
	for at := t.From; at < t.To; at += t.Pause * (1 + t.Jitter*(2*s.rng.Float64()-1)) {
		s.open(l, at, s.between(0.1, 2), s.about(t.Out, 0.4), s.about(t.In, 0.4))
	}
}

// Tunnels are the intruders of a seed: each talks to an address of his own, on a
// day and with sizes that the seed chooses.
func (s *Site) Tunnels() []Tunnel {
	at := func() float64 { return float64(3+s.rng.IntN(3))*day + s.between(1, 17)*hour } // Thursday to Saturday
	v6 := netip.MustParseAddr("2001:db8:1:0::50")
	far6 := netip.MustParseAddr("2001:db8:ffff::7")
	ts := []Tunnel{
		{Name: "server, six hours, 60 s with 60 s of jitter", Src: Server(9), Pause: 60, Jitter: 1, Out: s.heavy(800), In: s.heavy(800), To: 6},
		{Name: "desktop, six hours, 60 s with 60 s of jitter", Src: Desktop(20), Pause: 60, Jitter: 1, Out: s.heavy(800), In: s.heavy(800), To: 6},
		{Name: "server, six hours, one connection", Src: Server(11), Out: s.between(30, 3000), In: s.between(30, 3000), To: 6},
		{Name: "desktop, six hours, one connection", Src: Desktop(22), Out: s.between(30, 3000), In: s.between(30, 3000), To: 6},
		{Name: "server, a day, 5 min with half of jitter", Src: Server(13), Pause: 300, Jitter: 0.5, Out: s.heavy(800), In: s.heavy(800), To: 24},
		{Name: "desktop, a day, 5 min with half of jitter", Src: Desktop(24), Pause: 300, Jitter: 0.5, Out: s.heavy(800), In: s.heavy(800), To: 24},
		{Name: "server, a day, one connection", Src: Server(15), Out: s.between(30, 3000), In: s.between(30, 3000), To: 24},
		{Name: "IPv6, six hours, 60 s with 60 s of jitter", Src: v6, Dst: far6, Pause: 60, Jitter: 1, Out: s.heavy(800), In: s.heavy(800), To: 6},
	}
	for i := range ts {
		t := &ts[i]
		if !t.Dst.IsValid() {
			t.Dst = s.outside()
		}
		t.Port = 443
		t.From = at()
		t.To = t.From + t.To*hour
	}
	return ts
}
