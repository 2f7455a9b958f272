package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// TestServeToAMachine does what the guide says: wg-quick with the file that range
// serve wrote makes a network interface, and the machine's own programs use it,
// before a reset and after it. There is no other network in its namespace.
func TestServeToAMachine(t *testing.T) {
	for _, p := range []string{"ip", "wg", "wg-quick", "wireguard-go", "nmap", "curl"} {
		sharedtest.Program(t, p)
	}
	if !sharedtest.Namespace(t, 0) {
		return
	}
	if _, err := os.Stat("/dev/net/tun"); err != nil {
		sharedtest.Missing(t, "this kernel has no TUN")
	}
	run := func(name string, args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), name, args...)
		c.Env = append(os.Environ(), "WG_QUICK_USERSPACE_IMPLEMENTATION=wireguard-go")
		out, err := c.CombinedOutput()
		if err != nil {
			t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	run("ip", "link", "set", "lo", "up")
	s := serveRange(t, rangeFolder(t), "anna")
	s.must("task", "--trainee", "anna") // his time begins

	// Without the line DNS, as the guide advises where there is no resolvconf. The
	// name of the interface is one that no other machine's wireguard-go has.
	conf, _, ok := strings.Cut(s.tunnel("anna"), "DNS =")
	_, rest, cut := strings.Cut(s.tunnel("anna"), "\n[Peer]")
	if !ok || !cut {
		t.Fatalf("the configuration is %q", s.tunnel("anna"))
	}
	name := "lwt" + strings.TrimPrefix(filepath.Base(s.dir), "lw")
	name = name[:min(len(name), 15)]
	file := filepath.Join(t.TempDir(), name+".conf")
	if err := os.WriteFile(file, []byte(conf+"\n[Peer]"+rest), 0o600); err != nil {
		t.Fatal(err)
	}
	run("wg-quick", "up", file)
	t.Cleanup(func() { exec.Command("ip", "link", "del", name).Run() })

	page := func() bool {
		out, err := exec.CommandContext(t.Context(), "curl", "-sf", "--noproxy", "*", "--max-time", "5", "http://10.9.1.10/").Output()
		return err == nil && strings.Contains(string(out), "<html")
	}
	await(t, "the page by the tunnel", page)
	got := run("nmap", "-n", "-Pn", "-sT", "-p", "22,80", "10.9.1.10")
	if !strings.Contains(got, "22/tcp closed") || !strings.Contains(got, "80/tcp open") {
		t.Errorf("nmap: %s", got)
	}
	// It came through the tunnel, and nothing leads on from there.
	if v := fmt.Sprint(s.must("status", "--trainee", "anna")["traffic"]); !regexp.MustCompile(`kind:wireguard .*packets:[1-9]\d+`).MatchString(v) {
		t.Errorf("traffic: %s", v)
	}
	if out, err := exec.CommandContext(t.Context(), "curl", "-s", "--noproxy", "*", "--max-time", "5", "http://8.8.8.8/").CombinedOutput(); err == nil {
		t.Errorf("an address outside answers: %s", out)
	}

	s.must("reset", "anna")
	s.must("task", "--trainee", "anna")
	await(t, "the page after a reset", page)
	s.interrupt()
	if page() {
		t.Error("the page answers though the range has ended")
	}
}
