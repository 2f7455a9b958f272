package decoy

import (
	"testing"
	"time"
)

func TestViews(t *testing.T) {
	v := Views[*int]{Max: 2}
	made := 0
	get := func(key string, at int64) *int {
		return v.Get(key, time.Unix(at, 0), func() *int { made++; return new(int) })
	}
	a := get("a", 1)
	get("b", 2)
	if get("a", 3) != a || made != 2 {
		t.Errorf("what a source left is gone, %d made", made)
	}
	get("c", 4) // b is the one longest unused
	if get("a", 5) != a || made != 3 {
		t.Errorf("the wrong one went, %d made", made)
	}
	if get("b", 6); made != 4 || len(v.held) != 2 {
		t.Errorf("%d made, %d held", made, len(v.held))
	}
}
