package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/event"
)

func testLine(n int) []byte { return []byte(`{"event.id":"` + strconv.Itoa(n) + `"}` + "\n") }

func mustOpen(t *testing.T, cfg Config) *Spool {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func readAll(t *testing.T, s *Spool) []string {
	t.Helper()
	var out []string
	if _, err := s.Read(t.Context(), Position{}, func(e Entry) error {
		out = append(out, string(e.Data))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestPositionText(t *testing.T) {
	for in, want := range map[string]Position{"": {}, "3:40": {3, 40}, "18446744073709551615:0": {1<<64 - 1, 0}} {
		got, err := ParsePosition(in)
		if err != nil || got != want {
			t.Errorf("%q: %v, %v", in, got, err)
		}
		if in != "" && got.String() != in {
			t.Errorf("%q prints %q", in, got)
		}
	}
	for _, in := range []string{"x", "1", "1:", ":1", "1:-1", "-1:1", "1:2:3"} {
		if _, err := ParsePosition(in); err == nil {
			t.Errorf("%q is taken", in)
		}
	}
}

func TestFullRefusesTheShallowFirst(t *testing.T) {
	s := mustOpen(t, Config{Dir: t.TempDir(), Limit: 1 << 20, SegmentSize: 64 << 10})
	big := []byte(strings.Repeat("x", 10_000) + "\n")
	share := map[event.Depth]int64{}
	for _, d := range []event.Depth{event.DepthTouch, event.DepthTry, event.DepthEnter} {
		for {
			if _, err := s.Append(t.Context(), d, big); err != nil {
				if !errors.Is(err, ErrFull) {
					t.Fatal(err)
				}
				break
			}
		}
		share[d] = s.Stats().Bytes * 100 / (1 << 20)
		if _, err := s.Append(t.Context(), event.DepthTouch, testLine(1)); d > event.DepthTouch && !errors.Is(err, ErrFull) {
			t.Errorf("touch after %v: %v", d, err)
		}
	}
	for d, want := range map[event.Depth]int64{event.DepthTouch: 79, event.DepthTry: 89, event.DepthEnter: 99} {
		if got := share[d]; got < want-1 || got > want+1 {
			t.Errorf("%v refused at %d %%, want about %d", d, got, want)
		}
	}
	st := s.Stats()
	if st.Refused["touch"] != 3 || st.Refused["try"] != 1 || st.Refused["enter"] != 1 {
		t.Errorf("refused %v", st.Refused)
	}
	n := len(readAll(t, s))
	if uint64(n) != st.Appends {
		t.Errorf("%d entries of %d accepted", n, st.Appends)
	}
	if err := s.Release(s.End()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), event.DepthTouch, testLine(1)); err != nil {
		t.Errorf("after the release: %v", err)
	}
}

func TestTornTailIsCutOff(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Config{Dir: dir})
	var ends []int64
	for n := range 5 {
		p, err := s.Append(t.Context(), event.DepthAct, testLine(n))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, p.Offset)
	}
	s.Close()
	name := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for cut := int64(0); cut <= int64(len(whole)); cut++ {
		want := 0
		for n, e := range ends {
			if cut >= e-int64(padded(len(testLine(n)))-len(testLine(n))) {
				want = n + 1
			}
		}
		for _, tail := range []string{"", strings.Repeat("\x00", 100), "garbage"} {
			d2 := t.TempDir()
			if err := os.WriteFile(filepath.Join(d2, segmentName(1)), append(bytes.Clone(whole[:cut]), tail...), 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(Config{Dir: d2})
			if err != nil {
				t.Fatalf("cut at %d: %v", cut, err)
			}
			if cut >= headerSize && tail == "" {
				if got := readAll(t, s); len(got) != want {
					t.Fatalf("cut at %d: %d entries, want %d", cut, len(got), want)
				}
			}
			if _, err := s.Append(t.Context(), event.DepthAct, testLine(9)); err != nil {
				t.Fatal(err)
			}
			if got := readAll(t, s); got[len(got)-1] != string(testLine(9)) {
				t.Fatalf("cut at %d: the new entry is not there", cut)
			}
			s.Close()
		}
	}
}

func TestDamageInTheMiddleIsSkipped(t *testing.T) {
	dir := t.TempDir()
	s := mustOpen(t, Config{Dir: dir})
	var ends []int64
	for n := range 50 {
		p, err := s.Append(t.Context(), event.DepthAct, testLine(n))
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, p.Offset)
	}
	s.Close()
	name := filepath.Join(dir, segmentName(1))
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := ends[9]; i < ends[12]; i++ { // records 10 to 12
		b := bytes.Clone(whole)
		b[i] ^= 0x55
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(Config{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		got := readAll(t, s)
		readAll(t, s)
		st := s.Stats()
		s.Close()
		if len(got) == 50 && st.Damaged == 0 {
			continue // padding
		}
		if len(got) != 49 || st.Damaged != 1 {
			t.Fatalf("byte %d: %d entries, %d regions", i, len(got), st.Damaged)
		}
	}
}

func TestNumbersRiseInAnEmptiedDirectory(t *testing.T) {
	s := mustOpen(t, Config{Dir: t.TempDir(), After: Position{7, 500}})
	if s.End() != (Position{7, 500}) {
		t.Errorf("End is %v", s.End())
	}
	p, err := s.Append(t.Context(), event.DepthAct, testLine(1))
	if err != nil || p.Segment != 8 {
		t.Errorf("%v, %v", p, err)
	}
}

// faulty fails the n-th operation, and all that follow while stuck.
type faulty struct {
	osFiles
	left  int
	stuck bool
	err   error
	log   []string
}

func (f *faulty) op(name string) error {
	f.log = append(f.log, name)
	f.left--
	if f.left == 0 || f.left < 0 && f.stuck {
		return fmt.Errorf("%s: %w", name, f.err)
	}
	return nil
}

func (f *faulty) create(name string, size int64) (file, error) {
	if err := f.op("create"); err != nil {
		return nil, err
	}
	g, err := f.osFiles.create(name, size)
	return faultyFile{g, f}, err
}

func (f *faulty) truncate(name string, size int64) error {
	if err := f.op("truncate"); err != nil {
		return err
	}
	return f.osFiles.truncate(name, size)
}

func (f *faulty) syncDir() error {
	if err := f.op("syncdir"); err != nil {
		return err
	}
	return f.osFiles.syncDir()
}

type faultyFile struct {
	file
	f *faulty
}

func (g faultyFile) WriteAt(b []byte, off int64) (int, error) {
	if err := g.f.op("write"); err != nil {
		n, _ := g.file.WriteAt(b[:len(b)/2], off)
		return n, err
	}
	return g.file.WriteAt(b, off)
}

func (g faultyFile) Sync() error {
	if err := g.f.op("sync"); err != nil {
		return err
	}
	return g.file.Sync()
}

// TestFailures lets each operation fail in turn, once or until the disk is
// repaired: what was acknowledged is there in the end, once; what was not is
// there at most once; and the journal works again.
func TestFailures(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		for _, stuck := range []bool{false, true} {
			for step := 1; step <= 40; step++ {
				failures(t, cause, stuck, step)
			}
		}
	}
}

func failures(t *testing.T, cause error, stuck bool, step int) {
	t.Helper()
	dir := t.TempDir()
	fs := &faulty{osFiles: osFiles{dir}, left: step, stuck: stuck, err: cause}
	s, err := openFiles(Config{Dir: dir, SegmentSize: 4096, Limit: 1 << 20}, fs)
	if err != nil {
		t.Fatal(err)
	}
	acked := map[string]bool{}
	pad := strings.Repeat("y", 900)
	put := func(n int) error {
		l := fmt.Sprintf("{\"n\":%d,\"pad\":%q}\n", n, pad)
		_, err := s.Append(t.Context(), event.DepthAct, []byte(l))
		if err == nil {
			acked[l] = true
		} else if !errors.Is(err, cause) {
			t.Fatalf("step %d: %v", step, err)
		}
		return err
	}
	failed := 0
	for n := range 12 {
		if put(n) != nil {
			failed++
		}
	}
	if stuck && failed == 0 && step < 14 {
		t.Errorf("step %d: no append failed (%v)", step, fs.log)
	}
	fs.left, fs.stuck = 0, false
	for n := range 6 {
		if err := put(100 + n); err != nil {
			t.Fatalf("step %d, after the repair: %v", step, err)
		}
	}
	check := func(s *Spool, strict bool) {
		seen := map[string]int{}
		for _, l := range readAll(t, s) {
			seen[l]++
			if strict && !acked[l] {
				t.Errorf("step %d: %.20q was not acknowledged and is there", step, l)
			}
		}
		for l := range acked {
			if seen[l] != 1 {
				t.Errorf("step %d (%v %v): %.20q is there %d times; %v", step, cause, stuck, l, seen[l], fs.log)
			}
		}
	}
	check(s, true)
	s.Close()
	s = mustOpen(t, Config{Dir: dir})
	check(s, !stuck)
}

func FuzzSegment(f *testing.F) {
	const s = salt(0x1122334455667788)
	good := appendHeader(nil, 1, s)
	n := len(good)
	for i := range 4 {
		good = appendRecord(good, Key{Seq: uint64(i)}, testLine(i))
	}
	s.seal(good[n:])
	f.Add(good, uint16(0), byte(0))
	f.Add(good, uint16(70), byte(1))
	f.Add(good[:len(good)-9], uint16(100), byte(255))
	f.Fuzz(func(t *testing.T, data []byte, at uint16, flip byte) {
		if len(data) > 0 {
			data[int(at)%len(data)] ^= flip
		}
		r, _, err := newReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		last, sum := r.off, int64(0)
		for {
			rec, err := r.next()
			if err != nil {
				break
			}
			if rec.end <= last || rec.end > int64(len(data)) || len(rec.data) == 0 {
				t.Fatalf("record ends at %d after %d of %d", rec.end, last, len(data))
			}
			if !bytes.Contains(data, rec.data) {
				t.Fatal("data that is not in the file")
			}
			sum += int64(len(rec.data))
			last = rec.end
		}
		if sum+r.damaged > int64(len(data)) {
			t.Fatalf("%d bytes of records and %d of damage in %d", sum, r.damaged, len(data))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	for _, par := range []int{1, 64} {
		b.Run(strconv.Itoa(par), func(b *testing.B) {
			s, err := Open(Config{Dir: b.TempDir(), Limit: 8 << 30})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			line := []byte(strings.Repeat("x", 600) + "\n")
			b.SetParallelism(max(par/2, 1))
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if _, err := s.Append(b.Context(), event.DepthAct, line); err != nil {
						b.Fatal(err)
					}
				}
			})
			st := s.Stats()
			b.ReportMetric(float64(st.Appends)/float64(st.Syncs), "appends/sync")
		})
	}
}

// The newest segment makes room for a new one where all of it is released, but
// not soon after the start, nor while it is short or somebody needs it.
func TestASpentSegmentGoes(t *testing.T) {
	for _, tt := range []struct {
		name        string
		size        int
		soon, whole bool
		want        bool
	}{
		{"all released", spent, false, true, true},
		{"soon after the start", spent, true, true, false},
		{"short", spent / 2, false, true, false},
		{"not all released", spent, false, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := mustOpen(t, Config{Dir: dir})
			at, err := s.Append(t.Context(), event.DepthAct, append(bytes.Repeat([]byte{'x'}, tt.size), '\n'))
			if err != nil {
				t.Fatal(err)
			}
			end, err := s.Append(t.Context(), event.DepthAct, testLine(1))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.whole {
				end = at
			}
			if !tt.soon {
				s.mu.Lock()
				s.open = s.open.Add(-untilSpent)
				s.mu.Unlock()
			}
			if err := s.Release(end); err != nil {
				t.Fatal(err)
			}
			next, err := s.Append(t.Context(), event.DepthAct, testLine(2)) // behind the turn, if there was one
			if err != nil {
				t.Fatal(err)
			}
			if got := next.Segment > end.Segment; got != tt.want {
				t.Fatalf("the journal goes on at %v after %v", next, end)
			}
			if to, err := s.Read(t.Context(), end, func(Entry) error { return nil }); err != nil || to != next {
				t.Errorf("a reader at the end comes to %v, %v", to, err)
			}
			if err := s.Release(next); err != nil {
				t.Fatal(err)
			}
			s.Close()
			if files, _ := filepath.Glob(filepath.Join(dir, "*"+suffix)); tt.want && len(files) != 1 {
				t.Errorf("%d segments are left", len(files))
			}
		})
	}
}
