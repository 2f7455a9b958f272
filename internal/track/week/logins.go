package week

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sort"
)

// Login is one that succeeded.
type Login struct {
	At      float64 // seconds since the beginning
	User    string
	From    netip.Addr
	Factors string // single, multi; empty: not said
	Evil    string // what an intruder did, empty for the others
}

// LoginDays is how long the logins of a site go on.
const LoginDays = 42

// Users is how many people there are, beside services.
const Users = 100

// Net is a network of the made-up Internet of logins.
type Net struct {
	Prefix   string
	Country  string
	Lat, Lon float64
	ASN      uint32
}

// Nets are an office, home providers, a mobile operator whose addresses are put
// all over the country, a VPN provider with exits in four, and abroad.
func Nets() []Net {
	list := []Net{{"198.18.0.0/24", "DE", 52.5, 13.4, 64500}}
	for i := range 5 { // providers at home
		list = append(list, Net{fmt.Sprintf("198.18.%d.0/24", 10+i), "DE", 52.4 + float64(i)/10, 13.2, uint32(64510 + i)})
	}
	for i := range 8 { // mobile, up to 600 km away
		list = append(list, Net{fmt.Sprintf("198.18.%d.0/24", 30+i), "DE", 47.8 + 0.9*float64(i), 7 + float64(i), 64520})
	}
	for i, c := range []string{"NL", "CH", "US", "SE"} { // of the VPN provider
		list = append(list, Net{fmt.Sprintf("198.18.%d.0/24", 50+i), c, 40 + 5*float64(i), 5 - 30*float64(i%2), 64530})
	}
	for i, c := range []string{"AT", "FR", "IT", "ES", "GB", "PL", "TR", "GR", "US", "TH", "EG", "ZA"} { // journeys
		list = append(list, Net{fmt.Sprintf("198.18.%d.0/24", 100+i), c, 50 - 3*float64(i), 15 * float64(i%5), uint32(64600 + i)})
	}
	for i, c := range []string{"TW", "BR", "KZ"} { // intruders
		list = append(list, Net{fmt.Sprintf("198.19.%d.0/24", i), c, 25 - 10*float64(i), 121 - 80*float64(i), uint32(64700 + i)})
	}
	return list
}

func in(net string, host int) netip.Addr {
	b := netip.MustParsePrefix(net).Addr().As4()
	b[3] = byte(1 + host%250)
	return netip.AddrFrom4(b)
}

// logins collects.
type logins struct {
	rng *rand.Rand
	out []Login
}

// Logins makes six weeks of them in order: people at work, at home, on the way
// with a telephone that is put anywhere, through a VPN that changes countries, on
// journeys, ill for five weeks, new; services by night; and four intruders.
func Logins(seed uint64) []Login {
	l := &logins{rng: rand.New(rand.NewPCG(seed, 0x1091))}
	for u := range Users {
		l.person(u)
	}
	for s := range 10 { // services come every hour from one address inside
		for at := 300.0 * float64(s); at < LoginDays*day; at += hour {
			l.add(at, fmt.Sprint("svc", s), netip.AddrFrom4([4]byte{10, 0, 0, byte(10 + s)}), "")
		}
	}
	l.intruders()
	sort.SliceStable(l.out, func(i, j int) bool { return l.out[i].At < l.out[j].At })
	return l.out
}

func (l *logins) add(at float64, user string, from netip.Addr, factors string) {
	l.out = append(l.out, Login{At: at, User: user, From: from, Factors: factors})
}

func (l *logins) person(u int) {
	r := l.rng
	name := fmt.Sprint("user", u)
	home := in(fmt.Sprintf("198.18.%d.0/24", 10+r.IntN(5)), r.IntN(250))
	begins, phone, vpn := 0, r.Float64() < 0.6, u < 2
	if u >= 97 {
		begins = 10 + r.IntN(25) // new people
	}
	factors := "multi"
	if r.Float64() < 0.1 {
		factors = "single"
	}
	awayFrom, awayTo, land := -1, -1, 0
	switch {
	case r.Float64() < 0.12: // a journey
		awayFrom = 5 + r.IntN(LoginDays-5)
		awayTo, land = awayFrom+2+r.IntN(8), 100+min(r.IntN(12), r.IntN(12))
	case u == 50: // five weeks ill
		awayFrom, awayTo = 4, 4+35
	}
	early := 6.5 + 3*r.Float64()
	for d := begins; d < LoginDays; d++ {
		weekend := d%7 > 4
		if weekend && r.Float64() > 0.15 {
			continue
		}
		if r.Float64() < 0.05 { // home providers give a new address
			home = in(fmt.Sprintf("198.18.%d.0/24", home.As4()[2]), r.IntN(250))
		}
		l.day(workday{u: u, d: d, name: name, factors: factors, early: early, home: home, phone: phone, vpn: vpn, away: d >= awayFrom && d < awayTo, land: land})
	}
}

// workday is what is known of a user's day.
type workday struct {
	u, d             int
	name, factors    string
	early            float64
	home             netip.Addr
	phone, vpn, away bool
	land             int
}

func (l *logins) day(w workday) {
	r := l.rng
	at := float64(w.d)*day + (w.early+r.NormFloat64()*0.5)*hour
	if w.away {
		if w.land > 0 {
			for range 1 + r.IntN(2) {
				l.add(at+r.Float64()*8*hour, w.name, in(fmt.Sprintf("198.18.%d.0/24", w.land), r.IntN(250)), w.factors)
			}
		}
		return
	}
	places := []netip.Addr{in("198.18.0.0/24", 1), w.home, netip.AddrFrom4([4]byte{10, 0, byte(1 + w.u%3), byte(w.u)})}
	if w.vpn {
		places[1] = in(fmt.Sprintf("198.18.%d.0/24", 50+r.IntN(4)), r.IntN(250))
	}
	at0 := at
	for range 2 + r.IntN(5) {
		l.add(at, w.name, places[r.IntN(3)], w.factors)
		if w.phone && r.Float64() < 0.5 { // the telephone fetches mail through its own network
			l.add(at+60+r.Float64()*600, w.name, in(fmt.Sprintf("198.18.%d.0/24", 30+r.IntN(8)), r.IntN(250)), w.factors)
		}
		at += (0.5 + 2*r.Float64()) * hour
	}
	if r.Float64() < 0.03 { // late work
		l.add(at0+(12+3*r.Float64())*hour, w.name, w.home, w.factors)
	}
}

// intruders come with credentials of others.
func (l *logins) intruders() {
	night := func(d int) float64 { return float64(d)*day + 2.6*hour }
	for i, e := range []Login{
		{At: night(20), User: "user7", From: in("198.19.0.0/24", 9), Factors: "multi", Evil: "from a country of nobody, at night"},
		{At: float64(29)*day + 11*hour, User: "user8", From: in("198.19.1.0/24", 9), Factors: "single", Evil: "from far, by day, without the second factor"},
		{At: night(40), User: "user60", From: in("198.18.14.0/24", 77), Factors: "multi", Evil: "an account that slept"},
		{At: float64(33)*day + 10*hour, User: "user9", From: in("198.19.2.0/24", 9), Factors: "multi", Evil: "from far within an hour of the user"},
	} {
		switch i {
		case 1: // the user has a second factor
			l.edit(e.User, func(x *Login) { x.Factors = "multi" })
		case 2: // nobody used it for five weeks
			l.drop(e.User, 3*day)
		case 3:
			l.add(e.At-1800, e.User, in("198.18.0.0/24", 1), "multi")
		}
		l.out = append(l.out, e)
	}
}

func (l *logins) edit(user string, f func(*Login)) {
	for i := range l.out {
		if l.out[i].User == user {
			f(&l.out[i])
		}
	}
}

func (l *logins) drop(user string, after float64) {
	kept := l.out[:0]
	for _, x := range l.out {
		if x.User != user || x.At < after {
			kept = append(kept, x)
		}
	}
	l.out = kept
}
