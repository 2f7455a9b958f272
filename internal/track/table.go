package track

// table is a map of bounded size. When it is full a new key takes the place of
// one that has not been busy lately: each use warms an entry, the hand of a clock
// goes round and cools, and what is cold goes. A flood of keys that come once
// drives out its own kind, not what is busy.
type table[K comparable, V any] struct {
	limit   int
	index   map[K]int32
	items   []item[K, V]
	hand    int
	evicted uint64
}

// item has exported fields for gob.
type item[K comparable, V any] struct {
	Key  K
	Val  V
	Heat uint8
}

// maxHeat is how many rounds of the hand an entry outlives without use.
const maxHeat = 15

func newTable[K comparable, V any](limit int) *table[K, V] {
	return &table[K, V]{limit: limit, index: make(map[K]int32)}
}

// find gives the value of a key, nil where there is none. The pointer holds
// until the next call of make.
func (t *table[K, V]) find(k K) *V {
	i, ok := t.index[k]
	if !ok {
		return nil
	}
	it := &t.items[i]
	if it.Heat < maxHeat {
		it.Heat++
	}
	return &it.Val
}

// obtain is find, and makes the entry where it is missing.
func (t *table[K, V]) obtain(k K) (v *V, isNew bool) {
	if v := t.find(k); v != nil {
		return v, false
	}
	var i int
	if len(t.items) < t.limit {
		i = len(t.items)
		t.items = append(t.items, item[K, V]{Key: k})
	} else {
		i = t.victim()
		delete(t.index, t.items[i].Key)
		t.items[i] = item[K, V]{Key: k}
		t.evicted++
	}
	t.index[k] = int32(i)
	return &t.items[i].Val, true
}

// victim turns the hand to an entry that is cold.
func (t *table[K, V]) victim() int {
	for {
		i := t.hand
		if t.hand++; t.hand == len(t.items) {
			t.hand = 0
		}
		if t.items[i].Heat == 0 {
			return i
		}
		t.items[i].Heat--
	}
}

// load takes the entries of a snapshot, as many as there is room for.
func (t *table[K, V]) load(items []item[K, V]) {
	for len(items) > t.limit { // the limit was lowered: the first go
		items = items[1:]
		t.evicted++
	}
	t.items, t.hand = items, 0
	t.index = make(map[K]int32, len(items))
	for i := range items {
		t.index[items[i].Key] = int32(i)
	}
}
