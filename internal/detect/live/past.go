package live

import (
	"time"

	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// pastLateness is how far out of order events of the past may come: they are
// in the order of arrival, of several sensors.
const pastLateness = 5 * time.Minute

// Fingerprints are the rules that are wanted by their keys, with what each
// looks for.
func (e *Engine) Fingerprints() map[string][16]byte {
	e.mu.Lock()
	loaded := e.loaded.rules
	e.mu.Unlock()
	out := map[string][16]byte{}
	for _, r := range loaded.Engine.Rules() {
		if loaded.Want.Takes(r) {
			out[r.Key()] = r.Fingerprint()
		}
	}
	return out
}

// Past makes an engine of some of the rules, by their keys, and of indicators,
// for events that happened before. What is suppressed stays so.
func (e *Engine) Past(keys map[string]bool, listed *indicator.Set) *Engine {
	e.mu.Lock()
	loaded := e.loaded.rules
	e.mu.Unlock()
	cfg := e.cfg
	cfg.Lateness = pastLateness
	p := &Engine{cfg: cfg, listed: listed, past: true}
	part := loaded.Only(keys)
	p.fields = part.Fields
	p.loaded = p.judge(part, cfg.Mapping.Router(part.Fields))
	return p
}

// Listed sets the indicators that are looked up in each event; nil: none. Of
// files, which are scanned by themselves, only what is past is looked up.
func (e *Engine) Listed(set *indicator.Set) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.listed = set
}

// maxListed bounds the indicators that one event is told for.
const maxListed = 8

// indicated adds the indicators that values of the record fit at its time.
func (e *Engine) indicated(out []Verdict, rec *sigma.Record, at time.Time) []Verdict {
	if e.listed == nil {
		return out
	}
	seen := map[string]bool{}
	for _, v := range rec.Shown() {
		e.listed.Value(v.Text, at, func(h indicator.Hit) {
			file := h.Kind != indicator.IP && h.Kind != indicator.Domain && h.Kind != indicator.URL
			if file && !e.past || len(seen) >= maxListed || seen[h.Value] {
				return
			}
			seen[h.Value] = true
			if r := ruleset.IndicatorRule(h.Indicator); !e.suppressed(r, rec, at) {
				out = append(out, Verdict{Rule: r, Count: 1, First: at, Last: at})
			}
		})
	}
	return out
}
