package confine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// held is what enforcerChild found out about itself.
type held struct {
	Report       Report
	UID          int
	Capabilities map[string]string
	Allowed      []string // tries that should have failed
	Netlink      string   // why the socket it has does not work
}

// enforcerChild enters the enforcer's confinement and tries what it must not
// be able to do, and what it must.
func enforcerChild() {
	h := held{UID: os.Geteuid(), Capabilities: map[string]string{}}
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_NETFILTER)
	if err != nil {
		h.Netlink = err.Error()
	}
	status, err := os.Open("/proc/self/status")
	if err != nil {
		fmt.Println(err)
		return
	}
	if h.Report, err = EnterEnforcer(-1); err != nil {
		fmt.Println(err)
		return
	}
	b := make([]byte, 1<<16)
	n, _ := status.Read(b)
	for l := range strings.Lines(string(b[:n])) {
		if k, v, ok := strings.Cut(strings.TrimSpace(l), ":\t"); ok && (strings.HasPrefix(k, "Cap") || k == "NoNewPrivs" || k == "Seccomp") {
			h.Capabilities[k] = v
		}
	}
	if err := unix.Sendto(fd, []byte{20, 0, 0, 0, 16, 10, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil { // the generation of nftables
		h.Netlink = err.Error()
	} else if n, err := unix.Read(fd, b); err != nil || n < 20 || b[4] == unix.NLMSG_ERROR {
		h.Netlink = fmt.Sprintf("%d bytes: %v", n, err)
	}
	tries := map[string]error{"exec": exec.Command("/bin/true").Run()}
	_, tries["open"] = os.Open("/etc/passwd")
	_, tries["tcp"] = net.DialTimeout("tcp", "127.0.0.1:9", time.Second)
	_, tries["unix"] = net.Dial("unix", "/run/x")
	_, tries["netlink"] = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE)
	_, tries["packet"] = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	tries["setuid"] = unix.Setuid(0)
	tries["namespace"] = unix.Unshare(unix.CLONE_NEWNET)
	for what, err := range tries {
		if err == nil || strings.Contains(err.Error(), "refused") {
			h.Allowed = append(h.Allowed, what)
		}
	}
	out, _ := json.Marshal(h)
	fmt.Println(string(out))
}

// TestEnforcer: what the process that changes the firewall is left with.
func TestEnforcer(t *testing.T) {
	if !sharedtest.Namespace(t, 0) {
		return
	}
	exe := "/proc/self/exe"
	cmd := exec.CommandContext(t.Context(), exe)
	PrepareEnforcer(cmd, 0)
	cmd.Env = append(os.Environ(), "CONFINE_CHILD=enforcer")
	cmd.Dir = "/"
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	var h held
	if err := json.Unmarshal(out.Bytes(), &h); err != nil {
		t.Fatalf("%v: %s", err, out.Bytes())
	}
	if h.UID != EnforcerUID || !h.Report.OwnUID || h.Report.Namespace {
		t.Errorf("uid %d, report %+v", h.UID, h.Report)
	}
	if h.Report.Seccomp && h.Report.Landlock > 0 && len(h.Allowed) > 0 {
		t.Errorf("it may still do: %s", h.Allowed)
	}
	if h.Netlink != "" {
		t.Errorf("the netlink socket that it has does not work: %s", h.Netlink)
	}
	const admin, none = "0000000000001000", "0000000000000000"
	for k, want := range map[string]string{"CapEff": admin, "CapPrm": admin, "CapInh": none, "CapAmb": none, "NoNewPrivs": "1", "Seccomp": "2"} {
		if h.Capabilities[k] != want && (h.Report.Seccomp || strings.HasPrefix(k, "Cap")) {
			t.Errorf("%s is %s, want %s", k, h.Capabilities[k], want)
		}
	}
}
