package sharedtest

import (
	"os"
	"testing"
)

// Missing skips the test because of something that a machine may lack. With
// CI=true it fails: there all is set up.
func Missing(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal(what)
	}
	tb.Skip(what)
}
