package nft

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Block drops packets from each prefix from now on, until its TTL is over. A
// block that stands gets the new TTL. The errors are one for each element,
// nil where it stands; nil when all do.
func (t *Table) Block(list []Element) []error {
	t.mu.Lock()
	defer t.mu.Unlock()
	errs := make([]error, len(list))
	groups := map[length][]int{}
	for i, e := range list {
		if errs[i] = t.admit(e); errs[i] == nil {
			groups[lengthOf(e.Prefix)] = append(groups[lengthOf(e.Prefix)], i)
		}
	}
	if !t.there {
		t.broken = t.rebuild()
	}
	for l, indexes := range groups {
		j := job{t: t, l: l, list: list, errs: errs}
		j.run(indexes)
	}
	if !slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return nil
	}
	return errs
}

// admit says why e cannot be blocked.
func (t *Table) admit(e Element) error {
	if err := Check(e.Prefix); err != nil {
		return err
	}
	if e.TTL < minTTL || e.TTL > MaxTTL {
		return ErrTTL
	}
	if covered(t.layout.allow, e.Prefix) {
		return ErrAllowed
	}
	l := lengthOf(e.Prefix)
	if !slices.Contains(t.layout.lengths, l) && len(t.layout.lengths) >= maxLengths {
		return fmt.Errorf("%w: blocks of %d lengths stand at once; use /%d or another of them", ErrFull, maxLengths, t.layout.lengths[0].bits)
	}
	return nil
}

// job is the work on the blocks of one length.
type job struct {
	t    *Table
	l    length
	list []Element
	errs []error
}

func (j *job) run(indexes []int) {
	t := j.t
	if !slices.Contains(t.layout.lengths, j.l) {
		t.layout.lengths = append(t.layout.lengths, j.l)
		slices.SortFunc(t.layout.lengths, length.compare)
		if err := t.write(false); err != nil {
			t.layout.lengths = slices.DeleteFunc(t.layout.lengths, func(l length) bool { return l == j.l })
			j.fail(indexes, err)
			return
		}
	}
	if t.blocks[j.l] == nil {
		t.blocks[j.l] = map[netip.Addr]time.Time{}
	}
	old, fresh := j.sort(indexes)
	for part := range slices.Chunk(old, perTransaction) {
		j.put(part, true)
	}
	full := false
	for part := range slices.Chunk(fresh, perTransaction) {
		if full {
			j.fail(part, unix.ENFILE)
			continue
		}
		full = j.put(part, false)
	}
}

// sort tells apart the blocks that stand and get another end, and those that
// are new and find room. It leaves out what stands like this already, and what
// is asked for twice: the last one counts.
func (j *job) sort(indexes []int) (old, fresh []int) {
	now := time.Now()
	m, most := j.t.blocks[j.l], j.t.layout.most(j.l)
	last := make(map[netip.Addr]int, len(indexes))
	for _, i := range indexes {
		last[j.list[i].Prefix.Addr()] = i
	}
	if len(m)+len(last) > most {
		sweep(m)
	}
	var full []int
	for _, i := range indexes {
		e := j.list[i]
		until, stands := m[e.Prefix.Addr()]
		switch {
		case last[e.Prefix.Addr()] != i, stands && until.After(now) && until.Sub(now.Add(e.TTL)).Abs() < alike:
		case stands:
			old = append(old, i)
		case len(m)+len(fresh) >= most:
			full = append(full, i)
		default:
			fresh = append(fresh, i)
		}
	}
	j.fail(full, unix.ENFILE)
	return old, fresh
}

// alike is how far ends of a block may differ that count as the same, so that
// those who tell us all again change nothing.
const alike = 500 * time.Millisecond

// put sets blocks in one step, or in halves where there is no room for all. It
// tells whether there was none for the last.
func (j *job) put(indexes []int, stand bool) (full bool) {
	t := j.t
	list := make([]Element, len(indexes))
	for n, i := range indexes {
		list[n] = j.list[i]
	}
	err := t.add(j.l, list, stand)
	if errors.Is(err, unix.ENOENT) { // somebody took the table away this moment
		if err = t.rebuild(); err == nil {
			t.repairs++
			err = t.add(j.l, list, stand)
		}
	}
	switch {
	case err == nil:
		now := time.Now()
		for _, e := range list {
			t.blocks[j.l][e.Prefix.Addr()] = now.Add(e.TTL)
		}
		t.broken = nil
		return false
	case !errors.Is(err, unix.ENFILE) || len(list) == 1:
		j.fail(indexes, err)
		return errors.Is(err, unix.ENFILE)
	}
	half := len(indexes) / 2 // the kernel holds more than we know of
	if j.put(indexes[:half], stand) {
		j.fail(indexes[half:], unix.ENFILE)
		return true
	}
	return j.put(indexes[half:], stand)
}

func (j *job) fail(indexes []int, err error) {
	if len(indexes) == 0 {
		return
	}
	if errors.Is(err, unix.ENFILE) {
		j.t.refused += uint64(len(indexes))
		err = fmt.Errorf("%w: it holds %d blocks of this length", ErrFull, j.t.layout.most(j.l))
	} else {
		err = fmt.Errorf("nftables: %w", err)
		j.t.broken = err
	}
	for _, i := range indexes {
		j.errs[i] = err
	}
}

// sweep forgets what ended.
func sweep(m map[netip.Addr]time.Time) {
	now := time.Now()
	for a, until := range m {
		if !until.After(now) {
			delete(m, a)
		}
	}
}

// Unblock ends blocks. One that does not stand is no error.
func (t *Table) Unblock(list []netip.Prefix) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.unblock(list)
}

func (t *Table) unblock(list []netip.Prefix) error {
	groups := map[length][]Element{}
	for _, p := range list {
		l := lengthOf(p)
		if !p.IsValid() || p != p.Masked() || !slices.Contains(t.layout.lengths, l) {
			continue
		}
		groups[l] = append(groups[l], Element{p, time.Second})
	}
	var errs []error
	for l, all := range groups {
		for part := range slices.Chunk(all, perTransaction) {
			if err := t.remove(l, part); err != nil {
				errs = append(errs, err)
				continue
			}
			for _, e := range part {
				delete(t.blocks[l], e.Prefix.Addr())
			}
		}
	}
	return errors.Join(errs...)
}

// remove deletes elements, whether they are there or not: an unknown one in a
// transaction would undo all of it, so each is added first.
func (t *Table) remove(l length, list []Element) error {
	t.w.batch()
	t.w.blocks(unix.NFT_MSG_NEWSETELEM, l, list)
	t.w.blocks(unix.NFT_MSG_DELSETELEM, l, list)
	t.w.commit()
	err := t.writer.transact(&t.w)
	switch {
	case errors.Is(err, unix.ENOENT): // the table is gone, and with it the block
		return nil
	case errors.Is(err, unix.ENFILE) && len(list) > 1:
		return errors.Join(t.remove(l, list[:len(list)/2]), t.remove(l, list[len(list)/2:]))
	case errors.Is(err, unix.ENFILE): // the set is full to the last: then it is there or never was
		t.w.batch()
		t.w.blocks(unix.NFT_MSG_DELSETELEM, l, list)
		t.w.commit()
		if err = t.writer.transact(&t.w); errors.Is(err, unix.ENOENT) {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("end a block: %w", err)
	}
	return nil
}

// Allow sets what is never blocked, in our mind and in the kernel, instead of
// what was set before. Blocks that lie in it end.
func (t *Table) Allow(list []netip.Prefix) error {
	for _, p := range list {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Addr().Zone() != "" {
			return fmt.Errorf("allow %s: %w", p, ErrPrefix)
		}
	}
	list = merged(list)
	if len(list) > maxAllow {
		return fmt.Errorf("allow %d networks: at most %d are possible; name wider ones", len(list), maxAllow)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.layout.allow
	t.layout.allow = list
	err := t.write(false)
	if errors.Is(err, unix.ENOENT) {
		err = t.rebuild()
	}
	if err != nil {
		t.layout.allow = before
		t.broken = err
		return fmt.Errorf("set the allow list: %w", err)
	}
	var end []netip.Prefix
	for l, m := range t.blocks {
		for a := range m {
			if p := netip.PrefixFrom(a, l.bits); covered(list, p) {
				end = append(end, p)
			}
		}
	}
	return t.unblock(end)
}

// Panic ends all blocks at once: it takes the table away. The next Block makes
// it again.
func (t *Table) Panic() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	clear(t.blocks)
	t.there = false
	t.w.batch()
	t.w.table(unix.NFT_MSG_NEWTABLE, unix.NLM_F_CREATE, t.layout.flags)
	t.w.table(unix.NFT_MSG_DELTABLE, 0, 0)
	t.w.commit()
	if err := t.writer.transact(&t.w); err != nil {
		t.broken = err
		return fmt.Errorf("take the table inet %s away: %w; `nft delete table inet %s` does it when lapwing is stopped", Name, err, Name)
	}
	t.broken = nil
	return nil
}

// repair puts the table back after somebody else changed it.
func (t *Table) repair() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.there {
		return // it is not to be there
	}
	t.repairs++
	t.broken = t.rebuild()
	t.log.Warn("another program changed the table of blocks, and it was put back", "table", "inet "+Name, "blocks", t.count(), "error", t.broken)
}

func (t *Table) count() int {
	n := 0
	for _, m := range t.blocks {
		sweep(m)
		n += len(m)
	}
	return n
}

// Stats gives the figures.
func (t *Table) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Stats{t.count(), t.layout.flags&tableOwner != 0, t.repairs, t.refused, t.broken}
}
