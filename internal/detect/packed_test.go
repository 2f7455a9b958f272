package detect

import (
	"bytes"
	"math/rand/v2"
	"strconv"
	"testing"
)

// TestPacked holds packed against a map over random puts: what it has is what
// was put last, and it stays within its limit.
func TestPacked(t *testing.T) {
	for _, tt := range []struct {
		name       string
		limit      int
		keys, size int
		all        bool // everything fits
	}{
		{"everything fits", 64 << 10, 200, 60, true},
		{"stale copies alone go", 32 << 10, 300, 60, true},
		{"more than fits", 8 << 10, 2000, 60, false},
		{"the least", 0, 500, 100, false},
		{"long ones", 64 << 10, 50, 5000, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newPacked(tt.limit)
			r := rand.New(rand.NewPCG(1, 2))
			want := map[string][]byte{}
			for i := range 20_000 {
				key := strconv.Itoa(r.IntN(tt.keys))
				if r.IntN(3) == 0 {
					got, ok := p.get([]byte(key))
					if ok && !bytes.Equal(got, want[key]) {
						t.Fatalf("%d: of %s %q, not %q", i, key, got, want[key])
					}
					if tt.all && ok != (want[key] != nil) {
						t.Fatalf("%d: %s is there: %v", i, key, ok)
					}
					continue
				}
				data := bytes.Repeat([]byte{byte(i)}, 1+r.IntN(tt.size))
				p.put([]byte(key), data)
				want[key] = data
				if len(p.pages) > p.limit {
					t.Fatalf("%d pages of %d", len(p.pages), p.limit)
				}
			}
			if tt.all != (p.evicted == 0) {
				t.Errorf("%d states were forgotten", p.evicted)
			}
			good := 0
			for key := range want {
				if got, ok := p.get([]byte(key)); ok {
					good += packedHead + len(key) + len(got)
				}
			}
			if good != p.good {
				t.Errorf("%d bytes count, not %d", good, p.good)
			}
			p.reset()
			if _, ok := p.get([]byte("1")); ok || p.good != 0 {
				t.Error("something is left")
			}
		})
	}
}
