package programs

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func ubuntuHost(t *testing.T, template string) *host.Host {
	t.Helper()
	p, err := persona.Generate(template, 11, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return host.New(host.Config{Name: "app", Persona: p, Programs: All(), Clock: clock.System(), Net: netcmd.World{Downloads: "serve"}})
}

func TestUbuntu(t *testing.T) {
	for template, facts := range map[string][][2]string{
		"ubuntu-22.04-server": {
			{"uname -a", `^Linux \S+ 5\.15\.0-\d+-generic #\d+-Ubuntu SMP .* UTC 202\d x86_64 x86_64 x86_64 GNU/Linux\n$`},
			{". /etc/os-release; echo $ID $VERSION_ID $UBUNTU_CODENAME $ID_LIKE", `^ubuntu 22\.04 jammy debian\n$`},
			{"cat /etc/debian_version; cat /etc/issue | head -1", `^bookworm/sid\nUbuntu 22\.04\.\d LTS \\n \\l\n$`},
			{"echo $BASH_VERSION", `^5\.1\.16\(1\)-release\n$`},
			{"ls --version | head -1; sed --version | head -1", `^ls \(GNU coreutils\) 8\.32\nsed \(GNU sed\) 4\.8\n$`},
			{"ssh -V", `^OpenSSH_8\.9p1 Ubuntu-3ubuntu0\.\d+, OpenSSL 3\.0\.2 15 Mar 2022\n$`},
			{"readlink /usr/bin/python3; grep -c gnats /etc/passwd", `^python3\.10\n1\n$`},
		},
		"ubuntu-24.04-server": {
			{"uname -sr", `^Linux 6\.8\.0-\d+-generic\n$`},
			{"cat /etc/lsb-release", `^DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=24\.04\nDISTRIB_CODENAME=noble\nDISTRIB_DESCRIPTION="Ubuntu 24\.04\.\d LTS"\n$`},
			{"echo $BASH_VERSION", `^5\.2\.21\(1\)-release\n$`},
			{"ssh -V", `^OpenSSH_9\.6p1 Ubuntu-3ubuntu13\.\d+, OpenSSL 3\.0\.13 30 Jan 2024\n$`},
			{"cat /etc/netplan/*.yaml | grep -c addresses", `^2\n$`},
			{"readlink /etc/resolv.conf; grep nameserver /etc/resolv.conf", `stub-resolv\.conf\nnameserver 127\.0\.0\.53\n$`},
			{"cat /proc/swaps | tail -1", `^/swap\.img +file`},
			{"df / | tail -1", `^/dev/sda2 `},
			{"grep ^sudo: /etc/group", `^sudo:x:27:\w+\n$`},
			{"echo $PATH", `/usr/games:/usr/local/games:/snap/bin\n$`},
		},
	} {
		t.Run(template, func(t *testing.T) {
			h := ubuntuHost(t, template)
			v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
			for _, f := range facts {
				if out, _ := run(t, v, f[0], ""); !regexp.MustCompile(f[1]).MatchString(out) {
					t.Errorf("%s\ngives %q\nwant  %s", f[0], out, f[1])
				}
			}
			s, _, cancel := v.Open(t.Context(), host.Login{User: "root", Service: "ssh", Recorder: silent{}})
			defer cancel(nil)
			motd := h.Greeting(s)
			for _, part := range []string{"Welcome to Ubuntu ", "System information as of ", "Usage of /:", "updates can be applied immediately", "Last login: "} {
				if !strings.Contains(motd, part) {
					t.Errorf("the greeting lacks %q:\n%s", part, motd)
				}
			}
		})
	}
}
