package programs

import (
	"bufio"
	"bytes"
	"context"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/host/shell"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

type silent struct{}

func (silent) Line(context.Context, kernel.Line)        {}
func (silent) Fetch(context.Context, kernel.Fetch)      {}
func (silent) Password(context.Context, string, string) {}
func (silent) Note(context.Context, string, string)     {}
func (silent) Limit(string)                             {}

type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safe) Write(p []byte) (int, error) { s.mu.Lock(); defer s.mu.Unlock(); return s.b.Write(p) }
func (s *safe) Read([]byte) (int, error)    { return 0, os.ErrClosed }

type stdin struct{ *strings.Reader }

func (stdin) Write([]byte) (int, error) { return 0, os.ErrClosed }

func testHost(tb testing.TB, limits kernel.Limits) *host.Host {
	tb.Helper()
	p, err := persona.Generate("debian-server", 7, time.Now())
	if err != nil {
		tb.Fatal(err)
	}
	return host.New(host.Config{Name: "files", Persona: p, Programs: All(), Clock: clock.System(), Net: netcmd.World{Downloads: "serve"}, Limits: limits})
}

// run executes a line as an ssh exec request does; output is both streams.
func run(tb testing.TB, v *host.Visit, line, input string) (out string, status int) {
	tb.Helper()
	ctx, stop := context.WithTimeout(tb.Context(), 20*time.Second)
	defer stop()
	s, ctx, cancel := v.Open(ctx, host.Login{User: "root", From: netip.MustParseAddrPort("198.51.100.7:4000"), To: netip.MustParseAddrPort("127.0.0.1:22"), Service: "ssh", Recorder: silent{}})
	defer cancel(nil)
	w := &safe{}
	fds := map[int]*kernel.FD{0: kernel.NewFD("pipe:[1]", stdin{strings.NewReader(input)}, nil), 1: kernel.NewFD("pipe:[2]", w, nil), 2: kernel.NewFD("pipe:[3]", w, nil)}
	status = shell.Exec(ctx, host.Shell(s, fds), line)
	return w.b.String(), status
}

func TestBelievability(t *testing.T) {
	f, err := os.Open(sharedtest.Dir(t) + "/decoys/believability.tsv")
	if err != nil {
		t.Skip("the believability table is not here: ", err)
	}
	defer f.Close()
	v := testHost(t, kernel.Limits{}).Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	sc := bufio.NewScanner(f)
	n := 0
	for sc.Scan() {
		c := strings.Split(sc.Text(), "\t")
		if len(c) < 5 || strings.HasPrefix(c[0], "#") {
			continue
		}
		n++
		line := strings.ReplaceAll(c[1], `\nhi there\n`, "\nhi there\n")
		out, rc := run(t, v, line, "")
		out = strings.TrimRight(out, "\n")
		if !regexp.MustCompile(c[2]).MatchString(out) || c[3] != "-" && regexp.MustCompile(c[3]).MatchString(out) {
			t.Errorf("%s: %q gives %.300q, want %s", c[0], line, out, c[2])
		}
		if c[4] != "*" && c[4] != strconv.Itoa(rc) {
			t.Errorf("%s: %q ends with %d, want %s", c[0], line, rc, c[4])
		}
	}
	t.Logf("%d checks", n)
}

func BenchmarkUname(b *testing.B) {
	v := testHost(b, kernel.Limits{}).Visit(b.Context(), netip.MustParseAddr("198.51.100.7"))
	for b.Loop() {
		run(b, v, "uname -a", "")
	}
}
