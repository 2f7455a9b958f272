package sharedtest

import (
	"os/exec"
	"testing"
)

// Program is the path of a client that people have. Where it is missing the
// test is skipped, and fails with CI=true: .ci/setup installs it there.
func Program(tb testing.TB, name string) string {
	tb.Helper()
	p, err := exec.LookPath(name)
	if err == nil {
		return p
	}
	Missing(tb, err.Error()+": .ci/setup installs it")
	return ""
}
