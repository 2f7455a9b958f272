package unpack

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// lzxWriter packs as a cabinet has it, frame by frame: it is the other side of
// the reader, and 7z judges both.
type lzxWriter struct {
	bits    int
	slots   int
	buf     uint64
	n       int
	out     []byte
	lens    []byte // of main and length tree, as the last block left them
	repeat  [3]uint32
	hash    map[uint32]int
	begun   bool
	calls   bool // of x86, made absolute; the size of the file is told as 12,000,000
	history []byte
}

func newLZXWriter(window int) *lzxWriter {
	z, err := newLZX(window)
	if err != nil {
		panic(err)
	}
	return &lzxWriter{bits: window, slots: z.slots, lens: make([]byte, lzxChars+8*z.slots+lzxLengths), repeat: [3]uint32{1, 1, 1}, hash: map[uint32]int{}}
}

func (w *lzxWriter) put(v uint32, n int) {
	for n > 0 {
		k := min(n, 16-w.n)
		w.buf = w.buf<<k | uint64(v>>(n-k))&(1<<k-1)
		w.n += k
		if n -= k; w.n == 16 {
			w.out = binary.LittleEndian.AppendUint16(w.out, uint16(w.buf))
			w.buf, w.n = 0, 0
		}
	}
}

func (w *lzxWriter) align() {
	if w.n > 0 {
		w.put(0, 16-w.n)
	}
}

// balanced gives the symbols that are used codes of two neighbouring lengths.
func balanced(used []bool) []byte {
	n := 0
	for _, u := range used {
		if u {
			n++
		}
	}
	for i := 0; n < 2; i++ {
		if !used[i] {
			used[i] = true
			n++
		}
	}
	long := bits.Len(uint(n - 1))
	short := 1<<long - n
	out := make([]byte, len(used))
	for i, u := range used {
		switch {
		case !u:
		case short > 0:
			out[i] = byte(long - 1)
			short--
		default:
			out[i] = byte(long)
		}
	}
	return out
}

// codes are the canonical codes of lengths.
func codes(lengths []byte) []uint32 {
	out := make([]uint32, len(lengths))
	code := uint32(0)
	for n := byte(1); n <= 16; n++ {
		for s, l := range lengths {
			if l == n {
				out[s] = code
				code++
			}
		}
		code <<= 1
	}
	return out
}

func (w *lzxWriter) sendLengths(old, now []byte) {
	all := make([]bool, 20)
	for i := range all {
		all[i] = true
	}
	pre := balanced(all)
	c := codes(pre)
	for _, n := range pre {
		w.put(uint32(n), 4)
	}
	sym := func(s int) { w.put(c[s], int(pre[s])) }
	delta := func(i int) int { return (17 + int(old[i]) - int(now[i])) % 17 }
	for i := 0; i < len(now); {
		run := 1
		for i+run < len(now) && now[i+run] == now[i] {
			run++
		}
		switch {
		case now[i] == 0 && run >= 20:
			run = min(run, 51)
			sym(18)
			w.put(uint32(run-20), 5)
		case now[i] == 0 && run >= 4:
			run = min(run, 19)
			sym(17)
			w.put(uint32(run-4), 4)
		case run >= 4:
			run = min(run, 5)
			sym(19)
			w.put(uint32(run-4), 1)
			sym(delta(i))
		default:
			run = 1
			sym(delta(i))
		}
		i += run
	}
	copy(old, now)
}

// token is a literal, or a match.
type token struct {
	main, length int
	extra        uint32
	bits         int
}

// tokens finds the matches of a piece that begins at a place in the history.
func (w *lzxWriter) tokens(from, to int) []token {
	var out []token
	b := w.history
	for i := from; i < to; {
		length, dist := 0, 0
		if i+3 < to {
			key := binary.LittleEndian.Uint32(b[i:])
			if j, has := w.hash[key]; has && i-j <= 1<<w.bits-3 {
				dist = i - j
				for length < 257 && i+length < to && b[j+length] == b[i+length] {
					length++
				}
			}
			w.hash[key] = i
		}
		if length < 4 {
			out = append(out, token{main: int(b[i]), length: -1})
			i++
			continue
		}
		out = append(out, w.matched(length, uint32(dist)))
		i += length
	}
	return out
}

func (w *lzxWriter) matched(length int, dist uint32) token {
	t := token{length: -1}
	slot := 0
	r := &w.repeat
	switch dist {
	case r[0]:
	case r[1]:
		slot, r[0], r[1] = 1, r[1], r[0]
	case r[2]:
		slot, r[0], r[2] = 2, r[2], r[0]
	default:
		v := dist + 2
		slot = w.slots - 1
		for slot > 3 && slotBase(slot) > v {
			slot--
		}
		t.bits = min(max(slot/2-1, 0), 17)
		t.extra = v - slotBase(slot)
		r[0], r[1], r[2] = dist, r[0], r[1]
	}
	head := length - 2
	if head >= 7 {
		t.length, head = head-7, 7
	}
	t.main = lzxChars + slot<<3 + head
	return t
}

func slotBase(slot int) uint32 {
	base := uint32(0)
	for s := range slot {
		base += 1 << min(max(s/2-1, 0), 17)
	}
	return base
}

// frame packs the next frame as blocks of a kind.
func (w *lzxWriter) frame(data []byte, kind int) []byte {
	w.out = nil
	if !w.begun {
		w.begun = true
		if w.calls {
			w.put(1, 1)
			w.put(12_000_000, 32)
		} else {
			w.put(0, 1)
		}
	}
	from := len(w.history)
	w.history = append(w.history, data...)
	// Two blocks a frame.
	middle := from + len(data)/2
	w.block(from, middle, kind)
	w.block(middle, len(w.history), kind)
	w.align()
	return w.out
}

func (w *lzxWriter) block(from, to, kind int) {
	if from == to {
		return
	}
	w.put(uint32(kind), 3)
	w.put(uint32(to-from), 24)
	if kind == lzxStored {
		w.put(0, 16-w.n)
		for _, r := range w.repeat {
			w.out = binary.LittleEndian.AppendUint32(w.out, r)
		}
		w.out = append(w.out, w.history[from:to]...)
		if (to-from)%2 == 1 {
			w.out = append(w.out, 0)
		}
		return
	}
	list := w.tokens(from, to)
	mains, lengths := make([]bool, lzxChars+8*w.slots), make([]bool, lzxLengths)
	for _, t := range list {
		mains[t.main] = true
		if t.length >= 0 {
			lengths[t.length] = true
		}
	}
	low := []byte{1, 2, 3, 4, 5, 6, 7, 7}
	if kind == lzxAligned {
		for _, n := range low {
			w.put(uint32(n), 3)
		}
	}
	m, l := balanced(mains), balanced(lengths)
	w.sendLengths(w.lens[:lzxChars], m[:lzxChars])
	w.sendLengths(w.lens[lzxChars:len(m)], m[lzxChars:])
	w.sendLengths(w.lens[len(m):], l)
	mc, lc, ac := codes(m), codes(l), codes(low)
	for _, t := range list {
		w.put(mc[t.main], int(m[t.main]))
		if t.length >= 0 {
			w.put(lc[t.length], int(l[t.length]))
		}
		if kind == lzxAligned && t.bits >= 3 {
			w.put(t.extra>>3, t.bits-3)
			w.put(ac[t.extra&7], int(low[t.extra&7]))
		} else {
			w.put(t.extra, t.bits)
		}
	}
}

// lzxCab makes a cabinet with one file in one LZX folder; frames take the kinds
// of blocks in turn.
func lzxCab(name string, body []byte, window int, calls bool, kinds ...int) []byte {
	w := newLZXWriter(window)
	w.calls = calls
	le := binary.LittleEndian
	var data []byte
	blocks := 0
	for at := 0; at < len(body); at += lzxFrame {
		piece := body[at:min(len(body), at+lzxFrame)]
		packed := w.frame(piece, kinds[blocks%len(kinds)])
		data = le.AppendUint32(data, 0)
		data = le.AppendUint16(data, uint16(len(packed)))
		data = le.AppendUint16(data, uint16(len(piece)))
		data = append(data, packed...)
		blocks++
	}
	files := 36 + 8
	start := files + 16 + len(name) + 1
	b := append([]byte("MSCF"), make([]byte, 32)...)
	le.PutUint32(b[8:], uint32(start+len(data)))
	le.PutUint32(b[16:], uint32(files))
	b[24], b[25] = 3, 1
	le.PutUint16(b[26:], 1)
	le.PutUint16(b[28:], 1)
	b = le.AppendUint32(b, uint32(start))
	b = le.AppendUint16(b, uint16(blocks))
	b = le.AppendUint16(b, uint16(3|window<<8))
	b = le.AppendUint32(b, uint32(len(body)))
	b = append(b, make([]byte, 12)...)
	b = append(append(b, name...), 0)
	return append(b, data...)
}

// wordy is a text with repeats near and far.
func wordy(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("the quick brown fox jumps over a lazy dog while " + marker + " waits \x00\x01\xff and \xe8\x11\x22\x03\x00")
	var b bytes.Buffer
	for b.Len() < n {
		b.WriteString(words[r.IntN(len(words))])
		b.WriteByte(byte(r.IntN(256)))
		if r.IntN(50) == 0 {
			b.Write(b.Bytes()[:min(b.Len(), 300)])
		}
	}
	return b.Bytes()[:n]
}

func TestLZX(t *testing.T) {
	for _, c := range []struct {
		name   string
		body   []byte
		window int
		calls  bool
		kinds  []int
	}{
		{"verbatim", wordy(100_001), 15, false, []int{lzxVerbatim}},
		{"aligned", wordy(300_000), 18, false, []int{lzxAligned}},
		{"stored", wordy(70_003), 16, false, []int{lzxStored}},
		{"all kinds, the largest window", wordy(700_007), 21, false, []int{lzxAligned, lzxStored, lzxVerbatim}},
		{"one byte", []byte("x"), 15, false, []int{lzxVerbatim}},
		{"calls", wordy(40_000), 17, true, []int{lzxVerbatim}},
		{"zeros", make([]byte, 100_000), 20, false, []int{lzxAligned, lzxVerbatim}},
	} {
		t.Run(c.name, func(t *testing.T) {
			cab := lzxCab("x.bin", c.body, c.window, c.calls, c.kinds...)
			var got []byte
			rep, err := Walk(t.Context(), bytes.NewReader(cab), int64(len(cab)), Limits{}, func(e Entry) error {
				got = make([]byte, e.Size)
				_, err := e.Content.ReadAt(got, 0)
				return err
			})
			if err != nil || !rep.Complete() {
				t.Fatalf("%v, %+v", err, rep)
			}
			want := as7z(t, cab)
			if want == nil && !c.calls {
				want = c.body
			}
			if want != nil && !bytes.Equal(got, want) {
				t.Errorf("%d bytes, want %d; equal up to %d", len(got), len(want), common(got, want))
			}
			if !c.calls && !bytes.Equal(got, c.body) {
				t.Errorf("not what was packed: equal up to %d of %d", common(got, c.body), len(c.body))
			}
			if c.calls && bytes.Equal(got, c.body) {
				t.Error("no call was changed")
			}
		})
	}
}

func common(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// as7z gives what 7z unpacks, or nil where it is not here.
func as7z(t *testing.T, cab []byte) []byte {
	t.Helper()
	prog, err := exec.LookPath("7z")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("7z is not installed; .ci/setup has it")
		}
		t.Log("7z is not installed: not compared with it")
		return nil
	}
	path := filepath.Join(t.TempDir(), "x.cab")
	if err := os.WriteFile(path, cab, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), prog, "e", "-so", path).Output()
	if err != nil {
		t.Fatalf("7z: %v", err)
	}
	return out
}

// A cabinet that is cut off or changed is told, and ends.
func TestLZXDamage(t *testing.T) {
	cab := lzxCab("x.bin", wordy(80_000), 16, false, lzxVerbatim, lzxAligned, lzxStored)
	for i := 80; i < len(cab); i += len(cab)/300 + 1 {
		if _, rep := walk(t, cab[:i], Limits{}); rep.Complete() {
			t.Fatalf("cut off at %d it is called complete", i)
		}
		b := bytes.Clone(cab)
		b[i] ^= 0x55
		walk(t, b, Limits{})
	}
	b := bytes.Clone(cab)
	b[43] = 30 // the window
	if _, rep := walk(t, b, Limits{}); rep.Complete() {
		t.Error("a window of 1 GiB is called complete")
	}
	b[42] = 2
	_, rep := walk(t, b, Limits{})
	if len(rep.Skipped) != 1 || rep.Skipped[0].Reason != Unsupported || !strings.Contains(rep.Skipped[0].Text, "Quantum") {
		t.Errorf("Quantum: %+v", rep.Skipped)
	}
}

// FuzzLZX: what a frame gives is never more than was asked for, the same twice,
// and after a fault nothing.
func FuzzLZX(f *testing.F) {
	for _, kind := range []int{lzxVerbatim, lzxAligned, lzxStored} {
		w := newLZXWriter(15)
		f.Add(w.frame(wordy(2000), kind), 2000)
	}
	f.Fuzz(func(t *testing.T, in []byte, n int) {
		if n < 0 || n > 2*lzxFrame {
			t.Skip()
		}
		var first []byte
		for range 2 {
			z, err := newLZX(15)
			if err != nil {
				t.Fatal(err)
			}
			out, err := z.frame(in, n)
			if len(out) > n || err == nil && len(out) != n {
				t.Errorf("%d bytes of %d, %v", len(out), n, err)
			}
			if first != nil && !bytes.Equal(first, out) {
				t.Error("another result the second time")
			}
			first = append([]byte{}, out...)
		}
	})
}
