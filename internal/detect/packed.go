package detect

import "hash/maphash"

// packed keeps states as bytes, without a pointer that the collector would
// follow: a hundred thousand sources of a flood cost it nothing. States are
// appended to pages; of one key the last counts. Over the limit the oldest page
// goes. What of it is still good is written again, if there is room, else it is
// forgotten.
type packed struct {
	page    int // bytes
	limit   int // pages
	keep    int // bytes that may be good in all pages before states are forgotten
	seed    maphash.Seed
	index   map[uint64]uint64 // hash of a key: page and place
	pages   [][]byte
	first   uint64 // number of pages[0]
	good    int    // bytes of states that count
	evicted int64
}

// maxPage is the size of a page where the limit allows for it: no state takes more.
const maxPage = 256 << 10

func newPacked(limit int) *packed {
	p := &packed{page: max(min(maxPage, limit/8), 1<<10), seed: maphash.MakeSeed()}
	p.limit = max(limit/p.page, 2)
	p.keep = p.limit * p.page / 4 * 3
	p.reset()
	return p
}

// reset forgets everything.
func (p *packed) reset() {
	p.first += uint64(len(p.pages))
	p.index, p.pages, p.good = map[uint64]uint64{}, nil, 0
}

// A state in a page: the lengths of key and data, two and three bytes, then both.
const packedHead = 5

// at gives the state at a place, and how many bytes it takes there.
func (p *packed) at(place uint64) (key, data []byte, size int) {
	page := uint64(p.page)
	b := p.pages[place/page-p.first][place%page:]
	k, n := int(b[0])|int(b[1])<<8, int(b[2])|int(b[3])<<8|int(b[4])<<16
	b = b[packedHead:]
	return b[:k], b[k:][:n], packedHead + k + n
}

// get gives the data of a key, to be read only until the next put.
func (p *packed) get(key []byte) (data []byte, ok bool) {
	place, ok := p.index[maphash.Bytes(p.seed, key)]
	if !ok {
		return nil, false
	}
	k, data, _ := p.at(place)
	return data, string(k) == string(key)
}

// put keeps the data of a key. What is too long is not kept.
func (p *packed) put(key, data []byte) {
	size := packedHead + len(key) + len(data)
	h := maphash.Bytes(p.seed, key)
	if place, ok := p.index[h]; ok {
		_, _, old := p.at(place)
		p.good -= old
		delete(p.index, h)
	}
	if size > p.page || len(key) > 0xffff {
		p.evicted++
		return
	}
	p.room(size)
	last := &p.pages[len(p.pages)-1]
	p.index[h] = (p.first+uint64(len(p.pages))-1)*uint64(p.page) + uint64(len(*last))
	p.good += size
	*last = append(*last, byte(len(key)), byte(len(key)>>8), byte(len(data)), byte(len(data)>>8), byte(len(data)>>16))
	*last = append(append(*last, key...), data...)
}

// room sees to it that the last page takes so many bytes more.
func (p *packed) room(size int) {
	if n := len(p.pages); n > 0 && len(p.pages[n-1])+size <= p.page {
		return
	}
	if len(p.pages) >= p.limit {
		p.drop(size)
		return
	}
	p.pages = append(p.pages, make([]byte, 0, p.page))
}

// drop turns the oldest page into the newest one, with what is good of it.
func (p *packed) drop(size int) {
	old := p.pages[0]
	fresh := old[:0] // what is written is always before what is read
	before, now := p.first*uint64(p.page), (p.first+uint64(len(p.pages)))*uint64(p.page)
	for at := 0; at < len(old); {
		key, _, n := p.at(before + uint64(at))
		h := maphash.Bytes(p.seed, key)
		if place, ok := p.index[h]; ok && place == before+uint64(at) {
			if p.good > p.keep || len(fresh)+n+size > p.page {
				delete(p.index, h)
				p.good -= n
				p.evicted++
			} else {
				p.index[h] = now + uint64(len(fresh))
				fresh = append(fresh, old[at:at+n]...)
			}
		}
		at += n
	}
	p.first++
	p.pages = append(p.pages[1:], fresh)
}
