package token

import (
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// TestTime is how long an expectation lasts.
const TestTime = 2 * time.Second

// maxExpected bounds the expectations that are open at a time.
const maxExpected = 256

// Expectation says that a token is about to be tried on purpose: this one, from
// this address and port, now. A use that it names is a test; every other one,
// and a later one, is not.
type Expectation struct {
	ID     ID             `json:"id"`
	Source netip.AddrPort `json:"source"`
	From   time.Time      `json:"from"`
	Until  time.Time      `json:"until"`
	Who    string         `json:"who"`
}

// Sign gives an expectation as a text that only the master key makes.
func (m *Master) Sign(e Expectation) (string, error) {
	data, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("sign an expectation: %w", err)
	}
	b := base64.RawURLEncoding
	return b.EncodeToString(data) + "." + b.EncodeToString(m.mac("expect", data)), nil
}

var errForged = errors.New("this expectation was not signed here")

// verify reads what Sign gave.
func (m *Master) verify(text string) (e Expectation, err error) {
	b := base64.RawURLEncoding
	for i := range len(text) {
		if text[i] != '.' || len(text) > 4096 {
			continue
		}
		data, err1 := b.DecodeString(text[:i])
		mac, err2 := b.DecodeString(text[i+1:])
		if err1 != nil || err2 != nil || !hmac.Equal(mac, m.mac("expect", data)) {
			break
		}
		err := json.Unmarshal(data, &e)
		return e, err
	}
	return e, errForged
}

// Expected are the open expectations. It is safe for concurrent use.
type Expected struct {
	m *Master

	mu   sync.Mutex
	open map[string]*pending // by the signed text
}

type pending struct {
	Expectation
	seen chan struct{} // closed by the first use
	at   time.Time
	by   By
}

// NewExpected makes an Expected without expectations.
func NewExpected(m *Master) *Expected { return &Expected{m: m, open: map[string]*pending{}} }

// Open takes a signed expectation; now is when.
func (x *Expected) Open(text string, now time.Time) error {
	e, err := x.m.verify(text)
	if err != nil {
		return err
	}
	if now.After(e.Until) || e.Until.Sub(e.From) > TestTime {
		return errors.New("this expectation is over")
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for k, p := range x.open {
		if now.Sub(p.Until) > time.Minute { // its event may still be under way
			delete(x.open, k)
		}
	}
	if len(x.open) >= maxExpected {
		return fmt.Errorf("%d tests are open, which is the limit: wait a minute", len(x.open))
	}
	if x.open[text] == nil {
		x.open[text] = &pending{Expectation: e, seen: make(chan struct{})}
	}
	return nil
}

// Meets tells of a use that it was expected, and by whom: this token, from this
// address and port, at a time within the expectation.
func (x *Expected) Meets(id ID, source netip.AddrPort, at time.Time, by By) (who string, met bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, p := range x.open {
		// Events have their time in milliseconds.
		if p.ID != id || p.Source != source || at.Before(p.From.Truncate(time.Millisecond)) || at.After(p.Until) {
			continue
		}
		if p.at.IsZero() {
			p.at, p.by = at, by
			close(p.seen)
		}
		who, met = p.Who, true
	}
	return who, met
}

// Seen is closed once the use that a signed text expects was seen; When then
// says at which time and by what.
func (x *Expected) Seen(text string) (<-chan struct{}, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.open[text]
	if p == nil {
		return nil, false
	}
	return p.seen, true
}

// Met is how a use that was expected came.
type Met struct {
	From time.Time // of the expectation
	At   time.Time // of the event
	By   By
}

// When tells of a use that was expected; the zero Met where it was not seen.
func (x *Expected) When(text string) Met {
	x.mu.Lock()
	defer x.mu.Unlock()
	p := x.open[text]
	if p == nil || p.at.IsZero() {
		return Met{}
	}
	return Met{p.From, p.at, p.by}
}
