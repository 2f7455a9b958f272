package sigma

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// What is remembered is what was kept, however much came since, and nothing that
// was not kept is found.
func TestRecall(t *testing.T) {
	c := newRecall()
	text := func(i int) []byte {
		return []byte(fmt.Sprint(i, strings.Repeat("x", i%recallText-5*b2i(i%recallText > 5))))
	}
	rules := func(i int) []int32 { return slices.Repeat([]int32{int32(i), -1}, i%(recallRules/2+1)) }
	const n, last = 20_000, 100
	for i := range n {
		v := view(i % 3)
		h := v.hash(text(i))
		if s := c.find(h, v, text(i)); s != nil {
			t.Fatalf("%d is remembered as number %d before it was kept", i, s.no)
		}
		c.keep(h, v, text(i), rules(i))
		if s := c.find(h, v+1, text(i)); s != nil {
			t.Fatalf("%d is found in another view", i)
		}
	}
	found := 0
	for i := range n {
		v := view(i % 3)
		s := c.find(v.hash(text(i)), v, text(i))
		if s == nil {
			continue
		}
		found++
		if s.no != uint32(i+1) {
			t.Errorf("%d has number %d", i, s.no)
		}
		if got := c.rules(nil, s); !slices.Equal(got, rules(i)) {
			t.Errorf("%d has rules %v, want %v", i, got, rules(i))
		}
	}
	if found < last {
		t.Errorf("%d values are remembered, want the last %d or more", found, last)
	}
}

// An empty value is forgotten with its rules when newer ones are written over them.
func TestRecallEmpty(t *testing.T) {
	c := newRecall()
	h := view(1).hash(nil)
	c.keep(h, 1, nil, []int32{5})
	if s := c.find(h, 1, nil); s == nil || !slices.Equal(c.rules(nil, s), []int32{5}) {
		t.Fatal("an empty value is not remembered")
	}
	text := make([]byte, recallText)
	for range recallBytes/recallText + 1 {
		c.keep(h^2, 1, text, nil)
	}
	if c.find(h, 1, nil) != nil {
		t.Error("an empty value is remembered with the rules of another")
	}
}

// Texts that share their hash drive each other out and are told apart.
func TestRecallSameHash(t *testing.T) {
	c := newRecall()
	var texts [][]byte
	for i := range 5 {
		b := []byte(strings.Repeat("-", 1000))
		b[20+i] = '+' // where the hash does not look
		texts = append(texts, b)
	}
	h := view(1).hash(texts[0])
	for i, b := range texts {
		if view(1).hash(b) != h {
			t.Fatalf("text %d has another hash: choose another place", i)
		}
		c.keep(h, 1, b, []int32{int32(i)})
	}
	for i, b := range texts {
		s := c.find(h, 1, b)
		if (s != nil) != (i >= 3) {
			t.Errorf("text %d: remembered %v", i, s != nil)
		}
		if s != nil && c.rules(nil, s)[0] != int32(i) {
			t.Errorf("text %d has the rules of %d", i, c.rules(nil, s)[0])
		}
	}
}

// Short values of many fields, such as numbers, do not share a few slots.
func TestRecallSpread(t *testing.T) {
	slots := map[uint64]int{}
	n := 0
	for field := range 40 {
		for i := range 50 {
			for _, text := range []string{strconv.Itoa(i), fmt.Sprintf("0x%x", 4096*i), fmt.Sprintf("S-1-5-%d", i)} {
				slots[view(uint64(field)<<32).hash([]byte(text))%recallSlots]++
				n++
			}
		}
	}
	if share := float64(len(slots)) / float64(min(n, recallSlots)); share < 0.6 { // 0.71 if by chance
		t.Errorf("%d values in %d slots of %d", n, len(slots), recallSlots)
	}
}

// Answers belong to one value, also when the numbers of values begin again.
func TestRecallAnswers(t *testing.T) {
	c := newRecall()
	c.note(0, 7, true)
	if _, known := c.asked(0, 7); known {
		t.Error("an answer for no value")
	}
	c.last = unlooked - 2
	keep := func(s string) uint32 {
		h := view(1).hash([]byte(s))
		c.keep(h, 1, []byte(s), nil)
		return c.find(h, 1, []byte(s)).no
	}
	a := keep("first")
	c.note(a, 7, true)
	c.note(a, 8, false)
	for pred, want := range map[int32]bool{7: true, 8: false} {
		if said, known := c.asked(a, pred); !known || said != want {
			t.Errorf("predicate %d: %v, known %v", pred, said, known)
		}
	}
	if _, known := c.asked(a, 9); known {
		t.Error("an answer that nobody gave")
	}
	other := int32(8)
	for pairSlot(a, other) != pairSlot(a, 7) {
		other++
	}
	if _, known := c.asked(a, other); known {
		t.Errorf("the answer to predicate 7 is taken for one to %d", other)
	}
	if b := keep("second"); b != 1 {
		t.Errorf("number %d after the last, want 1", b)
	}
	if _, known := c.asked(a, 7); known || c.find(view(1).hash([]byte("first")), 1, []byte("first")) != nil {
		t.Error("something is remembered from before the numbers began again")
	}
}
