package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/confine"
)

// A program below a directory that only root can enter, such as /root, must
// not cost the worker its own uid or its network namespace.
func TestWorkerIsConfinedBelowAClosedDirectory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gives the worker a uid of its own")
	}
	in := newInstance(t)
	in.stop()
	closed := filepath.Join(in.dir, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	in.program = filepath.Join(closed, "lapwing")
	copyProgram(t, in.program)
	in.start()
	worker := in.children()["worker"]
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", worker))
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("Uid:\t%d", confine.WorkerUID); !strings.Contains(string(status), want) {
		t.Errorf("the worker has no uid of its own; %s\n%s", in.out, status)
	}
	ours, err := confine.NetNS()
	if err != nil {
		t.Fatal(err)
	}
	if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/net", worker)); err != nil || ns == ours {
		t.Errorf("the worker sees our network: %s, %v; %s", ns, err, in.out)
	}
}

func copyProgram(t *testing.T, to string) {
	t.Helper()
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
