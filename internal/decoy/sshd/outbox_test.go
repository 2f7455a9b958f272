package sshd

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// segments notes each write.
type segments struct {
	all  []string
	fail error
}

func (s *segments) Write(b []byte) (int, error) {
	if s.fail != nil {
		return 0, s.fail
	}
	s.all = append(s.all, string(b))
	return len(b), nil
}

func TestOutbox(t *testing.T) {
	send := func(t *testing.T, o *outbox, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if n, err := o.write([]byte(text)); n != len(text) || err != nil {
				t.Fatalf("write %.10q: %d, %v", text, n, err)
			}
		}
	}
	t.Run("together", func(t *testing.T) {
		s := &segments{}
		o := &outbox{w: s}
		send(t, o, "a")
		o.hold()
		send(t, o, "b", "c")
		if err := o.release(); err != nil {
			t.Error(err)
		}
		send(t, o, "d")
		if want := []string{"a", "bc", "d"}; !slices.Equal(s.all, want) {
			t.Errorf("%q, want %q", s.all, want)
		}
	})
	t.Run("bounded", func(t *testing.T) {
		s := &segments{}
		o := &outbox{w: s}
		o.hold()
		for range 100 {
			send(t, o, strings.Repeat("x", 1000))
			if len(o.buf) > maxHeld {
				t.Fatalf("%d bytes are held", len(o.buf))
			}
		}
		o.last()
		if got := strings.Join(s.all, ""); len(got) != 100_000 {
			t.Errorf("%d of 100,000 bytes were sent", len(got))
		}
	})
	t.Run("an error is told", func(t *testing.T) {
		s := &segments{fail: errors.New("gone")}
		o := &outbox{w: s}
		o.hold()
		send(t, o, "a")
		if err := o.release(); !errors.Is(err, s.fail) {
			t.Errorf("release: %v", err)
		}
		if _, err := o.write([]byte("b")); !errors.Is(err, s.fail) {
			t.Errorf("write: %v", err)
		}
	})
	t.Run("an end does not wait for a write", func(*testing.T) {
		o := &outbox{w: &segments{}}
		o.mu.Lock()
		o.last()
		o.mu.Unlock()
	})
}
