// Package alert holds one word of the product: the Alert, a verdict and the
// events under it.
package alert

import (
	"net/netip"
	"time"
)

// Level is Sigma's severity of a rule.
type Level uint8

// The levels, in rising order.
const (
	Informational Level = iota
	Low
	Medium
	High
	Critical
)

var levelWords = [...]string{"informational", "low", "medium", "high", "critical"}

// String is Sigma's word for l.
func (l Level) String() string {
	if int(l) < len(levelWords) {
		return levelWords[l]
	}
	return "informational"
}

// ParseLevel is the inverse of Level.String; ok is false for another word.
func ParseLevel(s string) (l Level, ok bool) {
	for i, w := range levelWords {
		if w == s {
			return Level(i), true
		}
	}
	return Informational, false
}

// Rule names what fired.
type Rule struct {
	ID          string   // rule.id: UUID of a Sigma rule
	Name        string   // rule.name: title
	Level       Level    // rule.level
	Techniques  []string // threat.technique.id: "T1110.003"
	Tactics     []string // threat.tactic.name: "credential-access"
	Description string   // one sentence for the operator: what it means, what to do
}

// Alert is one verdict: first raised for one event, then updated as more of
// the same group arrives. Key groups: two verdicts of one Key are one Alert.
type Alert struct {
	ID       string // UUID
	Key      string // rule, source and day
	Rule     Rule
	Source   netip.Addr
	Host     string // fake host's name
	Session  string // of the newest event that has one
	User     string
	Log      string   // name of the source of logs that it was found in, empty: decoys
	Title    string   // one line for a person, own text plus quoted visitor text
	Campaign string   // the same for sources that do the same
	Events   []string // ids, oldest first: the first MaxEvents/2 and the last
	Evidence [][]byte // the JSON lines of those events: retention never eats a case
	Count    int64    // events in all, also those that are not in Events
	First    time.Time
	Last     time.Time
	Exercise string // id of the exercise it belongs to, empty in real life
	// Retrospective says that a rule or an indicator, new or changed, found it
	// among events of the past. It is a finding for people: nothing answers to it
	// by itself, and it counts into no alert of the present.
	Retrospective bool
	// Spoofable says that the newest event proves nothing about Source: no TCP
	// exchange stands behind the address. It is told to people; nothing is blocked for it.
	Spoofable bool
}

// MaxEvents bounds the events that one alert carries.
const MaxEvents = 32
