package sshd

import (
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// TestWhatIsAskedIsRecorded has a client ask for everything beside a program.
func TestWhatIsAskedIsRecorded(t *testing.T) {
	const evil = "\x1b]0;x\x07"
	r := newRig(t, nil)
	s, err := r.client(t).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	ask := func(kind string, payload any) bool {
		t.Helper()
		var p []byte
		if payload != nil {
			p = ssh.Marshal(payload)
		}
		ok, err := s.SendRequest(kind, true, p)
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		return ok
	}
	type pair struct{ Name, Value string }
	if err := s.RequestPty("xterm"+evil, 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		kind    string
		payload any
		ok      bool
	}{
		{"env", pair{"LANG", "de" + evil}, true},
		{"env", pair{"LD_PRELOAD", "/tmp/x.so"}, false},
		{"x11-req", struct {
			Single           bool
			Protocol, Cookie string
			Screen           uint32
		}{false, "MIT-MAGIC-COOKIE-1", "00", 7}, false},
		{"subsystem", struct{ Name string }{"netconf" + evil}, false},
		{"subsystem", struct{ Name string }{"netconf" + evil}, false},
		{"auth-agent-req@openssh.com", nil, true},
	} {
		if got := ask(x.kind, x.payload); got != x.ok {
			t.Errorf("%s is answered %v", x.kind, got)
		}
	}
	out, err := s.CombinedOutput("stat -c '%F %a' $SSH_AUTH_SOCK ${SSH_AUTH_SOCK%/*}; ssh-add -l; printf %s \"$LANG$LD_PRELOAD\"")
	if want := "socket 600\r\ndirectory 700\r\nThe agent has no identities.\r\nde" + evil; string(out) != want {
		t.Errorf("in the session: %q, want %q (%v)", out, want, err)
	}
	r.rec.wait(t, event.ActionSessionEnded, 1)
	started := r.rec.wait(t, event.ActionSessionStarted, 1)[0]
	if got := extra(started, "lapwing.session.terminal"); got != "xterm"+evil {
		t.Errorf("terminal: %q", got)
	}
	if got, want := extra(started, "lapwing.session.environment"), "LANG=de"+evil+" (LD_PRELOAD=/tmp/x.so)"; got != want {
		t.Errorf("environment: %q, want %q", got, want)
	}
	var notes []string
	for _, e := range r.rec.all(event.ActionProgramNoted) {
		notes = append(notes, e.Reason)
	}
	want := "request-refused: x11-req MIT-MAGIC-COOKIE-1 screen 7|request-refused: subsystem netconf" + evil + "|agent-forwarded: auth-agent-req@openssh.com"
	if got := strings.Join(notes, "|"); got != want {
		t.Errorf("noted: %q, want %q", got, want)
	}
	again, err := r.client(t).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, _ := again.CombinedOutput("ls -d /tmp/ssh-*"); !strings.Contains(string(out), "No such file") {
		t.Errorf("the socket is left: %q", out)
	}
}

// TestEndOfInputHangsNothingUp has a client that sends nothing and says so, as
// ssh -tt does with an empty standard input: sshd lets the program write on.
func TestEndOfInputHangsNothingUp(t *testing.T) {
	s, err := newRig(t, patient).client(t).NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.RequestPty("xterm", 24, 80, nil); err != nil {
		t.Fatal(err)
	}
	out, err := s.CombinedOutput("sleep 0.3; stty size; echo over") // without a Stdin its end is sent at once
	if string(out) != "24 80\r\nover\r\n" || err != nil {
		t.Errorf("%q, %v", out, err)
	}
}
