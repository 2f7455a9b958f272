//go:build !unix

package scan

import "time"

// noFollow has no such flag here.
const noFollow = 0

// cpuTime is not told here.
func cpuTime() time.Duration { return 0 }
