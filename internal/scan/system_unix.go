//go:build unix

package scan

import (
	"syscall"
	"time"
)

// noFollow makes that a link is not opened.
const noFollow = syscall.O_NOFOLLOW

// cpuTime is the CPU time of this process, user and system.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
