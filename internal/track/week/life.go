package week

import "net/netip"

// A service is a program that many hosts have and its maker's cloud behind it.
type service struct {
	pause, jitter float64 // 0: it keeps its connection
	out, in       float64
	port          uint16
	share         float64 // of hosts that have it
	stay          float64 // days at one address
	networks      int     // of the cloud in which it may be met
}

// chat, mail, agents and the like on desktops.
func desktopServices() []service {
	return []service{
		{0, 0, 60, 120, 443, 0.7, 0.7, 400},        // chat with a connection that stays
		{30, 0.1, 900, 700, 443, 0.3, 1, 300},      // chat that asks
		{300, 0.1, 2500, 4000, 993, 0.6, 30, 3},    // mail
		{60, 0.15, 1500, 400, 443, 0.9, 2, 60},     // agent of a virus scanner
		{300, 0.3, 5000, 900, 443, 0.8, 1, 200},    // telemetry of the system
		{3600, 0.5, 900, 20000, 443, 0.9, 1, 400},  // is there an update?
		{900, 0.05, 700, 1500, 443, 0.5, 3, 40},    // files in a cloud
		{120, 0.5, 1100, 1100, 443, 0.2, 1.5, 100}, // another chat, which waits a random time
		{45, 0.02, 300, 300, 5222, 0.1, 5, 4},      // telephone program
	}
}

// desktop is a person's computer: on in working hours, some always.
func (s *Site) desktop(i int) {
	me := Desktop(i)
	var mine []service
	for _, v := range desktopServices() {
		if s.chance(v.share) {
			mine = append(mine, v)
		}
	}
	always := s.chance(0.25)
	homes := make([]netip.Addr, len(mine))
	moves := make([]float64, len(mine))
	for d := range Days {
		from, to := s.between(6.5, 9.5)*hour, s.between(15, 19)*hour
		if d >= 5 && !s.chance(0.15) && !always || s.chance(0.04) {
			continue // weekend, ill
		}
		start := float64(d) * day
		on, off := start+from, start+to
		if always {
			on, off = start, start+day
		}
		for k, v := range mine {
			if on >= moves[k] {
				homes[k] = s.neighbour(s.cloud[s.rng.IntN(v.networks)])
				moves[k] = on + s.about(v.stay*day, 0.3)
			}
			s.run(me, homes[k], v, on, off)
		}
		s.clock(me, on, off, s.pick(s.ntp))
		if !always || d < 5 {
			s.person(me, start+from, start+to)
		}
	}
}

// run is a service on a host for a time.
func (s *Site) run(me, home netip.Addr, v service, on, off float64) {
	l := link{me, home, v.port, tcp}
	if v.pause > 0 {
		s.poll(l, on, off, v.pause, v.jitter, v.out, v.in)
		return
	}
	for at := on; at < off; { // v.out and v.in in bytes a second
		took := min(off-at, s.between(1, 12)*hour)
		s.open(l, at, took, s.about(v.out, 0.3)*took, s.about(v.in, 0.3)*took)
		at += took + s.between(1, 60)
	}
}

// clock asks a time server.
func (s *Site) clock(me netip.Addr, on, off float64, server netip.Addr) {
	l := link{me, server, 123, udp}
	for at := on + s.between(0, 64); at < off; at += s.about(1024, 0.02) {
		s.from(l, 123, at, 0.05, [2]float64{90, 90})
	}
}

// person reads, works, and leaves pages open.
func (s *Site) person(me netip.Addr, from, to float64) {
	for at := from + s.between(0, 1800); at < to; at += 60 + s.rng.ExpFloat64()*1500 { // a while at the screen
		for n := 1 + s.rng.IntN(12); n > 0 && at < to; n-- {
			s.page(me, at)
			at += 3 + s.rng.ExpFloat64()*40
		}
	}
	if s.chance(0.25) {
		s.tab(me, from, to)
	}
	if s.chance(0.2) {
		s.meeting(me, s.between(from, to-hour))
	}
	if s.chance(0.02) { // games, file sharing at lunch
		s.peers(me, s.between(from, to))
	}
}

// page is one: several connections to several addresses at once.
func (s *Site) page(me netip.Addr, at float64) {
	site := s.site()
	for range 1 + s.rng.IntN(4) {
		s.open(link{me, s.pick(site), 443, tcp}, at+s.rng.Float64()*2, s.between(1, 90), s.heavy(2500), s.heavy(30000))
	}
	for range s.rng.IntN(3) { // advertising and counting, which everybody meets
		s.open(link{me, s.pick(s.sites[s.rng.IntN(60)]), 443, tcp}, at+s.rng.Float64()*2, s.between(1, 90), s.heavy(2000), s.heavy(9000))
	}
}

// tab is a page that asks for news while it is open: most keep the connection,
// some open a new one each time.
func (s *Site) tab(me netip.Addr, from, to float64) {
	at := s.between(from, to-hour)
	took := min(s.between(0.5, 9)*hour, to-at+hour)
	l := link{me, s.pick(s.site()), 443, tcp}
	if s.chance(0.7) {
		s.open(l, at, took, s.heavy(40)*took, s.heavy(150)*took)
		return
	}
	s.poll(l, at, at+took, s.between(20, 300), s.between(0, 0.2), s.heavy(1500), s.heavy(3000))
}

// meeting is sound and picture both ways.
func (s *Site) meeting(me netip.Addr, at float64) {
	took := s.between(0.3, 2.5) * hour
	l := link{me, s.neighbour(s.pick(s.cloud)), 3478, udp}
	s.open(l, at, took, 120_000*took, 200_000*took)
}

// peers is a program that asks many others on all ports.
func (s *Site) peers(me netip.Addr, at float64) {
	for range 20 + s.rng.IntN(100) {
		s.open(link{me, s.outside(), uint16(1024 + s.rng.IntN(60000)), udp}, at+s.between(0, 1800), s.between(0, 300), s.heavy(900), s.heavy(900))
	}
}

// server has little to say outward: news, licences, logs to a cloud; agents as the
// desktops.
func (s *Site) server(i int) {
	me := Server(i)
	agent := service{60, 0.15, 1500, 400, 443, 1, 2, 60}
	mirrors := []netip.Addr{s.pick(s.cloud), s.pick(s.cloud), s.pick(s.cloud)}
	watched := s.chance(0.3)
	cloud := s.chance(0.25)
	home, moves := netip.Addr{}, 0.0
	logs := s.pick(s.cloud)
	for d := range Days {
		start := float64(d) * day
		if start >= moves {
			home, moves = s.neighbour(s.cloud[s.rng.IntN(agent.networks)]), start+s.about(agent.stay*day, 0.3)
		}
		s.run(me, home, agent, start, start+day)
		s.clock(me, start, start+day, s.ntp[i%4])
		at := start + s.between(0, day) // the day's updates
		for range 1 + s.rng.IntN(6) {
			s.open(link{me, s.pick(mirrors), 443, tcp}, at+s.between(0, 300), s.between(1, 60), s.heavy(3000), s.heavy(2_000_000))
		}
		if s.chance(0.08) { // a mirror gave way to another
			mirrors[s.rng.IntN(3)] = s.pick(s.cloud)
		}
		if watched { // watched from a cloud: it keeps a connection to it
			s.open(link{me, logs, 443, tcp}, start, day-1, 300*day, 40*day)
		}
		if cloud {
			s.poll(link{me, s.neighbour(s.cloud[20]), 443, tcp}, start, start+day, 900, 0.01, 1200, 3000)
		}
	}
	for d := range Days { // who works asks it
		for range 60 {
			s.open(link{Desktop(s.rng.IntN(Desktops)), me, 443, tcp}, float64(d)*day+s.between(7, 18)*hour, s.between(1, 600), s.heavy(3000), s.heavy(60000))
		}
	}
}

// device is a camera (asks its maker's cloud every 25 s), a telephone (signs in
// every minute), or a printer (silent).
func (s *Site) device(i int) {
	me := Device(i)
	switch i % 4 {
	case 0, 1:
		for at := 0.0; at < Days*day; {
			stay := s.between(2, 6) * day
			l := link{me, s.neighbour(s.cloud[500+i%3]), 8800, udp}
			if s.chance(0.5) {
				l.dst = s.neighbour(s.cloud[500+s.rng.IntN(60)])
			}
			s.poll(l, at, min(at+stay, Days*day), 25, 0.02, 120, 90)
			at += stay
		}
	case 2:
		s.poll(link{me, s.cloud[599], 5060, udp}, 0, Days*day, 60, 0.05, 700, 500)
	}
	s.clock(me, 0, Days*day, s.pick(s.ntp))
}
