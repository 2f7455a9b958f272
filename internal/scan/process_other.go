//go:build !linux

package scan

import (
	"context"
	"errors"
)

var errProcesses = errors.New("processes can be looked at on Linux only")

// Processes is there on Linux only.
func (t *Tree) Processes(context.Context, []Scanner, func(Report)) error { return errProcesses }
