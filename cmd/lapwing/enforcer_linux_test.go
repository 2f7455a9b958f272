package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// nft runs Debian's program of that name; its errors are text, too.
func nft(t *testing.T, args ...string) string {
	t.Helper()
	out, _ := exec.CommandContext(t.Context(), sharedtest.Program(t, "nft"), args...).CombinedOutput()
	return string(out)
}

// within waits for a condition.
func (in *instance) within(what string, ok func() bool) time.Duration {
	in.t.Helper()
	began := time.Now()
	for !ok() {
		if time.Since(began) > time.Minute {
			in.t.Fatalf("%s: not within a minute: %s", what, in.out)
		}
		time.Sleep(5 * time.Millisecond)
	}
	return time.Since(began)
}

// blocked tells whether an element stands in the kernel.
func blocked(t *testing.T, set, element string) bool {
	t.Helper()
	return strings.Contains(nft(t, "list", "set", "inet", "lapwing", set), element+" ")
}

// TestEnforcer blocks in a real kernel, and lets everything be killed.
func TestEnforcer(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	if out, err := exec.CommandContext(t.Context(), "ip", "link", "set", "lo", "up").CombinedOutput(); err != nil {
		sharedtest.Missing(t, fmt.Sprintf("ip: %v: %s", err, out))
	}
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in := &instance{t: t, dir: dir, addr: freePort(t)}
	list := freePort(t)
	conf := fmt.Sprintf("hosts: [{name: files, persona: debian-server, decoys: [{type: ssh, listen: %q}]}]\nrespond:\n  allow: [198.51.100.0/24]\n  backends:\n    - {type: nftables}\n    - {type: list, path: blocks.txt, listen: %q}\n", in.addr, list)
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	in.start()
	t.Cleanup(in.stop)
	in.lapwing("block", "192.0.2.7", "--for", "1h")
	t.Logf("in the kernel %s after the command ended", in.within("the block", func() bool { return blocked(t, "b32", "192.0.2.7") }))
	pid := in.children()["enforcer"]
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil || !strings.Contains(string(status), "\nCapEff:\t0000000000001000\n") || !strings.Contains(string(status), "\nUid:\t61979\t61979\t61979\t61979\n") {
		t.Errorf("the enforcer is not held: %v\n%s", err, status)
	}
	if r, err := http.Get("http://" + list + "/blocks.txt"); err != nil {
		t.Error(err)
	} else {
		r.Body.Close()
		if r.StatusCode != http.StatusServiceUnavailable && r.StatusCode != http.StatusOK {
			t.Error(r.Status)
		}
	}
	in.kill("enforcer")
	if !blocked(t, "b32", "192.0.2.7") {
		t.Error("the block went with the enforcer")
	}
	in.restarted("enforcer", pid)
	in.lapwing("block", "2001:db8:7::/64", "--for", "1h")
	in.within("a block after the kill", func() bool { return blocked(t, "b64", "2001:db8:7::") })
	nft(t, "flush", "ruleset")
	in.within("the blocks after a foreign flush", func() bool { return blocked(t, "b32", "192.0.2.7") && blocked(t, "b64", "2001:db8:7::") })
	pid = in.children()["enforcer"]
	syscall.Kill(pid, syscall.SIGSTOP) // it lets the table go only when it is dead
	syscall.Kill(pid, syscall.SIGKILL)
	in.within("a flush while nobody holds the table", func() bool {
		nft(t, "delete", "table", "inet", "lapwing")
		return in.children()["enforcer"] != pid
	})
	in.within("all blocks after it", func() bool { return blocked(t, "b32", "192.0.2.7") && blocked(t, "b64", "2001:db8:7::") })
	if out, err := command(t, "--data", filepath.Join(dir, "d"), "block", "198.51.100.9").CombinedOutput(); err == nil {
		t.Errorf("an allowed address is blocked: %s", out)
	}
	in.kill("whole")
	if !blocked(t, "b32", "192.0.2.7") {
		t.Error("the block went with lapwing")
	}
	in.start()
	in.lapwing("unblock", "192.0.2.7")
	in.within("the end of a block", func() bool { return !blocked(t, "b32", "192.0.2.7") && blocked(t, "b64", "2001:db8:7::") })
	in.lapwing("panic", "--yes")
	in.within("panic", func() bool { return !blocked(t, "b64", "2001:db8:7::") })
}
