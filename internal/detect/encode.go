package detect

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// A state is kept as a byte that says which form it has, and its fields in
// order: numbers as varints, times as seconds and nanoseconds, ids as 16 bytes
// where they are UUIDs. What begins with '{' is JSON, as older versions wrote it.
// Form 4 is what is written now: times are nanoseconds after the first, the
// names of users hashes of 4 bytes, and an id that follows from the rest is left out.
// A print says nothing at all: its campaign is that of whose it is, and that and
// when it was seen is kept beside it. In form 2 it said its campaign.
const (
	stateForm = 1
	printForm = 2
	shortForm = 4
)

// How an id is written.
const (
	idNone = iota
	idUUID
	idText    // its length, its bytes
	idRule    // one of ours: its last three digits in two bytes
	idDerived // it follows from the rest
	idSame    // as the one before of its kind
)

var errState = errors.New("not a state of the judge")

func (it *item) append(b []byte) []byte {
	if p := it.print; p != nil {
		if p.Campaign == "" {
			return b
		}
		return appendID(append(b, printForm), p.Campaign)
	}
	s := it.source
	if s.short() {
		return s.appendShort(b)
	}
	b = append(b, stateForm)
	b = binary.AppendVarint(appendTime(appendTime(b, s.First), s.Seen), s.Tries)
	b = binary.AppendUvarint(b, uint64(len(s.Users)))
	for _, u := range s.Users {
		b = binary.LittleEndian.AppendUint64(b, u)
	}
	b = appendID(appendID(append(b, flags(s.Got, s.Joined)), s.Campaign), s.Own)
	b = binary.AppendVarint(b, int64(s.Prints))
	b = binary.AppendUvarint(b, uint64(len(s.Groups)))
	for _, rule := range slices.Sorted(maps.Keys(s.Groups)) {
		g := s.Groups[rule]
		b = appendID(appendID(b, rule), g.ID)
		b = binary.AppendVarint(appendTime(appendTime(b, g.First), g.Last), g.Count)
		b = appendID(binary.AppendVarint(b, int64(g.Level)), g.Session)
	}
	return b
}

// short tells whether the times of s can be written as distances.
func (s *source) short() bool {
	const far = 1 << 32 // seconds: years 1833 to 2106, less than can lie between two times
	near := func(t time.Time) bool { return t.Unix() > -far && t.Unix() < far }
	ok := near(s.First) && near(s.Seen)
	for _, g := range s.Groups {
		ok = ok && near(g.First) && near(g.Last)
	}
	return ok
}

func (s *source) appendShort(b []byte) []byte {
	b = appendTime(append(b, shortForm), s.First)
	b = binary.AppendVarint(binary.AppendVarint(b, int64(s.Seen.Sub(s.First))), s.Tries)
	b = binary.AppendUvarint(b, uint64(len(s.Users)))
	for _, u := range s.Users {
		b = binary.LittleEndian.AppendUint32(b, uint32(u))
	}
	b = append(b, flags(s.Got, s.Joined))
	b = appendIDOr(b, s.Own, s.derived, idDerived)
	b = appendIDOr(b, s.Campaign, s.Campaign == s.Own, idSame)
	b = binary.AppendVarint(b, int64(s.Prints))
	b = binary.AppendUvarint(b, uint64(len(s.Groups)))
	session := ""
	for _, rule := range slices.Sorted(maps.Keys(s.Groups)) {
		g := s.Groups[rule]
		b = appendIDOr(appendRule(b, rule), g.ID, g.derived, idDerived)
		b = binary.AppendVarint(binary.AppendVarint(b, int64(g.First.Sub(s.First))), int64(g.Last.Sub(g.First)))
		b = binary.AppendVarint(binary.AppendVarint(b, g.Count), int64(g.Level))
		b = appendIDOr(b, g.Session, g.Session != "" && g.Session == session, idSame)
		session = g.Session
	}
	return b
}

// appendIDOr appends an id, or one byte that stands for it.
func appendIDOr(b []byte, id string, short bool, mark byte) []byte {
	if short {
		return append(b, mark)
	}
	return appendID(b, id)
}

// appendRule appends the id of a rule.
func appendRule(b []byte, id string) []byte {
	if rest, ok := strings.CutPrefix(id, OwnRules); ok && len(rest) == 3 {
		if n, err := strconv.ParseUint(rest, 16, 16); err == nil && ownRule(uint16(n)) == id {
			return binary.LittleEndian.AppendUint16(append(b, idRule), uint16(n))
		}
	}
	return appendID(b, id)
}

func ownRule(n uint16) string {
	const digits = "0123456789abcdef"
	if n > 0xfff {
		return fmt.Sprintf("%s%x", OwnRules, n)
	}
	return OwnRules + string([]byte{digits[n>>8], digits[n>>4&15], digits[n&15]})
}

// shortHash is a hash as it is remembered.
func shortHash(h uint64) uint64 { return h & 0xffff_ffff }

func flags(first, second bool) (f byte) {
	if first {
		f = 1
	}
	if second {
		f |= 2
	}
	return f
}

func appendTime(b []byte, t time.Time) []byte {
	return binary.AppendUvarint(binary.AppendVarint(b, t.Unix()), uint64(t.Nanosecond()))
}

func appendID(b []byte, id string) []byte {
	if id == "" {
		return append(b, idNone)
	}
	if u, ok := event.ParseUUID(id); ok {
		return append(append(b, idUUID), u[:]...)
	}
	b = binary.AppendUvarint(append(b, idText), uint64(len(id)))
	return append(b, id...)
}

// decode is the inverse of encode; it.key says what it is. Of a print st says
// whose it is and when it was seen.
func (it *item) decode(st State) error {
	data := st.Data
	isPrint := it.key[0] != 's'
	if isPrint {
		it.print = &imprint{}
	} else {
		it.source = &source{}
	}
	if len(data) > 0 && data[0] == '{' {
		if isPrint {
			return json.Unmarshal(data, it.print)
		}
		err := json.Unmarshal(data, it.source)
		it.source.shorten()
		return err
	}
	if isPrint && len(data) == 0 {
		*it.print = imprint{Seen: st.Seen.UTC(), Owner: st.Source}
		return nil
	}
	d := decoder{b: data}
	form := d.byte()
	if form != stateForm && (form != printForm || !isPrint) && (form != shortForm || isPrint) {
		return fmt.Errorf("%w: form %d", errState, form)
	}
	switch {
	case form == printForm:
		*it.print = imprint{Seen: st.Seen.UTC(), Campaign: d.id(), Owner: st.Source}
	case isPrint:
		p := it.print
		p.Seen, p.Campaign = d.time(), d.id()
		var ok bool
		if p.Owner, ok = netip.AddrFromSlice(d.b); !ok && len(d.b) > 0 {
			return errState
		}
		d.b = nil
	case form == shortForm:
		d.short(it.source, it.key)
	default:
		d.source(it.source)
		it.source.shorten()
	}
	if d.bad || len(d.b) > 0 {
		return errState
	}
	return nil
}

// decoder takes fields off the front; what is not there is zero, and bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) source(s *source) {
	s.First, s.Seen, s.Tries = d.time(), d.time(), d.int()
	if n := d.count(8); n > 0 {
		s.Users = make([]uint64, n)
		for i := range s.Users {
			s.Users[i] = binary.LittleEndian.Uint64(d.take(8))
		}
	}
	f := d.byte()
	s.Got, s.Joined = f&1 != 0, f&2 != 0
	s.Campaign, s.Own, s.Prints = d.id(), d.id(), int(d.int())
	n := d.count(9)
	if n > 0 {
		s.Groups = make(map[string]*group, n)
	}
	for range n {
		rule := d.id()
		s.Groups[rule] = &group{ID: d.id(), First: d.time(), Last: d.time(), Count: d.int(), Level: alert.Level(d.int()), Session: d.id()}
	}
}

// shorten makes the hashes of names those of today.
func (s *source) shorten() {
	for i := range s.Users {
		s.Users[i] = shortHash(s.Users[i])
	}
}

// short reads form 4; key is that of the state.
func (d *decoder) short(s *source, key string) {
	s.First = d.time()
	s.Seen, s.Tries = d.after(s.First), d.int()
	if n := d.count(4); n > 0 {
		s.Users = make([]uint64, n)
		for i := range s.Users {
			s.Users[i] = uint64(binary.LittleEndian.Uint32(d.take(4)))
		}
	}
	f := d.byte()
	s.Got, s.Joined = f&1 != 0, f&2 != 0
	s.Own = d.idOr(idDerived, func() string { s.derived = true; return ownID(key, s.First) })
	s.Campaign = d.idOr(idSame, func() string { return s.Own })
	s.Prints = int(d.int())
	n := d.count(9)
	if n > 0 {
		s.Groups = make(map[string]*group, n)
	}
	session := ""
	for range n {
		rule, g := d.rule(), &group{}
		g.ID = d.idOr(idDerived, func() string { g.derived = true; return "" })
		g.First = d.after(s.First)
		g.Last, g.Count, g.Level = d.after(g.First), d.int(), alert.Level(d.int())
		g.Session = d.idOr(idSame, func() string { return session })
		if g.derived {
			g.ID = id(rule, key, stamp(g.First))
		}
		s.Groups[rule], session = g, g.Session
	}
}

// after reads a time that is so much later than t.
func (d *decoder) after(t time.Time) time.Time { return t.Add(time.Duration(d.int())) }

// idOr reads an id, or a byte that stands for what fn gives.
func (d *decoder) idOr(mark byte, fn func() string) string {
	if len(d.b) > 0 && d.b[0] == mark {
		d.take(1)
		return fn()
	}
	return d.id()
}

func (d *decoder) rule() string {
	if len(d.b) > 0 && d.b[0] == idRule {
		d.take(1)
		return ownRule(binary.LittleEndian.Uint16(d.take(2)))
	}
	return d.id()
}

// take gives n bytes, zeros where they are missing.
func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return make([]byte, min(max(n, 0), 16))
	}
	t := d.b[:n]
	d.b = d.b[n:]
	return t
}

func (d *decoder) byte() byte { return d.take(1)[0] }

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return v
}

// count reads how many things of at least size bytes follow.
func (d *decoder) count(size int) int {
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v > uint64((len(d.b)-n)/size) {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[n:]
	return int(v)
}

func (d *decoder) time() time.Time {
	sec := d.int()
	v, n := binary.Uvarint(d.b)
	if n <= 0 || v >= uint64(time.Second) {
		d.bad, d.b = true, nil
		return time.Time{}
	}
	d.b = d.b[n:]
	return time.Unix(sec, int64(v)).UTC()
}

func (d *decoder) id() string {
	switch d.byte() {
	case idNone:
		return ""
	case idUUID:
		return event.FormatUUID([16]byte(d.take(16)))
	case idText:
		return string(d.take(d.count(1)))
	}
	d.bad = true
	return ""
}
