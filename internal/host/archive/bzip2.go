package archive

import (
	"hash/crc32"
	"math/bits"
	"sort"
)

const bzBlock = 90_000 // bytes of one block; the header says "1": 100,000

// bzWriter packs bits, most significant first.
type bzWriter struct {
	out  []byte
	acc  uint64
	have uint
}

func (w *bzWriter) bits(v uint64, n uint) {
	for n > 0 {
		k := min(n, 8)
		w.acc = w.acc<<k | v>>(n-k)&(1<<k-1)
		w.have += k
		n -= k
		for w.have >= 8 {
			w.out = append(w.out, byte(w.acc>>(w.have-8)))
			w.have -= 8
		}
	}
}

// bzCRC is bzip2's checksum: the zip polynomial, bits the other way around.
func bzCRC(data []byte) uint32 {
	rev := make([]byte, len(data))
	for i, b := range data {
		rev[i] = bits.Reverse8(b)
	}
	return bits.Reverse32(crc32.ChecksumIEEE(rev))
}

// Bzip2 compresses as bzip2 does, with one flat code table: valid, not small.
// step is asked to charge work; false stops.
func Bzip2(data []byte, step func(int64) bool) []byte {
	w := &bzWriter{out: []byte("BZh1")}
	total := uint32(0)
	for len(data) > 0 {
		n := min(len(data), bzBlock*4/5)
		part := data[:n]
		data = data[n:]
		if !step(int64(n)) {
			break
		}
		crc := bzCRC(part)
		total = (total<<1 | total>>31) ^ crc
		w.block(part, crc)
	}
	w.bits(0x177245385090, 48)
	w.bits(uint64(total), 32)
	if w.have > 0 {
		w.bits(0, 8-w.have)
	}
	return w.out
}

// runs writes four equal bytes as four and a count.
func runs(data []byte) []byte {
	var out []byte
	for i := 0; i < len(data); {
		j := i
		for j < len(data) && data[j] == data[i] && j-i < 255 {
			j++
		}
		for k := i; k < j && k < i+4; k++ {
			out = append(out, data[i])
		}
		if j-i >= 4 {
			out = append(out, byte(j-i-4))
		}
		i = j
	}
	return out
}

// rotate is the Burrows-Wheeler transform, by doubling the sorted prefix.
func rotate(data []byte) (last []byte, origin int) {
	n := len(data)
	order, rank, next := make([]int, n), make([]int, n), make([]int, n)
	for i := range order {
		order[i], rank[i] = i, int(data[i])
	}
	for k := 1; ; k *= 2 {
		key := func(i int) (int, int) { return rank[order[i]], rank[(order[i]+k)%n] }
		if k == 1 {
			key = func(i int) (int, int) { return rank[order[i]], rank[(order[i]+1)%n] }
		}
		sort.Slice(order, func(i, j int) bool {
			a, b := key(i)
			c, d := key(j)
			return a < c || a == c && b < d
		})
		r := 0
		for i := range order {
			if i > 0 {
				a, b := key(i - 1)
				if c, d := key(i); a != c || b != d {
					r++
				}
			}
			next[order[i]] = r
		}
		rank, next = next, rank
		if r == n-1 || k >= n {
			break
		}
	}
	last = make([]byte, n)
	for i, o := range order {
		last[i] = data[(o+n-1)%n]
		if o == 0 {
			origin = i
		}
	}
	return last, origin
}

func (w *bzWriter) block(part []byte, crc uint32) {
	last, origin := rotate(runs(part))
	w.bits(0x314159265359, 48)
	w.bits(uint64(crc), 32)
	w.bits(0, 1)
	w.bits(uint64(origin), 24)
	var used [256]bool
	for _, b := range last {
		used[b] = true
	}
	var alphabet []byte
	groups := uint64(0)
	for i, u := range used {
		if u {
			alphabet = append(alphabet, byte(i))
			groups |= 1 << (15 - i/16)
		}
	}
	w.bits(groups, 16)
	for g := range 16 {
		if groups>>(15-g)&1 == 0 {
			continue
		}
		m := uint64(0)
		for i := range 16 {
			if used[g*16+i] {
				m |= 1 << (15 - i)
			}
		}
		w.bits(m, 16)
	}
	w.symbols(moveToFront(last, alphabet), len(alphabet)+2)
}

// moveToFront gives the symbols of a block: runs of zero in base 2, then the end.
func moveToFront(last, alphabet []byte) []int {
	list := append([]byte(nil), alphabet...)
	var out []int
	zeros := 0
	flush := func() {
		for zeros > 0 {
			zeros--
			out = append(out, zeros&1)
			zeros >>= 1
		}
	}
	for _, b := range last {
		at := 0
		for list[at] != b {
			at++
		}
		if at == 0 {
			zeros++
			continue
		}
		flush()
		copy(list[1:at+1], list[:at])
		list[0] = b
		out = append(out, at+1)
	}
	flush()
	return append(out, len(alphabet)+1)
}

func (w *bzWriter) symbols(syms []int, size int) {
	long := uint(bits.Len(uint(size - 1)))
	short := 1<<long - size // symbols with one bit less
	length := func(s int) uint {
		if s < short {
			return long - 1
		}
		return long
	}
	selectors := (len(syms) + 49) / 50
	w.bits(2, 3)
	w.bits(uint64(selectors), 15)
	w.bits(0, uint(selectors))
	for range 2 {
		cur := length(0)
		w.bits(uint64(cur), 5)
		for s := range size {
			if length(s) > cur {
				w.bits(0b10, 2)
				cur++
			}
			w.bits(0, 1)
		}
	}
	for _, s := range syms {
		if s < short {
			w.bits(uint64(s), long-1)
			continue
		}
		w.bits(uint64(2*short+s-short), long)
	}
}
