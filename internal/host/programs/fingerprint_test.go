package programs

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// shellProbes are the rows of layer shell of the table of fingerprints, with
// what a Debian 12 answers.
var shellProbes = []struct {
	row    int
	line   string
	want   string // expression for both streams
	status int
}{
	{32, "notacommand", `^bash: line 1: notacommand: command not found\n$`, 127},
	{33, "cat /nonexist || echo F", `^cat: /nonexist: No such file or directory\nF\n$`, 0},
	{34, "echo $((3*7)) ; echo {1..3} ; echo $$", `^21\n1 2 3\n\d+\n$`, 0},
	{35, "cat <<E\na\nE\ntrue & wait; type cd; command -v ls", `^a\ncd is a shell builtin\n/usr/bin/ls\n$`, 0},
	{36, "ls -la /", `^total \d+\ndrwxr-xr-x +\d\d root root +4096 [A-Z][a-z]{2} [ \d]\d +(\d\d:\d\d|\d{4}) \.\n`, 0},
	{37, "ls /home; cut -d: -f1 /etc/passwd", `^[a-z]`, 0},
	{38, "test $(hostname) = $(cat /etc/hostname) && test $(hostname) = $(uname -n); echo $?", `^0\n$`, 0},
	{39, "free -m | awk 'NR==2{print ($2-n<2)}' n=$(awk '/MemTotal/{print int($2/1024)}' /proc/meminfo); test $(date -d \"$(uptime -s)\" +%s) -le $(( $(date +%s) - $(cut -d. -f1 /proc/uptime) + 1 )); echo $?; w | head -1 | grep -c 'load average'", `^1\n0\n1\n$`, 0},
	{40, "id -u", `^0\n$`, 0},
	{41, "head -8 /etc/passwd | wc -l; tail -1 /etc/passwd | wc -l", `^8\n1\n$`, 0},
	{42, "df -h / | tail -1; mount | head -1; dmesg | head -1; stat -c %n /etc; md5sum /dev/null; echo a | sed s/a/b/ | tr b c | sort | od -An -c; seq 2; tty", `^/dev/\S+ +\S+G .* /\nsysfs on /sys .*\n\[    0\.000000\] Linux version .*\n/etc\nd41d8cd98f00b204e9800998ecf8427e  /dev/null\n   c  \\n\n1\n2\nnot a tty\n$`, 1},
	{43, "apt-get install -y nosuchpackage", `E: Unable to locate package nosuchpackage\n$`, 100},
	{44, "sudo -l", `User root may run the following commands on \S+:\n    \(ALL : ALL\) ALL\n$`, 0},
	{45, "gcc -v", `^bash: line 1: gcc: command not found\n$`, 127},
	{46, "lspci | grep VGA", `VGA compatible controller: `, 0},
	{47, "test $(ifconfig ens18 | awk '/ether/{print $2}') = $(cat /sys/class/net/ens18/address); echo $?; ifconfig ens18 | grep -c 'inet6 fe80:.*ff:fe'", `^0\n1\n$`, 0},
	{48, "cat /proc/uptime; grep -c . /etc/os-release; head -1 /proc/mounts", `^\d+\.\d\d \d+\.\d\d\n9\nsysfs /sys sysfs `, 0},
	{49, "getconf LONG_BIT", `^64\n$`, 0},
	{50, "/bin/busybox ECCHI; echo $?", `^ECCHI: applet not found\n127\n$`, 0},
	{51, "echo x > /sys/y; echo $?", `^bash: line 1: /sys/y: Permission denied\n1\n$`, 0},
	{52, "vi /tmp/x </dev/null", `Vim: Warning: `, 1},
	{53, "cat /tmp/before", `^kept\n$`, 0},
}

func TestFingerprintRows(t *testing.T) {
	h := testHost(t, kernel.Limits{})
	him := netip.MustParseAddr("198.51.100.7")
	run(t, h.Visit(t.Context(), him), "echo kept > /tmp/before", "")
	v := h.Visit(t.Context(), him)
	rows := map[int]bool{}
	for _, p := range shellProbes {
		rows[p.row] = true
		if out, status := run(t, v, p.line, ""); status != p.status || !regexp.MustCompile(p.want).MatchString(out) {
			t.Errorf("row %d, %s: %q, %d, want %s, %d", p.row, p.line, out, status, p.want, p.status)
		}
	}
	data, err := os.ReadFile(sharedtest.Dir(t) + "/decoys/fingerprint_probes.tsv")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		var n int
		f := strings.Split(line, "\t")
		if _, err := fmt.Sscan(f[0], &n); err == nil && len(f) > 2 && f[1] == "shell" && !rows[n] {
			t.Errorf("row %d (%s) has no test", n, f[2])
		}
	}
}
