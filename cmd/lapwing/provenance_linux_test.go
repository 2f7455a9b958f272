package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// TestPractiseAndLifeApart plays an exercise, and lets a person into another, on
// the data directory of a running instance that somebody visits meanwhile: its
// events, alerts and exports know of the visitor and of nothing else.
func TestPractiseAndLifeApart(t *testing.T) {
	in := newInstance(t)
	dir := filepath.Join(in.dir, "d")
	if err := os.WriteFile(filepath.Join(in.dir, "class.range.yaml"), []byte(classFile), 0o600); err != nil {
		t.Fatal(err)
	}
	var side sync.WaitGroup
	side.Go(func() {
		c := command(t, "range", "run", "--quiet", "--data", dir, "flax-typhoon-short")
		if out, err := c.CombinedOutput(); err != nil || !strings.Contains(string(out), "5 of 5 expected detections met") {
			t.Errorf("range run: %v: %s", err, out)
		}
	})
	s := serveRange(t, in.dir, "anna")
	if code, err := s.fetch("anna", "http://web/"); code != 200 {
		t.Errorf("the web server of the exercise: %d %v", code, err)
	}
	s.must("isolate", "web")
	if out, err := in.exec("cat /etc/passwd; wget http://192.0.2.7/real-life"); err != nil && out == "" {
		t.Fatal(err)
	}
	side.Wait()
	s.interrupt()

	await(t, "the visitor's alert", func() bool { return strings.Contains(in.lapwing("alerts", "--json"), `"source.ip":"127.0.0.1"`) })
	kept := in.lapwing("events", "--json", "-n", "10000")
	if !strings.Contains(kept, "real-life") {
		t.Error("what the visitor did is not kept")
	}
	archive := filepath.Join(in.dir, "export")
	in.lapwing("export", "127.0.0.1", "-o", archive+"/")
	for what, text := range map[string]string{"events": kept, "alerts": in.lapwing("alerts", "--json"), "sessions": in.lapwing("sessions", "--json"), "captures": in.lapwing("captures", "--json")} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, `"source.ip"`) && !strings.Contains(line, `"source.ip":"127.0.0.1"`) || strings.Contains(line, "exercise") || strings.Contains(line, `"10.`) {
				t.Errorf("%s of the instance tell of the exercise: %s", what, line)
			}
		}
	}
	// Nothing of the exercises lies anywhere but in their own directories.
	for _, marker := range []string{"auenheim", "lapwing.exercise.id", "flax-typhoon-short"} {
		for _, root := range []string{dir, archive} {
			for _, at := range below(t, root, marker) {
				if rel, _ := filepath.Rel(dir, at); !strings.HasPrefix(rel, "exercises/") && !strings.HasPrefix(rel, "range/") {
					t.Errorf("%q lies in %s", marker, at)
				}
			}
		}
	}
	if got := below(t, filepath.Join(dir, "exercises"), "lapwing.exercise.id"); len(got) == 0 {
		t.Error("the exercise kept nothing of its own")
	}
}

// below are the files under root that hold a text.
func below(t *testing.T, root, text string) (out []string) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			if errors.Is(err, os.ErrNotExist) {
				return nil // it was moved meanwhile
			}
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), text) {
			out = append(out, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !done(); time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}

// TestEnforcementStaysInside plays the full scenario with answers enforced, as a
// user who could change the kernel's tables, and reads from the kernel that there
// is nothing in them and that no packet was sent: no block, and no page to anybody.
func TestEnforcementStaysInside(t *testing.T) {
	nft := sharedtest.Program(t, "nft")
	if !sharedtest.Namespace(t, 0) {
		return
	}
	out, err := command(t, "range", "run", "--quiet", "--json", "--keep", filepath.Join(t.TempDir(), "run"), "--respond", "enforce", "flax-typhoon").Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var sum struct {
		Summary   bool
		Prevented int
		Policy    struct{ Blocked int }
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil || !sum.Summary {
		t.Fatalf("%v: %s", err, lines[len(lines)-1])
	}
	if sum.Policy.Blocked == 0 || sum.Prevented == 0 {
		t.Errorf("%d blocks, %d steps prevented: nothing was enforced", sum.Policy.Blocked, sum.Prevented)
	}
	rules, err := exec.CommandContext(t.Context(), nft, "list", "ruleset").CombinedOutput()
	if err != nil {
		sharedtest.Missing(t, fmt.Sprintf("nftables cannot be read here: %v: %s", err, rules))
	}
	if len(bytes.TrimSpace(rules)) > 0 {
		t.Errorf("the kernel holds %s", rules)
	}
	dev, err := os.ReadFile("/proc/net/dev")
	if err != nil {
		t.Fatal(err)
	}
	sharedtest.NoTraffic(t, string(dev))
}

// TestARunReachesNoNetwork plays the full scenario as an ordinary user where there
// is no network, and reads from the kernel what it saw of it: nothing.
func TestARunReachesNoNetwork(t *testing.T) {
	if os.Getuid() != 0 {
		sharedtest.Missing(t, "root is needed to make a network namespace")
	}
	sharedtest.Program(t, "sh")
	dir, err := os.MkdirTemp("/tmp", "lw") //nolint:usetesting // a folder that the user can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	program, home := filepath.Join(dir, "lapwing"), filepath.Join(dir, "home")
	copyProgram(t, program)
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(home, 0o700), os.Chown(home, 65534, 65534)); err != nil {
		t.Fatal(err)
	}
	script := fmt.Sprintf("id -u; %s range run --quiet --keep %s/run flax-typhoon || exit; echo ==; cat /proc/net/dev; echo ==; cat /proc/net/snmp", program, home)
	c := exec.CommandContext(t.Context(), "sh", "-c", script)
	c.Dir, c.Env = "/", append(os.Environ(), asProgram+"=1", "HOME="+home)
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	out, err := c.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		sharedtest.Missing(t, "no network namespace can be made here")
	}
	part := strings.Split(string(out), "==\n")
	if err != nil || len(part) != 3 || !strings.HasPrefix(part[0], "65534\n") || !strings.Contains(part[0], "expected detections met, 0 missed") {
		t.Fatalf("%v: %s", err, out)
	}
	sharedtest.NoTraffic(t, part[1])
	seen := 0
	lines := strings.Split(strings.TrimSpace(part[2]), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		names, values := strings.Fields(lines[i]), strings.Fields(lines[i+1])
		for k, n := range names {
			switch names[0] + n {
			case "Ip:OutRequests", "Ip:OutNoRoutes", "Ip:InReceives", "Tcp:ActiveOpens", "Tcp:PassiveOpens", "Tcp:AttemptFails", "Udp:OutDatagrams", "Udp:InDatagrams", "Icmp:OutMsgs":
				if seen++; values[k] != "0" {
					t.Errorf("%s%s is %s", names[0], n, values[k])
				}
			}
		}
	}
	if seen != 9 {
		t.Errorf("only %d counters were read:\n%s", seen, part[2])
	}
}
