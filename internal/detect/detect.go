// Package detect judges events for now with a few fixed rules. A verdict is
// grouped by rule, source and day, and grows with its events; sources that do
// the same (credentials, commands or files with the same client software) are
// one campaign.
package detect

import (
	"context"
	"crypto/sha256"
	"fmt"
	"hash/fnv"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

const (
	day          = 24 * time.Hour // an alert takes events for so long
	defaultLimit = 36 << 20       // bytes of packed states
	maxClients   = 50_000         // connections whose client software is remembered
	minCommand   = 12             // bytes of a command that says something about who gives it
)

// Config is what New takes; its zero value works.
type Config struct {
	// Recall gives back a State that Changed gave. nil: what does not fit in
	// memory is forgotten.
	Recall func(ctx context.Context, key string) (s State, ok bool, err error)
	Limit  int // bytes of the states in memory, packed; 0 = 36 MiB, at least 1.5 MiB
}

// Engine judges. It is for one goroutine. What it says follows from the events
// alone, so that the same events give the same alerts.
type Engine struct {
	mem     memory
	clients clients
	moves   []Move

	verdicts []Verdict // of the last event
	alerts   []alert.Alert
	text     []byte
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
		mem:     newMemory(cfg.Limit, cfg.Recall),
		clients: clients{byID: map[[16]byte]unique.Handle[string]{}},
	}
}

// Evicted counts states that left memory because of the limit.
func (g *Engine) Evicted() int64 { return g.mem.packedSources.evicted + g.mem.packedPrints.evicted }

// Changed gives what is to be kept of what Judge changed since the last call.
func (g *Engine) Changed() ([]State, []Move) {
	moves := g.moves
	g.moves = nil
	return g.mem.changed(), moves
}

// Forget drops what is in memory, so that it is recalled anew.
func (g *Engine) Forget() { g.mem.reset() }

// Verdict is one rule that an event raises. Title is one line for a person, with
// what the visitor wrote quoted in it.
type Verdict struct {
	Rule  *alert.Rule
	Title string
	// Of keeps apart what is not one case: verdicts of a rule on one source have one
	// alert for each Of. Most have none.
	Of string

	// Of a verdict that was reached in logs, for Raise: the machine that wrote
	// them, the name of their source, and by what values (field=value) its events
	// were counted together, which need not be addresses.
	Host, Log string
	Group     []string
}

// group is the key of the alert that v belongs to, within its source.
func (v *Verdict) group() string {
	if v.Of == "" {
		return v.Rule.ID
	}
	return v.Rule.ID + " " + v.Of
}

// Judge gives the alerts that e raised or grew; Count tells which: 1 is new.
// quiet says which of the rules here are to be silent on e, nil: none; more are
// verdicts of others on e. After an error nothing has changed, and the same
// event may be judged again. Nothing keeps e. The alerts share its texts; the
// slice is the caller's until the next call.
func (g *Engine) Judge(ctx context.Context, e *event.Event, quiet func(alert.Rule) bool, more ...Verdict) ([]alert.Alert, error) {
	if e.Action == event.ActionClientIdentified {
		if v, ok := e.Get("lapwing.ssh.hassh"); ok {
			g.clients.put(e.Connection, v.Text())
		}
	}
	if !e.Source.Addr().IsValid() || e.Exercise != "" || !Concerns(e.Action) && len(more) == 0 {
		return nil, nil
	}
	it, p, err := g.source(ctx, e, prefix(e.Source.Addr()).Addr())
	if err != nil {
		return nil, err
	}
	s := it.source
	g.verdicts = s.verdicts(g.verdicts[:0], e)
	verdicts := g.verdicts
	if quiet != nil {
		verdicts = slices.DeleteFunc(verdicts, func(v Verdict) bool { return quiet(*v.Rule) })
	}
	verdicts = append(verdicts, more...)
	if len(verdicts) > 0 {
		g.join(s, e, &p)
	}
	return g.raiseAll(it, verdicts, e), nil
}

// Raise gives the alert of a verdict that was reached later than its event was
// judged: the event counts for nothing else again.
func (g *Engine) Raise(ctx context.Context, e *event.Event, v Verdict) ([]alert.Alert, error) {
	from := v.home(e.Source.Addr())
	if !from.IsValid() || e.Exercise != "" {
		return nil, nil
	}
	it, _, err := g.source(ctx, e, from)
	if err != nil {
		return nil, err
	}
	return g.raiseAll(it, []Verdict{v}, e), nil
}

func (g *Engine) raiseAll(it *item, verdicts []Verdict, e *event.Event) []alert.Alert {
	g.alerts = g.alerts[:0]
	for i := range verdicts {
		g.alerts = append(g.alerts, it.raise(&verdicts[i], e))
	}
	return g.alerts
}

// source is what is known of the source of e, a new one where that is too old.
func (g *Engine) source(ctx context.Context, e *event.Event, from netip.Addr) (*item, known, error) {
	g.mem.bound()
	it, err := g.mem.find(ctx, from)
	if err != nil {
		return nil, known{}, err
	}
	if it != nil && e.Time.Sub(it.source.First) >= day {
		it = nil
	}
	made := 0
	if it != nil {
		made = it.source.Prints
	}
	p, err := g.recallPrint(ctx, e, made)
	if err != nil {
		return nil, known{}, err
	}
	if it == nil {
		it = &item{key: sourceKey(from), addr: from, source: &source{First: e.Time, derived: true}}
		it.source.Own = ownID(it.key, e.Time)
		it.source.Campaign = it.source.Own
		g.mem.put(it)
	}
	if it.source.Seen.Before(e.Time) {
		it.source.Seen = e.Time
	}
	g.mem.mark(it)
	return it, p, nil
}

// Concerns tells whether events of this action can raise an alert.
func Concerns(action string) bool {
	switch action {
	case event.ActionLogin, event.ActionCommandExecuted, event.ActionQueryExecuted, event.ActionFileCaptured, event.ActionDownloadRequested, event.ActionTunnelRequested, event.ActionMalwareFound:
		return true
	}
	return false
}

// verdicts counts e and appends the rules that it raises.
func (s *source) verdicts(dst []Verdict, e *event.Event) []Verdict {
	from := e.Source.Addr()
	switch e.Action {
	case event.ActionLogin:
		return s.login(dst, e)
	case event.ActionCommandExecuted:
		return append(dst, Verdict{Rule: &ruleCommand, Title: title(from, " runs commands on ", e.Host, e.User)})
	case event.ActionQueryExecuted:
		if e.Depth < event.DepthAct { // who only looks what answers
			return dst
		}
		return append(dst, Verdict{Rule: &ruleQuery, Title: fmt.Sprintf("%s works in the %s database of %s as %q", from, e.Decoy, e.Host, short(e.User))})
	case event.ActionFileCaptured:
		return append(dst, Verdict{Rule: &ruleFile, Title: fmt.Sprintf("%s left %q on %s (SHA-256 %.12s…)", from, short(e.Path), e.Host, e.SHA256)})
	case event.ActionMalwareFound:
		return append(dst, s.malware(e))
	case event.ActionDownloadRequested:
		return append(dst, Verdict{Rule: &ruleFetch, Title: fmt.Sprintf("%s asked %s for %q", from, e.Host, short(e.URL))})
	case event.ActionTunnelRequested:
		return append(dst, Verdict{Rule: &ruleTunnel, Title: fmt.Sprintf("%s tried to tunnel through %s", from, e.Host)})
	}
	return dst
}

// title is "FROM does HOST as USER", the user quoted: Sprintf is half of what a
// command costs to judge.
func title(from netip.Addr, does, host, user string) string {
	b := append(append(from.AppendTo(make([]byte, 0, 256)), does...), host...)
	return string(strconv.AppendQuote(append(b, " as "...), short(user)))
}

func (s *source) login(out []Verdict, e *event.Event) []Verdict {
	from := e.Source.Addr()
	s.Tries++
	h := fnv.New64a()
	h.Write([]byte(e.User))
	if u := shortHash(h.Sum64()); len(s.Users) < maxUsers && !slices.Contains(s.Users, u) {
		s.Users = append(s.Users, u)
	}
	if e.Outcome == "success" {
		s.Got = true
		out = append(out, Verdict{Rule: &ruleLogin, Title: title(from, " logged in to ", e.Host, e.User)})
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
		out = append(out, Verdict{Rule: &ruleSpray, Title: fmt.Sprintf("%s tried %d%s user names%s", from, n, more, but)})
	}
	if s.Tries >= guessed {
		out = append(out, Verdict{Rule: &ruleBrute, Title: fmt.Sprintf("%s tried to log in %d times%s", from, s.Tries, but)})
	}
	return out
}

// raise grows the alert of a rule.
func (it *item) raise(v *Verdict, e *event.Event) alert.Alert {
	s := it.source
	if s.Groups == nil {
		s.Groups = map[string]*group{}
	}
	of := v.group()
	n := s.Groups[of]
	if n == nil {
		n = &group{ID: id(of, it.key, stamp(e.Time)), First: e.Time, derived: true}
		s.Groups[of] = n
	}
	if n.key == "" {
		n.key = of + " " + it.key[2:] + " " + s.First.UTC().Format(time.RFC3339)
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
		ID: n.ID, Key: n.key, Rule: *v.Rule, Source: e.Source.Addr().Unmap(), Host: e.Host,
		Session: n.Session, User: e.User, Title: v.Title, Campaign: s.Campaign, Count: n.Count, First: n.First, Last: n.Last, Spoofable: spoofable(e),
	}
	a.Rule.Level = n.Level
	if v.Log != "" {
		a.Log, a.Host = v.Log, v.Host
	}
	return a
}

// home is the address under which what is known of a verdict's source is kept.
// What was counted by something else than an address, such as a user, has one
// made of its values, out of a block that the IETF reserves: 100::/8.
func (v *Verdict) home(source netip.Addr) netip.Addr {
	if source.IsValid() {
		source = prefix(source).Addr()
	}
	if v.Log == "" || source.IsValid() && v.bySource(source) {
		return source
	}
	h := sha256.New()
	for _, text := range append([]string{v.Log}, v.Group...) {
		fmt.Fprintf(h, "%d %s", len(text), text) //nolint:errcheck // a hash takes all
	}
	var a [16]byte
	a[0] = 1
	copy(a[1:8], h.Sum(nil))
	return netip.AddrFrom16(a)
}

// bySource tells whether a verdict counted what one source did.
func (v *Verdict) bySource(source netip.Addr) bool {
	if len(v.Group) == 0 {
		return true
	}
	for _, text := range v.Group {
		if _, value, ok := strings.Cut(text, "="); ok {
			text = value
		}
		if a, err := netip.ParseAddr(text); err == nil && prefix(a).Addr() == source {
			return true
		}
		if p, err := netip.ParsePrefix(text); err == nil && prefix(p.Addr()).Addr() == source {
			return true
		}
	}
	return false
}

// spoofable tells that no TCP exchange stands behind e's source: it came as a
// datagram, or who read it in a log says so.
func spoofable(e *event.Event) bool {
	v, _ := e.Get("lapwing.spoofable")
	return e.Transport == "udp" || v.Text() == "true"
}

// join makes s one campaign with whoever did the same before.
func (g *Engine) join(s *source, e *event.Event, p *known) {
	me := prefix(e.Source.Addr()).Addr()
	if !p.any {
		return
	}
	if p.item == nil || e.Time.Sub(p.item.print.Seen) > day || p.orphan(me) {
		if s.Prints < maxPrints {
			s.Prints++
			g.mem.put(&item{key: printKey(p.hash), hash: p.hash, print: &imprint{Seen: e.Time, Owner: me}})
		}
		return
	}
	q := p.item.print
	if e.Time.Sub(q.Seen) > time.Hour { // not with each event
		q.Seen = e.Time
		g.mem.mark(p.item)
	}
	campaign := p.campaign(s, me)
	if campaign != s.Campaign && s.Campaign == s.Own && !s.Joined {
		g.moves = append(g.moves, Move{s.Own, campaign, me, s.alerts()})
		s.Campaign = campaign
		if p.owner != nil {
			p.owner.source.Joined = true
			g.mem.mark(p.owner)
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
	any         bool // the event has one
	hash        [16]byte
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

// recallPrint finds what e has in common with others. made is how many new ones
// the source has made known: beyond the limit none is looked for.
func (g *Engine) recallPrint(ctx context.Context, e *event.Event, made int) (k known, err error) {
	if made >= maxPrints {
		return k, nil
	}
	g.text = g.print(g.text[:0], e)
	if len(g.text) == 0 {
		return k, nil
	}
	h := sha256.Sum256(g.text)
	k.any, k.hash = true, [16]byte(h[:16])
	if k.item, err = g.mem.findPrint(ctx, k.hash); err != nil || k.item == nil {
		return k, err
	}
	if o := k.item.print.Owner; o.IsValid() && o != prefix(e.Source.Addr()).Addr() {
		k.owner, err = g.mem.find(ctx, o)
	}
	return k, err
}

// print appends what others may do just so; nothing where it says nothing.
func (g *Engine) print(dst []byte, e *event.Event) []byte {
	const end = "\x00"
	client := g.clients.of(e.Connection)
	switch e.Action {
	case event.ActionLogin:
		if v, ok := e.Get("lapwing.password.hmac"); ok && client != "" {
			return concat(dst, "credential"+end, client, end, e.User, end, v.Text())
		}
	case event.ActionCommandExecuted:
		dst = concat(dst, "command"+end, client, end)
		from := len(dst)
		for word := range strings.FieldsSeq(e.CommandLine) {
			if len(dst) > from {
				dst = append(dst, ' ')
			}
			dst = append(dst, word...)
		}
		if len(dst)-from < minCommand {
			return dst[:0]
		}
	case event.ActionFileCaptured:
		if e.Size > 0 {
			return concat(dst, "file"+end, e.SHA256)
		}
	case event.ActionDownloadRequested:
		return concat(dst, "url"+end, e.URL)
	}
	return dst
}

func concat(dst []byte, parts ...string) []byte {
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
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
func ownID(key string, first time.Time) string { return id("campaign", key, stamp(first)) }

// stamp is a time in an id.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// id derives an id from what it is about, so that judging the same events
// twice gives the same one. It has the form of a UUIDv8 (RFC 9562).
func id(parts ...string) string {
	text := make([]byte, 0, 256)
	for _, p := range parts {
		text = append(append(text, p...), 0)
	}
	b := sha256.Sum256(text)
	b[6], b[8] = b[6]&0x0f|0x80, b[8]&0x3f|0x80
	return event.FormatUUID([16]byte(b[:16]))
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
	byID map[[16]byte]unique.Handle[string]
	ring [][16]byte
	next int
}

func (c *clients) put(connection, software string) {
	if connection == "" {
		return
	}
	k := clientKey(connection)
	if _, ok := c.byID[k]; !ok {
		if len(c.ring) < maxClients {
			c.ring = append(c.ring, k)
		} else {
			delete(c.byID, c.ring[c.next])
			c.ring[c.next] = k
			c.next = (c.next + 1) % maxClients
		}
	}
	c.byID[k] = unique.Make(software)
}

// of is the client software of a connection; "" where it is not known.
func (c *clients) of(connection string) string {
	if h, ok := c.byID[clientKey(connection)]; ok {
		return h.Value()
	}
	return ""
}

// clientKey is the UUID that a connection has, or a hash of another id.
func clientKey(connection string) [16]byte {
	if u, ok := event.ParseUUID(connection); ok {
		return u
	}
	h := sha256.Sum256([]byte(connection))
	return [16]byte(h[:16])
}
