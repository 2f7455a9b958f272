package host

import (
	"fmt"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// ubuntuMOTD is what Ubuntu's update-motd and landscape-sysinfo print at login.
func ubuntuMOTD(m *kernel.Machine, now time.Time) string {
	p := m.Persona
	var b strings.Builder
	fmt.Fprintf(&b, "Welcome to %s (GNU/Linux %s %s)\n\n * Documentation:  https://help.ubuntu.com\n * Management:     https://landscape.canonical.com\n * Support:        https://ubuntu.com/pro\n\n", p.OS.Pretty, p.Kernel.Release, p.Kernel.Machine)
	lead := "  "
	if p.OS.VersionID != "22.04" {
		lead = " "
	}
	fmt.Fprintf(&b, "%sSystem information as of %s\n\n", lead, now.UTC().Format("Mon Jan _2 03:04:05 PM MST 2006"))
	mem := m.MemInfo(now)
	root := p.Mounts[0]
	for _, k := range p.Mounts {
		if k.Target == "/" {
			root = k
		}
	}
	n := p.NICs[0]
	left := []string{
		fmt.Sprintf("System load:  %v", fmt.Sprintf("%.2f", m.Load(now)[0])), fmt.Sprintf("Usage of /:   %.1f%% of %.2fGB", float64(root.UsedKB)*100/float64(root.SizeKB), float64(root.SizeKB)/(1<<20)),
		fmt.Sprintf("Memory usage: %d%%", (mem.Total-mem.Available)*100/mem.Total), fmt.Sprintf("Swap usage:   %d%%", 0),
	}
	right := []string{fmt.Sprintf("Processes:             %d", len(m.Table.List())), "Users logged in:       0", "IPv4 address for " + n.Name + ": " + n.IPv4, ""}
	width := 0
	for _, l := range left {
		width = max(width, len(l))
	}
	for i, l := range left {
		b.WriteString(strings.TrimRight(fmt.Sprintf("  %-*s   %s", width, l, right[i]), " ") + "\n")
	}
	updates := p.Seed%40 + 3
	fmt.Fprintf(&b, "\nExpanded Security Maintenance for Applications is not enabled.\n\n%d updates can be applied immediately.\n", updates)
	if s := updates / 3; s > 0 {
		fmt.Fprintf(&b, "%d of these updates are standard security updates.\n", s)
	}
	b.WriteString("To see these additional updates run: apt list --upgradable\n\nEnable ESM Apps to receive additional future security updates.\nSee https://ubuntu.com/esm or run: sudo pro status\n\n\n")
	return b.String()
}
