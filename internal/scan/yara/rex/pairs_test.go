package rex

import (
	"bufio"
	"flag"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "measure pairs.bin anew on the files of this machine")

// measure counts pairs in every n-th file below root, up to max bytes.
func measure(root string, n int, most int64, pair *[foldBytes][foldBytes]float64) {
	seen := 0
	_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || most <= 0 {
			return nil
		}
		if seen++; seen%n != 0 {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		r := bufio.NewReaderSize(io.LimitReader(f, 2<<20), 1<<16)
		for before := -1; ; most-- {
			c, err := r.ReadByte()
			if err != nil {
				return nil
			}
			if before >= 0 {
				pair[before][foldIndex(c)]++
			}
			before = foldIndex(c)
		}
	})
}

// TestPairs tells that the table is one of probabilities; with -update it is
// measured.
func TestPairs(t *testing.T) {
	if *update {
		writePairs(t)
	}
	if len(pairs) != foldBytes*(foldBytes+1) {
		t.Fatalf("%d bytes", len(pairs))
	}
	for row := range foldBytes + 1 {
		sum := 0.0
		for i := range foldBytes {
			sum += math.Exp2(-float64(pairs[row*foldBytes+i]) / pairUnit)
		}
		if sum < 0.9 || sum > 1.1 {
			t.Errorf("row %d: the probabilities are %.3f together", row, sum)
		}
	}
	for _, c := range []struct{ common, rare string }{
		{"able", "qzxj"}, {"\x00\x00\x00\x00", "\x00\x01\x02\x03"}, {"\x85\xc0\x0f\x84", "\x9d\xc3\x6b\xd7"}, {"file", "Mim{"},
	} {
		if a, b := wordBits(c.common), wordBits(c.rare); a >= b {
			t.Errorf("%q has %.1f bits, %q %.1f", c.common, a, c.rare, b)
		}
	}
}

func wordBits(s string) float64 {
	bits := rarity(s[0] | 0x20)
	for i := 1; i < len(s); i++ {
		bits += rarityAfter(s[i-1]|0x20, s[i]|0x20)
	}
	return bits
}

func writePairs(t *testing.T) {
	t.Helper()
	var pair [foldBytes][foldBytes]float64
	measure("/usr/bin", 3, 60<<20, &pair)
	measure("/usr/lib", 7, 60<<20, &pair)
	measure("/usr/share", 5, 30<<20, &pair)
	var out []byte
	row := func(counts []float64) {
		sum := 0.0
		for _, n := range counts {
			sum += n + 1
		}
		for _, n := range counts {
			out = append(out, byte(min(255, math.Round(-math.Log2((n+1)/sum)*pairUnit))))
		}
	}
	var single [foldBytes]float64
	for _, r := range pair {
		for i, n := range r {
			single[i] += n
		}
	}
	row(single[:])
	for i := range pair {
		row(pair[i][:])
	}
	if err := os.WriteFile("pairs.bin", out, 0o644); err != nil {
		t.Fatal(err)
	}
	pairs = string(out)
}
