package sigma

import (
	"strings"
	"testing"
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
