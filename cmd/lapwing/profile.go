//go:build profile

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime/pprof"
)

// profile writes where this process spends its CPU time to a file of its own
// in LAPWING_PROFILE, until stop. The file is opened before the process gives
// up its rights. Each process of lapwing up writes one; `make pgo` merges them.
func profile() (stop func()) {
	dir := os.Getenv("LAPWING_PROFILE")
	if dir == "" {
		return func() {}
	}
	role := "none"
	if len(os.Args) > 1 {
		role = filepath.Base(os.Args[1])
	}
	f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", role, os.Getpid())))
	if err == nil {
		err = pprof.StartCPUProfile(f)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "lapwing: no profile:", err)
		return func() {}
	}
	return func() {
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "lapwing: no profile:", err)
		}
	}
}
