package access

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// follower offers a list of lines from a position on, as a source of a file does.
type follower struct {
	lines []string
	at    int
}

// offer gives the next n lines to a reader; the position is the number of lines.
func (f *follower) offer(tb testing.TB, r *Reader, n int) {
	tb.Helper()
	n = min(n, len(f.lines)-f.at)
	if n == 0 {
		return
	}
	b := batch(f.lines[f.at : f.at+n]...)
	b.Position = []byte(strconv.Itoa(f.at + n))
	if err := r.Take(tb.Context(), b); err != nil {
		tb.Fatal(err)
	}
	f.at += n
}

// restart goes on where the reader says.
func (f *follower) restart(tb testing.TB, r *Reader) {
	tb.Helper()
	f.at = 0
	if p, ok := r.Position("auth"); ok {
		n, err := strconv.Atoi(string(p))
		if err != nil {
			tb.Fatal(err)
		}
		f.at = n
	}
}

// a day of few sources, so that much is counted.
func mixed(n int) []string {
	var out []string
	for i := range n {
		addr := fmt.Sprintf("192.0.2.%d", 1+i%5)
		if i%7 == 6 {
			out = append(out, accepted(i*20, "ann", addr))
		} else {
			out = append(out, failed(i*20, "ann", addr))
		}
	}
	return out
}

// TestKilled: a reader that is killed at any moment counts every line once and
// tells every verdict once.
func TestKilled(t *testing.T) {
	lines := mixed(60)
	whole := &sink{}
	r, _ := reader(t, whole, guessing, nil)
	(&follower{lines: lines}).offer(t, r, len(lines))
	want := whole.words(ActionMatched)
	if len(want) < 5 {
		t.Fatalf("%v", want)
	}
	for seed := range uint64(3) { // each of them writes to the disk, and waits for it
		rnd := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		out := &sink{}
		state := func(c *Config) { c.State = dir }
		r, clk := reader(t, out, guessing, state)
		f := &follower{lines: lines}
		for f.at < len(lines) {
			switch rnd.IntN(10) {
			case 0: // kill -9
				r, clk = reader(t, out, guessing, state)
				f.restart(t, r)
			case 1: // an end in order
				if err := r.Close(); err != nil {
					t.Fatal(err)
				}
				r, clk = reader(t, out, guessing, state)
				f.restart(t, r)
			case 2:
				clk.Advance(11 * time.Second)
				if err := r.Advance(t.Context()); err != nil {
					t.Fatal(err)
				}
			default:
				f.offer(t, r, 1+rnd.IntN(9))
			}
		}
		if diff := cmp.Diff(guesses(want), guesses(out.words(ActionMatched))); diff != "" {
			t.Fatalf("seed %d: %s", seed, diff)
		}
	}
}

// guesses are the verdicts of rules that count up, which do not wait.
func guesses(words []string) []string {
	out := slices.DeleteFunc(slices.Clone(words), func(w string) bool { return len(w) < 8 || w[:8] != "Guessed:" })
	slices.Sort(out)
	return out
}

// TestAnotherFile: where other lines stand at the position than were judged, they
// are told.
func TestAnotherFile(t *testing.T) {
	dir := t.TempDir()
	state := func(c *Config) { c.State = dir }
	out := &sink{}
	r, _ := reader(t, out, guessing, state)
	first := &follower{lines: mixed(20)}
	first.offer(t, r, 1)
	first.offer(t, r, 3)
	first.offer(t, r, 2)
	r, _ = reader(t, out, guessing, state)
	second := &follower{lines: repeat5(5)}
	second.restart(t, r)
	second.lines = append(make([]string, second.at), second.lines...)
	second.offer(t, r, 3)
	second.offer(t, r, 2)
	if !slices.Contains(out.words(ActionMatched), "Guessed: 192.0.2.1 a") {
		t.Errorf("%v", out.words(ActionMatched))
	}
}

func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	state := func(c *Config) { c.State = dir }
	r, _ := reader(t, &sink{}, guessing, state)
	(&follower{lines: mixed(20)}).offer(t, r, 20)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, stateFile)
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []int{0, 9, len(good) / 2, len(good) - 1} {
		bad := bytes.Clone(good)
		bad[at] ^= 0x55
		if err := r.Restore(bytes.NewReader(bad)); !errors.Is(err, errState) {
			t.Errorf("a bit of byte %d: %v", at, err)
		}
		if err := r.Restore(bytes.NewReader(good[:at])); !errors.Is(err, errState) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
	if err := os.WriteFile(file, good[:40], 0o600); err != nil {
		t.Fatal(err)
	}
	out := &sink{}
	r, _ = reader(t, out, guessing, state)
	take(t, r, repeat5(0)...)
	if n := len(out.words(ActionMatched)); n != 1 {
		t.Errorf("after a damaged state %d verdicts", n)
	}
}

// TestFlood: of very many sources those that come often are kept, what is emitted
// and remembered stays within bounds, and what was given up is counted.
func TestFlood(t *testing.T) {
	sources := 50_000
	if os.Getenv("LAPWING_SOAK") == "1" {
		sources = 10_000_000
	}
	out := &counting{}
	r, _ := reader(t, out, guessing, func(c *Config) { c.Rules.MaxKeys, c.MaxSources = 20_000, 8192 })
	b := line.Batch{Source: "auth"}
	for i := range sources {
		a := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		if i >= 1<<24 {
			t.Fatal("too many for this test")
		}
		b.Lines = append(b.Lines[:0], line.Line{Text: []byte(failed(i*600/sources, "x", a.String())), Received: began})
		if i%(sources/10) == 5 { // one that is there now and then
			b.Lines = append(b.Lines, line.Line{Text: []byte(failed(i*600/sources, "x", "192.0.2.99")), Received: began})
		}
		if err := r.Take(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	st := r.Stats()
	if st.Engine.Corr.Keys > 20_000 || st.Engine.Corr.Evicted == 0 || st.Dropped == 0 {
		t.Errorf("%+v", st)
	}
	if out.events > 12*keptMinute {
		t.Errorf("%d events of %d lines within ten minutes", out.events, sources)
	}
	if out.verdicts["192.0.2.99"] == 0 {
		t.Errorf("the one that came ten times was not found among %d: %v", sources, out.verdicts)
	}
	if total := st.Kept + st.Counted; total != uint64(sources)+10 {
		t.Errorf("%d of %d lines are kept or counted", total, sources+10)
	}
}
