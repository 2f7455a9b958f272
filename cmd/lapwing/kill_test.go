package main

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
)

// sensor emits events over the socket that the decoy worker uses, and knows
// which were acknowledged.
type sensor struct {
	t      *testing.T
	client *uplink.Client
	ids    *event.IDs
	pad    int // bytes of noise in each event

	mu    sync.Mutex
	acked map[string]bool
	fails int
	last  error
}

func newSensor(t *testing.T, in *instance) *sensor {
	t.Helper()
	c, err := uplink.NewClient(uplink.ClientConfig{
		Name: "test", Timeout: 15 * time.Second,
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", filepath.Join(in.dir, "d", "run", "journal.sock"))
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); c.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return &sensor{t: t, client: c, ids: event.NewIDs(nil, time.Now), acked: map[string]bool{}}
}

// emit emits one event after the other until stop is closed.
func (s *sensor) emit(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		e := event.Event{ID: s.ids.New(), Time: time.Now(), Host: "files", Protocol: "ssh", Depth: event.DepthAct}
		e.Describe(event.ActionCommandExecuted)
		e.CommandLine = "echo " + e.ID + noise(s.pad)
		err := s.client.Emit(s.t.Context(), e)
		s.mu.Lock()
		if err == nil {
			s.acked[e.ID] = true
		} else {
			s.fails++
			s.last = err
		}
		s.mu.Unlock()
		if err != nil {
			time.Sleep(5 * time.Millisecond)
		}
	}
}

// during emits from some goroutines while fn runs.
func (s *sensor) during(fn func()) {
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { s.emit(stop) })
	}
	fn()
	close(stop)
	wg.Wait()
}

// check finds each acknowledged event once, and none twice.
func (s *sensor) check(in *instance, when string) {
	s.t.Helper()
	ids := map[string]int{}
	for line := range strings.Lines(in.lapwing("events", "--json")) {
		var e struct {
			ID string `json:"event.id"`
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			s.t.Fatal(err)
		}
		ids[e.ID]++
	}
	lost, twice := 0, 0
	for id := range s.acked {
		if ids[id] == 0 {
			lost++
		}
	}
	for _, n := range ids {
		if n > 1 {
			twice++
		}
	}
	s.t.Logf("%s: %d acknowledged, %d found, %d lost, %d found twice", when, len(s.acked), len(ids), lost, twice)
	if lost > 0 || twice > 0 || len(s.acked) == 0 {
		s.t.Errorf("%s: of %d acknowledged events %d are lost, and %d are there more than once\n%s", when, len(s.acked), lost, twice, in.out)
	}
}

// restarted waits until another process than pid does the work of which.
func (in *instance) restarted(which string, pid int) {
	in.t.Helper()
	for range 1000 {
		if now := in.children()[which]; now != 0 && now != pid {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	in.t.Fatalf("the %s is not started again: %s", which, in.out)
}

// TestKill kills the processes with SIGKILL while events come in: what was
// acknowledged is found once.
func TestKill(t *testing.T) {
	in := newInstance(t)
	s := newSensor(t, in)
	rounds, work := 5, 400*time.Millisecond
	if os.Getenv("LAPWING_SOAK") != "" {
		rounds, work = 50, 2*time.Second
	}
	for round := range rounds {
		which := []string{"store", "whole", "hub", "worker", "store"}[round%5]
		s.during(func() {
			time.Sleep(work)
			pid := in.children()[which]
			in.kill(which)
			if which == "whole" {
				in.start()
			} else {
				in.restarted(which, pid)
			}
		})
		if rounds > 10 && round%10 == 9 {
			s.check(in, fmt.Sprintf("after %d kills", round+1))
		}
	}
	if out, err := in.exec("echo alive"); err != nil || out != "alive\n" {
		t.Fatalf("after the kills: %q, %v\n%s", out, err, in.out)
	}
	s.check(in, "running")
	in.kill("whole")
	s.check(in, "killed, read from the directory")
	in.start()
	in.stop()
	s.check(in, "stopped")
}

const inNamespace = "LAPWING_TEST_NAMESPACE"

// TestDiskFull fills a small disk: what was acknowledged stays, the operator
// is told, and once there is room everything goes on.
func TestDiskFull(t *testing.T) {
	if testing.Short() {
		t.Skip("it fills a disk, which takes some seconds")
	}
	if os.Getenv(inNamespace) == "" {
		c := exec.Command(os.Args[0], "-test.run=^TestDiskFull$", "-test.v")
		c.Env = append(os.Environ(), inNamespace+"=1")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
		out, err := c.CombinedOutput()
		if err != nil && os.Geteuid() != 0 {
			t.Skipf("a mount namespace needs root: %v", err)
		}
		t.Logf("%s", out)
		if err != nil {
			t.Error(err)
		}
		return
	}
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err == nil {
		err = syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, "")
	}
	if err == nil {
		err = syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=160m")
	}
	if err != nil {
		t.Skipf("no tmpfs can be mounted: %v", err)
	}
	t.Setenv("TMPDIR", dir)
	defer os.Remove(dir)
	defer syscall.Unmount(dir, syscall.MNT_DETACH)
	in := newInstance(t)
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 80<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newSensor(t, in)
	s.pad = 32 << 10
	s.during(func() {
		for range 600 {
			time.Sleep(50 * time.Millisecond)
			s.mu.Lock()
			full := s.fails > 20
			s.mu.Unlock()
			if full {
				return
			}
		}
	})
	if s.fails == 0 {
		t.Fatal("the disk never got full")
	}
	t.Logf("refused with: %v", s.last)
	in.kill("whole")
	if !strings.Contains(in.out.String(), "disk of the event log is full") && !strings.Contains(in.out.String(), "no space left") {
		t.Errorf("the operator is not told that the disk is full:\n%s", in.out)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	in.start()
	s.check(in, "with some room again")
	before := len(s.acked)
	s.during(func() { time.Sleep(300 * time.Millisecond) })
	if len(s.acked) == before {
		t.Errorf("nothing is taken though there is room: %v", s.last)
	}
}

// noise is text that is hard to compress.
func noise(n int) string {
	b := make([]byte, n)
	x := rand.Uint64()
	for i := range b {
		x = x*6364136223846793005 + 1442695040888963407
		b[i] = "abcdefghijklmnopqrstuvwxyz012345"[x>>59]
	}
	return string(b)
}
