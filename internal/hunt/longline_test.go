package hunt

import (
	"io"
	"strings"
	"testing"
)

// counting counts how often it is read.
type counting struct {
	r io.Reader
	n int
}

func (c *counting) Read(p []byte) (int, error) {
	c.n++
	return c.r.Read(p)
}

// What follows a line that is too long is judged, and the rest of that line is
// not read byte by byte.
func TestLongLine(t *testing.T) {
	const over = 8 << 20
	in := &counting{r: io.MultiReader(
		strings.NewReader(badImage+"\n"+`{"Channel":"`), io.LimitReader(letters{}, maxLine+over),
		strings.NewReader("\"}\n"+badImage+"\n"),
	)}
	h, matches := hunting(t, small(t), Config{Paths: []string{"-"}, Stdin: in})
	if len(matches) != 2 || matches[1].Record != 3 {
		t.Errorf("%d matches, wanted lines 1 and 3: %v", len(matches), matches)
	}
	if h.Stats.Damaged.Load() == 0 {
		t.Error("the long line is not counted as damaged")
	}
	if in.n > over/1000 {
		t.Errorf("%d reads", in.n)
	}
}

// letters is the letter A for ever.
type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'A'
	}
	return len(p), nil
}
