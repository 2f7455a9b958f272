package sharedtest

import (
	"os"
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
	if os.Getenv("CI") == "true" {
		tb.Fatalf("%v: .ci/setup should have installed it", err)
	}
	tb.Skip(err)
	return ""
}
