package sshd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// probe sends raw bytes and says what a scanner sees of the answer.
func probe(t *testing.T, addr, send string) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got []byte
	buf := make([]byte, 8192)
	c.SetDeadline(time.Now().Add(5 * time.Second))
	for !bytes.Contains(got, []byte("\r\n")) { // the banner comes first
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			return "no banner: " + err.Error()
		}
	}
	io.WriteString(c, send)
	end := "waits"
	c.SetDeadline(time.Now().Add(1200 * time.Millisecond))
	for {
		n, err := c.Read(buf)
		got = append(got, buf[:n]...)
		if err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				end = "closes"
			}
			break
		}
	}
	_, rest, _ := bytes.Cut(got, []byte("\r\n"))
	what := fmt.Sprintf("%q", rest)
	if len(rest) > 6 && rest[5] == 20 {
		what = "KEXINIT"
	}
	return what + ", " + end
}

// identProbes are the rows of layer ssh-ident, with what OpenSSH 9.2 answers,
// and more that only Debian's sshd itself is the measure of.
var identProbes = []struct {
	row        int // of the table of fingerprints, 0 = ours
	name, send string
	want       string // "" = what Debian's sshd does
}{
	{2, "version 1337", "SSH-1337\n", `"Invalid SSH identification string.\r\n", closes`},
	{3, "version 1.5", "SSH-1.5-x\r\n", `"Protocol major versions differ.\r\n", closes`},
	{4, "HTTP", "GET / HTTP/1.0\r\n\r\n", `"Invalid SSH identification string.", closes`},
	{4, "eight newlines", strings.Repeat("\n", 8), `"Invalid SSH identification string.", closes`},
	{5, "eight carriage returns", strings.Repeat("\r", 8), `"", waits`},
	{6, "308 bytes", "SSH-2.0-" + strings.Repeat("A", 300) + "\r\n", `KEXINIT, waits`},
	{7, "newlines after the line", "SSH-2.0-OpenSSH\n" + strings.Repeat("\n", 9), `KEXINIT, closes`},
	{8, "two lines", strings.Repeat("SSH-2.0-OpenSSH_6.0p1 Debian-4+deb7u2\n", 2), `KEXINIT, closes`},
	{9, "version 1111", "SSH-1111-OpenSSH_9.0\r\n", `"Invalid SSH identification string.\r\n", closes`},
	{0, "version 1.99", "SSH-1.99-x\r\n", ""},
	{0, "version 2.1", "SSH-2.1-x\r\n", ""},
	{0, "version 3.0", "SSH-3.0-x\r\n", ""},
	{0, "no software", "SSH-2.0-\r\n", ""},
	{0, "no dash", "SSH-2.0\r\n", ""},
	{0, "a blank in the version", "SSH- 2.0-x\r\n", ""},
	{0, "a plus in the version", "SSH-+2.0-x\r\n", ""},
	{0, "letters in the version", "SSH-2.0a-x\r\n", ""},
	{0, "lower case", "ssh-2.0-x\r\n", ""},
	{0, "a carriage return within", "SSH-2.0-a\rb\r\n", ""},
	{0, "two carriage returns", "SSH-2.0-a\r\r\n", ""},
	{0, "a NUL byte", "SSH-2.0-a\x00b\r\n", ""},
	{0, "bytes above 127", "SSH-2.0-\xff\xfe\r\n", ""},
	{0, "a blank line first", "\r\nSSH-2.0-x\r\n", ""},
	{0, "9000 bytes", "SSH-2.0-" + strings.Repeat("A", 9000) + "\r\n", ""},
	{0, "9000 bytes without a newline", strings.Repeat("A", 9000), ""},
	{0, "8190 bytes", "SSH-2.0-" + strings.Repeat("A", 8180) + "\r\n", ""},
	{0, "a packet of 4 GB", "SSH-2.0-x\r\n\xff\xff\xff\xff" + strings.Repeat("A", 20), ""},
	{0, "TLS", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + strings.Repeat("x", 100), ""},
	{0, "nothing", "", ""},
}

func TestIdentification(t *testing.T) {
	r := newRig(t, nil)
	var wg sync.WaitGroup
	got := make([]string, len(identProbes))
	for i, p := range identProbes {
		wg.Go(func() { got[i] = probe(t, r.addr, p.send) })
	}
	wg.Wait()
	for i, p := range identProbes {
		if p.want != "" && got[i] != p.want {
			t.Errorf("row %d, %s: %s, want %s", p.row, p.name, got[i], p.want)
		}
	}
	t.Run("as Debian's sshd", func(t *testing.T) {
		d := newDebian(t)
		genuine := make([]string, len(identProbes))
		for i, p := range identProbes {
			wg.Go(func() { genuine[i] = probe(t, d.addr, p.send) })
		}
		wg.Wait()
		for i, p := range identProbes {
			// Who closes before he has read everything resets the connection, which may
			// overtake the end of what he said: ask again, one at a time.
			for range 3 {
				if got[i] == genuine[i] {
					break
				}
				got[i], genuine[i] = probe(t, r.addr, p.send), probe(t, d.addr, p.send)
			}
			if got[i] != genuine[i] {
				t.Errorf("%s: %s, Debian's sshd: %s", p.name, got[i], genuine[i])
			}
		}
	})
}

// ask does what a curious client can do on a connection and writes down what
// it is told.
func ask(t *testing.T, c *ssh.Client) map[string]string {
	t.Helper()
	out := map[string]string{}
	global := func(name string, payload []byte) {
		ok, data, err := c.SendRequest(name, true, payload)
		out["global "+name] = fmt.Sprint(ok, len(data), err)
	}
	global("keepalive@openssh.com", nil)
	global("no-such@openssh.com", nil)
	global("cancel-tcpip-forward", ssh.Marshal(struct {
		Host string
		Port uint32
	}{"127.0.0.1", 9}))
	open := func(kind string, payload []byte) {
		_, _, err := c.OpenChannel(kind, payload)
		if oe, ok := errors.AsType[*ssh.OpenChannelError](err); ok {
			out["open "+kind] = fmt.Sprint(oe.Reason, " ", oe.Message)
		} else {
			out["open "+kind] = fmt.Sprint(err)
		}
	}
	open("no-such-channel", nil)
	open("x11", ssh.Marshal(struct {
		From string
		Port uint32
	}{"127.0.0.1", 9}))
	ch, reqs, err := c.OpenChannel("session", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer ch.Close()
	go ssh.DiscardRequests(reqs)
	request := func(name, label string, payload any) {
		var b []byte
		if payload != nil {
			b = ssh.Marshal(payload)
		}
		ok, err := ch.SendRequest(name, true, b)
		out["request "+name+label] = fmt.Sprint(ok, err)
	}
	type pair struct{ Name, Value string }
	request("env", " LANG", pair{"LANG", "C"})
	request("env", " LC_ALL", pair{"LC_ALL", "C"})
	request("env", " PATH", pair{"PATH", "/x"})
	request("no-such@openssh.com", "", nil)
	request("subsystem", " nope", struct{ Name string }{"nope"})
	request("auth-agent-req@openssh.com", "", nil)
	request("auth-agent-req@openssh.com", " again", nil)
	request("signal", " before", struct{ Name string }{"TERM"})
	request("window-change", " before", struct{ C, R, W, H uint32 }{80, 24, 0, 0})
	request("break", "", struct{ Len uint32 }{10})
	request("exec", "", struct{ Command string }{"cat"})
	request("exec", " again", struct{ Command string }{"id"})
	request("shell", " after exec", nil)
	request("env", " after exec", pair{"LANG", "C"})
	request("window-change", " without a terminal", struct{ C, R, W, H uint32 }{80, 24, 0, 0})
	request("signal", " unknown", struct{ Name string }{"NOPE"})
	request("signal", " KILL", struct{ Name string }{"KILL"})
	return out
}

func TestConnectionLayerAsDebian(t *testing.T) {
	d := newDebian(t)
	r := newRig(t, nil)
	want, got := ask(t, d.client(t)), ask(t, r.client(t))
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Debian's sshd (-), ours (+):\n%s", diff)
	}
}

var packetRE = regexp.MustCompile(`receive packet: type (\d+)`)

// packets runs OpenSSH's client and lists the types of the packets that it
// receives once the channel is open.
func packets(t *testing.T, addr, id, command string) (types []string, stdout, stderr string, status int) {
	t.Helper()
	host, port, _ := net.SplitHostPort(addr)
	log := t.TempDir() + "/log"
	args := []string{"-F", "none", "-vvv", "-E", log, "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-p", port}
	if id != "" {
		args = append(args, "-i", id, "-o", "IdentitiesOnly=yes")
	}
	c := exec.Command(sharedtest.Program(t, "ssh"), append(args, "root@"+host, command)...)
	c.Env = append(os.Environ(), askpass(t)...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	c.Run()
	data, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(data), "receive packet: type 91")
	if !found {
		t.Fatalf("no channel:\n%s", data)
	}
	for _, m := range packetRE.FindAllStringSubmatch(after, -1) {
		if m[1] != "93" && m[1] != "80" { // window adjustments come when they come
			types = append(types, m[1])
		}
	}
	return types, out.String(), errs.String(), c.ProcessState.ExitCode()
}

// askpass lets OpenSSH's clients type the password.
func askpass(t *testing.T) []string {
	t.Helper()
	name := t.TempDir() + "/askpass"
	if err := os.WriteFile(name, []byte("#!/bin/sh\necho admin\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return []string{"SSH_ASKPASS=" + name, "SSH_ASKPASS_REQUIRE=force", "LC_ALL=C"}
}

func TestExecOrder(t *testing.T) {
	r := newRig(t, nil)
	for _, tt := range []struct {
		row            int
		command        string
		stdout, stderr string
		status         int
	}{
		{23, "echo hi", "hi\n", "", 0},
		{25, "ls /nonexist", "", "ls: cannot access '/nonexist': No such file or directory\n", 2},
		{26, "ls /nonexist", "", "ls: cannot access '/nonexist': No such file or directory\n", 2},
		{0, "exit 7", "", "", 7},
		{0, "kill -9 $$", "", "", 255}, // exit-signal
	} {
		types, out, errs, status := packets(t, r.addr, "", tt.command)
		if out != tt.stdout || errs != tt.stderr || status != tt.status {
			t.Errorf("row %d, %s: %q, %q, %d", tt.row, tt.command, out, errs, status)
		}
		// SUCCESS, then data, then exit-status, EOF, CLOSE.
		n := len(types)
		if n < 4 || types[0] != "99" || !slices.Equal(types[n-3:], []string{"98", "96", "97"}) {
			t.Errorf("row %d, %s: packets %v", tt.row, tt.command, types)
		}
		for _, k := range types[1 : n-3] {
			if k != "94" && k != "95" {
				t.Errorf("row %d, %s: packets %v", tt.row, tt.command, types)
			}
		}
	}
	t.Run("as Debian's sshd", func(t *testing.T) {
		d := newDebian(t)
		for _, command := range []string{"echo hi", "ls /nonexist", "exit 7", "kill -9 $$", "true", "echo a >&2; echo b"} {
			want, wout, werr, wstatus := packets(t, d.addr, d.id, command)
			got, gout, gerr, gstatus := packets(t, r.addr, "", command)
			// sshd sends EOF and the status in the order in which it learns of
			// them, which varies; the set and the ends do not.
			slices.Sort(want)
			slices.Sort(got)
			if !slices.Equal(slices.Compact(want), slices.Compact(got)) || wout != gout || werr != gerr || wstatus != gstatus {
				t.Errorf("%s: Debian %v %q %q %d, ours %v %q %q %d", command, want, wout, werr, wstatus, got, gout, gerr, gstatus)
			}
		}
	})
}

// rows says how each row of the table in these layers is answered: by which
// test, or why not yet.
var rows = map[int]string{
	1: "TestBannerIsThePersonas", 2: "TestIdentification", 3: "TestIdentification", 4: "TestIdentification", 5: "TestIdentification",
	6: "TestIdentification", 7: "TestIdentification", 8: "TestIdentification", 9: "TestIdentification",
	18: "known: golang.org/x/crypto/ssh names password before publickey",
	19: "TestRefusalTakesAsLongAsPAM", 20: "TestTries; known: the text of x/crypto begins in lower case",
	21: "TestAnotherPasswordIsRefused", 22: "TestHostKeysAreOfferedAndProven", 23: "TestExecOrder", 24: "TestExecOrder", 25: "TestExecOrder",
	26: "TestExecOrder", 27: "TestSFTPListing", 28: "TestTerminal", 29: "TestTerminal",
}

func TestEveryRowIsAnswered(t *testing.T) {
	data, err := os.ReadFile(sharedtest.Dir(t) + "/decoys/fingerprint_probes.tsv")
	if err != nil {
		t.Skip(err)
	}
	known := 0
	for line := range strings.Lines(string(data)) {
		var n int
		f := strings.Split(line, "\t")
		if _, err := fmt.Sscan(f[0], &n); err != nil || len(f) < 2 {
			continue
		}
		switch f[1] {
		case "ssh-ident", "ssh-auth", "ssh-conn", "pty":
			if rows[n] == "" {
				t.Errorf("row %d (%s) has no test", n, f[2])
			}
			if strings.Contains(rows[n], "known:") {
				known++
				t.Logf("row %d, %s: %s", n, f[2], rows[n])
			}
		}
	}
	if known > 2 {
		t.Errorf("%d rows are known not to be answered", known)
	}
}

func TestBannerIsThePersonas(t *testing.T) {
	r := newRig(t, nil)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 256)
	n, _ := c.Read(buf)
	out, _, err := r.exec(t, "dpkg -l | grep openssh-server", "")
	if err != nil {
		t.Fatal(err)
	}
	banner := strings.TrimRight(string(buf[:n]), "\r\n")
	if !regexp.MustCompile(`^SSH-2\.0-OpenSSH_9\.2p1 Debian-2\+deb12u\d+$`).MatchString(banner) {
		t.Errorf("the banner is %q", banner)
	}
	version := banner[strings.LastIndex(banner, "Debian-")+len("Debian-"):]
	if !strings.Contains(out, version) {
		t.Errorf("the banner says %s, the package list %q", version, out)
	}
}

func TestMaxStartups(t *testing.T) {
	r := newRig(t, func(c *Config, _ *decoy.Limits, _ *host.Config) { c.Startups = Startups{2, 100, 2} })
	for range 2 {
		c, err := net.Dial("tcp", r.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.Read(make([]byte, 8))
	}
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got, _ := io.ReadAll(c); string(got) != "Exceeded MaxStartups\r\n" {
		t.Errorf("the third is told %q", got)
	}
	for _, tt := range []struct {
		n, dice int
		want    bool
	}{{9, 0, false}, {10, 29, true}, {10, 31, false}, {55, 64, true}, {55, 66, false}, {100, 99, true}} {
		if got := (Startups{10, 30, 100}).drop(tt.n, tt.dice); got != tt.want {
			t.Errorf("%d waiting, dice %d: %v", tt.n, tt.dice, got)
		}
	}
}
