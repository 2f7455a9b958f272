package scenario

import (
	"slices"
	"time"
)

// Wait is the action that does nothing for a while.
const Wait = "wait"

// Targets says what an action may go to.
type Targets int

// What an action may go to; several are joined by |.
const (
	ToHost     Targets = 1 << iota // host, or hosts one after the other
	ToNetwork                      // every address of a network
	ToExternal                     // the internet inside
	ToNothing                      // it needs no target
)

// Action is one thing that can happen in a range. The list is closed: a scenario
// names actions, it cannot describe new ones.
type Action struct {
	Name    string
	Doc     string // one line for people
	Targets Targets
	Port    int     // usual one of the target; 0: none or several
	Args    []Field // what it takes
	Windows bool    // the acting host must be a Windows one, whose records these are

	// length bounds how long it takes; targets is how many addresses it goes to.
	length func(a Args, targets int) time.Duration
}

// Host tells whether the action writes records of the acting host and sends
// nothing.
func (a *Action) Host() bool { return len(a.Name) > 5 && a.Name[:5] == "host." }

// Speaks tells whether the action talks with a server on one port of its target.
func (a *Action) Speaks() bool {
	return a != nil && !a.Host() && a.Targets&ToHost != 0 && a.Name != "icmp.ping" && a.Name != "tcp.connect"
}

// Length bounds how long the action takes with these arguments against so many
// addresses, without waiting for answers.
func (a *Action) Length(args Args, targets int) time.Duration {
	if a.length == nil {
		return 0
	}
	return a.length(args, max(targets, 1))
}

// FindAction gives an action by its name, or nil.
func FindAction(name string) *Action {
	i := slices.IndexFunc(Actions, func(a Action) bool { return a.Name == name })
	if i < 0 {
		return nil
	}
	return &Actions[i]
}

// times multiplies without running over.
func times(d time.Duration, n int) time.Duration {
	if n > 0 && d > MaxDuration/time.Duration(n)*2 {
		return 2 * MaxDuration
	}
	return d * time.Duration(n)
}

// repeated is the length of repeat, every.
func repeated(a Args, _ int) time.Duration {
	every := a.Duration("every")
	return times(every+time.Duration(a.Float("jitter")*float64(every)), max(a.Int("repeat"), 1)-1)
}

// rated is the length of n things at the rate of the arguments.
func rated(a Args, n int) time.Duration {
	rate := a.Float("rate")
	if rate <= 0 {
		return 0
	}
	s := float64(n) / rate
	if s > 2*MaxDuration.Seconds() {
		return 2 * MaxDuration
	}
	return time.Duration(s * float64(time.Second))
}

// tried is the length of a list of passwords with a delay between.
func tried(a Args, targets int) time.Duration {
	n := 1
	if w := a.Text("wordlist"); w != "" {
		n = len(Wordlist(w))
	}
	users := max(len(a.Texts("users")), 1)
	return times(a.Duration("delay"), n*users*targets+len(a.Texts("commands")))
}
