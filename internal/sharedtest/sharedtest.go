// Package sharedtest finds the data that tests share but that is no part of
// the repository: captured command lines, benches, real logs.
package sharedtest

import (
	"os"
	"path/filepath"
	"testing"
)

// Dir is the folder of the shared data: $LAPWING_SHARED, else ../shared beside
// the repository. It skips the test where there is none.
func Dir(tb testing.TB) string {
	tb.Helper()
	if d := os.Getenv("LAPWING_SHARED"); d != "" {
		return d
	}
	dir, err := os.Getwd()
	if err != nil {
		tb.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
			continue
		}
		shared := filepath.Join(filepath.Dir(dir), "shared")
		if _, err := os.Stat(shared); err == nil {
			return shared
		}
		break
	}
	tb.Skip("no shared data: set LAPWING_SHARED, or put it in ../shared beside the repository")
	return ""
}
