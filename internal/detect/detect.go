// Package detect judges events for now with a few fixed rules; each verdict
// is grouped by rule, source and day-long campaign, and grows with its events.
package detect

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// The rules. Their ids never change.
var (
	ruleLogin = alert.Rule{ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1001", Name: "Login on a decoy", Level: alert.High, Techniques: []string{"T1078"}, Tactics: []string{"initial-access"},
		Description: "Somebody logged in to a host that nobody has reason to use. Look at the session, and for the same source elsewhere."}
	ruleCommand = alert.Rule{ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1002", Name: "Commands on a decoy", Level: alert.High, Techniques: []string{"T1059.004"}, Tactics: []string{"execution"},
		Description: "An intruder works in a decoy's shell. Replay the session to see what he is after."}
	ruleFile = alert.Rule{ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1003", Name: "File left on a decoy", Level: alert.High, Techniques: []string{"T1105"}, Tactics: []string{"command-and-control"},
		Description: "An intruder left a file. It is kept sealed; look for its hash on real machines."}
	ruleSpray = alert.Rule{ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1004", Name: "Password spray on a decoy", Level: alert.Medium, Techniques: []string{"T1110.003"}, Tactics: []string{"credential-access"},
		Description: "One source tried many user names. Check real logs for the same source."}
	ruleBrute = alert.Rule{ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1005", Name: "Brute force on a decoy", Level: alert.Medium, Techniques: []string{"T1110.001"}, Tactics: []string{"credential-access"},
		Description: "One source tried many passwords. Check real logs for the same source."}
	ruleFetch = alert.Rule{ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1006", Name: "Download requested on a decoy", Level: alert.High, Techniques: []string{"T1105"}, Tactics: []string{"command-and-control"},
		Description: "An intruder tried to bring a tool from outside. Nothing was fetched; block the address."}
	ruleTunnel = alert.Rule{ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1007", Name: "Tunnel requested on a decoy", Level: alert.Medium, Techniques: []string{"T1572"}, Tactics: []string{"command-and-control"},
		Description: "An intruder tried to reach another host through a decoy. Nothing was forwarded."}
)

const (
	campaign  = 24 * time.Hour
	sprayed   = 5  // users of one source
	guessed   = 10 // tries of one source
	maxGroups = 100_000
)

// Engine judges. It is for one goroutine. Its state follows from the events
// alone, so that the same events give the same alerts.
type Engine struct {
	ids     func(key string, first time.Time) string
	groups  map[string]*alert.Alert
	sources map[netip.Prefix]*source
	Evicted int64 // groups and sources forgotten because of the limit
}

type source struct {
	users map[string]bool
	tries int
	first time.Time
}

// New makes an Engine. ids names an alert by its key and first event.
func New(ids func(key string, first time.Time) string) *Engine {
	return &Engine{ids: ids, groups: map[string]*alert.Alert{}, sources: map[netip.Prefix]*source{}}
}

// Judge gives the alerts that e raised or changed; Count tells which: 1 is new.
func (g *Engine) Judge(e event.Event) []*alert.Alert {
	if !e.Source.Addr().IsValid() || e.Exercise != "" {
		return nil
	}
	var out []*alert.Alert
	raise := func(r alert.Rule, title string) {
		if a := g.raise(r, e, title); a != nil {
			out = append(out, a)
		}
	}
	switch e.Action {
	case event.ActionLogin:
		if e.Outcome == "success" {
			raise(ruleLogin, fmt.Sprintf("%s logged in to %s as %q", e.Source.Addr(), e.Host, e.User))
		}
		s := g.source(e)
		s.tries++
		if len(s.users) < 1000 {
			s.users[e.User] = true
		}
		if len(s.users) >= sprayed {
			raise(ruleSpray, fmt.Sprintf("%s tried %d user names", e.Source.Addr(), len(s.users)))
		}
		if s.tries >= guessed {
			raise(ruleBrute, fmt.Sprintf("%s tried to log in %d times", e.Source.Addr(), s.tries))
		}
	case event.ActionCommandExecuted:
		raise(ruleCommand, fmt.Sprintf("%s runs commands on %s as %q", e.Source.Addr(), e.Host, e.User))
	case event.ActionFileCaptured:
		raise(ruleFile, fmt.Sprintf("%s left %q on %s (SHA-256 %.12s…)", e.Source.Addr(), e.Path, e.Host, e.SHA256))
	case event.ActionDownloadRequested:
		raise(ruleFetch, fmt.Sprintf("%s asked %s for %q", e.Source.Addr(), e.Host, e.URL))
	case event.ActionTunnelRequested:
		raise(ruleTunnel, fmt.Sprintf("%s tried to tunnel through %s", e.Source.Addr(), e.Host))
	}
	return out
}

// prefix counts IPv6 by /64.
func prefix(a netip.Addr) netip.Prefix {
	bits := 32
	if a = a.Unmap(); a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

func (g *Engine) source(e event.Event) *source {
	k := prefix(e.Source.Addr())
	s := g.sources[k]
	if s == nil || e.Time.Sub(s.first) > campaign {
		if len(g.sources) >= maxGroups {
			clear(g.sources)
			g.Evicted++
		}
		s = &source{users: map[string]bool{}, first: e.Time}
		g.sources[k] = s
	}
	return s
}

func (g *Engine) raise(r alert.Rule, e event.Event, title string) *alert.Alert {
	key := r.ID + " " + prefix(e.Source.Addr()).String()
	a := g.groups[key]
	if a == nil || e.Time.Sub(a.First) > campaign {
		if len(g.groups) >= maxGroups {
			clear(g.groups)
			g.Evicted++
		}
		a = &alert.Alert{ID: g.ids(key, e.Time), Key: key, Rule: r, Source: e.Source.Addr(), First: e.Time}
		g.groups[key] = a
	}
	a.Count++
	a.Last, a.Host, a.User, a.Title = e.Time, e.Host, e.User, title
	if e.Session != "" {
		a.Session = e.Session
	}
	if len(a.Events) < alert.MaxEvents {
		a.Events = append(a.Events, e.ID)
	}
	return a
}
