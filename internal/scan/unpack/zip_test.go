package unpack

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"
)

// TestZipHidden holds that an entry is looked at whatever the list at the end
// says of it: programs disagree about which are there.
func TestZipHidden(t *testing.T) {
	a, b := zipOf(t, "a.txt", marker), zipOf(t, "b.txt", "nothing of note")
	list, end := bytes.Index(b, []byte("PK\x01\x02")), bytes.Index(b, []byte("PK\x05\x06"))
	entry := a[:bytes.Index(a, []byte("PK\x01\x02"))]
	hidden := slices.Concat(b[:list], entry, b[list:])
	binary.LittleEndian.PutUint32(hidden[len(hidden)-6:], uint32(list+len(entry)))
	set := func(at int, v ...byte) []byte { // in the list's entry
		d := bytes.Clone(a)
		copy(d[bytes.Index(d, []byte("PK\x01\x02"))+at:], v)
		return d
	}
	stored := func() []byte {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		f, err := w.CreateHeader(&zip.FileHeader{Name: "s.txt", Method: zip.Store}) // its size stands behind it
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(marker)); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return buf.Bytes()
	}()
	if end < list {
		t.Fatal("a zip of another shape")
	}
	for _, c := range []struct {
		name  string
		data  []byte
		whole bool
	}{
		{"list in front", slices.Concat(a, b), true},
		{"list behind", slices.Concat(b, a), true},
		{"between the entries", hidden, true},
		{"no list", entry, false},
		{"stored, size behind it", slices.Concat(stored, b), true},
		{"name of a directory", bytes.ReplaceAll(a, []byte("a.txt"), []byte("atxt/")), true},
		{"size", set(24, 1, 0, 0, 0), false},
		{"packed size", set(20, 1, 0, 0, 0), false},
		{"sum", set(16, 1, 2, 3, 4), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, rep := walk(t, c.data, Limits{})
			if c.whole != rep.Complete() || c.name != "packed size" && !slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "harmless marker") }) {
				t.Errorf("%q, complete %v: %v", got, rep.Complete(), rep.Skipped)
			}
		})
	}
}

// TestZipEmpty holds that what has nothing in it makes no noise.
func TestZipEmpty(t *testing.T) {
	var buf bytes.Buffer
	w := zip.NewWriter(&buf)
	for _, h := range []zip.FileHeader{{Name: "dir/"}, {Name: "empty.stored"}, {Name: "empty.deflated", Method: zip.Deflate}, {Name: "x.zip", Method: zip.Store}} {
		f, err := w.CreateHeader(&h)
		if err != nil {
			t.Fatal(err)
		}
		if h.Name == "x.zip" {
			if _, err := f.Write(zipOf(t, "in.txt", marker)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	got, rep := walk(t, buf.Bytes(), Limits{})
	if !rep.Complete() || len(got) != 2 || rep.Entries > 4 {
		t.Errorf("%q of %d: %v", got, rep.Entries, rep.Skipped)
	}
}

// TestTarBehindTar finds the archive behind the end of another.
func TestTarBehindTar(t *testing.T) {
	all := samples(t)
	got, rep := walk(t, slices.Concat(all["tar"], make([]byte, 1024), all["tar"]), Limits{})
	one, _ := walk(t, all["tar"], Limits{})
	if len(got) != 2*len(one) || !rep.Complete() {
		t.Errorf("%d things, not %d: %v", len(got), 2*len(one), rep.Skipped)
	}
}
