package vnet

import (
	"testing"
	"time"
)

// TestDeadlinesOfTwoClocks sets deadlines of both clocks while their times are
// close together: neither may be taken for the other.
func TestDeadlinesOfTwoClocks(t *testing.T) {
	for _, ahead := range []time.Duration{-24 * time.Hour, -3 * time.Second, 0, 3 * time.Second, 24 * time.Hour} {
		clk := NewVirtualClock(time.Now().Add(ahead))
		n, err := New(Config{Seed: 1, Clock: clk})
		if err != nil {
			t.Fatal(err)
		}
		if got := n.until(clk.Now().Add(5 * time.Second)); got != 5*time.Second {
			t.Errorf("%v ahead: a deadline of the virtual clock is %v away", ahead, got)
		}
		if got := n.until(time.Now().Add(time.Hour)); got <= 0 || got > time.Hour {
			t.Errorf("%v ahead: a deadline of the machine's clock is %v away", ahead, got)
		}
		if got := n.until(time.Unix(1, 0)); got >= 0 {
			t.Errorf("%v ahead: long ago is %v away", ahead, got)
		}
		if err := n.Close(); err != nil {
			t.Error(err)
		}
		clk.Close()
	}
}
