package score

import (
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Seen is what the defence had.
type Seen struct {
	Alerts []Alert
	Events []Ref // what its sensors recorded, alerted or not
}

// Alert is one verdict of a rule, or a finding that a person reported. What
// stands in Events is joined one by one, so that an alert that grew over several
// steps counts for each of them at its own time. An alert without Events is
// joined as a whole by Source, Destination, Host, User and Token, over First to
// Last. Give all events: those that are left out are not joined.
type Alert struct {
	ID          string         `json:"id"`
	Rule        alert.Rule     `json:"rule"`
	Title       string         `json:"title,omitempty"`
	By          string         `json:"by,omitempty"` // the person who reported it; empty: a rule
	First       time.Time      `json:"first"`        // of the events; zero where only Raised is known
	Last        time.Time      `json:"last"`
	Raised      time.Time      `json:"raised"` // when it was shown first; zero: Last
	Proto       string         `json:"proto,omitempty"`
	Source      netip.AddrPort `json:"source"`
	Destination netip.AddrPort `json:"destination"`
	Host        string         `json:"host,omitempty"`
	User        string         `json:"user,omitempty"`
	Token       string         `json:"token,omitempty"`
	Count       int64          `json:"count,omitempty"` // events in all
	Events      []Ref          `json:"events,omitempty"`
}

// Ref is one event: by itself something seen, under an alert its evidence.
type Ref struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`     // when it happened
	Judged time.Time `json:"judged"` // when it was judged; zero: At
	Flow   Tuple     `json:"flow"`
	Host   string    `json:"host,omitempty"`
	User   string    `json:"user,omitempty"`
	Token  string    `json:"token,omitempty"`
	// Spoofable says that no TCP exchange stands behind the flow's source.
	Spoofable bool `json:"spoofable,omitempty"`
}

// seen is when r was judged, as far as that is known.
func (r *Ref) seen() time.Time {
	if r.Judged.IsZero() {
		return r.At
	}
	return r.Judged
}
