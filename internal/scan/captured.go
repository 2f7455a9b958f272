package scan

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
)

// Captured finds files that an intruder also left on a decoy.
type Captured struct {
	// Sizes are the sizes of captured files, bytes: only a file of one of them is hashed.
	Sizes map[int64]bool
	// Lookup gives what is known of a captured file, by its SHA-256 in hex; ok
	// is false where there is none. It may be called by many goroutines.
	Lookup func(ctx context.Context, sum string) (about []Meta, ok bool, err error)
}

var _ Scanner = (*Captured)(nil)

// Scan implements Scanner.
func (c *Captured) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error) {
	if size == 0 || !c.Sizes[size] {
		return nil, nil
	}
	h := sha256.New()
	if err := feed(ctx, map[indicator.Kind]hash.Hash{indicator.SHA256: h}, in, size); err != nil {
		return nil, err
	}
	about, ok, err := c.Lookup(ctx, hex.EncodeToString(h.Sum(nil)))
	if !ok {
		return nil, err
	}
	return []Finding{{Detector: "capture", Rule: "Left_on_a_decoy", Meta: about}}, err
}
