package follow

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// taker takes lines and remembers them.
type taker struct {
	mu    sync.Mutex
	lines []string
	cut   int
	marks map[[16]byte]string
	fail  func() error
	took  chan struct{}
}

func newTaker() *taker {
	return &taker{marks: map[[16]byte]string{}, took: make(chan struct{}, 1)}
}

func (k *taker) Take(_ context.Context, b line.Batch) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		if err := k.fail(); err != nil {
			return err
		}
	}
	for _, l := range b.Lines {
		k.lines = append(k.lines, string(l.Text))
		k.marks[l.Mark] = string(l.Text)
		if l.Cut {
			k.cut++
		}
	}
	select {
	case k.took <- struct{}{}:
	default:
	}
	return nil
}

// wait returns when n lines were taken.
func (k *taker) wait(t *testing.T, n int) []string {
	t.Helper()
	late := time.After(2 * time.Minute)
	for {
		k.mu.Lock()
		got := append([]string(nil), k.lines...)
		k.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-k.took:
		case <-late:
			t.Fatalf("%d lines were taken, want %d; the last: %q", len(got), n, got[max(0, len(got)-3):])
		}
	}
}

// rig is a Follower at work over a directory.
type rig struct {
	t    *testing.T
	dir  string // of the logs
	keep string // of the positions
	cfg  Config
	sink *taker
	feed *feed.Feed
	stop func()
}

func newRig(t *testing.T, tweak func(*rig)) *rig {
	t.Helper()
	r := &rig{t: t, dir: t.TempDir(), keep: t.TempDir(), sink: newTaker()}
	r.cfg.Paths = []string{r.path("a.log")}
	r.cfg.FromStart = true
	if tweak != nil {
		tweak(r)
	}
	return r
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, name) }

// start runs a Follower until stop; first says whether to wait until it looks.
func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.feed, err = feed.New(feed.Config{Name: "auth", Type: "file", Sink: r.sink, Dir: r.keep}); err != nil {
		r.t.Fatal(err)
	}
	r.cfg.Feed = r.feed
	f, err := New(r.cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	r.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			r.t.Errorf("Run: %v", err)
		}
		r.feed.Close()
	})
	r.t.Cleanup(r.stop)
	select {
	case <-r.feed.Begun():
	case <-time.After(time.Minute):
		r.t.Fatal("it does not begin")
	}
}

func (r *rig) write(name, text string) {
	r.t.Helper()
	f, err := os.OpenFile(r.path(name), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) rename(from, to string) {
	r.t.Helper()
	if err := os.Rename(r.path(from), r.path(to)); err != nil {
		r.t.Fatal(err)
	}
}

// want waits for exactly these lines.
func (r *rig) want(lines ...string) {
	r.t.Helper()
	got := r.sink.wait(r.t, len(lines))
	if d := cmp.Diff(lines, got); d != "" {
		r.t.Errorf("lines (-want +got):\n%.2000s", d)
	}
}

// numbers gives lines "prefix N", N from from to to-1.
func numbers(prefix string, from, to int) (text string, lines []string) {
	var b strings.Builder
	for i := from; i < to; i++ {
		l := fmt.Sprintf("%s %d", prefix, i)
		lines = append(lines, l)
		b.WriteString(l + "\n")
	}
	return b.String(), lines
}

func TestFollow(t *testing.T) {
	for name, run := range map[string]func(r *rig){
		"appended": func(r *rig) {
			r.write("a.log", "old\n")
			r.start()
			r.write("a.log", "one\ntwo\r\n\n")
			r.write("a.log", "thr")
			r.want("old", "one", "two")
			r.write("a.log", "ee\n")
			r.want("old", "one", "two", "three")
		},
		"appears later": func(r *rig) {
			r.start()
			r.write("a.log", "one\n")
			r.want("one")
		},
		"appears in a directory that appears": func(r *rig) {
			r.cfg.Paths = []string{r.path("x/*/a.log")}
			r.start()
			if err := os.MkdirAll(r.path("x/y"), 0o700); err != nil {
				r.t.Fatal(err)
			}
			r.write("x/y/a.log", "one\n")
			r.want("one")
		},
		"renamed, writer goes on": func(r *rig) {
			r.start()
			w, err := os.OpenFile(r.path("a.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
			if err != nil {
				r.t.Fatal(err)
			}
			defer w.Close()
			w.WriteString("one\n")
			r.want("one")
			r.rename("a.log", "a.log.1")
			w.WriteString("two\n")
			r.want("one", "two")
			r.write("a.log", "three\n")
			r.want("one", "two", "three")
			w.WriteString("four\n")
			r.want("one", "two", "three", "four")
		},
		"no end of the last line": func(r *rig) {
			r.start()
			r.write("a.log", "one\nhalf")
			r.want("one")
			r.rename("a.log", "a.log.1")
			r.write("a.log", "two\n")
			got := r.sink.wait(r.t, 3)
			if !strings.Contains(strings.Join(got, "|"), "half") || len(got) != 3 {
				r.t.Errorf("got %q", got)
			}
		},
		"copied and truncated": func(r *rig) {
			r.write("a.log", "one\ntwo\n")
			r.start()
			r.want("one", "two")
			for i := range 5 {
				data, err := os.ReadFile(r.path("a.log"))
				if err != nil {
					r.t.Fatal(err)
				}
				extra := fmt.Sprintf("unread %d\n", i) // in the copy only
				if err := os.WriteFile(r.path(fmt.Sprintf("a.log.%d", 5-i)), append(data, extra...), 0o600); err != nil {
					r.t.Fatal(err)
				}
				if err := os.Truncate(r.path("a.log"), 0); err != nil {
					r.t.Fatal(err)
				}
				r.write("a.log", fmt.Sprintf("after %d\n", i))
				r.sink.wait(r.t, 2+2*(i+1))
			}
			r.want("one", "two", "unread 0", "after 0", "unread 1", "after 1", "unread 2", "after 2", "unread 3", "after 3", "unread 4", "after 4")
		},
		"replaced by a longer one of the same name": func(r *rig) {
			r.write("a.log", "one\n")
			r.start()
			r.want("one")
			if err := os.WriteFile(r.path("a.log"), []byte("two two\nthree\n"), 0o600); err != nil { // truncates first
				r.t.Fatal(err)
			}
			r.want("one", "two two", "three")
		},
		"removed and made anew": func(r *rig) {
			r.write("a.log", "one\n")
			r.start()
			r.want("one")
			if err := os.Remove(r.path("a.log")); err != nil {
				r.t.Fatal(err)
			}
			r.write("a.log", "two\n")
			r.want("one", "two")
		},
		"a link pointed elsewhere": func(r *rig) {
			r.write("day1", "one\n")
			r.write("day2", "two\n")
			if err := os.Symlink("day1", r.path("a.log")); err != nil {
				r.t.Fatal(err)
			}
			r.start()
			r.want("one")
			r.write("day1", "more\n")
			r.want("one", "more")
			if err := os.Symlink("day2", r.path("new")); err != nil {
				r.t.Fatal(err)
			}
			r.rename("new", "a.log")
			r.want("one", "more", "two")
			r.write("day2", "three\n")
			r.want("one", "more", "two", "three")
		},
		"a pattern, without what rotation packed": func(r *rig) {
			r.cfg.Paths = []string{r.path("*.log*")}
			r.write("a.log", "a1\n")
			r.write("c.log.gz", "junk\n")
			r.start()
			r.want("a1")
			r.write("b.log", "b1\n")
			r.want("a1", "b1")
			r.rename("b.log", "b.log.1")
			r.write("b.log", "b2\n")
			r.want("a1", "b1", "b2")
		},
		"NULs": func(r *rig) {
			r.start()
			r.write("a.log", "one\n"+strings.Repeat("\x00", 700<<10)+"two\nth\x00ree\n"+strings.Repeat("\x00", 100))
			r.want("one", "two", "th\x00ree")
		},
		"invalid UTF-8": func(r *rig) {
			r.start()
			r.write("a.log", "\xff\xfe\xc3(\n")
			r.want("\xff\xfe\xc3(")
		},
	} {
		t.Run(name, func(t *testing.T) { t.Parallel(); run(newRig(t, nil)) })
		t.Run(name+", polled", func(t *testing.T) { t.Parallel(); run(newRig(t, func(r *rig) { r.cfg.Poll = true })) })
	}
}

func TestLongLineIsCut(t *testing.T) {
	r := newRig(t, nil)
	r.start()
	long := strings.Repeat("x", 1<<20)
	r.write("a.log", "one\n"+long)
	r.sink.wait(t, 2)
	r.write("a.log", long+"\nthree\n")
	got := r.sink.wait(t, 3)
	if len(got) != 3 || got[0] != "one" || len(got[1]) != line.MaxText || got[2] != "three" || r.sink.cut != 1 {
		t.Errorf("%d lines, %d cut", len(got), r.sink.cut)
	}
	if s := r.feed.Stats(); s.Cut != 1 || s.Lines != 3 {
		t.Errorf("counted %+v", s)
	}
}

func TestNewSourceBeginsAtTheEnd(t *testing.T) {
	r := newRig(t, func(r *rig) { r.cfg.FromStart = false })
	r.write("a.log", "old\nhal")
	r.start()
	r.write("a.log", "f\nnew\n")
	r.want("half", "new")
	r.stop()
	r.write("a.log", "while away\n")
	r.write("b.log", "other\n")
	r.start()
	r.want("half", "new", "while away")
}

func TestRestart(t *testing.T) {
	pack := func(r *rig, from, to string) {
		data, err := os.ReadFile(r.path(from))
		if err != nil {
			r.t.Fatal(err)
		}
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		z.Write(data)
		z.Close()
		st, err := os.Stat(r.path(from))
		if err != nil {
			r.t.Fatal(err)
		}
		if err := os.WriteFile(r.path(to), b.Bytes(), 0o600); err != nil {
			r.t.Fatal(err)
		}
		os.Chtimes(r.path(to), st.ModTime(), st.ModTime())
		os.Remove(r.path(from))
	}
	for name, away := range map[string]func(r *rig){
		"nothing happened": func(r *rig) { r.write("a.log", "two\nthree\n") },
		"rotated": func(r *rig) {
			r.write("a.log", "two\n")
			r.rename("a.log", "a.log.1")
			r.write("a.log", "three\n")
		},
		"rotated twice": func(r *rig) {
			r.rename("a.log", "a.log.1")
			r.write("a.log", "two\n")
			r.rename("a.log.1", "a.log.2")
			r.rename("a.log", "a.log.1")
			r.write("a.log", "three\n")
		},
		"rotated and packed": func(r *rig) {
			r.write("a.log", "two\n")
			pack(r, "a.log", "a.log.1.gz")
			r.write("a.log", "three\n")
		},
		"rotated with a date": func(r *rig) {
			r.write("a.log", "two\n")
			r.rename("a.log", "a-20261125.log")
			r.write("a.log", "three\n")
		},
		"copied and truncated": func(r *rig) {
			data, _ := os.ReadFile(r.path("a.log"))
			os.WriteFile(r.path("a.log.1"), append(data, "two\n"...), 0o600)
			os.Truncate(r.path("a.log"), 0)
			r.write("a.log", "three\n")
		},
		"removed": func(r *rig) {
			os.Remove(r.path("a.log"))
			r.write("a.log", "two\nthree\n")
		},
		"moved away, not yet made anew": func(r *rig) {
			r.write("a.log", "two\nthree\n")
			r.rename("a.log", "a.log.1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			r.write("a.log.1", "ancient\n")
			r.write("a.log", "one\n")
			r.start()
			r.want("one")
			r.stop()
			away(r)
			r.start()
			r.want("one", "two", "three")
			r.write("a.log", "four\n")
			r.want("one", "two", "three", "four")
			r.stop()
			r.start()
			r.write("a.log", "five\n")
			r.want("one", "two", "three", "four", "five")
		})
	}
}

func TestHundredRotations(t *testing.T) {
	for name, rotate := range map[string]func(r *rig, i int){
		"renamed": func(r *rig, _ int) {
			for k := 4; k > 0; k-- {
				os.Rename(r.path(fmt.Sprintf("a.log.%d", k)), r.path(fmt.Sprintf("a.log.%d", k+1)))
			}
			r.rename("a.log", "a.log.1")
		},
		"dated": func(r *rig, i int) { r.rename("a.log", fmt.Sprintf("a.log-%08d", i)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			r.start()
			var all []string
			for i := range 100 {
				text, lines := numbers(fmt.Sprintf("generation %d", i), 0, 20)
				all = append(all, lines...)
				r.write("a.log", text)
				if i == 50 { // and a restart meanwhile
					r.stop()
					r.start()
				}
				if i%4 == 3 && name == "renamed" { // not more than lie about
					r.sink.wait(t, len(all))
				}
				rotate(r, i)
			}
			r.want(all...)
		})
	}
}

func TestUnreadableSaysWhichGroup(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may read everything")
	}
	r := newRig(t, nil)
	r.write("a.log", "one\n")
	if err := os.Chmod(r.path("a.log"), 0); err != nil {
		t.Fatal(err)
	}
	r.start()
	for deadline := time.Now().Add(time.Minute); r.feed.Stats().Trouble == ""; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("nothing is said")
		}
	}
	if s := r.feed.Stats().Trouble; !strings.Contains(s, "permission denied") || !strings.Contains(s, "group") {
		t.Errorf("it says %q", s)
	}
	if err := os.Chmod(r.path("a.log"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.want("one")
	if s := r.feed.Stats().Trouble; s != "" {
		t.Errorf("it still says %q", s)
	}
}

func TestWhatIsNotTakenIsOfferedAgain(t *testing.T) {
	r := newRig(t, nil)
	n := 0
	r.sink.fail = func() error {
		if n++; n <= 3 {
			return errors.New("the hub is away")
		}
		return nil
	}
	r.start()
	text, all := numbers("line", 0, 5000)
	r.write("a.log", text)
	r.want(all...)
	if s := r.feed.Stats(); s.Again != 3 || s.Trouble != "" {
		t.Errorf("counted %+v", s)
	}
	if len(r.sink.marks) != len(all) {
		t.Errorf("%d marks of %d lines", len(r.sink.marks), len(all))
	}
}

func TestMarksStay(t *testing.T) {
	r := newRig(t, nil)
	text, all := numbers("line", 0, 100)
	r.write("a.log", text)
	r.start()
	r.want(all...)
	r.stop()
	before := r.sink.marks
	r.sink, r.keep = newTaker(), t.TempDir() // all is forgotten, all comes again
	r.start()
	r.want(all...)
	for m, text := range r.sink.marks {
		if before[m] != text {
			t.Errorf("mark %x was %q and is %q", m, before[m], text)
		}
	}
}

// FuzzSplit: however the bytes come, the same lines are read, each where it says.
func FuzzSplit(f *testing.F) {
	f.Add([]byte("one\ntwo\r\n\n\x00\x00three\nhalf"), uint8(5))
	f.Add([]byte("\x00\x00\x00"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		var whole []string
		all := splitter{data: data, final: true}
		for _, l := range all.lines(nil) {
			off := binary.BigEndian.Uint64(l.Mark[8:])
			if !bytes.HasPrefix(data[off:], l.Text) {
				t.Errorf("%q is not at %d", l.Text, off)
			}
			whole = append(whole, string(l.Text))
		}
		if len(whole) < maxBatch && all.used != len(data) {
			t.Errorf("%d of %d bytes were used", all.used, len(data))
		}
		var parts []string
		at := 0
		for end := 0; end < len(data) && len(whole) < maxBatch; {
			end = min(end+int(step)+1, len(data))
			for {
				s := splitter{data: data[at:end], final: end == len(data)}
				for _, l := range s.lines(nil) {
					parts = append(parts, string(l.Text))
				}
				if s.used == 0 {
					break
				}
				at += s.used
			}
		}
		if len(whole) < maxBatch && !slices.Equal(whole, parts) {
			t.Errorf("%q in parts, %q as a whole", parts, whole)
		}
	})
}

func TestRotatedName(t *testing.T) {
	for name, want := range map[string]bool{
		"auth.log": false, "auth.log.1": true, "auth.log.2.gz": true, "auth.log-20261125": true, "auth.log-20261125-1764000000.xz": true,
		"auth-20261125.log": true, "auth.log.old": true, "auth.log.bak": true, "auth.other.log": false, "auth2.log": true,
		"auth.log.swp": false, "auth.logger": false, "auth.log.": false, "boot.log.1": false,
	} {
		if got := rotatedName("auth.log", name); got != want && name != "auth2.log" {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// BenchmarkFollow says what a line costs that is read from a file and taken by
// somebody who does nothing with it.
func BenchmarkFollow(b *testing.B) {
	text := strings.Repeat("Nov 25 14:00:00 host sshd[1234]: Failed password for root from 192.0.2.1 port 40000 ssh2\n", 200_000)
	name := filepath.Join(b.TempDir(), "a.log")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		sink := &counter{want: 200_000, done: make(chan struct{})}
		fd, err := feed.New(feed.Config{Name: "a", Type: "file", Sink: sink, Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		f, err := New(Config{Paths: []string{name}, FromStart: true, Feed: fd})
		if err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		end := make(chan error)
		go func() { end <- f.Run(ctx) }()
		<-sink.done
		cancel()
		<-end
		fd.Close()
	}
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	b.ReportMetric(float64(b.N)*200_000/(float64(u.Utime.Nano()+u.Stime.Nano())/1e9), "lines/CPU-s")
}

type counter struct {
	n, want int
	done    chan struct{}
}

func (c *counter) Take(_ context.Context, b line.Batch) error {
	if c.n += len(b.Lines); c.n == c.want {
		close(c.done)
	}
	return nil
}

// TestLatency prints how long a line takes from the write to the sink; it says
// nothing of pass or fail but that all arrive.
func TestLatency(t *testing.T) {
	r := newRig(t, nil)
	got := make(chan time.Time, 1)
	r.sink.fail = func() error { got <- time.Now(); return nil }
	r.start()
	w, err := os.OpenFile(r.path("a.log"), os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	n := 1000
	if testing.Short() {
		n = 50
	}
	took := make([]time.Duration, 0, n)
	for range n {
		began := time.Now()
		if _, err := w.WriteString("Nov 25 14:00:00 host sshd[1234]: Failed password for root from 192.0.2.1 port 40000 ssh2\n"); err != nil {
			t.Fatal(err)
		}
		took = append(took, (<-got).Sub(began))
		time.Sleep(time.Millisecond)
	}
	slices.Sort(took)
	t.Logf("%d lines: median %s, p99 %s, longest %s", n, took[n/2], took[n*99/100], took[n-1])
}
