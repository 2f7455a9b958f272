package casebook

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/event"
)

const oneID = "01a2109e-7c87-7cfd-9319-838796ad5c56"

func readRefs(data []byte) ([]reference, bool) {
	d := reader{b: data}
	out := d.refs()
	return out, !d.bad
}

func TestRefs(t *testing.T) {
	ids := event.NewIDs(nil, time.Now)
	refs := []reference{
		{seq: 1, event: idOf(oneID), pack: 1, at: 0},
		{seq: 2, event: idOf("another"), pack: 1 << 40, at: 77},
		{seq: 2, event: idOf(ids.New()), pack: 3, at: 1 << 20},
		{seq: 3, event: idOf(ids.New()), pack: 3, at: 1<<20 + 1},
		{seq: 4, event: idOf("7d444840-9dc0-41d1-b245-5ffdce74fad2"), pack: 2, at: 5},
		{seq: 5, event: idOf(ids.New()), pack: 3, at: 2},
		{seq: 1 << 50, event: idOf(strings.ToUpper(oneID)), pack: 3, at: 1 << 20},
		{seq: 1<<50 + 1, event: idOf(""), pack: 0, at: 0},
	}
	got, ok := readRefs(appendRefs(nil, refs))
	if d := cmp.Diff(refs, got, cmp.AllowUnexported(reference{}, storedID{})); d != "" || !ok {
		t.Error(d, ok)
	}
	slices.SortFunc(refs, func(x, y reference) int { return int(x.pack - y.pack) })
	old, err := parseRefs(appendOldRefs(nil, refs))
	if d := cmp.Diff(refs, old, cmp.AllowUnexported(reference{}, storedID{})); d != "" || err != nil {
		t.Errorf("as before: %s, %v", d, err)
	}
	if few := appendRefs(nil, []reference{{seq: 1, event: idOf(ids.New()), pack: 7, at: 3}, {seq: 2, event: idOf(ids.New()), pack: 7, at: 4}}); len(few) > 26 {
		t.Errorf("two events of one maker take %d bytes", len(few))
	}
}

// FuzzRefs: what is read is written again as the same.
func FuzzRefs(f *testing.F) {
	f.Add(appendRefs(nil, []reference{{seq: 1, event: idOf(oneID), pack: 9, at: 300}, {seq: 9, event: idOf("x"), pack: 1, at: 2}}))
	ids := event.NewIDs(nil, time.Now)
	f.Add(appendRefs(nil, []reference{{seq: 1, event: idOf(ids.New()), pack: 9, at: 300}, {seq: 9, event: idOf(ids.New()), pack: 10, at: 2}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		refs, ok := readRefs(data)
		if !ok {
			return
		}
		again, ok := readRefs(appendRefs(nil, refs))
		if d := cmp.Diff(refs, again, cmp.AllowUnexported(reference{}, storedID{})); d != "" || !ok {
			t.Error(d, ok)
		}
	})
}

// FuzzAlertRow: what is read of an alert is written again as the same.
func FuzzAlertRow(f *testing.F) {
	from := netip.MustParseAddr("192.0.2.7")
	for _, r := range []alertRow{
		{},
		{source: from, rule: 3, level: 4, retrospective: true, host: "files", user: "root", title: `192.0.2.7 logged in to files as "192.0.2.7"`, session: idOf(oneID), campaign: idOf(oneID), keyTime: 1_700_000_000, count: 7, last: 1_700_000_001_000_000_000, refs: []reference{{seq: 1, event: idOf(oneID)}}},
		{source: netip.MustParseAddr("2001:db8::1"), title: "192.0.2.7\x01", campaign: idOf("another"), textKey: true, key: "a key", count: -1},
	} {
		f.Add(int64(1_700_000_000_000_000_000), r.encode(1_700_000_000_000_000_000))
	}
	f.Fuzz(func(t *testing.T, first int64, data []byte) {
		r, err := parseAlertRow(first, data)
		if err != nil {
			return
		}
		again, err := parseAlertRow(first, r.encode(first))
		if d := cmp.Diff(r, again, cmp.AllowUnexported(alertRow{}, reference{}, storedID{}), cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); d != "" || err != nil {
			t.Error(d, err)
		}
	})
}

// However the runs of an alert are joined, it comes to the same, and each event
// that it let go of is told once.
func TestAlertsJoinInAnyOrder(t *testing.T) {
	const first = 1_700_000_000_000_000_000
	key := alertKey(time.Unix(0, first), oneID)
	var parts [][]byte
	all := 0
	for n := range int64(9) {
		r := alertRow{source: netip.MustParseAddr("192.0.2.7"), title: fmt.Sprint("after ", n), campaign: idOf("c"), count: 7*n + 7, last: first + n}
		for seq := 7*n + 1; seq <= r.count; seq++ {
			r.refs = append(r.refs, reference{seq: seq, event: idOf(oneID), pack: n, at: seq})
			all++
		}
		parts = append(parts, r.encode(first), campaignRow(fmt.Sprint("campaign ", n)))
	}
	r := rand.New(rand.NewPCG(3, 4))
	want := ""
	for range 50 {
		rest, lost := slices.Clone(parts), map[reference]int{}
		for len(rest) > 1 {
			i := r.IntN(len(rest) - 1)
			v, err := joinAlerts(key, rest[i], rest[i+1], func(ref reference) { lost[ref]++ })
			if err != nil {
				t.Fatal(err)
			}
			rest[i] = v
			rest = slices.Delete(rest, i+1, i+2)
		}
		row, err := parseAlertRow(first, rest[0])
		if err != nil {
			t.Fatal(err)
		}
		if want == "" {
			want = string(rest[0])
		}
		if string(rest[0]) != want || row.campaign.text != "campaign 8" || row.title != "after 8" || len(row.refs) != 2*halfEvents || len(lost) != all-len(row.refs) {
			t.Fatalf("%+v, %d lost", row, len(lost))
		}
		for ref, n := range lost {
			if n != 1 {
				t.Errorf("%v is told %d times", ref, n)
			}
		}
	}
}

func TestKept(t *testing.T) {
	seqs := func(refs []reference) (out []int64) {
		for _, r := range refs {
			out = append(out, r.seq)
		}
		return out
	}
	var old []reference
	for n := range int64(2 * halfEvents) {
		old = append(old, reference{seq: n + 1, pack: 1, at: n})
	}
	keep, gone := kept(old, []reference{{seq: 2*halfEvents + 1, pack: 2}}, 2*halfEvents+1)
	if len(keep) != 2*halfEvents || keep[halfEvents].seq != halfEvents+2 || keep[len(keep)-1].pack != 2 {
		t.Errorf("kept %v", seqs(keep))
	}
	if len(gone) != 1 || gone[0].seq != halfEvents+1 {
		t.Errorf("gone %v", seqs(gone))
	}
	keep, gone = kept(old[:2], []reference{{seq: 2, pack: 7}}, 2)
	if len(keep) != 2 || keep[1].pack != 7 || len(gone) != 1 || gone[0].pack != 1 {
		t.Errorf("written again: %v, %v", keep, gone)
	}
}

func TestShortLines(t *testing.T) {
	for _, tt := range []struct{ name, line, short string }{
		{"as events are written", `{"@timestamp":"2026-01-02","event.id":"` + oneID + `","event.kind":"event"}`, `{"@timestamp":"2026-01-02","event.kind":"event"}`},
		{"another id", `{"@timestamp":"2026-01-02","event.id":"x","event.kind":"event"}`, ""},
		{"the id is last", `{"@timestamp":"2026-01-02","event.id":"` + oneID + `"}`, ""},
		{"the id is elsewhere", `{"event.id":"` + oneID + `","@timestamp":"2026-01-02"}`, ""},
		{"cut", `{"@timestamp":"2026`, ""},
		{"only a time", `{"@timestamp":"2026"}`, ""},
		{"nothing", ``, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.short
			if want == "" {
				want = tt.line
			}
			got := appendShort([]byte("before"), tt.line, oneID)
			if got = bytes.TrimPrefix(got, []byte("before")); string(got) != want {
				t.Fatalf("got %s, want %s", got, want)
			}
			if w := whole(got, oneID); string(w) != tt.line {
				t.Errorf("whole again: %s", w)
			}
		})
	}
}

func TestUUIDRange(t *testing.T) {
	for _, tt := range []struct {
		text, low, high string
	}{
		{"01a2109e", "01a2109e-0000-0000-0000-000000000000", "01a2109e-ffff-ffff-ffff-ffffffffffff"},
		{"01a2109e-7", "01a2109e-7000-0000-0000-000000000000", "01a2109e-7fff-ffff-ffff-ffffffffffff"},
		{oneID, oneID, oneID},
		{"01a2109e7", "", ""},
		{"01a2-", "", ""},
		{"x", "", ""},
		{oneID + "0", "", ""},
		{"01A2", "", ""},
	} {
		low, high, ok := uuidRange(tt.text)
		if ok != (tt.low != "") || ok && (event.FormatUUID(low) != tt.low || event.FormatUUID(high) != tt.high) {
			t.Errorf("%q: %x, %x, %v", tt.text, low, high, ok)
		}
	}
}
