package programs

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// TestTheMachineAgrees asks for the same fact of the running machine in two
// ways; both must answer the same. Each line prints two words.
func TestTheMachineAgrees(t *testing.T) {
	v := testHost(t, kernel.Limits{}).Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	for _, line := range []string{
		`echo "$(lsmod | tail -n +2 | wc -l) $(wc -l < /proc/modules)"`,
		`echo "$(lsmod | awk '$1=="ext4"{print $2}') $(awk '$1=="ext4"{print $2}' /proc/modules)"`,
		`echo "$(modinfo -F filename ext4) $(ls /lib/modules/$(uname -r)/kernel/fs/ext4/ext4.ko)"`,
		`echo "$(modinfo -F vermagic ext4 | cut -d' ' -f1) $(uname -r)"`,
		`modprobe dummy; echo "$(lsmod | grep -c ^dummy) $(grep -c ^dummy /proc/modules)"; rmmod dummy`,
		`echo "$(blkid -s UUID -o value /dev/sda1) $(ls -l /dev/disk/by-uuid | awk '/sda1$/{print $(NF-2)}')"`,
		`echo "$(lsblk -f | awk '/sda1/{print $4}') $(awk '$2=="/"{print $1}' /etc/fstab | cut -d= -f2)"`,
		`echo "$(lsblk -b | awk '/sda1/{print $4}') $(($(awk '$4=="sda1"{print $3}' /proc/partitions)*1024))"`,
		`echo "$(lsblk | awk '/sda5/{print $2}') $(awk '$4=="sda5"{print $1":"$2}' /proc/partitions)"`,
		`echo "$(stat -c %t:%T /dev/sda5) $(awk '$3=="sda5"{print $1":"$2}' /proc/diskstats)"`,
		`echo "$(swapon --show --noheadings | cut -d' ' -f1) $(awk 'NR==2{print $1}' /proc/swaps)"`,
		`echo "$(head -1 /proc/interrupts | wc -w) $(nproc)"`,
		`echo "$(awk '/^intr/{print $2}' /proc/stat | wc -l) 1"`,
		`echo "$(awk '/btime/{print $2}' /proc/stat) $(date -d "$(uptime -s)" +%s)"`,
		`echo "$(cat /proc/sys/kernel/random/boot_id | tr -d -) $(hostnamectl | awk '/Boot ID/{print $3}')"`,
		`sysctl -qw vm.swappiness=7; echo "$(sysctl -n vm.swappiness) $(cat /proc/sys/vm/swappiness)"`,
		`echo "$(sysctl -n net.ipv4.ip_local_port_range | tr '\t' -) $(tr '\t' - < /proc/sys/net/ipv4/ip_local_port_range)"`,
		`echo "$(awk '/^PPid/{print $2}' /proc/self/status) $(awk '{print $4}' /proc/self/stat)"`,
		`A=b sh -c 'tr "\0" "\n" < /proc/$$/environ | grep -c ^A=b$' | tr '\n' ' '; echo 1`,
		`echo "$(readlink /proc/self/ns/pid) $(readlink /proc/1/ns/pid)"`,
		`echo "$(ss -tn state established | grep -c 198.51.100.7:4000) $(grep -c ' 076433C6:0FA0 01 ' /proc/net/tcp)"`,
		`echo "$(netstat -tn | grep -c 198.51.100.7:4000) $(lsof -nP -i TCP:22 | grep -c '>198.51.100.7:4000 (ESTABLISHED)')"`,
		`echo "$(ss -tlnp | grep -o 'pid=[0-9]*' | head -1 | cut -d= -f2) $(pgrep -o sshd)"`,
		`echo "$(cat /proc/net/route | awk 'NR==2{print $1}') $(ip route | awk '/^default/{print $5}')"`,
		`echo "$(wc -l < /proc/self/mounts) $(mount | wc -l)"`,
		`echo "$(cat /proc/sys/kernel/hostname) $(hostname)"`,
	} {
		out, _ := run(t, v, line, "")
		if f := strings.Fields(out); len(f) != 2 || !alike(f[0], f[1]) {
			t.Errorf("%s\nanswers %q", line, out)
		}
	}
}

// alike is equal; stat tells the numbers of a device in hexadecimal.
func alike(a, b string) bool { return a == b }

// later is a clock that is ahead.
type later struct {
	clock.Clock
	by time.Duration
}

func (l *later) Now() time.Time { return l.Clock.Now().Add(l.by) }

// TestProcChanges looks twice, an hour apart: what counts has risen.
func TestProcChanges(t *testing.T) {
	p, err := persona.Generate("debian-server", 7, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	clk := &later{Clock: clock.System()}
	v := host.New(host.Config{Name: "files", Persona: p, Programs: All(), Clock: clk}).Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	total := func(file string) string {
		s, _ := run(t, v, `tr -s ' ,:\t' '\n' < `+file+` | grep -E '^[0-9]+$' | awk '{s+=$1} END{printf "%.0f", s}'`, "")
		return s
	}
	files := []string{"/proc/interrupts", "/proc/softirqs", "/proc/vmstat", "/proc/diskstats", "/proc/stat", "/proc/net/dev", "/proc/net/snmp", "/proc/net/netstat", "/proc/schedstat", "/proc/1/status", "/proc/uptime"}
	before := map[string]string{}
	for _, f := range files {
		before[f] = total(f)
	}
	clk.by = time.Hour
	for _, f := range files {
		after := total(f)
		if f == "/proc/uptime" {
			continue
		}
		if len(after) < len(before[f]) || len(after) == len(before[f]) && after <= before[f] {
			t.Errorf("%s: its numbers were %s and are %s an hour later", f, before[f], after)
		}
	}
	for _, f := range []string{"slabinfo", "buddyinfo", "zoneinfo", "meminfo", "loadavg"} {
		if s, st := run(t, v, "cat /proc/"+f, ""); st != 0 || s == "" {
			t.Errorf("/proc/%s: [%d] %q", f, st, s)
		}
	}
	user := p.Users[len(p.Users)-1].Name
	if s, _ := run(t, v, "su "+user+" -c 'cat /proc/slabinfo; cat /proc/1/environ | wc -c; echo 1 > /proc/sys/vm/swappiness; ls -l /proc/1/exe | cut -c1-10'", ""); !strings.Contains(s, "slabinfo: Permission denied") || !strings.Contains(s, "swappiness: Permission denied") {
		t.Errorf("%s may do what root may: %q", user, s)
	}
}
