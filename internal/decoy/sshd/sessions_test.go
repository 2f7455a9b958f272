package sshd

import (
	"fmt"
	"testing"

	"golang.org/x/crypto/ssh"
)

// TestRequestsOfManySessions resizes the windows of shells on one connection:
// the first one's requests are answered by the connection's own goroutine, the
// others' beside it, and whoever comes after the first has ended in its place.
func TestRequestsOfManySessions(t *testing.T) {
	r := newRig(t, nil)
	c := r.client(t)
	resize := func(k *terminal, rows, cols int) {
		t.Helper()
		// With the wish for an answer: it has been done when the answer is here.
		ok, err := k.s.SendRequest("window-change", true, ssh.Marshal(struct{ Cols, Rows, W, H uint32 }{uint32(cols), uint32(rows), 0, 0}))
		if err != nil || !ok {
			t.Fatalf("window-change: %v, %v", ok, err)
		}
		k.typed("stty size; echo $LINES:$COLUMNS\r")
		k.until(fmt.Sprintf("\r%d %d\r\n%d:%d\r\n", rows, cols, rows, cols))
		k.until("# ")
	}
	var shells []*terminal
	for i := range 3 {
		k := newTerminal(t, c)
		k.until(":~# ")
		shells = append(shells, k)
		resize(k, 30+i, 90+i)
	}
	for i, k := range shells {
		resize(k, 40+i, 100+i)
	}
	shells[0].typed("exit\r")
	if err := shells[0].s.Wait(); err != nil {
		t.Errorf("the end of the first: %v", err)
	}
	late := newTerminal(t, c)
	late.until(":~# ")
	resize(late, 50, 120)
	resize(shells[2], 51, 121)
	for _, k := range append(shells[1:], late) {
		k.typed("exit\r")
		if err := k.s.Wait(); err != nil {
			t.Errorf("the end: %v", err)
		}
	}
}
