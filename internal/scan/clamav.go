package scan

import (
	"context"
	"errors"
	"io"

	"github.com/lapwing-defence/lapwing/internal/scan/clamd"
)

// Clamd asks a running clamd, which opens archives by itself.
type Clamd struct {
	Client *clamd.Client
	Max    int64 // largest file that is sent, bytes
}

var _ Scanner = (*Clamd)(nil)

// Scan implements Scanner. A clamd that does not answer makes the file *Incomplete.
func (c *Clamd) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error) {
	if size > c.Max {
		return nil, &Incomplete{Reasons: []string{"clamd: the file is too large to send"}}
	}
	name, err := c.Client.Stream(ctx, in, size)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, clamd.ErrTooLarge):
		return nil, &Incomplete{Reasons: []string{"clamd: " + err.Error()}}
	case err != nil:
		return nil, &Incomplete{Reasons: []string{err.Error()}}
	case name == "":
		return nil, nil
	}
	return []Finding{{Detector: "clamd", Rule: name}}, nil
}
