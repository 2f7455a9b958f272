package token

import (
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// Fields is what the names begin with that Mark writes, and that nobody else
// may: only IDField may come from a decoy, for a credential of the configuration.
const Fields = "lapwing.token."

// The fields of an event in which a token was recognised.
const (
	IDField    = Fields + "id"
	KindField  = Fields + "kind"
	HostField  = Fields + "host"  // the machine that it was planted on
	PathField  = Fields + "path"  // where on it
	OwnerField = Fields + "owner" // whose
	ByField    = Fields + "by"    // what gave it away
	StateField = Fields + "state" // new, planted, rotated, removed; unknown where the register has it not
	LateField  = Fields + "late"  // true: it had been rotated, removed or had expired
	SinceField = Fields + "since" // it was stolen between this time and that of the event
	TestField  = Fields + "test"  // true: a test that was announced
	WhoField   = Fields + "tester"

	// SpoofableField marks what must not lead to a block by itself.
	SpoofableField = "lapwing.spoofable"
)

// Watch marks events in which a token is used.
type Watch struct {
	Index    *Index
	Register *Register
	Expected *Expected

	uses, tests atomic.Int64
}

// NewWatch makes every token of the register known.
func NewWatch(m *Master, r *Register) (*Watch, error) {
	w := &Watch{Index: NewIndex(m), Register: r, Expected: NewExpected(m)}
	for _, t := range r.All() {
		clash, err := w.Index.Add(t)
		if err != nil {
			return nil, err
		}
		if clash != nil {
			return nil, fmt.Errorf("the register of tokens: %s and %s have a name in common; put back a backup (lapwing restore)", t.ID, clash)
		}
	}
	return w, nil
}

// Counts are how many events were marked as uses and as tests.
func (w *Watch) Counts() (uses, tests int64) { return w.uses.Load(), w.tests.Load() }

// found is the surest of what was recognised in an event.
type found struct {
	id ID
	by By
}

func (f *found) see(id ID, by By, ok bool) {
	if ok && (f.by == "" || by.sure() > f.by.sure()) {
		f.id, f.by = id, by
	}
}

// Mark looks for a token in e, which must still hold what was typed as a
// password, and adds what is known of it. ok tells whether there is one.
func (w *Watch) Mark(e *event.Event) (ok bool) {
	f := w.look(e)
	if f.by == "" {
		return false
	}
	kept := e.Extra[:0]
	for _, x := range e.Extra {
		if x.Name != IDField { // a credential of the configuration that is a token, too
			kept = append(kept, x)
		}
	}
	e.Extra = kept
	e.Add(IDField, f.id.String())
	e.Add(ByField, string(f.by))
	w.describe(e, f.id)
	if f.by.Spoofable() {
		yes(e, SpoofableField)
	}
	if who, met := w.Expected.Meets(f.id, e.Source, e.Time, f.by); met {
		yes(e, TestField)
		e.Add(WhoField, who)
		w.tests.Add(1)
		return true
	}
	w.uses.Add(1)
	w.Register.Use(f.id, e.Time)
	return true
}

func yes(e *event.Event, name string) {
	e.Extra = append(e.Extra, event.Field{Name: name, Value: event.Bool(true)})
}

// describe adds what the register knows.
func (w *Watch) describe(e *event.Event, id ID) {
	t, ok := w.Register.Get(id)
	if !ok {
		e.Add(StateField, "unknown")
		return
	}
	e.Add(KindField, t.Kind)
	e.Add(HostField, t.Host)
	e.Add(PathField, t.Path)
	e.Add(OwnerField, t.Owner)
	e.Add(StateField, string(t.State))
	e.Add(SinceField, t.Since().UTC().Format(time.RFC3339))
	if t.State == Rotated || t.State == Removed || t.Expired(e.Time) {
		yes(e, LateField)
	}
}

// look goes through what an event reports.
func (w *Watch) look(e *event.Event) (f found) {
	x := w.Index
	if e.User != "" {
		f.see(x.User(e.User))
	}
	if e.URL != "" {
		f.url(x, e.URL)
	}
	for _, field := range e.Extra {
		f.field(x, field.Name, field.Value.Text())
	}
	return f
}

// field looks at one field by its name.
func (f *found) field(x *Index, name, text string) {
	see := func(by By) func(ID, bool) { return func(id ID, ok bool) { f.see(id, by, ok) } }
	switch name {
	case "lapwing.password.text":
		see(ByPassword)(x.Password(text))
		see(ByAccessKey)(x.look(ByAccessKey, fold(text)))
	case "lapwing.ssh.public_key":
		see(ByKey)(x.Fingerprint(text))
	case "user.target.name", "user.email", "email.to.address", "email.from.address", "tls.client.x509.subject.common_name":
		f.see(x.User(text))
	case "tls.client.x509.serial_number":
		see(BySerial)(x.Serial(text))
	case "cloud.access_key":
		see(ByAccessKey)(x.look(ByAccessKey, fold(text)))
	case "lapwing.database", "database.name":
		see(ByDatabase)(x.look(ByDatabase, fold(text)))
	case "dns.question.name", "tls.client.server_name", "url.domain":
		see(ByName)(x.Name(text))
	case "url.full", "url.path", "url.query", "http.request.referrer":
		f.url(x, text)
	}
}

func (f *found) url(x *Index, text string) {
	id, ok := x.Path(text)
	f.see(id, ByPath, ok)
	if rest, found := strings.CutPrefix(text, "//"); found {
		text = rest
	}
	if _, rest, found := strings.Cut(text, "://"); found {
		host, _, _ := strings.Cut(rest, "/")
		id, ok := x.Name(host)
		f.see(id, ByName, ok)
	}
}
