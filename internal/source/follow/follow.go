// Package follow reads log files as they grow: through rotation (by rename,
// copytruncate, compression), truncation, recreation, a symbolic link that is
// pointed elsewhere, and restarts, without losing a line or giving one twice.
//
// The kernel tells of each write (inotify); nothing waits for a clock between a
// write and its delivery. Where the kernel does not tell (network file systems,
// no watches left) files are looked at four times a second, and that is said.
package follow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/line"
	"github.com/lapwing-defence/lapwing/internal/source/watch"
)

// Config is what New takes.
type Config struct {
	// Paths are absolute names of files; '*', '?' and '[…]' stand for names in
	// each part, as in path/filepath.Match.
	Paths  []string
	Format string // of the lines, as line.Line has it
	// FromStart reads what is in the files when the source is new; else it begins at their ends.
	FromStart bool
	Feed      *feed.Feed
	Log       *slog.Logger
	Poll      bool // look now and then, whatever the kernel can tell
}

const (
	maxFiles  = 1000        // followed at once, by all patterns of a source
	maxOld    = 128         // of them rotated away and still held open
	readSize  = 256 << 10   // bytes of one read
	maxBatch  = 2048        // lines of one batch
	turn      = 4 << 20     // bytes of one file before another has its turn
	settle    = time.Second // a rotated file's line without an end is taken as it is when nothing came for so long
	linger    = time.Minute // a rotated file that nobody wrote to for so long is let go of
	pollEvery = 250 * time.Millisecond
)

// Follower follows the files of one source.
type Follower struct {
	cfg   Config
	watch *watch.Watcher // nil: look now and then

	files map[ident]*file
	paths map[string]*file  // the file that a path was found to be, or was last
	gone  map[string]moment // of the file that was last at a path and was let go of
	past  []past            // files that were read and let go of, newest last
	dirs  map[int]*dir      // watched, by id
	byID  map[int]*file     // watched, by id
	dirty []*file
	fresh bool // the source is new: what is there now was there before it

	tree bool // directories may have changed
	// scanned is when the paths were last looked at; zero: not yet.
	scanned time.Time

	buf   []byte
	lines []line.Line
	pos   []byte
	hurt  map[string]string // path to what is wrong with it
}

// New makes a Follower that goes on where the feed's position is.
func New(cfg Config) (*Follower, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	f := &Follower{
		cfg: cfg, files: map[ident]*file{}, paths: map[string]*file{}, gone: map[string]moment{}, dirs: map[int]*dir{}, byID: map[int]*file{},
		hurt: map[string]string{}, buf: make([]byte, readSize), lines: make([]line.Line, 0, maxBatch), tree: true,
	}
	if len(cfg.Paths) == 0 {
		return nil, errors.New("no path to follow")
	}
	f.fresh = cfg.Feed.Position() == nil
	return f, nil
}

// Run follows until ctx ends; it returns nil then.
func (f *Follower) Run(ctx context.Context) error {
	defer f.close()
	if !f.cfg.Poll {
		w, err := watch.New()
		if err != nil {
			f.polled(err)
		} else {
			f.watch = w
			defer w.Close() //nolint:errcheck // nothing is lost by it
		}
	}
	if err := f.resume(ctx); err != nil {
		return quiet(ctx, err)
	}
	for {
		if err := f.work(ctx); err != nil {
			return quiet(ctx, err)
		}
		if err := f.wait(ctx); err != nil {
			return quiet(ctx, err)
		}
	}
}

// quiet is nil for an error that comes of ctx's end.
func quiet(ctx context.Context, err error) error {
	if ctx.Err() == nil {
		return err
	}
	return nil
}

// polled notes that the kernel does not tell of writes.
func (f *Follower) polled(err error) {
	f.cfg.Feed.Note(fmt.Sprintf("looks every %s: %v", pollEvery, err))
	f.cfg.Log.Warn("a source is not told of changes and looks now and then", "source", f.cfg.Feed.Name(), "every", pollEvery.String(), "error", err)
	if f.watch != nil {
		f.watch.Close() //nolint:errcheck // nothing is lost by it
		f.watch = nil
	}
	clear(f.byID)
	clear(f.dirs)
}

// work reads until there is nothing more to read.
func (f *Follower) work(ctx context.Context) error {
	for {
		if f.tree {
			f.tree = false
			if err := f.rescan(ctx); err != nil {
				return err
			}
		}
		if len(f.dirty) == 0 {
			break
		}
		one := f.dirty[0]
		f.dirty = f.dirty[1:]
		one.queued = false
		more, err := f.pump(ctx, one, turn)
		if err != nil {
			return err
		}
		if more {
			f.mark(one)
		}
	}
	return f.leave(ctx)
}

// mark queues a file to be read.
func (f *Follower) mark(one *file) {
	if !one.queued {
		one.queued = true
		f.dirty = append(f.dirty, one)
	}
}

// wait returns when something changed, or a rotated file is to be let go of.
func (f *Follower) wait(ctx context.Context) error {
	f.cfg.Feed.Behind(f.behind())
	var changed <-chan []watch.Event
	due := f.next()
	if f.watch != nil {
		changed = f.watch.C()
	} else if due == 0 || due > pollEvery {
		due = pollEvery
	}
	var tick <-chan time.Time
	if due > 0 {
		t := time.NewTimer(due)
		defer t.Stop()
		tick = t.C
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case events := <-changed:
		f.told(events)
		for range len(changed) {
			f.told(<-changed)
		}
	case <-tick:
		if f.watch == nil {
			f.all()
		}
	}
	return nil
}

// told marks what changed.
func (f *Follower) told(events []watch.Event) {
	for _, e := range events {
		one, d := f.byID[e.ID], f.dirs[e.ID]
		switch {
		case e.Overflow:
			f.all()
		case e.Gone:
			if one != nil {
				one.watch = -1
			}
			delete(f.byID, e.ID)
			delete(f.dirs, e.ID)
			f.tree = true
		case one != nil:
			f.mark(one)
		case d != nil && d.concerns(e.Name):
			f.tree = true
		}
	}
}

// all marks everything.
func (f *Follower) all() {
	f.tree = true
	for _, one := range f.files {
		f.mark(one)
	}
}

// behind is how many bytes of the files were not taken yet.
func (f *Follower) behind() (n int64) {
	for _, one := range f.files {
		if one.size > one.off {
			n += one.size - one.off
		}
	}
	return n
}

func (f *Follower) close() {
	for _, one := range f.files {
		one.close()
	}
}
