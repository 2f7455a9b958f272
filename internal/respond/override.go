package respond

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// ErrNothingOpen says that no change of policy waits for a confirmation.
var ErrNothingOpen = errors.New("no change of the policy waits for a confirmation")

// ConfirmWithin is how long a change of policy holds unless it is confirmed.
const ConfirmWithin = 120 * time.Second

// fingerprint names the policy of the configuration.
func (e *Engine) fingerprint() string {
	data, err := json.Marshal(e.configured)
	if err != nil {
		return ""
	}
	h := sha256.Sum256(data)
	return hex.EncodeToString(h[:8])
}

// chooseOverride decides at start which policy is in force: what was set while
// running holds as long as the configuration says what it said then; a panic
// holds in any case.
func (e *Engine) chooseOverride(now time.Time) {
	o := e.override
	if o == nil {
		return
	}
	if !o.Until.IsZero() { // nobody confirmed it before the end
		if end := o.At.Add(ConfirmWithin); o.Until.After(end) || o.Until.After(now.Add(ConfirmWithin)) {
			o.Until = now
		}
		e.enact()
		if !o.Until.After(now) {
			e.back(now, "nobody confirmed it before the program ended")
		}
		return
	}
	if !o.Panic && o.Over != e.fingerprint() {
		e.setOverride(&Override{Actor: ActorPolicy, At: now, Over: e.fingerprint()})
		e.note(Fact{Act: "policy", Actor: ActorPolicy, Why: "the configuration's, which has changed"})
		return
	}
	e.enact()
}

// setOverride keeps o and decides by it from now on.
func (e *Engine) setOverride(o *Override) {
	e.override = o
	c := *o
	e.write(&Record{Override: &c})
	e.enact()
}

func (e *Engine) enact() {
	e.policy = e.configured
	if e.override != nil && e.override.Policy != nil {
		e.policy = e.override.Policy.filled()
	}
}

// SetPolicy decides by p (nil: by the configuration's policy) from now on, for
// ConfirmWithin: unless Confirm is called before, the policy before it comes back
// and what was blocked meanwhile by no person is lifted. It ends a panic.
func (e *Engine) SetPolicy(p *Policy, actor string) Override {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	o := &Override{Policy: p, Actor: actor, At: now, Over: e.fingerprint(), Until: now.Add(ConfirmWithin)}
	if before := e.override; before != nil {
		if !before.Until.IsZero() {
			before = before.Before
		}
		if before != nil {
			c := *before
			c.Before = nil
			o.Before = &c
		}
	}
	e.setOverride(o)
	text, err := json.Marshal(e.policy)
	if err != nil {
		text = []byte(err.Error())
	}
	e.note(Fact{Act: "policy", Actor: actor, Why: string(text)})
	e.tell(Notice{Kind: "policy", Text: fmt.Sprintf("%q changed the policy; unless it is confirmed by %s, the one before comes back", short(actor), o.Until.UTC().Format(time.RFC3339))})
	return *o
}

// Confirm makes the last SetPolicy last.
func (e *Engine) Confirm(actor string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tick()
	if e.override == nil || e.override.Until.IsZero() {
		return ErrNothingOpen
	}
	o := *e.override
	o.Until, o.Before = time.Time{}, nil
	e.setOverride(&o)
	e.note(Fact{Act: "confirm", Actor: actor})
	return nil
}

// Revert ends a change of policy that is not confirmed.
func (e *Engine) Revert(actor string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.tick()
	if e.override == nil || e.override.Until.IsZero() {
		return ErrNothingOpen
	}
	e.back(now, fmt.Sprintf("%q took it back", short(actor)))
	return nil
}

// back brings the policy before the unconfirmed one back, and lifts what that one
// blocked.
func (e *Engine) back(now time.Time, why string) {
	tried := *e.override
	before := tried.Before
	if before == nil {
		before = &Override{Actor: ActorPolicy, Over: e.fingerprint()}
	}
	e.setOverride(before)
	lifted := 0
	for _, d := range e.byID {
		if d.live() && d.Mode != Observe && d.Actor == ActorPolicy && !d.Made.Before(tried.At) {
			e.lower(d, Undone, ActorPolicy, "the policy that it follows from was taken back", now)
			e.note(Fact{Act: "undo", Actor: ActorPolicy, Target: d.Prefix.String(), Rule: d.Rule, ID: d.ID, Why: d.EndWhy})
			lifted++
		}
	}
	text := fmt.Sprintf("the policy of %s was taken back: %s; %d of its blocks and proposals are lifted", tried.At.UTC().Format(time.RFC3339), why, lifted)
	e.note(Fact{Act: "revert", Actor: ActorPolicy, Why: text})
	e.tell(Notice{Kind: "policy", Text: text})
}
