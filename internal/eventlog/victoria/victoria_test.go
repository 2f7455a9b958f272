package victoria

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/eventlog/eventlogtest"
)

// storeDir makes the test binary a store when it is set.
const storeDir = "LAPWING_TEST_STORE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(storeDir); dir != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		ln, err := net.Listen("unix", filepath.Join(dir, "s"))
		if err == nil {
			err = Serve(ctx, Config{Dir: filepath.Join(dir, "d"), Retention: 30 * 24 * time.Hour}, ln, func() error { fmt.Println("ready"); return nil })
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// store is a store in a process of its own.
type store struct {
	t   *testing.T
	dir string
	cmd *exec.Cmd
}

func newStore(t *testing.T) *store {
	t.Helper()
	dir, err := os.MkdirTemp("", "lw") // the path of a socket is short by law
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &store{t: t, dir: dir}
	s.start()
	t.Cleanup(func() { s.end(syscall.SIGTERM) })
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
