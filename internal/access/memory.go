package access

import (
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// maxWaiting is how many lines are remembered for correlations that are judged
// later.
const maxWaiting = 2048

// memory holds the lines that correlations may name as their last.
type memory struct {
	ref   uint64
	lines [maxWaiting]remembered
}

// remembered is a line as it came.
type remembered struct {
	ref      uint64
	source   string
	format   string
	text     []byte
	received time.Time
}

// next is the number of the next record.
func (m *memory) next() uint64 {
	m.ref++
	return m.ref
}

// keep remembers a line; of a long one its beginning, which is enough for people.
func (m *memory) keep(ref uint64, source string, l *line.Line, received time.Time) {
	x := &m.lines[ref%maxWaiting]
	x.ref, x.source, x.format, x.received = ref, source, l.Format, received
	x.text = append(x.text[:0], l.Text[:min(len(l.Text), maxText)]...)
}

// find is the line of a number, nil when it is remembered no more.
func (m *memory) find(ref uint64) *remembered {
	if x := &m.lines[ref%maxWaiting]; x.ref == ref && ref > 0 {
		return x
	}
	return nil
}
