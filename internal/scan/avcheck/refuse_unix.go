//go:build unix

package avcheck

import (
	"errors"
	"syscall"
)

// isInputOutput tells of the error that fanotify programs may give instead of
// a refusal.
func isInputOutput(err error) bool { return errors.Is(err, syscall.EIO) }
