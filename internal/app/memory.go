package app

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The worker's memory follows its visitors: a collection is due when garbage
// has grown by slack or by half of what lives, whichever is more, so that
// many short visits cost few collections and many held ones little memory.
// What is free and unused for a while goes back to the system.
const (
	slack     = 4 << 20
	tidyEvery = 2 * time.Second
	tidyAt    = 8 << 20 // bytes free in the heap that are worth giving back
)

// tend keeps the collector tuned until ctx ends.
func tend(ctx context.Context) {
	m := memory{samples: []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/free:bytes"}, {Name: "/gc/heap/allocs:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
	}}
	t := time.NewTicker(tidyEvery)
	defer t.Stop()
	for {
		m.tune()
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

type memory struct {
	samples []metrics.Sample
	percent int
	allocs  uint64
	tidied  bool // since the last burst
}

// tune sets the collector's target and, where little is allocated, gives
// unused memory back once.
func (m *memory) tune() {
	metrics.Read(m.samples)
	live, free, allocs, unused := m.samples[0].Value.Uint64(), m.samples[1].Value.Uint64(), m.samples[2].Value.Uint64(), m.samples[3].Value.Uint64()
	if p := percentFor(live); p != m.percent {
		debug.SetGCPercent(p)
		m.percent = p
	}
	calm := allocs-m.allocs < 1<<20
	garbage := allocs-m.allocs > 0 || free+unused > tidyAt
	m.allocs = allocs
	switch {
	case !calm:
		m.tidied = false
	case garbage && !m.tidied:
		debug.FreeOSMemory()
		m.tidied = true
	}
}

// percentFor is GOGC for live bytes, in steps of a quarter so that it seldom changes.
func percentFor(live uint64) int {
	p := 50
	if live > 0 && live < 2*slack {
		p = int(100 * slack / live)
	}
	return min(p/25*25, 800)
}
