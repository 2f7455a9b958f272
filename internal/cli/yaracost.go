package cli

import (
	"context"
	"io"

	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// costScanner scans with one goroutine and adds up the work of each string.
type costScanner struct {
	scanner *yara.Scanner
	cost    map[string]int64
}

var _ scan.Scanner = (*costScanner)(nil)

// Scan implements scan.Scanner.
func (s *costScanner) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]scan.Finding, error) {
	_, err := s.scanner.Scan(ctx, in, size, yara.ScanOptions{})
	for _, c := range s.scanner.Costs() {
		s.cost[c.Rule+" "+c.String] += c.Steps
	}
	return nil, err
}
