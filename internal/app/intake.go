//go:build unix

package app

import (
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// passwordField carries a typed password from the worker to the hub, and no further.
const passwordField = "lapwing.password.text"

// forgedField keeps the exercise that an event from a real interface claimed to
// belong to. Nothing of an exercise comes that way: a shipped rule is loud about
// it, and all others judge the event as ever.
const forgedField = "lapwing.exercise.forged"

// passwordNames begin the names that stamp changes or takes away.
const passwordNames = "lapwing.password."

// intake is what the hub does to every event before it is written anywhere.
type intake struct {
	observer  string
	passwords string // hmac, full, none
	key       []byte
	now       func() time.Time
}

// quick is stamp for a line that need not be decoded for it.
func (in *intake) quick(dst, line []byte, now time.Time) ([]byte, bool) {
	s := event.Stamp{Observer: in.observer, Ingested: now.Truncate(time.Millisecond), Decode: passwordNames}
	return s.Append(dst, line)
}

// stamp rewrites an event: the sensor's name and the time of arrival are ours to
// say, a password text does not pass.
func (in *intake) stamp(e *event.Event, now time.Time) {
	e.Observer = in.observer
	e.Ingested = now.Truncate(time.Millisecond)
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
	if forged != "" {
		kept = append(kept, event.Field{Name: forgedField, Value: event.String(forged)})
	}
	e.Extra = kept
}
