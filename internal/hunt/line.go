package hunt

import (
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/textlog"
)

// blockSize is the size in bytes of the pieces in which lines are judged.
const blockSize = 1 << 20

// heavy is the size in bytes from which on a block, one with a very long line,
// is rare: only maxHeavy of them are on their way, whatever the number of
// processors.
const (
	heavy    = 8 * blockSize
	maxHeavy = 2
)

// input is one stream of records.
type input struct {
	name   string // for people
	format string // evtx, json, or one of textlog's
	year   int64  // for times without a year: Unix seconds, 0 unknown
	path   string // Zeek's name for a log, from the file's name
}

// block is a piece of an input that can be judged on its own.
type block struct {
	seq    int64
	in     *input
	data   []byte
	line   int64 // of the first byte, from 1
	spans  []span
	header *textlog.Header
}

// span is one JSON document in a block whose documents do not end with lines.
type span struct {
	from, to int
	line     int64
}

// result is what was found in a block.
type result struct {
	seq     int64
	matches []Match
	points  []sigma.Point
	file    string
	data    []byte // the block's memory, to be used again
}

// line is the way of blocks: a fixed number of them exists, so the reader
// waits for the judges and these for the report.
type line struct {
	todo  chan *block
	done  chan *result
	free  chan []byte
	heavy chan struct{}
	seq   int64
}

func newLine(workers int) *line {
	n := 2*workers + 2
	l := &line{todo: make(chan *block, n), done: make(chan *result, n), free: make(chan []byte, n), heavy: make(chan struct{}, maxHeavy)}
	for range n {
		l.free <- nil
	}
	return l
}

// collect calls fn for each result, in the order of the input, and gives the
// memory of its block back.
func (l *line) collect(fn func(*result) error) error {
	waiting := map[int64]*result{}
	next := int64(0)
	for r := range l.done {
		waiting[r.seq] = r
		for {
			r, ok := waiting[next]
			if !ok {
				break
			}
			delete(waiting, next)
			next++
			if err := fn(r); err != nil {
				return err
			}
			if cap(r.data) > heavy {
				r.data = nil
				<-l.heavy
			}
			l.free <- r.data // never blocks: as many as were taken
		}
	}
	return nil
}
