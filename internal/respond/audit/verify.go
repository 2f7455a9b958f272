package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/mod/sumdb/tlog"
)

// Report is what Verify found to be right.
type Report struct {
	Entries     int64
	Erased      int64 // of them, whose personal part is gone
	Checkpoints int   // older ones that agree
	Head        Head
}

// FaultError is what is wrong with a log.
type FaultError struct {
	Entry int64 // the first that is wrong; -1: none can be named
	Text  string
	// Unsigned says that entries stand behind the signed head, as they do for a
	// moment while the log is written.
	Unsigned bool
}

// Error is the text.
func (e *FaultError) Error() string { return e.Text }

func fault(entry int64, format string, args ...any) error {
	return &FaultError{Entry: entry, Text: fmt.Sprintf(format, args...)}
}

// Verify looks that the log in dir is what was written: every entry, every hash,
// the signed head and the older ones, and those given as texts in old, which were
// kept elsewhere. What is wrong is a *FaultError.
func Verify(dir string, key *Key, old ...string) (*Report, error) {
	head, err := readHead(dir, key)
	if errors.Is(err, os.ErrNotExist) {
		return verifyEmpty(dir, old)
	}
	if err != nil {
		return nil, fault(-1, "the signed head is damaged: %v", err)
	}
	v := &verifier{rep: &Report{Head: head}}
	if err := v.entries(dir); err != nil {
		return nil, err
	}
	if v.rep.Entries < head.Size {
		return nil, fault(v.rep.Entries, "entry %d and those after it are missing: there are %d, and the signed head says %d", v.rep.Entries, v.rep.Entries, head.Size)
	}
	if v.rep.Entries > head.Size {
		text := fmt.Sprintf("entry %d and those after it are not signed: there are %d, and the signed head says %d", head.Size, v.rep.Entries, head.Size)
		return nil, &FaultError{Entry: head.Size, Text: text, Unsigned: true}
	}
	if err := v.stored(dir); err != nil {
		return nil, err
	}
	return v.rep, v.heads(dir, key, head, old)
}

func verifyEmpty(dir string, old []string) (*Report, error) {
	st, err := os.Stat(filepath.Join(dir, "entries"))
	if err == nil && st.Size() > 0 {
		return nil, &FaultError{0, "the signed head is missing", true} // or not there yet
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("verify the audit log: %w", err)
	}
	if len(old) > 0 {
		return nil, fault(0, "the log is empty, and the given checkpoint says otherwise")
	}
	return &Report{}, nil
}

type verifier struct {
	rep    *Report
	hashes []tlog.Hash // as they have to be stored
}

// ReadHashes implements tlog.HashReader.
func (v *verifier) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	out := make([]tlog.Hash, len(indexes))
	for i, at := range indexes {
		if at >= int64(len(v.hashes)) {
			return nil, fmt.Errorf("hash %d of %d", at, len(v.hashes))
		}
		out[i] = v.hashes[at]
	}
	return out, nil
}

// entries reads every entry and hashes it. A line that is not what Append would
// write for what it says is a fault.
func (v *verifier) entries(dir string) error {
	f, err := os.Open(filepath.Join(dir, "entries"))
	if err != nil {
		return fault(0, "the entries cannot be read: %v", err)
	}
	defer f.Close() //nolint:errcheck // only read
	var size int64
	err = scan(f, func(i int64, text []byte) error {
		size += int64(len(text)) + 1
		var one line
		if err := json.Unmarshal(text, &one); err != nil {
			return fault(i, "entry %d cannot be read: %v", i, err)
		}
		if again, err := json.Marshal(one); err != nil || !bytes.Equal(again, text) {
			return fault(i, "entry %d is not as it was written", i)
		}
		if one.Leaf.N != i {
			return fault(i, "entry %d stands where entry %d has to be: entries were dropped, added or moved", one.Leaf.N, i)
		}
		if err := personal(i, &one); err != nil {
			return err
		}
		if one.About == nil {
			v.rep.Erased++
		}
		leaf, err := json.Marshal(one.Leaf)
		if err != nil {
			return err
		}
		hs, err := tlog.StoredHashes(i, leaf, v)
		v.hashes = append(v.hashes, hs...)
		v.rep.Entries++
		return err
	})
	if err != nil {
		return err
	}
	if st, err := f.Stat(); err != nil || st.Size() != size {
		return &FaultError{v.rep.Entries, fmt.Sprintf("entry %d has no end", v.rep.Entries), true}
	}
	return nil
}

// personal compares what is personal in an entry with its hash.
func personal(i int64, l *line) error {
	if (l.Salt == "") != (l.About == nil) {
		return fault(i, "entry %d has lost a part of what it is about", i)
	}
	if l.About == nil {
		return nil
	}
	salt, err := hex.DecodeString(l.Salt)
	if err != nil || len(salt) != saltSize {
		return fault(i, "entry %d has a damaged salt", i)
	}
	if h, err := l.About.hash(salt); err != nil || h != l.Leaf.Personal {
		return fault(i, "entry %d: what it is about was changed", i)
	}
	return nil
}

// stored compares the hashes that were stored as entries came with those that the
// entries have now.
func (v *verifier) stored(dir string) error {
	data, err := os.ReadFile(filepath.Join(dir, "hashes"))
	if err != nil {
		return fault(-1, "the hashes cannot be read: %v", err)
	}
	for i, h := range v.hashes {
		at := i * tlog.HashSize
		if at+tlog.HashSize > len(data) {
			_, n := tlog.SplitStoredHashIndex(int64(i))
			return fault(n, "the hashes end before their time, at hash %d", i)
		}
		if bytes.Equal(data[at:at+tlog.HashSize], h[:]) {
			continue
		}
		if level, n := tlog.SplitStoredHashIndex(int64(i)); level == 0 {
			return fault(n, "entry %d was changed: its hash is not the one that was stored with it", n)
		}
		return fault(-1, "the stored hash %d was changed", i)
	}
	if len(data) != len(v.hashes)*tlog.HashSize {
		return &FaultError{-1, "there are hashes without entries", true}
	}
	return nil
}

// heads compares all signed heads with the entries, the oldest first: the first
// that disagrees tells between which entries something was changed.
func (v *verifier) heads(dir string, key *Key, head Head, old []string) error {
	texts, whole, err := checkpoints(dir)
	if err != nil {
		return err
	}
	if st, err := os.Stat(filepath.Join(dir, "checkpoints")); err == nil && st.Size() != whole {
		return fault(-1, "the kept checkpoint %d is cut short", len(texts))
	}
	good := int64(0)
	one := func(h Head, what string) error {
		if h.Size > v.rep.Entries {
			return fault(v.rep.Entries, "entry %d and those after it are missing: %s knew %d", v.rep.Entries, what, h.Size)
		}
		root, err := tlog.TreeHash(h.Size, v)
		if err != nil {
			return err
		}
		if root != h.Root {
			return fault(good, "%s does not agree: one of the entries %d to %d was changed, with its hashes", what, good, h.Size-1)
		}
		good = max(good, h.Size)
		return nil
	}
	for i, t := range texts {
		h, err := key.Parse(t)
		if err != nil {
			return fault(-1, "the kept checkpoint %d is damaged: %v", i, err)
		}
		if err := one(h, fmt.Sprintf("the kept checkpoint of %d entries", h.Size)); err != nil {
			return err
		}
		v.rep.Checkpoints++
	}
	for _, t := range old {
		h, err := key.Parse(t)
		if err != nil {
			return fault(-1, "the given checkpoint: %v", err)
		}
		if err := one(h, fmt.Sprintf("the given checkpoint of %d entries", h.Size)); err != nil {
			return err
		}
		v.rep.Checkpoints++
	}
	return one(head, "the signed head")
}
