package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// row is what the tests read of the register.
type row struct {
	ID, State, Tested string
	Uses              int
	Names             map[string]string
	Next              string
}

func (in *instance) tokens() (out []row) {
	in.t.Helper()
	for line := range strings.Lines(in.lapwing("token", "list", "--json")) {
		var r row
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			in.t.Fatalf("%s: %v", line, err)
		}
		out = append(out, r)
	}
	return out
}

// plantToken plants a token of a kind in a home of its own.
func (in *instance) plantToken(kind string, args ...string) (r row, home string) {
	in.t.Helper()
	home = in.t.TempDir()
	out := in.lapwing(append([]string{"token", "plant", kind, "--host", "web01", "--owner", "anna", "--dir", home, "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		in.t.Fatalf("%s: %v", out, err)
	}
	return r, home
}

// hit waits for the alert of a token and gives it.
func (in *instance) hit(id string) string {
	in.t.Helper()
	began := time.Now()
	for time.Since(began) < time.Minute {
		for line := range strings.Lines(in.lapwing("alerts", "--json")) {
			if strings.Contains(line, id) {
				in.t.Logf("token %s: the alert is there after %v", id, time.Since(began).Round(time.Millisecond))
				return line
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	in.t.Fatalf("no alert names %s:\n%s", id, in.lapwing("alerts"))
	return ""
}

// useSSH uses a planted key as its owner would: by the entry in the planted
// configuration. ssh takes ~ from the user database, so the test writes it out.
func useSSH(t *testing.T, home string, r row) {
	t.Helper()
	conf, err := os.ReadFile(filepath.Join(home, ".ssh/config"))
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(own, bytes.ReplaceAll(conf, []byte("~/"), []byte(home+"/")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("ssh", "-F", own, "-o", "UserKnownHostsFile="+filepath.Join(home, ".ssh/known_hosts"), "-o", "BatchMode=yes", r.Names["alias"], "true")
	c.Env = append(os.Environ(), "SSH_AUTH_SOCK=")
	if out, err := c.CombinedOutput(); err == nil || !strings.Contains(string(out), "Permission denied") {
		t.Fatalf("ssh: %v\n%s", err, out)
	}
}

// TestTokenSSH plants a key, verifies it without an alert, uses it with the
// real client, rotates it, and uses the old one again.
func TestTokenSSH(t *testing.T) {
	sharedtest.Program(t, "ssh")
	in := newInstance(t)
	r, home := in.plantToken("ssh")
	out, status := in.try("token", "verify")
	if status != 0 || !strings.Contains(out, "fired") || !strings.Contains(out, "ssh key") {
		t.Fatalf("verify: %d, %s", status, out)
	}
	unread := strings.Contains(out, "nobody was seen to have read it") // not every file system keeps the time
	if got := in.tokens()[0]; got.Tested == "" || got.Uses != 0 {
		t.Errorf("after the test the register has %+v", got)
	}
	if out := in.lapwing("alerts"); out != "" {
		t.Errorf("the test raised:\n%s", out)
	}
	if out := in.lapwing("events", "lapwing.token.test:true"); !strings.Contains(out, r.Names["user"]) {
		t.Errorf("the test is not written down:\n%s", out)
	}
	useSSH(t, home, r)
	if out, _ := in.try("token", "verify"); unread && !strings.Contains(out, "SOMEBODY HAS READ IT") {
		t.Errorf("verify after it was used: %s", out)
	}
	line := in.hit(r.ID)
	for _, want := range []string{`"rule.level":"critical"`, "web01", "between", r.Names["user"], `"count":1,`} {
		if !strings.Contains(line, want) {
			t.Errorf("the alert lacks %s: %s", want, line)
		}
	}
	stolen := t.TempDir()
	if err := os.CopyFS(stolen, os.DirFS(home)); err != nil {
		t.Fatal(err)
	}
	in.lapwing("token", "rotate", r.ID[:6])
	fresh := in.tokens()[1]
	if old := in.tokens()[0]; old.State != "rotated" || old.Next != fresh.ID {
		t.Errorf("rotated: %+v, the new one is %s", old, fresh.ID)
	}
	if _, err := os.Stat(filepath.Join(home, ".ssh", r.Names["file"])); err == nil {
		t.Error("the old key is there")
	}
	os.Chmod(filepath.Join(stolen, ".ssh", r.Names["file"]), 0o600)
	useSSH(t, stolen, r)
	for began := time.Now(); in.tokens()[0].Uses < 2 && time.Since(began) < time.Minute; {
		time.Sleep(50 * time.Millisecond)
	}
	if out := in.lapwing("alerts", "--json"); !strings.Contains(out, "late: rotated") || strings.Contains(out, fresh.ID) {
		t.Errorf("the use of the old token:\n%s", out)
	}
	useSSH(t, home, fresh)
	in.hit(fresh.ID)
	in.lapwing("token", "remove", fresh.ID)
	if left, err := os.ReadDir(home); err != nil || len(left) > 0 {
		t.Errorf("removing left %v, %v", left, err)
	}
	in.stop()
	if got := in.tokens(); len(got) != 2 || got[1].State != "removed" || got[0].Uses != 2 {
		t.Errorf("stopped: %+v", got)
	}
	if out, status := in.try("token", "verify", r.ID); status != 1 || !strings.Contains(out, "DID NOT FIRE") || !strings.Contains(out, "lapwing up") {
		t.Errorf("verify of what is stopped: %d, %s", status, out)
	}
	if out := in.lapwing("token", "new", "ssh", "--host", "later"); !strings.Contains(out, "leads to "+in.addr) {
		t.Errorf("new while stopped: %s", out)
	}
	if where := in.bytesOf("PRIVATE KEY"); len(where) > 1 { // the fake host's own
		t.Errorf("private keys lie in %v", where)
	}
}
