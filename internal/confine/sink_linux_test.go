package confine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The addresses of the sink, in a network namespace made for the test.
const (
	sinkAddr = "127.0.0.1:20053"
	sinkPort = 20053
)

// sendAll tries every way out and says which left no error.
func sendAll() map[string]bool {
	sent := map[string]bool{}
	if c, err := net.DialTimeout("tcp", sinkAddr, time.Second); err == nil {
		sent["tcp"] = true
		c.Close()
	}
	if c, err := net.Dial("udp", sinkAddr); err == nil {
		_, err = c.Write([]byte("out"))
		sent["udp"] = err == nil
		c.Close()
	}
	var asked, dns atomic.Bool // the resolver asks for both kinds of addresses at once
	r := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, "udp", sinkAddr)
		asked.Store(true)
		if err == nil {
			dns.Store(true)
		}
		return c, err
	}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	r.LookupHost(ctx, "example.net.")
	if asked.Load() {
		sent["dns"] = dns.Load()
	}
	const mptcp = 262
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, mptcp); err == nil {
		err = unix.Connect(fd, &unix.SockaddrInet4{Port: sinkPort, Addr: [4]byte{127, 0, 0, 1}})
		sent["mptcp"] = err == nil
		unix.Close(fd)
	}
	if fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_UDP); err == nil {
		sent["raw"] = unix.Sendto(fd, []byte("\x4e\x55\x4e\x55\x00\x08\x00\x00"), 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}) == nil
		unix.Close(fd)
	}
	return sent
}

// sender is the process that must reach nothing; with CONFINE_FREE it is not
// confined, to see that the sink sees.
func sender() {
	if os.Getenv("CONFINE_FREE") == "" {
		if _, err := Enter(os.Getenv("CONFINE_NS"), 0); err != nil {
			fmt.Println("enter:", err)
			os.Exit(1)
		}
	}
	json.NewEncoder(os.Stdout).Encode(sendAll())
}

// sink runs in a network namespace of its own: it brings up loopback, listens,
// counts every packet on any interface, and starts the sender both ways.
func sink() {
	fail := func(what string, err error) { fmt.Println(what+":", err); os.Exit(1) }
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM, 0)
	if err != nil {
		fail("socket", err)
	}
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		fail("lo", err)
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCSIFFLAGS, uintptr(unsafe.Pointer(ifr))); e != 0 {
		fail("bring up loopback", e)
	}
	if _, err := net.Listen("tcp", sinkAddr); err != nil {
		fail("listen", err)
	}
	if _, err := net.ListenPacket("udp", sinkAddr); err != nil {
		fail("listen", err)
	}
	all := int(uint16(unix.ETH_P_ALL)<<8 | uint16(unix.ETH_P_ALL)>>8)
	tap, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, all)
	if err != nil {
		fail("tap", err)
	}
	ns, err := NetNS()
	if err != nil {
		fail("namespace", err)
	}
	out := map[string]any{}
	for _, free := range []bool{false, true} {
		text := run(ns, free)
		packets := 0
		buf := make([]byte, 2048)
		for {
			if _, _, err := unix.Recvfrom(tap, buf, unix.MSG_DONTWAIT); err != nil {
				break
			}
			packets++
		}
		out[fmt.Sprint("free ", free)] = map[string]any{"packets": packets, "said": text}
	}
	json.NewEncoder(os.Stdout).Encode(out)
}

func run(ns string, free bool) string {
	for level := range Levels {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = []string{"CONFINE_CHILD=sender", "CONFINE_NS=" + ns}
		if free {
			cmd.Env = append(cmd.Env, "CONFINE_FREE=1")
		} else {
			Prepare(cmd, level)
		}
		out, err := cmd.CombinedOutput()
		if err == nil || errors.As(err, new(*exec.ExitError)) {
			return strings.TrimSpace(string(out))
		}
	}
	return "not started"
}

// TestNoPacketArrives: TCP, MPTCP, UDP, DNS and raw packets of the confined
// process reach a sink in a test namespace as no packet at all; the same from
// a free process do.
func TestNoPacketArrives(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{"CONFINE_CHILD=sink"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil && len(out) == 0 {
		t.Skipf("no network namespace can be made here: %v", err)
	}
	var got map[string]struct {
		Packets int
		Said    string
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	t.Logf("%+v", got)
	held, free := got["free false"], got["free true"]
	if held.Packets != 0 || strings.Contains(held.Said, "true") || !strings.HasPrefix(held.Said, "{") {
		t.Errorf("confined: %d packets arrive, it says %s", held.Packets, held.Said)
	}
	if free.Packets == 0 || !strings.Contains(free.Said, `"tcp":true`) {
		t.Errorf("the sink does not see a free process: %+v", free)
	}
}
