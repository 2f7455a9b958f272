package scan

import (
	"context"
	"crypto/md5"  //nolint:gosec // lists of known files use it
	"crypto/sha1" //nolint:gosec // as above
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"path/filepath"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
)

// Known looks files up by hash, likeness, name and path.
type Known struct {
	set  *indicator.Set
	want map[indicator.Kind]bool
	now  func() time.Time
}

var _ Scanner = (*Known)(nil)

// NewKnown makes a scanner of a set, which must not change any more.
func NewKnown(set *indicator.Set, now func() time.Time) *Known {
	return &Known{set: set, want: set.Wants(), now: now}
}

// LoadIndicators reads the lists at paths; of directories every file. Problems
// are lines that could not be used.
func LoadIndicators(paths []string) (*indicator.Set, []indicator.Problem, error) {
	set := indicator.New()
	var problems []indicator.Problem
	for _, p := range paths {
		err := filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			f, err := openSource(path)
			if err != nil {
				return err
			}
			defer f.Close() //nolint:errcheck // it was only read
			more, err := set.Read(f, path)
			problems = append(problems, more...)
			return err
		})
		if err != nil {
			return nil, problems, fmt.Errorf("indicators: %w", err)
		}
	}
	return set, problems, nil
}

// Scan implements Scanner. It reads the file once, and only for hashes that the
// lists hold.
func (k *Known) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error) {
	var f indicator.File
	if n, ok := in.(interface{ Name() string }); ok {
		f.Path = n.Name()
	}
	sums := map[indicator.Kind]hash.Hash{}
	for kind, mk := range map[indicator.Kind]func() hash.Hash{indicator.MD5: md5.New, indicator.SHA1: sha1.New, indicator.SHA256: sha256.New} {
		if k.want[kind] {
			sums[kind] = mk()
		}
	}
	if err := feed(ctx, sums, in, size); err != nil {
		return nil, err
	}
	text := func(kind indicator.Kind) string {
		if h := sums[kind]; h != nil {
			return hex.EncodeToString(h.Sum(nil))
		}
		return ""
	}
	f.MD5, f.SHA1, f.SHA256 = text(indicator.MD5), text(indicator.SHA1), text(indicator.SHA256)
	if (k.want[indicator.TLSH] || k.want[indicator.SSDeep]) && size <= indicator.MaxSimilarFile {
		data := make([]byte, size)
		if n, err := in.ReadAt(data, 0); int64(n) == size {
			f.TLSH, f.SSDeep = indicator.Similar(data)
		} else if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
	}
	var out []Finding
	for _, h := range k.set.Match(f, k.now()) {
		out = append(out, known(h))
	}
	return out, nil
}

func feed(ctx context.Context, sums map[indicator.Kind]hash.Hash, in io.ReaderAt, size int64) error {
	if len(sums) == 0 {
		return nil
	}
	buf := make([]byte, 256<<10)
	for at := int64(0); at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := in.ReadAt(buf[:min(int64(len(buf)), size-at)], at)
		for _, h := range sums {
			h.Write(buf[:n])
		}
		at += int64(n)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if n == 0 {
			return io.ErrUnexpectedEOF
		}
	}
	return nil
}

// known words a hit as a finding.
func known(h indicator.Hit) Finding {
	rule := h.Label
	if rule == "" {
		rule = string(h.Kind) + " " + h.Value
	}
	f := Finding{Detector: "indicator", Rule: rule, Meta: []Meta{{"kind", string(h.Kind)}, {"value", h.Value}, {"source", h.Source}}}
	if h.ID != "" {
		f.Meta = append(f.Meta, Meta{"id", h.ID})
	}
	if h.Likeness < 100 {
		f.Meta = append(f.Meta, Meta{"likeness", int64(h.Likeness)})
	}
	return f
}
