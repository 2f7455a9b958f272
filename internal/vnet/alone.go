package vnet

import (
	"runtime"
	"sync"
)

// A TCP stack starts as many goroutines as there are processors, and asks the
// runtime how many that are. A host needs one: on 32 processors the others would
// cost each host 87 KiB, twice what the rest of it holds, and 40 % of the time of
// its start. So on machines with more than two the number is 1 while a host's stack
// is made. That stops the world for some 60 µs, less than the goroutines take.

// setting guards the number of processors, which is the process's.
var setting sync.Mutex //nolint:gochecknoglobals // guards what is one for the process

// alone runs build as on a machine with one processor.
func alone(build func()) {
	setting.Lock()
	defer setting.Unlock()
	n := runtime.GOMAXPROCS(0)
	if n > 2 {
		runtime.GOMAXPROCS(1)
		defer runtime.GOMAXPROCS(n)
	}
	build()
}

// processors is how many there are when nobody makes a stack.
func processors() int {
	setting.Lock()
	defer setting.Unlock()
	return runtime.GOMAXPROCS(0)
}
