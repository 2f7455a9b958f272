package sigma

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"slices"
)

// snapMagic begins a snapshot; the last byte is the version of its form.
const snapMagic = "LWCORR\x00\x01"

// Limits on a snapshot that is read.
const (
	maxSnapCors  = 1 << 16
	maxSnapGroup = 1 << 13
	maxSnapWords = chunkWords
)

// ErrSnapshot is wrapped by errors about a snapshot that cannot be read.
var ErrSnapshot = errors.New("damaged correlation state")

// snapWriter writes numbers; its first error stays.
type snapWriter struct {
	w   *bufio.Writer
	crc uint32
	err error
	buf [binary.MaxVarintLen64]byte
}

func (s *snapWriter) bytes(b []byte) {
	if s.err == nil {
		s.crc = crc32.Update(s.crc, crc32.IEEETable, b)
		_, s.err = s.w.Write(b)
	}
}

func (s *snapWriter) num(x uint64) { s.bytes(s.buf[:binary.PutUvarint(s.buf[:], x)]) }
func (s *snapWriter) time(t int64) { s.bytes(s.buf[:binary.PutVarint(s.buf[:], t)]) }
func (s *snapWriter) text(t []byte) {
	s.num(uint64(len(t)))
	s.bytes(t)
}

// Snapshot writes the state of every group and every match that waits, so that
// Restore can go on from there. Matches must not be added meanwhile.
func (c *Correlator) Snapshot(w io.Writer) error {
	s := &snapWriter{w: bufio.NewWriter(w)}
	s.bytes([]byte(snapMagic))
	s.num(uint64(len(c.eng.cors)))
	for _, k := range c.eng.cors {
		s.text([]byte(k.rule.Key()))
		s.bytes(k.print[:])
	}
	s.time(c.newest.Load())
	s.time(c.done.Load())
	for i := range c.shards {
		c.shards[i].write(s)
	}
	s.num(0)
	sum := binary.LittleEndian.AppendUint32(nil, s.crc)
	s.bytes(sum)
	if s.err == nil {
		s.err = s.w.Flush()
	}
	if s.err != nil {
		return fmt.Errorf("write correlation state: %w", s.err)
	}
	return nil
}

// write writes each group as 1 and each waiting match as 2.
func (s *shard) write(w *snapWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.store.all(func(g *groupState) {
		w.num(1)
		w.num(uint64(g.cor))
		s.text = s.store.text(g, s.text)
		w.text(s.text)
		w.time(g.fired)
		w.time(g.touched)
		w.num(uint64(g.n))
		w.num(uint64(g.head))
		words := s.store.words(g)
		w.num(uint64(len(words)))
		for _, x := range words {
			w.num(x)
		}
	})
	waiting := slices.Clone(s.pending)
	slices.SortFunc(waiting, func(a, b pendingPoint) int {
		return cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.seq, b.seq))
	})
	for i := range waiting {
		p := &waiting[i]
		w.num(2)
		w.num(uint64(p.cor))
		w.num(uint64(p.at))
		w.text([]byte(p.group))
		w.time(p.Time)
		w.num(p.value)
		w.num(p.Ref)
	}
}

// snapReader reads what snapWriter wrote.
type snapReader struct {
	r   *bufio.Reader
	crc uint32
	err error
}

func (s *snapReader) ReadByte() (byte, error) {
	b, err := s.r.ReadByte()
	if err == nil {
		s.crc = crc32.Update(s.crc, crc32.IEEETable, []byte{b})
	}
	return b, err
}

func (s *snapReader) fail(err error) {
	if s.err == nil {
		s.err = err
	}
}

func (s *snapReader) num(limit uint64) uint64 {
	x, err := binary.ReadUvarint(s)
	if err != nil {
		s.fail(err)
		return 0
	}
	if x > limit {
		s.fail(fmt.Errorf("number %d is over %d", x, limit))
		return 0
	}
	return x
}

func (s *snapReader) time() int64 {
	x, err := binary.ReadVarint(s)
	if err != nil {
		s.fail(err)
	}
	return x
}

func (s *snapReader) bytes(n int) []byte {
	if s.err != nil {
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(s.r, b); err != nil {
		s.fail(err)
	}
	s.crc = crc32.Update(s.crc, crc32.IEEETable, b)
	return b
}

func (s *snapReader) text(limit uint64) string { return string(s.bytes(int(s.num(limit)))) }

// Restore reads what Snapshot wrote into a new correlator. State of
// correlations that are gone or say something else now is left out; dropped
// counts it. After an error the correlator is to be thrown away; the error
// wraps ErrSnapshot.
func (c *Correlator) Restore(r io.Reader) (dropped int, err error) {
	s := &snapReader{r: bufio.NewReader(r)}
	if string(s.bytes(len(snapMagic))) != snapMagic {
		s.fail(errors.New("it does not begin as one, or is of another version"))
	}
	ids := c.readCorrelations(s)
	raise(&c.newest, s.time())
	raise(&c.done, s.time())
	for s.err == nil {
		kind := s.num(2)
		if s.err != nil || kind == 0 {
			break
		}
		if !c.readEntry(s, kind, ids) {
			dropped++
		}
	}
	want := s.crc
	if sum := s.bytes(4); s.err == nil && binary.LittleEndian.Uint32(sum) != want {
		s.fail(errors.New("its checksum is wrong"))
	}
	if s.err != nil {
		return dropped, fmt.Errorf("read correlation state: %w: %w", ErrSnapshot, s.err)
	}
	for i := range c.shards {
		c.shards[i].setNext()
	}
	return dropped, nil
}

// readCorrelations maps the snapshot's correlations to the engine's, -1 for
// those that are gone.
func (c *Correlator) readCorrelations(s *snapReader) []int32 {
	n := s.num(maxSnapCors)
	var ids []int32
	for range n {
		if s.err != nil {
			break
		}
		key, sum := s.text(1<<12), s.bytes(16)
		id := int32(-1)
		for _, k := range c.eng.cors {
			if k.rule.Key() == key && string(k.print[:]) == string(sum) {
				id = k.id
			}
		}
		ids = append(ids, id)
	}
	return ids
}

// readEntry reads a group or a match; false when its correlation is gone.
func (c *Correlator) readEntry(s *snapReader, kind uint64, ids []int32) bool {
	at := s.num(math.MaxInt32)
	if s.err == nil && at >= uint64(len(ids)) {
		s.fail(fmt.Errorf("correlation %d of %d", at, len(ids)))
	}
	if s.err != nil {
		return false
	}
	if kind == 2 {
		return c.readPoint(s, ids[at])
	}
	return c.readGroup(s, ids[at])
}

func (c *Correlator) readPoint(s *snapReader, cor int32) bool {
	p := Point{cor: cor, at: int32(s.num(MaxRefs - 1)), group: s.text(maxSnapGroup)}
	p.Time, p.value, p.Ref = s.time(), s.num(math.MaxUint64), s.num(math.MaxUint64)
	if cor < 0 || s.err != nil {
		return false
	}
	if int(p.at) >= len(c.eng.cors[cor].Rules) {
		s.fail(fmt.Errorf("rule %d of %d", p.at, len(c.eng.cors[cor].Rules)))
		return false
	}
	p.hash = c.hash(cor, p.group)
	sh := &c.shards[c.shardOf(cor, p.hash)]
	sh.seq++
	sh.pending = heapPush(sh.pending, pendingPoint{p, sh.seq}, beforePoint)
	return true
}

func (c *Correlator) readGroup(s *snapReader, cor int32) bool {
	group := s.text(maxSnapGroup)
	g := groupState{fired: s.time(), touched: s.time(), n: uint32(s.num(math.MaxUint32)), head: uint16(s.num(math.MaxUint16))}
	words := make([]uint64, s.num(maxSnapWords))
	for i := range words {
		words[i] = s.num(math.MaxUint64)
	}
	if cor < 0 || s.err != nil {
		return false
	}
	k := c.eng.cors[cor]
	if !k.fits(&g, words) {
		s.fail(fmt.Errorf("a group of %s holds %d words for %d", k.rule.Key(), len(words), g.n))
		return false
	}
	h := c.hash(cor, group)
	sh := &c.shards[c.shardOf(cor, h)]
	if sh.store.find(h, cor, group) >= 0 {
		s.fail(errors.New("a group stands twice"))
		return false
	}
	n := sh.store.insert(h, cor, group, len(words))
	c.keys.Add(1)
	st := sh.store.state(n)
	copy(sh.store.words(st), words)
	st.fired, st.touched, st.n, st.head = g.fired, g.touched, g.n, g.head
	if k.closing {
		sh.timers = heapPush(sh.timers, timer{st.touched, h, cor, n}, beforeTimer)
	}
	return true
}

// fits tells whether a group's words are as many as its numbers say.
func (k *correlation) fits(g *groupState, words []uint64) bool {
	n, have := int(g.n), len(words)
	switch {
	case k.Type == Temporal || k.Type == TemporalOrdered:
		return have >= k.words+b2i(k.closing)
	case k.closing && k.Type == EventCount:
		return n > 0 && have >= 1
	case k.closing && k.Type == ValueCount:
		return n > 0 && n <= k.keep && have >= n+1
	case k.closing:
		return n > 0 && n <= maxSamples && have >= 3*n+1
	case k.Type == EventCount:
		return n > 0 && n <= k.need && have >= n && (g.head == 0 || n == k.need && int(g.head) < n)
	case k.Type == ValueCount:
		return n > 0 && n <= k.need && have >= 2*n
	default:
		return n > 0 && n <= maxSamples && have >= 3*n
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
