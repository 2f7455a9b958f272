//go:build !unix

package hunt

import "time"

// cpuTime is not measured here.
func cpuTime() time.Duration { return 0 }
