// Package respond decides what is done about an alert: nothing but a note
// (observe), a question to a person (propose), or a block (enforce). It holds no
// file, no socket and no clock of its own: a Store keeps its decisions, Hands
// carry them out.
package respond

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Mode is what follows from a rule that fired.
type Mode uint8

// The modes, in rising order of what they do by themselves.
const (
	Observe Mode = iota // write down what would have been done
	Propose             // ask a person
	Enforce             // do it
)

var modeWords = [...]string{"observe", "propose", "enforce"}

// String is the word of the configuration.
func (m Mode) String() string {
	if int(m) < len(modeWords) {
		return modeWords[m]
	}
	return modeWords[Observe]
}

// ParseMode is the inverse of Mode.String.
func ParseMode(s string) (Mode, bool) {
	i := slices.Index(modeWords[:], s)
	return Mode(max(i, 0)), i >= 0
}

// MarshalText is the word.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText reads the word.
func (m *Mode) UnmarshalText(b []byte) error {
	v, ok := ParseMode(string(b))
	if !ok {
		return fmt.Errorf("mode %.20q: use observe, propose or enforce", b)
	}
	*m = v
	return nil
}

// Rule says how alerts that fit it are answered. What is empty fits all.
type Rule struct {
	Rule  string        `json:"rule,omitempty"`  // id or name of a detection rule
	Tag   string        `json:"tag,omitempty"`   // technique or tactic: T1110 (also T1110.003), credential-access
	Level alert.Level   `json:"level,omitempty"` // this or above
	Mode  Mode          `json:"mode"`
	TTL   time.Duration `json:"ttl,omitempty"` // of the first block; 0: Policy.Steps[0]
}

// fits tells whether an alert of the detection rule r is meant.
func (p *Rule) fits(r *alert.Rule) bool {
	if p.Rule != "" && !strings.EqualFold(p.Rule, r.ID) && p.Rule != r.Name {
		return false
	}
	return r.Level >= p.Level && (p.Tag == "" || tagged(r, p.Tag))
}

func tagged(r *alert.Rule, tag string) bool {
	tag = strings.TrimPrefix(strings.ToLower(tag), "attack.")
	for _, t := range r.Techniques {
		t = strings.ToLower(t)
		if t == tag || strings.HasPrefix(t, tag+".") {
			return true
		}
	}
	return slices.ContainsFunc(r.Tactics, func(t string) bool { return strings.EqualFold(t, tag) })
}

// word is how people are told which line of the policy spoke.
func (p *Rule) word(i int) string {
	var parts []string
	add := func(name, v string) {
		if v != "" {
			parts = append(parts, name+" "+v)
		}
	}
	add("rule", p.Rule)
	add("tag", p.Tag)
	if p.Level > alert.Informational {
		add("level", p.Level.String())
	}
	return fmt.Sprintf("line %d of the policy (%s)", i+1, strings.Join(parts, ", "))
}

// Policy is what an Engine decides by. DefaultPolicy has the values for what is
// left out.
type Policy struct {
	Default Mode            `json:"default"`
	Rules   []Rule          `json:"rules,omitempty"` // the first that fits counts
	Steps   []time.Duration `json:"steps"`           // how long the first, second, ... block of a source lasts
	Quiet   time.Duration   `json:"quiet"`           // without an offence: one step back
	// PerMinute bounds new blocks, Total those that stand; above either nothing new
	// is blocked by itself.
	PerMinute int           `json:"per_minute"`
	Total     int           `json:"total"`
	Expiry    time.Duration `json:"expiry"` // how long a proposal waits for an answer
	// Sources that logged in to something real within Legitimate, and had done so
	// for the first time at least Settle before the offence, are blocked by no
	// rule alone: a person is asked. A prefix may hold at most Share (0 to 1) of
	// all such sources; 0: none.
	Legitimate time.Duration `json:"legitimate"`
	Settle     time.Duration `json:"settle"`
	Share      float64       `json:"share"`
	// Widen56 offending /64s of a /56 block the /56; Widen48 offending /64s of a
	// /48 block the /48.
	Widen56 int `json:"widen56"`
	Widen48 int `json:"widen48"`
	// Undecided is how many proposals may wait.
	Undecided int `json:"undecided"`
}

// DefaultPolicy observes.
func DefaultPolicy() Policy {
	return Policy{
		Steps: []time.Duration{10 * time.Minute, time.Hour, 4 * time.Hour, 24 * time.Hour, 7 * 24 * time.Hour},
		Quiet: 7 * 24 * time.Hour, PerMinute: 60, Total: 100_000, Expiry: 24 * time.Hour, Undecided: 1000,
		Legitimate: 30 * 24 * time.Hour, Settle: time.Hour, Widen56: 4, Widen48: 16,
	}
}

// filled is p with the default for every value that makes no sense.
func (p Policy) filled() Policy {
	d := DefaultPolicy()
	p.Steps = slices.DeleteFunc(slices.Clone(p.Steps), func(s time.Duration) bool { return s <= 0 })
	if len(p.Steps) == 0 {
		p.Steps = d.Steps
	}
	slices.Sort(p.Steps)
	for v, def := range map[*time.Duration]time.Duration{&p.Quiet: d.Quiet, &p.Expiry: d.Expiry, &p.Legitimate: d.Legitimate, &p.Settle: d.Settle} {
		if *v <= 0 {
			*v = def
		}
	}
	for v, def := range map[*int]int{&p.PerMinute: d.PerMinute, &p.Total: d.Total, &p.Widen56: d.Widen56, &p.Widen48: d.Widen48, &p.Undecided: d.Undecided} {
		if *v <= 0 {
			*v = def
		}
	}
	return p
}

// match finds the mode for a detection rule, how long a first block lasts, and
// what said so.
func (p *Policy) match(r *alert.Rule) (m Mode, ttl time.Duration, by string) {
	for i := range p.Rules {
		if one := &p.Rules[i]; one.fits(r) {
			return one.Mode, one.TTL, one.word(i)
		}
	}
	return p.Default, 0, "default of the policy"
}

// ttl is how long the block number step (from 0) lasts, where first is what the
// rule asks for.
func (p *Policy) ttl(step int, first time.Duration) time.Duration {
	steps := p.Steps
	if first > 0 {
		i, _ := slices.BinarySearch(steps, first+1)
		steps = append([]time.Duration{first}, steps[i:]...)
	}
	return steps[min(step, len(steps)-1)]
}
