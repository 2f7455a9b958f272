package programs

import (
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// TestPackagesAgree asks the package manager in its several ways, and the file
// system, about the same packages.
func TestPackagesAgree(t *testing.T) {
	h := testHost(t, kernel.Limits{})
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	out := func(line string) string {
		t.Helper()
		s, _ := run(t, v, line, "")
		return strings.TrimSpace(s)
	}
	n, err := strconv.Atoi(out("dpkg -l | grep -c ^ii"))
	if err != nil || n < 290 || n > 450 {
		t.Errorf("%d packages are installed, %v", n, err)
	}
	for _, line := range []string{"dpkg-query -W | wc -l", "grep -c ^Package: /var/lib/dpkg/status", "ls /var/lib/dpkg/info/*.list | wc -l", "apt list --installed 2>/dev/null | grep -c installed", "dpkg --get-selections | wc -l"} {
		if got := out(line); got != strconv.Itoa(n) {
			t.Errorf("%s gives %s, dpkg -l %d", line, got, n)
		}
	}
	for line, want := range map[string]string{
		"for k in $(dpkg-query -W -f '${Package} '); do [ -d /usr/share/doc/$k ] || echo no doc $k; done; dpkg -s $(dpkg-query -W -f '${Package} ') | grep -c ^Package:": strconv.Itoa(n),
		"dpkg -L coreutils bash libc6 openssh-server systemd kmod | grep . | while read f; do [ -e \"$f\" ] || [ -h \"$f\" ] || echo missing \"$f\"; done":               "",
		"cmp <(dpkg -L libssl3:amd64) /var/lib/dpkg/info/libssl3:amd64.list && dpkg -s cron | grep -q \"^Version: $(dpkg-query -W -f '${Version}' cron)$\" && echo same": "same",
		"dpkg -S /bin/ls /usr/sbin/sshd libc.so.6": "coreutils: /bin/ls\nopenssh-server: /usr/sbin/sshd\nlibc6:amd64: /lib/x86_64-linux-gnu/libc.so.6",
		"v=$(sshd -V 2>&1; ssh -V 2>&1); d=$(dpkg-query -W -f '${Version}' openssh-client); case $v in *${d#1:9.2p1-}*) echo same; esac": "same",
		"dpkg -S /usr/bin/ls; echo $?": "dpkg-query: no path found matching pattern /usr/bin/ls\n1",
		"ls -d /lib/modules/*":         "/lib/modules/" + h.Persona().Kernel.Release,
		"cd /lib/modules/$(uname -r) && find kernel -name '*.ko' | sort > /tmp/a; cut -d: -f1 modules.dep | sort | cmp - /tmp/a && sort modules.order | cmp - /tmp/a && echo same": "same",
	} {
		if got := out(line); got != want {
			t.Errorf("%s\ngives %.600q\nwant  %q", line, got, want)
		}
	}
	held := "\n" + out("for f in /var/lib/dpkg/info/*.list; do cat $f; done")
	for p := range strings.FieldsSeq(out("find /usr/bin/ /usr/sbin/ -type f")) {
		if !strings.Contains(held, "\n"+p+"\n") && !strings.Contains(held, "\n"+strings.TrimPrefix(p, "/usr")+"\n") {
			t.Errorf("no package holds %s", p)
		}
	}
}
