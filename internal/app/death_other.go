//go:build unix && !linux

package app

import "syscall"

// ownProgram is the path by which a child of ours is started.
func ownProgram(exe string) string { return exe }

// deathSignal relies on the end of the control socket on this system.
func deathSignal() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
