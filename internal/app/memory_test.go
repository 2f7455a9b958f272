package app

import (
	"os"
	"path/filepath"
	"testing"
)

func TestGroupMemory(t *testing.T) {
	for text, want := range map[string]int64{"max\n": 0, "268435456\n": 256 << 20, "": 0, "x": 0, "-": 0} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "memory.max"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := groupMemory(dir); got != want {
			t.Errorf("%q: %d, want %d", text, got, want)
		}
	}
	if got := groupMemory(t.TempDir()); got != 0 {
		t.Errorf("without a group: %d", got)
	}
}
