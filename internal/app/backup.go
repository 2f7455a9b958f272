//go:build unix

package app

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	slash "path"
	"path/filepath"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/durable"
)

// backupFormat is the version of what postBackup writes.
const backupFormat = 1

const backupFile = "lapwing-backup.json"

// backupHead is the first file of a backup.
type backupHead struct {
	Format   int       `json:"format"`
	Made     time.Time `json:"made"`
	EventLog bool      `json:"event_log"` // false where an external one keeps the events
}

// postBackup gives the whole data directory, consistent while it runs: the
// journal is held and taken after what was read from it, so that what the
// copies of casebook and event log lack is judged and kept anew after a restore.
func (k *desk) postBackup(w io.Writer, r *http.Request) error {
	ctx := r.Context()
	k.acts.Lock()
	defer k.acts.Unlock()
	act := casebook.Act{At: time.Now(), Who: r.URL.Query().Get("who"), Act: "backup", Result: "begun"}
	if err := k.book.Note(ctx, act); err != nil {
		return err
	}
	s, err := k.dir.loadStorage()
	if err != nil {
		return err
	}
	hold := k.holds.Hold(k.spool.Start())
	defer hold.Drop() //nolint:errcheck // the keeper tells
	p, err := newPack(w, k.dir)
	if err != nil {
		return err
	}
	head, err := json.Marshal(backupHead{backupFormat, time.Now().UTC(), s.URL == ""})
	if err != nil {
		return err
	}
	if err := p.add(backupFile, int64(len(head)), time.Now(), bytes.NewReader(head)); err != nil {
		return err
	}
	for _, f := range []func(context.Context, *pack) error{k.packBook, k.packEventLog, k.packRest} {
		if err := f(ctx, p); err != nil {
			return fmt.Errorf("back up: %w", err)
		}
	}
	return p.close()
}

// packBook takes the casebook and how far the event log is.
func (k *desk) packBook(ctx context.Context, p *pack) error {
	for _, name := range []string{k.dir.kept(), k.dir.storage()} {
		if err := p.file(filepath.Base(name), name); err != nil {
			return err
		}
	}
	tmp := k.dir.bookCopy()
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer os.Remove(tmp) //nolint:errcheck // openArchive removes it
	if err := k.book.Copy(ctx, tmp); err != nil {
		return err
	}
	return p.file("casebook.db", tmp)
}

// packEventLog takes a snapshot of the embedded event log.
func (k *desk) packEventLog(ctx context.Context, p *pack) error {
	s, err := k.dir.loadStorage()
	if err != nil || s.URL != "" {
		return err
	}
	return k.log.Snapshot(ctx, func(path string) error {
		rel, err := filepath.Rel(k.dir.eventLog(), path)
		if err != nil || !filepath.IsLocal(rel) {
			return fmt.Errorf("the event log's snapshot %q is not below %q", path, k.dir.eventLog())
		}
		// partitions/20260506/snapshots/NAME holds what belongs in partitions/20260506.
		base, _, ok := strings.Cut(filepath.ToSlash(rel), "/snapshots/")
		if !ok {
			return fmt.Errorf("the event log's snapshot %q is of an unknown form", path)
		}
		return p.tree("eventlog/"+base, path)
	})
}

// packRest takes what only grows: the journal before what its events tell of.
func (k *desk) packRest(_ context.Context, p *pack) error {
	for _, dir := range []string{"journal", "recordings", "captures", "visitors", "held", "keys", "persona", "tokens"} {
		if err := p.tree(dir, k.dir.Path(dir)); err != nil {
			return err
		}
	}
	return p.file(filepath.Base(k.dir.aside()), k.dir.aside())
}

// tree adds the regular files below a directory; one that is gone meanwhile is
// left out, and so are files that are just being written.
func (p *pack) tree(name, dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() || strings.HasPrefix(d.Name(), ".new-") || d.Name() == sumsFile {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return p.file(slash.Join(name, filepath.ToSlash(rel)), path)
	})
}

var errNotEmpty = errors.New("not empty")

// Restore puts a backup into an empty or absent data directory. It checks
// every sum before anything is in its place.
func (d Dir) Restore(ctx context.Context, r io.Reader) (files int, err error) {
	if err := d.vacant(); err != nil {
		return 0, fmt.Errorf("restore into %s: %w", d, err)
	}
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	tmp, err := os.MkdirTemp(string(d), ".restore-*")
	if err != nil {
		return 0, fmt.Errorf("restore: %w", err)
	}
	defer os.RemoveAll(tmp) //nolint:errcheck // what is left is not in its place
	files, err = Unpack(ctx, r, tmp)
	if err != nil {
		return 0, fmt.Errorf("restore: %w; nothing was put in place", err)
	}
	data, err := os.ReadFile(filepath.Join(tmp, backupFile))
	var head backupHead
	if err == nil {
		err = json.Unmarshal(data, &head)
	}
	if err != nil {
		return 0, fmt.Errorf("restore: this is no backup of lapwing: %w", err)
	}
	if head.Format != backupFormat {
		return 0, fmt.Errorf("restore: the backup has format %d, this program knows %d; use a newer lapwing", head.Format, backupFormat)
	}
	return files, d.settle(ctx, tmp)
}

// vacant says why nothing may be restored into d.
func (d Dir) vacant() error {
	list, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(list) > 0 {
		return fmt.Errorf("the directory is %w: name another with --data DIR, or move its content away", errNotEmpty)
	}
	return nil
}

// settle moves what was unpacked into its place, the keys last: without them
// the directory counts as unused.
func (d Dir) settle(ctx context.Context, tmp string) error {
	list, err := os.ReadDir(tmp)
	if err != nil {
		return err
	}
	move := func(name string) error {
		return os.Rename(filepath.Join(tmp, name), d.Path(name))
	}
	for _, e := range list {
		if n := e.Name(); n != "keys" && n != backupFile && n != sumsFile {
			if err := move(n); err != nil {
				return fmt.Errorf("restore: %w", err)
			}
		}
	}
	if err := move("keys"); err != nil {
		return fmt.Errorf("restore: the backup holds no keys: %w", err)
	}
	if err := d.Create(); err != nil {
		return err
	}
	book, err := casebook.Open(ctx, casebook.Config{File: d.casebook(), Check: true})
	if err != nil {
		return err
	}
	err = book.Note(ctx, casebook.Act{At: time.Now(), Who: operator(), Act: "restore", Result: "success"})
	return errors.Join(err, book.Close(), durable.SyncDir(string(d)))
}
