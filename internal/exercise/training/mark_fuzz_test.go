package training_test

import (
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

// FuzzAnswer: whatever is typed, an answer is refused and costs nothing, or it
// brings no less than nothing and no more than the question is worth, once.
func FuzzAnswer(f *testing.F) {
	for _, text := range []string{"web, vault", "T1595.002;T1071.001", "#1 2,3", "", ",,,", "t1071 T1071.1 x", "web\x00", "10.9.1.10 and 10.9.1.20", "::ffff:10.9.1.10", "1 1 1 2 2", "\xff\xfe"} {
		for k := range 3 {
			f.Add(k+1, text)
		}
	}
	f.Add(0, "web")
	f.Add(-1, "web")
	f.Add(99, "web")
	sc, err := loaded(examOf()).For("anna")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, question int, text string) {
		c := training.NewCourse(sc, training.State{}, &stage{}, time.Now)
		v, err := c.Answer(question, text)
		have, most := c.Points()
		if err != nil {
			if have != 0 || c.State.Levels[0].Wrong != 0 {
				t.Errorf("%q was refused (%v) and changed something: %d points", text, err, have)
			}
			return
		}
		if have != v.Points || have < 0 || have > 40 || most != 120 || v.Right != (have == 40) || v.Share < 0 || v.Share >= 1 {
			t.Errorf("%q: %+v, %d of %d points", text, v, have, most)
		}
	})
}
