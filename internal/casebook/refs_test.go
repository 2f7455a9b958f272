package casebook

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const oneID = "01a2109e-7c87-7cfd-9319-838796ad5c56"

func TestRefs(t *testing.T) {
	refs := []reference{
		{seq: 1, event: oneID, pack: 1, at: 0},
		{seq: 2, event: "another", pack: 1 << 40, at: 77},
		{seq: 1 << 50, event: strings.ToUpper(oneID), pack: 3, at: 1 << 20},
		{seq: 4, event: "", pack: 0, at: 0},
	}
	data := appendRefs(nil, refs)
	got, err := parseRefs(data)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(refs, got, cmp.AllowUnexported(reference{})); d != "" {
		t.Error(d)
	}
}

// FuzzRefs: what is read is written again as the same.
func FuzzRefs(f *testing.F) {
	f.Add(appendRefs(nil, []reference{{seq: 1, event: oneID, pack: 9, at: 300}, {seq: 9, event: "x", pack: 1, at: 2}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		refs, err := parseRefs(data)
		if err != nil {
			return
		}
		again, err := parseRefs(appendRefs(nil, refs))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(refs, again, cmp.AllowUnexported(reference{})); d != "" {
			t.Error(d)
		}
	})
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
		if ok != (tt.low != "") || ok && (uuid(low) != tt.low || uuid(high) != tt.high) {
			t.Errorf("%q: %x, %x, %v", tt.text, low, high, ok)
		}
	}
}
