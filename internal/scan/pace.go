package scan

import (
	"context"
	"sync"
	"time"
)

// Pace holds a scan to a share of the processor: whoever reads through it waits
// while the process has used more. It is safe for concurrent use.
type Pace struct {
	percent int64 // of one processor
	mu      sync.Mutex
	used    func() time.Duration // CPU time of the process
	since   time.Time
	cpu     time.Duration
}

// paceEvery is how much CPU time passes between two looks.
const paceEvery = 20 * time.Millisecond

// NewPace makes a pace of percent of one processor, at least 1. It does nothing
// where the system does not tell the CPU time of a process.
func NewPace(percent int) *Pace {
	return &Pace{percent: int64(max(percent, 1)), used: cpuTime, since: time.Now(), cpu: cpuTime()}
}

// wait returns when more may be done.
func (p *Pace) wait(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pause := p.due(time.Now())
	if pause <= 0 {
		return
	}
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// due is how long to wait, so that the CPU time since the last look is the
// share of the time since then.
func (p *Pace) due(now time.Time) time.Duration {
	cpu := p.used()
	spent := cpu - p.cpu
	if spent < paceEvery {
		return 0
	}
	pause := spent*100/time.Duration(p.percent) - now.Sub(p.since)
	p.cpu, p.since = cpu, now
	if pause > 0 {
		p.since = now.Add(pause)
	}
	return pause
}
