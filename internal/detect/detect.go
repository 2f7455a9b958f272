// Package detect judges events for now with a few fixed rules. A verdict is
// grouped by rule, source and day, and grows with its events; sources that do
// the same (credentials, commands or files with the same client software) are
// one campaign.
package detect

import (
	"container/list"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

const (
	day          = 24 * time.Hour // an alert takes events for so long
	defaultLimit = 100_000        // states in memory
	maxClients   = 50_000         // connections whose client software is remembered
	minCommand   = 12             // bytes of a command that says something about who gives it
)

// Config is what New takes; its zero value works.
type Config struct {
	// Recall gives back a State that Changed gave. nil: what does not fit in
	// memory is forgotten.
	Recall func(ctx context.Context, key string) (s State, ok bool, err error)
	Limit  int // states in memory, 0 = 100,000
}

// Engine judges. It is for one goroutine. What it says follows from the events
// alone, so that the same events give the same alerts.
type Engine struct {
	mem     memory
	clients clients
	moves   []Move
}

// Move says that a campaign turned out to be another one.
type Move struct {
	From, To string
	Source   netip.Addr // who alone is in From
	// Alerts are those that are in From, with the times of their first events.
	Alerts map[string]time.Time
}

// New makes an Engine.
func New(cfg Config) *Engine {
	if cfg.Limit <= 0 {
		cfg.Limit = defaultLimit
	}
	return &Engine{
		mem:     memory{limit: cfg.Limit, recall: cfg.Recall, byKey: map[string]*list.Element{}, dirty: map[string]*item{}},
		clients: clients{byID: map[string]string{}},
	}
}

// Evicted counts states that left memory because of the limit.
func (g *Engine) Evicted() int64 { return g.mem.Evicted }

// Changed gives what is to be kept of what Judge changed since the last call.
func (g *Engine) Changed() ([]State, []Move, error) {
	moves := g.moves
	g.moves = nil
	states, err := g.mem.changed()
	return states, moves, err
}

// Forget drops what is in memory, so that it is recalled anew.
func (g *Engine) Forget() {
	g.mem.byKey, g.mem.dirty = map[string]*list.Element{}, map[string]*item{}
	g.mem.order.Init()
}

// Verdict is one rule that an event raises. Title is one line for a person, with
// what the visitor wrote quoted in it.
type Verdict struct {
	Rule  *alert.Rule
	Title string
}

// Judge gives the alerts that e raised or grew; Count tells which: 1 is new.
// quiet says which of the rules here are to be silent on e, nil: none; more are
// verdicts of others on e. After an error nothing has changed, and the same
// event may be judged again.
func (g *Engine) Judge(ctx context.Context, e event.Event, quiet func(alert.Rule) bool, more ...Verdict) ([]alert.Alert, error) {
	if e.Action == event.ActionClientIdentified {
		if v, ok := e.Get("lapwing.ssh.hassh"); ok {
			g.clients.put(e.Connection, v.Text())
		}
	}
	if !e.Source.Addr().IsValid() || e.Exercise != "" || !Concerns(e.Action) && len(more) == 0 {
		return nil, nil
	}
	key := "s " + prefix(e.Source.Addr()).String()
	s, p, err := g.source(ctx, key, &e)
	if err != nil {
		return nil, err
	}
	verdicts := s.verdicts(&e)
	if quiet != nil {
		verdicts = slices.DeleteFunc(verdicts, func(v Verdict) bool { return quiet(*v.Rule) })
	}
	verdicts = append(verdicts, more...)
	if len(verdicts) > 0 {
		g.join(s, &e, p)
	}
	return s.raiseAll(key, verdicts, &e), nil
}

// Raise gives the alert of a verdict that was reached later than its event was
// judged: the event counts for nothing else again.
func (g *Engine) Raise(ctx context.Context, e event.Event, v Verdict) ([]alert.Alert, error) {
	if !e.Source.Addr().IsValid() || e.Exercise != "" {
		return nil, nil
	}
	key := "s " + prefix(e.Source.Addr()).String()
	s, _, err := g.source(ctx, key, &e)
	if err != nil {
		return nil, err
	}
	return s.raiseAll(key, []Verdict{v}, &e), nil
}

func (s *source) raiseAll(key string, verdicts []Verdict, e *event.Event) []alert.Alert {
	out := make([]alert.Alert, 0, len(verdicts))
	for _, v := range verdicts {
		out = append(out, s.raise(key, v, e))
	}
	return out
}

// source finds or begins what is remembered of e's source, and what e has in
// common with others.
func (g *Engine) source(ctx context.Context, key string, e *event.Event) (*source, []known, error) {
	it, err := g.mem.get(ctx, key)
	if err != nil {
		return nil, nil, err
	}
	s := &source{First: e.Time}
	if it != nil && e.Time.Sub(it.source.First) < day {
		s = it.source
	} else {
		it = nil
	}
	made := 0
	if it != nil {
		made = it.source.Prints
	}
	p, err := g.recallPrints(ctx, *e, made)
	if err != nil {
		return nil, nil, err
	}
	if it == nil {
		it = &item{key: key, source: s}
		s.Own, s.derived = ownID(key, e.Time), true
		s.Campaign = s.Own
		g.mem.put(it)
	}
	if s.Seen.Before(e.Time) {
		s.Seen = e.Time
	}
	g.mem.dirty[key] = it
	return s, p, nil
}

// Concerns tells whether events of this action can raise an alert.
func Concerns(action string) bool {
	switch action {
	case event.ActionLogin, event.ActionCommandExecuted, event.ActionQueryExecuted, event.ActionFileCaptured, event.ActionDownloadRequested, event.ActionTunnelRequested, event.ActionMalwareFound:
		return true
	}
	return false
}

// verdicts counts e and says which rules it raises.
func (s *source) verdicts(e *event.Event) []Verdict {
	from := e.Source.Addr()
	switch e.Action {
	case event.ActionLogin:
		return s.login(e)
	case event.ActionCommandExecuted:
		return []Verdict{{&ruleCommand, fmt.Sprintf("%s runs commands on %s as %q", from, e.Host, short(e.User))}}
	case event.ActionQueryExecuted:
		if e.Depth < event.DepthAct { // who only looks what answers
			return nil
		}
		return []Verdict{{&ruleQuery, fmt.Sprintf("%s works in the %s database of %s as %q", from, e.Decoy, e.Host, short(e.User))}}
	case event.ActionFileCaptured:
		return []Verdict{{&ruleFile, fmt.Sprintf("%s left %q on %s (SHA-256 %.12s…)", from, short(e.Path), e.Host, e.SHA256)}}
	case event.ActionMalwareFound:
		return []Verdict{s.malware(e)}
	case event.ActionDownloadRequested:
		return []Verdict{{&ruleFetch, fmt.Sprintf("%s asked %s for %q", from, e.Host, short(e.URL))}}
	case event.ActionTunnelRequested:
		return []Verdict{{&ruleTunnel, fmt.Sprintf("%s tried to tunnel through %s", from, e.Host)}}
	}
	return nil
}

func (s *source) login(e *event.Event) (out []Verdict) {
	from := e.Source.Addr()
	s.Tries++
	h := fnv.New64a()
	h.Write([]byte(e.User))
	if u := shortHash(h.Sum64()); len(s.Users) < maxUsers && !slices.Contains(s.Users, u) {
		s.Users = append(s.Users, u)
	}
	if e.Outcome == "success" {
		s.Got = true
		out = append(out, Verdict{&ruleLogin, fmt.Sprintf("%s logged in to %s as %q", from, e.Host, short(e.User))})
	}
	but := ""
	if s.Got {
		but = ", and got in"
	}
	if n := len(s.Users); n >= sprayed {
		more := ""
		if n == maxUsers {
			more = " or more"
		}
		out = append(out, Verdict{&ruleSpray, fmt.Sprintf("%s tried %d%s user names%s", from, n, more, but)})
	}
	if s.Tries >= guessed {
		out = append(out, Verdict{&ruleBrute, fmt.Sprintf("%s tried to log in %d times%s", from, s.Tries, but)})
	}
	return out
}

// raise grows the alert of a rule.
func (s *source) raise(key string, v Verdict, e *event.Event) alert.Alert {
	if s.Groups == nil {
		s.Groups = map[string]*group{}
	}
	n := s.Groups[v.Rule.ID]
	if n == nil {
		n = &group{ID: id(v.Rule.ID, key, e.Time), First: e.Time, derived: true}
		s.Groups[v.Rule.ID] = n
	}
	n.Count++
	n.Level = max(n.Level, v.Rule.Level)
	if s.Got && (v.Rule == &ruleSpray || v.Rule == &ruleBrute) {
		n.Level = max(n.Level, alert.High)
	}
	if n.Last.Before(e.Time) {
		n.Last = e.Time
	}
	if e.Session != "" && e.Session != n.Session {
		n.Session = strings.Clone(e.Session) // else it keeps the whole line
	}
	a := alert.Alert{
		ID: n.ID, Key: v.Rule.ID + " " + key[2:] + " " + s.First.UTC().Format(time.RFC3339), Rule: *v.Rule, Source: e.Source.Addr().Unmap(), Host: e.Host,
		Session: n.Session, User: e.User, Title: v.Title, Campaign: s.Campaign, Count: n.Count, First: n.First, Last: n.Last, Spoofable: spoofable(e),
	}
	a.Rule.Level = n.Level
	return a
}

// spoofable tells that no TCP exchange stands behind e's source: it came as a
// datagram, or who read it in a log says so.
func spoofable(e *event.Event) bool {
	v, _ := e.Get("lapwing.spoofable")
	return e.Transport == "udp" || v.Text() == "true"
}

// join makes s one campaign with whoever did the same before.
func (g *Engine) join(s *source, e *event.Event, prints []known) {
	me := prefix(e.Source.Addr()).Addr()
	for _, p := range prints {
		if p.item == nil || e.Time.Sub(p.item.print.Seen) > day || p.orphan(me) {
			if s.Prints >= maxPrints {
				continue
			}
			s.Prints++
			it := &item{key: p.key, print: &imprint{Seen: e.Time, Owner: me}}
			g.mem.put(it)
			g.mem.dirty[p.key] = it
			continue
		}
		q := p.item.print
		if e.Time.Sub(q.Seen) > time.Hour { // not with each event
			q.Seen = e.Time
			g.mem.dirty[p.key] = p.item
		}
		campaign := p.campaign(s, me)
		if campaign == s.Campaign {
			continue
		}
		if s.Campaign == s.Own && !s.Joined {
			g.moves = append(g.moves, Move{s.Own, campaign, me, s.alerts()})
			s.Campaign = campaign
			if p.owner != nil {
				p.owner.source.Joined = true
				g.mem.dirty[p.owner.key] = p.owner
			}
		}
	}
}

// alerts are those of s, with the times of their first events.
func (s *source) alerts() map[string]time.Time {
	out := make(map[string]time.Time, len(s.Groups))
	for _, n := range s.Groups {
		out[n.ID] = n.First
	}
	return out
}

// known is a print of an event and what is remembered of it.
type known struct {
	key         string
	item, owner *item
}

// orphan tells of a print whose owner is not remembered any more: it is nobody's.
func (k *known) orphan(me netip.Addr) bool {
	q := k.item.print
	return q.Campaign == "" && q.Owner != me && k.owner == nil
}

// campaign is what whoever has the print belongs to now; s is that of me.
func (k *known) campaign(s *source, me netip.Addr) string {
	q := k.item.print
	switch {
	case q.Campaign != "":
		return q.Campaign
	case q.Owner == me:
		return s.Campaign
	}
	return k.owner.source.Campaign
}

// recallPrints finds what e has in common with others. made is how many new
// ones the source has made known: beyond the limit none are looked for.
func (g *Engine) recallPrints(ctx context.Context, e event.Event, made int) ([]known, error) {
	if made >= maxPrints {
		return nil, nil
	}
	text := g.print(&e)
	if text == "" {
		return nil, nil
	}
	h := sha256.Sum256([]byte(text))
	k := known{key: "p " + hex.EncodeToString(h[:16])}
	var err error
	if k.item, err = g.mem.get(ctx, k.key); err != nil || k.item == nil {
		return []known{k}, err
	}
	if o := k.item.print.Owner; o != prefix(e.Source.Addr()).Addr() {
		k.owner, err = g.mem.get(ctx, "s "+prefix(o).String())
	}
	return []known{k}, err
}

// print is what others may do just so; "" where it says nothing.
func (g *Engine) print(e *event.Event) string {
	client := g.clients.byID[e.Connection]
	switch e.Action {
	case event.ActionLogin:
		if v, ok := e.Get("lapwing.password.hmac"); ok && client != "" {
			return "credential\x00" + client + "\x00" + e.User + "\x00" + v.Text()
		}
	case event.ActionCommandExecuted:
		if c := strings.Join(strings.Fields(e.CommandLine), " "); len(c) >= minCommand {
			return "command\x00" + client + "\x00" + c
		}
	case event.ActionFileCaptured:
		if e.Size > 0 {
			return "file\x00" + e.SHA256
		}
	case event.ActionDownloadRequested:
		return "url\x00" + e.URL
	}
	return ""
}

// prefix counts IPv6 by /64.
func prefix(a netip.Addr) netip.Prefix {
	bits := 32
	if a = a.Unmap().WithZone(""); a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// ownID is the campaign that begins with a source.
func ownID(key string, first time.Time) string { return id("campaign", key, first) }

// id derives an id from what it is about, so that judging the same events
// twice gives the same one. It has the form of a UUIDv8 (RFC 9562).
func id(parts ...any) string {
	h := sha256.New()
	for _, p := range parts {
		if t, ok := p.(time.Time); ok {
			p = t.UTC().Format(time.RFC3339Nano)
		}
		fmt.Fprintf(h, "%v\x00", p) //nolint:errcheck // never fails
	}
	b := h.Sum(nil)[:16]
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	x := hex.EncodeToString(b)
	return x[:8] + "-" + x[8:12] + "-" + x[12:16] + "-" + x[16:20] + "-" + x[20:]
}

// short cuts a visitor's text for a title.
func short(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}

// clients remembers the client software of connections, the oldest are dropped.
type clients struct {
	byID map[string]string
	ring []string
	next int
}

func (c *clients) put(connection, software string) {
	if connection == "" {
		return
	}
	if _, ok := c.byID[connection]; !ok {
		connection = strings.Clone(connection) // both are parts of a line, which they would keep
		if len(c.ring) < maxClients {
			c.ring = append(c.ring, connection)
		} else {
			delete(c.byID, c.ring[c.next])
			c.ring[c.next] = connection
			c.next = (c.next + 1) % maxClients
		}
	}
	c.byID[connection] = unique.Make(software).Value()
}
