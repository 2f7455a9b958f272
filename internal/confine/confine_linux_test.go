package confine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) {
	switch os.Getenv("CONFINE_CHILD") {
	case "":
	case "sink":
		sink()
		return
	case "enforcer":
		enforcerChild()
		return
	case "reader":
		reader()
		return
	case "sender":
		sender()
		return
	default:
		child()
		return
	}
	os.Exit(m.Run())
}

// child enters the confinement and tries everything that it must not be able to do.
func child() {
	ns := os.Getenv("CONFINE_NS")
	secret := os.Getenv("CONFINE_SECRET")
	sink := os.Getenv("CONFINE_SINK")
	ln, err := net.FileListener(os.NewFile(3, "listener"))
	if err != nil {
		fmt.Println("listener:", err)
		os.Exit(1)
	}
	r, err := Enter(ns, 0)
	if err != nil {
		fmt.Println("enter:", err)
		os.Exit(1)
	}
	tries := map[string]error{}
	_, tries["open"] = os.Open(secret)
	tries["create"] = os.WriteFile(secret+".x", nil, 0o600)
	_, tries["tcp"] = net.DialTimeout("tcp", sink, time.Second)
	_, tries["udp"] = net.Dial("udp", sink)
	_, tries["dns"] = net.LookupHost("example.net")
	_, tries["unix"] = net.Dial("unix", "/run/x")
	_, tries["listen"] = net.Listen("tcp", "127.0.0.1:0")
	tries["exec"] = exec.Command("/bin/true").Run()
	_, tries["mptcp"] = unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 262)
	tries["ptrace"] = syscall.PtraceAttach(os.Getppid())
	raw, _ := ln.(*net.TCPListener).SyscallConn()
	raw.Control(func(fd uintptr) {
		tries["connect-listener"] = unix.Connect(int(fd), &unix.SockaddrInet4{Port: 9, Addr: [4]byte{127, 0, 0, 1}})
	})
	_, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, 0, 0)
	tries["io_uring"] = e
	_, _, e = unix.Syscall(unix.SYS_MEMFD_CREATE, 0, 0, 0)
	tries["memfd"] = e
	out := map[string]any{"report": r}
	for k, v := range tries {
		out[k] = v != nil && !errors.Is(v, syscall.Errno(0))
	}
	json.NewEncoder(os.Stdout).Encode(out)
	c, err := ln.Accept()
	if err != nil {
		fmt.Println("accept:", err)
		os.Exit(1)
	}
	fmt.Fprint(c, "hello")
	c.Close()
}

func TestConfinedProcessKeepsOnlyItsListener(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	sink, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sink.Close()
	secret := t.TempDir() + "/secret"
	if err := os.WriteFile(secret, []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := ln.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ns, _ := NetNS()
	var out bytes.Buffer
	var cmd *exec.Cmd
	for level := range Levels {
		cmd = exec.Command("/proc/self/exe")
		cmd.Env = []string{"CONFINE_CHILD=1", "CONFINE_NS=" + ns, "CONFINE_SECRET=" + secret, "CONFINE_SINK=" + sink.Addr().String()}
		cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = []*os.File{f}, &out, os.Stderr
		Prepare(cmd, level)
		if err = cmd.Start(); err == nil {
			break
		}
		t.Logf("level %d: %v", level, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(10 * time.Second))
	buf := make([]byte, 5)
	if _, err := c.Read(buf); err != nil || string(buf) != "hello" {
		t.Errorf("the inherited listener does not serve: %q, %v", buf, err)
	}
	c.Close()
	if err := cmd.Wait(); err != nil {
		t.Fatalf("child: %v\n%s", err, out.String())
	}
	var got map[string]any
	if err := json.NewDecoder(strings.NewReader(out.String())).Decode(&got); err != nil {
		t.Fatalf("%v in %q", err, out.String())
	}
	t.Logf("%s", out.String())
	for k, v := range got {
		if refused, ok := v.(bool); ok && !refused {
			t.Errorf("%s was possible", k)
		}
	}
}
