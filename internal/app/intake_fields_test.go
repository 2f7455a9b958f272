package app

import (
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// TestWhatFollowsAPasswordIsKept: one password becomes several fields, and
// those after it stay.
func TestWhatFollowsAPasswordIsKept(t *testing.T) {
	for _, how := range []string{"hmac", "full", "none"} {
		in := &intake{passwords: how}
		var e event.Event
		e.Add(passwordField, "planted")
		e.Add("lapwing.token.id", "share")
		e.Add("a", "b")
		in.stamp(&e, time.Now())
		got := map[string]int{}
		for _, f := range e.Extra {
			got[f.Name]++
			if f.Name == "lapwing.token.id" && f.Value.Text() != "share" {
				t.Errorf("%s: token %q", how, f.Value.Text())
			}
		}
		for _, name := range []string{"lapwing.token.id", "a", "lapwing.password.length", "lapwing.password.class"} {
			if got[name] != 1 {
				t.Errorf("%s: %s stands %d times", how, name, got[name])
			}
		}
	}
}

// TestQuickIsStamp: a line stamped without decoding is what decoding gives,
// and one with a password is never stamped so.
func TestQuickIsStamp(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.UTC)
	in := &intake{observer: "sensor", passwords: "hmac", key: []byte("k")}
	for name, tt := range map[string]struct {
		extra string
		want  bool
	}{
		"a command": {"process.name", true}, "a password": {passwordField, false}, "a hash that is the hub's to say": {"lapwing.password.hmac", false},
	} {
		t.Run(name, func(t *testing.T) {
			e := event.Event{ID: "x", Time: now, User: "root", CommandLine: `echo "a"`}
			e.Describe(event.ActionCommandExecuted)
			e.Add(tt.extra, "x")
			got, ok := in.quick(nil, e.AppendJSON(nil), now)
			if ok != tt.want {
				t.Fatalf("stamped: %v", ok)
			}
			in.stamp(&e, now)
			if want := string(e.AppendJSON(nil)); ok && string(got) != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}
