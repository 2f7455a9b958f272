package access

import (
	"bytes"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/nets"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// Dataset is event.dataset of what a Reader emits: the rules have been asked about
// it, others need not ask them again.
const Dataset = "access"

// The actions of events that a Reader makes beside those of source/login.
const (
	ActionMatched = "rule-matched"  // a verdict
	ActionFailed  = "logons-failed" // lapwing.count of them
	ActionLogons  = "logons"        // likewise
)

// repeatKey is a rule about single records and whom it is about.
type repeatKey struct {
	rule *sigma.Rule
	who  string
}

// repeat counts verdicts that say the same: of such a rule one is told at once,
// and then what came since, at most every ten minutes.
type repeat struct {
	told, first, last time.Time
	count             int
	event             event.Event
}

const (
	repeatEvery = 10 * time.Minute
	maxRepeats  = 10_000
)

// verdict tells what a rule says of the record that is judged. It is false where
// that is not worth a verdict.
func (r *Reader) verdict(v *live.Verdict, rec *sigma.Record) bool {
	if v.Rule.Level <= sigma.Informational {
		return false
	}
	e := r.event(rec)
	r.worded(&e, v)
	if v.Group != nil {
		r.emitVerdict(e, v.Count, v.First, v.Last)
		return true
	}
	at := time.Unix(0, rec.Time)
	key := repeatKey{v.Rule, string(r.get(rec, r.ids.net)) + " " + string(r.get(rec, r.ids.user))}
	x := r.repeats[key]
	switch {
	case x == nil && len(r.repeats) >= maxRepeats: // a flood: of the rule alone
		key.who = ""
		x = r.repeats[key]
	case x == nil || at.Sub(x.told) >= repeatEvery && x.count == 0:
		r.repeats[key] = &repeat{told: at}
		r.emitVerdict(e, 1, at, at)
		return true
	}
	if x == nil {
		x = &repeat{told: at}
		r.repeats[key] = x
	}
	if x.count == 0 {
		x.first = at
	}
	x.count++
	x.last, x.event = at, e
	if at.Sub(x.told) >= repeatEvery {
		r.tellRepeat(x, at)
	}
	return true
}

func (r *Reader) tellRepeat(x *repeat, at time.Time) {
	r.emitVerdict(x.event, x.count, x.first, x.last)
	x.count, x.told, x.event = 0, at, event.Event{}
}

// emitVerdict adds a verdict to what is emitted.
func (r *Reader) emitVerdict(e event.Event, count int, first, last time.Time) {
	e.ID = r.cfg.IDs.New()
	e.AddInt("lapwing.count", int64(count))
	e.Add("lapwing.first", stamp(first))
	e.Add("lapwing.last", stamp(last))
	r.out = append(r.out, e)
	r.stats.Verdicts++
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z07:00") }

// worded gives an event the words of the rule.
func (r *Reader) worded(e *event.Event, v *live.Verdict) {
	rule := live.Rule(v.Rule)
	e.Kind, e.Action, e.Outcome, e.Type = "alert", ActionMatched, "", "info"
	e.Add("rule.id", rule.ID)
	e.Add("rule.name", rule.Name)
	e.Add("rule.level", v.Rule.Level.String())
	if len(rule.Techniques) > 0 {
		e.Extra = append(e.Extra, event.Field{Name: "threat.technique.id", Value: event.List(rule.Techniques...)})
	}
	if v.Group == nil {
		return
	}
	var group []string
	sourced := false
	for name, value := range v.Group {
		group = append(group, name+"="+value)
		sourced = sourced || name == "lapwing.net" || name == "source.ip" || name == "c-ip" || name == "src_ip"
	}
	slices.Sort(group)
	if len(group) > 0 {
		e.Extra = append(e.Extra, event.Field{Name: "lapwing.group", Value: event.List(group...)})
	}
	if !sourced { // it is about an account or a machine: who came last is one of many
		e.Source = netip.AddrPort{}
		e.Extra = slices.DeleteFunc(e.Extra, func(f event.Field) bool { return f.Name == "lapwing.net" })
	}
	if wide := wider(v.Group); wide != "" { // what is counted is wider than the source
		e.Add("lapwing.wide", wide)
	}
}

// wider is the prefix that a group is about, where it is wider than what one
// source has.
func wider(group map[string]string) string {
	if group["lapwing.net"] != "" {
		return ""
	}
	if p := group["lapwing.net56"]; p != "" {
		return p
	}
	return group["lapwing.net48"]
}

// late tells of a correlation whose last event came before the record that is
// judged now.
func (r *Reader) late(v *live.Verdict) {
	if v.Rule.Level <= sigma.Informational {
		return
	}
	e := event.Event{Time: v.Last, Dataset: Dataset, Category: "authentication"}
	if x := r.waiting.find(v.Ref); x != nil {
		e = r.recalled(x, e)
	} else if r.from != nil {
		e.Add("lapwing.source", r.from.name)
	}
	r.grouped(&e, v.Group)
	r.worded(&e, v)
	r.emitVerdict(e, v.Count, v.First, v.Last)
}

// grouped gives an event what the values of a group say and it does not.
func (r *Reader) grouped(e *event.Event, group map[string]string) {
	if e.User == "" {
		e.User = group["user.name"]
	}
	if p, err := netip.ParsePrefix(group["lapwing.net"]); err == nil && !e.Source.IsValid() && p.IsSingleIP() {
		e.Source = netip.AddrPortFrom(p.Addr(), 0)
	}
	for _, name := range [...]string{"host.name", "lapwing.net"} {
		if _, ok := e.Get(name); !ok {
			e.Add(name, group[name])
		}
	}
}

// recalled decodes a line that was remembered.
func (r *Reader) recalled(x *remembered, otherwise event.Event) event.Event {
	now, from, one, rec, head := r.now, r.from, r.one, r.rec, r.head
	defer func() { r.now, r.from, r.one, r.rec, r.head = now, from, one, rec, head }()
	r.rec = r.spare
	r.now, r.from = x.received, r.source(x.source)
	r.one = &line.Line{Text: x.text, Format: x.format, Received: x.received}
	if !r.decode(r.formatOf(r.from, r.one), r.from, x.text) {
		return otherwise
	}
	r.engine.Route(r.rec, &r.head)
	r.network(r.rec)
	e := r.event(r.rec)
	if e.Time.Unix() <= 0 {
		e.Time = otherwise.Time
	}
	return e
}

// event is a record as an event, without id and what makes it one of a kind.
func (r *Reader) event(rec *sigma.Record) event.Event {
	e := event.Event{Time: time.Unix(0, rec.Time).UTC(), Kind: "event", Dataset: Dataset, Extra: make([]event.Field, 0, 12)}
	text := func(id sigma.FieldID) string { return string(r.get(rec, id)) }
	e.Category, e.Action, e.Outcome, e.Reason, e.User = text(r.ids.category), text(r.ids.action), text(r.ids.outcome), text(r.ids.reason), text(r.ids.user)
	if e.Category == "" {
		e.Category = "host"
	}
	if a, ok := nets.Parse(r.get(rec, r.ids.ip)); ok {
		e.Source = netip.AddrPortFrom(a, port(r.get(rec, r.ids.port)))
	}
	if a, ok := nets.Parse(r.get(rec, r.ids.dstIP)); ok {
		e.Destination = netip.AddrPortFrom(a, port(r.get(rec, r.ids.dstPort)))
	}
	host := r.get(rec, r.ids.host)
	for _, id := range [...]sigma.FieldID{r.ids.hostname, r.ids.computer} {
		if len(host) == 0 {
			host = r.get(rec, id)
		}
	}
	e.Add("lapwing.source", r.from.name)
	e.Add("host.name", string(host))
	e.Add("service.name", text(r.ids.service))
	e.Add("process.pid", text(r.ids.pid))
	e.Add("user.target.name", text(r.ids.target))
	e.Add("lapwing.net", text(r.ids.net))
	if r.spoofable(rec) {
		e.Extra = append(e.Extra, event.Field{Name: "lapwing.spoofable", Value: event.Bool(true)})
	}
	e.Add("event.original", original(r.one.Text))
	return e
}

// spoofable tells whether no exchange stands behind the address: anybody could
// have written it.
func (r *Reader) spoofable(rec *sigma.Record) bool {
	return r.from.Spoofable || r.head.Format == "netflow" || rec.Has(r.ids.dns) || string(r.get(rec, r.ids.spoofable)) == "true"
}

func port(b []byte) uint16 {
	n, err := strconv.ParseUint(string(b), 10, 16)
	if err != nil {
		return 0
	}
	return uint16(n)
}

// original is a line as it is kept: its beginning, in valid text.
func original(b []byte) string {
	b = bytes.TrimRight(b[:min(len(b), maxText)], "\r\n\x00")
	return strings.ToValidUTF8(string(b), "\uFFFD")
}
