package sshd

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pkg/sftp"
	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// terminal is a session on a pseudo-terminal.
type terminal struct {
	t   *testing.T
	s   *ssh.Session
	in  io.Writer
	out io.Reader
	got strings.Builder
}

func newTerminal(t *testing.T, c *ssh.Client) *terminal {
	t.Helper()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	in, _ := s.StdinPipe()
	out, _ := s.StdoutPipe()
	if err := s.RequestPty("xterm-256color", 24, 80, ssh.TerminalModes{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Shell(); err != nil {
		t.Fatal(err)
	}
	return &terminal{t: t, s: s, in: in, out: out}
}

// until reads until want stands in what came since the last call.
func (k *terminal) until(want string) string {
	k.t.Helper()
	buf := make([]byte, 4096)
	end := time.AfterFunc(time.Minute, func() { k.s.Close() })
	defer end.Stop()
	for !strings.Contains(k.got.String(), want) {
		n, err := k.out.Read(buf)
		k.got.Write(buf[:n])
		if err != nil {
			k.t.Fatalf("%q does not come: %v, but %q", want, err, k.got.String())
		}
	}
	all := k.got.String()
	i := strings.Index(all, want) + len(want)
	k.got.Reset()
	k.got.WriteString(all[i:])
	return all[:i]
}

func (k *terminal) typed(s string) { io.WriteString(k.in, s) }

func TestTerminal(t *testing.T) {
	r := newRig(t, nil)
	c := r.client(t)
	k := newTerminal(t, c)
	hello := k.until(":~# ")
	// Rows 28 and 29: the kernel line, Debian's notice, the last login; the
	// prompt between bracketed-paste marks.
	if !regexp.MustCompile(`^Linux \S+ \S+ #1 SMP .* x86_64\r\n\r\nThe programs included with the Debian GNU/Linux system are free software;(?s:.*)\r\nLast login: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d \d{4} from \S+\r\n\x1b\[\?2004hroot@\S+:~# $`).MatchString(hello) {
		t.Errorf("the greeting is %q", hello)
	}
	k.typed("echo mar''ker\r")
	if got := k.until("\rmarker\r\n") + k.until("\x1b[?2004h"); !strings.Contains(got, "\x1b[?2004l\r") {
		t.Errorf("after Enter: %q", got)
	}
	k.until("# ")
	k.typed("ec\tmidd\x7f\x7fle\x01echo \x05\r") // tab, erase, to the begin, to the end
	k.until("echo mile\r\n")
	k.until("# ")
	k.typed("\x1b[A\r") // history
	k.until("echo mile\r\n")
	k.until("# ")
	k.typed("cat\r")
	r.waitProgram(t, "cat")
	k.typed("half a line\x03")
	k.until("# ")
	if err := k.s.WindowChange(40, 132); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if len(r.rec.all(event.ActionWindowChanged)) > 0 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	k.typed("passwd\r")
	k.until("assword: ")
	k.typed("s3cret\r")
	k.until("assword: ")
	k.typed("s3cret\r")
	k.until("# ")
	k.typed("exit 3\r")
	if err := k.s.Wait(); err == nil || !strings.Contains(err.Error(), "status 3") {
		t.Errorf("the end: %v", err)
	}
	ended := r.rec.wait(t, event.ActionSessionEnded, 1)[0]
	cast := r.rec.casts[ended.Session]
	for _, want := range []string{`{"version":2,"width":80,"height":24,`, `"o", "Linux `, `"i", "`, `"r", "132x40"]`} {
		if !strings.Contains(cast, want) {
			t.Errorf("%s is not in the recording", want)
		}
	}
	if strings.Contains(cast, "s3cret") {
		t.Error("a password typed at a prompt is in the recording")
	}
	if got := r.rec.wait(t, event.ActionPasswordChanged, 1)[0]; extra(got, "lapwing.password.text") != "s3cret" {
		t.Errorf("the password he set: %+v", got)
	}
	lines := ""
	for _, e := range r.rec.all(event.ActionCommandExecuted) {
		lines += e.CommandLine + "|"
	}
	if !strings.Contains(lines, "echo mile|") || !strings.Contains(lines, "cat|") {
		t.Errorf("recorded: %s", lines)
	}
	k = newTerminal(t, c)
	if hello := k.until("# "); !strings.Contains(hello, "from 127.0.0.1\r\n") {
		t.Errorf("his own last login is not told: %q", hello)
	}
}

func TestStdinIsKept(t *testing.T) {
	r := newRig(t, nil)
	data := make([]byte, 200_000)
	for i := range data {
		data[i] = byte(rand.Uint32())
	}
	sum := sha256.Sum256(data)
	want := hex.EncodeToString(sum[:])
	out, _, err := r.exec(t, "cat > /tmp/x; sha256sum /tmp/x", string(data))
	if err != nil || !strings.HasPrefix(out, want) {
		t.Errorf("%q, %v", out, err)
	}
	how := map[string]bool{}
	for _, e := range r.rec.wait(t, event.ActionFileCaptured, 2) {
		if e.SHA256 == want {
			how[extra(e, "lapwing.capture.how")+" "+e.Path] = true
		}
	}
	if !how["stdin (standard input)"] || !how["file /tmp/x"] || !bytes.Equal(r.rec.files[want], data) {
		t.Errorf("captured: %v", how)
	}
}

func TestSFTPListing(t *testing.T) {
	r := newRig(t, nil)
	c, err := sftp.NewClient(r.client(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.ReadDir("/")
	if err != nil || len(list) < 15 {
		t.Fatalf("%d entries, %v", len(list), err)
	}
	f, err := c.Create("/tmp/put")
	if err != nil {
		t.Fatal(err)
	}
	f.Write([]byte("left"))
	f.Close()
	for _, err := range []error{c.Rename("/tmp/put", "/tmp/moved"), c.Chmod("/tmp/moved", 0o600), c.Mkdir("/tmp/d"), c.Symlink("/tmp/moved", "/tmp/l"), c.RemoveDirectory("/tmp/d")} {
		if err != nil {
			t.Error(err)
		}
	}
	if st, err := c.StatVFS("/"); err != nil || st.Bsize != 4096 || st.Blocks < 1<<20 {
		t.Errorf("statvfs: %+v, %v", st, err)
	}
	if _, err := c.Stat("/nope"); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
	if err := c.RemoveDirectory("/etc"); err == nil {
		t.Error("/etc can be removed")
	}
	if g, err := c.Open("/etc/passwd"); err == nil {
		io.ReadAll(g)
		g.Close()
	}
	c.Close()
	verbs := ""
	for _, e := range r.rec.wait(t, event.ActionFileChanged, 5) {
		verbs += extra(e, "lapwing.file.verb") + " "
	}
	for _, v := range []string{"rename", "setstat", "mkdir", "symlink", "rmdir"} {
		if !strings.Contains(verbs, v) {
			t.Errorf("%s is not recorded: %s", v, verbs)
		}
	}
	if got := r.rec.wait(t, event.ActionFileRead, 1); got[0].Path != "/etc/passwd" {
		t.Errorf("read: %+v", got)
	}
	r.rec.wait(t, event.ActionFileCaptured, 1)
}

// client runs one of OpenSSH's programs against the rig. %P is the port.
func (r *rig) run(t *testing.T, dir, stdin string, args ...string) (string, int) {
	t.Helper()
	_, port, _ := net.SplitHostPort(r.addr)
	common := []string{"-F", "none", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR", "-o", "BatchMode=no"}
	flag := "-P"
	if args[0] == "ssh" {
		flag = "-p"
	}
	full := append(append([]string{}, common...), flag, port)
	c := exec.Command(sharedtest.Program(t, args[0]), append(full, args[1:]...)...)
	c.Dir, c.Stdin, c.Env = dir, strings.NewReader(stdin), append(os.Environ(), askpass(t)...)
	out, _ := c.CombinedOutput()
	return string(out), c.ProcessState.ExitCode()
}

func TestScp(t *testing.T) {
	r := newRig(t, nil)
	for _, mode := range []string{"-O", "-s"} {
		t.Run(mode, func(t *testing.T) {
			dir := t.TempDir()
			os.MkdirAll(dir+"/tree/sub", 0o755)
			data := make([]byte, 150_000)
			for i := range data {
				data[i] = byte(i * 7)
			}
			os.WriteFile(dir+"/tree/sub/big", data, 0o640)
			os.WriteFile(dir+"/tree/empty", nil, 0o600)
			at := time.Unix(1_500_000_000, 0)
			os.Chtimes(dir+"/tree/sub/big", at, at)
			if out, status := r.run(t, dir, "", "scp", mode, "-rp", "tree", "root@127.0.0.1:/tmp/"); status != 0 {
				t.Fatalf("up: %d %s", status, out)
			}
			if out, status := r.run(t, dir, "", "scp", mode, "-rp", "root@127.0.0.1:/tmp/tree", "back"); status != 0 {
				t.Fatalf("down: %d %s", status, out)
			}
			got, _ := os.ReadFile(dir + "/back/sub/big")
			st, err := os.Stat(dir + "/back/sub/big")
			if err != nil || !bytes.Equal(got, data) || st.Mode().Perm() != 0o640 || !st.ModTime().Equal(at) {
				t.Errorf("back came %d bytes, %v, %v", len(got), st, err)
			}
			for target, want := range map[string]string{"/nonexist/x": "No such file or directory", "/proc/x": "No such file or directory"} {
				if out, status := r.run(t, dir, "", "scp", mode, "tree/sub/big", "root@127.0.0.1:"+target); status == 0 || !strings.Contains(out, want) && mode == "-O" {
					t.Errorf("to %s: %d %s", target, status, out)
				}
			}
			if out, status := r.run(t, dir, "", "scp", mode, "root@127.0.0.1:/nonexist", "."); status != 1 || !strings.Contains(out, "No such file or directory") {
				t.Errorf("from nowhere: %d %s", status, out)
			}
		})
	}
	r.rec.wait(t, event.ActionFileCaptured, 1)
}

func TestOtherClients(t *testing.T) {
	r := newRig(t, nil)
	dir := t.TempDir()
	os.WriteFile(dir+"/f", []byte("x"), 0o600)
	t.Run("sftp", func(t *testing.T) {
		out, status := r.run(t, dir, "ls -ln /etc/hostname\nput f /tmp/f\nget /tmp/f g\nrename /tmp/f /tmp/h\nrm /tmp/h\nrm /tmp/h\n", "sftp", "-b", "-", "root@127.0.0.1")
		if status != 1 || !strings.Contains(out, "No such file") {
			t.Errorf("%d %s", status, out)
		}
		if b, _ := os.ReadFile(dir + "/g"); string(b) != "x" {
			t.Errorf("back came %q", b)
		}
	})
	t.Run("one connection for many sessions", func(t *testing.T) {
		ctl := filepath.Join(t.TempDir(), "c")
		c := exec.Command(sharedtest.Program(t, "ssh"))
		_ = c
		if out, status := r.run(t, dir, "", "ssh", "-M", "-f", "-N", "-o", "ControlPath="+ctl, "root@127.0.0.1"); status != 0 {
			t.Fatalf("%d %s", status, out)
		}
		for i := range 3 {
			if out, status := r.run(t, dir, "", "ssh", "-o", "ControlPath="+ctl, "root@127.0.0.1", fmt.Sprint("echo ", i)); out != fmt.Sprint(i, "\n") || status != 0 {
				t.Errorf("%d: %d %s", i, status, out)
			}
		}
		r.run(t, dir, "", "ssh", "-O", "exit", "-o", "ControlPath="+ctl, "root@127.0.0.1")
		if n := len(r.rec.all(event.ActionConnectionOpened)); n != 2 {
			t.Errorf("%d connections", n)
		}
	})
	t.Run("rsync", func(t *testing.T) {
		sharedtest.Program(t, "rsync")
		_, port, _ := net.SplitHostPort(r.addr)
		c := exec.Command("rsync", "-e", "ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR -p "+port, dir+"/f", "root@127.0.0.1:/tmp/")
		c.Env = append(os.Environ(), askpass(t)...)
		out, err := c.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "rsync: command not found") {
			t.Errorf("%v %s", err, out)
		}
	})
	t.Run("paramiko", func(t *testing.T) {
		python := "/usr/bin/python3"
		if err := exec.Command(python, "-c", "import paramiko").Run(); err != nil {
			sharedtest.Program(t, "python3-paramiko")
		}
		_, port, _ := net.SplitHostPort(r.addr)
		c := exec.Command(python, "-c", `
import paramiko, sys
c = paramiko.SSHClient(); c.set_missing_host_key_policy(paramiko.AutoAddPolicy())
c.connect("127.0.0.1", int(sys.argv[1]), "root", "admin", look_for_keys=False, allow_agent=False)
i, o, e = c.exec_command("echo out; echo err >&2; exit 4")
print(o.read().decode().strip(), e.read().decode().strip(), o.channel.recv_exit_status())
s = c.open_sftp(); f = s.open("/tmp/p", "w"); f.write("hi"); f.close()
print(s.open("/tmp/p").read().decode(), s.stat("/tmp/p").st_size, sorted(s.listdir("/"))[0])
c.close()
`, port)
		out, err := c.CombinedOutput()
		if err != nil || string(out) != "out err 4\nhi 2 bin\n" {
			t.Errorf("%v %s", err, out)
		}
	})
}

// TestShellRows is the rows of layer shell that a line can ask.
func TestShellRows(t *testing.T) {
	r := newRig(t, nil)
	for _, tt := range []struct {
		row        int
		line, want string // an expression over both streams
	}{
		{32, "notacommand; true", `^bash: line 1: notacommand: command not found\n$`},
		{33, "cat /nonexist || echo F", `F\n`},
		{34, "echo $((3*7)) ; echo {1..3} ; echo $$", `^21\n1 2 3\n\d+\n$`},
		{35, "sleep 0 & wait; type ls; command -v cat; cat <<E\nhere\nE", `ls is /usr/bin/ls\n/usr/bin/cat\nhere\n`},
		{36, "ls -la /", `^total \d+\ndrwxr-xr-x +\d\d root root +\d+ \w{3} [ \d]\d +[\d:]+ \.\n`},
		{37, "ls /home; cat /etc/passwd", `^[a-z]\S*\n(?s:.*)root:x:0:0:root:/root:/bin/bash\n`},
		{38, "hostname", `^[a-z][a-z0-9-]*\n$`},
		{39, "free -m; uptime; cat /proc/uptime", `Mem: +\d+(?s:.*)up \d+`},
		{40, "id -u", `^0\n$`},
		{41, "head -1 /etc/passwd; tail -1 /etc/passwd | wc -l", `^root:.*\n1\n$`},
		{42, "df -h | head -1; mount | head -1; dmesg | head -1; stat -c %s /etc/hostname; echo a | md5sum; echo b | tr b c; seq 2; tty", `^Filesystem +Size +Used Avail Use% Mounted on\n.* on .* type .*\n\[.*\n\d+\n60b725f10c9c85c70d97880dfe8191b3  -\nc\n1\n2\nnot a tty\n$`},
		{43, "apt-get install -y nonsense-package", `E: Unable to locate package nonsense-package\n$`},
		{44, "sudo -l", `(may run the following commands|command not found)`},
		{45, "gcc -v", `(gcc version 12\.2|command not found)`},
		{46, "lspci | grep VGA", `VGA compatible controller`},
		{47, "ip a", `link/ether [0-9a-f]{2}(:[0-9a-f]{2}){5}`},
		{48, "cat /proc/uptime /etc/os-release /proc/mounts", `^\d+\.\d\d \d+\.\d\d\nPRETTY_NAME="Debian GNU/Linux 12(?s:.*) / ext4 `},
		{49, "getconf LONG_BIT", `^64\n$`},
		{50, "/bin/busybox ECCHI; echo $?", `(applet not found|No such file or directory)\n127\n$`},
		{51, "echo x > /sys/y; echo $?", `Permission denied\n1\n$`},
		{53, "cat /tmp/left 2>/dev/null; echo before > /tmp/left", `^$`},
		{53, "cat /tmp/left", `^before\n$`},
	} {
		out, errs, _ := r.exec(t, tt.line, "")
		if !regexp.MustCompile(tt.want).MatchString(out+errs) && !regexp.MustCompile(tt.want).MatchString(errs+out) {
			t.Errorf("row %d, %s: %q, %q", tt.row, tt.line, out, errs)
		}
	}
	c := r.client(t)
	k := newTerminal(t, c)
	k.until("# ")
	k.typed("vi /tmp/f\r") // row 52
	k.until("\x1b[")
	k.s.Close()
}
