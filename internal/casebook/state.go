package casebook

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// stateKey is the key of a state as it is stored. Those of the judge are 'p' and
// the first 8 bytes of a hash ("p ", 32 digits), or 's' and the address of a
// source ("s ", a prefix); others are 't' and the text.
func stateKey(key string) []byte {
	switch {
	case len(key) == 34 && strings.HasPrefix(key, "p "):
		if b, err := hex.DecodeString(key[2:]); err == nil && hex.EncodeToString(b) == key[2:] {
			return append([]byte{'p'}, b[:8]...)
		}
	case strings.HasPrefix(key, "s "):
		if p, err := netip.ParsePrefix(key[2:]); err == nil && SourceOf(p.Addr()).Net().String() == key[2:] {
			return append([]byte{'s'}, sourceBytes(SourceOf(p.Addr()))...)
		}
	}
	return append([]byte{'t'}, key...)
}

// sourceBytes is a source in a state: 4 bytes, 8 of an IPv6 /64, none for nobody.
func sourceBytes(s Source) []byte {
	a := s.Net().Addr()
	b := a.AsSlice()
	if a.Is6() {
		b = b[:8]
	}
	return b
}

func sourceAddr(b []byte) (a netip.Addr, ok bool) {
	if len(b) == 8 {
		b = append(slices.Clone(b), make([]byte, 8)...)
	}
	a, ok = netip.AddrFromSlice(b)
	return a, ok || len(b) == 0
}

// The time of a state is written in steps of a minute or so from a year on.
const (
	stateStep  = 64         // seconds
	stateEpoch = 1577836800 // 2020-01-01
	stateMost  = 1 << 32    // steps
	sameSource = 0xff       // in the place of a length: the source is in the key
)

func appendState(dst, key []byte, s *State) []byte {
	source := sourceBytes(SourceOf(s.Source))
	if key[0] == 's' && bytes.Equal(key[1:], source) {
		dst = append(dst, sameSource)
	} else {
		dst = append(append(dst, byte(len(source))), source...)
	}
	at := uint64(0)
	if !s.Seen.IsZero() {
		at = 1 + min(uint64(max(0, s.Seen.Unix()-stateEpoch)/stateStep), stateMost-1)
	}
	return append(appendUint(dst, at), s.Data...)
}

func parseState(key, value []byte) (s State, err error) {
	d := reader{b: value}
	n := d.byte()
	source := key[min(1, len(key)):]
	if n != sameSource {
		source = d.take(uint64(n))
	}
	at := d.uint()
	var ok bool
	if s.Source, ok = sourceAddr(source); d.bad || !ok || at > stateMost {
		return s, errChunk
	}
	if at > 0 {
		s.Seen = time.Unix(stateEpoch+int64(at-1)*stateStep, 0).UTC()
	}
	s.Data = d.b
	return s, nil
}

// stateRecords are states as they are written; of one key the last.
func stateRecords(states []State) []record {
	out := make([]record, 0, len(states))
	for i := range states {
		key := stateKey(states[i].Key)
		out = append(out, record{key: key, value: appendState(nil, key, &states[i]), n: i})
	}
	slices.SortFunc(out, func(x, y record) int { return cmp.Or(bytes.Compare(x.key, y.key), x.n-y.n) })
	last := 0
	for i := range out {
		if last > 0 && bytes.Equal(out[last-1].key, out[i].key) {
			last--
		}
		out[last] = out[i]
		last++
	}
	return out[:last]
}

// Recall implements Judged.
func (b *SQLite) Recall(ctx context.Context, key string) (State, bool, error) {
	const what = "recall what the judge knows"
	b.mu.Lock()
	defer b.mu.Unlock()
	all, err := b.writable(ctx, b.r)
	if err != nil {
		return State{Key: key}, false, b.wrap(what, err)
	}
	stored := stateKey(key)
	value, ok, err := all.states.get(ctx, b.reading(), stored)
	if !ok || err != nil {
		return State{Key: key}, false, b.wrap(what, b.damage(err))
	}
	s, err := parseState(stored, value)
	s.Key, s.Data = key, bytes.Clone(s.Data)
	return s, err == nil, b.wrap(what, b.damage(err))
}
