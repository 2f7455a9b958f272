package app

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// The worker's memory follows its visitors: a collection is due when garbage
// has grown by slack or by half of what lives, whichever is more, so that
// many short visits cost few collections and many held ones little memory.
// What is free and unused for a while goes back to the system.
const (
	slack     = 16 << 20
	tidyEvery = 2 * time.Second
	calmBelow = 4 << 20 // bytes allocated between two looks
)

// limitMemory makes the collector work harder where this process would need
// more than most bytes, or more than a quarter of what the control group that
// it runs in may have. An operator's GOMEMLIMIT goes before.
func limitMemory(most int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	if all := groupMemory("/sys/fs/cgroup"); all > 0 {
		most = min(most, all/4)
	}
	debug.SetMemoryLimit(most)
}

// groupMemory is what the process's control group may have in memory (Linux,
// cgroup v2 as a container sees its own); 0: no limit that can be told.
func groupMemory(dir string) int64 {
	f, err := os.Open(filepath.Join(dir, "memory.max"))
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // only read
	var buf [32]byte
	n, err := f.Read(buf[:])
	if err != nil {
		return 0
	}
	all, err := strconv.ParseInt(strings.TrimSpace(string(buf[:n])), 10, 64)
	if err != nil {
		return 0 // "max"
	}
	return all
}

// tend keeps the collector tuned until ctx ends. With fixed, its target stays
// as it is, and only unused memory is given back.
func tend(ctx context.Context, fixed bool) {
	m := memory{fixed: fixed, samples: []metrics.Sample{
		{Name: "/gc/heap/live:bytes"}, {Name: "/gc/heap/allocs:bytes"},
	}}
	t := time.NewTicker(tidyEvery)
	defer t.Stop()
	collected := make(chan struct{}, 1)
	if !fixed {
		onCollection(ctx, collected)
	}
	m.tune()
	m.tidy()
	for {
		select {
		case <-ctx.Done():
			return
		case <-collected: // between two looks a burst of visitors may have come
			m.tune()
		case <-t.C:
			m.tune()
			m.tidy()
		}
	}
}

// sentinel is garbage from the beginning. It is too large to share a block with
// other small objects, which would keep it.
type sentinel [32]byte

// onCollection tells of each collection until ctx ends; one that nobody has
// heard of yet stands for those after it.
func onCollection(ctx context.Context, collected chan<- struct{}) {
	var again func(*sentinel)
	again = func(s *sentinel) {
		if ctx.Err() != nil {
			return
		}
		select {
		case collected <- struct{}{}:
		default:
		}
		runtime.SetFinalizer(s, again)
	}
	runtime.SetFinalizer(&sentinel{}, again)
}

type memory struct {
	samples []metrics.Sample
	fixed   bool
	percent int
	allocs  uint64
	tidied  bool // since the last burst
}

// tune sets the collector's target.
func (m *memory) tune() {
	metrics.Read(m.samples)
	if p := percentFor(m.samples[0].Value.Uint64()); p != m.percent && !m.fixed {
		debug.SetGCPercent(p)
		m.percent = p
	}
}

// tidy gives unused memory back, once after a burst, where little is allocated.
func (m *memory) tidy() {
	allocs := m.samples[1].Value.Uint64()
	calm := allocs-m.allocs < calmBelow
	m.allocs = allocs
	switch {
	case !calm:
		m.tidied = false
	case !m.tidied:
		for range 3 { // each collection halves the stacks that are mostly empty
			runtime.GC()
		}
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
