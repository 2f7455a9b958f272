package scan

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"
)

// A cache file is the magic, the 32 bytes that name the rules, and 16 bytes for
// each clean file: the beginning of the SHA-256 of device, inode, size,
// modification and change time, as eight-byte big-endian numbers, the times in
// nanoseconds. A torn end is cut off.
const (
	cacheMagic   = "LWSC1\n\x00\x00"
	cacheHead    = len(cacheMagic) + sha256.Size
	cacheRecord  = 16
	cacheEntries = 4 << 20 // then it begins anew
	cacheFlush   = 4096    // records held before they are written
	cacheSettled = 2 * time.Second
)

var errNotCache = errors.New("it is not the cache of a scan; give another name, or remove it")

// Cache remembers which files were looked at to the end with nothing found, so
// that an interrupted or repeated scan need not look at them again. A file is
// known by its identity (Identity), so whoever can set the clock or write the
// cache file can hide from it. It is safe for concurrent use.
type Cache struct {
	mu    sync.Mutex
	f     *os.File
	known map[[cacheRecord]byte]bool
	fresh []byte
	err   error
}

// OpenCache opens or makes a cache file. rules names the rules and everything
// else that a file's outcome depends on: with others the cache begins anew.
func OpenCache(path string, rules [sha256.Size]byte) (*Cache, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the cache: %w", err)
	}
	c := &Cache{f: f, known: map[[cacheRecord]byte]bool{}}
	if err := c.load(rules); err != nil {
		f.Close() //nolint:errcheck // nothing was written
		return nil, fmt.Errorf("open the cache %s: %w", path, err)
	}
	return c, nil
}

func (c *Cache) load(rules [sha256.Size]byte) error {
	info, err := c.f.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNotCache
	}
	want := append([]byte(cacheMagic), rules[:]...)
	head := make([]byte, cacheHead)
	n, err := io.ReadFull(c.f, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	if n > 0 && !bytes.HasPrefix(head, []byte(cacheMagic)) {
		return errNotCache
	}
	entries := (info.Size() - int64(cacheHead)) / cacheRecord
	if n < cacheHead || !bytes.Equal(head, want) || entries >= cacheEntries {
		if err := c.f.Truncate(0); err != nil {
			return err
		}
		_, err := c.f.WriteAt(want, 0)
		return errors.Join(err, c.seek(int64(len(want))))
	}
	var rec [cacheRecord]byte
	buf := make([]byte, 64<<10)
	for left := entries; left > 0; {
		b := buf[:min(int64(len(buf)), left*cacheRecord)]
		if _, err := io.ReadFull(c.f, b); err != nil {
			return err
		}
		for ; len(b) > 0; b = b[cacheRecord:] {
			copy(rec[:], b)
			c.known[rec] = true
			left--
		}
	}
	return c.seek(int64(cacheHead) + entries*cacheRecord)
}

// seek goes where the next record is written and cuts off what stands there.
func (c *Cache) seek(at int64) error {
	if _, err := c.f.Seek(at, io.SeekStart); err != nil {
		return err
	}
	return c.f.Truncate(at)
}

// Has tells whether a file of this identity was clean.
func (c *Cache) Has(id [cacheRecord]byte) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.known[id]
}

// Add remembers a clean file.
func (c *Cache) Add(id [cacheRecord]byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[id] || len(c.known) >= cacheEntries {
		return
	}
	c.known[id] = true
	if c.fresh = append(c.fresh, id[:]...); len(c.fresh) >= cacheFlush*cacheRecord {
		c.flush()
	}
}

func (c *Cache) flush() {
	if c.err == nil && len(c.fresh) > 0 {
		_, c.err = c.f.Write(c.fresh)
	}
	c.fresh = c.fresh[:0]
}

// Close writes what is left, and tells the first error of writing.
func (c *Cache) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flush()
	if err := errors.Join(c.err, c.f.Close()); err != nil {
		return fmt.Errorf("write the cache: %w", err)
	}
	return nil
}

// Identity names a file as it is: device, inode, size, modification and change
// time. ok is false where the system does not tell, and for a file that changed
// within the last two seconds before now: it may change again within one tick of
// the file system's clock.
func Identity(info fs.FileInfo, now time.Time) (id [cacheRecord]byte, ok bool) {
	dev, ino, ctime, ok := inode(info)
	if !ok || now.Sub(changed(info)) < cacheSettled {
		return id, false
	}
	var b []byte
	for _, n := range []uint64{dev, ino, uint64(info.Size()), uint64(info.ModTime().UnixNano()), uint64(ctime.UnixNano())} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	sum := sha256.Sum256(b)
	copy(id[:], sum[:])
	return id, true
}
