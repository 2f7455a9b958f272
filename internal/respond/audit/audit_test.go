package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/respond/audit"
)

func key(tb testing.TB) *audit.Key {
	tb.Helper()
	k, err := audit.NewKey(bytes.Repeat([]byte{7}, 32))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func entry(n int) audit.Entry {
	return audit.Entry{
		At: time.Date(2026, 5, 4, 12, 0, n, 0, time.UTC), Act: "block", Actor: "policy", Rule: "rule-1", ID: fmt.Sprintf("id-%d", n),
		Events: []string{"e1", "e2"}, Target: fmt.Sprintf("203.0.113.%d/32", n), Why: "guessed <at> \"passwords\"\x00\xff",
	}
}

func open(tb testing.TB, dir string) *audit.Log {
	tb.Helper()
	l, err := audit.Open(dir, key(tb))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// written is a log of n entries with a kept checkpoint half-way.
func written(tb testing.TB, n int) string {
	tb.Helper()
	dir := tb.TempDir()
	l := open(tb, dir)
	for i := range n {
		if err := l.Append(entry(i)); err != nil {
			tb.Fatal(err)
		}
		if i == n/2 {
			if _, err := l.Checkpoint(); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := l.Sync(); err != nil {
		tb.Fatal(err)
	}
	l.Close()
	return dir
}

func verify(tb testing.TB, dir string, old ...string) (*audit.Report, error) {
	tb.Helper()
	return audit.Verify(dir, key(tb), old...)
}

func TestWriteAndRead(t *testing.T) {
	dir := written(t, 21)
	rep, err := verify(t, dir)
	if err != nil || rep.Entries != 21 || rep.Checkpoints != 1 {
		t.Fatalf("%+v, %v", rep, err)
	}
	public, err := audit.NewVerifier(key(t).Public())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := audit.Verify(dir, public); err != nil {
		t.Errorf("with the public key alone: %v", err)
	}
	n := 0
	audit.Read(dir, func(e audit.Entry) error {
		want := entry(n)
		want.Number, want.Why = int64(n), "guessed <at> \"passwords\"\x00?"
		if d := cmp.Diff(want, e); d != "" {
			t.Error(d)
		}
		n++
		return nil
	})
	if n != 21 {
		t.Errorf("%d entries", n)
	}
}

func TestEmpty(t *testing.T) {
	if rep, err := verify(t, t.TempDir()); err != nil || rep.Entries != 0 {
		t.Errorf("%+v, %v", rep, err)
	}
	dir := t.TempDir()
	l := open(t, dir)
	if text, err := l.Checkpoint(); text != "" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	l.Close()
	if _, err := verify(t, dir); err != nil {
		t.Error(err)
	}
	open(t, dir).Close()
}

// TestEveryByteCounts flips each byte of each file.
func TestEveryByteCounts(t *testing.T) {
	dir := written(t, 3)
	for _, name := range []string{"entries", "hashes", "head", "checkpoints"} {
		file := filepath.Join(dir, name)
		whole, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 1
			os.WriteFile(file, bad, 0o600)
			_, err := verify(t, dir)
			var f *audit.FaultError
			if !errors.As(err, &f) {
				t.Fatalf("%s: byte %d was changed from %q: %v", name, i, whole[i], err)
			}
			if want := int64(bytes.Count(whole[:i], []byte("\n"))); name == "entries" && f.Entry != want {
				t.Errorf("byte %d of entry %d: %d is named: %v", i, want, f.Entry, err)
			}
		}
		os.WriteFile(file, whole, 0o600)
	}
	if _, err := verify(t, dir); err != nil {
		t.Error(err)
	}
}

func TestTampering(t *testing.T) {
	const n = 20
	lines := func(fn func([][]byte) [][]byte) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			t.Helper()
			file := filepath.Join(dir, "entries")
			data, _ := os.ReadFile(file)
			ls := bytes.SplitAfter(data, []byte("\n"))
			os.WriteFile(file, bytes.Join(fn(ls[:len(ls)-1]), nil), 0o600)
		}
	}
	for _, c := range []struct {
		name  string
		do    func(*testing.T, string)
		entry int64
		text  string
	}{
		{"drop", lines(func(l [][]byte) [][]byte { return append(l[:7], l[8:]...) }), 7, "entry 8 stands where entry 7"},
		{"reorder", lines(func(l [][]byte) [][]byte { l[3], l[4] = l[4], l[3]; return l }), 3, "entry 4 stands where entry 3"},
		{"truncate", lines(func(l [][]byte) [][]byte { return l[:15] }), 15, "entry 15 and those after it are missing"},
		{"repeat", lines(func(l [][]byte) [][]byte { return append(l, l[n-1]) }), 20, "entry 19 stands where entry 20"},
		{"cut in a line", lines(func(l [][]byte) [][]byte { l[n-1] = l[n-1][:30]; return l }), 19, "entry 19"},
		{"all", lines(func([][]byte) [][]byte { return nil }), 0, "missing"},
		{"no head", func(_ *testing.T, dir string) { os.Remove(filepath.Join(dir, "head")) }, 0, "head is missing"},
		{"actor", lines(func(l [][]byte) [][]byte {
			l[6] = bytes.Replace(l[6], []byte("policy"), []byte("nobody"), 1)
			return l
		}), 6, "entry 6 was changed"},
		{"target", lines(func(l [][]byte) [][]byte {
			l[6] = bytes.Replace(l[6], []byte("203.0.113.6"), []byte("203.0.113.7"), 1)
			return l
		}), 6, "entry 6: what it is about was changed"},
		{"a space", lines(func(l [][]byte) [][]byte {
			l[6] = bytes.Replace(l[6], []byte(`,"salt"`), []byte(`, "salt"`), 1)
			return l
		}), 6, "entry 6 is not as it was written"},
		{"salt", lines(func(l [][]byte) [][]byte {
			i := bytes.Index(l[6], []byte(`,"salt"`))
			j := bytes.Index(l[6], []byte(`,"about"`))
			l[6] = append(bytes.Clone(l[6][:i]), l[6][j:]...)
			return l
		}), 6, "entry 6 has lost a part"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := written(t, n)
			c.do(t, dir)
			_, err := verify(t, dir)
			var f *audit.FaultError
			if !errors.As(err, &f) || f.Entry != c.entry || !strings.Contains(f.Text, c.text) {
				t.Errorf("%v, want entry %d, %q", err, c.entry, c.text)
			}
		})
	}
}

// TestRewritten: a thief with the key writes the whole log anew; a checkpoint kept
// elsewhere tells.
func TestRewritten(t *testing.T) {
	dir := t.TempDir()
	l := open(t, dir)
	for i := range 9 {
		l.Append(entry(i))
	}
	elsewhere, err := l.Checkpoint()
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		l.Append(entry(9 + i))
	}
	l.Sync()
	l.Close()
	if rep, err := verify(t, dir, elsewhere); err != nil || rep.Checkpoints != 2 {
		t.Fatalf("%+v, %v", rep, err)
	}
	forged := t.TempDir()
	l = open(t, forged)
	for i := range 13 {
		e := entry(i)
		if i == 4 {
			e.Actor = "nobody"
		}
		l.Append(e)
	}
	l.Sync()
	l.Close()
	if _, err := verify(t, forged); err != nil {
		t.Fatalf("by itself it looks right: %v", err)
	}
	if _, err := verify(t, forged, elsewhere); err == nil || !strings.Contains(err.Error(), "one of the entries 0 to 8 was changed") {
		t.Errorf("%v", err)
	}
	if _, err := verify(t, dir, strings.Replace(elsewhere, "9", "8", 1)); err == nil {
		t.Error("a forged checkpoint is taken")
	}
	short := written(t, 3)
	if _, err := verify(t, short, elsewhere); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("%v", err)
	}
}

func TestErase(t *testing.T) {
	dir := written(t, 10)
	l := open(t, dir)
	before, _ := l.Checkpoint()
	n, err := l.Erase(func(target string) bool { return target == "203.0.113.4/32" })
	if n != 1 || err != nil {
		t.Fatalf("%d, %v", n, err)
	}
	l.Append(entry(10))
	l.Sync()
	l.Close()
	data, _ := os.ReadFile(filepath.Join(dir, "entries"))
	if bytes.Contains(data, []byte("203.0.113.4/")) {
		t.Error("it is still there")
	}
	rep, err := verify(t, dir, before)
	if err != nil || rep.Erased != 1 || rep.Entries != 11 {
		t.Errorf("%+v, %v", rep, err)
	}
	audit.Read(dir, func(e audit.Entry) error {
		if (e.Number == 4) != e.Erased || e.Erased && (e.Target != "" || e.Why != "" || e.ID != "id-4") {
			t.Errorf("%+v", e)
		}
		return nil
	})
}

// TestCrash cuts entries and hashes where a crash could, behind the last Sync.
func TestCrash(t *testing.T) {
	dir := written(t, 8)
	synced := map[string][]byte{}
	for _, f := range []string{"entries", "hashes"} {
		synced[f], _ = os.ReadFile(filepath.Join(dir, f))
	}
	l := open(t, dir)
	l.Append(entry(8))
	l.Append(entry(9))
	l.Close() // neither is signed
	whole := map[string][]byte{}
	for f := range synced {
		whole[f], _ = os.ReadFile(filepath.Join(dir, f))
	}
	head, _ := os.ReadFile(filepath.Join(dir, "head"))
	for e := len(synced["entries"]); e <= len(whole["entries"]); e += 101 {
		for h := len(synced["hashes"]); h <= len(whole["hashes"]); h += 48 {
			os.WriteFile(filepath.Join(dir, "head"), head, 0o600)
			os.WriteFile(filepath.Join(dir, "entries"), whole["entries"][:e], 0o600)
			os.WriteFile(filepath.Join(dir, "hashes"), whole["hashes"][:h], 0o600)
			l := open(t, dir)
			if err := l.Append(entry(20)); err != nil {
				t.Fatal(err)
			}
			if err := l.Sync(); err != nil {
				t.Fatal(err)
			}
			l.Close()
			if _, err := verify(t, dir); err != nil {
				t.Fatalf("cut at %d and %d: %v", e, h, err)
			}
		}
	}
	os.WriteFile(filepath.Join(dir, "head"), head, 0o600)
	os.WriteFile(filepath.Join(dir, "entries"), whole["entries"][:len(synced["entries"])/2], 0o600)
	if _, err := audit.Open(dir, key(t)); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("what was signed is gone, and it opens: %v", err)
	}
}

func FuzzVerify(f *testing.F) {
	dir := written(f, 3)
	data, _ := os.ReadFile(filepath.Join(dir, "entries"))
	f.Add(data)
	f.Add(data[:len(data)/2])
	whole := bytes.Clone(data)
	k := key(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		os.WriteFile(filepath.Join(dir, "entries"), data, 0o600)
		_, err := audit.Verify(dir, k)
		if (err == nil) != bytes.Equal(data, whole) && !erasedOnly(data, whole) {
			t.Errorf("%v for %q", err, data)
		}
	})
}

// erasedOnly tells that data is whole with personal parts taken out.
func erasedOnly(data, whole []byte) bool {
	leaf := func(b []byte) (out []json.RawMessage) {
		for l := range bytes.Lines(b) {
			var v struct{ Leaf json.RawMessage }
			json.Unmarshal(l, &v)
			out = append(out, v.Leaf)
		}
		return out
	}
	return cmp.Equal(leaf(data), leaf(whole))
}
