package vnet_test

import (
	"context"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/vnet"
	"github.com/lapwing-defence/lapwing/internal/vnet/trait"
)

// TestNothingLeavesTheProcess runs traffic as an ordinary user where there is
// no network at all, and looks whether the kernel saw any of it.
func TestNothingLeavesTheProcess(t *testing.T) {
	if !sharedtest.Namespace(t, 65534) {
		return
	}
	if os.Getuid() != 65534 {
		t.Fatalf("user %d", os.Getuid())
	}
	ctx := ctxFor(t)
	w := newSite(t, vnet.Config{Seed: 1})
	go echo(get(w.web.Listen(ctx, 80)))
	go echo(get(w.inet.Listen(ctx, 443)))
	for range 50 {
		for _, to := range []string{"web01:80", "203.0.113.7:443"} {
			c := get(w.red.Dialer().DialContext(ctx, "tcp", to))
			roundTrip(t, c, "hello")
			c.Close()
		}
	}
	for _, fd := range get(os.ReadDir("/proc/self/fd")) {
		if l, _ := os.Readlink("/proc/self/fd/" + fd.Name()); strings.HasPrefix(l, "socket:") {
			t.Errorf("a socket of the machine is open: %s", l)
		}
	}
	sharedtest.NoTraffic(t, string(get(os.ReadFile("/proc/self/net/dev"))))
	if w.n.Stats().Packets < 500 {
		t.Errorf("only %d packets in the network", w.n.Stats().Packets)
	}
}

// plug joins a TUN device to the network until the test ends.
func plug(t *testing.T, n *vnet.Network, s *vnet.Segment, a netip.Prefix) {
	t.Helper()
	sharedtest.Plug(t, get(n.AttachPort(s, "tun", a.Addr())), a)
}

func nmap(t *testing.T, args ...string) string {
	t.Helper()
	path := sharedtest.Program(t, "nmap")
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("nmap %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestScannerSeesTheSystems lets nmap guess what each kind of host is.
func TestScannerSeesTheSystems(t *testing.T) {
	if testing.Short() {
		t.Skip("the scanner takes seconds")
	}
	if !sharedtest.Namespace(t, 0) {
		return
	}
	n := newNet(t, vnet.Config{Seed: 4})
	s := segment(t, n, "office", "10.20.1.0/24")
	plug(t, n, s, prefix("10.20.1.200/24"))
	want := map[string]string{
		"linux-5": "Linux", "linux-6": "Linux", "windows-10": "Windows", "windows-11": "Windows", "windows-server": "Windows",
		"freebsd": "FreeBSD", "switch": "(?i)cisco|switch", "printer": "(?i)printer", "camera": "Linux",
		"plc": "(?i)control(ler)?( and automation)? system|programmable logic",
	}
	banner := get(host(t, s, "banner", "10.20.1.100").Listen(t.Context(), 22))
	go func() {
		for {
			c, err := banner.Accept()
			if err != nil {
				return
			}
			_, _ = c.Write([]byte("SSH-2.0-OpenSSH_9.6\r\n"))
			c.Close()
		}
	}()
	if out := nmap(t, "-sV", "-n", "-Pn", "-p", "22", "10.20.1.100"); !strings.Contains(out, "OpenSSH 9.6") {
		t.Errorf("the service is not recognised:\n%s", out)
	}
	var targets []string
	names := map[string]string{}
	for i, name := range trait.Names() {
		traits, _ := trait.ByName(name)
		a := netip.AddrFrom4([4]byte{10, 20, 1, byte(10 + i)})
		h := get(s.AddHost(vnet.HostConfig{Name: name, Addrs: []netip.Addr{a}, Traits: traits}))
		go echo(get(h.Listen(t.Context(), 22)))
		targets, names[a.String()] = append(targets, a.String()), name
	}
	out := nmap(t, append([]string{"-O", "-n", "-Pn", "-p", "22,23", "--max-os-tries", "2", "--osscan-guess"}, targets...)...)
	if os.Getenv("LAPWING_VNET_NMAP") != "" {
		t.Log(out)
	}
	reports := strings.Split(out, "Nmap scan report for ")[1:]
	if len(reports) != len(targets) {
		t.Fatalf("%d reports:\n%s", len(reports), out)
	}
	guesses := regexp.MustCompile(`(?m)^(?:OS details|Aggressive OS guesses): (.*?)(?:, [A-Z].*)?$`)
	for _, r := range reports {
		a, _, _ := strings.Cut(r, "\n")
		first := guesses.FindStringSubmatch(r)
		if first == nil || !regexp.MustCompile(want[names[a]]).MatchString(first[1]) {
			t.Errorf("%s looks like %q:\n%s", names[a], first, r)
		} else {
			t.Logf("%s: %s", names[a], first[1])
		}
	}
}

// TestScannerSeesAField pings every address of a /16.
func TestScannerSeesAField(t *testing.T) {
	if os.Getenv("LAPWING_SOAK") == "" {
		t.Skip("65,534 pings take seconds: set LAPWING_SOAK=1")
	}
	if !sharedtest.Namespace(t, 0) {
		return
	}
	n := newNet(t, vnet.Config{Seed: 4})
	s := segment(t, n, "decoys", "10.20.0.0/16")
	get(s.AddField(vnet.FieldConfig{Name: "decoys", Prefix: prefix("10.20.0.0/16")}))
	plug(t, n, s, prefix("10.20.255.254/16"))
	begun := time.Now()
	out := nmap(t, "-sn", "-n", "-PE", "--disable-arp-ping", "10.20.0.0/16")
	if last := out[strings.LastIndex(out, "Nmap done"):]; !strings.Contains(last, "65534 hosts up") {
		t.Errorf("%s", last)
	}
	status := string(get(os.ReadFile("/proc/self/status")))
	t.Logf("65,534 hosts up in %v, %s", time.Since(begun).Round(time.Millisecond), regexp.MustCompile(`VmRSS:.*`).FindString(status))
	if c := n.Stats(); c.Stacks != 1 {
		t.Errorf("%d stacks", c.Stacks)
	}
}
