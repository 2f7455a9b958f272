package token

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// testHostKey is the public key of some SSH host.
const testHostKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHi9a6+nKqlDcTVooUSlRewp+FHvn/Cn4lnan8zEg6bu"

func testWatch(t *testing.T) (*Master, *Watch) {
	t.Helper()
	m := testMaster(t, 3)
	r, err := OpenRegister(filepath.Join(t.TempDir(), "r"))
	if err != nil {
		t.Fatal(err)
	}
	w, err := NewWatch(m, r)
	if err != nil {
		t.Fatal(err)
	}
	return m, w
}

var testTime = time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)

// testToken draws a token that is planted.
func testToken(t *testing.T, m *Master, w *Watch, row Token) (*Token, []File) {
	t.Helper()
	row.Host, row.Path, row.Owner, row.Created, row.Planted, row.State = "web01", "/home/anna", "anna", testTime, testTime.Add(time.Hour), Planted
	made, err := m.Make(&row, Surroundings{HostKeys: []string{testHostKey}})
	if err != nil {
		t.Fatal(err)
	}
	if clash, err := w.Index.Add(&row); err != nil || clash != nil {
		t.Fatal(clash, err)
	}
	if err := w.Register.Add(&row); err != nil {
		t.Fatal(err)
	}
	return &row, made.Files
}

// marked gives the fields that Mark added.
func marked(w *Watch, e event.Event) map[string]string {
	before := len(e.Extra)
	if !w.Mark(&e) {
		return nil
	}
	out := map[string]string{}
	for _, f := range e.Extra[before:] {
		out[f.Name] = f.Value.Text()
	}
	return out
}

func TestMark(t *testing.T) {
	m, w := testWatch(t)
	row, _ := testToken(t, m, w, Token{ID: ID{1}, Kind: "ssh", Door: Door{"files", "ssh", "192.0.2.1:22"}})
	finger, err := m.fingerprint(row.ID)
	if err != nil {
		t.Fatal(err)
	}
	user := row.Names["user"]
	for _, tt := range []struct {
		name string
		fill func(*event.Event)
		by   By // "": it is no token
	}{
		{"a key", func(e *event.Event) { e.User = "root"; e.Add("lapwing.ssh.public_key", finger) }, ByKey},
		{"a key is surer than a name", func(e *event.Event) { e.User = user; e.Add("lapwing.ssh.public_key", finger) }, ByKey},
		{"a name", func(e *event.Event) { e.User = user }, ByUser},
		{"a name in a domain", func(e *event.Event) { e.User = `CORP\` + user }, ByUser},
		{"a name at a domain", func(e *event.Event) { e.User = user + "@corp.example" }, ByUser},
		{"a distinguished name", func(e *event.Event) { e.User = "CN=" + user + ",OU=Service,DC=corp" }, ByUser},
		{"the target of sudo", func(e *event.Event) { e.User = "x"; e.Add("user.target.name", user) }, ByUser},
		{"a password", func(e *event.Event) { e.Add("lapwing.password.text", m.word62(row.ID)) }, ByPassword},
		{"a link", func(e *event.Event) { e.URL = "http://192.0.2.1/x/" + m.uuid(row.ID) + ".png" }, ByPath},
		{"a link's path", func(e *event.Event) { e.Add("url.path", "/"+m.uuid(row.ID)) }, ByPath},
		{"a query", func(e *event.Event) { e.Add("dns.question.name", "a."+m.word32(row.ID)+".example") }, ByName},
		{"a certificate", func(e *event.Event) { e.Add("tls.client.x509.serial_number", m.seal(row.ID).Text(16)) }, BySerial},
		{"another name", func(e *event.Event) { e.User = user + "x" }, ""},
		{"no name", func(*event.Event) {}, ""},
		{"a name in a field of another meaning", func(e *event.Event) { e.Add("process.name", user) }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			e := event.Event{Time: testTime.Add(24 * time.Hour), Source: netip.MustParseAddrPort("198.51.100.1:1")}
			tt.fill(&e)
			got := marked(w, e)
			if tt.by == "" {
				if got != nil {
					t.Errorf("it is a token: %v", got)
				}
				return
			}
			want := map[string]string{
				IDField: row.ID.String(), KindField: "ssh", HostField: "web01", PathField: "/home/anna", OwnerField: "anna",
				ByField: string(tt.by), StateField: "planted", SinceField: "2026-05-06T08:08:09Z",
			}
			if tt.by.Spoofable() {
				want[SpoofableField] = "true"
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("fields (-want +got):\n%s", d)
			}
		})
	}
}

// TestMarkLate: a token that was taken away, and one that the register does not
// know, give away who uses them all the same.
func TestMarkLate(t *testing.T) {
	m, w := testWatch(t)
	row, _ := testToken(t, m, w, Token{ID: ID{1}, Kind: "ssh", Door: Door{"files", "ssh", "192.0.2.1:22"}, Expires: testTime.Add(90 * time.Hour)})
	use := func(id ID, at time.Time) map[string]string {
		e := event.Event{Time: at}
		e.Add("lapwing.password.text", m.word62(id))
		return marked(w, e)
	}
	if got := use(row.ID, testTime.Add(80*time.Hour)); got[LateField] != "" {
		t.Errorf("in time: %v", got)
	}
	if got := use(row.ID, testTime.Add(100*time.Hour)); got[LateField] != "true" {
		t.Errorf("expired: %v", got)
	}
	for _, state := range []State{Rotated, Removed} {
		if _, err := w.Register.Change(row.ID, func(t *Token) error { t.State = state; return nil }); err != nil {
			t.Fatal(err)
		}
		if got := use(row.ID, testTime.Add(80*time.Hour)); got[LateField] != "true" || got[StateField] != string(state) {
			t.Errorf("%s: %v", state, got)
		}
	}
	if got := use(ID{7}, testTime); got[IDField] != (ID{7}).String() || got[StateField] != "unknown" {
		t.Errorf("of no row: %v", got)
	}
	if got, _ := w.Register.Get(row.ID); got.Uses != 4 {
		t.Errorf("%d uses were counted, not 4", got.Uses)
	}
}

// TestExpectation: one use is a test, whatever differs from it is not.
func TestExpectation(t *testing.T) {
	source, other := netip.MustParseAddrPort("192.0.2.9:1000"), netip.MustParseAddrPort("192.0.2.9:1001")
	for _, tt := range []struct {
		name   string
		id     ID
		source netip.AddrPort
		after  time.Duration
		test   bool
	}{
		{"as announced", ID{1}, source, time.Second, true},
		{"at once", ID{1}, source, 0, true},
		{"at the end", ID{1}, source, TestTime, true},
		{"too late", ID{1}, source, TestTime + time.Millisecond, false},
		{"too early", ID{1}, source, -time.Second, false},
		{"from another port", ID{1}, other, time.Second, false},
		{"another token", ID{2}, source, time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, w := testWatch(t)
			for _, id := range []ID{{1}, {2}} {
				testToken(t, m, w, Token{ID: id, Kind: "ssh", Door: Door{"files", "ssh", "192.0.2.1:22"}})
			}
			text, err := m.Sign(Expectation{ID: ID{1}, Source: source, From: testTime, Until: testTime.Add(TestTime), Who: "anna"})
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Expected.Open(text, testTime); err != nil {
				t.Fatal(err)
			}
			e := event.Event{Time: testTime.Add(tt.after), Source: tt.source}
			e.Add("lapwing.password.text", m.word62(tt.id))
			got := marked(w, e)
			if (got[TestField] == "true") != tt.test || (got[WhoField] == "anna") != tt.test {
				t.Errorf("marked %v", got)
			}
			row, _ := w.Register.Get(tt.id)
			if (row.Uses == 0) != tt.test {
				t.Errorf("%d uses counted", row.Uses)
			}
			seen, _ := w.Expected.Seen(text)
			select {
			case <-seen:
				if met := w.Expected.When(text); !tt.test || met.By != ByPassword || !met.At.Equal(e.Time) {
					t.Errorf("seen: %+v", met)
				}
			default:
				if tt.test {
					t.Error("it was not seen")
				}
			}
		})
	}
}

// TestExpectationForged: what was not signed with the key, what is over and
// what would last longer is not opened.
func TestExpectationForged(t *testing.T) {
	m, w := testWatch(t)
	e := Expectation{ID: ID{1}, Source: netip.MustParseAddrPort("192.0.2.9:1000"), From: testTime, Until: testTime.Add(TestTime)}
	good, err := m.Sign(e)
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := testMaster(t, 9).Sign(e)
	e.Until = testTime.Add(time.Hour)
	long, _ := m.Sign(e)
	for name, text := range map[string]string{"empty": "", "a dot": ".", "cut": good[:len(good)-1], "changed": "x" + good[1:], "another key": foreign, "an hour": long} {
		if err := w.Expected.Open(text, testTime); err == nil {
			t.Errorf("%s: it is opened", name)
		}
	}
	if err := w.Expected.Open(good, testTime.Add(TestTime+1)); err == nil {
		t.Error("what is over is opened")
	}
	for i := range maxExpected + 1 {
		e := Expectation{ID: ID{2}, Source: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.9"), uint16(i)), From: testTime, Until: testTime.Add(TestTime)}
		text, _ := m.Sign(e)
		if err := w.Expected.Open(text, testTime); (err != nil) != (i >= maxExpected) {
			t.Fatalf("number %d: %v", i, err)
		}
	}
	if err := w.Expected.Open(good, testTime.Add(2*time.Minute)); err == nil {
		t.Error("what is over is opened")
	}
}
