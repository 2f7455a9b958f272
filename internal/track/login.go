package track

import (
	"bytes"
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/track/geo"
)

// What is kept of a user: networks and countries that he came from last.
const (
	maxUserName = 128
	userNets    = 16
	userLands   = 8
)

// settled is for how long a user has to be known, beside the learning phase,
// before his networks and hours count as new.
const settled = 3 * 24 * 3600

// user is what is remembered of an account.
type user struct {
	First, Last int64 // seconds
	N           uint32
	Days        uint16
	LastDay     int32
	Nets        [userNets]seen
	Lands       [userLands]seen
	Hours       [2][24]uint8 // logins by hour, on working days and on others
	Place       place
	Multi       uint32 // logins with a second factor
	SingleOn    int32  // the day on which one without was told last
}

// seen is a thing and when it was seen first and last.
type seen struct {
	Key       uint64
	First, At int64
}

// place is where a user was last, as far as that is known.
type place struct {
	Lat, Lon, Radius float32
	Point            bool
	Country          [2]byte
	At               int64
	Net              uint64
}

// Limits of sense: shorter ways are errors of the databases, and nobody judges a
// speed over no time.
const (
	minTravelKM   = 300
	minTravelTime = 60 // seconds
)

// login reads a login that succeeded.
func (s *Set) login(r *reading) {
	name := strings.ToLower(string(clip(bytes.TrimSpace(r.text(r.user)), maxUserName)))
	from, ok := r.addr(r.srcIP, r.oldSrc)
	if name == "" || !ok || from.IsUnspecified() {
		return
	}
	if d := r.text(r.domain); len(d) > 0 {
		name += "@" + strings.ToLower(string(clip(d, maxUserName)))
	}
	outside := !s.inside(from)
	p := s.place(r, from, outside)
	u, isNew := s.s.users.obtain(name)
	learning := s.learning(r.at)
	if learning {
		r.yes(r.learning)
	}
	if outside {
		r.yes(r.outside)
	}
	sec := r.at.Unix()
	if isNew {
		u.First = sec
		if !learning {
			r.yes(r.firstUser)
		}
	}
	old := !learning && !isNew
	if idle := time.Duration(sec-u.Last) * time.Second; !isNew && idle >= s.cfg.Dormant {
		r.count(r.dormant, int64(idle/(24*time.Hour)))
	}
	s.land(r, u, p, old)
	s.travel(r, u, p, netKey(from, p.ASN))
	s.userNet(r, u, from, p, old)
	s.hour(r, u, old)
	s.factor(r, u, outside)
	if sec > u.Last {
		u.Last = sec
	}
	if day := int32(sec / 86400); day != u.LastDay {
		u.LastDay = day
		u.Days++
	}
	u.N++
}

func clip(b []byte, n int) []byte { return b[:min(n, len(b))] }

// place looks the address up and says so in the record.
func (s *Set) place(r *reading, a netip.Addr, outside bool) geo.Place {
	if !outside {
		r.say(r.geo, "inside")
		return geo.Place{}
	}
	p := s.cfg.Geo.Look(a)
	switch {
	case !s.cfg.Geo.Ready():
		r.say(r.geo, "no database")
	case p.Country == "" && !p.Point:
		r.say(r.geo, "unknown")
	case !p.Point:
		r.say(r.geo, "country")
	default:
		r.say(r.geo, "place")
	}
	if p.Country == "" {
		s.stats.NoGeo++
	} else if !r.rec.Has(r.srcCountry) {
		r.say(r.srcCountry, p.Country)
	}
	if p.ASN > 0 && !r.rec.Has(r.srcASN) {
		r.count(r.srcASN, int64(p.ASN))
		r.say(r.srcOrg, p.Org)
	}
	if p.Country == "" { // a cloud's own records name the country themselves
		if c := r.text(r.srcCountry); len(c) == 2 {
			p.Country = strings.ToUpper(string(c))
		}
	}
	return p
}

// land tells a country that the user, or anybody, never came from.
func (s *Set) land(r *reading, u *user, p geo.Place, old bool) {
	if len(p.Country) != 2 {
		return
	}
	c := [2]byte{p.Country[0], p.Country[1]}
	sec := r.at.Unix()
	if fresh := remember(u.Lands[:], uint64(c[0])<<8|uint64(c[1]), sec); fresh && old {
		r.yes(r.firstCountry)
	}
	last, fresh := s.s.countries.obtain(c)
	*last = max(*last, sec)
	if fresh && !s.learning(r.at) {
		r.yes(r.siteCountry)
	}
}

// remember notes a thing in a short list; the one that was not seen for longest
// goes. It tells whether the thing was new.
func remember(list []seen, key uint64, at int64) bool {
	oldest := 0
	for i := range list {
		if list[i].Key == key && list[i].At != 0 {
			list[i].At = max(list[i].At, at)
			return false
		}
		if list[i].At < list[oldest].At {
			oldest = i
		}
	}
	list[oldest] = seen{Key: key, First: at, At: at}
	return true
}

// netKey is the network that an address counts as: its operator where that is
// known, else its /24 or /48.
func netKey(a netip.Addr, asn uint32) uint64 {
	if asn > 0 {
		return 1<<63 | uint64(asn)
	}
	return uint64(networkOf(a))
}

// userNet tells a network that the user never came from.
func (s *Set) userNet(r *reading, u *user, from netip.Addr, p geo.Place, old bool) {
	fresh := remember(u.Nets[:], netKey(from, p.ASN), r.at.Unix())
	if !fresh || !old || r.at.Unix()-u.First < settled {
		return
	}
	switch {
	case s.inside(from):
		r.say(r.firstNetwork, "inside")
	case p.ASN > 0:
		r.say(r.firstNetwork, "as")
	default:
		r.say(r.firstNetwork, "prefix")
	}
}

// travel tells how fast the user must have been since his last login. Where
// either place is not known there is nothing to say.
func (s *Set) travel(r *reading, u *user, p geo.Place, net uint64) {
	if !p.Point {
		return
	}
	sec := r.at.Unix()
	last := u.Place
	if sec < last.At {
		return // an older record came late
	}
	u.Place = place{Lat: float32(p.Lat), Lon: float32(p.Lon), Radius: float32(p.Radius), Point: true, At: sec, Net: net}
	copy(u.Place.Country[:], p.Country)
	if !last.Point {
		return
	}
	km := geo.Distance(p, geo.Place{Lat: float64(last.Lat), Lon: float64(last.Lon), Radius: float64(last.Radius), Point: true})
	if km < minTravelKM {
		return
	}
	r.count(r.km, int64(km))
	r.count(r.kmh, int64(km*3600/float64(max(sec-last.At, minTravelTime))))
	if last.Country[0] != 0 {
		r.say(r.between, string(last.Country[:]))
	}
	if s.learning(r.at) || s.uses(u, net, sec) && s.uses(u, last.Net, sec) {
		r.yes(r.known)
	}
}

// uses tells whether the user has had a network for days, or since all was learnt:
// a telephone beside a computer, an office that goes out through another country.
func (s *Set) uses(u *user, net uint64, sec int64) bool {
	learnt := s.s.Began + int64(s.cfg.Learning/time.Second)
	for i := range u.Nets {
		if x := &u.Nets[i]; x.Key == net && x.At != 0 {
			return sec-x.First > settled || x.First < learnt
		}
	}
	return false
}

// Limits of sense for hours: so many logins on so many days make a habit, and an
// hour is strange when none within so many hours of it is known.
const (
	habitLogins = 20
	habitDays   = 5
	habitWidth  = 2
)

// hour tells a login at an hour at which the user never comes.
func (s *Set) hour(r *reading, u *user, old bool) {
	t := r.at.In(s.cfg.Zone)
	days := &u.Hours[0]
	if w := t.Weekday(); w == time.Saturday || w == time.Sunday {
		days = &u.Hours[1]
	}
	if old && u.N >= habitLogins && u.Days >= habitDays && !nearby(days, t.Hour()) {
		r.yes(r.firstHour)
	}
	if h := &days[t.Hour()]; *h < 1<<8-1 {
		*h++
	}
}

func nearby(hours *[24]uint8, h int) bool {
	for d := -habitWidth; d <= habitWidth; d++ {
		if hours[(h+d+24)%24] > 0 {
			return true
		}
	}
	return false
}

// singleAgain is for how many days a user without a second factor is not told again.
const singleAgain = 30

// habitFactors is how many logins with a second factor make it a habit.
const habitFactors = 3

// factor tells of logins from outside with one factor alone: of a user who otherwise
// shows two each, of others one a month.
func (s *Set) factor(r *reading, u *user, outside bool) {
	switch f := string(r.text(r.factors)); {
	case f == "multi":
		u.Multi++
		return
	case f != "single" && string(r.text(r.method)) != "password":
		return // nobody says how
	}
	if !outside {
		return
	}
	if u.Multi >= habitFactors {
		r.yes(r.dropped)
	}
	if day := int32(r.at.Unix() / 86400); u.SingleOn == 0 || day >= u.SingleOn+singleAgain {
		u.SingleOn = day
		r.yes(r.single)
	}
}
