package entry_test

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.zx2c4.com/wireguard/conn"
	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun"

	"github.com/lapwing-defence/lapwing/internal/entry"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// bound lists where this process has sockets, from the kernel's tables.
func bound(t *testing.T) []string {
	t.Helper()
	mine := map[string]bool{}
	for _, e := range get(os.ReadDir("/proc/self/fd")) {
		if link, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(link, "socket:[") {
			mine[strings.TrimSuffix(strings.TrimPrefix(link, "socket:["), "]")] = true
		}
	}
	var out []string
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "raw", "raw6", "icmp", "icmp6", "packet"} {
		b, err := os.ReadFile("/proc/self/net/" + table)
		if err != nil {
			continue // this kernel has no such protocol
		}
		for line := range strings.Lines(string(b)) {
			f := strings.Fields(line)
			switch {
			case table == "packet" && len(f) > 8 && mine[f[8]]:
				out = append(out, table)
			case len(f) > 9 && mine[f[9]]:
				out = append(out, table+" "+f[1])
			}
		}
	}
	return out
}

// TestOnlyLoopbackIsBound reads from the kernel which sockets the doors have:
// 127.0.0.1, one each.
func TestOnlyLoopbackIsBound(t *testing.T) {
	before := bound(t)
	w := newTunnelled(t, entry.WireGuardLimits{})
	door := open(t, entry.SOCKSConfig{Seats: []entry.Seat{{User: "anna", Secret: secret, Dialer: w.tap.Dialer()}}})
	want := map[string]bool{fmt.Sprintf("udp 0100007F:%04X", w.door.Addr().Port()): true, fmt.Sprintf("tcp 0100007F:%04X", door.Addr().Port()): true}
	now := bound(t)
	for _, s := range now {
		switch {
		case want[s]:
			delete(want, s)
		case !slices.Contains(before, s):
			t.Errorf("a socket that is no door: %s", s)
		}
	}
	if len(want) != 0 {
		t.Errorf("%v are not among %v", want, now)
	}
}

// run is what a program writes.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), sharedtest.Program(t, name), args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestToolsThroughWireGuard: a person's own nmap, curl and ssh through a real
// network interface of WireGuard into the range, in a namespace that has
// nothing but loopback beside it.
func TestToolsThroughWireGuard(t *testing.T) {
	for _, p := range []string{"ip", "nmap", "curl", "ssh"} {
		sharedtest.Program(t, p)
	}
	if !sharedtest.Namespace(t, 0) {
		return
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		sharedtest.Missing(t, "this kernel has no TUN")
	}
	run(t, "ip", "link", "set", "lo", "up")
	s := newSite(t)
	if err := sshd(t.Context(), s.web, "planted"); err != nil {
		t.Fatal(err)
	}
	key := entry.NewPrivateKey()
	door := get(entry.NewWireGuard(t.Context(), entry.WireGuardConfig{
		Listen: "127.0.0.1:0", Key: entry.NewPrivateKey(),
		Port:  get(s.net.AttachPort(s.office, "anna", addr("10.20.1.201"), addr("2001:db8:1::201"))),
		Peers: []entry.Peer{{Name: "anna", Key: public(key), Addrs: []netip.Addr{addr("10.20.1.201"), addr("2001:db8:1::201")}}},
	}))
	serve(t, door.Serve)
	connectAs(t, door, key)
	from := "10.20.1.201"
	if got := run(t, "curl", "-s", "--noproxy", "*", "--max-time", "60", "http://10.20.1.10/"); got != "from "+from+" for 10.20.1.10\n" {
		t.Errorf("curl: %q", got)
	}
	if got := run(t, "curl", "-s", "--noproxy", "*", "--max-time", "60", "http://[2001:db8:1::10]/"); got != "from [2001:db8:1::201] for [2001:db8:1::10]\n" {
		t.Errorf("curl by IPv6: %q", got)
	}
	got := run(t, "nmap", "-n", "-Pn", "-sT", "-p", "21-23,80,443", "10.20.1.10")
	for _, want := range []string{"21/tcp  closed", "22/tcp  open", "23/tcp  closed", "80/tcp  open", "443/tcp closed"} {
		if !strings.Contains(got, want) {
			t.Errorf("nmap -sT without %q:\n%s", want, got)
		}
	}
	got = run(t, "nmap", "-n", "-sn", "10.20.1.8/29")
	if !strings.Contains(got, "1 host up") || !strings.Contains(got, "for 10.20.1.10") {
		t.Errorf("nmap -sn:\n%s", got)
	}
	args, env := sshArgs(t, "planted")
	cmd := exec.CommandContext(t.Context(), sharedtest.Program(t, "ssh"), append(args, "backup@10.20.1.10", "id")...)
	cmd.Env, cmd.Stdin = env, strings.NewReader("typed\n")
	out, _ := cmd.Output()
	if string(out) != from+" came as backup: id\ntyped\n" || cmd.ProcessState.ExitCode() != 7 {
		t.Errorf("ssh: %v, %q", cmd.ProcessState, out)
	}
	if st := door.Stats(); st.Peers[0].TooFast != 0 || st.Peers[0].ToRange < 20 || st.Peers[0].Handshake.IsZero() {
		t.Errorf("%+v", st)
	}
}

// connectAs makes the interface that wg-quick would make of the door's text.
func connectAs(t *testing.T, door *entry.WireGuard, key entry.PrivateKey) {
	t.Helper()
	text := get(door.ClientConfig(entry.Client{Name: "anna", Key: key, Networks: []netip.Prefix{prefix("10.20.0.0/16"), prefix("2001:db8:1::/48")}}))
	conf := map[string]string{}
	for line := range strings.Lines(text) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			conf[k] = v
		}
	}
	iface, err := tun.CreateTUN("wg0", 1500)
	if err != nil {
		t.Fatal(err)
	}
	dev := device.NewDevice(iface, conn.NewDefaultBind(), device.NewLogger(device.LogLevelError, ""))
	t.Cleanup(dev.Close)
	his, its := get(entry.ParsePrivateKey(conf["PrivateKey"])), get(entry.ParsePublicKey(conf["PublicKey"]))
	set := fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\n", hex.EncodeToString(his[:]), hex.EncodeToString(its[:]), conf["Endpoint"])
	run(t, "ip", "link", "set", "wg0", "mtu", conf["MTU"], "up")
	for a := range strings.SplitSeq(conf["Address"], ", ") {
		run(t, "ip", "addr", "add", a, "dev", "wg0")
	}
	for n := range strings.SplitSeq(conf["AllowedIPs"], ", ") {
		set += "allowed_ip=" + n + "\n"
		run(t, "ip", "route", "add", n, "dev", "wg0")
	}
	if err := errors.Join(dev.IpcSet(set), dev.Up()); err != nil {
		t.Fatal(err)
	}
}
