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
