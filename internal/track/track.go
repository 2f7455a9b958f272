// Package track remembers what is usual, so that rules can ask for what is not:
// a user's countries, networks and hours, where a server sends to, how long and
// how evenly hosts talk to addresses outside, how many others a device asks for.
//
// A Set reads each record after it was decoded and routed and writes facts into
// it, fields named lapwing.track.*, which the rules of rules/access match.
// docs/formats/track.md lists them. It works on the records' own time, is bounded
// in memory, and its state outlives a restart by Snapshot and Restore.
package track

import (
	"bytes"
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/track/geo"
)

// Tracker adds what it remembers to records.
type Tracker interface {
	// Add reads a record that happened at a time and sets further fields on it.
	Add(rec *sigma.Record, at time.Time)
}

// Config is what New takes. Zero fields take what stands in brackets.
type Config struct {
	// Inside are one's own networks; records of hosts in them are tracked, what
	// goes out of them is looked at. (Private, shared and link-local networks. Name
	// public networks of your own, IPv6 above all.)
	Inside []netip.Prefix
	// Servers are hosts that are servers whatever they are seen to do. Others count
	// as such once eight hosts have asked the same of them. Hosts of Servers and
	// Inside may be the same.
	Servers []netip.Prefix
	// Learning is how long nothing counts as new, from the first record on, and on
	// as many different days (72 h).
	Learning time.Duration
	// Dormant is after how long without a login an account is asleep (30 days).
	Dormant time.Duration
	// Fresh is for how long a network outside is called fresh after anybody first
	// spoke with it (7 days).
	Fresh time.Duration
	// Session is from which length on a connection is long (4 h).
	Session time.Duration
	// Zone is where the users' hours are counted (UTC).
	Zone *time.Location
	// Geo says where addresses lie; nil: nobody knows.
	Geo *geo.Reader
	// Limits bound what is remembered.
	Limits Limits
}

// Limits are numbers of things that are remembered at most; the busiest and most
// recent are kept. Zero fields take what stands in brackets.
type Limits struct {
	Users        int // accounts that logged in (10,000)
	Hosts        int // hosts inside (10,000)
	Pairs        int // source, destination, port and protocol (60,000)
	Networks     int // networks outside, /24 and /48 (100,000)
	Destinations int // server and network outside (50,000)
	Names        int // source and domain asked for (20,000)
}

// Stats counts what was read and what had to go.
type Stats struct {
	Logins, Flows, Questions uint64
	// Learning tells whether everything still counts as known, LearntAt when it
	// ends at the earliest; zero before the first record.
	Learning bool
	LearntAt time.Time
	// NoGeo counts logins from outside for which no place is known: travel and
	// country were not judged.
	NoGeo uint64
	// Future counts records that were left out because they lie more than an hour
	// after the time given to Advance.
	Future uint64
	// Entries by table, and Evicted to keep within Limits.
	Entries map[string]int
	Evicted map[string]uint64
	// GeoError is what was wrong with a database at the last Advance, else empty.
	GeoError string
}

// Set is all trackers over one state. It serves one goroutine.
type Set struct {
	cfg Config
	f   fields
	r   reading // of the record at hand

	now    time.Time // of Advance; zero: not told
	polled time.Time
	geoErr string
	stats  Stats
	s      state

	saved   bytes.Buffer // the last snapshot
	savedAt time.Time
}

var _ Tracker = (*Set)(nil)

// state is what a snapshot holds beside the tables.
type state struct {
	Began int64 // first record, in seconds since 1970; 0: none yet
	Days  []int32

	users     *table[string, user]
	countries *table[[2]byte, int64]
	hosts     *table[addr, host]
	pairs     *table[pairKey, pair]
	nets      *table[network, outer]
	dests     *table[destKey, dest]
	kinds     *table[kindKey, habit]
	names     *table[nameKey, name]
}

// maxCountries bounds the countries that anybody logged in from.
const maxCountries = 512

// New makes a Set that knows nothing.
func New(cfg Config) *Set {
	cfg.Learning = cmp.Or(cfg.Learning, 72*time.Hour)
	cfg.Dormant = cmp.Or(cfg.Dormant, 30*24*time.Hour)
	cfg.Fresh = cmp.Or(cfg.Fresh, 7*24*time.Hour)
	cfg.Session = cmp.Or(cfg.Session, 4*time.Hour)
	cfg.Zone = cmp.Or(cfg.Zone, time.UTC)
	l := &cfg.Limits
	l.Users, l.Hosts = cmp.Or(l.Users, 10_000), cmp.Or(l.Hosts, 10_000)
	l.Pairs, l.Networks = cmp.Or(l.Pairs, 60_000), cmp.Or(l.Networks, 100_000)
	l.Destinations, l.Names = cmp.Or(l.Destinations, 50_000), cmp.Or(l.Names, 20_000)
	s := &Set{cfg: cfg}
	s.s = s.empty()
	return s
}

func (s *Set) empty() state {
	l := s.cfg.Limits
	return state{
		users: newTable[string, user](l.Users), countries: newTable[[2]byte, int64](maxCountries),
		hosts: newTable[addr, host](l.Hosts), pairs: newTable[pairKey, pair](l.Pairs), nets: newTable[network, outer](l.Networks),
		dests: newTable[destKey, dest](l.Destinations), kinds: newTable[kindKey, habit](l.Hosts), names: newTable[nameKey, name](l.Names),
	}
}

// Bind takes the table of fields of the records to come. It has to be called
// before the first of them is filled, and again when rules are loaded into a new
// table: a record filled before does not know the trackers' names.
func (s *Set) Bind(of *sigma.Fields) { s.f.bind(of) }

// Add implements Tracker. Records that are neither a login, a connection nor a
// question to a resolver stay as they are.
func (s *Set) Add(rec *sigma.Record, at time.Time) {
	if of := rec.Fields(); s.f.of != of {
		s.f.bind(of)
	}
	r := &s.r
	r.fields, r.rec, r.at = &s.f, rec, at
	switch r.kind() {
	case login:
		if s.counts(at, &s.stats.Logins) {
			s.login(r)
		}
	case flow:
		if s.counts(at, &s.stats.Flows) {
			s.flow(r)
		}
	case question:
		if s.counts(at, &s.stats.Questions) {
			s.question(r)
		}
	}
}

// counts tells whether a record of a time is to be looked at.
func (s *Set) counts(at time.Time, counter *uint64) bool {
	if !s.now.IsZero() && at.After(s.now.Add(time.Hour)) || at.Unix() <= 0 {
		s.stats.Future++
		return false
	}
	*counter++
	s.live(at)
	return true
}

// what a record is for trackers.
type what uint8

const (
	nothing what = iota
	login
	flow
	question
)

func (r *reading) kind() what {
	switch {
	case r.rec.Has(r.question), r.rec.Has(r.oldQuery):
		return question
	case r.rec.Has(r.category) && (r.has(r.category, "authentication") || r.has(r.category, "session")):
		switch string(r.text(r.action)) {
		case "logoff", "logged-out", "session-closed", "disconnected":
			return nothing
		}
		if string(r.text(r.outcome)) == "success" {
			return login
		}
	case r.rec.Has(r.dstIP) || r.rec.Has(r.oldDst):
		return flow
	}
	return nothing
}

// live notes that there was a record at a time.
func (s *Set) live(at time.Time) {
	sec := at.Unix()
	if s.s.Began == 0 || sec < s.s.Began {
		s.s.Began = sec
	}
	if len(s.s.Days) >= s.learningDays() {
		return
	}
	day := int32(sec / 86400)
	if !slices.Contains(s.s.Days, day) {
		s.s.Days = append(s.s.Days, day)
	}
}

// learningDays is on how many different days there must have been records.
func (s *Set) learningDays() int { return int(s.cfg.Learning/(24*time.Hour)) + 1 }

// learning tells whether everything that is seen at a time still counts as known.
// One record with a wrong clock does not end it: as many days must have been seen.
func (s *Set) learning(at time.Time) bool {
	return at.Unix() < s.s.Began+int64(s.cfg.Learning/time.Second) || len(s.s.Days) < s.learningDays()
}

// Advance tells what time it is: records from more than an hour after it are
// not counted, and at most once a minute geo databases that have changed are read
// again. Without it the records' own time is believed.
func (s *Set) Advance(now time.Time) {
	s.now = now
	if s.cfg.Geo == nil || now.Sub(s.polled) < time.Minute {
		return
	}
	s.polled, s.geoErr = now, ""
	if err := s.cfg.Geo.Refresh(); err != nil {
		s.geoErr = err.Error()
	}
}

// Stats gives the counts since New; those of Entries are of now.
func (s *Set) Stats() Stats {
	st := s.stats
	st.GeoError = s.geoErr
	st.Learning = s.s.Began == 0 || len(s.s.Days) < s.learningDays() || !s.now.IsZero() && s.learning(s.now)
	if s.s.Began > 0 {
		st.LearntAt = time.Unix(s.s.Began, 0).Add(s.cfg.Learning).UTC()
	}
	st.Entries, st.Evicted = map[string]int{}, map[string]uint64{}
	note := func(name string, n int, gone uint64) { st.Entries[name], st.Evicted[name] = n, gone }
	note("users", len(s.s.users.items), s.s.users.evicted)
	note("hosts", len(s.s.hosts.items), s.s.hosts.evicted)
	note("pairs", len(s.s.pairs.items), s.s.pairs.evicted)
	note("networks", len(s.s.nets.items), s.s.nets.evicted)
	note("destinations", len(s.s.dests.items), s.s.dests.evicted)
	note("kinds", len(s.s.kinds.items), s.s.kinds.evicted)
	note("names", len(s.s.names.items), s.s.names.evicted)
	return st
}
