package scan

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/lapwing-defence/lapwing/internal/scan/unpack"
)

// Inside asks scanners about a file and about everything packed in it. What was
// found inside says where (Finding.Inside); what could not be opened makes the
// file *Incomplete.
type Inside struct {
	Scanners []Scanner
	Limits   unpack.Limits
}

var _ Scanner = (*Inside)(nil)

const maxReasons = 50

// Scan implements Scanner.
func (s *Inside) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error) {
	found, reasons, err := askAll(ctx, s.Scanners, in, size)
	if err != nil {
		return found, err
	}
	rep, err := unpack.Walk(ctx, in, size, s.Limits, func(e unpack.Entry) error {
		f, why, err := askAll(ctx, s.Scanners, named{e.Content, e.Path}, e.Size)
		for i := range f {
			f[i].Inside = e.Path
		}
		found = append(found, f...)
		for _, w := range why {
			reasons = append(reasons, e.Path+": "+w)
		}
		return err
	})
	for _, k := range rep.Skipped {
		text := k.Text
		if k.Path != "" {
			text = k.Path + ": " + text
		}
		reasons = append(reasons, text)
	}
	if rep.More > 0 {
		reasons = append(reasons, fmt.Sprintf("%d more things inside were not looked at", rep.More))
	}
	reasons = append(reasons, rep.Notes...)
	if err == nil && len(reasons) > 0 {
		err = &Incomplete{Reasons: reasons[:min(len(reasons), maxReasons)]}
	}
	return found, err
}

// askAll asks each scanner; reasons is why something was not looked at.
func askAll(ctx context.Context, all []Scanner, in io.ReaderAt, size int64) (found []Finding, reasons []string, err error) {
	for _, s := range all {
		f, err := s.Scan(ctx, in, size)
		found = append(found, f...)
		var part *Incomplete
		switch {
		case errors.As(err, &part):
			reasons = append(reasons, part.Reasons...)
		case err != nil:
			return found, reasons, err
		}
	}
	return found, reasons, nil
}

// named gives content the name that it has in its container.
type named struct {
	io.ReaderAt
	name string
}

// Name is the path inside the container.
func (n named) Name() string { return n.name }
