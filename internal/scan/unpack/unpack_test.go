package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
)

const marker = "harmless marker: lapwing unpack test\n"

// walk gives what was found as "path = text", texts cut to 40 bytes.
func walk(t *testing.T, data []byte, l Limits) ([]string, Report) {
	t.Helper()
	var got []string
	rep, err := Walk(t.Context(), bytes.NewReader(data), int64(len(data)), l, func(e Entry) error {
		b := make([]byte, min(40, e.Size))
		if _, err := e.Content.ReadAt(b, 0); err != nil && !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", e.Path, err)
		}
		got = append(got, e.Path+" = "+string(b))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return got, rep
}

func zipOf(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err != nil {
			tb.Fatal(err)
		}
		io.WriteString(f, files[i+1])
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func gz(tb testing.TB, name string, data []byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Name = name
	w.Write(data)
	w.Close()
	return b.Bytes()
}

func tarOf(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := 0; i < len(files); i += 2 {
		w.WriteHeader(&tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg})
		io.WriteString(w, files[i+1])
	}
	w.WriteHeader(&tar.Header{Name: "link", Linkname: "/etc/passwd", Typeflag: tar.TypeSymlink})
	w.WriteHeader(&tar.Header{Name: "dev", Typeflag: tar.TypeBlock, Devmajor: 8})
	w.Close()
	return b.Bytes()
}

func arOf(files ...string) []byte {
	b := []byte("!<arch>\n")
	for i := 0; i < len(files); i += 2 {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n%s", files[i]+"/", 0, 0, 0, "100644", len(files[i+1]), files[i+1])
		if len(files[i+1])%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

func cpioOf(name, body string) []byte {
	entry := func(name, body string, mode int) []byte {
		b := fmt.Appendf(nil, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00", 1, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(name)+1, 0, name)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		b = append(b, body...)
		for len(b)%4 != 0 {
			b = append(b, 0)
		}
		return b
	}
	return append(entry(name, body, 0o100644), entry("TRAILER!!!", "", 0)...)
}

// cabOf makes a cabinet of one folder with one block.
func cabOf(tb testing.TB, name, body string, zipped bool) []byte {
	tb.Helper()
	data, method := []byte(body), uint16(0)
	if zipped {
		var b bytes.Buffer
		b.WriteString("CK")
		w, _ := flate.NewWriter(&b, 9)
		io.WriteString(w, body)
		w.Close()
		data, method = b.Bytes(), 1
	}
	le := binary.LittleEndian
	files := 36 + 8
	blocks := files + 16 + len(name) + 1
	b := append([]byte("MSCF"), make([]byte, 32)...)
	le.PutUint32(b[16:], uint32(files))
	b[24], b[25] = 3, 1
	le.PutUint16(b[26:], 1)
	le.PutUint16(b[28:], 1)
	b = le.AppendUint32(b, uint32(blocks))
	b = le.AppendUint16(b, 1)
	b = le.AppendUint16(b, method)
	b = le.AppendUint32(b, uint32(len(body)))
	b = append(b, make([]byte, 12)...)
	b = append(append(b, name...), 0)
	b = le.AppendUint32(b, 0)
	b = le.AppendUint16(b, uint16(len(data)))
	b = le.AppendUint16(b, uint16(len(body)))
	return append(b, data...)
}

// isoOf makes an image with one file and one directory that holds itself.
func isoOf(name, body string) []byte {
	b := make([]byte, 22*isoSector)
	rec := func(name string, sector, size uint32, flags byte) []byte {
		r := make([]byte, 33, 34+len(name))
		binary.LittleEndian.PutUint32(r[2:], sector)
		binary.LittleEndian.PutUint32(r[10:], size)
		r[25], r[32] = flags, byte(len(name))
		r = append(r, name...)
		if len(r)%2 == 1 {
			r = append(r, 0)
		}
		r[0] = byte(len(r))
		return r
	}
	copy(b[16*isoSector:], "\x01CD001\x01")
	copy(b[16*isoSector+156:], rec("\x00", 20, isoSector, 2))
	copy(b[17*isoSector:], "\xffCD001\x01")
	dir := append(rec("\x00", 20, isoSector, 2), rec(name+";1", 21, uint32(len(body)), 0)...)
	copy(b[20*isoSector:], append(dir, rec("LOOP", 20, isoSector, 2)...))
	copy(b[21*isoSector:], body)
	return b
}

func zst(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	defer w.Close()
	return w.EncodeAll(data, nil)
}

func mailOf(attachment []byte) []byte {
	return []byte("From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=XX\r\n\r\n" +
		"--XX\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nhello=20there\r\n" +
		"--XX\r\nContent-Type: application/zip\r\nContent-Disposition: attachment; filename=\"=?utf-8?q?re=2Ezip?=\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" +
		base64.StdEncoding.EncodeToString(attachment) + "\r\n--XX--\r\n")
}

func samples(tb testing.TB) map[string][]byte {
	tb.Helper()
	z := zipOf(tb, "a/b.txt", marker)
	wide := make([]byte, 0, 200)
	for _, r := range "Write-Output 'harmless marker in a command'" {
		wide = append(wide, byte(r), 0)
	}
	return map[string][]byte{
		"zip": z, "gzip": gz(tb, "", []byte(marker)), "tar": tarOf(tb, "dir/x", marker), "tgz": gz(tb, "x.tar", tarOf(tb, "dir/x", marker)),
		"zstd": zst([]byte(marker)), "ar": arOf("debian-binary", "2.0\n", "data.tar.gz", string(gz(tb, "", tarOf(tb, "./usr/x", marker)))),
		"cpio": cpioOf("etc/x", marker), "cab": cabOf(tb, "x.txt", marker, false), "mszip": cabOf(tb, "x.txt", marker, true), "lzx": lzxCab("x.txt", []byte(marker), 15, false, lzxVerbatim), "iso": isoOf("X.TXT", marker),
		"mail": mailOf(z), "exe+zip": append([]byte("MZ not a program"), zipAt(tb)...),
		"script": []byte("#!/bin/sh\necho " + base64.StdEncoding.EncodeToString(z) + " | base64 -d\n"),
		"wide":   []byte("powershell -enc " + base64.StdEncoding.EncodeToString(wide)),
		"pdf2":   []byte("%PDF-1.4\n1 0 obj <</Filter[/ASCIIHexDecode/LZWDecode]>>\nstream\n" + hex.EncodeToString([]byte(lzwOf(marker))) + ">\nendstream endobj"),
		"pdf":    []byte("%PDF-1.4\n1 0 obj <</Length 9/Filter/FlateDecode>>\nstream\n" + zlibOf(marker) + "\nendstream endobj"),
	}
}

func zipAt(tb testing.TB) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.SetOffset(16)
	f, _ := w.Create("in.txt")
	io.WriteString(f, marker)
	w.Close()
	return b.Bytes()
}

func TestFormats(t *testing.T) {
	cut := marker[:37]
	want := map[string][]string{
		"zip": {"a/b.txt = " + cut}, "gzip": {"content = " + cut}, "tar": {"dir/x = " + cut}, "zstd": {"content = " + cut},
		"cpio": {"etc/x = " + cut}, "cab": {"x.txt = " + cut}, "mszip": {"x.txt = " + cut}, "lzx": {"x.txt = " + cut}, "iso": {"X.TXT = " + cut}, "exe+zip": {"in.txt = " + cut},
		"pdf": {"stream-0 = " + cut}, "pdf2": {"stream-0 = " + cut},
	}
	all := samples(t)
	for name, w := range want {
		t.Run(name, func(t *testing.T) {
			got, rep := walk(t, all[name], Limits{})
			if d := cmp.Diff(w, got); d != "" || !rep.Complete() {
				t.Error(d, rep.Skipped)
			}
		})
	}
}

func TestNested(t *testing.T) {
	all := samples(t)
	for name, want := range map[string]string{
		"tgz": "x.tar!dir/x", "ar": "data.tar.gz!data.tar!./usr/x", "mail": "re.zip!a/b.txt", "script": "base64@15!a/b.txt",
	} {
		t.Run(name, func(t *testing.T) {
			got, rep := walk(t, all[name], Limits{})
			if last := got[len(got)-1]; !strings.HasPrefix(last, want+" = harmless marker") {
				t.Errorf("got %q, skipped %v", got, rep.Skipped)
			}
		})
	}
	got, _ := walk(t, all["wide"], Limits{})
	if !strings.Contains(strings.Join(got, "\n"), "Write-Output 'harmless marker") {
		t.Errorf("UTF-16 is not given as text: %q", got)
	}
	deep := []byte(marker)
	for i := range 9 {
		deep = zipOf(t, strconv.Itoa(i), string(deep))
	}
	if got, rep := walk(t, deep, Limits{}); len(got) != 9 || !rep.Complete() {
		t.Errorf("nine deep: %q %v", got, rep.Skipped)
	}
}

// TestTools opens what the common programs make.
func TestTools(t *testing.T) {
	dir := t.TempDir()
	in := filepath.Join(dir, "in.txt")
	if err := os.WriteFile(in, []byte(marker), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		out  string
		cmd  []string
		skip Reason
	}{
		{"a.7z", []string{"7z", "a", "a.7z", "in.txt"}, ""},
		{"b.7z", []string{"7z", "a", "-m0=lzma", "b.7z", "in.txt"}, ""},
		{"p.7z", []string{"7z", "a", "-m0=ppmd", "p.7z", "in.txt"}, Unsupported},
		{"e.7z", []string{"7z", "a", "-psecret", "-mhe=on", "e.7z", "in.txt"}, Encrypted},
		{"f.7z", []string{"7z", "a", "-psecret", "f.7z", "in.txt"}, Encrypted},
		{"e.zip", []string{"7z", "a", "-psecret", "-mem=AES256", "e.zip", "in.txt"}, Encrypted},
		{"l.zip", []string{"sh", "-c", "seq 9999 > seq.txt && 7z a -mm=Deflate64 l.zip seq.txt"}, Unsupported},
		{"lzma.zip", []string{"7z", "a", "-mm=LZMA", "lzma.zip", "in.txt"}, ""},
		{"in.txt.lzma", []string{"xz", "-k", "--format=lzma", "in.txt"}, ""},
		{"b.zip", []string{"7z", "a", "-mm=BZip2", "b.zip", "in.txt"}, ""},
		{"in.txt.xz", []string{"xz", "-k", "in.txt"}, ""},
		{"in.txt.bz2", []string{"bzip2", "-k", "in.txt"}, ""},
		{"big.xz", []string{"sh", "-c", "xz --lzma2=dict=256MiB -c in.txt > big.xz"}, Limit},
	} {
		t.Run(c.out, func(t *testing.T) {
			if _, err := exec.LookPath(c.cmd[0]); err != nil {
				if os.Getenv("CI") == "true" && c.cmd[0] == "7z" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			cmd := exec.CommandContext(t.Context(), c.cmd[0], c.cmd[1:]...)
			cmd.Dir = dir
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Skipf("%v: %s", err, out)
			}
			data, err := os.ReadFile(filepath.Join(dir, c.out))
			if err != nil {
				t.Fatal(err)
			}
			got, rep := walk(t, data, Limits{})
			if c.skip != "" {
				if rep.Complete() || rep.Skipped[0].Reason != c.skip {
					t.Errorf("want %s, got %q %v", c.skip, got, rep.Skipped)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0], "harmless marker") || !rep.Complete() {
				t.Errorf("got %q %v", got, rep.Skipped)
			}
		})
	}
}

// overlapZip has n central entries that share one body.
func overlapZip(tb testing.TB, n int) []byte {
	tb.Helper()
	body := zipOf(tb, "x", strings.Repeat("A", 1<<20))
	i := bytes.Index(body, []byte("PK\x01\x02"))
	j := bytes.Index(body, []byte("PK\x05\x06"))
	central := body[i:j]
	out := append([]byte(nil), body[:i]...)
	for range n {
		out = append(out, central...)
	}
	end := append([]byte(nil), body[j:]...)
	binary.LittleEndian.PutUint16(end[8:], uint16(n))
	binary.LittleEndian.PutUint16(end[10:], uint16(n))
	binary.LittleEndian.PutUint32(end[12:], uint32(n*len(central)))
	return append(out, end...)
}

func TestBombs(t *testing.T) {
	zeros := strings.Repeat("\x00", 200<<20)
	nest := zipOf(t, "0", strings.Repeat("\x00", 10<<20))
	for range 3 {
		var files []string
		for i := range 16 {
			files = append(files, strconv.Itoa(i), string(nest))
		}
		nest = zipOf(t, files...)
	}
	var many []string
	for i := range 300 {
		many = append(many, strconv.Itoa(i), "x")
	}
	deep := []byte(marker)
	for range 20 {
		deep = gz(t, "x", deep)
	}
	for _, c := range []struct {
		name string
		data []byte
		l    Limits
	}{
		{"ratio", zipOf(t, "z", zeros), Limits{}},
		{"one entry", gz(t, "z", []byte(zeros)), Limits{Entry: 1 << 20, Ratio: 1 << 40}},
		{"overlap", overlapZip(t, 2000), Limits{}},
		{"nested", nest, Limits{Total: 256 << 20, Ratio: 1 << 40}},
		{"count", zipOf(t, many...), Limits{Entries: 100}},
		{"depth", deep, Limits{}},
		{"time", nest, Limits{Time: time.Millisecond}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, rep := walk(t, c.data, c.l)
			if rep.Complete() || rep.Skipped[0].Reason != Limit {
				t.Errorf("not told: %v", rep.Skipped)
			}
		})
	}
}

// TestDamage cuts and flips each sample everywhere: nothing panics or hangs,
// and a cut container is told, unless all of it was before the cut.
func TestDamage(t *testing.T) {
	all := samples(t)
	names := make([]string, 0, len(all))
	for n := range all {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		data := all[n]
		step := max(1, len(data)/400)
		for i := 0; i < len(data); i += step {
			walk(t, data[:i], Limits{})
			flipped := bytes.Clone(data)
			flipped[i] ^= 0xff
			walk(t, flipped, Limits{})
		}
	}
	for _, n := range []string{"gzip", "tar", "zstd", "cpio", "cab"} {
		d := all[n]
		keep := len(d) - 10
		if n == "tar" {
			keep = 520
		}
		if _, rep := walk(t, d[:keep], Limits{}); rep.Complete() {
			t.Errorf("%s cut off is called complete", n)
		}
	}
}

// TestMailParts holds that a message whose parts cannot all be had is told.
func TestMailParts(t *testing.T) {
	head := "From: a@example.org\r\nTo: b@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=B0\r\n\r\n"
	var nested, beside strings.Builder
	nested.WriteString(head)
	beside.WriteString(head)
	for i := range 5000 {
		fmt.Fprintf(&nested, "--B%d\r\nContent-Type: multipart/mixed; boundary=B%d\r\n\r\n", i, i+1)
	}
	for range maxMailParts + 1 {
		beside.WriteString("--B0\r\n\r\n\r\n")
	}
	beside.WriteString("--B0--\r\n")
	for _, c := range []struct {
		name, text string
		why        Reason
	}{
		{"nested", nested.String(), Limit},
		{"beside each other", beside.String(), Limit},
		{"no delimiter", head + "text\r\n", Damaged},
		{"no closing delimiter", head + "--B0\r\nContent-Type: text/plain\r\n\r\nhello\r\n", Damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, rep := walk(t, []byte(c.text), Limits{})
			if rep.Complete() || rep.Skipped[0].Reason != c.why {
				t.Errorf("not told as %s: %v", c.why, rep.Skipped)
			}
		})
	}
}

// TestCabHeaders falsifies what a cabinet says of itself: no file of it is
// lost without a word.
func TestCabHeaders(t *testing.T) {
	whole := samples(t)["cab"]
	set := func(at int, b ...byte) []byte {
		d := bytes.Clone(whole)
		copy(d[at:], b)
		return d
	}
	files := int(binary.LittleEndian.Uint32(whole[16:]))
	for _, c := range []struct {
		name string
		data []byte
		all  bool // its files are found all the same
	}{
		{"reserved field", set(4, 1, 2, 3, 4), true},
		{"size", set(8, 1, 0, 0, 0), true},
		{"no folders", set(26, 0, 0), false},
		{"no files", set(28, 0, 0), false},
		{"more files", set(28, 200, 0), false},
		{"place of the files", set(16, 0xff, 0xff, 0xff, 0x7f), false},
		{"folder of a file", set(files+8, 9, 0), false},
		{"begins elsewhere", set(files+8, 0xfd, 0xff), false},
		{"size of a file", set(files, 0xff, 0xff, 0xff, 0x7f), false},
		{"place in the folder", set(files+4, 0xff, 0xff, 0xff, 0x7f), false},
		{"method", set(36+6, 2, 0x12), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, rep := walk(t, c.data, Limits{})
			if c.all != rep.Complete() || c.all && len(got) == 0 {
				t.Errorf("complete: %v, found %d, %v", rep.Complete(), len(got), rep.Skipped)
			}
		})
	}
}

func TestEndings(t *testing.T) {
	data := zipOf(t, "a", marker, "b", marker)
	n := 0
	_, err := Walk(t.Context(), bytes.NewReader(data), int64(len(data)), Limits{}, func(Entry) error { n++; return ErrStop })
	if err != nil || n != 1 {
		t.Errorf("ErrStop: %v after %d", err, n)
	}
	own := errors.New("own")
	if _, err = Walk(t.Context(), bytes.NewReader(data), int64(len(data)), Limits{}, func(Entry) error { return own }); !errors.Is(err, own) {
		t.Errorf("the visitor's error is lost: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = Walk(ctx, bytes.NewReader(data), int64(len(data)), Limits{}, func(Entry) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled walk: %v", err)
	}
}

func TestVBA(t *testing.T) {
	// The example of [MS-OVBA] 3.2.2: normal compression.
	in := []byte{
		0x01, 0x2F, 0xB0, 0x00, 0x23, 0x61, 0x61, 0x61, 0x62, 0x63, 0x64, 0x65, 0x82, 0x66, 0x00, 0x70, 0x61, 0x67, 0x68, 0x69, 0x6A,
		0x01, 0x38, 0x08, 0x61, 0x6B, 0x6C, 0x00, 0x30, 0x6D, 0x6E, 0x6F, 0x70, 0x06, 0x71, 0x02, 0x70, 0x04, 0x10, 0x72, 0x73, 0x74, 0x75, 0x76, 0x10, 0x77, 0x78, 0x79, 0x7A, 0x00, 0x3C,
	}
	if got := string(decompressVBA(in)); got != "#aaabcdefaaaaghijaaaaaklaaamnopqaaaaaaaaaaaarstuvwxyzaaa" {
		t.Errorf("got %q", got)
	}
}

// FuzzWalk: no panic, and never more than the limits allow.
func FuzzWalk(f *testing.F) {
	for _, d := range samples(f) {
		f.Add(d)
	}
	f.Add(overlapZip(f, 3))
	f.Add([]byte("Rar!\x1a\x07\x01\x00"))
	f.Add([]byte("7z\xbc\xaf\x27\x1c\x00\x04"))
	f.Add([]byte("\xed\xab\xee\xdb\x03\x00"))
	f.Add([]byte("\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"))
	l := Limits{Depth: 5, Entries: 200, Entry: 1 << 20, Total: 4 << 20, Time: 5 * time.Second, Memory: 4 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		entries, sum := 0, int64(0)
		rep, err := Walk(t.Context(), bytes.NewReader(data), int64(len(data)), l, func(e Entry) error {
			entries++
			sum += e.Size
			if e.Size > l.Entry {
				t.Errorf("%q has %d bytes", e.Path, e.Size)
			}
			return nil
		})
		if err != nil || entries > l.Entries || sum > l.Total || rep.Bytes > l.Total+block {
			t.Errorf("%v, %d entries, %d bytes", err, entries, sum)
		}
	})
}

func zlibOf(s string) string {
	var b bytes.Buffer
	w := zlib.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}
