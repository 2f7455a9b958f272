package access

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// What is kept of lines about access: the first of each source, account and hour,
// more where a rule has spoken, and of all together no more than the budget of a
// minute. The rest is told by its number.
const (
	keptFailures  = 3
	keptSuccesses = 10
	keptFlagged   = 20   // of an hour in which a rule has spoken
	keptMinute    = 1000 // failures of all sources
	keptLogons    = 3000 // likewise of what succeeded
)

// cell counts one pair of source and account, within an hour.
type cell struct {
	hash        uint64
	hour        int64
	seen, kept  uint32
	flagged     bool
	success     bool
	first, last int64 // of those that were not kept
	net, user   string
	host, from  string
}

const ways = 8

// ledger holds cells. Where there is no room the one of least weight among a few
// goes, and what it counted is told together with that of others.
type ledger struct {
	salt    uint64
	hashes  []uint64 // of cells, apart from them: few of the processor's lines are read to find one
	cells   []cell
	dropped uint64

	rest    [2]cell // of sources that were forgotten, by success
	sources [2]uint64
	minute  int64
	budget  [2]int
	swept   int64
}

func newLedger(size int) *ledger {
	n := ways
	for n < size {
		n *= 2
	}
	return &ledger{salt: rand.Uint64(), hashes: make([]uint64, n), cells: make([]cell, n)}
}

// find gives the cell of a key, and out, what had to make room for it, where that
// has something to tell.
func (l *ledger) find(hash uint64, hour int64) (c *cell, fresh bool, out *cell) {
	at := int(hash % uint64(len(l.cells)/ways) * ways)
	best := -1
	for i, h := range l.hashes[at : at+ways] {
		if h == hash && l.cells[at+i].seen > 0 {
			best = at + i
			break
		}
	}
	if best >= 0 && l.cells[best].hour == hour {
		return &l.cells[best], false, nil
	}
	for i := range ways {
		if best < 0 || l.hashes[best] != hash && weight(&l.cells[at+i], hour) < weight(&l.cells[best], hour) {
			best = at + i
		}
	}
	c = &l.cells[best]
	if c.seen > 0 {
		gone := *c
		out = &gone
		if gone.hour == hour {
			l.dropped++
		}
	}
	*c = cell{hash: hash, hour: hour}
	l.hashes[best] = hash
	return c, true, out
}

func weight(c *cell, hour int64) uint32 {
	switch {
	case c.seen == 0:
		return 0
	case c.hour < hour:
		return 1
	case c.flagged:
		return 1 << 31
	}
	return min(c.seen, 1<<30) + 1
}

// spend takes one of the budget of the minute of a time, which only goes on.
func (l *ledger) spend(at int64, success int) bool {
	if minute := at / int64(time.Minute); minute > l.minute {
		l.minute, l.budget = minute, [2]int{keptMinute, keptLogons}
	}
	if l.budget[success] == 0 {
		return false
	}
	l.budget[success]--
	return true
}

// keep emits the record, or counts it, where it says something about access.
func (r *Reader) keep(rec *sigma.Record, flagged bool) {
	action := r.get(rec, r.ids.action)
	success, worth := 0, true
	switch string(action) {
	case "logon", "privilege-used":
		success = 1
	case "logon-failed", "logon-rejected", "privilege-failed":
	case "account-locked", "password-changed":
		success = 1
	default:
		worth = false
	}
	if !worth {
		if len(action) > 0 {
			r.stats.Logins++
		}
		r.why = "it is no login: only verdicts about it are told"
		return
	}
	r.stats.Logins++
	hour := rec.Time / int64(time.Hour)
	c, fresh, gone := r.ledger.find(r.key(rec, action, success == 1), hour)
	if gone != nil {
		r.tellGone(gone, hour)
	}
	if fresh {
		c.success = success == 1
	}
	c.seen++
	c.flagged = c.flagged || flagged
	limit := uint32(keptFailures)
	if success == 1 {
		limit = keptSuccesses
	}
	if c.flagged {
		limit = keptFlagged
	}
	r.why = "enough of this source and hour are kept: it is counted"
	if c.kept < limit {
		r.why = "the events of this minute are used up: it is counted"
	}
	if c.kept < limit && r.ledger.spend(rec.Time, success) {
		c.kept++
		r.why = "it is among the first of this source and hour"
		e := r.event(rec)
		e.ID = r.cfg.IDs.New()
		e.Type = "info"
		r.out = append(r.out, e)
		r.stats.Kept++
		return
	}
	if c.first == 0 {
		c.first = rec.Time
		c.net, c.user = string(r.get(rec, r.ids.net)), string(r.get(rec, r.ids.user))
		c.host, c.from = string(r.get(rec, r.ids.host)), r.from.name
	}
	c.last = rec.Time
	r.stats.Counted++
}

// key is whom a record is about: source, machine and what happened, and the
// account of what succeeded, or where no source is known.
func (r *Reader) key(rec *sigma.Record, action []byte, success bool) uint64 {
	h := mix(r.ledger.salt, action)
	net := r.get(rec, r.ids.net)
	h = mix(h, net)
	h = mix(h, r.get(rec, r.ids.host))
	if success || len(net) == 0 {
		h = mix(h, r.get(rec, r.ids.user))
	}
	return h
}

// mix goes on with a hash.
func mix(h uint64, b []byte) uint64 {
	const mul = 0x9e3779b97f4a7c15
	for len(b) >= 8 {
		h = (h ^ binary.LittleEndian.Uint64(b)) * mul
		h ^= h >> 32
		b = b[8:]
	}
	var last [8]byte
	last[7] = byte(len(b)) + 1
	copy(last[:], b)
	h = (h ^ binary.LittleEndian.Uint64(last[:])) * mul
	return h ^ h>>29
}

// tellGone tells what a cell counted: by itself when its hour is over, together
// with others when it had to make room.
func (r *Reader) tellGone(c *cell, hour int64) {
	n := c.seen - c.kept
	if n == 0 {
		return
	}
	if c.hour < hour {
		r.out = append(r.out, r.counted(c, n))
		return
	}
	i := 0
	if c.success {
		i = 1
	}
	rest := &r.ledger.rest[i]
	if rest.seen == 0 {
		rest.first = c.first
	}
	rest.first, rest.last = min(rest.first, c.first), max(rest.last, c.last)
	rest.seen += n
	rest.success = c.success
	r.ledger.sources[i]++
}

// counted is an event that stands for n others.
func (r *Reader) counted(c *cell, n uint32) event.Event {
	e := event.Event{
		ID: r.cfg.IDs.New(), Time: time.Unix(0, c.last).UTC(), Kind: "event", Category: "authentication", Type: "info", Action: ActionFailed, Outcome: "failure",
		Dataset: Dataset, User: c.user,
	}
	if c.success {
		e.Action, e.Outcome = ActionLogons, "success"
	}
	if p, err := netip.ParsePrefix(c.net); err == nil {
		e.Add("lapwing.net", c.net)
		if p.IsSingleIP() {
			e.Source = netip.AddrPortFrom(p.Addr(), 0)
		}
	}
	e.Add("lapwing.source", c.from)
	e.Add("host.name", c.host)
	e.AddInt("lapwing.count", int64(n))
	e.Add("lapwing.first", stamp(time.Unix(0, c.first)))
	e.Add("lapwing.last", stamp(time.Unix(0, c.last)))
	return e
}

// tell tells what is due: counts of hours that are over, what was counted of
// sources that were forgotten, and verdicts that said the same.
func (r *Reader) tell(now time.Time) {
	minute := now.Unix() / 60
	if minute == r.ledger.swept {
		return
	}
	r.ledger.swept = minute
	hour := now.UnixNano() / int64(time.Hour)
	for i := range r.ledger.cells {
		c := &r.ledger.cells[i]
		if c.seen == 0 || c.hour >= hour && c.hour < hour+2 {
			continue
		}
		if n := c.seen - c.kept; n > 0 {
			r.out = append(r.out, r.counted(c, n))
		}
		*c = cell{}
	}
	for i := range r.ledger.rest {
		c := &r.ledger.rest[i]
		if c.seen == 0 {
			continue
		}
		e := r.counted(c, c.seen)
		e.AddInt("lapwing.sources", int64(r.ledger.sources[i]))
		r.out = append(r.out, e)
		*c, r.ledger.sources[i] = cell{}, 0
	}
	for key, x := range r.repeats {
		if now.Sub(x.told) < repeatEvery {
			continue
		}
		if x.count > 0 {
			r.tellRepeat(x, now)
		} else {
			delete(r.repeats, key)
		}
	}
}
