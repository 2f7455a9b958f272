package sharedtest

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// childVar names the test that a child process in a namespace is to run.
const childVar = "LAPWING_NAMESPACE_CHILD"

// Namespace runs the calling test again in a process of user uid with an empty
// network namespace of its own, which ends with it, and says whether this is
// that process. A user other than root runs in the root directory.
func Namespace(t *testing.T, uid uint32) bool {
	t.Helper()
	if os.Getenv(childVar) == t.Name() {
		return true
	}
	if os.Getuid() != 0 {
		Missing(t, "root is needed to make a network namespace")
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if uid != 0 {
		exe = reachable(t, exe)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), childVar+"="+t.Name())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid != 0 {
		cmd.Dir, cmd.SysProcAttr.Credential = "/", &syscall.Credential{Uid: uid, Gid: uid}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		Missing(t, "no network namespace can be made here")
	}
	if err != nil || testing.Verbose() {
		t.Logf("%s", out)
	}
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(out), "--- SKIP") {
		Missing(t, "skipped in the namespace; -v shows why")
	}
	return false
}

// reachable is a copy of a program that every user can run, until the test ends.
func reachable(t *testing.T, program string) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "lapwing") //nolint:usetesting // a folder that the user can enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) }) //nolint:errcheck // what is left is in /tmp
	b, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(dir, filepath.Base(program))
	if err := errors.Join(os.WriteFile(copied, b, 0o755), os.Chmod(dir, 0o755)); err != nil { //nolint:gosec // a folder of this test, and a program to run
		t.Fatal(err)
	}
	return copied
}

// Plug joins a port of a network in this process to a TUN device with address
// a, by which everything is routed, until the test ends. It is for tests that
// run in a Namespace.
func Plug(t *testing.T, port io.ReadWriteCloser, a netip.Prefix) {
	t.Helper()
	dev := tun(t, a)
	carry := func(to io.Writer, from io.Reader) { // by hand: io.Copy would read files in large pieces
		for b := make([]byte, 65536); ; {
			k, err := from.Read(b)
			if err != nil {
				return
			}
			_, _ = to.Write(b[:k]) // what is no good is counted
		}
	}
	go carry(port, dev)
	go carry(dev, port)
	t.Cleanup(func() { _, _ = port.Close(), dev.Close() })
}

func tun(t *testing.T, a netip.Prefix) *os.File {
	t.Helper()
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		Missing(t, "no TUN device: "+err.Error())
	}
	var req struct {
		name  [16]byte
		flags uint16
		_     [22]byte
	}
	copy(req.name[:], "tun0")
	req.flags = unix.IFF_TUN | unix.IFF_NO_PI
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TUNSETIFF, uintptr(unsafe.Pointer(&req))); e != 0 {
		Missing(t, "no TUN device: "+e.Error())
	}
	for _, args := range []string{"link set lo up", "addr add " + a.String() + " dev tun0", "link set tun0 up", "route add default dev tun0"} {
		if out, err := exec.CommandContext(t.Context(), "ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			Missing(t, fmt.Sprintf("ip %s: %v: %s", args, err, out))
		}
	}
	return os.NewFile(uintptr(fd), "tun")
}

// NoTraffic fails the test where a namespace has, by the text of its
// /proc/net/dev, an interface beside loopback, or one that a packet passed.
func NoTraffic(tb testing.TB, dev string) {
	tb.Helper()
	for _, l := range strings.Split(strings.TrimSpace(dev), "\n")[2:] {
		f := strings.Fields(l)
		if len(f) < 11 || f[0] != "lo:" || f[2] != "0" || f[10] != "0" {
			tb.Errorf("the kernel has an interface with traffic: %q", l)
		}
	}
}
