package scan

import (
	"crypto/sha256"
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/scan/allow"
)

// TestPipes holds that nothing waits for what never comes.
func TestPipes(t *testing.T) {
	p := filepath.Join(t.TempDir(), "pipe.yar")
	if err := syscall.Mkfifo(p, 0o600); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{p, "/dev/zero"} {
		if _, _, err := LoadYARA([]string{path}, nil); !errors.Is(err, errSource) {
			t.Errorf("rules from %s: %v", path, err)
		}
		if _, _, err := LoadIndicators([]string{path}); !errors.Is(err, errSource) {
			t.Errorf("indicators from %s: %v", path, err)
		}
		if _, err := allow.Load(path); err == nil {
			t.Errorf("an allow list from %s", path)
		}
		if _, err := OpenCache(path, [sha256.Size]byte{}); err == nil {
			t.Errorf("a cache in %s", path)
		}
	}
}
