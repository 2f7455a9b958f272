//go:build unix

package hunt

import (
	"syscall"
	"time"
)

// cpuTime is the processor time of this process so far: unlike the clock it
// does not depend on what else runs on the machine.
func cpuTime() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
