package persona

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestRouterFactsAgree(t *testing.T) {
	machines := map[string]bool{}
	for seed := range uint64(60) {
		p, err := Generate("busybox-router", seed, now)
		if err != nil {
			t.Fatal(err)
		}
		machines[p.Kernel.Machine] = true
		elf := map[string][2]uint16{"mips": {2, 8}, "armv7l": {1, 40}}[p.Kernel.Machine]
		if uint16(p.CPU.Elf.Data) != elf[0] || p.CPU.Elf.Machine != elf[1] || p.CPU.Elf.Class != 1 {
			t.Errorf("%s with ELF %+v", p.Kernel.Machine, p.CPU.Elf)
		}
		if n := strings.Count(p.CPU.Info, "processor"); n != p.CPU.Cores || strings.ContainsAny(p.CPU.Info, "{}") {
			t.Errorf("%d cores, /proc/cpuinfo has %d:\n%s", p.CPU.Cores, n, p.CPU.Info)
		}
		if !strings.Contains(p.Kernel.Proc, p.Kernel.Release) || !strings.HasSuffix(p.Kernel.Proc, p.Kernel.Version) {
			t.Errorf("/proc/version %q against %q %q", p.Kernel.Proc, p.Kernel.Release, p.Kernel.Version)
		}
		sum, whole := int64(0), p.Disks[0].Bytes
		for _, part := range p.Disks[0].Parts {
			if part.Bytes <= 0 || part.Bytes%65536 != 0 {
				t.Errorf("partition %s of %d bytes", part.Label, part.Bytes)
			}
			if part.Label != "kernel" && part.Label != "rootfs" && part.Label != "rootfs_data" { // they lie in "firmware"
				sum += part.Bytes
			}
		}
		if sum != whole {
			t.Errorf("partitions of %d bytes on a flash of %d", sum, whole)
		}
		for _, n := range p.NICs {
			mac, err := net.ParseMAC(n.MAC)
			if err != nil || mac[0]&3 != 0 {
				t.Errorf("%s has MAC %s", n.Name, n.MAC)
				continue
			}
			want := net.IP{0xfe, 0x80, 0, 0, 0, 0, 0, 0, mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]}
			if !want.Equal(net.ParseIP(n.IPv6LL)) {
				t.Errorf("%s: %s does not follow from %s", n.Name, n.IPv6LL, n.MAC)
			}
		}
		pids := map[int]bool{}
		for _, q := range p.Procs {
			if pids[q.PID] {
				t.Errorf("pid %d stands twice", q.PID)
			}
			pids[q.PID] = true
		}
		for _, s := range p.Sockets {
			if !pids[s.PID] {
				t.Errorf("socket %s is held by nobody", s.Local)
			}
		}
	}
	if len(machines) != 2 {
		t.Errorf("machines drawn: %v", machines)
	}
}

func TestRoutersDiffer(t *testing.T) {
	seen := map[string]uint64{}
	for seed := range uint64(200) {
		p, err := Generate("busybox-router", seed, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range []string{p.NICs[0].MAC, p.MachineID, p.BusyBox.Serial, fmt.Sprint(p.NICs[2].IPv4, p.NICs[0].IPv4)} {
			if old, dup := seen[v]; dup {
				t.Errorf("seeds %d and %d share %q", old, seed, v)
			}
			seen[v] = seed
		}
	}
}

// The configuration tells the family by the first word of a template's name.
func TestNamesBeginWithTheFamily(t *testing.T) {
	for _, name := range Templates() {
		p, err := Generate(name, 1, now)
		if err != nil || !strings.HasPrefix(name, p.Family+"-") {
			t.Errorf("template %q is of family %q (%v)", name, p.Family, err)
		}
	}
}
