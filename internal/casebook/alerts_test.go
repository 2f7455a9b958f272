package casebook

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// TestAlertsAreFoundAsAmongAll asks for alerts of many runs and chunks, and
// looks for the same ones among all there are.
func TestAlertsAreFoundAsAmongAll(t *testing.T) {
	b, err := Open(t.Context(), Config{File: filepath.Join(t.TempDir(), "casebook")})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	r := rand.New(rand.NewPCG(5, 6))
	t0 := time.Unix(1_700_000_000, 0).UTC()
	ids := event.NewIDs(rand.NewChaCha8([32]byte{7}), func() time.Time { return t0 })
	sessions := []string{ids.New(), ids.New(), ids.New()}
	made := make([]alert.Alert, 1500)
	for round := range 30 {
		var batch Batch
		for range 200 {
			n := r.IntN(len(made))
			a := &made[n]
			if a.ID == "" {
				u := [16]byte{byte(r.Uint32()), byte(r.Uint32()), byte(n >> 8), byte(n), 0, 1, 0x80, 2, 0x80}
				addr := netip.AddrFrom4([4]byte{198, 51, 100, byte(r.IntN(50))})
				if n%10 == 0 {
					addr = netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 0, 0, 0, byte(r.IntN(9)), 8: byte(n)})
				}
				*a = alert.Alert{
					ID: event.FormatUUID(u), Source: addr, First: t0.Add(time.Duration(r.IntN(1_000_000)) * time.Millisecond), User: fmt.Sprint("user ", n),
					Rule: alert.Rule{ID: "r", Name: "rule", Level: alert.Level(r.IntN(5))},
				}
				if n%7 == 0 {
					a.ID = fmt.Sprint("alert ", n)
				}
			}
			a.Count++
			a.Last = t0.Add(time.Duration(round) * time.Minute)
			a.Session = sessions[r.IntN(3)]
			a.Title = fmt.Sprintf("%s did it %d times", a.Source, a.Count)
			batch.Alert(*a, &event.Event{ID: ids.New(), Time: a.Last, Source: netip.AddrPortFrom(a.Source, 1)})
		}
		if err := b.Apply(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	get := func(q Query) (out []*alert.Alert) {
		t.Helper()
		if err := b.Alerts(t.Context(), q, func(a *alert.Alert) error { out = append(out, a); return nil }); err != nil {
			t.Fatal(err)
		}
		return out
	}
	all := get(Query{})
	want := map[string]alert.Alert{}
	for _, a := range made {
		if a.ID != "" {
			want[a.ID] = a
		}
	}
	for i, a := range all {
		w := want[a.ID]
		if w.Count != a.Count || w.Title != a.Title || w.Session != a.Session || !w.First.Equal(a.First) || !w.Last.Equal(a.Last) || w.Rule.Level != a.Rule.Level {
			t.Fatalf("got %+v, want %+v", a, w)
		}
		if i > 0 && a.First.Before(all[i-1].First) {
			t.Fatalf("%s is behind %s", a.ID, all[i-1].ID)
		}
	}
	if len(all) != len(want) {
		t.Fatalf("%d alerts, want %d", len(all), len(want))
	}
	for n := range 128 {
		q := Query{Last: []int{0, 1, 30, 2000}[n%4]}
		pick := all[r.IntN(len(all))]
		if n&4 != 0 {
			q.Source = SourceOf(pick.Source)
		}
		if n&8 != 0 {
			q.Source, _ = ParseSource(pick.Session)
		}
		if n&16 != 0 {
			q.ID = pick.ID[:1+r.IntN(len(pick.ID))]
		}
		if n&32 != 0 {
			q.Since = pick.Last
		}
		if n&64 != 0 {
			q.Level = pick.Rule.Level
		}
		expect := slices.DeleteFunc(slices.Clone(all), func(a *alert.Alert) bool {
			return q.Source.Session() != "" && a.Session != q.Source.Session() || q.Source.Net().IsValid() && !q.Source.Has(a.Source) ||
				len(a.ID) < len(q.ID) || a.ID[:len(q.ID)] != q.ID || a.Last.Before(q.Since) || a.Rule.Level < q.Level
		})
		if q.Last > 0 {
			expect = expect[max(0, len(expect)-q.Last):]
		}
		same := func(x, y *alert.Alert) bool { return x.ID == y.ID && x.Count == y.Count && x.Title == y.Title }
		if got := get(q); !slices.EqualFunc(expect, got, same) {
			t.Fatalf("%+v: got %d alerts, want %d", q, len(got), len(expect))
		}
	}
}
