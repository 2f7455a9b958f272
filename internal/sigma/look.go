package sigma

// First is the first value of a field whose id is known, and whether it has
// more than one.
func (r *Record) First(id FieldID) (v Value, more, ok bool) {
	i := r.head(id)
	if i < 0 {
		return Value{}, false, false
	}
	e := &r.entries[i]
	return Value{e.text, e.typ}, e.next >= 0, true
}

// Has tells whether a field has a value.
func (r *Record) Has(id FieldID) bool { return r.head(id) >= 0 }

// Values yields the values of a field whose id is known.
func (r *Record) Values(id FieldID) func(yield func(Value) bool) {
	return func(yield func(Value) bool) {
		for i := r.head(id); i >= 0; i = r.entries[i].next {
			if !yield(Value{r.entries[i].text, r.entries[i].typ}) {
				return
			}
		}
	}
}

// Shown is All without what was given with Hide or Alias: the record as the
// source wrote it.
func (r *Record) Shown() func(yield func(string, Value) bool) {
	return func(yield func(string, Value) bool) {
		for i := range r.entries {
			e := &r.entries[i]
			if !e.dead && !e.hidden && !yield(r.nameOf(e), Value{e.text, e.typ}) {
				return
			}
		}
	}
}
