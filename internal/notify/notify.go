// Package notify tells people: by webhook, Slack, Teams, ntfy, mail and syslog.
//
// What is to be told is on disk before Tell returns, in a spool of its own for
// each target, and stays there until the target has taken it. A target gets each
// matter once an hour, not more than so many messages in ten minutes (the rest
// in one digest), and in quiet hours nothing but honeytokens and what a person
// has to know of lapwing itself.
package notify

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
)

// Kind is what a Message is about.
type Kind string

// The kinds.
const (
	Alert      Kind = "alert"
	Honeytoken Kind = "honeytoken" // never waits: not for quiet hours, not for a digest
	Decision   Kind = "decision"   // a block, a proposal
	Health     Kind = "health"     // of lapwing itself: does not wait for quiet hours
	Heartbeat  Kind = "heartbeat"
	Digest     Kind = "digest"
	Test       Kind = "test"
)

// Message is one thing to tell. Title and Text may hold what strangers wrote:
// they are made inert and cut before they are kept.
type Message struct {
	ID     string    `json:"id"`
	Time   time.Time `json:"@timestamp"`
	Kind   Kind      `json:"kind"`
	Level  string    `json:"level"` // Sigma's word
	Key    string    `json:"key"`   // of the matter: one key is told once an hour; empty: each time
	Title  string    `json:"title"` // one line, at most 200 bytes
	Text   string    `json:"text"`  // at most 4,000 bytes
	Fields []Field   `json:"fields,omitempty"`
}

// Field is a fact by its ECS name.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (m *Message) level() alert.Level {
	l, _ := alert.ParseLevel(m.Level)
	return l
}

// Limits of a message in bytes.
const (
	maxTitle  = 200
	maxText   = 4000
	maxFields = 40
	maxValue  = 500
)

// clean makes m harmless to show: no control characters but line ends, valid
// UTF-8, no more than the limits.
func (m *Message) clean() {
	m.Title = inert(m.Title, maxTitle, false)
	m.Text = inert(m.Text, maxText, true)
	m.Fields = m.Fields[:min(len(m.Fields), maxFields)]
	for i := range m.Fields {
		m.Fields[i].Name = inert(m.Fields[i].Name, 80, false)
		m.Fields[i].Value = inert(m.Fields[i].Value, maxValue, false)
	}
}

func inert(s string, limit int, lines bool) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\n' && lines:
		case r == '\t':
			r = ' '
		case r == utf8.RuneError || unicode.IsControl(r) || unicode.Is(unicode.Cf, r): // also what turns the direction of text
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > limit {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}

// Sender hands one message to where people read it. An error is why it could
// not be; ErrNever says that trying again is no use.
type Sender interface {
	Send(ctx context.Context, m *Message) error
}

// ErrNever says that a target will never take this message.
var ErrNever = errors.New("the target refuses this message for good")

// Policy is what a target wants to be told.
type Policy struct {
	MinLevel  alert.Level   // of alerts; honeytokens always
	Most      int           // messages in Per before the rest goes into one digest; 0 = 10
	Per       time.Duration // 0 = 10 min
	Again     time.Duration // a matter is told again after this; 0 = 1 h
	QuietFrom time.Duration // after midnight, local time
	QuietTo   time.Duration // equal to QuietFrom: no quiet hours
	Heartbeat time.Duration // 0: none
}

// defaults fills in what is not set.
func (p *Policy) defaults() {
	if p.Most == 0 {
		p.Most = 10
	}
	if p.Per == 0 {
		p.Per = 10 * time.Minute
	}
	if p.Again == 0 {
		p.Again = time.Hour
	}
}

// quiet tells whether t lies in quiet hours, and when they end.
func (p *Policy) quiet(t time.Time) (bool, time.Time) {
	if p.QuietFrom == p.QuietTo {
		return false, t
	}
	t = t.Local()
	day := time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, t.Location())
	for _, d := range []time.Time{day.AddDate(0, 0, -1), day} {
		from, to := d.Add(p.QuietFrom), d.Add(p.QuietTo)
		if p.QuietTo < p.QuietFrom {
			to = d.AddDate(0, 0, 1).Add(p.QuietTo)
		}
		if !t.Before(from) && t.Before(to) {
			return true, to
		}
	}
	return false, t
}

// urgent tells whether m passes quiet hours and rates.
func (m *Message) urgent() bool { return m.Kind == Honeytoken || m.Kind == Test }

// wanted tells whether the target is to be told of m at all.
func (p *Policy) wanted(m *Message) bool {
	return m.Kind != Alert || m.level() >= p.MinLevel
}

// Target is one place where people read.
type Target struct {
	Name   string
	Sender Sender
	Policy Policy
}

// Config is what New takes.
type Config struct {
	Dir     string // of the spools
	Targets []Target
	Clock   clock.Clock
	NewID   func() string // sorts by time: UUIDv7
	Host    string        // who speaks: observer.name
	// Secrets are taken out of errors before they are shown or kept.
	Secrets []string
	Limit   int // messages that one spool holds, 0 = 10,000
}

// Notifier tells people. Tell and Health may be called at any time.
type Notifier struct {
	c       Config
	targets []*target
}

// New opens the spools.
func New(c Config) (*Notifier, error) {
	if c.Limit == 0 {
		c.Limit = 10_000
	}
	n := &Notifier{c: c}
	for _, t := range c.Targets {
		t.Policy.defaults()
		s, err := openSpool(c.Dir, t.Name, c.Limit)
		if err != nil {
			return nil, fmt.Errorf("open the spool of %s: %w", t.Name, err)
		}
		n.targets = append(n.targets, &target{Target: t, n: n, spool: s, wake: make(chan struct{}, 1), told: map[string]time.Time{}})
	}
	return n, nil
}

// Tell keeps m for every target that wants it. An error names the spools that
// could not be written; the others have it.
func (n *Notifier) Tell(m Message) error {
	if m.ID == "" {
		m.ID = n.c.NewID()
	}
	if m.Time.IsZero() {
		m.Time = n.c.Clock.Now()
	}
	m.clean()
	var errs []error
	for _, t := range n.targets {
		if !t.Policy.wanted(&m) {
			continue
		}
		if err := t.spool.put(&m); err != nil {
			errs = append(errs, fmt.Errorf("keep a message for %s: %w", t.Name, err))
			continue
		}
		t.poke()
	}
	return errors.Join(errs...)
}

// Run sends until ctx ends.
func (n *Notifier) Run(ctx context.Context) {
	var wg sync.WaitGroup
	for _, t := range n.targets {
		wg.Go(func() { t.run(ctx) })
	}
	wg.Wait()
}

// Try sends a test to one target, or to all for "", past spool and policy. The
// result has one line for each.
func (n *Notifier) Try(ctx context.Context, name string) (map[string]error, error) {
	out := map[string]error{}
	for _, t := range n.targets {
		if name != "" && t.Name != name {
			continue
		}
		m := Message{
			ID: n.c.NewID(), Time: n.c.Clock.Now(), Kind: Test, Level: alert.Informational.String(), Title: "lapwing on " + n.c.Host + ": this is a test",
			Text: "Somebody asked for this message with \"lapwing notify test\". Nothing happened.",
		}
		m.clean()
		out[t.Name] = n.redact(t.send(ctx, &m))
	}
	if len(out) == 0 && name != "" {
		return nil, fmt.Errorf("there is no target %q under notify: in the configuration", name)
	}
	return out, nil
}

// redact takes secrets out of an error.
func (n *Notifier) redact(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, s := range n.c.Secrets {
		if len(s) > 3 {
			text = strings.ReplaceAll(text, s, "[secret]")
		}
	}
	if errors.Is(err, ErrNever) {
		return fmt.Errorf("%s%w", strings.TrimSuffix(text, ErrNever.Error()), ErrNever)
	}
	return errors.New(text)
}

// State is how a target is.
type State struct {
	Name    string    `json:"name"`
	Waiting int       `json:"waiting"`
	Sent    int64     `json:"sent"`
	Folded  int64     `json:"folded"`  // told in a digest, or not again within the hour
	Dropped int64     `json:"dropped"` // the oldest of a full spool
	Refused int64     `json:"refused"` // by the target, for good
	Last    time.Time `json:"last"`    // that it took something
	Error   string    `json:"error,omitempty"`
	Since   time.Time `json:"since,omitzero"` // that it fails
}

// Health tells how the targets are.
func (n *Notifier) Health() []State {
	out := make([]State, len(n.targets))
	for i, t := range n.targets {
		out[i] = t.state()
	}
	return out
}
