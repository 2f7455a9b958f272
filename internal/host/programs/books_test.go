package programs

import (
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// loginOn opens a session with a terminal, as sshd does.
func loginOn(t *testing.T, v *host.Visit, user, from, line string) {
	t.Helper()
	s, _, cancel := v.Open(t.Context(), host.Login{User: user, From: netip.MustParseAddrPort(from), To: netip.MustParseAddrPort("127.0.0.1:22"), Service: "ssh", Recorder: silent{}})
	s.Take(line)
	t.Cleanup(func() { cancel(nil) })
}

// TestBooksOfLogins holds last, lastb, who and utmpdump against the real ones,
// which read the fake host's own files.
func TestBooksOfLogins(t *testing.T) {
	h := testHost(t, kernel.Limits{})
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	v.Refused("nosuch", netip.MustParseAddrPort("198.51.100.7:3999"), "ssh")
	v.Refused("root", netip.MustParseAddrPort("198.51.100.7:4000"), "ssh")
	loginOn(t, v, "root", "198.51.100.7:4001", "pts/0")
	dir := t.TempDir()
	for _, f := range []string{"/var/log/wtmp", "/var/log/btmp", "/run/utmp"} {
		data, err := v.M.FS.ReadFile(vfs.Root(), f, 1<<20)
		if err != nil || len(data) == 0 || len(data)%384 != 0 {
			t.Fatalf("%s holds %d bytes, %v", f, len(data), err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := v.M.FS.WriteFile(vfs.Root(), "/tmp/"+filepath.Base(f), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range []string{"last -f wtmp", "last -x -f wtmp", "last -n 3 -f wtmp", "last -3 -f wtmp root", "last -F -f wtmp", "last -R -f wtmp", "last -w -f wtmp reboot", "lastb -f btmp | cut -c1-55", "last -f wtmp pts/0 | head -2", "who utmp", "who -b utmp", "utmpdump wtmp"} {
		t.Run(line, func(t *testing.T) {
			prog, _, _ := strings.Cut(line, " ")
			if _, err := exec.LookPath(prog); err != nil {
				t.Skip(prog, " is not on this machine")
			}
			onDebian(t)
			c := exec.Command("bash", "-c", line)
			c.Dir, c.Env = dir, []string{"PATH=" + os.Getenv("PATH"), "TZ=UTC", "LANG=C.UTF-8"}
			want, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			s, _ := run(t, v, "cd /tmp; "+line+" 2>/dev/null", "")
			got := strings.Split(s, "\n")
			// The process of the session that lasts is none of the real machine.
			for i, w := range strings.Split(strings.ReplaceAll(string(want), "   gone - no logout", "  still logged in"), "\n") {
				if i >= len(got) || got[i] != w {
					t.Errorf("line %d of %d:\nfake %q\nreal %q", i, len(got), got[min(i, len(got)-1)], w)
				}
			}
		})
	}
}

// TestTheLogKnowsTheVisitor looks for the visitor's own doing in the logs, and
// for the host's going on; what he does to the logs stays.
func TestTheLogKnowsTheVisitor(t *testing.T) {
	h := testHost(t, kernel.Limits{})
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	v.Refused("guest99", netip.MustParseAddrPort("198.51.100.7:3999"), "ssh")
	loginOn(t, v, "root", "198.51.100.7:4001", "pts/0")
	for _, tt := range [][2]string{
		{"grep -c 'Accepted password for root from 198.51.100.7 port 4001 ssh2' /var/log/auth.log", "1"},
		{"journalctl -u ssh | grep -c 'port 4001'", "1"},
		{"grep -c 'Invalid user guest99 from 198.51.100.7 port 3999' /var/log/auth.log", "1"},
		{"lastb | grep -c ^guest99", "1"},
		{"last -1 | cut -c1-38", "root     pts/0        198.51.100.7    \n\nwtmp begins " + h.Persona().Boot.AddDate(0, -7, -3).Format("Mon Jan _2 15:04") + ":00 " + h.Persona().Boot.AddDate(0, -7, -3).Format("2006")},
		{"who | cut -d' ' -f1; users; uptime | grep -o '1 user'; w -h | grep -c 'root     pts/0    198.51.100.7'", "root\nroot\n1 user\n1"},
		{"lastlog -u root | tail -1 | cut -c1-39", "root             pts/0    198.51.100.7"},
		{"[ $(stat -c %s /var/log/lastlog) -ge 292 ] && [ $(($(stat -c %s /var/log/lastlog) % 292)) = 0 ] && echo right", "right"},
		{"[ $(stat -c %s /var/log/wtmp) = $(wc -c < /var/log/wtmp) ] && echo right", "right"},
		{"a=$(stat -c %s /var/log/auth.log); [ $a -gt 0 ] && [ $a -le $(wc -c < /var/log/auth.log) ] && echo right", "right"},
		{"zcat /var/log/auth.log.2.gz | grep -c CRON | grep -vc '^0$'", "1"},
		{"logger -t probe hello; tail -5 /var/log/syslog | grep -c 'probe: hello'; journalctl -t probe -o cat", "1\nhello"},
		{"[ \"$(grep -c CRON.*CMD /var/log/syslog)\" = \"$(journalctl -t CRON --since \"$(head -1 /var/log/cron.log | cut -c1-19 | tr T ' ')\" | grep -c CMD)\" ] && echo same", "same"},
	} {
		if s, _ := run(t, v, tt[0], ""); strings.TrimSpace(s) != tt[1] {
			t.Errorf("%s\ngives %q\nwant  %q", tt[0], s, tt[1])
		}
	}
	for _, tt := range [][2]string{
		{"echo > /var/log/auth.log; wc -l < /var/log/auth.log", "1"},
		{"> /var/log/wtmp; last | grep -c pts", "0"},
		{"rm -f /var/log/syslog; ls /var/log/syslog 2>&1", "ls: cannot access '/var/log/syslog': No such file or directory"},
	} {
		if s, _ := run(t, v, tt[0], ""); strings.TrimSpace(s) != tt[1] {
			t.Errorf("%s\ngives %q\nwant  %q", tt[0], s, tt[1])
		}
	}
	v.Refused("late77", netip.MustParseAddrPort("198.51.100.7:4002"), "ssh")
	if s, _ := run(t, v, "sleep 0.1; grep -c 'Failed password for invalid user late77' /var/log/auth.log", ""); s != "1\n" {
		t.Errorf("after he emptied it, the log says %q of what he did later", s)
	}
}
