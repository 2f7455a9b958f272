package notify

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// How a target that fails is tried again.
const (
	firstRetry = 5 * time.Second
	lastRetry  = 15 * time.Minute
	sendTime   = 30 * time.Second
	readAtOnce = 500
	maxLines   = 20 // matters that a digest names
)

// target is one place with its spool.
type target struct {
	Target
	n     *Notifier
	spool *spool
	wake  chan struct{}

	told map[string]time.Time // when a matter was told last
	sent []time.Time          // the last ones, for the rate
	beat time.Time            // of the last heartbeat
	fold bool                 // something waits for a digest: what comes after it joins it

	mu    sync.Mutex
	stats State
}

func (t *target) poke() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *target) state() State {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Name = t.Name
	s.Waiting, s.Dropped = t.spool.count()
	return s
}

// run sends what the spool holds until ctx ends.
func (t *target) run(ctx context.Context) {
	wait := firstRetry
	for ctx.Err() == nil {
		next, err := t.round(ctx)
		if err != nil {
			next = wait
			wait = min(2*wait, lastRetry)
		} else {
			wait = firstRetry
		}
		pause, cancel := context.WithCancel(ctx)
		if err == nil { // new messages wake it; a target that fails is left alone for a while
			stop := make(chan struct{})
			go func() {
				select {
				case <-t.wake:
					cancel()
				case <-stop:
				}
			}()
			t.n.c.Clock.Sleep(pause, next) //nolint:errcheck // either way the spool is looked at
			close(stop)
		} else {
			t.n.c.Clock.Sleep(pause, next) //nolint:errcheck // as above
		}
		cancel()
	}
}

const longPause = time.Hour

// round sends what may be sent now. It gives the time until something waits to be looked at again.
func (t *target) round(ctx context.Context) (time.Duration, error) {
	now := t.n.c.Clock.Now()
	next, err := t.heartbeat(ctx, now)
	if err != nil {
		return 0, err
	}
	var rest []*Message
	for _, m := range t.spool.all(readAtOnce) {
		switch {
		case !m.urgent() && t.again(m, now):
			t.known(m)
		case m.urgent() || (!t.fold || m.Kind == Health) && t.free(m, now):
			if err := t.deliver(ctx, m, now); err != nil {
				return 0, err
			}
		default:
			rest = append(rest, m)
		}
	}
	if len(rest) == 0 {
		return next, nil
	}
	t.fold = true
	at := t.opens(now)
	if now.Before(at) {
		return min(next, at.Sub(now)), nil
	}
	if err := t.digest(ctx, rest, now); err != nil {
		return 0, err
	}
	t.fold = false
	return next, nil
}

// again tells whether the matter of m was told a short while ago.
func (t *target) again(m *Message, now time.Time) bool {
	at, ok := t.told[m.Key]
	return m.Key != "" && ok && now.Sub(at) < t.Policy.Again
}

// free tells whether m may go out by itself now.
func (t *target) free(m *Message, now time.Time) bool {
	if q, _ := t.Policy.quiet(now); q && m.Kind != Health && m.Kind != Heartbeat {
		return false
	}
	return len(t.recent(now)) < t.Policy.Most
}

func (t *target) recent(now time.Time) []time.Time {
	t.sent = slices.DeleteFunc(t.sent, func(at time.Time) bool { return now.Sub(at) >= t.Policy.Per })
	return t.sent
}

// opens is when a digest may go out: after the quiet hours, when the rate allows.
func (t *target) opens(now time.Time) time.Time {
	q, end := t.Policy.quiet(now)
	if q {
		return end
	}
	if r := t.recent(now); len(r) >= t.Policy.Most {
		return r[0].Add(t.Policy.Per)
	}
	return now
}

// known takes a matter off the spool that was told a short while ago.
func (t *target) known(m *Message) {
	if err := t.spool.done(m.ID); err != nil {
		t.failed(err)
		return
	}
	t.mu.Lock()
	t.stats.Folded++
	t.mu.Unlock()
}

// deliver sends m and takes it off the spool. One that the target refuses for
// good is taken off too, and counted.
func (t *target) deliver(ctx context.Context, m *Message, now time.Time) error {
	err := t.send(ctx, m)
	if err != nil && !errors.Is(err, ErrNever) {
		t.failed(err)
		return err
	}
	t.mu.Lock()
	if err != nil {
		t.stats.Refused++
		t.stats.Error = t.n.redact(err).Error()
	} else {
		t.stats.Sent++
		t.stats.Last, t.stats.Error, t.stats.Since = now, "", time.Time{}
	}
	t.mu.Unlock()
	t.sent = append(t.sent, now)
	t.note(m.Key, now)
	if err := t.spool.done(m.ID); err != nil { // it is sent twice rather than not at all
		t.failed(err)
		return err
	}
	return nil
}

const maxKeys = 10_000

// note remembers when a matter was told.
func (t *target) note(key string, now time.Time) {
	if key == "" {
		return
	}
	if len(t.told) >= maxKeys {
		maps.DeleteFunc(t.told, func(_ string, at time.Time) bool { return now.Sub(at) >= t.Policy.Again })
	}
	if len(t.told) < maxKeys {
		t.told[key] = now
	}
}

func (t *target) send(ctx context.Context, m *Message) error {
	ctx, cancel := context.WithTimeout(ctx, sendTime)
	defer cancel()
	return t.Sender.Send(ctx, m)
}

func (t *target) failed(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stats.Error = t.n.redact(err).Error()
	if t.stats.Since.IsZero() {
		t.stats.Since = t.n.c.Clock.Now()
	}
}

// digest tells of many messages in one.
func (t *target) digest(ctx context.Context, list []*Message, now time.Time) error {
	if len(list) == 1 {
		return t.deliver(ctx, list[0], now)
	}
	count, top := map[string]int{}, alert.Informational
	first := map[string]*Message{}
	var order []string
	for _, m := range list {
		k := m.Title
		if count[k]++; count[k] == 1 {
			order = append(order, k)
			first[k] = m
		}
		top = max(top, m.level())
	}
	slices.SortStableFunc(order, func(a, b string) int {
		if d := int(first[b].level()) - int(first[a].level()); d != 0 {
			return d
		}
		return count[b] - count[a]
	})
	var b strings.Builder
	for i, k := range order {
		if i == maxLines {
			fmt.Fprintf(&b, "and %d more matters: see \"lapwing alerts\"\n", len(order)-maxLines)
			break
		}
		fmt.Fprintf(&b, "%s: %s", first[k].Level, k)
		if count[k] > 1 {
			fmt.Fprintf(&b, " (%d times)", count[k])
		}
		b.WriteByte('\n')
	}
	d := &Message{
		ID: t.n.c.NewID(), Time: now, Kind: Digest, Level: top.String(), Title: fmt.Sprintf("lapwing on %s: %d messages in one", t.n.c.Host, len(list)), Text: b.String(),
	}
	d.clean()
	if err := t.send(ctx, d); err != nil && !errors.Is(err, ErrNever) {
		t.failed(err)
		return err
	}
	t.sent = append(t.sent, now)
	ids := make([]string, 0, len(list))
	for _, m := range list {
		ids = append(ids, m.ID)
		t.note(m.Key, now)
	}
	t.mu.Lock()
	t.stats.Sent++
	t.stats.Folded += int64(len(list))
	t.stats.Last, t.stats.Error, t.stats.Since = now, "", time.Time{}
	t.mu.Unlock()
	return t.spool.done(ids...)
}

// heartbeat tells that lapwing lives, so that its silence means something.
func (t *target) heartbeat(ctx context.Context, now time.Time) (time.Duration, error) {
	every := t.Policy.Heartbeat
	if every == 0 {
		return longPause, nil
	}
	if left := t.beat.Add(every).Sub(now); left > 0 {
		return min(left, longPause), nil
	}
	waiting, _ := t.spool.count()
	m := &Message{
		ID: t.n.c.NewID(), Time: now, Kind: Heartbeat, Level: alert.Informational.String(), Title: "lapwing on " + t.n.c.Host + " is watching",
		Text: fmt.Sprintf("The next of these comes within %s. Where it does not, look at that machine. %d messages wait to be told.", every, waiting),
	}
	m.clean()
	if err := t.send(ctx, m); err != nil && !errors.Is(err, ErrNever) {
		t.failed(err)
		return 0, err
	}
	t.beat = now
	return min(every, longPause), nil
}
