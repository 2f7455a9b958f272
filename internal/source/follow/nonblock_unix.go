//go:build unix

package follow

import "syscall"

// nonblock opens a pipe that took a file's place without waiting for a writer.
const nonblock = syscall.O_NONBLOCK
