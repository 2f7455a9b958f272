package exercise_test

import (
	"fmt"
	"net/netip"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// shopWindow has a host of every persona with what such a host serves.
func shopWindow() (text string, names []string) {
	var b strings.Builder
	b.WriteString("range: \"1\"\nid: window\nname: Every persona\nduration: 1h\nnetworks:\n  lan: {cidr: 10.20.1.0/24}\nhosts:\n  tap: {network: lan, ip: 10.20.1.200, access: [socks5]}\n")
	for i, p := range service.Personas() {
		services := map[string]string{"linux": "tcp/22 ssh,tcp/80 http,tcp/25 smtp", "windows": "tcp/135 msrpc,tcp/445 smb,tcp/3389 rdp,tcp/80 http", "device": "tcp/23 telnet,tcp/80 http"}[p.Family]
		switch p.Name {
		case "plc":
			services = "tcp/502 modbus,tcp/80 http"
		case "printer":
			services = "tcp/80 http,tcp/21 ftp"
		}
		fmt.Fprintf(&b, "  h-%s: {network: lan, ip: 10.20.1.%d, persona: %s, services: [", strings.ReplaceAll(p.Name, ".", "-"), 10+i, p.Name)
		for s := range strings.SplitSeq(services, ",") {
			port, kind, _ := strings.Cut(s, " ")
			fmt.Fprintf(&b, "{port: %s, type: %s},", port, kind)
		}
		b.WriteString("]}\n")
		names = append(names, p.Name)
	}
	return b.String(), names
}

// TestScannerSeesThePersonas lets nmap look at a host of every persona through a
// TUN device: it must take each for a system of its family, by its stack (-O) and
// by its services (-sV).
func TestScannerSeesThePersonas(t *testing.T) {
	if testing.Short() {
		t.Skip("the scanner takes a minute")
	}
	nmap := sharedtest.Program(t, "nmap")
	if !sharedtest.Namespace(t, 0) {
		return
	}
	text, names := shopWindow()
	sc, err := scenario.Load("window", strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	l, err := exercise.Start(t.Context(), sc, exercise.LiveConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	at := netip.MustParsePrefix("10.20.1.250/24")
	port, err := l.Network().AttachPort(l.Network().Segments()[0], "tun", at.Addr())
	if err != nil {
		t.Fatal(err)
	}
	sharedtest.Plug(t, port, at)
	out, err := exec.CommandContext(t.Context(), nmap, "-O", "-sV", "--version-light", "-n", "-Pn", "--osscan-guess", "--max-os-tries", "2",
		"-p", "21,22,23,25,80,81,135,445,502,3389", fmt.Sprintf("10.20.1.10-%d", 9+len(names))).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	reports := strings.Split(string(out), "Nmap scan report for ")[1:]
	if len(reports) != len(names) {
		t.Fatalf("%d reports of %d hosts:\n%s", len(reports), len(names), out)
	}
	guess := regexp.MustCompile(`(?m)^(?:OS details|Aggressive OS guesses): (.*?)(?: \(\d+%\)|$)`)
	service := regexp.MustCompile(`(?m)^\d+/tcp +open .*$|^Service Info: .*$`)
	for i, r := range reports {
		want := familyOf(names[i])
		first := guess.FindStringSubmatch(r)
		if first == nil || !regexp.MustCompile(want[0]).MatchString(first[1]) {
			t.Errorf("%s has the stack of %q:\n%s", names[i], first, r)
			continue
		}
		services := strings.Join(service.FindAllString(r, -1), "\n")
		if !regexp.MustCompile(want[1]).MatchString(services) || want[2] != "" && regexp.MustCompile(want[2]).MatchString(services) {
			t.Errorf("%s has services of something else:\n%s", names[i], services)
		}
		t.Logf("%s: %s\n%s", names[i], first[1], services)
	}
}

// familyOf is what the scanner is to say of a persona's stack, what of its
// services, and what of these it must not say.
func familyOf(persona string) [3]string {
	switch {
	case strings.HasPrefix(persona, "windows"):
		return [3]string{"Windows", "(?s)Windows RPC.*OS: Windows", "Linux|xrdp|Samba"}
	case persona == "freebsd":
		return [3]string{"FreeBSD", "FreeBSD", "Linux|Debian"}
	case persona == "switch":
		return [3]string{"(?i)cisco|switch", "telnet", "Windows"}
	case persona == "printer":
		return [3]string{"(?i)printer", "print server", "Windows|Linux"}
	case persona == "plc":
		return [3]string{"(?i)control(ler)?( and automation)? system|programmable logic", "502/tcp", "Windows|Linux|lighttpd"}
	case strings.HasPrefix(persona, "ubuntu") || persona == "linux-6":
		return [3]string{"Linux", "(?s)Ubuntu.*OS: Linux", "Windows|Debian"}
	case strings.HasPrefix(persona, "debian") || persona == "linux-5":
		return [3]string{"Linux", "(?s)Debian.*OS: Linux", "Windows|Ubuntu"}
	}
	return [3]string{"Linux", "BusyBox telnetd", "Windows|Debian|Ubuntu"}
}
