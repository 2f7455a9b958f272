//go:build !linux

package confine

import (
	"os"
	"os/exec"
	"runtime"
)

// Levels is the number of levels that Prepare knows.
const Levels = 1

// Prepare does nothing on this system.
func Prepare(*exec.Cmd, int) {}

// PrepareReader does nothing on this system.
func PrepareReader(*exec.Cmd, int) {}

// EnterReader cannot confine on this system and says so in the report.
func EnterReader(ns string, uid int, _ Paths) (Report, error) { return Enter(ns, uid) }

// Own does nothing on this system.
func Own(string) error { return nil }

// Enter cannot confine on this system and says so in the report.
func Enter(string, int) (Report, error) {
	return Report{UID: os.Geteuid(), Missing: "confinement exists on Linux only, this is " + runtime.GOOS}, nil
}

// NetNS names no namespace on this system.
func NetNS() (string, error) { return "", nil }

// EnforcerLevels is the number of levels that PrepareEnforcer knows.
const EnforcerLevels = 1

// PrepareEnforcer does nothing on this system.
func PrepareEnforcer(*exec.Cmd, int) {}

// EnterEnforcer cannot confine on this system.
func EnterEnforcer(int) (Report, error) { return Enter("", 0) }

// HideCapabilities has nothing to hide on this system.
func HideCapabilities() error { return nil }
