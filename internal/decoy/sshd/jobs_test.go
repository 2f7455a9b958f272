package sshd

import (
	"net/netip"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/host"
)

// script is what a visitor types, and what comes before the next prompt: want
// is a regular expression for all of it but the echo of the line. keys are
// typed once program is what runs in the foreground, or a prompt of its own
// was written.
type script []struct{ line, program, keys, want string }

// run plays a script.
func (s script) run(t *testing.T, r *rig, k *terminal) {
	t.Helper()
	for _, step := range s {
		k.typed(step.line + "\r")
		k.until("\x1b[?2004l\r")
		got := ""
		if prompt, ok := strings.CutPrefix(step.program, "?"); ok {
			got = k.until(prompt)
		} else if step.program != "" {
			r.waitProgram(t, step.program)
		}
		k.typed(step.keys)
		got += k.until(":~# ")
		got = strings.ReplaceAll(got[:strings.LastIndex(got, "\x1b[?2004h")], "\r", "")
		if !regexp.MustCompile("^(?s:" + step.want + ")$").MatchString(got) {
			t.Fatalf("%q, %q: %.2000q, want %q", step.line, step.keys, got, step.want)
		}
	}
}

// waitProgram waits until a visitor's program runs that was called like this
// and is not stopped.
func (r *rig) waitProgram(t *testing.T, args string) {
	t.Helper()
	v := r.host.Visit(t.Context(), netip.MustParseAddr("127.0.0.1"))
	defer v.Close()
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		for _, e := range v.M.Table.List() {
			if e.Live && strings.Join(e.Args, " ") == args && !strings.HasPrefix(e.State, "T") {
				return
			}
		}
	}
	t.Fatalf("%q does not run", args)
}

// patient gives the host a clock that sleeps.
func patient(_ *Config, _ *decoy.Limits, h *host.Config) { h.Clock = clock.System() }

// TestJobControl has the texts of bash 5.2 on a terminal, as it wrote them.
func TestJobControl(t *testing.T) {
	for name, s := range map[string]script{
		"stopped and running": {
			{"sleep 100", "sleep 100", "\x1a", `\^Z\n\[1\]\+  Stopped                 sleep 100\n`},
			{"jobs", "", "", `\[1\]\+  Stopped                 sleep 100\n`},
			{"jobs -l", "", "", `\[1\]\+  \d+ Stopped                 sleep 100\n`},
			{"ps -o stat,args | grep '[s]leep 100'", "", "", `T\S* +sleep 100\n`},
			{"bg", "", "", `\[1\]\+ sleep 100 &\n`},
			{"jobs", "", "", `\[1\]\+  Running                 sleep 100 &\n`},
			{"sleep 200 &", "", "", `\[2\] \d+\n`},
			{"jobs", "", "", `\[1\]-  Running                 sleep 100 &\n\[2\]\+  Running                 sleep 200 &\n`},
			{"sleep 300", "sleep 300", "\x1a", `\^Z\n\[3\]\+  Stopped                 sleep 300\n`},
			{"jobs", "", "", `\[1\]   Running                 sleep 100 &\n\[2\]-  Running                 sleep 200 &\n\[3\]\+  Stopped                 sleep 300\n`},
			{"kill -STOP %2", "", "", `\n\[2\]-  Stopped                 sleep 200\n`},
			{"fg %2", "sleep 200", "\x1a", `sleep 200\n\^Z\n\[2\]\+  Stopped                 sleep 200\n`},
			{"jobs", "", "", `\[1\]   Running                 sleep 100 &\n\[2\]\+  Stopped                 sleep 200\n\[3\]-  Stopped                 sleep 300\n`},
			{"kill %1; wait %1", "", "", `\[1\]   Terminated              sleep 100\n`},
			{"jobs -p | wc -l", "", "", `0\n`}, // in a subshell there are none
			{"jobs -s %3; fg %9; bg %?200; bg %2", "", "", `\[3\]-  Stopped                 sleep 300\n-bash: fg: %9: no such job\n\[2\]\+ sleep 200 &\n-bash: bg: job 2 already in background\n`},
			{"disown %2; fg", "sleep 300", "\x03", `sleep 300\n\^C\n`},
			{"jobs; fg; bg", "", "", `-bash: fg: current: no such job\n-bash: bg: current: no such job\n`},
		},
		"lists": {
			{"sleep 100; echo hi", "sleep 100", "\x1a", `\^Z\n\[1\]\+  Stopped                 sleep 100\nhi\n`},
			{"sleep 50 && echo no", "sleep 50", "\x1a", `\^Z\n\[2\]\+  Stopped                 sleep 50\n`},
			{"while true; do sleep 30; echo loop; done", "sleep 30", "\x1a", `\^Z\n\[3\]\+  Stopped                 sleep 30\n`},
			{"echo $?", "", "", `148\n`},
			{"(sleep 60; echo x)", "sleep 60", "\x1a", `\^Z\n\[4\]\+  Stopped                 \( sleep 60; echo x \)\n`},
			{"sleep 60 | cat >/dev/null", "sleep 60", "\x1a", `\^Z\n\[5\]\+  Stopped                 sleep 60 \| cat > /dev/null\n`},
			{"kill -9 %5; kill -9 %4; sleep 0.3", "", "", `\[4\]-  Killed                  \( sleep 60; echo x \)\n\[5\]\+  Killed                  sleep 60 \| cat > /dev/null\n`},
			{"sleep 70 | cat &", "", "", `\[4\] \d+\n`},
			{"kill $!; wait %4", "", "", `\[4\]   Terminated              sleep 70 \| cat\n`},
			{"f() { sleep 40; echo after; }; f", "sleep 40", "\x1a", `\^Z\n\[4\]\+  Stopped                 sleep 40\nafter\n`},
			{"exit", "", "", `logout\nThere are stopped jobs.\n`},
		},
		"the end of what runs beside": {
			{"sleep 0.1 &", "", "", `\[1\] \d+\n`},
			{"sleep 0.6", "", "", `\[1\]\+  Done                    sleep 0.1\n`},
			{"sh -c \"exit 3\" &", "", "", `\[1\] \d+\n(\[1\]\+  Exit 3                  sh -c "exit 3"\n)?`},
			{"sleep 0.3", "", "", `(\[1\]\+  Exit 3                  sh -c "exit 3"\n)?`},
		},
		"who has the terminal": {
			{"cat &", "", "", `\[1\] \d+\n(\n\[1\]\+  Stopped                 cat\n)?`},
			{"sleep 0.3", "", "", `(\n\[1\]\+  Stopped                 cat\n)?`},
			{"jobs -l", "", "", `\[1\]\+  \d+ Stopped \(tty input\)     cat\n`},
			{"fg", "cat", "abc\r\x04", `cat\nabc\nabc\n`},
			{"read -p 'ask> ' x", "?ask> ", "\x1aabc\r", `ask> \^Zabc\n`},
			{"echo $x", "", "", `abc\n`},
		},
		"signals": {
			{"sleep 30 & kill -STOP %1; jobs", "", "", `\[1\] \d+\n\[1\]\+  Stopped                 sleep 30\n`},
			{"kill -CONT %1; jobs; kill %1; wait %1", "", "", `\[1\]\+  Running                 sleep 30 &\n\[1\]\+  Terminated              sleep 30\n`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, patient)
			k := newTerminal(t, r.client(t))
			k.until(":~# ")
			s.run(t, r, k)
		})
	}
}

// TestSuspendedScreens stops programs that have the whole screen.
func TestSuspendedScreens(t *testing.T) {
	k := newTerminal(t, newRig(t, patient).client(t))
	prompt := func() string { t.Helper(); return k.until(":~# ") }
	prompt()
	k.typed("vi /tmp/v\r")
	k.until("new file")
	k.typed("ikept text\x1b\x1a")
	k.until("[1]+  Stopped                 vi /tmp/v\r\n")
	prompt()
	k.typed("stty -a | grep -c ' echo '; ls /tmp/v\r") // the shell has its own settings again
	if got := prompt(); !strings.Contains(got, "\r1\r\n") || !strings.Contains(got, "No such file") {
		t.Errorf("while vi is stopped: %q", got)
	}
	k.typed("fg\r")
	k.until("kept text")
	k.typed(":wq\r")
	prompt()
	k.typed("cat /tmp/v\r")
	k.until("\rkept text\r\n")
	prompt()

	k.typed("top\r")
	k.until("PID USER")
	k.typed("\x1a")
	k.until("[1]+  Stopped                 top\r\n")
	prompt()
	k.typed("fg\r")
	k.until("PID USER")
	k.typed("q")
	prompt()

	k.typed("less /etc/passwd\r")
	k.until("root:x:0:0")
	k.typed("\x1a")
	k.until("Stopped                 less /etc/passwd\r\n")
	prompt()
	k.typed("fg\r")
	k.until("root:x:0:0")
	k.typed("q")
	prompt()

	k.typed("ping -i 0.2 127.0.0.1\r")
	k.until("icmp_seq=2 ")
	k.typed("\x1a")
	k.until("Stopped                 ping -i 0.2 127.0.0.1\r\n")
	if got := prompt(); strings.Contains(got, "icmp_seq") {
		t.Errorf("a stopped ping writes: %q", got)
	}
	k.typed("fg\r")
	if got := k.until("icmp_seq=4 "); strings.Contains(got, "icmp_seq=1 ") {
		t.Errorf("ping begins anew: %q", got)
	}
	k.typed("\x03")
	k.until("packets transmitted")
	prompt()
}

// TestGoesOn stops a program between two reads, and looks that it knows what it has read.
func TestGoesOn(t *testing.T) {
	k := newTerminal(t, newRig(t, patient).client(t))
	k.until(":~# ")
	k.typed("sh -c 'for i in 1 2 3; do read x; echo got-$i-$x; done'\r")
	k.until("\x1b[?2004l\r")
	k.typed("a\r")
	k.until("\ngot-1-a\r\n")
	k.typed("half\x1a") // what is typed of a line goes with it
	k.until("^Z\r\n[1]+  Stopped                 sh -c 'for i in 1 2 3; do read x; echo got-$i-$x; done'\r\n")
	k.until(":~# ")
	k.typed("echo bet''ween\r")
	k.until("\rbetween\r\n")
	k.until(":~# ")
	k.typed("fg\r")
	k.until("\rsh -c 'for i in 1 2 3; do read x; echo got-$i-$x; done'\r\n")
	for _, want := range []string{"got-2-b", "got-3-c"} {
		k.typed(want[len(want)-1:] + "\r")
		k.until("\n" + want + "\r\n")
	}
	k.until(":~# ")
	k.typed("bash\r") // a shell in a shell has jobs of its own
	k.until(":~# ")
	k.typed("cat\r")
	k.until("\x1b[?2004l\r")
	k.typed("x\r")
	k.until("x\r\nx\r\n")
	k.typed("\x1a")
	k.until("[1]+  Stopped                 cat\r\n")
	k.until(":~# ")
	k.typed("exit\r")
	k.until("There are stopped jobs.\r\n")
	k.until(":~# ")
	k.typed("exit\r")
	k.until(":~# ")
	k.typed("jobs; echo no''ne\r")
	k.until("\rnone\r\n")
}
