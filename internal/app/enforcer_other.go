//go:build unix && !linux

package app

import (
	"context"
	"errors"
	"log/slog"
)

// RunEnforcer says that there is nothing to run on this system.
func RunEnforcer(context.Context, *slog.Logger) error {
	return errors.New("control of the firewall exists on Linux only: use a block list or a command instead")
}
