//go:build unix

package app

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/host"
)

// Forgotten is what a forget removed.
type Forgotten struct {
	Source     string `json:"source"`
	Events     int64  `json:"events"`
	Alerts     int64  `json:"alerts"`
	Sessions   int64  `json:"sessions"`
	Recordings int64  `json:"recordings"`
	Captures   int64  `json:"captures"` // files that only this source left
	States     int64  `json:"states"`   // of fake hosts as this source had changed them
	// Decisions is how many entries of the audit log do not name the source any more.
	Decisions int `json:"decisions"`
}

const forgetWait = 2 * time.Minute

// postForget removes everything of a source: what is forgotten is gone, in
// the files, too.
func (k *desk) postForget(w *lineWriter, r *http.Request) error {
	o, err := readOrder(r)
	if err != nil {
		return err
	}
	k.acts.Lock()
	defer k.acts.Unlock()
	if err := k.free(r.Context(), o.source); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(r.Context(), forgetWait)
	defer cancel()
	f, err := k.forget(ctx, o.source)
	result := "success"
	if err != nil {
		result = "failure"
	}
	// The act is written down without the source's name: a keyed hash of it
	// lets the operator show later that it was done.
	why := strings.ReplaceAll(o.why, o.source.String(), "[source]")
	if addr := o.source.Net().Addr(); addr.IsValid() {
		why = strings.ReplaceAll(why, addr.String(), "[source]")
	}
	act := casebook.Act{At: time.Now(), Who: o.who, Act: "forget", Target: "hmac:" + k.alias(o.source), Why: why, Result: result}
	if nerr := k.book.Note(r.Context(), act); err == nil {
		err = nerr
	}
	if err != nil {
		return fmt.Errorf("forget %s: %w; not everything may be gone: run it again", o.source, err)
	}
	return w.json(f)
}

// free refuses where something of the source is on hold.
func (k *desk) free(ctx context.Context, s casebook.Source) error {
	holds, err := k.book.Holds(ctx)
	if err != nil {
		return err
	}
	for _, h := range holds {
		hit := h.Source == s
		if !hit && h.Source.Session() != "" || !hit && s.Session() != "" {
			sess := casebook.Query{ID: h.Source.Session() + s.Session()}
			if err := k.book.Sessions(ctx, sess, func(x *casebook.Session) error {
				hit = hit || h.Source.Has(x.Source) || s.Has(x.Source)
				return nil
			}); err != nil {
				return err
			}
		}
		if hit {
			why := ""
			if h.Why != "" {
				why = " (" + h.Why + ")"
			}
			return refuse(http.StatusConflict, "%s is on hold since %s, by %s%s: nothing was removed; lapwing hold %s --release ends the hold", h.Source, h.At.UTC().Format("2006-01-02 15:04"), h.Who, why, h.Source)
		}
	}
	return nil
}

// forget removes a source everywhere. The order makes sure that nothing comes
// back: first all is where it belongs, then it goes, and the journal last.
func (k *desk) forget(ctx context.Context, s casebook.Source) (*Forgotten, error) {
	f := &Forgotten{Source: s.String()}
	where, err := sourceQuery(s)
	if err != nil {
		return nil, err
	}
	if addr := s.Net().Addr(); addr.IsValid() {
		n, err := k.visitors.Forget(host.Key(addr))
		if err != nil {
			return nil, err
		}
		f.States = int64(n)
	}
	turn, err := k.spool.Turn(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.judge.settle(ctx); err != nil {
		return nil, err
	}
	if err := k.keeper.Settle(ctx); err != nil {
		return nil, err
	}
	if f.Events, err = k.log.Count(ctx, eventlog.Query{Where: where}); err != nil {
		return nil, err
	}
	if f.Events > 0 {
		if err := k.log.Forget(ctx, where); err != nil {
			return nil, err
		}
	}
	if err := k.spool.Release(turn); err != nil {
		return nil, err
	}
	gone, err := k.judge.forget(ctx, s, "hmac:"+k.alias(s))
	if err != nil {
		return nil, err
	}
	if net := s.Net(); net.IsValid() {
		if f.Decisions, err = k.forgetBlocks(net); err != nil {
			return nil, err
		}
	}
	f.Alerts, f.Sessions, f.Captures = gone.Alerts, int64(len(gone.Sessions)), int64(len(gone.Captures))
	f.Recordings = k.countRecordings(gone.Sessions)
	if err := k.removeFiles(gone); err != nil {
		return nil, err
	}
	return f, k.forgetFiles(s)
}

func (k *desk) countRecordings(sessions []string) (n int64) {
	for _, id := range sessions {
		if name, err := k.dir.sessionFile(id); err == nil {
			if _, err := os.Stat(name); err == nil {
				n++
			}
		}
	}
	return n
}

// forgetFiles removes a source from the files of events.
func (k *desk) forgetFiles(s casebook.Source) error {
	drop := func(e event.Event) bool {
		return s.Session() != "" && e.Session == s.Session() || s.Has(e.Source.Addr())
	}
	if err := filterFile(k.dir.aside(), drop); err != nil {
		return fmt.Errorf("forget what was put aside: %w", err)
	}
	if s.Session() == "" {
		if err := os.Remove(k.heldFile(s)); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("forget copied events: %w", err)
		}
		return nil
	}
	files, err := os.ReadDir(k.dir.held())
	if err != nil {
		return fmt.Errorf("forget copied events: %w", err)
	}
	for _, f := range files {
		if err := filterFile(k.dir.Path("held", f.Name()), drop); err != nil {
			return fmt.Errorf("forget copied events: %w", err)
		}
	}
	return nil
}
