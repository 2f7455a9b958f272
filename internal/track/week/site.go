package week

import "net/netip"

// services are what single servers do: resolve, mail, serve, back up, watch.
func (s *Site) services() {
	for at := 0.0; at < Days*day; at += s.rng.ExpFloat64() * 6 { // the resolver asks everybody
		s.open(link{Server(0), s.outside(), 53, udp}, at, 0.1, s.about(80, 0.3), s.about(200, 0.5))
	}
	for at := 0.0; at < Days*day; at += s.rng.ExpFloat64() * 240 { // mail goes out and comes in
		s.open(link{Server(1), s.outside(), 25, tcp}, at, s.between(1, 20), s.heavy(20000), s.heavy(900))
		s.open(link{s.outside(), Server(1), 25, tcp}, at+s.between(0, 200), s.between(1, 20), s.heavy(20000), s.heavy(900))
	}
	for at := 0.0; at < Days*day; at += s.rng.ExpFloat64() * 20 { // visitors
		s.open(link{s.outside(), Server(2), 443, tcp}, at, s.between(0, 60), s.heavy(1500), s.heavy(20000))
	}
	for d := range Days { // backups: inside by night, then to a cloud that is never twice at the same address
		night := float64(d)*day + 1*hour
		for i := range Servers {
			s.open(link{Server(3), Server(i), 22, tcp}, night+s.between(0, hour), s.between(60, 3000), s.heavy(1e5), s.heavy(1e9))
		}
		took := s.between(2, 7) * hour
		s.open(link{Server(3), s.neighbour(s.cloud[100+s.rng.IntN(60)]), 443, tcp}, night+2*hour, took, 4e9, 2e7)
	}
	targets := append([]netip.Addr{}, s.sites[0][0], s.sites[7][0], s.sites[30][0], s.cloud[3], s.cloud[4])
	for _, t := range targets { // the watcher asks outside every minute, to the second
		s.poll(link{Server(4), t, 443, tcp}, 0, Days*day, 60, 0, 600, 4000)
	}
	for at := 0.0; at < Days*day; at += 300 { // and everybody inside
		for i := range Servers {
			s.open(link{Server(4), Server(i), 161, udp}, at+float64(i)*0.2, 0.1, 200, 800)
		}
		for i := range Devices {
			s.open(link{Server(4), Device(i), 161, udp}, at+10+float64(i)*0.2, 0.1, 200, 800)
		}
	}
	s.administrator()
	s.contractor()
}

// administrator works on machines outside, some of them rented today, and on all
// inside.
func (s *Site) administrator() {
	me := Desktop(0)
	known := []netip.Addr{s.outside(), s.outside()}
	for d := range 5 {
		start := float64(d)*day + 9*hour
		for range 3 {
			s.open(link{me, s.pick(known), 22, tcp}, start+s.between(0, 6)*hour, s.between(0.1, 6)*hour, s.heavy(4e5), s.heavy(2e6))
		}
		if s.chance(0.15) {
			took := s.between(0.2, 8) * hour
			s.open(link{me, s.outside(), 22, tcp}, start+s.between(0, 5)*hour, took, 20*took, 90*took)
		}
		for range 30 {
			s.open(link{me, Server(s.rng.IntN(Servers)), 22, tcp}, start+s.between(0, 8)*hour, s.between(10, 3000), s.heavy(9000), s.heavy(40000))
		}
	}
}

// contractor has a VPN to his own house all day, to the same address.
func (s *Site) contractor() {
	home := s.outside()
	for d := range 5 {
		took := s.between(6, 10) * hour
		s.from(link{Desktop(3), home, 1194, udp}, 51000, float64(d)*day+8*hour, took, [2]float64{3000 * took, 9000 * took})
	}
}

// news is what was not there before: a program that somebody installed, about
// every third day one on one host, which asks its maker evenly at an address of
// its own, and one that all get on Friday; a new camera; a page that everybody
// begins to use.
func (s *Site) news() {
	for d := range Days {
		if !s.chance(0.33) {
			continue
		}
		from := float64(d)*day + s.between(8, 17)*hour
		me := Desktop(s.rng.IntN(Desktops))
		l := link{me, s.outside(), 443, tcp}
		pause, jitter := s.between(30, 900), s.between(0, 0.3)
		out, in := s.heavy(1200), s.heavy(2500)
		for k := d; k < Days; k++ {
			s.poll(l, max(from, float64(k)*day+8*hour), float64(k)*day+17*hour, pause, jitter, out, in)
		}
	}
	roll := service{90, 0.2, 2200, 600, 443, 0.6, 1, 300}
	for i := range Desktops {
		if s.chance(roll.share) {
			from := 4*day + s.between(7, 12)*hour
			s.run(Desktop(i), s.neighbour(s.cloud[200+s.rng.IntN(roll.networks)]), roll, from, 4*day+17*hour)
		}
	}
	s.poll(link{netip.AddrFrom4([4]byte{10, 0, 2, 200}), s.outside(), 8800, udp}, 4*day+11*hour, Days*day, 25, 0.02, 120, 90)
}
