//go:build unix && !linux

package app

import "syscall"

// deathSignal relies on the end of the control socket on this system.
func deathSignal() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
