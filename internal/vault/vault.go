// Package vault keeps files that strangers left: by content, sealed so that
// nothing runs, indexes or triggers them, within a quota.
//
// A sealed file is "LWV1", a 16-byte salt, then chunks of 64 KiB of plain
// text, each sealed with XChaCha20-Poly1305 under a nonce of salt and
// counter; the last chunk is marked in its associated data.
package vault

import (
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/lapwing-defence/lapwing/internal/durable"
)

const (
	magic = "LWV1"
	chunk = 64 << 10
)

// ErrQuota says that the vault is full.
var ErrQuota = errors.New("the store of captured files is full")

// Vault is a directory of sealed files. It is safe for concurrent use.
type Vault struct {
	dir   string
	aead  cipher.AEAD
	quota int64
	mu    sync.Mutex
	used  int64
}

// Open opens dir with a 32-byte key. quota bounds the bytes on disk.
func Open(dir string, key []byte, quota int64) (*Vault, error) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	v := &Vault{dir: dir, aead: aead, quota: quota}
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("open the vault: %w", err)
	}
	for _, e := range list {
		if in, err := e.Info(); err == nil {
			v.used += in.Size()
		}
	}
	return v, nil
}

func (v *Vault) path(sum string) string { return filepath.Join(v.dir, sum+".sealed") }

func (v *Vault) nonce(salt []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append([]byte(nil), salt...), n)
}

// Put seals what r gives and returns when it is on disk. The same content is
// kept once.
func (v *Vault) Put(r io.Reader) (sum string, size int64, err error) {
	f, err := os.CreateTemp(v.dir, ".new-*")
	if err != nil {
		return "", 0, fmt.Errorf("keep a captured file: %w", err)
	}
	defer os.Remove(f.Name()) //nolint:errcheck // gone after the rename
	defer f.Close()           //nolint:errcheck // closed before the rename
	salt := make([]byte, 16)
	rand.Read(salt)
	if _, err := f.Write(append([]byte(magic), salt...)); err != nil {
		return "", 0, fmt.Errorf("keep a captured file: %w", err)
	}
	h := sha256.New()
	buf := make([]byte, chunk)
	for n := uint64(0); ; n++ {
		k, rerr := io.ReadFull(r, buf)
		last := errors.Is(rerr, io.EOF) || errors.Is(rerr, io.ErrUnexpectedEOF)
		if rerr != nil && !last {
			return "", 0, fmt.Errorf("keep a captured file: %w", rerr)
		}
		h.Write(buf[:k])
		size += int64(k)
		if !v.room(size) {
			return "", size, ErrQuota
		}
		ad := []byte{0}
		if last {
			ad[0] = 1
		}
		if _, err := f.Write(v.aead.Seal(nil, v.nonce(salt, n), buf[:k], ad)); err != nil {
			return "", 0, fmt.Errorf("keep a captured file: %w", err)
		}
		if last {
			break
		}
	}
	sum = hex.EncodeToString(h.Sum(nil))
	return sum, size, v.settle(f, sum, size)
}

func (v *Vault) room(size int64) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.used+size <= v.quota
}

func (v *Vault) settle(f *os.File, sum string, size int64) error {
	if _, err := os.Stat(v.path(sum)); err == nil {
		return nil
	}
	err := f.Chmod(0o400)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = f.Close()
	}
	if err == nil {
		err = os.Rename(f.Name(), v.path(sum))
	}
	if err != nil {
		return fmt.Errorf("keep a captured file: %w", err)
	}
	v.mu.Lock()
	v.used += size
	v.mu.Unlock()
	if err := durable.SyncDir(v.dir); err != nil {
		return fmt.Errorf("keep a captured file: %w", err)
	}
	return nil
}

// Clean removes what a crash left of files that were being put. Only who alone
// puts files may call it, and not while he does.
func (v *Vault) Clean() error { return durable.Clean(v.dir) }

// Get writes the plain content of sum to w. A changed file is an error.
func (v *Vault) Get(w io.Writer, sum string) error {
	if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("no SHA-256: %q", sum)
	}
	f, err := os.Open(v.path(sum))
	if err != nil {
		return fmt.Errorf("open a captured file: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	head := make([]byte, len(magic)+16)
	if _, err := io.ReadFull(f, head); err != nil || string(head[:4]) != magic {
		return errors.New("open a captured file: not sealed by this program")
	}
	buf := make([]byte, chunk+v.aead.Overhead())
	for n := uint64(0); ; n++ {
		k, err := io.ReadFull(f, buf)
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.New("open a captured file: it is cut off")
		}
		last := err != nil
		plain, err := v.aead.Open(nil, v.nonce(head[4:], n), buf[:k], []byte{0})
		if err != nil {
			plain, err = v.aead.Open(nil, v.nonce(head[4:], n), buf[:k], []byte{1})
			last = true
		}
		if err != nil {
			return errors.New("open a captured file: it was changed, or sealed with another key")
		}
		if _, err := w.Write(plain); err != nil {
			return err
		}
		if last {
			return nil
		}
	}
}

// Delete removes a file for good; one that is not there is no error.
func (v *Vault) Delete(sum string) error {
	if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size {
		return fmt.Errorf("no SHA-256: %q", sum)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	st, err := os.Stat(v.path(sum))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = os.Remove(v.path(sum))
	}
	if err != nil {
		return fmt.Errorf("remove a captured file: %w", err)
	}
	v.used = max(v.used-st.Size(), 0)
	return nil
}

// PlainSize is how many bytes a sealed file of this size holds; negative for
// one that is none.
func PlainSize(sealed int64) int64 {
	const head, tag = int64(len(magic) + 16), chacha20poly1305.Overhead
	body := sealed - head
	chunks := max((body+chunk+tag-1)/(chunk+tag), 1)
	return body - chunks*tag
}
