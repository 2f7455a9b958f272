//go:build !unix

package sigma

import "time"

// cpuTime is not measured here.
func cpuTime() time.Duration { return 0 }
