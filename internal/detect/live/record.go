package live

import (
	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Fields is the table of names over which records for Record are made, and their
// decoders. It stays the same when rules are read again.
func (e *Engine) Fields() *sigma.Fields { return e.fields }

// Mapping is the mapping of log sources that the engine judges by.
func (e *Engine) Mapping() *logsource.Mapping { return e.cfg.Mapping }

// Record judges a record that the caller decoded, over Fields. What the mapping
// adds to it, it has from then on; after that prepare may add more. ref comes back
// in verdicts of correlations of which the record is the last event; it is not 0.
// Where the engine is Immediate, waits tells whether that may be later: the caller
// then remembers the event. The slice is the caller's until the next call.
func (e *Engine) Record(rec *sigma.Record, head *logsource.Head, ref uint64, prepare func()) (vs []Verdict, waits bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j := e.loaded
	j.route.Route(rec, head)
	prepare()
	out := e.matched(e.said[:0], rec)
	if e.cfg.Immediate {
		j.buf = j.match.PointsNow(j.buf[:0])
	} else {
		j.buf = j.match.Points(j.buf[:0])
	}
	if len(j.buf) > 0 {
		for i := range j.buf {
			j.buf[i].Ref = ref
		}
		waits = j.corr.Waits(j.buf)
		out = e.correlated(out, j.corr.Add(j.buf))
	}
	e.said = out
	return out, waits
}

// Time is when a record says that it happened, in nanoseconds since 1970.
func (e *Engine) Time(rec *sigma.Record) (int64, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.loaded.route.Time(rec)
}

// Route gives a record what the mapping adds to it, without judging it.
func (e *Engine) Route(rec *sigma.Record, head *logsource.Head) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.loaded.route.Route(rec, head)
}
