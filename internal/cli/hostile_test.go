//go:build unix

package cli

import (
	"bytes"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// evil holds what could act on a terminal, or make text pass for another.
const evil = "\x1b]0;owned\x07\x1b[2J\u009b31m\u202e\u200b\r\n\x00ALERT"

// TestHostileText puts evil into every field that a visitor fills in.
func TestHostileText(t *testing.T) {
	at := netip.MustParseAddrPort("198.51.100.7:22")
	e := event.Event{
		ID: "x", Time: time.Unix(1, 0), Source: at, User: evil, CommandLine: evil, Path: evil, URL: evil, Reason: evil, SHA256: strings.Repeat("a", 64), Outcome: "failure", HasExit: true,
		Protocol: "ssh", Host: "files",
	}
	for _, f := range []string{"lapwing.ssh.client", "lapwing.login.method", "user_agent.original", "lapwing.session.kind"} {
		e.Add(f, evil)
	}
	check := func(what, s string) {
		t.Helper()
		for _, r := range strings.TrimSuffix(s, "\n") {
			if !unicode.IsPrint(r) && (what != "alert" || r != '\n') {
				t.Errorf("%s: %U in %q", what, r, s)
				return
			}
		}
	}
	for _, action := range []string{
		event.ActionConnectionOpened, event.ActionConnectionRefused, event.ActionClientIdentified, event.ActionLogin, event.ActionSessionStarted,
		event.ActionSessionEnded, event.ActionCommandExecuted, event.ActionFileCaptured, event.ActionFileRead, event.ActionFileChanged,
		event.ActionDownloadRequested, event.ActionTunnelRequested, event.ActionPasswordChanged, event.ActionLimitReached, event.ActionProtocolError, event.ActionProgramNoted,
	} {
		e.Describe(action)
		check(action, row(e))
		var out bytes.Buffer
		if err := newFeed(&globals{IO: IO{Out: &out}}).show(e); err != nil {
			t.Error(err)
		}
		check("feed of "+action, out.String())
	}
	a := &alert.Alert{
		ID: "x", Rule: alert.Rule{Name: evil, Techniques: []string{evil}, Description: evil}, Source: at.Addr(), Host: evil, Session: evil, User: evil,
		Title: evil, Campaign: evil, Count: 3,
	}
	check("alert", alertText(a))
	if n := strings.Count(alertText(a), "\n"); n != 1 {
		t.Errorf("an alert has %d line breaks", n)
	}
	var out bytes.Buffer
	newFeed(&globals{IO: IO{Out: &out}}).alert(nil, a)
	check("feed of an alert", out.String())
}
