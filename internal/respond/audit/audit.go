// Package audit keeps what was decided, by whom and on what grounds, so that no
// entry can be changed, dropped or moved without being seen: a Merkle tree of the
// entries (golang.org/x/mod/sumdb/tlog, RFC 6962) whose head is signed
// (golang.org/x/mod/sumdb/note). What is personal in an entry is in the tree only
// as a salted hash, and can be erased without a trace in the tree.
//
//	entries      a line of JSON each: the leaf, and beside it salt and what is personal
//	hashes       the stored hashes of the tree, 32 bytes each, in tlog's order
//	head         the signed head of the tree, padded to 1,024 bytes
//	checkpoints  older signed heads, one an hour
package audit

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/lapwing-defence/lapwing/internal/durable"
)

// Entry is one thing that was decided, refused or done.
type Entry struct {
	Number int64     `json:"number"` // from 0, given by Append
	At     time.Time `json:"@timestamp"`
	Act    string    `json:"event.action"`           // block, refuse, quarantine, token-planted, ...
	Actor  string    `json:"user.name"`              // who: "policy", or an operator
	Rule   string    `json:"rule.id,omitempty"`      // detection rule
	ID     string    `json:"id,omitempty"`           // of the decision, the item, the token
	Events []string  `json:"events,omitempty"`       // ids of the evidence
	Target string    `json:"target,omitempty"`       // personal: the address, file or account that it is about
	Why    string    `json:"event.reason,omitempty"` // personal, since it may quote
	Erased bool      `json:"erased,omitempty"`       // Target and Why were, by Erase
}

// Writer is what those need who write into an audit log.
type Writer interface {
	// Append adds an entry; it survives the end of the process.
	Append(Entry) error
}

// leaf is what the tree has of an entry.
type leaf struct {
	N        int64     `json:"n"`
	At       time.Time `json:"at"`
	Act      string    `json:"act"`
	Actor    string    `json:"actor"`
	Rule     string    `json:"rule,omitempty"`
	ID       string    `json:"id,omitempty"`
	Events   []string  `json:"events,omitempty"`
	Personal string    `json:"personal"` // hex SHA-256 of salt and about
}

// about is what is personal in an entry.
type about struct {
	Target string `json:"target,omitempty"`
	Why    string `json:"why,omitempty"`
}

// line is an entry as it lies on the disk; without Salt it was erased.
type line struct {
	Leaf  leaf   `json:"leaf"`
	Salt  string `json:"salt,omitempty"`
	About *about `json:"about,omitempty"`
}

const (
	saltSize = 16       // bytes
	maxText  = 2048     // bytes of a Target or Why
	maxLine  = 64 << 10 // bytes
)

func (a *about) hash(salt []byte) (string, error) {
	data, err := json.Marshal(a)
	if err != nil {
		return "", err
	}
	h := sha256.Sum256(append(slices.Clone(salt), data...))
	return hex.EncodeToString(h[:]), nil
}

func (l *line) entry() Entry {
	e := Entry{Number: l.Leaf.N, At: l.Leaf.At, Act: l.Leaf.Act, Actor: l.Leaf.Actor, Rule: l.Leaf.Rule, ID: l.Leaf.ID, Events: l.Leaf.Events}
	if l.About == nil {
		e.Erased = true
		return e
	}
	e.Target, e.Why = l.About.Target, l.About.Why
	return e
}

// Log is an audit log in a directory, for one process at a time.
type Log struct {
	dir string
	key *Key

	mu      sync.Mutex
	entries *os.File
	hashes  *os.File
	count   int64
	size    int64 // of entries
	signed  int64 // entries under the head
	broken  error
	syncing sync.Mutex
}

var _ Writer = (*Log)(nil)

// Open opens the log in dir, which is made when it is not there, and mends what a
// crash left: a line without an end goes, hashes that are missing are made.
func Open(dir string, key *Key) (*Log, error) {
	l := &Log{dir: dir, key: key}
	err := os.MkdirAll(dir, 0o700)
	if err == nil {
		err = durable.Clean(dir)
	}
	if err == nil {
		l.entries, err = os.OpenFile(filepath.Join(dir, "entries"), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err == nil {
		l.hashes, err = os.OpenFile(filepath.Join(dir, "hashes"), os.O_RDWR|os.O_CREATE, 0o600)
	}
	if err == nil {
		err = l.mend()
	}
	if err != nil {
		l.Close() //nolint:errcheck // the other error is told
		return nil, fmt.Errorf("open the audit log: %w", err)
	}
	return l, nil
}

// Close ends the use of the log; what was appended stays.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var err error
	for _, f := range []*os.File{l.entries, l.hashes} {
		if f != nil {
			err = errors.Join(err, f.Close())
		}
	}
	l.entries, l.hashes, l.broken = nil, nil, errors.New("the audit log is closed")
	return err
}

// mend brings entries, hashes and head together.
func (l *Log) mend() error {
	last, end, err := lastLine(l.entries)
	if err != nil {
		return err
	}
	if err := l.entries.Truncate(end); err != nil {
		return err
	}
	l.size = end
	if last != nil {
		l.count = last.Leaf.N + 1
	}
	st, err := l.hashes.Stat()
	if err != nil {
		return err
	}
	have := min(leaves(st.Size()/tlog.HashSize), l.count)
	if err := l.hashes.Truncate(tlog.StoredHashCount(have) * tlog.HashSize); err != nil {
		return err
	}
	if have < l.count {
		if err := l.rehash(have); err != nil {
			return err
		}
	}
	return l.signAtStart()
}

// signAtStart looks that the head does not know of more than there is, and signs
// what came after it.
func (l *Log) signAtStart() error {
	head, err := readHead(l.dir, l.key)
	switch {
	case errors.Is(err, os.ErrNotExist) && l.count == 0:
		return nil
	case errors.Is(err, os.ErrNotExist):
		return errors.New("its signed head is missing; see lapwing audit verify")
	case err != nil:
		return err
	case head.Size > l.count:
		return fmt.Errorf("it has %d entries, and its signed head says %d: entries are missing; see lapwing audit verify", l.count, head.Size)
	}
	l.signed = head.Size
	if _, whole, err := checkpoints(l.dir); err == nil && whole > 0 {
		os.Truncate(filepath.Join(l.dir, "checkpoints"), whole) //nolint:errcheck // what a crash cut short; Verify tells
	}
	return l.sign(l.count)
}

// leaves is how many entries so many stored hashes are for.
func leaves(hashes int64) int64 {
	lo, hi := int64(0), hashes+1
	for lo+1 < hi {
		mid := (lo + hi) / 2
		if tlog.StoredHashCount(mid) <= hashes {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// lastLine is the last whole line of f, and where it ends.
func lastLine(f *os.File) (*line, int64, error) {
	st, err := f.Stat()
	if err != nil {
		return nil, 0, err
	}
	from := max(0, st.Size()-2*maxLine)
	buf := make([]byte, st.Size()-from)
	if _, err := f.ReadAt(buf, from); err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, err
	}
	end := bytes.LastIndexByte(buf, '\n') + 1
	if end == 0 {
		if from > 0 {
			return nil, 0, errors.New("its last line has no end; see lapwing audit verify")
		}
		return nil, 0, nil
	}
	begin := bytes.LastIndexByte(buf[:end-1], '\n') + 1
	l := new(line)
	if err := json.Unmarshal(buf[begin:end], l); err != nil {
		return nil, 0, errors.New("its last line cannot be read; see lapwing audit verify")
	}
	return l, from + int64(end), nil
}

// rehash makes the hashes of the entries from number from on.
func (l *Log) rehash(from int64) error {
	return scan(l.entries, func(i int64, text []byte) error {
		if i < from {
			return nil
		}
		var one line
		if err := json.Unmarshal(text, &one); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
		return l.hash(i, &one.Leaf)
	})
}

// hash appends the stored hashes of entry n.
func (l *Log) hash(n int64, leaf *leaf) error {
	data, err := json.Marshal(leaf)
	if err != nil {
		return err
	}
	hs, err := tlog.StoredHashes(n, data, fileHashes{l.hashes})
	if err != nil {
		return err
	}
	buf := make([]byte, 0, len(hs)*tlog.HashSize)
	for _, h := range hs {
		buf = append(buf, h[:]...)
	}
	_, err = l.hashes.WriteAt(buf, tlog.StoredHashCount(n)*tlog.HashSize)
	return err
}

// fileHashes reads stored hashes.
type fileHashes struct{ f io.ReaderAt }

// ReadHashes implements tlog.HashReader.
func (h fileHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if _, err := h.f.ReadAt(out[i][:], at*tlog.HashSize); err != nil {
			return nil, fmt.Errorf("read hash %d: %w", at, err)
		}
	}
	return out, nil
}

// Append adds an entry. After nil it survives the end of the process, and, once a
// Sync returned nil, a loss of power. After an error nothing was added.
func (l *Log) Append(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return l.broken
	}
	one := line{
		Leaf:  leaf{N: l.count, At: e.At.UTC(), Act: e.Act, Actor: cut(e.Actor), Rule: cut(e.Rule), ID: e.ID, Events: e.Events},
		About: &about{Target: cut(e.Target), Why: cut(e.Why)},
	}
	salt := make([]byte, saltSize)
	rand.Read(salt)
	one.Salt = hex.EncodeToString(salt)
	var err error
	if one.Leaf.Personal, err = one.About.hash(salt); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	text, err := json.Marshal(one)
	if err == nil && len(text) >= maxLine {
		err = fmt.Errorf("an entry of %d bytes", len(text))
	}
	if err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	if _, err = l.entries.WriteAt(append(text, '\n'), l.size); err == nil {
		err = l.hash(l.count, &one.Leaf)
	}
	if err != nil {
		err = errors.Join(err, l.entries.Truncate(l.size), l.hashes.Truncate(tlog.StoredHashCount(l.count)*tlog.HashSize))
		return fmt.Errorf("write the audit log: %w; make room on the disk", err)
	}
	l.size += int64(len(text)) + 1
	l.count++
	return nil
}

// cut bounds a text; what is no UTF-8 would not come back as it was written.
func cut(s string) string {
	if len(s) > maxText {
		s = s[:maxText]
	}
	return string(bytes.ToValidUTF8([]byte(s), []byte("?")))
}

// Sync makes what was appended survive a loss of power, and signs it.
func (l *Log) Sync() error {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	entries, hashes, broken, count := l.entries, l.hashes, l.broken, l.count
	done := l.signed == count
	l.mu.Unlock()
	if broken != nil || done {
		return broken
	}
	if err := errors.Join(entries.Sync(), hashes.Sync()); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.sign(count); err != nil {
		return fmt.Errorf("write the audit log: %w", err)
	}
	return nil
}

// sign signs the head of the first n entries, which are on the disk.
func (l *Log) sign(n int64) error {
	if l.signed == n {
		return nil
	}
	root, err := tlog.TreeHash(n, fileHashes{l.hashes})
	if err != nil {
		return err
	}
	text, err := l.key.sign(Head{n, root})
	if err != nil {
		return err
	}
	if err := writeHead(l.dir, text); err != nil {
		return err
	}
	l.signed = n
	return nil
}

// Checkpoint signs what there is, keeps the signed head among the old ones and
// gives its text, to be kept elsewhere. Without an entry it is empty.
func (l *Log) Checkpoint() (string, error) {
	if err := l.Sync(); err != nil {
		return "", err
	}
	text, err := HeadText(l.dir)
	if err != nil || text == "" {
		return "", err
	}
	return text, addCheckpoint(l.dir, text)
}

// Len is how many entries there are.
func (l *Log) Len() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// Erase takes Target and Why out of the entries whose Target is meant, and gives
// how many. The tree stays as it is.
func (l *Log) Erase(meant func(target string) bool) (n int, err error) {
	l.syncing.Lock()
	defer l.syncing.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.broken != nil {
		return 0, l.broken
	}
	tmp, err := os.CreateTemp(l.dir, ".new-*")
	if err != nil {
		return 0, fmt.Errorf("erase from the audit log: %w", err)
	}
	defer os.Remove(tmp.Name()) //nolint:errcheck // gone after the rename
	size, n, err := erase(l.entries, tmp, meant)
	if err == nil {
		err = tmp.Sync()
	}
	if err == nil && n > 0 {
		err = os.Rename(tmp.Name(), filepath.Join(l.dir, "entries"))
	}
	if err != nil || n == 0 {
		tmp.Close() //nolint:errcheck // not used
		if err != nil {
			err = fmt.Errorf("erase from the audit log: %w", err)
		}
		return 0, err
	}
	l.entries.Close() //nolint:errcheck // replaced
	l.entries, l.size = tmp, size
	return n, durable.SyncDir(l.dir)
}
