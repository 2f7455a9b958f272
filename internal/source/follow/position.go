package follow

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// The position of a source is one JSON object a line: when its paths were looked
// at, then for each file that is followed where it goes on, then files that were
// read to their ends.

// record is one line of it.
type record struct {
	Looked int64 `json:"looked,omitempty"` // ns since 1970; then nothing else is in it

	Path  string `json:"path,omitempty"`
	Dev   uint64 `json:"dev"`
	Ino   uint64 `json:"ino"`
	Born  int64  `json:"born,omitempty"`
	Off   int64  `json:"off"`
	N     int    `json:"n"` // first bytes by which it is known again…
	Sum   string `json:"sum,omitempty"`
	Epoch int    `json:"epoch,omitempty"`
	Skip  bool   `json:"skip,omitempty"`
	Away  bool   `json:"away,omitempty"` // it is at no path any more
	Past  bool   `json:"past,omitempty"` // it was read to its end
	At    int64  `json:"at,omitempty"`   // ns since 1970, when this was written
}

// imprint knows a file again by its first bytes.
type imprint struct {
	n   int
	sum string
}

func printOf(head []byte) imprint {
	if len(head) == 0 {
		return imprint{}
	}
	s := sha256.Sum256(head)
	return imprint{len(head), hex.EncodeToString(s[:8])}
}

// is tells whether head begins as the file did.
func (p imprint) is(head []byte) bool {
	return p.n > 0 && len(head) >= p.n && printOf(head[:p.n]) == p
}

// past is a file that was read to its end.
type past struct {
	id    ident
	print imprint
	// copied says that it was truncated, so that a copy of it may lie about.
	copied bool
}

const maxPast = 32

// remember keeps what tells a file that was read when it is met again.
func (f *Follower) remember(one *file, copied bool) {
	f.past = append(f.past, past{one.id, printOf(one.head), copied})
	if n := len(f.past) - maxPast; n > 0 {
		f.past = slices.Delete(f.past, 0, n)
	}
}

// before remembers what lies beside path already: it was read by whoever read
// the log before us, or never will be.
func (f *Follower) before(path string) {
	list := beside(path)
	for _, c := range list[:min(len(list), maxPast/4)] {
		if id, err := identifyName(c.name); err == nil {
			f.past = append(f.past, past{id: id})
		}
	}
	f.past = f.past[max(0, len(f.past)-maxPast):]
}

// remembers tells whether a file was read before: as itself, or packed or copied.
func (f *Follower) remembers(one *file) bool {
	for _, p := range f.past {
		if p.id == one.id && !p.copied || p.print.is(one.head) && (p.copied || one.file == nil) {
			return true
		}
	}
	if one.file != nil {
		return false
	}
	for _, o := range f.files { // followed, and packed meanwhile
		if o != one && printOf(o.head).is(one.head) {
			return true
		}
	}
	return false
}

// position words where the source goes on.
func (f *Follower) position() []byte {
	f.pos = strconv.AppendInt(append(f.pos[:0], `{"looked":`...), f.scanned.UnixNano(), 10)
	f.pos = append(f.pos, '}', '\n')
	for _, one := range f.files {
		if one.record == nil {
			p := printOf(one.head)
			r := record{
				Path: one.path, Dev: one.id.dev, Ino: one.id.ino, Born: one.id.born, Off: one.off, N: p.n, Sum: p.sum,
				Epoch: one.epoch, Skip: one.skip, Away: !one.rotated.IsZero(), At: f.cfg.Feed.Now().UnixNano(),
			}
			one.record, _ = json.Marshal(r)
		}
		f.pos = append(append(f.pos, one.record...), '\n')
	}
	for _, p := range f.past {
		data, _ := json.Marshal(record{Dev: p.id.dev, Ino: p.id.ino, Born: p.id.born, N: p.print.n, Sum: p.print.sum, Past: true, Skip: p.copied})
		f.pos = append(append(f.pos, data...), '\n')
	}
	return f.pos
}

// resume finds the files of the position again.
func (f *Follower) resume(ctx context.Context) error {
	var recs []record
	for l := range bytes.Lines(f.cfg.Feed.Position()) {
		var r record
		if err := json.Unmarshal(l, &r); err != nil {
			return fmt.Errorf("read the position of source %s: %w; remove its files below sources/ in the data directory to begin anew", f.cfg.Feed.Name(), err)
		}
		if r.Looked != 0 {
			f.scanned = time.Unix(0, r.Looked)
			continue
		}
		recs = append(recs, r)
	}
	for _, r := range recs {
		if r.Past {
			f.past = append(f.past, past{ident{r.Dev, r.Ino, r.Born}, imprint{r.N, r.Sum}, r.Skip})
		}
	}
	for _, r := range recs {
		if r.Past {
			continue
		}
		if err := f.find(ctx, &r); err != nil {
			return err
		}
	}
	at := map[string][]*file{}
	for _, one := range f.files {
		at[one.path] = append(at[one.path], one)
	}
	for path, files := range at { // what one of them still has is read before the next
		inOrder(files, f.paths[path], beside(path))
		chain(nil, files...)
	}
	return nil
}

// find goes on with one file of the position: where it was, under a name that
// rotation gave it, or packed.
func (f *Follower) find(ctx context.Context, r *record) error {
	id := ident{r.Dev, r.Ino, r.Born}
	one := f.at(r.Path, id)
	for _, c := range beside(r.Path) {
		if one != nil {
			break
		}
		if compression(c.name) == "" {
			one = f.at(c.name, id)
		}
	}
	if one == nil {
		return f.findPacked(ctx, r, id)
	}
	one.off, one.epoch, one.skip, one.path = r.Off, r.Epoch, r.Skip, r.Path
	one.begin()
	f.add(one)
	head := make([]byte, r.N)
	n, _ := one.src.ReadAt(head, 0)
	if r.N > 0 && !(imprint{r.N, r.Sum}).is(head[:n]) || one.size < r.Off {
		one.head = nil
		if err := f.lostHead(ctx, one, r); err != nil {
			return err
		}
	} else {
		one.head = head[:n]
	}
	if !r.Away {
		f.paths[r.Path] = one
	}
	return nil
}

// at opens path if the file there is id.
func (f *Follower) at(path string, id ident) *file {
	one, known, err := f.open(path)
	if err != nil || known {
		return nil
	}
	if one.id != id {
		one.forget(f)
		return nil
	}
	return one
}

// lostHead begins a file anew that was truncated while nobody looked, after
// what a copy of it still has.
func (f *Follower) lostHead(ctx context.Context, one *file, r *record) error {
	was := imprint{r.N, r.Sum}
	for _, c := range beside(one.path) {
		if c.st.ModTime().UnixNano() < r.At-int64(time.Minute) {
			break
		}
		copied, known, err := f.openCandidate(c)
		if err != nil || known {
			continue
		}
		head := copied.head
		copied.forget(f)
		if was.is(head) {
			one.head = head[:r.N]
			break
		}
	}
	return f.restart(ctx, one)
}

// findPacked goes on with a file that is not there any more in a packed copy,
// and remembers when it was there where there is none.
func (f *Follower) findPacked(ctx context.Context, r *record, id ident) error {
	was := imprint{r.N, r.Sum}
	gone := &file{id: id, path: r.Path, off: r.Off, epoch: r.Epoch, skip: r.Skip, watch: -1}
	gone.begin()
	for _, c := range beside(r.Path) {
		one, known, err := f.openCandidate(c)
		if err != nil || known {
			continue
		}
		if !was.is(one.head) {
			one.forget(f)
			continue
		}
		one.off, one.epoch, one.skip, one.mark = gone.off, gone.epoch, gone.skip, gone.mark
		one.rotated = f.cfg.Feed.Now()
		one.id = id
		f.files[id] = one
		more := true
		for more && err == nil {
			more, err = f.take(ctx, one, turn, true)
		}
		if err != nil {
			return err
		}
		f.remember(one, false)
		one.closed = true
		delete(f.files, id)
		one.forget(f)
		return f.afterGone(r)
	}
	if !r.Away {
		f.cfg.Log.Warn("a log file went while nobody followed it; what it had beyond this is not known", "source", f.cfg.Feed.Name(), "path", r.Path, "bytes", r.Off)
	}
	return f.afterGone(r)
}

// afterGone opens what was at the path of a file that is gone since then.
func (f *Follower) afterGone(r *record) error {
	if r.Away {
		return nil
	}
	list := f.missed(r.Path, moment{born: r.Born, wrote: r.At}, nil)
	if len(list) == 0 {
		return nil
	}
	chain(nil, list...)
	f.paths[r.Path] = list[len(list)-1]
	return nil
}
