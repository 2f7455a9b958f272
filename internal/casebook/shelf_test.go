package casebook

import (
	"bytes"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// TestStatesInManyRuns writes states in batches of all sizes, over and over, and
// against a map: each is recalled as it was last, now and after the next start,
// what went is not, and few keys that are not there are looked for.
func TestStatesInManyRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "casebook")
	open := func() *SQLite {
		b, err := Open(t.Context(), Config{File: file})
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	b := open()
	defer func() { b.Close() }()
	r := rand.New(rand.NewPCG(1, 2))
	want := map[string]string{}
	check := func(when string) {
		t.Helper()
		for key, v := range want {
			s, ok, err := b.Recall(t.Context(), key)
			if err != nil || !ok || string(s.Data) != v {
				t.Fatalf("%s: %q is %q, %v, %v, want %q", when, key, s.Data, ok, err, v)
			}
		}
		for i := range 1000 {
			if s, ok, err := b.Recall(t.Context(), fmt.Sprint("x ", i)); ok || err != nil {
				t.Fatalf("%s: what was never written is %+v, %v", when, s, err)
			}
		}
	}
	for round := range 150 {
		var batch Batch
		for range 1 + r.IntN(1+round*4%700) {
			n := r.IntN(5000)
			key := []string{"s 10.0." + strconv.Itoa(n>>8) + "." + strconv.Itoa(n&255) + "/32", fmt.Sprintf("p %08x%024x", n, 7), "t" + strconv.Itoa(n)}[n%3]
			v := fmt.Sprint(round, strings.Repeat("x", r.IntN(200)))
			want[key] = v
			batch.State(State{Key: key, Seen: time.Unix(int64(1_700_000_000+n%3*100_000), 0), Data: []byte(v)})
		}
		if err := b.Apply(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	check("as written")
	if n := len(b.shelves.states.runs); n > 3*fanout {
		t.Errorf("%d runs are left after 150 batches", n)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open()
	check("after a start")
	gone, err := b.Expire(t.Context(), Cuts{States: time.Unix(1_700_150_000, 0)})
	if err != nil {
		t.Fatal(err)
	}
	before := len(want)
	for key := range want {
		if key[0] != 't' { // seen last of the three kinds
			delete(want, key)
			if _, ok, err := b.Recall(t.Context(), key); ok || err != nil {
				t.Fatalf("%q expired and is there: %v", key, err)
			}
		}
	}
	if int(gone.States) != before-len(want) {
		t.Errorf("%d went, want %d", gone.States, before-len(want))
	}
	check("after some went")
}

func TestFilterAsksInVainOnceInAThousand(t *testing.T) {
	const n = 100_000
	f := newFilter(n)
	seed := maphash.MakeSeed()
	hash := func(kind string, i int) uint64 { return maphash.String(seed, fmt.Sprint(kind, i)) }
	for i := range n {
		f.put(hash("s ", i))
	}
	vain := 0
	for i := range n {
		if !f.maybe(hash("s ", i)) {
			t.Fatalf("%d is not found", i)
		}
		if f.maybe(hash("p ", i)) {
			vain++
		}
	}
	if vain > n/400 {
		t.Errorf("%d of %d unknown keys are looked for", vain, n)
	}
}

// What is dropped is in no chunk any more, and everything else still is.
func TestDropTakesRecordsOutOfEachRun(t *testing.T) {
	b, err := Open(t.Context(), Config{File: filepath.Join(t.TempDir(), "casebook")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	for round := range 11 { // one merged run, and some that are not
		var batch Batch
		for n := range 2000 {
			batch.State(State{Key: fmt.Sprintf("key %d", n), Data: fmt.Appendf(nil, "round %d of %d", round, n)})
		}
		if err := b.Apply(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	var tk taker
	err = b.take(t.Context(), "drop", &tk, func() error {
		return tk.all.states.drop(t.Context(), tk.a.store(tk.p), func(key, _ []byte) (bool, error) { return bytes.HasSuffix(key, []byte("7")), nil })
	})
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, r := range b.shelves.states.runs {
		err := b.shelves.states.each(t.Context(), b.reading(), []*run{r}, span{}, func(key, _ []byte) error {
			if n++; key[len(key)-1] == '7' {
				t.Errorf("%q is still there", key)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if want := len(b.shelves.states.runs) * 1800; n != want {
		t.Errorf("%d records are left, want %d", n, want)
	}
}

// TestForgetLeavesNothingOfASource looks into every record and every line.
func TestForgetLeavesNothingOfASource(t *testing.T) {
	b, err := Open(t.Context(), Config{File: filepath.Join(t.TempDir(), "casebook")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	const sources = 5
	at := time.Unix(1_700_000_000, 0)
	ids := event.NewIDs(nil, func() time.Time { return at })
	session := make([]string, sources)
	for round := range 30 {
		var batch Batch
		for n := range sources {
			if round%10 == 0 {
				session[n] = ids.New()
			}
			addr := netip.AddrFrom4([4]byte{203, 0, 113, byte(n)})
			e := &event.Event{ID: ids.New(), Time: at, Source: netip.AddrPortFrom(addr, 7), Session: session[n], Host: "files", User: fmt.Sprint("user of ", n)}
			e.Describe(event.ActionCommandExecuted)
			batch.Index(e)
			first := time.Unix(1_600_000_000, int64(n))
			batch.Alert(alert.Alert{ID: oneID[:35] + strconv.Itoa(n), Source: addr, Session: session[n], Title: addr.String() + " works", Count: int64(round + 1), First: first, Last: at}, e)
			batch.State(State{Key: "s " + addr.String() + "/32", Source: addr, Seen: at, Data: []byte(addr.String())})
			batch.State(State{Key: fmt.Sprintf("p %08x%024x", n*1000+round, n), Source: addr, Seen: at})
		}
		if err := b.Apply(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	s, err := ParseSource("203.0.113.3")
	if err != nil {
		t.Fatal(err)
	}
	gone, err := b.Forget(t.Context(), s, "alias")
	if err != nil || gone.Alerts != 1 || gone.Evidence != 30 || len(gone.Sessions) != 3 || gone.States != 31 {
		t.Fatalf("%+v, %v", gone, err)
	}
	count := map[string]int{}
	err = b.view(t.Context(), "look", func(v *view) error {
		for _, shelf := range v.all.all() {
			for _, r := range shelf.runs {
				err := shelf.each(t.Context(), v.t, []*run{r}, span{}, func(key, value []byte) error {
					all := string(key) + string(value)
					for n := range sources {
						if a := string([]byte{203, 0, 113, byte(n)}); strings.Contains(all, a) || strings.Contains(all, fmt.Sprint("user of ", n)) {
							count[fmt.Sprint(shelf.kind, " ", n)]++
						}
					}
					return nil
				})
				if err != nil {
					return err
				}
			}
		}
		where, err := v.t.p.find(t.Context(), v.tx, []byte("203.0.113.3"))
		if len(where) > 0 {
			t.Errorf("lines are left: %v", where)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range sources {
		for _, kind := range []int{shelfAlerts, shelfSessions, shelfStates} {
			if got := count[fmt.Sprint(kind, " ", n)]; (got == 0) != (n == 3) {
				t.Errorf("shelf %d has %d records of source %d", kind, got, n)
			}
		}
	}
	a, err := b.Alert(t.Context(), oneID[:35]+"4")
	if err != nil || len(a.Evidence) != 30 || a.Count != 30 {
		t.Errorf("%+v, %v", a, err)
	}
}

// FuzzRecords: what is read of a chunk is written again as the same records.
func FuzzRecords(f *testing.F) {
	f.Add(appendRecord(appendRecord(nil, nil, []byte("ukey"), []byte("value")), []byte("ukey"), []byte("ukeys and a long rest of it"), nil))
	f.Add([]byte{0xf0, 0, 3, 'a', 'b', 'c', 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		all := func(data []byte) (out []record, err error) {
			var key, value []byte
			for len(data) > 0 {
				if data, key, value, err = takeRecord(data, key); err != nil {
					return nil, err
				}
				out = append(out, record{key: bytes.Clone(key), value: bytes.Clone(value)})
			}
			return out, nil
		}
		first, err := all(data)
		if err != nil {
			return
		}
		var again, last []byte
		for _, r := range first {
			again = appendRecord(again, last, r.key, r.value)
			last = r.key
		}
		second, err := all(again)
		if err != nil || !slices.EqualFunc(first, second, func(x, y record) bool { return bytes.Equal(x.key, y.key) && bytes.Equal(x.value, y.value) }) {
			t.Fatalf("%+v, %v, want %+v", second, err, first)
		}
	})
}

// FuzzSession: what is read of a session is written again as the same.
func FuzzSession(f *testing.F) {
	start := time.Unix(1_700_000_000, 5)
	f.Add(encodeSession(&Session{Host: "files", User: "root", Start: start, End: start.Add(time.Second), Last: start.Add(2 * time.Second), Commands: 3}))
	f.Add(encodeSession(&Session{Decoy: "ssh", Depth: 4, Files: 300}))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s, again Session
		if parseSession(data, &s) != nil {
			return
		}
		if err := parseSession(encodeSession(&s), &again); err != nil {
			t.Fatal(err)
		}
		if s != again {
			t.Fatalf("%+v, want %+v", again, s)
		}
	})
}

// FuzzState: what is read of a state is written again as the same.
func FuzzState(f *testing.F) {
	f.Add([]byte("s\x01\x02\x03\x04"), []byte{sameSource, 200, 1, 'x'})
	f.Add([]byte("p12345678"), []byte{4, 1, 2, 3, 4, 9})
	f.Fuzz(func(t *testing.T, key, data []byte) {
		if len(key) == 0 {
			return
		}
		s, err := parseState(key, data)
		if err != nil {
			return
		}
		again, err := parseState(key, appendState(nil, key, &s))
		if err != nil || !bytes.Equal(s.Data, again.Data) || SourceOf(s.Source) != SourceOf(again.Source) || !s.Seen.Equal(again.Seen) {
			t.Fatalf("%+v, %v, want %+v", again, err, s)
		}
	})
}
