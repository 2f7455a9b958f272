package logsource

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// maxKinds is how many kinds of record are kept apart. An attacker can invent
// event ids and channels; more kinds than this share one Source for each set of
// log sources, which is slower to judge and gives the same matches.
const maxKinds = 4096

// Head is what a decoder knows of a record beside its fields.
type Head struct {
	// Format is the decoder: evtx, json, syslog, access, auditd ...
	Format string
	// Channel, Provider and EventID say where a Windows event came from, also
	// where the record has other fields of these names. Empty for other records.
	Channel, Provider, EventID []byte
}

// Router gives records their Source. Its Workers share the kinds.
type Router struct {
	m      *Mapping
	fields *sigma.Fields
	ids    struct{ channel, eventID, provider sigma.FieldID }
	net    netIDs
	alias  []aliasIDs
	time   []sigma.FieldID
	bySvc  map[string][]channel // by channel name, lower case
	lists  []recordRule
	// byFormat are those of lists that records of a format may be, in their order;
	// "" stands for formats that none names.
	byFormat map[string][]*recordRule
	unknown  *sigma.Source

	mu    sync.RWMutex
	kinds map[string]*kind
	loose map[string]*kind // by log sources alone
}

type aliasIDs struct{ dst, src sigma.FieldID }

// setID is a field and the value that it is given.
type setID struct {
	id    sigma.FieldID
	value string
}

// kind is what is known of records that look the same from outside.
type kind struct {
	src   *sigma.Source
	alias []aliasIDs
	set   []setID
	net   bool          // rules count it by where it came from
	split sigma.FieldID // a field whose value decides further, NoField
	byVal map[string]*kind
}

type recordRule struct {
	name    string
	formats []string
	conds   []cond
	kind    *kind
	windows []aliasIDs // Channel, EventID, Provider_Name where the record is of an event log
}

type cond struct {
	id       sigma.FieldID
	patterns []pattern
}

type pattern struct {
	text       []byte // lower case
	head, tail bool   // something may come before, after
}

// Router binds the mapping to a table of fields. The names that it needs itself
// are added to the table.
func (m *Mapping) Router(f *sigma.Fields) *Router {
	r := &Router{m: m, fields: f, kinds: map[string]*kind{}, loose: map[string]*kind{}, bySvc: map[string][]channel{}, unknown: unknown()}
	ids := f.Add("Channel", "EventID", "Provider_Name")
	r.ids.channel, r.ids.eventID, r.ids.provider = ids[0], ids[1], ids[2]
	r.net.bind(f)
	r.alias = r.aliases(m.doc.Alias)
	r.time = f.Add(m.doc.Time...)
	for _, c := range m.doc.Channels {
		for _, n := range c.Names {
			n = strings.ToLower(n)
			r.bySvc[n] = append(r.bySvc[n], c)
		}
	}
	for _, e := range m.doc.Events { // before any record is filled
		f.Add(sortedKeys(e.When)...)
		r.aliases(e.Alias)
		r.sets(e.Set)
	}
	for _, e := range m.doc.Records {
		rr := recordRule{name: e.Name, formats: e.Format, kind: &kind{src: &sigma.Source{Name: e.Name}, split: sigma.NoField, alias: r.aliases(e.Alias), set: r.sets(e.Set)}}
		for _, s := range e.Sources {
			rr.kind.src.Logsources = append(rr.kind.src.Logsources, sigma.Logsource(s))
		}
		rr.kind.net = counted(rr.kind.src)
		for _, name := range sortedKeys(e.When) {
			c := cond{id: f.Add(name)[0]}
			for _, p := range e.When[name] {
				c.patterns = append(c.patterns, newPattern(p))
			}
			rr.conds = append(rr.conds, c)
		}
		if n := e.Windows; n != nil {
			from := f.Add(n.Channel, n.EventID, cmp.Or(n.Provider, "Provider_Name"))
			rr.windows = []aliasIDs{{r.ids.channel, from[0]}, {r.ids.eventID, from[1]}, {r.ids.provider, from[2]}}
		}
		r.lists = append(r.lists, rr)
	}
	r.sortByFormat()
	return r
}

// unknown is the source of records of no known log source: only rules that name
// none look at them.
func unknown() *sigma.Source {
	return &sigma.Source{Name: "unknown", Logsources: []sigma.Logsource{{}}}
}

// aliases resolves both names of each alias. A destination that no rule reads
// is added too: rules may be loaded later.
func (r *Router) aliases(m map[string]string) []aliasIDs {
	var out []aliasIDs
	for _, dst := range sortedKeys(m) {
		ids := r.fields.Add(dst, m[dst])
		out = append(out, aliasIDs{ids[0], ids[1]})
	}
	return out
}

func (r *Router) sets(m map[string]string) []setID {
	var out []setID
	for _, name := range sortedKeys(m) {
		out = append(out, setID{r.fields.Add(name)[0], m[name]})
	}
	return out
}

func sortedKeys[T any](m map[string]T) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func newPattern(s string) pattern {
	s = strings.ToLower(s)
	p := pattern{}
	if strings.HasPrefix(s, "*") {
		p.head, s = true, s[1:]
	}
	if strings.HasSuffix(s, "*") {
		p.tail, s = true, s[:len(s)-1]
	}
	p.text = []byte(s)
	return p
}

func (p pattern) match(v []byte) bool {
	n := len(p.text)
	switch {
	case len(v) < n:
		return false
	case p.head && p.tail:
		return n == 0 || bytes.Contains(bytes.ToLower(v), p.text)
	case p.head:
		return bytes.EqualFold(v[len(v)-n:], p.text)
	case p.tail:
		return bytes.EqualFold(v[:n], p.text)
	}
	return len(v) == n && bytes.EqualFold(v, p.text)
}

// Worker routes the records of one goroutine.
type Worker struct {
	r     *Router
	key   []byte
	local map[string]*kind
	arena []byte // texts of the record that was routed last
}

// NewWorker makes a Worker.
func (r *Router) NewWorker() *Worker { return &Worker{r: r, local: map[string]*kind{}} }

// Route sets rec.Source and gives the record the other names of its fields; of
// an event log's record under other names it sets what h says of it. It tells whether the record is of a known log source; one that is not is looked
// at only by rules that name none.
func (w *Worker) Route(rec *sigma.Record, h *Head) bool {
	if len(h.Channel) > 0 && len(h.EventID) > 0 {
		w.windows(rec, h)
		return true
	}
	for _, rr := range w.r.of(h.Format) {
		if !rr.fits(rec) {
			continue
		}
		if rr.windows == nil {
			w.give(rec, rr.kind)
			return true
		}
		for _, a := range rr.kind.alias {
			rec.Alias(a.dst, a.src)
		}
		for i, field := range [...]*[]byte{&h.Channel, &h.EventID, &h.Provider} {
			rec.Alias(rr.windows[i].dst, rr.windows[i].src)
			if v, _, ok := rec.First(rr.windows[i].dst); ok {
				*field = v.Text
			}
		}
		w.windows(rec, h)
		return true
	}
	rec.Source = w.r.unknown
	return false
}

// of are the entries that records of a format may be.
func (r *Router) of(format string) []*recordRule {
	if list, ok := r.byFormat[format]; ok {
		return list
	}
	return r.byFormat[""]
}

// sortByFormat sorts the entries by the formats that some of them name.
func (r *Router) sortByFormat() {
	r.byFormat = map[string][]*recordRule{"": nil}
	for i := range r.lists {
		for _, f := range r.lists[i].formats {
			r.byFormat[f] = nil
		}
	}
	for f := range r.byFormat {
		for i := range r.lists {
			if rr := &r.lists[i]; len(rr.formats) == 0 || slices.Contains(rr.formats, f) {
				r.byFormat[f] = append(r.byFormat[f], rr)
			}
		}
	}
}

func (rr *recordRule) fits(rec *sigma.Record) bool {
	for i := range rr.conds {
		if !rr.conds[i].holds(rec) {
			return false
		}
	}
	return true
}

func (c cond) holds(rec *sigma.Record) bool {
	if v, more, ok := rec.First(c.id); !ok || !more { // nearly always
		return ok && v.Type != sigma.Null && c.fits(v.Text)
	}
	for v := range rec.Values(c.id) {
		if v.Type != sigma.Null && c.fits(v.Text) {
			return true
		}
	}
	return false
}

func (c cond) fits(text []byte) bool {
	for i := range c.patterns {
		if c.patterns[i].match(text) {
			return true
		}
	}
	return false
}

func (w *Worker) give(rec *sigma.Record, k *kind) {
	for _, a := range k.alias {
		rec.Alias(a.dst, a.src)
	}
	for _, x := range k.set {
		if !rec.Has(x.id) {
			rec.Hide(x.id, sigma.String(x.value))
		}
	}
	if k.net {
		w.nets(rec)
	}
	rec.Source = k.src
}

func (w *Worker) windows(rec *sigma.Record, h *Head) {
	for _, a := range w.r.alias {
		rec.Alias(a.dst, a.src)
	}
	k := w.kind(rec, h)
	if k.split != sigma.NoField {
		if v, _, ok := rec.First(k.split); ok {
			if sub := k.byVal[string(v.Text)]; sub != nil { // values are few and fixed
				k = sub
			}
		}
	}
	w.give(rec, k)
}

// visible is the single value that rules see in a field.
func visible(rec *sigma.Record, id sigma.FieldID) ([]byte, bool) {
	v, more, ok := rec.First(id)
	return v.Text, ok && !more && v.Type != sigma.Null
}

func (w *Worker) kind(rec *sigma.Record, h *Head) *kind {
	key := append(w.key[:0], h.Channel...)
	key = append(append(key, 0), h.EventID...)
	for _, id := range [...]sigma.FieldID{w.r.ids.channel, w.r.ids.eventID, w.r.ids.provider} {
		key = append(key, 0)
		if v, ok := visible(rec, id); ok {
			key = append(append(key, 1), v...)
		}
	}
	w.key = key
	if k := w.local[string(key)]; k != nil {
		return k
	}
	k := w.r.find(string(key), rec, h)
	if len(w.local) < 2*maxKinds {
		w.local[string(key)] = k
	}
	return k
}

func (r *Router) find(key string, rec *sigma.Record, h *Head) *kind {
	r.mu.Lock()
	defer r.mu.Unlock()
	if k := r.kinds[key]; k != nil {
		return k
	}
	build := r.build(rec, h)
	if len(r.kinds) < maxKinds && len(key) < 4096 {
		r.kinds[key] = build
		return build
	}
	shared := fmt.Sprint(build.src.Logsources)
	if build.split != sigma.NoField {
		shared += "split"
	}
	if k := r.loose[shared]; k != nil {
		return k
	}
	build.dropConst()
	r.loose[shared] = build
	return build
}

func (k *kind) dropConst() {
	src := *k.src
	src.Const = nil
	k.src = &src
	for _, sub := range k.byVal {
		sub.dropConst()
	}
}

// eventNumber reads an event id: 4688, also 4688.0 of programs that count in
// fractions only. What is no number is -1.
func eventNumber(b []byte) int {
	f, err := strconv.ParseFloat(string(bytes.TrimSpace(b)), 64)
	if err != nil || f != float64(int32(f)) {
		return -1
	}
	return int(f)
}

// build works out a kind of Windows event.
func (r *Router) build(rec *sigma.Record, h *Head) *kind {
	id := eventNumber(h.EventID)
	chans := r.bySvc[strings.ToLower(string(h.Channel))]
	if len(chans) == 0 {
		chans = []channel{{}}
	}
	k := &kind{split: sigma.NoField, src: &sigma.Source{Name: fmt.Sprintf("%.80s %d", h.Channel, id)}}
	r.consts(k.src, rec)
	subs := map[string][]sigma.Logsource{}
	for _, c := range chans {
		base := sigma.Logsource{Category: c.Category, Product: productOf(c), Service: c.Service}
		n := len(k.src.Logsources)
		for _, e := range r.m.doc.Events {
			if e.Service != c.Service || c.Service == "" || !slices.Contains(e.IDs, id) {
				continue
			}
			k.alias = append(k.alias, r.aliases(e.Alias)...)
			k.set = append(k.set, r.sets(e.Set)...)
			l := sigma.Logsource{Category: e.Category, Product: base.Product, Service: base.Service}
			if len(e.When) == 0 {
				k.src.Logsources = append(k.src.Logsources, l)
				continue
			}
			for _, name := range sortedKeys(e.When) {
				k.split = r.fields.Add(name)[0]
				for _, v := range e.When[name] {
					subs[v] = append(subs[v], l)
				}
			}
		}
		if len(k.src.Logsources) == n {
			k.src.Logsources = append(k.src.Logsources, base)
		}
	}
	k.net = counted(k.src)
	k.byVal = map[string]*kind{}
	for v, more := range subs {
		src := *k.src
		src.Logsources = append(append([]sigma.Logsource(nil), src.Logsources...), more...)
		k.byVal[v] = &kind{src: &src, alias: k.alias, set: k.set, net: counted(&src), split: sigma.NoField}
	}
	return k
}

func (r *Router) consts(src *sigma.Source, rec *sigma.Record) {
	for _, c := range []struct {
		name string
		id   sigma.FieldID
	}{{"Channel", r.ids.channel}, {"EventID", r.ids.eventID}, {"Provider_Name", r.ids.provider}} {
		if v, ok := visible(rec, c.id); ok && len(v) < 1024 {
			src.Const = append(src.Const, sigma.Const{Field: c.name, Value: string(v)})
		}
	}
}
