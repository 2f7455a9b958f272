//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/vault"
)

// Captured is a scanner that knows the files which visitors left on decoys, nil
// where there are none. It costs the listing of a directory; what is known of a
// file is asked for only when one is met.
func (d Dir) Captured() (scan.Scanner, error) {
	list, err := os.ReadDir(d.captures())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // as said
	}
	if err != nil {
		return nil, fmt.Errorf("read the captured files: %w", err)
	}
	c := capturedFiles{dir: d, sums: map[string]bool{}, told: map[string][]scan.Meta{}}
	sizes := map[int64]bool{}
	for _, e := range list {
		sum, ok := strings.CutSuffix(e.Name(), ".sealed")
		if info, err := e.Info(); ok && err == nil {
			sizes[vault.PlainSize(info.Size())] = true
			c.sums[sum] = true
		}
	}
	if len(c.sums) == 0 {
		return nil, nil //nolint:nilnil // as said
	}
	return &scan.Captured{Sizes: sizes, Lookup: c.lookup}, nil
}

type capturedFiles struct {
	dir  Dir
	sums map[string]bool
	mu   sync.Mutex
	told map[string][]scan.Meta // what was asked for already
}

// lookup asks who left a file, and when, last.
func (c *capturedFiles) lookup(ctx context.Context, sum string) ([]scan.Meta, bool, error) {
	if !c.sums[sum] {
		return nil, false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if m, ok := c.told[sum]; ok {
		return m, true, nil
	}
	m := []scan.Meta{{Name: "sha256", Value: sum}}
	err := c.dir.Captures(ctx, Ask{ID: sum, Last: 1}, func(_ []byte, f *Capture) error {
		m = []scan.Meta{
			{Name: "description", Value: fmt.Sprintf("%s left it on the decoy %s at %s, in session %s", f.Source, f.Host, f.Last.UTC().Format("2006-01-02 15:04:05Z"), f.Session)},
			{Name: "sha256", Value: sum},
			{Name: "time", Value: f.Last.UTC().Format("2006-01-02T15:04:05Z")},
			{Name: "source", Value: f.Source.String()},
			{Name: "host", Value: f.Host},
			{Name: "session", Value: f.Session},
			{Name: "path", Value: f.Path},
			{Name: "level", Value: "high"},
		}
		return nil
	})
	if err != nil {
		err = &scan.Incomplete{Reasons: []string{"it is a captured file, but who left it cannot be told: " + err.Error()}}
	}
	c.told[sum] = m
	return m, true, err
}
