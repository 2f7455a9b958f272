//go:build unix

package app

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/respond/audit"
	"github.com/lapwing-defence/lapwing/internal/respond/carry"
)

// Block is a line of GET /blocks and of every answer that changes one.
type Block struct {
	Time     time.Time      `json:"@timestamp"`
	ID       string         `json:"id"`
	State    respond.State  `json:"state"` // standing, waiting, expired, undone, refused, widened
	Mode     respond.Mode   `json:"mode"`
	Prefix   netip.Prefix   `json:"prefix"`
	Rule     string         `json:"rule.id,omitempty"`
	RuleName string         `json:"rule.name,omitempty"`
	Level    string         `json:"rule.level,omitempty"`
	Actor    string         `json:"user.name"`
	Why      string         `json:"event.reason,omitempty"`
	Risk     string         `json:"risk,omitempty"` // why a person should look first
	Until    time.Time      `json:"until"`
	TTL      string         `json:"ttl"`
	Step     int            `json:"step"` // which block of this source
	Events   []string       `json:"events,omitempty"`
	Ended    *time.Time     `json:"ended,omitempty"`
	Ender    string         `json:"ended_by,omitempty"`
	EndWhy   string         `json:"ended_why,omitempty"`
	Hits     *respond.Login `json:"hits,omitempty"` // who inside logged in to something real of late
	// Idle says that nothing runs that would carry it out now.
	Idle bool `json:"idle,omitempty"`
}

func (k *desk) blockLine(d *respond.Decision, hits *respond.Login) *Block {
	b := &Block{
		Time: d.Made.UTC(), ID: d.ID, State: d.State, Mode: d.Mode, Prefix: d.Prefix, Rule: d.Rule, RuleName: d.RuleName, Level: d.Level, Actor: d.Actor, Why: d.Why, Risk: d.Risk,
		Until: d.Until.UTC(), TTL: d.TTL.String(), Step: d.Step, Events: d.Events, Ender: d.Ender, EndWhy: d.EndWhy, Hits: hits, Idle: !k.running,
	}
	if !d.Ended.IsZero() {
		t := d.Ended.UTC()
		b.Ended = &t
	}
	return b
}

// handleBlocks adds the pages of decisions.
func (k *desk) handleBlocks(mux *http.ServeMux) {
	mux.HandleFunc("GET /blocks", k.page(k.getBlocks))
	mux.HandleFunc("GET /respond", k.page(k.getRespond))
	mux.HandleFunc("GET /respond/explain", k.page(k.getExplain))
	for name, fn := range map[string]func(*lineWriter, url.Values, string) error{
		"block": k.postBlock, "unblock": k.postUnblock, "undo": k.postUndo, "panic": k.postPanic, "approve": k.postApprove, "refuse": k.postRefuse,
		"policy": k.postPolicy, "policy/confirm": k.postConfirm, "policy/revert": k.postRevert, "audit": k.postAudit,
	} {
		mux.HandleFunc("POST /"+name, k.page(func(w *lineWriter, r *http.Request) error {
			v := r.URL.Query()
			if len(v.Get("why")) > maxWhy || len(v.Get("who")) > maxWhy {
				return refuse(http.StatusBadRequest, "a reason has at most %d bytes", maxWhy)
			}
			if err := fn(w, v, cmp.Or(v.Get("who"), "nobody named")); err != nil {
				return refusedBy(err)
			}
			// Acknowledged is what is durable.
			return k.respond.sync()
		}))
	}
}

// refusedBy gives errors of the engine the status of their kind.
func refusedBy(err error) error {
	var no *respond.RefusedError
	switch {
	case errors.As(err, &no), errors.Is(err, respond.ErrOver), errors.Is(err, respond.ErrNothingOpen), errors.Is(err, respond.ErrAmbiguous):
		return refuse(http.StatusConflict, "%v", err)
	case errors.Is(err, respond.ErrUnknown):
		return refuse(http.StatusNotFound, "%v", err)
	}
	return err
}

// prefixOf reads an address or a network; an IPv6 address stands for its /64.
func prefixOf(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return respond.Unit(a), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, refuse(http.StatusBadRequest, "%.80q is neither an address nor a network: write 203.0.113.7, 203.0.113.0/24 or 2001:db8::/64", s)
	}
	return p, nil
}

func (k *desk) getBlocks(w *lineWriter, r *http.Request) error {
	v := r.URL.Query()
	q := respond.Query{Ended: v.Get("ended") == "1"}
	if s := v.Get("since"); s != "" {
		var err error
		if q.Since, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
	}
	for _, d := range k.respond.engine.List(q) {
		if err := w.json(k.blockLine(&d.Decision, d.Hits)); err != nil {
			return err
		}
	}
	return nil
}

// RespondStatus is the answer of GET /respond.
type RespondStatus struct {
	respond.Status
	Backends []carry.State    `json:"backends"`
	Allow    action.AllowList `json:"allow"`
	Notices  []respond.Notice `json:"notices,omitempty"` // the newest last; without the words that approve
	Audit    int64            `json:"audit"`             // entries
	Running  bool             `json:"running"`
}

func (k *desk) getRespond(w *lineWriter, _ *http.Request) error {
	r := k.respond
	st := RespondStatus{Status: r.engine.Stats(), Backends: r.carry.States(), Allow: r.engine.Allowed(), Audit: r.audit.Len(), Running: k.running}
	r.mu.Lock()
	for _, n := range r.notices {
		n.Approval, n.Decision = "", nil
		st.Notices = append(st.Notices, n)
	}
	r.mu.Unlock()
	return w.json(st)
}

func (k *desk) postBlock(w *lineWriter, v url.Values, who string) error {
	p, err := prefixOf(v.Get("prefix"))
	if err != nil {
		return err
	}
	o := respond.Order{Prefix: p, Why: v.Get("why"), Actor: who}
	if s := v.Get("for"); s != "" {
		if o.For, err = time.ParseDuration(s); err != nil || o.For <= 0 {
			return refuse(http.StatusBadRequest, "%.40q is no time to block for: write 30m or 24h", s)
		}
	}
	d, err := k.respond.engine.Block(o)
	if err != nil {
		return err
	}
	return w.json(k.blockLine(&d, nil))
}

func (k *desk) each(w *lineWriter, ds []respond.Decision, err error) error {
	for i := range ds {
		if err == nil {
			err = w.json(k.blockLine(&ds[i], nil))
		}
	}
	return err
}

func (k *desk) postUnblock(w *lineWriter, v url.Values, who string) error {
	p, err := netip.ParsePrefix(v.Get("prefix"))
	if a, aerr := netip.ParseAddr(v.Get("prefix")); aerr == nil {
		p, err = netip.PrefixFrom(a, a.BitLen()), nil
	}
	if err != nil {
		return refuse(http.StatusBadRequest, "%.80q is neither an address nor a network", v.Get("prefix"))
	}
	ds, err := k.respond.engine.Unblock(p, who, v.Get("why"))
	if errors.Is(err, respond.ErrUnknown) {
		return refuse(http.StatusNotFound, "nothing blocks %s", v.Get("prefix"))
	}
	return k.each(w, ds, err)
}

func (k *desk) postUndo(w *lineWriter, v url.Values, who string) error {
	if s := v.Get("since"); s != "" {
		t, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			return refuse(http.StatusBadRequest, "%v", err)
		}
		ds, err := k.respond.engine.UndoSince(t, who, v.Get("why"))
		if errors.Is(err, respond.ErrUnknown) {
			return refuse(http.StatusNotFound, "nothing was decided since then that still stands or waits")
		}
		return k.each(w, ds, err)
	}
	d, err := k.respond.engine.Undo(v.Get("id"), who, v.Get("why"))
	return k.each(w, []respond.Decision{d}, err)
}

func (k *desk) postPanic(w *lineWriter, v url.Values, who string) error {
	return k.each(w, k.respond.engine.Panic(who, v.Get("why")), nil)
}

func (k *desk) postApprove(w *lineWriter, v url.Values, who string) error {
	d, err := k.respond.engine.Approve(v.Get("id"), who)
	return k.each(w, []respond.Decision{d}, err)
}

func (k *desk) postRefuse(w *lineWriter, v url.Values, who string) error {
	d, err := k.respond.engine.Refuse(v.Get("id"), who, v.Get("why"))
	return k.each(w, []respond.Decision{d}, err)
}

// postPolicy decides by another policy; without one, by the configuration's.
func (k *desk) postPolicy(w *lineWriter, v url.Values, who string) error {
	var p *respond.Policy
	if s := v.Get("policy"); s != "" {
		p = new(respond.Policy)
		if err := json.Unmarshal([]byte(s), p); err != nil {
			return refuse(http.StatusBadRequest, "the policy cannot be read: %v", err)
		}
	}
	if !k.running {
		return refuse(http.StatusConflict, "nothing runs that could take an unconfirmed policy back: write it into the configuration and start lapwing up")
	}
	return w.json(k.respond.engine.SetPolicy(p, who))
}

func (k *desk) postConfirm(w *lineWriter, _ url.Values, who string) error {
	if err := k.respond.engine.Confirm(who); err != nil {
		return err
	}
	return w.json(k.respond.engine.Stats())
}

func (k *desk) postRevert(w *lineWriter, _ url.Values, who string) error {
	if err := k.respond.engine.Revert(who); err != nil {
		return err
	}
	return w.json(k.respond.engine.Stats())
}

// postAudit writes an entry for a command that acts by itself, such as one that
// plants a token or takes a file away.
func (k *desk) postAudit(w *lineWriter, v url.Values, who string) error {
	e := audit.Entry{At: time.Now(), Act: v.Get("act"), Actor: who, Target: v.Get("target"), ID: v.Get("id"), Rule: v.Get("rule"), Events: v["event"], Why: v.Get("why")}
	if e.Act == "" {
		return refuse(http.StatusBadRequest, "an entry needs an act")
	}
	if err := k.respond.audit.Append(e); err != nil {
		return err
	}
	return w.json(map[string]string{"entries": strconv.FormatInt(k.respond.audit.Len(), 10)})
}

// forgetBlocks removes a source from decisions and audit log, and says how many
// entries of the log lost what was personal.
func (k *desk) forgetBlocks(p netip.Prefix) (int, error) {
	k.respond.engine.Forget(p)
	n, err := k.respond.audit.Erase(func(target string) bool {
		t, err := netip.ParsePrefix(target)
		return err == nil && t.Bits() >= p.Bits() && p.Overlaps(t)
	})
	if err != nil {
		return n, fmt.Errorf("forget decisions: %w", err)
	}
	return n, k.respond.sync()
}
