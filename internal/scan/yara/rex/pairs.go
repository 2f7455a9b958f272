package rex

import _ "embed"

// How rare a run of bytes is in the files that people scan is told by the pairs
// in it: what follows what, measured on programs, libraries, documents and
// scripts (TestPairs -update). Bytes are folded, so there are 128.

// pairs holds in eighths of a bit, for 128 folded bytes, the information of
// each alone, then of each after each.
//
//go:embed pairs.bin
var pairs string

const (
	pairUnit  = 8
	foldBytes = 128
)

// foldIndex is the number of a folded byte: its seven bits but 0x20.
func foldIndex(c byte) int { return int(c>>6)<<5 | int(c&0x1F) }

// rarity is the information, in bits, of a byte.
func rarity(c byte) float64 { return float64(pairs[foldIndex(c)]) / pairUnit }

// rarityAfter is that of a byte where the one before it is known.
func rarityAfter(before, c byte) float64 {
	return float64(pairs[foldBytes*(1+foldIndex(before))+foldIndex(c)]) / pairUnit
}
