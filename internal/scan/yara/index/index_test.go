package index_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/scan/yara/code"
	"github.com/lapwing-defence/lapwing/internal/scan/yara/index"
)

func atom(i int, word string, fold bool) code.Atom {
	var b [4]byte
	copy(b[:], word)
	return code.Atom{Word: binary.LittleEndian.Uint32(b[:]), Len: uint8(len(word)), Fold: fold, Ref: code.Ref{Unit: int32(i)}}
}

// TestFind compares with a search word by word: every place of a word must be
// given, whatever else is.
func TestFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		text := func(n int) []byte {
			b := make([]byte, n)
			for i := range b {
				b[i] = "\x00\x00 aAbBZ\xff\x20"[rng.IntN(10)]
			}
			return b
		}
		var words []string
		var atoms []code.Atom
		for i := range 1 + rng.IntN(30) {
			words = append(words, string(text(2+rng.IntN(3))))
			atoms = append(atoms, atom(i, words[i], rng.IntN(2) == 0))
		}
		data := text(rng.IntN(120))
		from := rng.IntN(len(data) + 1)
		to := from + rng.IntN(len(data)-from+1)
		var want, got []string
		for pos := from; pos < to; pos++ {
			for i, w := range words {
				if bytes.HasPrefix(data[pos:], []byte(w)) {
					want = append(want, fmt.Sprint(pos, " ", i))
				}
			}
		}
		index.New(atoms, func(*code.Atom) index.Near { return index.Near{} }).Find(data, from, to, func(pos int, found []index.Entry) bool {
			for _, e := range found {
				if w := words[e.Ref.Unit]; bytes.HasPrefix(data[pos:], []byte(w)) {
					got = append(got, fmt.Sprint(pos, " ", e.Ref.Unit))
				}
			}
			return true
		})
		slices.Sort(want)
		slices.Sort(got)
		if d := cmp.Diff(want, got); d != "" {
			t.Fatalf("round %d, words %q in %q[%d:%d] (-want +got):\n%s", round, words, data, from, to, d)
		}
	}
}

func TestFits(t *testing.T) {
	n := index.Near{Value: 0x4241, Mask: 0xFFFF, Back: 2}
	for _, c := range []struct {
		data string
		pos  int
		want bool
	}{
		{"ABxxxxxx", 2, true},
		{"ABxxxxxx", 3, true}, // too few bytes to tell
		{"AAxxxxxx", 2, false},
		{"ABx", 2, true},
		{"xxxxxxxx", 1, true},
	} {
		t.Run(fmt.Sprint(c.data, c.pos), func(t *testing.T) {
			if got := n.Fits([]byte(c.data), c.pos); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
