package sshd

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/host/programs"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func TestMain(m *testing.M) {
	before := runtime.NumGoroutine()
	status := m.Run()
	for range 100 {
		if runtime.NumGoroutine() <= before+2 {
			os.Exit(status)
		}
		time.Sleep(50 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	fmt.Printf("goroutines are left: %d, there were %d\n%s\n", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
	os.Exit(1)
}

// memory is a Recorder.
type memory struct {
	mu     sync.Mutex
	events []event.Event
	files  map[string][]byte
	casts  map[string]string
}

// Post keeps the order of who posts, as the uplink does.
func (m *memory) Post(ctx context.Context, e event.Event, done func(error)) { done(m.Emit(ctx, e)) }

func (m *memory) Emit(_ context.Context, e event.Event) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events = append(m.events, e)
	return nil
}

func (m *memory) Capture(_ context.Context, r io.Reader, limit int64) (string, int64, error) {
	b, err := io.ReadAll(io.LimitReader(r, limit))
	s := sha256.Sum256(b)
	name := hex.EncodeToString(s[:])
	m.mu.Lock()
	defer m.mu.Unlock()
	m.files[name] = b
	return name, int64(len(b)), err
}

func (m *memory) Cast(_ context.Context, session string, data []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.casts[session] += string(data)
	return nil
}

func (m *memory) all(action string) []event.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []event.Event
	for _, e := range m.events {
		if e.Action == action {
			out = append(out, e)
		}
	}
	return out
}

// wait is all, once there are n.
func (m *memory) wait(t *testing.T, action string, n int) []event.Event {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if got := m.all(action); len(got) >= n {
			return got
		}
	}
	t.Fatalf("%d events %q, want %d", len(m.all(action)), action, n)
	return nil
}

func extra(e event.Event, name string) string {
	for _, f := range e.Extra {
		if f.Name == name {
			return f.Value.Text()
		}
	}
	return ""
}

// hasty is the system's clock, but it sleeps no time and remembers for how long.
type hasty struct {
	clock.Clock
	mu    sync.Mutex
	slept []time.Duration
}

func (h *hasty) Sleep(ctx context.Context, d time.Duration) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.slept = append(h.slept, d)
	return ctx.Err()
}

func (h *hasty) naps() []time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.slept)
}

type rig struct {
	t     *testing.T
	addr  string
	rec   *memory
	host  *host.Host
	clock *hasty
	keys  [][]byte
	per   *persona.Persona
}

var keysOnce = sync.OnceValues(func() ([][]byte, error) { return NewHostKeys(rand.Reader) })

func newRig(t *testing.T, tweak func(*Config, *decoy.Limits, *host.Config)) *rig {
	t.Helper()
	keys, err := keysOnce()
	if err != nil {
		t.Fatal(err)
	}
	p, err := persona.Generate("debian-server", 5, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, rec: &memory{files: map[string][]byte{}, casts: map[string]string{}}, clock: &hasty{Clock: clock.System()}, keys: keys, per: p}
	planted := access.Token{Credential: access.Credential{User: "root", Password: "planted"}, ID: "share"}
	door := access.New(access.Policy{Accept: []access.Credential{{User: "root", Password: "admin"}}, Tokens: []access.Token{planted}}, kernel.NewRand(1, 2), time.Now)
	c := Config{Banner: p.SSH.Banner, HostKeys: keys, Door: door}
	lim := decoy.Limits{PerSource: 500, Total: 500}
	hc := host.Config{Name: "files", Persona: p, Programs: programs.All(), Clock: r.clock, Net: netcmd.World{Downloads: "serve"}, FS: vfs.Options{Quota: 8 << 20, MaxNodes: 2000}}
	if tweak != nil {
		tweak(&c, &lim, &hc)
	}
	r.host = host.New(hc)
	srv, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		decoy.Serve(ctx, ln, decoy.ServerConfig{
			Name: "ssh", Proto: "ssh", LogType: LogConnection, Host: r.host, Decoy: srv, Gate: decoy.NewGate(lim), Clock: r.clock,
			IDs: event.NewIDs(nil, time.Now), Rec: r.rec, Log: slog.New(slog.DiscardHandler),
		}, 0)
	}()
	t.Cleanup(func() { cancel(); <-done })
	return r
}

func (r *rig) dial(t *testing.T, auth ...ssh.AuthMethod) (*ssh.Client, error) {
	t.Helper()
	if len(auth) == 0 {
		auth = []ssh.AuthMethod{ssh.Password("admin")}
	}
	return ssh.Dial("tcp", r.addr, &ssh.ClientConfig{User: "root", Auth: auth, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second})
}

func (r *rig) client(t *testing.T) *ssh.Client {
	t.Helper()
	c, err := r.dial(t)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func (r *rig) exec(t *testing.T, line, stdin string) (stdout, stderr string, err error) {
	t.Helper()
	s, err := r.client(t).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out, errs strings.Builder
	s.Stdin, s.Stdout, s.Stderr = strings.NewReader(stdin), &out, &errs
	err = s.Run(line)
	return out.String(), errs.String(), err
}

// debian is Debian's own sshd on a loopback port, with host keys of its own
// and one key that root gets in with.
type debian struct {
	addr   string
	signer ssh.Signer
	id     string // file of the key
}

func newDebian(t *testing.T) *debian {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("Debian's sshd is compared with only as root")
	}
	if _, err := os.Stat("/usr/sbin/sshd"); err != nil {
		sharedtest.Program(t, "sshd")
	}
	os.MkdirAll("/run/sshd", 0o755)
	dir := t.TempDir()
	keys, err := keysOnce()
	if err != nil {
		t.Fatal(err)
	}
	mine, err := NewHostKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := ln.Addr().String()
	ln.Close()
	_, port, _ := net.SplitHostPort(addr)
	signer, err := ssh.ParsePrivateKey(mine[0])
	if err != nil {
		t.Fatal(err)
	}
	conf := "Port " + port + "\nListenAddress 127.0.0.1\nAuthorizedKeysFile " + dir + "/auth\nPidFile none\nPermitRootLogin yes\nStrictModes no\n" +
		"KbdInteractiveAuthentication no\nUsePAM yes\nX11Forwarding no\nPrintMotd no\nAcceptEnv LANG LC_*\nMaxStartups 200\nSubsystem sftp /usr/lib/openssh/sftp-server\n"
	for i, k := range keys {
		name := filepath.Join(dir, fmt.Sprint("host", i))
		os.WriteFile(name, k, 0o600)
		conf += "HostKey " + name + "\n"
	}
	os.WriteFile(filepath.Join(dir, "conf"), []byte(conf), 0o600)
	os.WriteFile(filepath.Join(dir, "auth"), ssh.MarshalAuthorizedKey(signer.PublicKey()), 0o600)
	os.WriteFile(filepath.Join(dir, "id"), mine[0], 0o600)
	cmd := exec.Command("/usr/sbin/sshd", "-D", "-f", filepath.Join(dir, "conf"), "-E", filepath.Join(dir, "log"))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	for range 100 {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			return &debian{addr: addr, signer: signer, id: filepath.Join(dir, "id")}
		}
		time.Sleep(30 * time.Millisecond)
	}
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	t.Skipf("Debian's sshd does not start here: %s", log)
	return nil
}

func (d *debian) client(t *testing.T) *ssh.Client {
	t.Helper()
	c, err := ssh.Dial("tcp", d.addr, &ssh.ClientConfig{User: "root", Auth: []ssh.AuthMethod{ssh.PublicKeys(d.signer)}, HostKeyCallback: ssh.InsecureIgnoreHostKey(), Timeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}
