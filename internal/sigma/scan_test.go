package sigma

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// groupsSeen is what a scanner tells.
type groupsSeen map[int32]bool

func (g groupsSeen) hit(group int32) { g[group] = true }

// A literal is found wherever it stands, whatever its length and the step that
// the shortest of them allows.
func TestScannerPlaces(t *testing.T) {
	const long = "0123456789abcdefghijkl"
	for n := minScan; n <= 14; n++ {
		lits := []string{long[:n], "zyxwvutsrqponm"[:n], long}
		b := newScanBuilder()
		for i, l := range lits {
			b.add(l, int32(i))
		}
		s := b.build()
		if want := stepFor(n); s.step != want {
			t.Fatalf("step %d for %d bytes, want %d", s.step, n, want)
		}
		for before := range 20 {
			for after := range 10 {
				for i, l := range lits[:2] {
					text := []byte(strings.Repeat("#", before) + strings.ToUpper(l) + strings.Repeat("#", after))
					seen := groupsSeen{}
					s.each(text, seen)
					if len(seen) != 1 || !seen[int32(i)] {
						t.Fatalf("%q in %q: groups %v", l, text, seen)
					}
				}
			}
		}
	}
}

// Which characters outside ASCII fold to ASCII is what mayFoldToASCII knows.
func TestMayFoldToASCII(t *testing.T) {
	n := 0
	for r := rune(utf8.RuneSelf); r <= utf8.MaxRune; r++ {
		if low := foldText(string(r)); low[0] < utf8.RuneSelf {
			n++
			if !mayFoldToASCII([]byte(string(r))) {
				t.Errorf("%U folds to %q", r, low)
			}
		}
	}
	if n != 3 {
		t.Errorf("%d characters fold to ASCII, want 3", n)
	}
}

// FuzzNeedle holds the search for a text against that of the standard library.
func FuzzNeedle(f *testing.F) {
	f.Add("host = cmd", "a host = cmd b")
	f.Add("zz", strings.Repeat("zx", 300)+"zz")
	f.Fuzz(func(t *testing.T, text, in string) {
		if text == "" {
			t.Skip()
		}
		if got, want := newNeedle(text).in([]byte(in)), strings.Contains(in, text); got != want {
			t.Errorf("%q in %q: %v, want %v", text, in, got, want)
		}
	})
}
