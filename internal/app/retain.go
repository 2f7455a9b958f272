//go:build unix

package app

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/keep"
)

const (
	retainEvery  = time.Hour
	retainFirst  = time.Minute       // after the start
	copyAhead    = 48 * time.Hour    // a held event is copied so long before it expires
	stateKeep    = 49 * time.Hour    // of the judge: what is older groups nothing any more
	orphanGrace  = 24 * time.Hour    // a recording without a session in the index
	maxHeldEvent = event.MaxLine * 2 // bytes of a line that is read back
)

// retain removes what is older than the configuration says, every hour, until
// the returned function is called.
func (k *desk) retain(ctx context.Context, r config.Retention) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		t := time.NewTimer(retainFirst)
		defer t.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
				if err := k.expire(ctx, r, time.Now()); err != nil && ctx.Err() == nil {
					k.slog.Error("what is too old could not be removed; it is tried again in an hour", "error", err)
				}
				t.Reset(retainEvery)
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// expire removes what was too old at now. First it copies events that are on
// hold and about to leave the event log.
func (k *desk) expire(ctx context.Context, r config.Retention, now time.Time) error {
	k.acts.Lock()
	defer k.acts.Unlock()
	if err := k.copyHeld(ctx, now.Add(copyAhead-r.Raw)); err != nil {
		return err
	}
	or := func(d time.Duration) time.Duration {
		if d == 0 {
			return r.Raw
		}
		return d
	}
	gone, err := k.book.Expire(ctx, casebook.Cuts{
		Cases: now.Add(-r.Cases), Sessions: now.Add(-or(r.Recordings)), Captures: now.Add(-or(r.Captures)), States: now.Add(-stateKeep),
	})
	if err != nil {
		return err
	}
	if err := k.removeFiles(gone); err != nil {
		return err
	}
	return k.orphans(ctx, now.Add(-or(r.Recordings)-orphanGrace))
}

// removeFiles removes the files of what is gone from the casebook.
func (k *desk) removeFiles(gone casebook.Gone) error {
	var errs []error
	for _, id := range gone.Sessions {
		if name, err := k.dir.sessionFile(id); err == nil {
			if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
				errs = append(errs, fmt.Errorf("remove a recording: %w", err))
			}
		}
	}
	for _, sum := range gone.Captures {
		errs = append(errs, k.vault.Delete(sum))
	}
	return errors.Join(errs...)
}

// orphans removes recordings that no session in the index belongs to.
func (k *desk) orphans(ctx context.Context, before time.Time) error {
	files, err := os.ReadDir(k.dir.recordings())
	if err != nil {
		return fmt.Errorf("look through the recordings: %w", err)
	}
	for _, f := range files {
		id, ok := strings.CutSuffix(f.Name(), ".cast")
		in, err := f.Info()
		if !ok || err != nil || in.ModTime().After(before) {
			continue
		}
		known := false
		if err := k.book.Sessions(ctx, casebook.Query{ID: id}, func(*casebook.Session) error { known = true; return nil }); err != nil {
			return err
		}
		if !known {
			if err := os.Remove(filepath.Join(k.dir.recordings(), f.Name())); err != nil {
				return fmt.Errorf("remove a recording: %w", err)
			}
		}
	}
	return nil
}

// heldFile is where the events of a source on hold are kept beyond the event
// log's time. Its name says nothing to who has no key.
func (k *desk) heldFile(s casebook.Source) string {
	return filepath.Join(k.dir.held(), k.alias(s)+".ndjson")
}

// alias stands for a source in what must not name it.
func (k *desk) alias(s casebook.Source) string {
	m := hmac.New(sha256.New, k.site)
	m.Write([]byte("source\x00" + s.String()))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// sourceQuery asks the event log for what a source did.
func sourceQuery(s casebook.Source) (eventlog.Expr, error) {
	if id := s.Session(); id != "" {
		return eventlog.Is("lapwing.session.id", id), nil
	}
	if p := s.Net(); p.Addr().Is4() {
		return eventlog.Is("source.ip", p.Addr().String()), nil
	}
	e, _, err := eventlog.Parse("source.ip:" + strconv.Quote(s.Net().String()))
	return e, err
}

// copyHeld appends events of sources on hold that are older than until and
// not copied yet to their files.
func (k *desk) copyHeld(ctx context.Context, until time.Time) error {
	holds, err := k.book.Holds(ctx)
	if err != nil {
		return err
	}
	for _, h := range holds {
		if !h.Copied.Before(until) {
			continue
		}
		q := keep.Query{Query: eventlog.Query{Range: eventlog.Range{From: h.Copied, To: until}}}
		if q.Where, err = sourceQuery(h.Source); err != nil {
			return err
		}
		var lines []byte
		if err := k.Read(ctx, q, func(line []byte) error { lines = append(append(lines, line...), '\n'); return nil }); err != nil {
			return fmt.Errorf("keep events that are on hold: %w", err)
		}
		if err := k.appendHeld(h.Source, lines); err != nil {
			return err
		}
		h.Copied = until
		if err := k.book.Hold(ctx, h); err != nil {
			return err
		}
	}
	return nil
}

func (k *desk) appendHeld(s casebook.Source, lines []byte) error {
	if len(lines) == 0 {
		return nil
	}
	f, err := os.OpenFile(k.heldFile(s), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("keep events that are on hold: %w", err)
	}
	_, err = f.Write(lines)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("keep events that are on hold: %w", err)
	}
	return nil
}

// held calls fn with the events of a source that were copied.
func (k *desk) held(s casebook.Source, fn func(line []byte) error) error {
	f, err := os.Open(k.heldFile(s))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 64<<10), maxHeldEvent)
	for sc.Scan() {
		if err := fn(sc.Bytes()); err != nil {
			return err
		}
	}
	return sc.Err()
}

// filterFile rewrites a file of events without those that drop says so of.
func filterFile(name string, drop func(event.Event) bool) error {
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	removed := 0
	var out bytes.Buffer
	sc := bufio.NewScanner(f)
	sc.Buffer(make([]byte, 64<<10), maxHeldEvent)
	for sc.Scan() {
		if e, err := event.Decode(sc.Bytes()); err == nil && drop(e) {
			removed++
			continue
		}
		out.Write(sc.Bytes())
		out.WriteByte('\n')
	}
	if err := sc.Err(); err != nil || removed == 0 {
		return err
	}
	return durable.WriteFile(name, out.Bytes())
}
