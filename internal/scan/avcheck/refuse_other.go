//go:build !unix

package avcheck

import (
	"errors"
	"syscall"
)

// virusInfected is ERROR_VIRUS_INFECTED of winerror.h.
const virusInfected = syscall.Errno(225)

// isInputOutput tells of the error with which Windows refuses a file that an
// antivirus program knows.
func isInputOutput(err error) bool { return errors.Is(err, virusInfected) }
