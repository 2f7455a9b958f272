package token

import (
	"bytes"
	"crypto/rand"
	mathrand "math/rand/v2"
	"strings"
	"testing"
)

func testMaster(tb testing.TB, seed byte) *Master {
	tb.Helper()
	m, err := NewMaster(bytes.Repeat([]byte{seed}, KeySize))
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// TestSealed opens every form of a sealed id, by the key that sealed it alone.
func TestSealed(t *testing.T) {
	m, other := testMaster(t, 1), testMaster(t, 2)
	x, y := NewIndex(m), NewIndex(other)
	seen := map[string]bool{}
	for range 200 {
		id, err := NewID(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		forms := []struct {
			name, text string
			open       func(*Index, string) (ID, bool)
		}{
			{"word", m.word62(id), (*Index).Password},
			{"word in a text", "npm_" + m.word62(id), (*Index).Password},
			{"word with an end", m.word62(id) + "0aZ9", (*Index).Password},
			{"word after a sign", "Bearer " + m.word62(id) + "!", (*Index).Password},
			{"name", strings.ToUpper(m.word32(id)) + ".cdn.example.org", (*Index).Name},
			{"path", "/a/" + m.uuid(id) + "/logo.png", (*Index).Path},
			{"serial", m.seal(id).Text(16), (*Index).Serial},
			{"decimal serial", m.seal(id).Text(10), (*Index).Serial},
		}
		for _, f := range forms {
			if got, ok := f.open(x, f.text); !ok || got != id {
				t.Errorf("%s %q gives %s, %v; sealed was %s", f.name, f.text, got, ok, id)
			}
			if got, ok := f.open(y, f.text); ok {
				t.Errorf("%s %q is opened by another key as %s", f.name, f.text, got)
			}
			if seen[f.text] {
				t.Errorf("%s %q came twice", f.name, f.text)
			}
			seen[f.text] = true
		}
		if got, ok := ParseID(id.String()); !ok || got != id {
			t.Errorf("%s is read as %s, %v", id, got, ok)
		}
	}
}

// TestForged: what is changed in one place, or drawn, is no token.
func TestForged(t *testing.T) {
	m := testMaster(t, 1)
	x := NewIndex(m)
	id, _ := NewID(rand.Reader)
	word := m.word62(id)
	for i := range word {
		for _, c := range []byte("0Az") {
			if forged := word[:i] + string(c) + word[i+1:]; forged != word {
				if got, ok := x.Password(forged); ok {
					t.Errorf("%q, changed at %d, is %s", forged, i, got)
				}
			}
		}
	}
	r := mathrand.New(mathrand.NewPCG(1, 2))
	for range 20_000 {
		var b [len62]byte
		for i := range b {
			b[i] = letters62[r.IntN(62)]
		}
		if got, ok := x.Password(string(b[:])); ok {
			t.Errorf("%q is %s", b, got)
		}
	}
}

// FuzzIndex: no text of a stranger is taken for a token, whatever it holds.
func FuzzIndex(f *testing.F) {
	m := testMaster(f, 1)
	x := NewIndex(m)
	row := &Token{ID: ID{1}, Kind: "ssh", Names: map[string]string{"user": "backup-abcde"}}
	if _, err := x.Add(row); err != nil {
		f.Fatal(err)
	}
	for _, s := range []string{"", "backup-abcde", `CORP\backup-abcde`, "cn=backup-abcde,dc=x", "x@y@z", "=,=", "@", `\`, strings.Repeat("a", 5000), "00000000-0000-4000-8000-000000000000", m.uuid(ID{2}), m.word62(ID{2}), "\xff\xfe"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if id, _, ok := x.User(s); ok && (id != row.ID || !strings.Contains(strings.ToLower(s), "backup-abcde")) {
			t.Errorf("user %q is %s", s, id)
		}
		known := func(what string, id ID, ok bool) {
			if ok && !strings.Contains(s, m.word62(id)) && !strings.Contains(strings.ToLower(s), m.uuid(id)) && !strings.Contains(strings.ToLower(s), m.word32(id)) {
				t.Errorf("%s %q is %s", what, s, id)
			}
		}
		id, ok := x.Password(s)
		known("password", id, ok)
		id, ok = x.Path(s)
		known("path", id, ok)
		id, ok = x.Name(s)
		known("name", id, ok)
		if id, ok := x.Serial(s); ok && len(s) < 30 {
			t.Errorf("serial %q is %s", s, id)
		}
	})
}
