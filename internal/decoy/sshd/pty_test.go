package sshd

import (
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// TestPtyPrograms drives the programs that need a terminal, over SSH.
func TestPtyPrograms(t *testing.T) {
	r := newRig(t, nil)
	k := newTerminal(t, r.client(t))
	k.until(":~# ")
	prompt := func() string { return k.until(":~# ") }

	k.typed("nano /tmp/n\r")
	k.until("GNU nano")
	k.typed("first line\rsecond\x0f")
	k.until("File Name to Write: /tmp/n")
	k.typed("\r")
	k.until("Wrote 2 lines")
	k.typed("\x18")
	prompt()
	k.typed("cat /tmp/n\r")
	if got := prompt(); !strings.Contains(got, "first line\r\nsecond\r\n") {
		t.Errorf("nano left %q", got)
	}

	k.typed("less /etc/passwd\r")
	k.until("root:x:0:0")
	k.typed("q")
	prompt()

	k.typed("top\r")
	k.until("PID USER")
	k.typed("q")
	prompt()

	k.typed("sleep 1 && tail -f /etc/hostname\r")
	r.waitProgram(t, "tail -f /etc/hostname")
	k.typed("\x03")
	k.until("^C")
	prompt()
	k.typed("echo st=$?\r")
	k.until("st=130")
	prompt()

	k.typed("tail -f /dev/null\r")
	r.waitProgram(t, "tail -f /dev/null")
	k.typed("\x1a")
	k.until("^Z\r\n[1]+  Stopped                 tail -f /dev/null\r\n")
	prompt()
	k.typed("echo st=$?; jobs\r")
	k.until("st=148\r\n[1]+  Stopped                 tail -f /dev/null\r\n")
	prompt()
	k.typed("bg\r")
	k.until("[1]+ tail -f /dev/null &\r\n")
	prompt()
	k.typed("jobs\r")
	k.until("[1]+  Running                 tail -f /dev/null &\r\n")
	prompt()
	k.typed("fg\r")
	k.until("fg\r\n")
	k.until("tail -f /dev/null\r\n")
	k.typed("\x03")
	k.until("^C")
	prompt()
	k.typed("cat\r")
	r.waitProgram(t, "cat")
	k.typed("\x1a")
	k.until("Stopped                 cat\r\n")
	prompt()
	k.typed("fg\r")
	k.until("cat\r\n")
	k.typed("back\r")
	k.until("back\r\nback\r\n")
	k.typed("\x1a")
	prompt()
	for _, leave := range []string{"exit\r", "true\r\x04"} {
		k.typed(leave)
		k.until("logout\r\nThere are stopped jobs.\r\n")
		prompt()
		k.typed("true\r")
		prompt()
	}
	k.typed("bash\r")
	prompt()
	k.typed("exit\r")
	k.until("exit\r\n\x1b[?2004l\rexit\r\n")
	prompt()
	k.typed("kill %1; jobs; wait; echo none\r")
	k.until("echo none\r\n")
	k.until("none\r\n")
	prompt()
	k.typed("vi /tmp/v\r")
	k.until("/tmp/v")
	k.typed("ihello\x1b:wq\r")
	prompt()
	k.typed("more /tmp/v\r")
	if got := prompt(); !strings.Contains(got, "hello\r\n") {
		t.Errorf("vi left %q", got)
	}
	k.typed("seq 100 > /tmp/s; more /tmp/s\r")
	k.until("23\r\n\x1b[7m--More--(20%)\x1b[27m")
	k.typed("\r")
	k.until("24\r\n\x1b[7m--More--(")
	k.typed("q")
	prompt()

	k.typed("echo $COLUMNS $LINES; stty size\r")
	k.until("80 24\r\n24 80\r\n")
	prompt()
	if err := k.s.WindowChange(40, 132); err != nil {
		t.Fatal(err)
	}
	r.rec.wait(t, event.ActionWindowChanged, 1)
	k.typed("stty size\r")
	k.until("40 132\r\n")
	prompt()
	k.typed("echo $COLUMNS $LINES\r")
	k.until("132 40\r\n")
	prompt()

	k.typed("echo one-word\r")
	prompt()
	k.typed("history | tail -2\r")
	if got := prompt(); !strings.Contains(got, "  echo one-word\r\n") || !strings.Contains(got, "  history | tail -2\r\n") {
		t.Errorf("history: %q", got)
	}
	k.typed("cat /etc/hostn\t\r")
	k.until("/etc/hostname")
	prompt()
	k.typed("exit\r")
	k.until("logout")
}
