package journald

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// writer makes a journal file as journald does: small arrays, so that there are several.
type writer struct {
	b       []byte
	compact bool
	arrays  []int // offsets
	left    int
	entries int
}

func newWriter(compact bool) *writer {
	w := &writer{b: make([]byte, 272), compact: compact}
	copy(w.b, signature)
	flags := uint32(8)
	if compact {
		flags |= compactFiles
	}
	binary.LittleEndian.PutUint32(w.b[atIncompatible:], flags)
	copy(w.b[atFileID:], "0123456789abcdef")
	binary.LittleEndian.PutUint64(w.b[atHeaderSize:], 272)
	return w
}

func (w *writer) object(kind, flags byte, body []byte) int {
	for len(w.b)%8 != 0 {
		w.b = append(w.b, 0)
	}
	at := len(w.b)
	w.b = append(w.b, kind, flags, 0, 0, 0, 0, 0, 0)
	w.b = binary.LittleEndian.AppendUint64(w.b, uint64(16+len(body)))
	w.b = append(w.b, body...)
	return at
}

func (w *writer) offset(b []byte, at int) []byte {
	if w.compact {
		return binary.LittleEndian.AppendUint32(b, uint32(at))
	}
	return binary.LittleEndian.AppendUint64(b, uint64(at))
}

func (w *writer) add(tb testing.TB, fields ...string) {
	tb.Helper()
	w.entries++
	var items []byte
	for _, field := range fields {
		payload, flags := []byte(field), byte(0)
		if len(payload) > 200 {
			z, err := zstd.NewWriter(nil)
			if err != nil {
				tb.Fatal(err)
			}
			payload, flags = z.EncodeAll(payload, nil), flagZSTD
		}
		head := 48
		if w.compact {
			head = 56
		}
		items = w.offset(items, w.object(typeData, flags, slices.Concat(make([]byte, head), payload)))
		if !w.compact {
			items = append(items, make([]byte, 8)...)
		}
	}
	head := binary.LittleEndian.AppendUint64(nil, uint64(w.entries))
	head = binary.LittleEndian.AppendUint64(head, uint64(1_800_000_000_000_000+w.entries))
	e := w.object(typeEntry, 0, append(append(head, make([]byte, 32)...), items...))
	if w.left == 0 {
		w.left = 3
		array := w.object(typeArray, 0, make([]byte, 8+3*8))
		if n := len(w.arrays); n == 0 {
			binary.LittleEndian.PutUint64(w.b[atFirstArray:], uint64(array))
		} else {
			binary.LittleEndian.PutUint64(w.b[w.arrays[n-1]+16:], uint64(array))
		}
		w.arrays = append(w.arrays, array)
	}
	last := w.arrays[len(w.arrays)-1]
	if w.compact { // an array of 8+3*8 bytes has six of them: the test's arrays are half used
		binary.LittleEndian.PutUint64(w.b[last+8:], uint64(24+3*4))
		binary.LittleEndian.PutUint32(w.b[last+24+4*(3-w.left):], uint32(e))
	} else {
		binary.LittleEndian.PutUint64(w.b[last+24+8*(3-w.left):], uint64(e))
	}
	w.left--
	binary.LittleEndian.PutUint64(w.b[atEntries:], uint64(w.entries))
	binary.LittleEndian.PutUint64(w.b[atTailRealtime:], uint64(time.Now().Add(time.Hour).UnixMicro()))
}

func entries(tb testing.TB, w *writer, n int) {
	tb.Helper()
	for i := range n {
		w.add(tb, "MESSAGE=message "+strconv.Itoa(i), "_SYSTEMD_UNIT=ssh.service", "SYSLOG_IDENTIFIER=sshd", "BIG="+strings.Repeat("x", 300+i))
	}
}

type taker struct {
	mu    sync.Mutex
	lines []line.Line
}

func (k *taker) Take(_ context.Context, b line.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range b.Lines {
		l.Text = bytes.Clone(l.Text)
		k.lines = append(k.lines, l)
	}
	return nil
}

// messages are the values of MESSAGE of what was taken.
func (k *taker) messages() (out []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.lines {
		_, rest, _ := strings.Cut(string(l.Text), "\nMESSAGE=")
		m, _, _ := strings.Cut(rest, "\n")
		out = append(out, m)
	}
	return out
}

// start runs a Reader over dir until the returned function is called.
func start(t *testing.T, dir, keep string, sink *taker, tweak func(*Config)) (*feed.Feed, func()) {
	t.Helper()
	f, err := feed.New(feed.Config{Name: "journal", Type: "journald", Sink: sink, Dir: keep})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dirs: []string{dir}, Feed: f, FromStart: true}
	if tweak != nil {
		tweak(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		f.Close()
	})
	t.Cleanup(stop)
	select {
	case <-f.Begun():
	case <-time.After(time.Minute):
		t.Fatal("it does not begin")
	}
	return f, stop
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it never happens", what)
		}
	}
}

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFilesOfOurs(t *testing.T) {
	for name, compact := range map[string]bool{"regular": false, "compact": true} {
		t.Run(name, func(t *testing.T) {
			dir, keep := t.TempDir(), t.TempDir()
			w := newWriter(compact)
			entries(t, w, 10)
			write(t, filepath.Join(dir, "system.journal"), w.b)
			sink := &taker{}
			_, stop := start(t, dir, keep, sink, nil)
			until(t, "ten", func() bool { return len(sink.messages()) == 10 })
			l := sink.lines[4]
			if !strings.Contains(string(l.Text), "\n_SYSTEMD_UNIT=ssh.service\n") || !strings.Contains(string(l.Text), "\nBIG="+strings.Repeat("x", 304)+"\n") || l.Format != Format || l.Cut {
				t.Errorf("entry %+v %s", l, l.Text)
			}
			entries(t, w, 7)
			f, err := os.OpenFile(filepath.Join(dir, "system.journal"), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt(w.b[272:], 272)
			f.WriteAt(w.b[:272], 0) // the number of entries last
			f.Close()
			until(t, "seventeen", func() bool { return len(sink.messages()) == 17 })
			stop()
			os.Rename(filepath.Join(dir, "system.journal"), filepath.Join(dir, "system@1-2-3.journal"))
			w2 := newWriter(compact)
			copy(w2.b[atFileID:], "another id here!")
			entries(t, w2, 2)
			write(t, filepath.Join(dir, "system.journal"), w2.b)
			_, stop = start(t, dir, keep, sink, nil)
			until(t, "nineteen", func() bool { return len(sink.messages()) == 19 })
			stop()
			marks := map[[16]byte]bool{}
			for _, l := range sink.lines {
				marks[l.Mark] = true
			}
			if len(marks) != 19 {
				t.Errorf("%d marks", len(marks))
			}
		})
	}
}

func TestWhatIsWanted(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(false)
	w.add(t, "MESSAGE=a", "_SYSTEMD_UNIT=ssh.service")
	w.add(t, "MESSAGE=b", "_SYSTEMD_UNIT=cron.service", "SYSLOG_IDENTIFIER=CRON")
	w.add(t, "MESSAGE=c", "SYSLOG_IDENTIFIER=sudo")
	w.add(t, "MESSAGE=two\nlines", "_SYSTEMD_UNIT=ssh.service")
	write(t, filepath.Join(dir, "system.journal"), w.b)
	sink := &taker{}
	start(t, dir, t.TempDir(), sink, func(c *Config) { c.Units, c.Identifiers = []string{"ssh.service"}, []string{"sudo"} })
	until(t, "three", func() bool { return len(sink.messages()) == 3 })
	if got := sink.messages()[:2]; !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("got %q", got)
	}
	if want := "\nMESSAGE\n\x09\x00\x00\x00\x00\x00\x00\x00two\nlines\n"; !strings.Contains(string(sink.lines[2].Text), want) {
		t.Errorf("got %q", sink.lines[2].Text)
	}
}

func TestABrokenFileStopsNoOther(t *testing.T) {
	dir := t.TempDir()
	w := newWriter(false)
	entries(t, w, 4)
	bad := bytes.Clone(w.b)
	copy(bad[atFileID:], "a broken file's.")
	copy(bad[272:], bytes.Repeat([]byte{0xff}, 600))
	write(t, filepath.Join(dir, "user-1.journal"), bad)
	write(t, filepath.Join(dir, "user-2.journal"), bytes.Repeat([]byte("no journal"), 100))
	write(t, filepath.Join(dir, "user-3.journal"), nil)
	write(t, filepath.Join(dir, "system.journal"), w.b)
	sink := &taker{}
	f, _ := start(t, dir, t.TempDir(), sink, nil)
	until(t, "what can be read", func() bool { return slices.Contains(sink.messages(), "message 3") })
	until(t, "trouble", func() bool { return f.Stats().Trouble != "" })
}

// TestRealJournal lets systemd's own journald write, rotates, and compares with
// what journalctl reads.
func TestRealJournal(t *testing.T) {
	if os.Geteuid() != 0 {
		sharedtest.Missing(t, "root, to let journald write elsewhere")
	}
	journald := "/lib/systemd/systemd-journald"
	if _, err := os.Stat(journald); err != nil {
		sharedtest.Missing(t, journald)
	}
	for _, p := range []string{"journalctl", "unshare", "systemd-cat"} {
		if _, err := exec.LookPath(p); err != nil {
			sharedtest.Missing(t, p)
		}
	}
	dir, keep := t.TempDir(), t.TempDir()
	script := `set -e
mount -t tmpfs t /run
mkdir -p /run/systemd/journal /run/log/journal
mount --bind "$JOURNAL" /run/log/journal
` + journald + ` >/dev/null 2>&1 &
P=$!
until [ -S /run/systemd/journal/stdout ]; do sleep 0.05; done
for i in 1 2 3 4 5 6 7 8 9 10; do echo "Failed password for root from 203.0.113.$i port 4 ssh2" | systemd-cat -t sshd; done
head -c 3000 /dev/zero | tr '\0' 'a' | systemd-cat -t big
until grep -q aaa "$JOURNAL"/*/*.journal 2>/dev/null || [ "$(ls "$JOURNAL"/*/*.journal | wc -l)" -gt 0 ]; do sleep 0.05; done
sleep 0.5
kill -USR2 $P
sleep 0.5
for i in 11 12 13; do echo "Failed password for root from 203.0.113.$i port 4 ssh2" | systemd-cat -t sshd; done
sleep 0.5
kill $P
wait $P || true
`
	sink := &taker{}
	start(t, dir, keep, sink, func(c *Config) { c.Identifiers = []string{"sshd", "big"} })
	cmd := exec.Command("unshare", "-m", "sh", "-c", script)
	cmd.Env = append(os.Environ(), "JOURNAL="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		sharedtest.Missing(t, fmt.Sprintf("a journald that runs here (%v: %.300s)", err, out))
	}
	oracle, err := exec.Command("journalctl", "-D", dir, "-o", "cat", "-t", "sshd", "-t", "big").Output()
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSuffix(string(oracle), "\n"), "\n")
	if len(want) < 10 {
		t.Fatalf("journalctl reads %q", want)
	}
	until(t, "all of it", func() bool { return len(sink.messages()) >= len(want) })
	if d := cmp.Diff(want, sink.messages()); d != "" {
		t.Errorf("(-journalctl +ours)\n%.1000s", d)
	}
}

func TestLZ4(t *testing.T) {
	for name, tt := range map[string]struct {
		in, want string
		size     uint64
	}{
		"literals":   {"\x50hello", "hello", 5},
		"a match":    {"\x13a\x01\x00\x10b", "aaaaaaaab", 9},
		"cut":        {"\x50hello", "hel", 3},
		"no match":   {"\x10a\x00\x00", "", 9},
		"too far":    {"\x10a\x05\x00", "", 9},
		"too short":  {"\x50he", "", 5},
		"not enough": {"\x50hello", "", 6},
	} {
		got, err := unpackLZ4([]byte(tt.in), tt.size)
		if (err != nil) != (tt.want == "") || err == nil && string(got) != tt.want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// FuzzFile: whatever a file holds, reading it ends, and no entry is too long.
func FuzzFile(f *testing.F) {
	for _, compact := range []bool{false, true} {
		w := newWriter(compact)
		entries(f, w, 5)
		f.Add(w.b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		j, err := open(bytes.NewReader(data))
		if err != nil {
			return
		}
		r := &Reader{}
		for n := 0; ; n++ {
			e, ok, err := j.take()
			if err != nil || !ok {
				return
			}
			if n > len(data) {
				t.Fatal("more entries than bytes")
			}
			if text, _ := r.export(j, &e); len(text) > line.MaxText {
				t.Fatalf("an entry of %d bytes", len(text))
			}
			if n > 200 {
				return
			}
		}
	})
}
