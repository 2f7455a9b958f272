package bench

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// asEmpty makes the test binary the baseline: an SSH server on the same
// library that emulates nothing and records nothing.
const asEmpty = "LAPWING_BENCH_EMPTY"

func TestMain(m *testing.M) {
	if addr := os.Getenv(asEmpty); addr != "" {
		empty(addr)
		return
	}
	os.Exit(m.Run())
}

func empty(addr string) {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		panic(err)
	}
	c := &ssh.ServerConfig{PasswordCallback: func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }}
	c.KeyExchanges = []string{"curve25519-sha256"} // what OpenSSH 9.2 and this client agree on
	c.AddHostKey(signer)
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		panic(err)
	}
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go serveEmpty(conn, c)
	}
}

func serveEmpty(conn net.Conn, c *ssh.ServerConfig) {
	defer conn.Close()
	sc, chans, reqs, err := ssh.NewServerConn(conn, c)
	if err != nil {
		return
	}
	defer sc.Close()
	go ssh.DiscardRequests(reqs)
	for nc := range chans {
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		go func() {
			for r := range reqs {
				r.Reply(true, nil)
				if r.Type == "exec" {
					ch.Write([]byte("Linux\n"))
					ch.SendRequest("exit-status", false, []byte{0, 0, 0, 0})
					ch.Close()
					return
				}
			}
		}()
	}
}

// process starts a server that listens on addr and waits for it.
func process(b *testing.B, addr string, c *exec.Cmd) int {
	b.Helper()
	if err := c.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Process.Kill(); c.Wait() })
	for range 200 {
		if conn, err := net.Dial("tcp", addr); err == nil {
			conn.Close()
			return c.Process.Pid
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Fatalf("%s does not listen", c.Path)
	return 0
}

func port(b *testing.B) string {
	b.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func startEmpty(b *testing.B) (addr string, pid int) {
	b.Helper()
	addr = port(b)
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), asEmpty+"="+addr)
	return addr, process(b, addr, c)
}

// raised is what the benches raise over the defaults.
const raised = "limits: {connections: {per_source: 2000, total: 20000}}\n"

// startLapwing runs the program with the raised limits.
func startLapwing(b *testing.B) (addr string, w *whole) {
	b.Helper()
	return startHost(b, "debian-server", "ssh")
}

// startHost runs it with one host that has one decoy.
func startHost(b *testing.B, persona, decoy string) (addr string, w *whole) {
	b.Helper()
	b.Logf("raised: %s", strings.TrimSpace(raised))
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	addr = port(b)
	conf := fmt.Sprintf("hosts:\n  - name: files\n    persona: %s\n    login: {accept: [{user: root, password: admin}]}\n    decoys:\n      - {type: %s, listen: %q}\n%s", persona, decoy, addr, raised)
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(conf), 0o600); err != nil {
		b.Fatal(err)
	}
	w = &whole{dir: filepath.Join(dir, "d"), cmd: exec.Command(binary(b), "up", "--quiet", "--data", filepath.Join(dir, "d"), "--config", filepath.Join(dir, "c.yaml"))}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.stop)
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if sc.Text() == "ready" {
			break
		}
	}
	go func() {
		for sc.Scan() {
		}
	}()
	return addr, w
}

// client builds one of the shared clients, a module of its own, in a copy.
func client(b *testing.B, name string) string {
	b.Helper()
	src := filepath.Join(sharedtest.Dir(b), "bench", name)
	if _, err := os.Stat(src); err != nil {
		b.Skipf("the client %s is not here: %v", name, err)
	}
	dir := b.TempDir()
	if err := os.CopyFS(dir, os.DirFS(src)); err != nil {
		b.Fatal(err)
	}
	c := exec.Command("go", "build", "-o", filepath.Join(dir, "client.bin"), ".")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		b.Skipf("the client %s cannot be built: %v\n%s", name, err, out)
	}
	return filepath.Join(dir, "client.bin")
}

// load is what sshload reports.
type load struct {
	OK         int     `json:"ok"`
	Failed     int     `json:"failed"`
	First      string  `json:"first_error"`
	PerSecond  float64 `json:"sessions_per_s"`
	CPUPer1000 float64 `json:"server_cpu_s_per_1000"`
	Held       int     `json:"held"`
	KBPerHeld  float64 `json:"pss_kb_per_held_session"`
}

func sshload(b *testing.B, bin, addr string, pid int, args ...string) load {
	b.Helper()
	c := exec.Command(bin, append([]string{"-json", "-addr", addr, "-pid", strconv.Itoa(pid), "-hostkey", "ssh-ed25519"}, args...)...)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		b.Fatalf("sshload: %v", err)
	}
	var l load
	if err := json.Unmarshal(out, &l); err != nil {
		b.Fatalf("sshload: %v in %s", err, out)
	}
	if l.Failed > 0 {
		b.Errorf("%d of %d sessions failed: %s", l.Failed, l.OK+l.Failed, l.First)
	}
	return l
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

// BenchmarkSSHLoad is the CPU time of 1,000 logins with a command, by turns
// with the baseline, and 10,000 sessions without a failure, all recorded.
func BenchmarkSSHLoad(b *testing.B) {
	bin := client(b, "sshload")
	addr, w := startLapwing(b)
	baddr, bpid := startEmpty(b)
	var ours, base []float64
	sessions := 0
	for b.Loop() {
		for range 5 {
			l := sshload(b, bin, addr, w.cmd.Process.Pid, "-n", "2000", "-c", "20")
			ours, sessions = append(ours, l.CPUPer1000), sessions+l.OK+20 // with its warm-up
			base = append(base, sshload(b, bin, baddr, bpid, "-n", "2000", "-c", "20").CPUPer1000)
		}
		l := sshload(b, bin, addr, w.cmd.Process.Pid, "-n", "10000", "-c", "50")
		sessions += l.OK + 20
		b.Logf("10,000 sessions: %d failures, %.0f a second, %.2f CPU-s per 1,000", l.Failed, l.PerSecond, l.CPUPer1000)
	}
	b.Logf("CPU-s per 1,000 sessions, 5 runs by turns: ours %.2f, the empty server %.2f", ours, base)
	b.ReportMetric(median(ours), "CPU-s/1000")
	b.ReportMetric(slices.Min(ours), "CPU-s/1000-min")
	b.ReportMetric(median(base), "baseline-CPU-s/1000")
	b.ReportMetric(median(ours)/median(base), "ratio")
	if got := recorded(b, w); got != sessions {
		b.Errorf("%d sessions, %d commands are recorded", sessions, got)
	}
}

// recorded counts the commands in the log.
func recorded(b *testing.B, w *whole) int {
	b.Helper()
	c := exec.Command(w.cmd.Path, "--data", w.dir, "events", "--json", "event.action:=command-executed")
	out, err := c.Output()
	if err != nil {
		b.Fatalf("lapwing events: %v", err)
	}
	return bytes.Count(out, []byte(`"event.action":"command-executed"`))
}

// BenchmarkHeldShells is the memory of 500 shells that wait for their visitors.
func BenchmarkHeldShells(b *testing.B) {
	bin := client(b, "sshload")
	addr, w := startLapwing(b)
	baddr, bpid := startEmpty(b)
	for b.Loop() {
		l := sshload(b, bin, addr, w.cmd.Process.Pid, "-mode", "hold", "-n", "500", "-c", "20", "-hold", "10s")
		base := sshload(b, bin, baddr, bpid, "-mode", "hold", "-n", "500", "-c", "20", "-hold", "10s")
		if l.Held != 500 {
			b.Errorf("%d of 500 are held", l.Held)
		}
		b.ReportMetric(l.KBPerHeld, "KB/shell")
		b.ReportMetric(base.KBPerHeld, "baseline-KB/shell")
		b.ReportMetric(l.KBPerHeld/base.KBPerHeld, "ratio")
	}
}

// BenchmarkBelievability is how many of the shared checks are answered as a
// real host does, in the file's order, on one instance; Debian's own sshd
// beside it where it is installed and we are root.
func BenchmarkBelievability(b *testing.B) {
	checks := filepath.Join(sharedtest.Dir(b), "decoys", "believability.tsv")
	if _, err := os.Stat(checks); err != nil {
		b.Skip(err)
	}
	addr, _ := startLapwing(b)
	for b.Loop() {
		text, status, all := believable(b, checks, addr, ssh.Password("admin"))
		b.ReportMetric(float64(text), "plausible")
		b.ReportMetric(float64(status), "statuses")
		b.ReportMetric(float64(all), "checks")
	}
	if daddr, key := startDebian(b); key != nil {
		text, status, all := believable(b, checks, daddr, ssh.PublicKeys(key))
		b.Logf("Debian's sshd: %d plausible, %d statuses right, of %d", text, status, all)
		b.ReportMetric(float64(text), "baseline-plausible")
	}
}

func believable(b *testing.B, checks, addr string, auth ssh.AuthMethod) (text, status, all int) {
	b.Helper()
	data, err := os.ReadFile(checks)
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(f) < 5 || strings.HasPrefix(line, "#") {
			continue
		}
		all++
		out, rc := ask(b, addr, auth, strings.ReplaceAll(f[1], `\n`, "\n"))
		good := regexp.MustCompile("(?s)" + f[2]).MatchString(out)
		if f[3] != "-" && f[3] != "" {
			good = good && !regexp.MustCompile("(?s)"+f[3]).MatchString(out)
		}
		if good {
			text++
		}
		if f[4] == "*" || f[4] == strconv.Itoa(rc) {
			status++
		}
		if !good || f[4] != "*" && f[4] != strconv.Itoa(rc) {
			b.Logf("%s: %s: status %d, %.200q", addr, f[0], rc, out)
		}
	}
	return text, status, all
}

// ask runs a line and gives both streams and the status.
func ask(b *testing.B, addr string, auth ssh.AuthMethod, line string) (string, int) {
	b.Helper()
	c, err := ssh.Dial("tcp", addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{auth}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 20 * time.Second})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	out, err := s.CombinedOutput(line)
	if ee, ok := errors.AsType[*ssh.ExitError](err); ok {
		return string(out), ee.ExitStatus()
	}
	if err != nil {
		return string(out), -1
	}
	return string(out), 0
}

// startDebian runs Debian's sshd on loopback with keys of its own; no key
// where it cannot be had.
func startDebian(b *testing.B) (addr string, key ssh.Signer) {
	b.Helper()
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil || os.Geteuid() != 0 {
		b.Log("Debian's sshd is not measured: it is not installed, or we are not root")
		return "", nil
	}
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	_, private, _ := ed25519.GenerateKey(rand.Reader)
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		b.Fatal(err)
	}
	if key, err = ssh.NewSignerFromKey(private); err != nil {
		b.Fatal(err)
	}
	addr = port(b)
	_, p, _ := net.SplitHostPort(addr)
	os.WriteFile(dir+"/host", pem.EncodeToMemory(block), 0o600)
	os.WriteFile(dir+"/auth", ssh.MarshalAuthorizedKey(key.PublicKey()), 0o600)
	conf := "Port " + p + "\nListenAddress 127.0.0.1\nHostKey " + dir + "/host\nAuthorizedKeysFile " + dir + "/auth\nPidFile none\nPermitRootLogin yes\nStrictModes no\nUsePAM yes\n"
	os.WriteFile(dir+"/conf", []byte(conf), 0o600)
	process(b, addr, exec.Command("/usr/sbin/sshd", "-D", "-f", dir+"/conf", "-E", dir+"/log"))
	return addr, key
}
