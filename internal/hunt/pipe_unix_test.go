//go:build unix

package hunt

import (
	"context"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestPipeWithoutAWriter: opening a named pipe that nobody writes to ends with
// the context.
func TestPipeWithoutAWriter(t *testing.T) {
	p := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(p, 0o600); err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if f, err := open(ctx, p); err == nil {
		f.Close()
		t.Error("a pipe without a writer was opened")
	}
}
