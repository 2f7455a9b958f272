//go:build unix

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/notify"
	"github.com/lapwing-defence/lapwing/internal/vault"
	"github.com/lapwing-defence/lapwing/internal/visitors"
)

// desk is where operators ask and act: the handler of the local API for
// everything but events. The hub serves it; on a stopped data directory a
// command serves it to itself, so that both answer alike.
type desk struct {
	*archive
	deskParts
	site []byte // key
	slog *slog.Logger
	acts sync.Mutex // one forget, export, backup or retention run at a time
}

// deskParts is what a desk needs beside the archive.
type deskParts struct {
	dir      Dir
	vault    *vault.Vault
	visitors *visitors.Store
	tokens   *tokens
	running  bool             // this is the hub
	notify   *notify.Notifier // nil: nobody is to be told
}

// openDesk opens those of the parts that nobody has opened yet.
func (a *archive) openDesk(p deskParts, log *slog.Logger) (*desk, error) {
	d := p.dir
	k := &desk{archive: a, deskParts: p, slog: log}
	err := os.MkdirAll(d.held(), 0o700)
	if k.vault == nil && err == nil {
		var key []byte
		if key, err = d.key("vault"); err == nil {
			k.vault, err = vault.Open(d.captures(), key, 0)
		}
	}
	if err == nil && k.visitors == nil {
		// The limits are the running instance's to keep: none is enforced here.
		k.visitors, err = d.openVisitors(config.Visitors{Keep: 10 * 365 * 24 * time.Hour, Max: 1 << 30, Quota: 1 << 50})
	}
	if err == nil {
		k.site, err = d.key("site")
	}
	if k.tokens == nil && err == nil {
		k.tokens, err = d.openTokens()
	}
	if log == nil {
		k.slog = slog.New(slog.DiscardHandler)
	}
	return k, err
}

// Ask says which alerts, sessions or captures are wanted. The zero Ask wants all.
type Ask struct {
	ID     string // the beginning of an id or SHA-256
	Since  time.Time
	Level  string // at least; of alerts
	Source string
	Last   int
}

func (a Ask) encode() url.Values {
	v := url.Values{}
	for name, s := range map[string]string{"id": a.ID, "level": a.Level, "source": a.Source} {
		if s != "" {
			v.Set(name, s)
		}
	}
	if !a.Since.IsZero() {
		v.Set("since", a.Since.UTC().Format(time.RFC3339Nano))
	}
	if a.Last > 0 {
		v.Set("last", strconv.Itoa(a.Last))
	}
	return v
}

func decodeAsk(v url.Values) (q casebook.Query, err error) {
	q.ID = v.Get("id")
	if s := v.Get("since"); s != "" {
		if q.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return q, err
		}
	}
	if s := v.Get("level"); s != "" {
		var ok bool
		if q.Level, ok = alert.ParseLevel(s); !ok {
			return q, fmt.Errorf("level %.20q: use one of informational, low, medium, high, critical", s)
		}
	}
	if s := v.Get("source"); s != "" {
		if q.Source, err = casebook.ParseSource(s); err != nil {
			return q, err
		}
	}
	if s := v.Get("last"); s != "" {
		q.Last, err = strconv.Atoi(s)
	}
	return q, err
}

// Session is a line of GET /sessions.
type Session struct {
	ID       string     `json:"lapwing.session.id"`
	Start    time.Time  `json:"@timestamp"`
	End      *time.Time `json:"lapwing.session.end,omitempty"`
	Source   netip.Addr `json:"source.ip"`
	Host     string     `json:"lapwing.host"`
	Decoy    string     `json:"lapwing.decoy"`
	User     string     `json:"user.name"`
	Kind     string     `json:"lapwing.session.kind"`
	Commands int64      `json:"lapwing.session.commands"`
	Files    int64      `json:"lapwing.session.captures"`
	Depth    int        `json:"lapwing.session.depth"`
}

// Capture is a line of GET /captures.
type Capture struct {
	SHA256  string     `json:"file.hash.sha256"`
	Size    int64      `json:"file.size"` // bytes
	Path    string     `json:"file.path"`
	Source  netip.Addr `json:"source.ip"`
	Host    string     `json:"lapwing.host"`
	Session string     `json:"lapwing.session.id"`
	Count   int64      `json:"count"`
	First   time.Time  `json:"@timestamp"`
	Last    time.Time  `json:"last"`

	Findings []Finding `json:"findings,omitempty"`
}

// Finding is what a scan found in a captured file; without a rule, why the
// scan did not come to its end.
type Finding struct {
	Rule        string `json:"rule.name,omitempty"`
	Level       string `json:"rule.level,omitempty"`
	Category    string `json:"rule.category,omitempty"`
	Description string `json:"rule.description,omitempty"`
}

// handle adds the desk's pages.
func (k *desk) handle(mux *http.ServeMux) {
	mux.HandleFunc("GET /alerts", k.page(k.getAlerts))
	mux.HandleFunc("GET /alerts/{id}", k.page(k.getAlert))
	mux.HandleFunc("GET /feed", k.page(k.getFeed))
	mux.HandleFunc("GET /sessions", k.page(func(w *lineWriter, r *http.Request) error {
		return k.ask(r, func(ctx context.Context, q casebook.Query) error {
			return k.book.Sessions(ctx, q, func(s *casebook.Session) error { return w.json(sessionLine(s)) })
		})
	}))
	mux.HandleFunc("GET /captures", k.page(func(w *lineWriter, r *http.Request) error {
		return k.ask(r, func(ctx context.Context, q casebook.Query) error {
			return k.book.Captures(ctx, q, func(c *casebook.Capture) error { return w.json(captureLine(c)) })
		})
	}))
	k.handleBlocks(mux)
	mux.HandleFunc("GET /holds", k.page(k.getHolds))
	mux.HandleFunc("GET /acts", k.page(k.getActs))
	mux.HandleFunc("POST /hold", k.page(k.postHold))
	mux.HandleFunc("POST /forget", k.page(k.postForget))
	mux.HandleFunc("POST /export", k.stream(k.postExport))
	mux.HandleFunc("POST /backup", k.stream(k.postBackup))
	k.handleTokens(mux)
}

func sessionLine(s *casebook.Session) *Session {
	l := &Session{ID: s.ID, Start: s.Start, Source: s.Source, Host: s.Host, Decoy: s.Decoy, User: s.User, Kind: s.Kind, Commands: s.Commands, Files: s.Files, Depth: s.Depth}
	if !s.End.IsZero() {
		l.End = &s.End
	}
	return l
}

func captureLine(c *casebook.Capture) *Capture {
	l := &Capture{SHA256: c.SHA256, Size: c.Size, Path: c.Path, Source: c.Source, Host: c.Host, Session: c.Session, Count: c.Count, First: c.First, Last: c.Last}
	for _, f := range c.Findings {
		l.Findings = append(l.Findings, Finding(f))
	}
	return l
}

// refusal is an error that the asker is told with a status of its own.
type refusal struct {
	status int
	text   string
}

// Error is the text.
func (r refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return refusal{status, fmt.Sprintf(format, args...)}
}

// lineWriter writes lines of JSON.
type lineWriter struct {
	w   http.ResponseWriter
	buf []byte
	any bool
}

func (l *lineWriter) json(v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return l.line(data)
}

func (l *lineWriter) line(data []byte) error {
	if l.buf = append(append(l.buf, data...), '\n'); len(l.buf) > 32<<10 {
		return l.flush()
	}
	return nil
}

func (l *lineWriter) begin() {
	if !l.any {
		l.any = true
		l.w.Header().Set("Content-Type", "application/x-ndjson")
		l.w.Header().Set("Trailer", errorTrailer)
		l.w.WriteHeader(http.StatusOK)
	}
}

func (l *lineWriter) flush() error {
	l.begin()
	_, err := l.w.Write(l.buf)
	l.buf = l.buf[:0]
	return errors.Join(err, http.NewResponseController(l.w).Flush())
}

// page answers with lines; an error before the first has a status, a later
// one is told in the trailer.
func (k *desk) page(fn func(*lineWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		l := &lineWriter{w: w}
		err := fn(l, r)
		if err != nil && !l.any {
			answerError(w, err)
			return
		}
		if ferr := l.flush(); err == nil {
			err = ferr
		}
		if err != nil && r.Context().Err() == nil {
			w.Header().Set(errorTrailer, strconv.QuoteToASCII(err.Error()))
		}
	}
}

func answerError(w http.ResponseWriter, err error) {
	status := http.StatusInternalServerError
	var no refusal
	switch {
	case errors.As(err, &no):
		status = no.status
	case errors.Is(err, casebook.ErrNotFound), errors.Is(err, casebook.ErrAmbiguous):
		status = http.StatusNotFound
	}
	http.Error(w, err.Error(), status)
}

// ask runs a query once everything that is acknowledged is judged.
func (k *desk) ask(r *http.Request, fn func(context.Context, casebook.Query) error) error {
	q, err := decodeAsk(r.URL.Query())
	if err != nil {
		return refuse(http.StatusBadRequest, "%v", err)
	}
	if err := k.judged(r.Context()); err != nil {
		return err
	}
	return fn(r.Context(), q)
}

const judgedWait = 10 * time.Second

// judged waits until what is acknowledged is judged, but not for long: under a
// flood an answer that is a little old is better than none.
func (k *desk) judged(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, judgedWait)
	defer cancel()
	if err := k.judge.settle(wait); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

func (k *desk) getAlerts(w *lineWriter, r *http.Request) error {
	return k.ask(r, func(ctx context.Context, q casebook.Query) error {
		return k.book.Alerts(ctx, q, func(a *alert.Alert) error { return w.alert(a) })
	})
}

func (l *lineWriter) alert(a *alert.Alert) error {
	line, err := a.AppendJSON(nil)
	if err != nil {
		return err
	}
	return l.line(line)
}

func (k *desk) getAlert(w *lineWriter, r *http.Request) error {
	if err := k.judged(r.Context()); err != nil {
		return err
	}
	a, err := k.book.Alert(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return w.alert(a)
}

// getFeed gives alerts as they come.
func (k *desk) getFeed(w *lineWriter, r *http.Request) error {
	alerts, missed, stop := k.judge.feed()
	defer stop()
	if err := w.flush(); err != nil {
		return err
	}
	for {
		select {
		case <-r.Context().Done():
			return nil
		case a := <-alerts:
			if n := missed(); n > 0 {
				if err := w.json(map[string]any{"event.kind": "state", "event.action": "alerts-not-shown", "count": n}); err != nil {
					return err
				}
			}
			if err := w.alert(&a); err != nil {
				return err
			}
			if len(alerts) == 0 {
				if err := w.flush(); err != nil {
					return err
				}
			}
		}
	}
}

// HoldLine is a line of GET /holds.
type HoldLine struct {
	Source string    `json:"source"`
	Why    string    `json:"why,omitempty"`
	Who    string    `json:"who,omitempty"`
	At     time.Time `json:"@timestamp"`
}

func (k *desk) getHolds(w *lineWriter, r *http.Request) error {
	holds, err := k.book.Holds(r.Context())
	for _, h := range holds {
		if err == nil {
			err = w.json(HoldLine{h.Source.String(), h.Why, h.Who, h.At})
		}
	}
	return err
}

// ActLine is a line of GET /acts.
type ActLine struct {
	At     time.Time `json:"@timestamp"`
	Who    string    `json:"user.name"`
	Act    string    `json:"event.action"`
	Target string    `json:"target,omitempty"`
	Why    string    `json:"event.reason,omitempty"`
	Result string    `json:"event.outcome"`
}

func (k *desk) getActs(w *lineWriter, r *http.Request) error {
	return k.book.Acts(r.Context(), func(a casebook.Act) error {
		return w.json(ActLine{a.At, a.Who, a.Act, a.Target, a.Why, a.Result})
	})
}

// order is the arguments of an act.
type order struct {
	source   casebook.Source
	who, why string
}

const maxWhy = 500 // bytes

func readOrder(r *http.Request) (order, error) {
	v := r.URL.Query()
	o := order{who: v.Get("who"), why: v.Get("why")}
	if len(o.why) > maxWhy || len(o.who) > maxWhy {
		return o, refuse(http.StatusBadRequest, "a reason has at most %d bytes", maxWhy)
	}
	var err error
	if o.source, err = casebook.ParseSource(v.Get("source")); err != nil {
		return o, refuse(http.StatusBadRequest, "%v", err)
	}
	return o, nil
}

func (k *desk) postHold(w *lineWriter, r *http.Request) error {
	o, err := readOrder(r)
	if err != nil {
		return err
	}
	k.acts.Lock()
	defer k.acts.Unlock()
	act := casebook.Act{At: time.Now(), Who: o.who, Act: "hold", Target: o.source.String(), Why: o.why, Result: "success"}
	if r.URL.Query().Get("release") == "1" {
		act.Act = "release"
		err = k.book.Unhold(r.Context(), o.source)
	} else {
		err = k.book.Hold(r.Context(), casebook.Hold{Source: o.source, Why: o.why, Who: o.who, At: act.At})
	}
	if err != nil {
		return err
	}
	if err := k.book.Note(r.Context(), act); err != nil {
		return err
	}
	return w.json(map[string]string{"source": o.source.String(), "event.action": act.Act})
}
