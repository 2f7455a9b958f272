package sigma

import "bytes"

// needle is a text to find in others, by way of its rarest byte.
type needle struct {
	text string
	at   int // of the rarest byte
}

func newNeedle(s string) needle {
	n := needle{text: s}
	for i := range len(s) {
		if byteScore[s[i]] < byteScore[s[n.at]] {
			n.at = i
		}
	}
	return n
}

// in tells whether s holds the text, which is not empty. A byte that turns out to
// be common in s is not followed for long.
func (n needle) in(s []byte) bool {
	rare, fails := n.text[n.at], 0
	for i := n.at; i < len(s); i++ {
		k := bytes.IndexByte(s[i:], rare)
		if k < 0 {
			return false
		}
		i += k
		from := i - n.at
		if from+len(n.text) > len(s) {
			return false
		}
		if string(s[from:from+len(n.text)]) == n.text {
			return true
		}
		if fails++; fails > 16+i/16 {
			return bytes.Contains(s[from+1:], bytesOf(n.text))
		}
	}
	return false
}

// byteScore is how often log records hold a byte, by how often commonText does.
var byteScore = func() (t [256]uint16) { //nolint:gochecknoglobals // a table that nobody writes
	for i := range len(commonText) {
		t[commonText[i]]++
	}
	return t
}()
