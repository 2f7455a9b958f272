package app

import "syscall"

// deathSignal makes the kernel end a child whose supervisor is gone.
func deathSignal() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} }
