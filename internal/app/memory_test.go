package app

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"
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

func TestOnCollection(t *testing.T) {
	heard := make(chan struct{}, 1)
	onCollection(t.Context(), heard)
	for n := range 3 {
		runtime.GC()
		select {
		case <-heard:
		case <-time.After(time.Minute):
			t.Fatalf("collection %d is not told of", n+1)
		}
	}
}

func TestPercentFor(t *testing.T) {
	for live, want := range map[uint64]int{0: 50, 1 << 20: 800, 4 << 20: 400, 16 << 20: 100, 20 << 20: 75, 64 << 20: 50, 1 << 40: 50} {
		if got := percentFor(live); got != want {
			t.Errorf("%d bytes live: %d, want %d", live, got, want)
		}
	}
}
