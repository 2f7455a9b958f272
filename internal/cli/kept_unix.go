//go:build unix

package cli

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/hunt"
)

// keptEvents makes the kept events the input of a hunt; end gives the error of
// reading them.
func keptEvents(ctx context.Context, g *globals, cfg *hunt.Config) (end func() error, err error) {
	dir, err := g.dir()
	if err != nil {
		return nil, err
	}
	query := app.Query{Since: cfg.Since, Until: cfg.Until}
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := dir.Lines(ctx, query, func(line []byte) error {
			_, err := w.Write(append(bytes.TrimRight(line, "\n"), '\n'))
			return err
		})
		w.CloseWithError(err)
		if errors.Is(err, io.ErrClosedPipe) {
			err = nil // the hunt ended first
		}
		done <- err
	}()
	cfg.Paths, cfg.Stdin, cfg.StdinName = []string{"-"}, r, "kept events"
	return func() error {
		r.Close() //nolint:errcheck // gives none
		return <-done
	}, nil
}
