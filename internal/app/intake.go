//go:build unix

package app

import (
	"cmp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/token"
)

// passwordField carries a typed password from the worker to the hub, and no further.
const passwordField = "lapwing.password.text"

// forgedField keeps the exercise that an event from a real interface claimed to
// belong to. Nothing of an exercise comes that way: a shipped rule is loud about
// it, and all others judge the event as ever.
const forgedField = "lapwing.exercise.forged"

// decoded begin the names that stamp changes, takes away or looks at: those of
// passwords, those by which the use of a token is recognised, and those that
// only the hub may write.
var decoded = []string{
	"lapwing.password.", "lapwing.login.", "lapwing.ssh.public_key", token.Fields, "lapwing.database", "lapwing.source", "lapwing.verdict.", "lapwing.track.", "rule.",
	"url.", "dns.question.", "http.request.referrer", "tls.client.x509.", "tls.client.server_name", "user.target.", "user.email", "email.", "cloud.", "database.",
}

// verdictField keeps the rule of a verdict that a sensor claimed to have reached.
// Only the process that reads logs reaches verdicts; decoys report facts. A
// shipped rule is loud about it.
const verdictField = "lapwing.verdict.forged"

// intake is what the hub does to every event before it is written anywhere.
type intake struct {
	observer  string
	passwords string // hmac, full, none
	key       []byte
	tokens    *token.Watch // nil: there are none
	now       func() time.Time
	refused   atomic.Uint64 // verdicts from those who reach none
}

// refuse takes from an event of a decoy what only the process that reads logs may
// say, and gives the rule that it named; empty: it said nothing of the kind.
func (in *intake) refuse(e *event.Event) (rule string) {
	said := e.Kind == kindVerdict
	if said {
		e.Kind = "event"
	}
	e.Extra = slices.DeleteFunc(e.Extra, func(f event.Field) bool {
		is := strings.HasPrefix(f.Name, "rule.") || strings.HasPrefix(f.Name, "lapwing.source") || strings.HasPrefix(f.Name, "lapwing.track.") ||
			strings.HasPrefix(f.Name, "lapwing.verdict.")
		if said = said || is; f.Name == "rule.id" || f.Name == "rule.name" {
			rule = f.Value.Text()
		}
		return is
	})
	if !said {
		return ""
	}
	in.refused.Add(1)
	return cmp.Or(rule, "none")
}

// quick is stamp for a line that need not be decoded for it.
func (in *intake) quick(dst, line []byte, now time.Time) ([]byte, bool) {
	s := event.Stamp{Observer: in.observer, Ingested: now.Truncate(time.Millisecond), Decode: decoded, Kind: kindVerdict}
	return s.Append(dst, line)
}

// stamp rewrites an event: the sensor's name and the time of arrival are ours to
// say, a password text does not pass. Before that, it tells whether a token is
// recognised by it: nobody else sees the password beside the master key.
func (in *intake) stamp(e *event.Event, now time.Time) {
	refused := in.refuse(e)
	e.Observer = in.observer
	e.Ingested = now.Truncate(time.Millisecond)
	e.Extra = slices.DeleteFunc(e.Extra, func(f event.Field) bool {
		return strings.HasPrefix(f.Name, token.Fields) && f.Name != token.IDField
	})
	if in.tokens != nil {
		in.tokens.Mark(e)
	}
	forged := e.Exercise
	e.Exercise = ""                                // known by where it runs, never by content
	kept := make([]event.Field, 0, len(e.Extra)+4) // a password becomes up to four
	for _, f := range e.Extra {
		if f.Name != passwordField {
			if f.Name != "lapwing.password.hmac" && f.Name != forgedField { // the hub's to say
				kept = append(kept, f)
			}
			continue
		}
		text := f.Value.Text()
		switch in.passwords {
		case "full":
			kept = append(kept, event.Field{Name: "lapwing.password.value", Value: f.Value})
			fallthrough
		case "hmac":
			kept = append(kept, event.Field{Name: "lapwing.password.hmac", Value: event.String(passwordHash(in.key, text))})
		}
		kept = append(kept,
			event.Field{Name: "lapwing.password.length", Value: event.Int(passwordLength(text))},
			event.Field{Name: "lapwing.password.class", Value: event.String(passwordClass(text))})
	}
	if refused != "" {
		kept = append(kept, event.Field{Name: verdictField, Value: event.String(refused)})
	}
	if forged != "" {
		kept = append(kept, event.Field{Name: forgedField, Value: event.String(forged)})
	}
	e.Extra = kept
}
