package hunt

import (
	"sort"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// facts collects what correlations need, in any order and on disk where it is
// much, and gives it back in order of time.
type facts struct {
	eng   *sigma.Engine
	sort  *sorter
	buf   []byte
	n     int64
	files []string
	index map[string]uint64
}

func newFacts(e *sigma.Engine, dir string) *facts {
	return &facts{eng: e, sort: newSorter(dir, sortMemory), index: map[string]uint64{}}
}

func (f *facts) close() { f.sort.close() }

// refBits is how many bits of a Ref number the record; the rest its file.
const refBits = 40

// add takes the points of one input.
func (f *facts) add(points []sigma.Point, file string) error {
	if len(points) == 0 {
		return nil
	}
	no, ok := f.index[file]
	if !ok {
		no = uint64(len(f.files))
		f.index[file] = no
		f.files = append(f.files, file)
	}
	for i := range points {
		p := points[i]
		p.Ref = no<<refBits | p.Ref&(1<<refBits-1)
		f.buf = p.AppendBinary(f.buf[:0])
		if err := f.sort.add(f.buf); err != nil {
			return err
		}
		f.n++
	}
	return nil
}

// correlate judges all correlations over the whole input in order of time.
func (h *Hunt) correlate(f *facts, out Reporter) error {
	h.Stats.Points.Store(f.n)
	if f.n == 0 {
		return nil
	}
	c := sigma.NewCorrelator(f.eng, sigma.CorrelatorOptions{})
	report := func(alerts []sigma.Alert) error {
		for i := range alerts {
			if !h.cfg.Rules.Want.Takes(alerts[i].Rule) {
				continue
			}
			h.Stats.Matches.Add(1)
			h.Stats.Alerts.Add(1)
			if err := out.Match(h.alertMatch(&alerts[i], f)); err != nil {
				return err
			}
		}
		return nil
	}
	batch := make([]sigma.Point, 0, 4096)
	err := f.sort.each(func(rec []byte) error {
		p, err := f.eng.DecodePoint(rec)
		if err != nil {
			return err
		}
		if batch = append(batch, p); len(batch) < cap(batch) {
			return nil
		}
		err = report(c.Add(batch))
		batch = batch[:0]
		return err
	})
	if err != nil {
		return err
	}
	if err := report(c.Add(batch)); err != nil {
		return err
	}
	err = report(c.Close())
	if s := c.Stats(); s.Evicted > 0 {
		h.problem("correlations", partly, "%d groups were forgotten because there were more than fit in memory", s.Evicted)
	}
	return err
}

func (h *Hunt) alertMatch(a *sigma.Alert, f *facts) *Match {
	m := &Match{Rule: a.Rule, License: h.cfg.Rules.License(a.Rule), Correlation: true, Count: float64(a.Count), First: a.First, Last: a.Last, Time: a.Time}
	if no := a.Ref >> refBits; no < uint64(len(f.files)) {
		m.File = f.files[no]
	}
	if a.Value != 0 {
		m.Count = a.Value
	}
	names := make([]string, 0, len(a.Group))
	for n := range a.Group {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		m.Group = append(m.Group, Pair{n, a.Group[n]})
		if m.Details != "" {
			m.Details += " | "
		}
		m.Details += n + ": " + a.Group[n]
	}
	return m
}
