package journal

import (
	"errors"
	"testing"
)

func TestHolds(t *testing.T) {
	var got []Position
	h := NewHolds(func(p Position) error { got = append(got, p); return nil })
	a, b := h.Hold(Position{1, 0}), h.Hold(Position{1, 0})
	steps := []struct {
		name string
		do   func() error
		want Position
	}{
		{"one moves", func() error { return a.Move(Position{5, 0}) }, Position{1, 0}},
		{"both move", func() error { return b.Move(Position{3, 7}) }, Position{3, 7}},
		{"backwards is nothing", func() error { return b.Move(Position{2, 0}) }, Position{3, 7}},
		{"a late one", func() error { h.Hold(Position{4, 0}); return b.Move(Position{9, 0}) }, Position{4, 0}},
	}
	for _, s := range steps {
		t.Run(s.name, func(t *testing.T) {
			if err := s.do(); err != nil {
				t.Fatal(err)
			}
			if got[len(got)-1] != s.want {
				t.Errorf("released up to %v, want %v", got[len(got)-1], s.want)
			}
		})
	}
	boom := errors.New("boom")
	h = NewHolds(func(Position) error { return boom })
	if k := h.Hold(Position{1, 0}); !errors.Is(k.Move(Position{2, 0}), boom) {
		t.Error("the error of release is lost")
	}
}
