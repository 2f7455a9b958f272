package programs

import (
	"net/netip"
	"regexp"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// TestNothingContradicts looks at one fact from several sides, as an intruder
// who doubts the host does.
func TestNothingContradicts(t *testing.T) {
	h := testHost(t, kernel.Limits{})
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	for _, tt := range []struct{ line, want string }{
		{"ps -o comm= -p $PPID", `^sshd\n$`},
		{"cat /proc/$PPID/comm; ps aux | grep '[s]shd: root@'", `^sshd\nroot +\d+ .* sshd: root@notty\n$`},
		{"cat /proc/1/cgroup; cat /proc/self/cgroup", `^0::/init\.scope\n0::/user\.slice/user-0\.slice/session-\d+\.scope\n$`},
		{`test "$(cut -d/ -f4 /proc/self/cgroup)" = "session-$XDG_SESSION_ID.scope" && echo same`, `^same\n$`},
		{"readlink /proc/$$/exe; cd /tmp; readlink /proc/self/cwd", `^/usr/bin/bash\n/tmp\n$`},
		{"readlink /proc/$$/fd/0 | tr -d 0-9", `^socket:\[\]\n$`},
		{"cat /sys/class/net/ens18/address", `^(52:54:00|bc:24:11):`}, // of QEMU, as the disk and the firmware
		{"ulimit -a | head -2", `^real-time non-blocking time  \(microseconds, -R\) unlimited\ncore file size              \(blocks, -c\) 0\n$`},
		{"uptime; w | head -1; top -bn1 | head -1", `^( \d|top -).* 0 user,(.*\n.* 0 user,){2}.*\n$`}, // procps 4.0.2
		{"ssh-keygen -lf /etc/passwd; head -1 /etc/passwd", `^/etc/passwd is not a public key file\.\r?\nroot:x:0:0:`},
		{"echo ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFVjMPMbQqJtcQ5FYFLIxdy7vJ5C7bNGV3hqHvdnTzxE a@b > /tmp/k; ssh-keygen -lf /tmp/k", `^256 SHA256:[A-Za-z0-9+/]{43} a@b \(ED25519\)\n$`},
		{"source", "^bash: line 1: source: filename argument required\nsource: usage: source filename \\[arguments\\]\n$"},
		{"time -p true", `^real \d\.\d\d\nuser 0\.00\nsys 0\.00\n$`},
		{"grep -rn root: /etc/passwd", `^1:root:`},
		{"grep -rn root: /etc/passwd /etc/hosts", `^/etc/passwd:1:root:`},
		{"cat <<X; echo done\nbody", "^bash: line 1: warning: here-document at line 1 delimited by end-of-file \\(wanted `X'\\)\nbody\ndone\n$"},
		{"sh -c 'cat <<X'", `^$`},
		{"curl -s http://127.0.0.1:1/; echo $?", `^7\n$`},
		{"ssh -p 2200 a@127.0.0.2 id", `^ssh: connect to host 127\.0\.0\.2 port 2200: Connection refused\r\n$`},
		{"ssh -o BatchMode=yes nosuch.invalid id", `^ssh: Could not resolve hostname nosuch\.invalid: Name or service not known\r\n$`},
	} {
		if out, _ := run(t, v, tt.line, ""); !regexp.MustCompile(tt.want).MatchString(out) {
			t.Errorf("%s: %q, want %s", tt.line, out, tt.want)
		}
	}
}

// TestSockets opens what bash calls /dev/tcp: it is told, and it fails as in bash.
func TestSockets(t *testing.T) {
	h := testHost(t, kernel.Limits{})
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	for _, tt := range []struct{ line, want string }{
		{"echo x > /dev/tcp/127.0.0.1/1; echo $?", "bash: connect: Connection refused\nbash: line 1: /dev/tcp/127.0.0.1/1: Connection refused\n1\n"},
		{"exec 3<>/dev/tcp/nosuch.invalid/80", "bash: line 1: nosuch.invalid: Name or service not known\nbash: line 1: /dev/tcp/nosuch.invalid/80: Invalid argument\n"},
		{"cat < /dev/tcp/127.0.0.1/xx", "bash: line 1: xx: Servname not supported for ai_socktype\nbash: line 1: /dev/tcp/127.0.0.1/xx: Invalid argument\n"},
		{"echo x > /dev/udp/127.0.0.1/1; echo $?", "0\n"},
		{"cat < /dev/tcp/127.0.0.1", "bash: line 1: /dev/tcp/127.0.0.1: No such file or directory\n"},
		{"sh -c 'echo x > /dev/tcp/127.0.0.1/1'", "sh: 1: cannot create /dev/tcp/127.0.0.1/1: Directory nonexistent\n"},
	} {
		if out, _ := run(t, v, tt.line, ""); out != tt.want {
			t.Errorf("%s: %q, want %q", tt.line, out, tt.want)
		}
	}
}

// TestBytesThatAreNoUTF8 stay what they are, wherever they stand in a line.
func TestBytesThatAreNoUTF8(t *testing.T) {
	h := testHost(t, kernel.Limits{})
	v := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	for _, tt := range []struct{ line, want string }{
		{"echo a\x9bb", "a\x9bb\n"},
		{"echo '\xff' \"\xfe\" $'\xfd\\n'", "\xff \xfe \xfd\n\n"},
		{"\xe4x", "bash: line 1: $'\\344x': command not found\n"},
		{"$'a\\t\\e\\001b\\\\\\'é'", "bash: line 1: $'a\\t\\E\\001b\\\\\\'é': command not found\n"},
		{"printf '%q ' 'a b' \xe9 'é'", "a\\ b $'\\351' é "},
		{"cat <<E\n\x7fELF\x80\xff\nE", "\x7fELF\x80\xff\n"},
		{"x=\xe9; echo ${#x} $x; case $x in \xe9) echo y;; esac", "1 \xe9\ny\n"},
		{"echo \xc3\xa9\xe9", "\xc3\xa9\xe9\n"},
		{"sh -c 'echo \xe9'", "\xe9\n"},
		{"echo \xe9 > /tmp/n\xe9; cat /tmp/n?", "\xe9\n"},
		{"echo $(echo \xe9) `echo \xe8`", "\xe9 \xe8\n"},
	} {
		if out, _ := run(t, v, tt.line, ""); out != tt.want {
			t.Errorf("%q: %q, want %q", tt.line, out, tt.want)
		}
	}
}
