package track

import (
	"bytes"
	"fmt"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/track/geo"
	"github.com/lapwing-defence/lapwing/internal/track/geo/geotest"
)

// began is a Monday at midnight.
var began = time.Date(2026, 11, 2, 0, 0, 0, 0, time.UTC)

// bench feeds records to a Set and reads the facts that it sets.
type bench struct {
	t   testing.TB
	set *Set
	rec *sigma.Record
}

func newBench(tb testing.TB, cfg Config) *bench {
	tb.Helper()
	b := &bench{tb, New(cfg), sigma.NewRecord(sigma.NewFields())}
	b.set.Bind(b.rec.Fields())
	return b
}

// add gives the facts of a record made of names and values in turn.
func (b *bench) add(at time.Time, pairs ...string) map[string]string {
	b.t.Helper()
	b.rec.Reset()
	for i := 0; i+1 < len(pairs); i += 2 {
		b.rec.Add([]byte(pairs[i]), sigma.String(pairs[i+1]))
	}
	b.set.Add(b.rec, at)
	facts := map[string]string{}
	for name, v := range b.rec.All() {
		if f, ok := strings.CutPrefix(name, "lapwing.track."); ok {
			facts[f] = string(v.Text)
		}
	}
	return facts
}

func (b *bench) login(at time.Time, user, from string, more ...string) map[string]string {
	b.t.Helper()
	return b.add(at, append([]string{"event.category", "authentication", "event.action", "logon", "event.outcome", "success", "user.name", user, "source.ip", from}, more...)...)
}

// routine lets users log in each working day of some weeks at nine.
func (b *bench) routine(weeks int, users ...string) {
	for day := range 7 * weeks {
		if day%7 > 4 {
			continue
		}
		for _, u := range users {
			at := began.AddDate(0, 0, day).Add(9 * time.Hour)
			b.login(at, u, "198.51.100.7", "lapwing.auth.factors", "multi")
			b.login(at.Add(4*time.Hour), u, "198.51.100.7", "lapwing.auth.factors", "multi")
		}
	}
}

func places(tb testing.TB) *geo.Reader {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), "x.mmdb")
	geotest.Write(tb, path, map[string]geotest.Row{
		"198.51.100.0/24": {Country: "DE", Lat: 52.52, Lon: 13.4, Radius: 20, ASN: 64500, Org: "Town"},
		"203.0.113.0/24":  {Country: "TW", Lat: 25.03, Lon: 121.56, Radius: 20, ASN: 64501, Org: "Island"},
		"192.0.2.0/25":    {Country: "DE", Lat: 48.13, Lon: 11.57, Radius: 20, ASN: 64502, Org: "Mobile"},
		"192.0.2.128/25":  {Country: "CH"},
	})
	r, err := geo.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func TestLogin(t *testing.T) {
	week3 := began.AddDate(0, 0, 16).Add(9 * time.Hour) // a Wednesday at nine, two days after the last routine
	for _, tt := range []struct {
		name       string
		at         time.Time
		user, from string
		more       []string
		want       map[string]string
	}{
		{"as ever", week3, "ann", "198.51.100.7", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "place", "outside": "true"}},
		{"from the house", week3, "ann", "10.1.2.3", nil, map[string]string{"geo": "inside", "first_network": "inside"}},
		{"from abroad, never anybody", week3, "ann", "203.0.113.5", []string{"lapwing.auth.factors", "multi"}, map[string]string{
			"geo": "place", "outside": "true", "first_country": "true", "site_country": "true", "first_network": "as", "travel_km": "8918", "travel_kmh": "76", "travel_from": "DE",
		}},
		{"upper case is the same user", week3, "ANN", "198.51.100.7", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "place", "outside": "true"}},
		{"another network of the country", week3, "ann", "192.0.2.5", []string{"lapwing.auth.factors", "multi"}, map[string]string{
			"geo": "place", "outside": "true", "first_network": "as", "travel_km": "465", "travel_kmh": "4", "travel_from": "DE",
		}},
		{"country without a place", week3, "ann", "192.0.2.200", []string{"lapwing.auth.factors", "multi"}, map[string]string{
			"geo": "country", "outside": "true", "first_country": "true", "site_country": "true", "first_network": "prefix",
		}},
		{"nobody knows where", week3, "ann", "100.200.1.1", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "unknown", "outside": "true", "first_network": "prefix"}},
		{"at night", week3.Add(18 * time.Hour), "ann", "198.51.100.7", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "place", "outside": "true", "first_hour": "true"}},
		{"on Saturday", week3.AddDate(0, 0, 3), "ann", "198.51.100.7", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "place", "outside": "true", "first_hour": "true"}},
		{"an hour later than ever", week3.Add(5 * time.Hour), "ann", "198.51.100.7", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "place", "outside": "true"}},
		{"without the second factor", week3, "ann", "198.51.100.7", []string{"lapwing.auth.factors", "single"}, map[string]string{"geo": "place", "outside": "true", "factor_dropped": "true", "single_factor": "true"}},
		{"a password at sshd", week3, "ann", "198.51.100.7", []string{"lapwing.auth.method", "password"}, map[string]string{"geo": "place", "outside": "true", "factor_dropped": "true", "single_factor": "true"}},
		{"a password inside", week3, "ann", "10.0.0.1", []string{"lapwing.auth.method", "password"}, map[string]string{"geo": "inside", "first_network": "inside"}},
		{"who is that", week3, "eve", "198.51.100.7", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "place", "outside": "true", "first_user": "true"}},
		{"asleep", week3.AddDate(0, 0, 43), "ann", "198.51.100.7", []string{"lapwing.auth.factors", "multi"}, map[string]string{"geo": "place", "outside": "true", "dormant_days": "47"}},
		{"asleep in another case", week3.AddDate(0, 0, 42), "ann", "198.51.100.7", []string{"event.outcome", "failure"}, map[string]string{"geo": "place", "outside": "true", "dormant_days": "46"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, Config{Geo: places(t)})
			b.routine(2, "ann", "bob")
			if diff := cmp.Diff(tt.want, b.login(tt.at, tt.user, tt.from, tt.more...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTravel(t *testing.T) {
	b := newBench(t, Config{Geo: places(t)})
	b.routine(1, "ann")
	at := began.AddDate(0, 0, 7).Add(9 * time.Hour)
	b.login(at, "ann", "198.51.100.7")
	got := b.login(at.Add(time.Hour), "ann", "203.0.113.5")
	if got["travel_kmh"] != "8918" || got["travel_known"] != "" {
		t.Errorf("Berlin to Taipei in an hour: %v", got)
	}
	got = b.login(at.Add(time.Hour), "ann", "198.51.100.7")
	if got["travel_kmh"] != "535110" {
		t.Errorf("and back at once, which counts as a minute: %v", got)
	}
	for range 4 { // both at once for days: a telephone beside a computer
		at = at.Add(24 * time.Hour)
		b.login(at, "ann", "203.0.113.5")
		got = b.login(at.Add(time.Minute), "ann", "198.51.100.7")
	}
	if got["travel_known"] != "true" {
		t.Errorf("after days: %v", got)
	}
	without := newBench(t, Config{})
	without.routine(1, "ann")
	got = without.login(at, "ann", "203.0.113.5")
	if diff := cmp.Diff(map[string]string{"geo": "no database", "outside": "true", "first_network": "prefix"}, got); diff != "" {
		t.Errorf("without a database: %s", diff)
	}
	if n := without.set.Stats().NoGeo; n != 11 {
		t.Errorf("%d logins counted as without a place, want 11", n)
	}
}

// TestLearning: nothing is new in the first days, one record with a wrong clock
// does not end them, and the state says so.
func TestLearning(t *testing.T) {
	b := newBench(t, Config{Geo: places(t)})
	b.login(began, "ann", "198.51.100.7")
	for i, at := range []time.Time{began.Add(time.Hour), began.AddDate(0, 0, 1), began.AddDate(50, 0, 0), began.Add(71 * time.Hour)} {
		got := b.login(at, fmt.Sprint("ann", i), "203.0.113.5")
		if got["learning"] != "true" || got["first_user"] != "" || got["first_country"] != "" || got["site_country"] != "" {
			t.Errorf("%v: %v", at, got)
		}
	}
	b.set.Advance(began.Add(71 * time.Hour))
	if st := b.set.Stats(); !st.Learning || !st.LearntAt.Equal(began.Add(72*time.Hour)) {
		t.Errorf("learning %v until %v", st.Learning, st.LearntAt)
	}
	b.set.Advance(began.Add(73 * time.Hour))
	got := b.login(began.Add(73*time.Hour), "new", "203.0.113.5")
	if b.set.Stats().Learning || got["first_user"] != "true" {
		t.Errorf("still learning: %v", got)
	}
	before := b.set.Stats()
	got = b.login(began.AddDate(0, 0, 30), "later", "203.0.113.5")
	if st := b.set.Stats(); len(got) > 0 || st.Future != before.Future+1 || st.Logins != before.Logins {
		t.Errorf("a record of next month counts: %v", got)
	}
}

// TestFloodOfNames: who comes each day stays known while ten times as many
// names as there is room for come once.
func TestFloodOfNames(t *testing.T) {
	b := newBench(t, Config{Limits: Limits{Users: 1000}})
	b.routine(1, "ann")
	at := began.AddDate(0, 0, 7).Add(9 * time.Hour)
	for i := range 10_000 {
		b.login(at, fmt.Sprint("x", i), "203.0.113.5")
		if i%500 == 0 {
			b.login(at, "ann", "198.51.100.7")
		}
	}
	if got := b.login(at, "ann", "198.51.100.7"); got["first_user"] != "" {
		t.Errorf("a busy account was forgotten: %v", got)
	}
	st := b.set.Stats()
	if st.Entries["users"] != 1000 || st.Evicted["users"] != 9001 {
		t.Errorf("%d users, %d evicted", st.Entries["users"], st.Evicted["users"])
	}
}

// TestSnapshot: what is restored goes on as if nothing had happened.
func TestSnapshot(t *testing.T) {
	cfg := Config{Geo: places(t), Servers: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}
	whole := newBench(t, cfg)
	whole.routine(2, "ann", "bob")
	flows(whole, began, 80)
	var buf bytes.Buffer
	if err := whole.set.Snapshot(&buf); err != nil {
		t.Fatal(err)
	}
	again := newBench(t, cfg)
	if err := again.set.Restore(bytes.NewReader(buf.Bytes())); err != nil {
		t.Fatal(err)
	}
	at := began.AddDate(0, 0, 14).Add(3 * time.Hour)
	for i, from := range []string{"203.0.113.5", "198.51.100.7", "192.0.2.130"} {
		a, b := whole.login(at.Add(time.Duration(i)*time.Hour), "ann", from), again.login(at.Add(time.Duration(i)*time.Hour), "ann", from)
		if diff := cmp.Diff(a, b); diff != "" || len(a) < 3 {
			t.Errorf("%s: %s", from, diff)
		}
	}
	if diff := cmp.Diff(flows(whole, at, 300), flows(again, at, 300)); diff != "" {
		t.Error(diff)
	}
	for name, bad := range map[string][]byte{"empty": nil, "text": []byte("hello, world"), "cut": buf.Bytes()[:buf.Len()/2], "turned bit": flipped(buf.Bytes())} {
		if err := again.set.Restore(bytes.NewReader(bad)); err == nil || !strings.Contains(err.Error(), ErrState.Error()) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := again.login(at, "bob", "198.51.100.7", "lapwing.auth.factors", "multi"); got["first_user"] != "" {
		t.Errorf("a refused state replaced what was known: %v", got)
	}
}

// TestSnapshotAgain: within five minutes the same is given; after them what is new
// is in it.
func TestSnapshotAgain(t *testing.T) {
	b := newBench(t, Config{})
	at := began
	users := func() int {
		b.login(at, fmt.Sprint("u", at.Unix()), "198.51.100.7")
		b.set.Advance(at)
		var buf bytes.Buffer
		if err := b.set.Snapshot(&buf); err != nil {
			t.Fatal(err)
		}
		again := New(Config{})
		if err := again.Restore(&buf); err != nil {
			t.Fatal(err)
		}
		return again.Stats().Entries["users"]
	}
	var got []int
	for _, pause := range []time.Duration{0, time.Minute, time.Minute, 4 * time.Minute, -time.Hour} {
		at = at.Add(pause)
		got = append(got, users())
	}
	if diff := cmp.Diff([]int{1, 1, 1, 4, 5}, got); diff != "" {
		t.Error(diff)
	}
}

func flipped(b []byte) []byte {
	b = bytes.Clone(b)
	b[len(b)*2/3] ^= 4
	return b
}

// flows lets a server send to a new address every minute, and gives all facts.
func flows(b *bench, at time.Time, n int) []map[string]string {
	b.t.Helper()
	var out []map[string]string
	for i := range n {
		out = append(out, b.add(at.Add(time.Duration(i)*time.Minute), "event.category", "network", "source.ip", "10.0.0.9", "source.port", strconv.Itoa(40000+i),
			"destination.ip", "203.0.113.77", "destination.port", "443", "network.transport", "tcp", "source.bytes", "500", "destination.bytes", "700"))
	}
	return out
}

// BenchmarkAdd measures a record of each sort that costs.
func BenchmarkAdd(b *testing.B) {
	b.Run("login refused", func(b *testing.B) { // nothing is looked up
		t := newBench(b, Config{})
		fill(t, "event.category", "authentication", "event.action", "logon-failed", "event.outcome", "failure", "user.name", "root", "source.ip", "203.0.113.5")
		for b.Loop() {
			t.set.Add(t.rec, began)
		}
	})
	b.Run("login", func(b *testing.B) {
		t := newBench(b, Config{Geo: places(b)})
		t.routine(2, "ann")
		fill(t, "event.category", "authentication", "event.action", "logon", "event.outcome", "success", "user.name", "ann", "source.ip", "198.51.100.7")
		for b.Loop() {
			t.set.Add(t.rec, began.AddDate(0, 0, 16).Add(9*time.Hour))
		}
	})
	b.Run("no login and no flow", func(b *testing.B) {
		t := newBench(b, Config{})
		fill(t, "message", "hello", "program", "cron", "host.name", "x")
		for b.Loop() {
			t.set.Add(t.rec, began)
		}
	})
	b.Run("flow", func(b *testing.B) {
		t := newBench(b, Config{})
		t.learn("10.0.0.5")
		fill(t, "event.category", "network", "source.ip", "10.0.0.5", "source.port", "40000", "destination.ip", "203.0.113.77", "destination.port", "443",
			"network.transport", "tcp", "source.bytes", "500", "destination.bytes", "700")
		at := began.AddDate(0, 0, 5)
		for b.Loop() {
			at = at.Add(time.Second)
			t.set.Add(t.rec, at)
		}
	})
}

func fill(b *bench, pairs ...string) {
	b.rec.Reset()
	for i := 0; i+1 < len(pairs); i += 2 {
		b.rec.Add([]byte(pairs[i]), sigma.String(pairs[i+1]))
	}
}

// BenchmarkSnapshot writes and reads the state of as many pairs as are kept.
func BenchmarkSnapshot(b *testing.B) {
	t := newBench(b, Config{})
	for i := range 400_000 {
		n := i % 100_000
		t.add(began.Add(time.Duration(i)*time.Second), "event.category", "network", "source.ip", fmt.Sprintf("10.0.%d.%d", n%7, n%250), "source.port", strconv.Itoa(40000+i/100_000),
			"destination.ip", fmt.Sprintf("198.%d.%d.7", 18+n>>16, n>>8&255), "destination.port", strconv.Itoa(n), "source.bytes", "500", "destination.bytes", "700")
	}
	var buf bytes.Buffer
	for b.Loop() {
		buf.Reset()
		if err := t.set.Snapshot(&buf); err != nil {
			b.Fatal(err)
		}
		if err := New(Config{}).Restore(bytes.NewReader(buf.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(buf.Len()), "bytes")
}
