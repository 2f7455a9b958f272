package score

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Kind is what the defence does, or should do, about something.
type Kind string

// The kinds. The zero Kind is Isolate.
const (
	Isolate Kind = "isolate"  // Host is cut off from the network
	Block   Kind = "block"    // routers carry nothing from or to Addrs
	Stop    Kind = "stop"     // nothing answers at Port of Host
	Disable Kind = "disable"  // User gets in nowhere
	Change  Kind = "password" // User gets in with another password only
)

// Target is something to be done, and what it is done to. Which fields are set
// follows from its Kind.
type Target struct {
	Kind  Kind         `json:"kind,omitempty"`
	Host  string       `json:"host,omitempty"`
	Addrs []netip.Addr `json:"addrs,omitempty"`
	Proto string       `json:"proto,omitempty"` // of Port
	Port  uint16       `json:"port,omitempty"`
	User  string       `json:"user,omitempty"`
}

// Response is something that the defence did.
type Response struct {
	Target
	At     time.Time `json:"at"`
	Lifted time.Time `json:"lifted"` // zero: it stood until the end
	By     string    `json:"by,omitempty"`
}

// Goal is what the defence should do.
type Goal struct {
	ID string `json:"id"`
	Target
	Since    time.Time `json:"since"`    // from when on it is reason enough; zero: the first step that it stands against
	Deadline time.Time `json:"deadline"` // zero: the end
	Points   float64   `json:"points,omitempty"`
}

// Policy is what a program that answers alerts by itself decided.
type Policy struct {
	Mode       string     `json:"mode"`        // observe, propose, enforce
	From       string     `json:"from"`        // level of alerts that it applies to
	Blocked    int        `json:"blocked"`     // blocks brought about
	Proposed   int        `json:"proposed"`    // left to a person, who was not there
	Observed   int        `json:"observed"`    // that would have been brought about
	NotBlocked int        `json:"not_blocked"` // held back: allowed addresses, limits, sources that anybody could have written
	Decisions  []Decision `json:"decisions,omitempty"`
}

// Decision is one of a policy's.
type Decision struct {
	ID      string       `json:"id"`
	At      time.Time    `json:"at"`
	Mode    string       `json:"mode"`
	Prefix  netip.Prefix `json:"prefix"`
	Host    string       `json:"host,omitempty"`
	Rule    string       `json:"rule"`
	Level   string       `json:"level"`
	Seconds int64        `json:"ttl_s"`
	Risk    string       `json:"risk,omitempty"` // why a person is asked first
}

// kind is r's, the zero one spelled out.
func (r *Target) kind() Kind {
	if r.Kind == "" {
		return Isolate
	}
	return r.Kind
}

// What is the thing that r is about, for people.
func (r *Target) What() string {
	switch r.kind() {
	case Block:
		if r.Host != "" {
			return r.Host
		}
		if len(r.Addrs) > 0 {
			return r.Addrs[0].String()
		}
	case Stop:
		return fmt.Sprintf("port %d of %s", r.Port, r.Host)
	case Disable, Change:
		return "the account " + r.User
	}
	return r.Host
}

// Done is what became of it: "cut off", "blocked".
func (r *Target) Done() string {
	return map[Kind]string{Isolate: "cut off", Block: "blocked", Stop: "stopped", Disable: "disabled", Change: "given another password"}[r.kind()]
}

// reaches says whether r does what want asks for.
func (r *Target) reaches(want *Target) bool {
	if r.kind() != want.kind() {
		return false
	}
	switch r.kind() {
	case Block:
		return slices.ContainsFunc(want.Addrs, func(a netip.Addr) bool { return slices.Contains(r.Addrs, a) })
	case Stop:
		return hostName(r.Host) == hostName(want.Host) && r.Port == want.Port
	case Disable, Change:
		return userName(r.User) == userName(want.User)
	}
	return hostName(r.Host) == hostName(want.Host)
}

// against says whether r stands in the way of s.
func (e *evaluation) against(r *Target, s *Step) bool {
	switch r.kind() {
	case Block:
		return slices.ContainsFunc(r.Addrs, func(a netip.Addr) bool { return e.touches(s, a) })
	case Stop:
		if !s.reaches(hostName(r.Host)) {
			return false
		}
		return s.Port == r.Port || slices.ContainsFunc(s.Flows, func(f Flow) bool { return f.Dst.Port() == r.Port })
	case Disable, Change:
		return s.User != "" && userName(s.User) == userName(r.User)
	}
	return hostName(r.Host) == hostName(s.From) || s.reaches(hostName(r.Host))
}

// touches says whether a is an end of s.
func (e *evaluation) touches(s *Step, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if slices.Contains(e.addrsOf[hostName(s.From)], a) {
		return true
	}
	for _, to := range Targets(s.To) {
		if slices.Contains(e.addrsOf[hostName(to)], a) || to == a.String() {
			return true
		}
	}
	return slices.ContainsFunc(s.Flows, func(f Flow) bool {
		t := clean(f.Tuple)
		return t.Src.Addr() == a || t.Dst.Addr() == a
	})
}
