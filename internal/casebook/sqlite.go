package casebook

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"sync"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// SQLite is the Book in one file. One process may have it open; holding that
// lock is the caller's part.
type SQLite struct {
	file string
	w, r *sql.DB    // one writer, several readers
	mu   sync.Mutex // one write at a time

	packer  packer   // under mu
	shelves *shelves // as the last write left them, nil: not read; under mu
	chunks  *sql.Stmt
}

var _ Book = (*SQLite)(nil)

const readers = 4 // connections

// Config is what Open takes.
type Config struct {
	File  string
	Check bool // look through the whole file for damage first
}

// Open opens the casebook, which it makes if there is none. Close ends it.
// The error wraps ErrDamaged, ErrNewer or ErrNoRoom where it is one of these.
func Open(ctx context.Context, cfg Config) (*SQLite, error) {
	if f, err := os.OpenFile(cfg.File, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return nil, fmt.Errorf("open the casebook: %w", err)
	} else if err := f.Close(); err != nil {
		return nil, fmt.Errorf("open the casebook: %w", err)
	}
	b := &SQLite{file: cfg.File}
	dsn := func(more string) string {
		// FULL: a commit returns after the sync. secure_delete: what is gone is
		// overwritten in the file, too.
		return "file:" + (&url.URL{Path: cfg.File}).EscapedPath() + "?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_pragma=secure_delete(ON)&_pragma=trusted_schema(OFF)&_pragma=cell_size_check(ON)" + more
	}
	var err error
	if b.w, err = sql.Open("sqlite", dsn("&_pragma=cache_size(-48000)&_pragma=wal_autocheckpoint(8000)&_txlock=immediate")); err != nil {
		return nil, b.wrap("open the casebook", err)
	}
	b.w.SetMaxOpenConns(1)
	if b.r, err = sql.Open("sqlite", dsn("&_pragma=query_only(ON)&_pragma=cache_size(-4000)")); err != nil {
		b.w.Close() //nolint:errcheck // the other error is told
		return nil, b.wrap("open the casebook", err)
	}
	b.r.SetMaxOpenConns(readers)
	if err = migrate(ctx, b.w, cfg.File); err == nil && cfg.Check {
		err = b.check(ctx)
	}
	if err == nil {
		b.chunks, err = b.r.PrepareContext(ctx, readChunk)
	}
	if err != nil {
		b.Close() //nolint:errcheck // the other error is told
		return nil, b.wrap("open the casebook", err)
	}
	return b, nil
}

// check looks for damage.
func (b *SQLite) check(ctx context.Context) error {
	var said string
	if err := b.w.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&said); err != nil {
		return err
	}
	if said != "ok" {
		return DamagedError{b.file, errors.New(said)}
	}
	return nil
}

// Close implements Book.
func (b *SQLite) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.chunks != nil {
		b.chunks.Close() //nolint:errcheck // so do its connections
	}
	b.packer.close()
	return errors.Join(b.r.Close(), b.w.Close()) // the last one empties the write-ahead log
}

// wrap makes an error that says what to do.
func (b *SQLite) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT:
			err = DamagedError{b.file, err}
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR:
			err = fmt.Errorf("%w: %w; free some space there", ErrNoRoom, err)
		case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_CANTOPEN:
			err = fmt.Errorf("%w: %s must belong to the user that lapwing runs as", err, b.file)
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// write runs fn in one transaction.
func (b *SQLite) write(ctx context.Context, what string, fn func(*sql.Tx) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	tx, err := b.w.BeginTx(ctx, nil)
	if err == nil {
		if err = fn(tx); err == nil {
			err = tx.Commit()
		} else {
			tx.Rollback() //nolint:errcheck // the other error is told
		}
	}
	if err != nil {
		b.shelves = nil // they are read anew
	}
	return b.wrap(what, b.damage(err))
}

// Copy implements Book.
func (b *SQLite) Copy(ctx context.Context, file string) error {
	if _, err := os.Lstat(file); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("copy the casebook: %s exists", file)
	}
	_, err := b.w.ExecContext(ctx, "VACUUM INTO ?", file)
	return b.wrap("copy the casebook", err)
}
