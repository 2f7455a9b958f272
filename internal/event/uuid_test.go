package event

import (
	"testing"

	"github.com/google/uuid"
)

// FuzzParseUUID: what is read gives back the same text, and is what the library
// for UUIDs reads; all that is not read is not of that form.
func FuzzParseUUID(f *testing.F) {
	for _, s := range []string{"01a2109e-7c3b-7def-8123-456789abcdef", "01A2109E-7c3b-7def-8123-456789abcdef", "01a2109e-7c3b-7def-8123-456789abcdeg", "01a2109e07c3b-7def-8123-456789abcdef", "", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, ok := ParseUUID(s)
		want, err := uuid.Parse(s)
		if canonical := err == nil && want.String() == s; ok != canonical {
			t.Fatalf("%q: %v, is %v", s, ok, canonical)
		}
		if ok && (u != want || FormatUUID(u) != s) {
			t.Fatalf("%q is %x, written %s", s, u, FormatUUID(u))
		}
		if b, okB := ParseUUID([]byte(s)); okB != ok || b != u {
			t.Fatalf("%q in bytes is %x, %v", s, b, okB)
		}
	})
}
