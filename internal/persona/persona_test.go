package persona

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var now = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

func TestFactsAgree(t *testing.T) {
	for _, name := range Templates() {
		for seed := range uint64(50) {
			p, err := Generate(name, seed, now)
			if err != nil {
				t.Fatal(err)
			}
			if p.Family == "busybox" {
				continue // TestRouter
			}
			pkg, ok := p.Package("openssh-server")
			want := "SSH-2.0-OpenSSH_" + strings.Replace(strings.TrimPrefix(pkg.Version, "1:"), "-", " "+strings.ToUpper(p.OS.ID[:1])+p.OS.ID[1:]+"-", 1)
			if !ok || p.SSH.Banner != want {
				t.Errorf("banner %q, package %q", p.SSH.Banner, pkg.Version)
			}
			if _, ok := p.Package("linux-image-" + p.Kernel.Release); !ok || !strings.Contains(p.Kernel.Proc, p.Kernel.Release) {
				t.Errorf("kernel %q is not installed", p.Kernel.Release)
			}
			mac, err := net.ParseMAC(p.NICs[0].MAC)
			if err != nil || mac[0]&1 != 0 {
				t.Errorf("MAC %v: %v", p.NICs[0].MAC, err)
			}
			ip := net.ParseIP(p.NICs[0].IPv4)
			if ip == nil || !ip.IsPrivate() || net.ParseIP(p.NICs[0].IPv6LL) == nil {
				t.Errorf("addresses %+v", p.NICs[0])
			}
			if !p.Boot.Before(p.LastLogin.At) || !p.LastLogin.At.Before(now) {
				t.Errorf("boot %v, last login %v", p.Boot, p.LastLogin.At)
			}
			for _, u := range p.Users {
				if strings.Contains("phil richard svr04", u.Name) {
					t.Errorf("user %s is on the lists of honeypots", u.Name)
				}
			}
		}
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := map[string]uint64{}
	for seed := range uint64(200) {
		p, err := Generate("debian-server", seed, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{p.NICs[0].MAC, p.MachineID, p.Kernel.Cmdline} {
			if old, dup := seen[v]; dup {
				t.Errorf("seeds %d and %d share %q", old, seed, v)
			}
			seen[v] = seed
		}
	}
}

func TestSameSeedSamePersona(t *testing.T) {
	a, _ := Generate("debian-server", 42, now)
	b, _ := Generate("debian-server", 42, now)
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
}
