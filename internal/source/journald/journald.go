// Package journald reads systemd's journal from its files as they grow, without
// systemd's library and without running a program.
package journald

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/line"
	"github.com/lapwing-defence/lapwing/internal/source/watch"
)

// Format is the word for the lines: entries of the journal's export format.
const Format = "journal"

// Config is what New takes.
type Config struct {
	// Dirs hold journal files, or directories of them; none: where systemd keeps them.
	Dirs []string
	// Units and Identifiers (sshd, sudo) say which entries are wanted: those of one
	// of either. None of both: all.
	Units, Identifiers []string
	FromStart          bool // read what is there when the source is new
	Feed               *feed.Feed
	Log                *slog.Logger
}

// lookEvery is how often the number of entries is read from the files that grow:
// journald writes by mmap and lets the kernel tell of it only four times a second.
// Eight bytes are read each time.
const lookEvery = 5 * time.Millisecond

const (
	listEvery = time.Second // between two looks for new files where nobody tells of them
	maxFiles  = 256
	maxBatch  = 512
	maxList   = 10_000
)

// Reader reads the journal.
type Reader struct {
	cfg   Config
	files map[[16]byte]*file
	pos   position
	watch *watch.Watcher
	lines []line.Line
	hurt  map[string]string
	fresh bool
}

// position is where the source goes on.
type position struct {
	Since uint64          `json:"since"` // µs since 1970: files that end before are not read
	Files map[string]mark `json:"files"` // by the id of the file
}

type mark struct {
	Read uint64 `json:"read"` // entries
	Seq  uint64 `json:"seq"`  // number of the last one
}

// New makes a Reader that goes on where the feed's position is.
func New(cfg Config) (*Reader, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if len(cfg.Dirs) == 0 {
		cfg.Dirs = []string{"/var/log/journal", "/run/log/journal"}
	}
	r := &Reader{cfg: cfg, files: map[[16]byte]*file{}, hurt: map[string]string{}, pos: position{Files: map[string]mark{}}}
	data := cfg.Feed.Position()
	if r.fresh = data == nil; !r.fresh {
		if err := json.Unmarshal(data, &r.pos); err != nil || r.pos.Files == nil {
			return nil, fmt.Errorf("read the position of source %s: %w; remove its files below sources/ in the data directory to begin anew", cfg.Feed.Name(), cmp.Or(err, errPosition))
		}
	}
	return r, nil
}

// Run reads until ctx ends; it returns nil then.
func (r *Reader) Run(ctx context.Context) error {
	defer r.closeAll()
	var changed <-chan []watch.Event
	if w, err := watch.New(); err == nil {
		r.watch, changed = w, w.C()
		defer w.Close() //nolint:errcheck // nothing is lost by it
	}
	if err := r.begin(ctx); err != nil {
		return err
	}
	look, list := time.NewTicker(lookEvery), time.NewTicker(listEvery)
	defer look.Stop()
	defer list.Stop()
	for {
		if err := r.read(ctx); err != nil {
			if ctx.Err() == nil {
				return err
			}
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
		case <-changed:
			r.find()
		case <-list.C:
			if r.watch == nil || len(r.files) == 0 {
				r.find()
			}
		}
	}
}

// begin finds the files; a new source begins at their ends.
func (r *Reader) begin(ctx context.Context) error {
	if r.fresh && !r.cfg.FromStart {
		r.pos.Since = uint64(r.cfg.Feed.Now().UnixMicro())
	}
	r.find()
	if r.fresh && !r.cfg.FromStart {
		for _, f := range r.files {
			if n, err := f.entries(); err == nil {
				f.skip(n)
				r.pos.Files[hex.EncodeToString(f.id[:])] = mark{f.read, 0}
			}
		}
	}
	maps.DeleteFunc(r.pos.Files, func(id string, _ mark) bool { // of files that are no more
		for have := range r.files {
			if hex.EncodeToString(have[:]) == id {
				return false
			}
		}
		return true
	})
	r.fresh = false
	if err := r.cfg.Feed.Give(ctx, nil, r.position()); err != nil {
		return err
	}
	r.cfg.Feed.Begin()
	return nil
}

// find opens the files that are there and not open.
func (r *Reader) find() {
	seen := map[[16]byte]bool{}
	some := false
	for _, dir := range r.dirs() {
		list, err := readNames(dir)
		if err != nil {
			r.trouble(dir, err)
			continue
		}
		delete(r.hurt, dir)
		for _, name := range list {
			if filepath.Ext(name) != ".journal" {
				continue
			}
			some = true
			if f := r.open(filepath.Join(dir, name)); f != nil {
				seen[f.id] = true
			}
		}
	}
	for id, f := range r.files { // gone, and read to its end
		if n, err := f.entries(); !seen[id] && (err != nil || f.dead || f.read >= n) {
			f.close() //nolint:errcheck // it was only read
			delete(r.files, id)
			delete(r.pos.Files, hex.EncodeToString(id[:]))
		}
	}
	if !some && len(r.hurt) == 0 {
		r.trouble("", errors.New("no journal is kept in "+strings.Join(r.cfg.Dirs, " or ")+"; is systemd-journald at work here?"))
	} else if some {
		delete(r.hurt, "")
	}
	r.complain()
}

// dirs are the directories that hold files, watched.
func (r *Reader) dirs() (out []string) {
	for _, d := range r.cfg.Dirs {
		list, err := readNames(d)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		all := []string{d}
		for _, name := range list {
			sub := filepath.Join(d, name)
			if st, err := os.Stat(sub); err == nil && st.IsDir() {
				all = append(all, sub)
			}
		}
		for _, d := range all {
			if r.watch != nil {
				r.watch.Dir(d) //nolint:errcheck // then it is looked at each second
			}
		}
		out = append(out, all...)
	}
	return out
}

// open opens a file that is not open yet; nil where there is nothing to read.
func (r *Reader) open(path string) *file {
	st, err := os.Stat(path)
	if err != nil {
		return nil
	}
	for _, f := range r.files {
		if os.SameFile(f.info, st) {
			f.path = path
			return f
		}
	}
	src, err := os.Open(path)
	if err != nil {
		r.trouble(path, err)
		return nil
	}
	f, err := open(src)
	if err == nil && r.files[f.id] != nil || len(r.files) >= maxFiles {
		err = errors.New("a copy of a file that is read already, or one too many")
	}
	if err != nil {
		src.Close() //nolint:errcheck // it was only read
		if errors.Is(err, errFormat) && st.Size() >= headerSize {
			r.trouble(path, err)
		}
		return nil
	}
	delete(r.hurt, path)
	f.close, f.path, f.info = src.Close, path, st
	if !r.resume(f) {
		src.Close() //nolint:errcheck // as above
		return nil
	}
	r.files[f.id] = f
	return f
}

const atTailRealtime = 192

// resume goes to where a file was read to; false: it is older than the source.
func (r *Reader) resume(f *file) bool {
	m, ok := r.pos.Files[hex.EncodeToString(f.id[:])]
	if !ok {
		if r.fresh && strings.Contains(filepath.Base(f.path), "@") && !r.cfg.FromStart {
			return false
		}
		last, err := f.offset8(atTailRealtime)
		return r.fresh || err == nil && (last == 0 || last >= r.pos.Since)
	}
	f.skip(m.Read)
	f.seq = m.Seq
	return true
}

// read hands over what is new.
func (r *Reader) read(ctx context.Context) error {
	for _, f := range r.files {
		for !f.dead {
			n, err := f.entries()
			if err != nil || f.read >= n {
				break
			}
			before := f.read
			err = r.batch(ctx, f, n)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				r.trouble(f.path, fmt.Errorf("read %s: %w; the rest of it is left out", f.path, err))
				r.complain()
				f.dead = true
				break
			}
			if f.read == before { // it is being written
				break
			}
		}
	}
	return nil
}

// batch hands over at most maxBatch entries.
func (r *Reader) batch(ctx context.Context, f *file, n uint64) error {
	r.lines = r.lines[:0]
	var broken error
	for f.read < n && len(r.lines) < maxBatch {
		e, ok, err := f.take()
		if err != nil {
			broken = err
			break
		}
		if !ok {
			break
		}
		if text, cut := r.export(f, &e); len(text) > 0 {
			l := line.Line{Text: text, Format: Format, Received: r.cfg.Feed.Now(), Cut: cut}
			copy(l.Mark[:8], f.id[:])
			binary.BigEndian.PutUint64(l.Mark[8:], e.seq)
			r.lines = append(r.lines, l)
		}
	}
	r.pos.Files[hex.EncodeToString(f.id[:])] = mark{f.read, f.seq}
	if err := r.cfg.Feed.Give(ctx, r.lines, r.position()); err != nil {
		return err
	}
	return broken
}

func (r *Reader) position() []byte {
	data, _ := json.Marshal(r.pos)
	return data
}

// export writes an entry in the journal's export format; nothing where it is not
// wanted. What does not fit, or cannot be read, is left out, and cut says so.
func (r *Reader) export(f *file, e *entry) (text []byte, cut bool) {
	text = append(strconv.AppendUint(append(make([]byte, 0, 1024), "__REALTIME_TIMESTAMP="...), e.realtime, 10), '\n')
	wanted := len(r.cfg.Units) == 0 && len(r.cfg.Identifiers) == 0
	for _, at := range e.items {
		data, short, err := f.field(at)
		name, value, ok := bytes.Cut(data, []byte{'='})
		if err != nil || !ok || !fieldName(name) {
			cut = true
			continue
		}
		wanted = wanted || r.wants(name, value)
		room := line.MaxText - len(text) - len(name) - 12
		if room < 0 {
			cut = true
			continue
		}
		if short || len(value) > room {
			value, cut = value[:min(len(value), room)], true
		}
		text = appendField(text, name, value)
	}
	if !wanted {
		return nil, false
	}
	return append(text, '\n'), cut
}

func (r *Reader) wants(name, value []byte) bool {
	switch string(name) {
	case "_SYSTEMD_UNIT", "UNIT":
		return slices.Contains(r.cfg.Units, string(value))
	case "SYSLOG_IDENTIFIER":
		return slices.Contains(r.cfg.Identifiers, string(value))
	}
	return false
}

// fieldName tells whether a name can stand in the export format.
func fieldName(b []byte) bool {
	return len(b) > 0 && len(b) <= 64 && len(bytes.Trim(b, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")) == 0
}

// appendField appends NAME=value, or where that has line breaks in it NAME, its
// length and the bytes.
func appendField(dst, name, value []byte) []byte {
	dst = append(dst, name...)
	if bytes.IndexByte(value, '\n') < 0 {
		return append(append(append(dst, '='), value...), '\n')
	}
	dst = binary.LittleEndian.AppendUint64(append(dst, '\n'), uint64(len(value)))
	return append(append(dst, value...), '\n')
}

func readNames(dir string) ([]string, error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close() //nolint:errcheck // it was only read
	list, err := d.Readdirnames(maxList)
	if len(list) > 0 {
		err = nil
	}
	slices.Sort(list)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return list, err
}

// trouble notes what is wrong with a path.
func (r *Reader) trouble(path string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		err = fmt.Errorf("%w; add the user that lapwing runs as to the group systemd-journal (usermod -aG systemd-journal USER) and start it anew", err)
	}
	r.hurt[path] = err.Error()
}

func (r *Reader) complain() {
	if len(r.hurt) == 0 {
		r.cfg.Feed.Trouble(nil)
		return
	}
	var paths []string
	for p := range r.hurt {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	r.cfg.Feed.Trouble(errors.New(r.hurt[paths[0]]))
}

func (r *Reader) closeAll() {
	for _, f := range r.files {
		f.close() //nolint:errcheck // it was only read
	}
}
