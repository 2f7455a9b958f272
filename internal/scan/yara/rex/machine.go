package rex

// ScanLimit is how many bytes a pattern may match before its atom and how many
// from its atom on, as in libyara.
const ScanLimit = 4096

// Input is the data around a place, and where it lies in the whole.
type Input struct {
	Data    []byte
	AtStart bool // Data begins where the file begins
}

// Machine runs programs. It is scratch space for one goroutine.
type Machine struct {
	cur, next queue
	stack     []int32
	// Steps counts the instructions run: a measure of work that the caller
	// may limit.
	Steps int64
	// Limit ends a run, without a match, once Steps are more; zero never does.
	Limit int64
}

type queue struct {
	sparse []uint32
	dense  []int32
}

func (q *queue) reset(n int) {
	if len(q.sparse) < n {
		q.sparse = make([]uint32, n)
	}
	q.dense = q.dense[:0]
}

func (q *queue) add(pc int32) bool {
	s := q.sparse[pc]
	if int(s) < len(q.dense) && q.dense[s] == pc {
		return false
	}
	q.sparse[pc] = uint32(len(q.dense))
	q.dense = append(q.dense, pc)
	return true
}

type run struct {
	p    *Prog
	in   Input
	pos  int // where the run began
	size int // bytes of a character
	max  int // bytes that may be matched
	back bool
	n    int // bytes matched so far
}

// Forward gives the length of the match of p that begins at pos, or -1.
func (m *Machine) Forward(p *Prog, in Input, pos int, wide bool) int {
	r := run{p: p, in: in, pos: pos, size: 1, max: min(len(in.Data)-pos, ScanLimit)}
	if wide {
		r.size = 2
		r.max &^= 1
	}
	found := -1
	m.exec(&r, func(n int) bool {
		found = n
		return false
	})
	return found
}

// Backward calls emit with the length of each match of the reversed p that
// ends at pos.
func (m *Machine) Backward(p *Prog, in Input, pos int, wide bool, emit func(n int)) {
	r := run{p: p, in: in, pos: pos, size: 1, max: min(pos, ScanLimit), back: true}
	if wide {
		r.size = 2
		r.max &^= 1
	}
	m.exec(&r, func(n int) bool {
		emit(n)
		return true
	})
}

// Search tells whether p matches anywhere in text, and gives the length of the
// first match, or -1.
func (m *Machine) Search(p *Prog, text []byte) int {
	in := Input{Data: text, AtStart: true}
	for pos := 0; pos == 0 || pos < len(text); pos++ {
		r := run{p: p, in: in, pos: pos, size: 1, max: len(text) - pos}
		found := -1
		m.exec(&r, func(n int) bool {
			found = n
			return false
		})
		if found >= 0 {
			return found
		}
		if m.over() {
			return -1
		}
	}
	return -1
}

func (m *Machine) over() bool { return m.Limit > 0 && m.Steps > m.Limit }

// exec runs in lockstep: each instruction at most once a byte. At a match it
// calls emit; where that returns false the threads of lower priority end.
func (m *Machine) exec(r *run, emit func(int) bool) {
	pc, ok := r.straight()
	if m.Steps += int64(pc); !ok {
		return
	}
	n := len(r.p.Code)
	m.cur.reset(n)
	m.next.reset(n)
	m.follow(r, &m.cur, pc)
	for ; len(m.cur.dense) > 0; r.n += r.size {
		c, ok := r.char()
		if m.Steps += int64(len(m.cur.dense)); m.over() {
			return
		}
		for _, pc := range m.cur.dense {
			i := &r.p.Code[pc]
			if i.Op == iMatch {
				if !emit(r.n) {
					break
				}
				continue
			}
			if ok && i.matches(r.p, c) {
				r.n += r.size
				m.follow(r, &m.next, pc+1)
				r.n -= r.size
			}
		}
		m.cur, m.next = m.next, m.cur
		m.next.dense = m.next.dense[:0]
	}
}

// straight runs the instructions before the first branch, and gives the next
// one; ok is false where the input differs.
func (r *run) straight() (pc int32, ok bool) {
	for ; r.p.Code[pc].Op <= iSet; pc++ {
		c, ok := r.char()
		if !ok || !r.p.Code[pc].matches(r.p, c) {
			return pc, false
		}
		r.n += r.size
	}
	return pc, true
}

// char is the next byte of input.
func (r *run) char() (byte, bool) {
	if r.n >= r.max {
		return 0, false
	}
	at := r.pos + r.n
	if r.back {
		at = r.pos - r.n - r.size
	}
	if r.size == 2 && r.in.Data[at+1] != 0 {
		return 0, false
	}
	return r.in.Data[at], true
}

func (i *Inst) matches(p *Prog, c byte) bool {
	switch i.Op {
	case iByte:
		return c == i.A
	case iFold:
		return c|0x20 == i.A
	case iMask:
		return c&i.B == i.A
	case iNMask:
		return c&i.B != i.A
	case iAny:
		return true
	case iDot:
		return c != '\n'
	case iSet:
		return p.Sets[i.X].Has(c)
	}
	return false
}

// follow adds pc and what it leads to without input, in order of priority.
func (m *Machine) follow(r *run, q *queue, pc int32) {
	m.stack = append(m.stack[:0], pc)
	for len(m.stack) > 0 {
		pc = m.stack[len(m.stack)-1]
		m.stack = m.stack[:len(m.stack)-1]
		if !q.add(pc) {
			continue
		}
		i := &r.p.Code[pc]
		switch i.Op {
		case iSplit:
			m.stack = append(m.stack, i.Y, i.X)
		case iJump:
			m.stack = append(m.stack, i.X)
		case iStart, iEnd, iWordB, iNotWordB:
			if r.holds(i.Op) {
				m.stack = append(m.stack, pc+1)
			}
		}
	}
}

// holds tells whether an assertion is true where the run is.
func (r *run) holds(op uint8) bool {
	switch op {
	case iStart:
		if !r.in.AtStart {
			return false
		}
		if r.back {
			return r.pos == r.n
		}
		return r.pos+r.n == 0
	case iEnd:
		return !r.back && r.pos+r.n >= len(r.in.Data)
	case iWordB:
		return r.boundary()
	default:
		return !r.boundary()
	}
}

func (r *run) boundary() bool {
	at := r.pos + r.n
	if r.back {
		at = r.pos - r.n
	}
	if at < r.size && (r.in.AtStart || at <= 0) || r.n >= r.max || at >= len(r.in.Data) {
		return true
	}
	return r.word(at-r.size) != r.word(at)
}

func (r *run) word(at int) bool {
	d := r.in.Data
	if at < 0 || at >= len(d) || (r.size == 2 && (at+1 >= len(d) || d[at+1] != 0)) {
		return false
	}
	c := d[at]
	return c == '_' || c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z'
}
