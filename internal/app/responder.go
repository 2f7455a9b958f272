//go:build unix

package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/notify"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/respond/audit"
	"github.com/lapwing-defence/lapwing/internal/respond/carry"
	"github.com/lapwing-defence/lapwing/internal/respond/ledger"
	"github.com/lapwing-defence/lapwing/internal/respond/own"
)

// responder is what decides in the hub: the engine with its ledger and audit log,
// the allow list, and what carries blocks out.
type responder struct {
	engine *respond.Engine
	ledger *ledger.Ledger
	audit  *audit.Log
	own    *own.Own
	carry  *carry.Carrier // nil: nothing is carried out here
	log    *slog.Logger
	ids    *event.IDs

	// quiet tells that the operator silenced a rule on a line; nil: none.
	quiet func(r alert.Rule, line []byte) bool

	decided bool // since the last sync of the judge; the judge's alone
	told    chan respond.Notice
	quick   chan []quickLine
	lost    atomic.Int64 // notices that nobody could be told
	look    chan struct{}

	people atomic.Pointer[notify.Notifier] // who is told of notices

	mu      sync.Mutex
	notices []respond.Notice // the newest last, at most maxNotices
	unlogd  string           // why the audit log takes nothing, as it was last told
}

const (
	maxNotices  = 200
	toldQueue   = 1024
	quickQueue  = 256             // batches of the reader that wait for a decision
	allowEvery  = 5 * time.Second // after sessions of administrators
	compactEach = time.Minute     // looks whether the ledger is to be written anew
	wordBytes   = 20              // of the word that approves a proposal
	signEvery   = time.Hour       // a checkpoint of the audit log for people to keep
)

// policyOf is the configuration as the engine takes it.
func policyOf(c *config.Respond) respond.Policy {
	p := respond.Policy{
		Steps: c.Steps, Quiet: c.Quiet, PerMinute: c.PerMinute, Total: c.Total, Expiry: c.Approve, Undecided: respond.DefaultPolicy().Undecided,
		Legitimate: c.Spare.Within, Settle: c.Spare.After, Share: c.Spare.Share, Widen56: c.Widen.To56, Widen48: c.Widen.To48,
	}
	p.Default, _ = respond.ParseMode(c.Default)
	for _, r := range c.Rules {
		one := respond.Rule{Rule: r.Rule, Tag: r.Tag, TTL: r.TTL}
		one.Level, _ = alert.ParseLevel(r.Level)
		one.Mode, _ = respond.ParseMode(r.Mode)
		p.Rules = append(p.Rules, one)
	}
	return p
}

// openResponder opens the deciding part on what the configuration says. What is
// damaged is set aside, and told: decisions go on.
func (d Dir) openResponder(ctx context.Context, c config.Respond, backends []action.Backend, log *slog.Logger) (*responder, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r := &responder{
		ids: event.NewIDs(nil, time.Now), log: log, told: make(chan respond.Notice, toldQueue), quick: make(chan []quickLine, quickQueue), look: make(chan struct{}, 1),
	}
	key, err := d.auditKey()
	if err != nil {
		return nil, err
	}
	if r.audit, err = audit.Open(d.audit(), key); err != nil {
		log.Error("the audit log cannot be used; it is set aside and a new one begun", "error", err)
		if aside, aerr := setAside(d.audit()); aerr != nil {
			return nil, errors.Join(err, aerr)
		} else if r.audit, err = audit.Open(d.audit(), key); err == nil {
			err = r.audit.Append(audit.Entry{At: time.Now(), Act: "audit-log-set-aside", Actor: respond.ActorPolicy, Why: aside})
		}
		if err != nil {
			return nil, err
		}
	}
	r.own = own.New(r.ownConfig(c))
	allow, err := r.own.List(ctx)
	if err != nil {
		log.Warn("not all that must never be blocked could be found out", "error", err)
	}
	r.carry = carry.New(carry.Config{
		Backends: backends, Clock: clock.System(), Log: log, Tell: r.tell,
		Standing: func() []action.Action { return r.engine.Standing() },
		Turned:   func(a action.Action, by, why string) { r.engine.Turned(a, by, why) },
	})
	if err := r.openEngine(d, c, allow); err != nil {
		return nil, errors.Join(err, r.audit.Close())
	}
	return r, nil
}

func (r *responder) openEngine(d Dir, c config.Respond, allow action.AllowList) (err error) {
	for try := range 2 {
		if r.ledger, err = ledger.Open(d.ledger()); err != nil {
			return err
		}
		r.engine, err = respond.New(respond.Config{
			Clock: clock.System(), Store: r.ledger, Hands: r.carry, Policy: policyOf(&c), Allow: allow, NewID: r.ids.New, NewWord: newWord,
			Note: r.note, Tell: r.tell,
		})
		if err == nil {
			break
		}
		r.ledger.Close() //nolint:errcheck // the other error is told
		if try > 0 {
			return err
		}
		r.log.Error("the decisions cannot be read; they are set aside, and what is blocked ends by itself", "error", err)
		if _, aerr := setAside(d.ledger()); aerr != nil {
			return errors.Join(err, aerr)
		}
	}
	if n := r.ledger.Damaged(); n > 0 {
		r.tell(respond.Notice{Kind: "degraded", Text: fmt.Sprintf("%d lines of the decisions were damaged and are passed over", n), At: time.Now()})
	}
	return nil
}

// setAside renames what cannot be used, so that it can be looked at.
func setAside(dir string) (string, error) {
	to := dir + ".damaged-" + time.Now().UTC().Format("20060102T150405.000")
	return to, os.Rename(dir, to)
}

// auditKey is the key that signs checkpoints.
func (d Dir) auditKey() (*audit.Key, error) {
	seed, err := d.key("audit")
	if err != nil {
		return nil, err
	}
	return audit.NewKey(seed)
}

// newWord is a word that nobody guesses.
func newWord() string {
	b := make([]byte, wordBytes)
	rand.Read(b)
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b)
}

func (r *responder) ownConfig(c config.Respond) own.Config {
	cfg := own.Config{
		Root: os.DirFS("/"), Names: c.Reach, Ports: c.SSHPorts, Now: time.Now,
		LoggedIn: func(a netip.Addr) bool { return r.engine != nil && r.engine.LoggedIn(a, week) },
		Lookup: func(ctx context.Context, name string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", name)
		},
	}
	for _, n := range c.Allow {
		cfg.Fixed = append(cfg.Fixed, action.Allowed{Prefix: n.Prefix, Why: "respond.allow of the configuration"})
	}
	return cfg
}

// week is how long ago the login of an open connection to sshd may be.
const week = 7 * 24 * time.Hour

// Close ends it; what was decided is kept.
func (r *responder) Close() error {
	if r == nil {
		return nil
	}
	return errors.Join(r.engine.Sync(), r.audit.Sync(), r.ledger.Close(), r.audit.Close())
}

// ownEvents puts an event of the hub's own into the journal.
type ownEvents func(context.Context, *event.Event) error

// run carries out, watches and tells until ctx ends.
func (r *responder) run(ctx context.Context, emit ownEvents) {
	var wg sync.WaitGroup
	wg.Go(func() { r.carry.Run(ctx) })
	wg.Go(func() { r.watch(ctx) })
	wg.Go(func() { r.answerQuick(ctx) })
	wg.Go(func() { r.speak(ctx, emit) })
	wg.Go(func() {
		if err := own.Watch(ctx, r.refresh); err != nil && ctx.Err() == nil {
			r.log.Warn("changes of routes are seen within seconds only", "error", err)
		}
	})
	wg.Wait()
}

// refresh has the allow list made anew.
func (r *responder) refresh() {
	select {
	case r.look <- struct{}{}:
	default:
	}
}

// watch keeps the allow list and the time, and writes the ledger anew.
func (r *responder) watch(ctx context.Context) {
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var looked, compacted time.Time
	signed := time.Now()
	hurt := ""
	for {
		now := time.Now()
		r.engine.Tick()
		if now.Sub(compacted) >= compactEach {
			compacted = now
			if err := r.engine.Compact(); err != nil {
				r.log.Warn("the decisions were not written anew", "error", err)
			}
		}
		if now.Sub(signed) >= signEvery {
			signed = now
			r.checkpoint()
		}
		select {
		case <-ctx.Done():
			r.checkpoint()
			return
		case <-second.C:
			if time.Since(looked) < allowEvery {
				continue
			}
		case <-r.look:
		}
		looked = time.Now()
		hurt = r.allow(ctx, hurt)
	}
}

// allow makes the allow list anew; hurt is what was last complained about.
func (r *responder) allow(ctx context.Context, hurt string) string {
	l, err := r.own.List(ctx)
	text := ""
	if err != nil && ctx.Err() == nil {
		text = err.Error()
	}
	if text != hurt && text != "" {
		r.tell(respond.Notice{Kind: "degraded", Text: "not all that must never be blocked could be found out; what was known before counts: " + text, At: time.Now()})
	}
	if ctx.Err() == nil {
		r.engine.SetAllow(l)
	}
	return text
}

// checkpoint signs the audit log and says so, for people to keep elsewhere.
func (r *responder) checkpoint() {
	text, err := r.audit.Checkpoint()
	if err != nil {
		r.log.Error("the audit log was not signed", "error", err)
	} else if text != "" {
		r.log.Info("checkpoint of the audit log: keep it elsewhere for lapwing audit verify --checkpoint", "checkpoint", text)
	}
}

// note writes into the audit log; the engine is held.
func (r *responder) note(f respond.Fact) {
	r.write(audit.Entry{At: f.At, Act: f.Act, Actor: f.Actor, Target: f.Target, Rule: f.Rule, ID: f.ID, Events: f.Events, Why: f.Why})
}

func (r *responder) write(e audit.Entry) {
	err := r.audit.Append(e)
	text := ""
	if err != nil {
		text = err.Error()
	}
	r.mu.Lock()
	before := r.unlogd
	r.unlogd = text
	r.mu.Unlock()
	if text != "" && before == "" {
		r.tell(respond.Notice{Kind: "degraded", Text: "decisions are not written into the audit log: " + text, At: e.At})
	}
}

// sync returns nil when everything decided so far is durable.
func (r *responder) sync() error {
	return errors.Join(r.engine.Sync(), r.audit.Sync())
}

// tell is told by the engine and the carrier; it returns at once.
func (r *responder) tell(n respond.Notice) {
	r.mu.Lock()
	r.notices = append(r.notices[max(0, len(r.notices)-maxNotices+1):], n)
	r.mu.Unlock()
	select {
	case r.told <- n:
	default:
		r.lost.Add(1)
	}
}

// speak puts notices among the events and into the log.
func (r *responder) speak(ctx context.Context, emit ownEvents) {
	for {
		var n respond.Notice
		select {
		case <-ctx.Done():
			return
		case n = <-r.told:
		}
		switch n.Kind {
		case "proposal", "policy", "storm-over", "recovered":
			r.log.Info(n.Text, "notice", n.Kind)
		default:
			r.log.Warn(n.Text, "notice", n.Kind)
		}
		if p := r.people.Load(); p != nil {
			if err := p.Tell(noticeMessage(&n)); err != nil {
				r.log.Warn("a notice cannot be kept for those who are to be told", "error", err)
			}
		}
		if err := emit(ctx, r.noticeEvent(&n)); err != nil && ctx.Err() == nil {
			r.log.Warn("a notice was not written down", "error", err)
		}
	}
}

// noticeEvent is a notice as an event; the word that approves is not in it.
func (r *responder) noticeEvent(n *respond.Notice) *event.Event {
	e := &event.Event{
		ID: r.ids.New(), Time: n.At, Kind: "state", Category: "configuration", Type: "info", Action: "response-" + n.Kind, Dataset: "respond", Reason: n.Text,
	}
	if d := n.Decision; d != nil {
		e.Source = netip.AddrPortFrom(d.Prefix.Addr(), 0)
		e.Add("lapwing.decision.id", d.ID)
		e.Add("lapwing.decision.prefix", d.Prefix.String())
		e.Add("rule.id", d.Rule)
	}
	return e
}

// answer decides about an alert that e raised or grew, before it is written down:
// what it rests on is in the journal. Judged again after a failure, the same
// event decides nothing new.
func (r *responder) answer(a *alert.Alert, e *event.Event) {
	if r == nil {
		return
	}
	one := *a
	one.Events = []string{e.ID}
	if o := r.engine.Consider(one, e.Ingested); o.Verdict != respond.Nothing {
		r.decided = true
	}
}

// answered makes durable what the judge's batch decided.
func (r *responder) answered() {
	if r == nil || !r.decided {
		return
	}
	r.decided = false
	if err := r.sync(); err != nil { // it was told; judging goes on
		r.log.Warn("decisions are not durable", "error", err)
	}
}

// quickLine is a line of the reader that may decide something at once.
type quickLine struct{ line []byte }

// The marks of lines of the reader that the responder looks at, as they are
// written; a text cannot pass for them: its quotes are escaped.
const (
	verdictMark = `"event.action":"` + actionVerdict + `"`
	successMark = `"event.outcome":"success"`
)

// offer hands lines of the reader on as soon as they are durable, past the judge,
// who comes to the same decision later. When too many wait they are left to him.
func (r *responder) offer(lines []byte) {
	if r == nil {
		return
	}
	var out []quickLine
	for line := range bytes.Lines(lines) {
		if bytes.Contains(line, []byte(verdictMark)) || bytes.Contains(line, []byte(successMark)) {
			out = append(out, quickLine{bytes.Clone(bytes.TrimRight(line, "\n"))})
		}
	}
	if len(out) == 0 {
		return
	}
	select {
	case r.quick <- out:
	default:
	}
}

// answerQuick decides about what was offered.
func (r *responder) answerQuick(ctx context.Context) {
	for {
		var ls []quickLine
		select {
		case <-ctx.Done():
			return
		case ls = <-r.quick:
		}
		decided := false
		for more := true; more; {
			for _, l := range ls {
				decided = r.oneQuick(l.line) || decided
			}
			select {
			case ls = <-r.quick:
			default:
				more = false
			}
		}
		if decided {
			if err := r.sync(); err != nil {
				r.log.Warn("decisions are not durable", "error", err)
			}
		}
	}
}

// oneQuick looks at one line of the reader.
func (r *responder) oneQuick(line []byte) (decided bool) {
	e, err := event.Decode(line)
	if err != nil || !e.Source.Addr().IsValid() || e.Exercise != "" {
		return false
	}
	if e.Kind == kindVerdict && e.Action == actionVerdict {
		a := quickAlert(&e)
		if a.Rule.ID == "" || r.quiet != nil && r.quiet(a.Rule, line) {
			return false
		}
		return r.engine.Consider(a, e.Ingested).Verdict != respond.Nothing
	}
	if e.Outcome == "success" && e.Decoy == "" && (e.Category == "authentication" || e.Category == "session") && !spoofableField(&e) {
		r.engine.Login(e.Source.Addr(), e.User, e.Ingested)
		r.refresh()
	}
	return false
}

func spoofableField(e *event.Event) bool {
	v, _ := e.Get("lapwing.spoofable")
	return v.Text() == "true"
}

// quickAlert is the alert that the judge will make of a verdict of the reader, as
// far as a decision needs it.
func quickAlert(e *event.Event) alert.Alert {
	v := loggedVerdict(e)
	a := alert.Alert{
		Source: e.Source.Addr().Unmap(), Host: v.Host, User: e.User, Title: v.Title, Rule: *v.Rule, Events: []string{e.ID}, Count: 1, First: e.Time, Last: e.Time,
		Spoofable: spoofableField(e) || e.Transport == "udp",
	}
	if first, ok := e.Get("lapwing.first"); ok {
		if t, err := time.Parse(time.RFC3339Nano, first.Text()); err == nil {
			a.First = t
		}
	}
	return a
}
