package kernel

import (
	"math"
	"time"
)

// MemInfo is the state of memory in KiB. It drifts slowly with time and
// always adds up.
type MemInfo struct {
	Total, Free, Available, Buffers, Cached, Shared, SwapTotal, SwapFree int64
}

// wave is a slow pseudo-random value in [-1, 1] of time and a phase.
func wave(t time.Time, phase float64) float64 {
	s := float64(t.Unix()) + phase*1000
	return (math.Sin(s/307) + math.Sin(s/83+phase) + math.Sin(s/19+2*phase)) / 3
}

// MemInfo is the memory at t; /proc/meminfo, free and top read it.
func (m *Machine) MemInfo(t time.Time) MemInfo {
	p := m.Persona
	phase := float64(p.Seed%97) / 7
	used := (p.Memory.BaseKB + int64(wave(t, phase)*float64(p.Memory.BaseKB)/40)) &^ 3 // whole pages
	cache := (p.Memory.CacheKB + int64(wave(t, phase+1)*float64(p.Memory.CacheKB)/100)) &^ 3
	buffers := cache / 14 &^ 3
	i := MemInfo{Total: p.Memory.TotalKB, Buffers: buffers, Cached: cache - buffers, Shared: 600 + p.Memory.TotalKB/4096, SwapTotal: p.Memory.SwapKB, SwapFree: p.Memory.SwapKB}
	i.Free = i.Total - used - cache
	i.Available = i.Free + cache*9/10
	return i
}

// Load is the load average over 1, 5 and 15 minutes at t.
func (m *Machine) Load(t time.Time) [3]float64 {
	phase := float64(m.Persona.Seed%89) / 5
	l := func(k float64) float64 { return math.Max(0, 0.06+0.07*wave(t, phase+k)) }
	return [3]float64{l(0), l(0.3)*0.7 + 0.01, l(0.6)*0.5 + 0.01}
}

// Uptime is how long the fake host has been up at t.
func (m *Machine) Uptime(t time.Time) time.Duration { return t.Sub(m.Persona.Boot) }
