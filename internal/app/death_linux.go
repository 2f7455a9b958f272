package app

import (
	"os"
	"syscall"
)

// deathSignal makes the kernel end a child whose supervisor is gone.
func deathSignal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }

// ownProgram is the path by which a child of ours is started: this very
// program, also where its file was replaced, and where the child's own uid
// cannot walk to it because it lies below a home directory.
func ownProgram(exe string) string {
	const self = "/proc/self/exe"
	if _, err := os.Stat(self); err != nil {
		return exe
	}
	return self
}
