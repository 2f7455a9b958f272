package hunt

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

const smallRules = `title: bad
id: 00000000-0000-4000-8000-000000000001
level: high
logsource: {product: windows}
detection: {s: {Image|endswith: '\bad.exe'}, condition: s}
---
title: probe
id: 00000000-0000-4000-8000-000000000002
level: medium
logsource: {category: webserver}
detection: {s: {cs-uri-query|contains: /etc/passwd}, condition: s}
---
title: cloud
id: 00000000-0000-4000-8000-000000000003
level: low
logsource: {product: aws, service: cloudtrail}
detection: {s: {eventName: CreateUser}, condition: s}
---
title: exec
id: 00000000-0000-4000-8000-000000000004
level: low
logsource: {product: linux, category: process_creation}
detection: {s: {CommandLine|contains: 'perl -e'}, condition: s}
---
title: name asked
id: 00000000-0000-4000-8000-000000000005
level: low
logsource: {category: dns}
detection: {s: {query|endswith: .bad.example}, condition: s}
`

func small(tb testing.TB) *ruleset.Loaded {
	tb.Helper()
	file := filepath.Join(tb.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte(smallRules), 0o600); err != nil {
		tb.Fatal(err)
	}
	l, err := ruleset.Load(ruleset.Config{Paths: []string{file}}, sigma.NewFields())
	if err != nil || l.Set.Refused() > 0 {
		tb.Fatal(err, l.Set.Problems())
	}
	return l
}

const (
	bad      = `{"Channel":"Security","EventID":4688,"NewProcessName":"C:\\x\\bad.exe"}`
	badImage = `{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\x\\bad.exe"}`
)

func gz(t *testing.T, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func zipped(t *testing.T, name string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	w, err := z.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	z.Close()
	return out.Bytes()
}

func tarred(t *testing.T, name string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: int64(len(b)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	w.Write(b)
	w.Close()
	return out.Bytes()
}

func utf16le(s string) []byte {
	out := []byte{0xff, 0xfe}
	for _, x := range utf16.Encode([]rune(s)) {
		out = binary.LittleEndian.AppendUint16(out, x)
	}
	return out
}

// cutZip is a zip archive of two members and a directory that was cut off; the
// members are deflated with their sizes behind them, or stored (method 0).
func cutZip(t *testing.T, text string, method int) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range []string{"a.json", "no log", "b.json"} {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate}
		body := []byte(text)
		if name == "no log" {
			body = bytes.Repeat([]byte("\x7fELF\x00\x01\x02\x03"), 50000)
		}
		if method == 0 {
			h.Method = zip.Store
			h.CRC32, h.CompressedSize64, h.UncompressedSize64 = crc32.ChecksumIEEE(body), uint64(len(body)), uint64(len(body))
			f, err := w.CreateRaw(h)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.Write(body); err != nil {
				t.Fatal(err)
			}
			continue
		}
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()[:b.Len()-30]
}

func TestInputs(t *testing.T) {
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat(strings.ReplaceAll(badImage, "bad", "good")+"\n", 30000) // several blocks
	line2 := badImage + "\n"
	gzLong := gz(t, []byte(line2+pad))
	// found is rule and record of each match; damaged what is counted.
	for _, tt := range []struct {
		name, found string
		data        []byte
		damaged     int64
		problem     string
	}{
		{"json lines", "bad 2", []byte("\n" + badImage + "\n"), 0, ""},
		{"aliases", "bad 1", []byte(bad + "\n"), 0, ""},
		{"zeros before lines", "bad 1;bad 2", append(make([]byte, 5000), "\x00"+badImage+"\n\x00\x00"+badImage+"\n"...), 0, ""},
		{"record separators", "bad 1;bad 2", []byte("\x1e" + badImage + "\n\x1e" + badImage + "\n"), 0, ""},
		{"no newline at the end", "bad 1", []byte(badImage), 0, ""},
		{"carriage returns", "bad 1;bad 2", []byte(badImage + "\r\n" + badImage + "\r\n"), 0, ""},
		{"several blocks", "bad 1;bad 30002", []byte(line2 + pad + badImage), 0, ""},
		{"an array", "bad 2;bad 5", []byte("[\n" + badImage + ",\n{\"a\":\n1},\n" + badImage + "]"), 0, ""},
		{"objects over lines", "bad 1;bad 5", []byte("{\n" + badImage[1:] + "\n{\"a\": \"}\"\n}\n" + badImage), 0, ""},
		{"a wrapper", "cloud 1;cloud 1", []byte(`{"Records": [{"eventSource":"iam.amazonaws.com","eventName":"CreateUser"},{"eventSource":"iam.amazonaws.com","eventName":"CreateUser"}]}`), 0, ""},
		{"broken lines", "bad 1;bad 4", []byte(badImage + "\n{\"a\":\n\xff\xfe{\n" + badImage + "\n{\"Image\":\"x"), 3, "line 2"},
		{"broken utf-8", "bad 1", []byte(strings.Replace(badImage, "C:", "\xff\xfe", 1)), 0, ""},
		{"byte order mark", "bad 1", []byte("\xef\xbb\xbf" + badImage), 0, ""},
		{"utf-16", "bad 2", utf16le("{\"a\":\"é😀\"}\n" + badImage + "\n"), 0, ""},
		{"gzip", "bad 1", gz(t, []byte(badImage)), 0, ""},
		{"zstd", "bad 1", z.EncodeAll([]byte(badImage), nil), 0, ""},
		{"zip", "bad 1", zipped(t, "a/b.json", []byte(badImage)), 0, ""},
		{"tar.gz", "bad 1", gz(t, tarred(t, "b.json", []byte(badImage))), 0, ""},
		{"zip in tar in gzip", "bad 1", gz(t, tarred(t, "b.zip", zipped(t, "b.json", []byte(badImage)))), 0, ""},
		{"nested too deep", "", gz(t, gz(t, gz(t, gz(t, gz(t, []byte(badImage)))))), 0, "nested"},
		{"cut-off gzip", "bad 1", gzLong[:len(gzLong)-20], 1, "read up to a fault"},
		{"cut-off zip", "bad 1;bad 1", cutZip(t, badImage, -1), 0, "3 members were read by their own headers"},
		{"cut-off zip of stored members", "bad 1;bad 1", cutZip(t, badImage, 0), 0, "3 members were read by their own headers"},
		{"zip cut off in its first member", "", zipped(t, "b.json", []byte(badImage))[:60], 1, "1 members were read"},
		{"zip, nothing left", "", []byte("PK\x03\x04\x00\x00"), 0, "zip -FF"},
		{"xml, an event that does not end", "bad 3", []byte("<Events>\n<Event><System><EventID>1\n<Event><System><EventID>1</EventID><Channel>Microsoft-Windows-Sysmon/Operational</Channel></System>" +
			"<EventData><Data Name=\"Image\">C:\\bad.exe</Data></EventData></Event>\n<Event><System>"), 2, "line 2: an <Event> that does not end"},
		{"nothing but zeros in gzip", "", gz(t, make([]byte, 9)), 0, "skipped"},
		{"empty", "", nil, 0, ""},
		{"binary", "", []byte("\x7fELF\x00\x01\x02\x03\x00\x00\x00\x00"), 0, "skipped"},
		{"access log", "probe 2", []byte("1.1.1.1 - - [04/Jan/2020:07:25:02 +0000] \"GET / HTTP/1.1\" 200 5\n1.1.1.1 - - [04/Jan/2020:07:25:02 +0000] \"GET /?f=/etc/passwd HTTP/1.1\" 200 5\n"), 0, ""},
		{"w3c, other columns later", "probe 2;probe 4", []byte("#Fields: date time cs-uri-stem cs-uri-query\n2024-01-02 03:04:05 /a f=/etc/passwd\n#Fields: date cs-method cs-uri-stem\n2024-01-02 GET /etc/passwd\n"), 0, ""},
		{"zeek", "name asked 5", []byte("#separator \\x09\n#path\tdns\n#fields\tts\tquery\n1684329817.5\tgood.example\n1684329817.5\tx.bad.example\n"), 0, ""},
		{"auditd, joined", "exec 1", []byte("type=SYSCALL msg=audit(1.2:7): arch=c000003e syscall=59 exe=\"/usr/bin/perl\"\ntype=EXECVE msg=audit(1.2:7): argc=2 a0=\"perl\" a1=\"-e\"\ntype=SYSCALL msg=audit(1.2:8): syscall=1\n"), 0, ""},
		{"journal", "name asked 5", []byte("__CURSOR=a\n__REALTIME_TIMESTAMP=1684329817000000\nMESSAGE=x\n\n__CURSOR=b\nSYSLOG_IDENTIFIER=dnsmasq\nMESSAGE=query[A] x.bad.example from 192.0.2.1\n"), 0, ""},
		{"xml", "bad 3", []byte("<?xml version=\"1.0\"?>\n<Events>\n<Event><System><EventID>1</EventID><Channel>Microsoft-Windows-Sysmon/Operational</Channel></System><EventData><Data Name=\"Image\">C:\\bad.exe</Data></EventData></Event>\n</Events>"), 0, ""},
		{"event log, cut off", "", []byte("ElfFile\x00 and no more"), 0, "cut off"},
		{"deep", "bad 1;bad 2", []byte(strings.TrimSuffix(badImage, "}") + `,"x":` + strings.Repeat(`{"a":`, 5000) + "1" + strings.Repeat("}", 5001) + "\n" + badImage), 0, ""},
		{"many fields", "", []byte(`{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1` + strings.Repeat(`,"x":1`, sigma.MaxFields) + `,"Image":"C:\\bad.exe"}`), 0, "left out"},
		{"a name twice", "bad 1", []byte(`{"Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1,"Image":"C:\\x\\bad.exe","Image":"C:\\x\\good.exe"}`), 0, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "input")
			if err := os.WriteFile(file, tt.data, 0o600); err != nil {
				t.Fatal(err)
			}
			h, matches := hunting(t, small(t), Config{Paths: []string{file}, Workers: 2, Events: true})
			var got []string
			for _, m := range matches {
				got = append(got, fmt.Sprintf("%s %d", m.Rule.Title, m.Record))
			}
			if diff := cmp.Diff(tt.found, strings.Join(got, ";")); diff != "" {
				t.Error(diff)
			}
			if n := h.Stats.Damaged.Load(); n != tt.damaged {
				t.Errorf("%d damaged, want %d", n, tt.damaged)
			}
			list, _ := h.Problems()
			if text := fmt.Sprint(list); (tt.problem == "") != (len(list) == 0) || !strings.Contains(text, tt.problem) {
				t.Errorf("problems %s, want %q", text, tt.problem)
			}
		})
	}
}

// TestRoom: members share what their archive may grow to, and the standard
// input has room in proportion to what was read of it.
func TestRoom(t *testing.T) {
	in := &counted{n: 10}
	s := source{room: &room{in: in}}
	s.room.out = minGrown - 5
	a, b := grown(s, strings.NewReader("aaaa")), grown(s, strings.NewReader("bbbb"))
	if n, err := io.Copy(io.Discard, a); n != 4 || err != nil {
		t.Errorf("the first: %d %v", n, err)
	}
	if n, err := io.Copy(io.Discard, b); n != 1 || !errors.Is(err, errGrows) {
		t.Errorf("the second: %d %v", n, err)
	}
	in.n = minGrown/maxGrowth + 1
	if n, err := io.Copy(io.Discard, b); n != 3 || err != nil {
		t.Errorf("after more was read: %d %v", n, err)
	}
}

func TestLinkedDirectory(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "log.json"), []byte(badImage), 0o600); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Skip(err)
	}
	h, got := hunting(t, small(t), Config{Paths: []string{link}, Workers: 1})
	if list, _ := h.Problems(); len(got) != 1 || len(list) != 0 {
		t.Errorf("%d matches, %v", len(got), list)
	}
}

// FuzzCutZip holds that an archive without its directory ends, whatever it holds.
func FuzzCutZip(f *testing.F) {
	f.Add([]byte("PK\x03\x04\x14\x00\x08\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00ax"))
	f.Add([]byte("PK\x03\x04\x14\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\x00\x00\x02\x00\x00\x00\x01\x00\x00\x00a{}PK\x03\x04"))
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		h := &Hunt{cfg: Config{Paths: []string{"x"}, TempDir: t.TempDir()}}
		r := &reader{h: h, ctx: ctx, line: newLine(1)}
		go func() { // takes the blocks as they come
			for {
				select {
				case b := <-r.line.todo:
					if cap(b.data) > heavy {
						<-r.line.heavy
					}
					r.line.free <- b.data[:0]
				case <-ctx.Done():
					return
				}
			}
		}()
		s := source{name: "x", room: &room{in: &counted{}, size: int64(len(data))}}
		r.cutZip(s, bytes.NewReader(data), int64(len(data)), errSmall)
		if list, _ := h.Problems(); len(list) == 0 || list[len(list)-1].File != "x" {
			t.Errorf("nothing was said: %v", list)
		}
	})
}

var errSmall = errors.New("no directory")

// SigmaHQ's rules for OpenCanary fire on the events of our own decoys.
func TestDecoyLogTypes(t *testing.T) {
	l, _ := sigmaHQ(t)
	var in strings.Builder
	for _, n := range []int{2000, 3000, 3001, 4000, 4002, 5000, 5001, 5002, 5003, 5004, 5005, 6001, 7001, 8001, 9001, 9002, 10001, 11001, 12001, 13001, 14001, 15001, 16001, 17001} {
		fmt.Fprintf(&in, `{"@timestamp":"2026-01-02T03:04:05Z","event":{"dataset":"decoy.sshd","category":["authentication"]},"source":{"ip":"198.51.100.7","port":4444},"lapwing":{"decoy":"ssh"},"logtype":%d}`+"\n", n)
	}
	_, matches := hunting(t, l, Config{Paths: []string{"-"}, Stdin: strings.NewReader(in.String())})
	fired, want := map[string]bool{}, 0
	for _, r := range l.Engine.Rules() {
		if r.Logsource.Product == "opencanary" {
			want++
		}
	}
	for _, m := range matches {
		if m.Rule.Logsource.Product == "opencanary" {
			fired[m.Rule.ID] = true
		}
	}
	if len(fired) != want || want != 24 {
		t.Errorf("%d of %d rules fire", len(fired), want)
	}
}

func TestSorter(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	for _, mem := range []int{1 << 20, 600, 1} {
		s := newSorter(t.TempDir(), mem)
		var want []string
		for i := range 500 {
			rec := fmt.Sprintf("%03d %d", rng.IntN(50), i)
			want = append(want, rec)
			if err := s.add([]byte(rec)); err != nil {
				t.Fatal(err)
			}
		}
		slices.Sort(want)
		var got []string
		if err := s.each(func(b []byte) error { got = append(got, string(b)); return nil }); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d bytes: %s", mem, diff)
		}
		names := s.runs
		s.close()
		for _, f := range names {
			if _, err := os.Stat(f.Name()); err == nil {
				t.Errorf("%s is left", f.Name())
			}
		}
	}
}

// endless is a log that never ends.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	e.n++
	return copy(p, strings.Repeat(badImage+"\n", len(p)/len(badImage))), nil
}

type refusing struct{ left int }

var errFull = errors.New("disk full")

func (r *refusing) Match(*Match) error {
	if r.left--; r.left < 0 {
		return errFull
	}
	return nil
}

// A hunt ends at once when it is told to, or when its report cannot be written.
func TestStops(t *testing.T) {
	l := small(t)
	mk := func() *Hunt {
		h, _ := hunting(t, l, Config{Paths: []string{"-"}})
		h.cfg.Stdin = &endless{}
		return h
	}
	if err := mk().Run(context.Background(), &refusing{left: 10}); !errors.Is(err, errFull) {
		t.Errorf("report: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := mk().Run(ctx, &refusing{left: 1 << 40}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("context: %v", err)
	}
}

func TestPlain(t *testing.T) {
	for in, want := range map[string]string{"a\x1b[2Jb": `a\x1b[2Jb`, "a\u202eb": `a\u202eb`, "é €": "é €", "a\nb": `a\nb`, "\xff": `\ufffd`} {
		if got := Plain(in, 0); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// FuzzCut holds that objects are found whatever they hold and however they
// are laid out.
func FuzzCut(f *testing.F) {
	f.Add("x", "y", 3)
	f.Fuzz(func(t *testing.T, a, b string, gap int) {
		var in bytes.Buffer
		in.WriteString("[" + strings.Repeat("\n", gap&7))
		for _, s := range []string{a, b} {
			in.Write(appendQuoted([]byte(`{"k":`), []byte(s)))
			in.WriteString("}," + strings.Repeat(" ", gap&3))
		}
		in.WriteString(`{"k":""}]`)
		l := newLine(2)
		c := cutter{r: &reader{h: &Hunt{}, ctx: context.Background(), line: l}, in: io.MultiReader(&in), to: &input{format: formatStream}}
		if err := c.cut(nil); err != nil {
			t.Fatal(err)
		}
		n := 0
		for len(l.todo) > 0 {
			n += len((<-l.todo).spans)
		}
		if n != 3 {
			t.Errorf("%d objects", n)
		}
	})
}
