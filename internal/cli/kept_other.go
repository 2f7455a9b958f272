//go:build !unix

package cli

import (
	"context"
	"errors"

	"github.com/lapwing-defence/lapwing/internal/hunt"
)

// keptEvents fails: there is no instance that keeps events here.
func keptEvents(context.Context, *globals, *hunt.Config) (end func() error, err error) {
	return nil, usageError{errors.New("hunt: --kept works where lapwing up does: on Linux and macOS")}
}
