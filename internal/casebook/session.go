package casebook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// idKey is an id as the key of a record: 'u' and the 16 bytes of a UUID, or
// 't' and another text. In this order they are in that of their bytes.
func idKey(id string) []byte {
	if u, ok := event.ParseUUID(id); ok {
		return append(append(make([]byte, 0, 17), 'u'), u[:]...)
	}
	return append(append(make([]byte, 0, 1+len(id)), 't'), id...)
}

func keyID(key []byte) (string, error) {
	switch {
	case len(key) == 17 && key[0] == 'u':
		return event.FormatUUID([16]byte(key[1:])), nil
	case len(key) > 0 && key[0] == 't':
		return string(key[1:]), nil
	}
	return "", errChunk
}

// idSpans are the keys of the ids that begin so.
func idSpans(begin string) []span {
	if begin == "" {
		return []span{{}}
	}
	text := append([]byte{'t'}, begin...)
	out := []span{{low: text, high: append(bytes.Clone(text), 0xff)}}
	if low, high, ok := uuidRange(begin); ok {
		out = append(out, span{low: append([]byte{'u'}, low[:]...), high: append([]byte{'u'}, high[:]...)})
	}
	return out
}

// appendAddr appends the length of an address and its bytes; nothing of its zone.
func appendAddr(dst []byte, a netip.Addr) []byte {
	b := a.AsSlice()
	return append(append(dst, byte(len(b))), b...)
}

func (d *reader) addr() netip.Addr {
	b := d.take(uint64(d.byte()))
	a, ok := netip.AddrFromSlice(b)
	d.bad = d.bad || !ok && len(b) > 0
	return a
}

// encodeSession writes what is known of a session from some of its events: its
// texts, its start, how much later it ended (0: not yet, else one more, folded)
// and was seen last, and its counts.
func encodeSession(s *Session) []byte {
	dst := appendText(appendText(appendText(appendText(nil, s.Host), s.Decoy), s.User), s.Kind)
	dst = appendUint(appendUint(appendUint(dst, uint64(s.Commands)), uint64(s.Files)), uint64(s.Depth))
	start, end, last := nano(s.Start), nano(s.End), nano(s.Last)
	dst = appendAddr(dst, s.Source)
	dst = appendInt(binary.BigEndian.AppendUint64(dst, uint64(start)), last-start)
	if end == 0 {
		return append(dst, 0)
	}
	return appendInt(append(dst, 1), end-last)
}

func parseSession(b []byte, s *Session) error {
	d := reader{b: b}
	s.Host, s.Decoy, s.User, s.Kind = d.text(), d.text(), d.text(), d.text()
	s.Commands, s.Files, s.Depth = int64(d.uint()), int64(d.uint()), int(d.uint())
	s.Source = d.addr()
	var start int64
	if t := d.take(8); t != nil {
		start = int64(binary.BigEndian.Uint64(t))
	}
	last := start + d.int()
	s.Start, s.Last, s.End = fromNano(start), fromNano(last), time.Time{}
	if d.byte() == 1 {
		s.End = fromNano(last + d.int())
	}
	if d.bad || len(d.b) > 0 {
		return errChunk
	}
	return nil
}

// joinSessions adds what newer events say of a session.
func joinSessions(_, old, fresh []byte, _ func(reference)) ([]byte, error) {
	var s, f Session
	if err := parseSession(old, &s); err != nil {
		return nil, err
	}
	if err := parseSession(fresh, &f); err != nil {
		return nil, err
	}
	s.User = cmp.Or(s.User, f.User)
	s.Kind = cmp.Or(f.Kind, s.Kind)
	if f.Start.Before(s.Start) {
		s.Start = f.Start
	}
	if s.End.Before(f.End) {
		s.End = f.End
	}
	if s.Last.Before(f.Last) {
		s.Last = f.Last
	}
	s.Commands += f.Commands
	s.Files += f.Files
	s.Depth = max(s.Depth, f.Depth)
	return encodeSession(&s), nil
}

// sessionRecords are the sessions of a batch as they are written.
func sessionRecords(sessions map[string]*Session) []record {
	out := make([]record, 0, len(sessions))
	for id, s := range sessions {
		out = append(out, record{key: idKey(id), value: encodeSession(s)})
	}
	slices.SortFunc(out, func(x, y record) int { return bytes.Compare(x.key, y.key) })
	return out
}

// asked tells whether a session is what a query asks for.
func (q *Query) asked(s *Session) bool {
	switch {
	case !strings.HasPrefix(s.ID, strings.ToLower(q.ID)),
		q.Source.Session() != "" && s.ID != q.Source.Session(),
		q.Source.Net().IsValid() && !q.Source.Has(s.Source):
		return false
	}
	return q.Since.IsZero() || !s.Last.Before(q.Since)
}

// found is a session that a query asks for, as it is written.
type foundSession struct {
	start      int64
	key, value []byte
}

func (x *foundSession) compare(y *foundSession) int {
	return cmp.Or(cmp.Compare(x.start, y.start), bytes.Compare(x.key, y.key))
}

// Sessions implements Reader.
func (b *SQLite) Sessions(ctx context.Context, q Query, fn func(*Session) error) error {
	const what = "read the sessions"
	spans := idSpans(strings.ToLower(q.ID))
	if id := q.Source.Session(); id != "" && q.ID == "" {
		spans = idSpans(id)
	}
	var out []foundSession
	err := b.view(ctx, what, func(v *view) error {
		return v.scan(ctx, &v.all.sessions, spans, func(key, value []byte) error {
			s, err := readSession(key, value)
			if err != nil || !q.asked(s) {
				return err
			}
			if out = append(out, foundSession{nano(s.Start), bytes.Clone(key), bytes.Clone(value)}); q.Last > 0 && len(out) >= 2*q.Last+1000 {
				out = lastSessions(out, q.Last)
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	if out = lastSessions(out, q.Last); len(out) == 0 {
		return nil
	}
	for _, f := range out {
		s, err := readSession(f.key, f.value)
		if err == nil {
			err = fn(s)
		}
		if err != nil {
			return b.wrap(what, err)
		}
	}
	return nil
}

// lastSessions puts sessions in order and gives the last n, 0: all.
func lastSessions(s []foundSession, n int) []foundSession {
	slices.SortFunc(s, func(x, y foundSession) int { return x.compare(&y) })
	if n > 0 && len(s) > n {
		s = append(s[:0], s[len(s)-n:]...)
	}
	return s
}

func readSession(key, value []byte) (*Session, error) {
	s := &Session{}
	if err := parseSession(value, s); err != nil {
		return nil, err
	}
	var err error
	s.ID, err = keyID(key)
	return s, err
}
