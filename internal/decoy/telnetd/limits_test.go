package telnetd

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// enter logs in as root.
func enter(t *testing.T, b *decoytest.Bench) net.Conn {
	t.Helper()
	c := b.Dial(t)
	until(t, c, " login: ")
	talk(t, c, "root\r\n", "Password: ")
	talk(t, c, "admin\r\n", "~ # ")
	return c
}

func reasons(b *decoytest.Bench) []string {
	var out []string
	for _, e := range b.Rec.Events(event.ActionLimitReached) {
		out = append(out, e.Reason)
	}
	return out
}

// TestLimitsAreTold: what uses up a budget is told once, by the limit's name.
// The prompt comes back, or the connection ends, as on the real device.
func TestLimitsAreTold(t *testing.T) {
	small := kernel.Limits{Output: 1 << 20, Steps: 200_000, Moved: 8 << 20, Procs: 8}
	for _, tt := range []struct {
		name, line, reason string
		ends               bool
	}{
		{"fork bomb", "b() { b | b; }; b", "session budget: programs at once", false},
		{"endless pipe", "yes | head -c 10000000000 > /dev/null", "session budget: bytes moved", true},
		{"endless output", "yes", "session budget: bytes of output", true},
		{"doubling", "sh -c 'x=a; while :; do x=$x$x; done'", "session budget: bytes of a variable", false},
		{"endless loop", "while :; do :; done", "session budget: steps", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := target.Start(t, decoytest.Options{Kernel: small})
			c := enter(t, b)
			io.WriteString(c, tt.line+"\r\n") // the events tell
			if tt.ends {
				io.Copy(io.Discard, c) // as above
				b.Wait(t, event.ActionConnectionClosed, 1)
			} else {
				b.Wait(t, event.ActionLimitReached, 1)
				talk(t, c, "echo the\"\"re\r\n", "there\r\n")
			}
			n := 0
			for _, r := range reasons(b) {
				if r == tt.reason {
					n++
				}
			}
			if n != 1 {
				t.Errorf("%d times %q among %q", n, tt.reason, reasons(b))
			}
		})
	}
}

// TestWallTime: a line that runs too long is killed and the shell goes on; a
// session that lasts too long ends. Both by the decoy's own clock.
func TestWallTime(t *testing.T) {
	clk := clock.NewManual(time.Now())
	b := target.Start(t, decoytest.Options{Clock: clk, Kernel: kernel.Limits{Line: time.Minute, Wall: 10 * time.Minute}})
	c := enter(t, b)
	talk(t, c, "echo beg\"\"un; sleep 100000\r\n", "begun\r\n")
	clk.Advance(time.Minute)
	if out := talk(t, c, "", "~ # "); !strings.HasSuffix(out, "Killed\r\n~ # ") {
		t.Errorf("after a minute: %q", out)
	}
	talk(t, c, "echo $?\r\n", "137\r\n~ # ")
	clk.Advance(10 * time.Minute)
	io.Copy(io.Discard, c) // the end is what counts
	b.Wait(t, event.ActionConnectionClosed, 1)
	if want := []string{"session budget: wall time of a command", "session budget: wall time of the session"}; !slices.Equal(reasons(b), want) {
		t.Errorf("limits %q", reasons(b))
	}
}

// TestConnectionLimits: who sends more, or stays longer, than a connection
// may is cut off, and an event says by which limit.
func TestConnectionLimits(t *testing.T) {
	t.Run("bytes", func(t *testing.T) {
		b := target.Start(t, decoytest.Options{Limits: decoy.Limits{Bytes: 200}})
		c := enter(t, b)
		io.WriteString(c, strings.Repeat("a", 300)) // it may be refused
		io.Copy(io.Discard, c)                      // ends
		b.Wait(t, event.ActionConnectionClosed, 1)
		if want := []string{"bytes of one connection"}; !slices.Equal(reasons(b), want) {
			t.Errorf("limits %q", reasons(b))
		}
	})
	t.Run("length", func(t *testing.T) {
		clk := clock.NewManual(time.Now())
		b := target.Start(t, decoytest.Options{Clock: clk, Limits: decoy.Limits{Session: 5 * time.Minute}})
		c := enter(t, b)
		clk.Advance(6 * time.Minute)
		io.Copy(io.Discard, c) // ends
		b.Wait(t, event.ActionConnectionClosed, 1)
		if want := []string{"length of one connection"}; !slices.Equal(reasons(b), want) {
			t.Errorf("limits %q", reasons(b))
		}
	})
}
