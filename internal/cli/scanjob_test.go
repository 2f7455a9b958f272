//go:build unix

package cli

import (
	"testing"
	"time"
)

func TestMeterLine(t *testing.T) {
	var m meter
	m.files.Store(10)
	m.bytes.Store(50_000_000)
	m.found.Store(1)
	m.allFiles.Store(30)
	m.allBytes.Store(150_000_000)
	if got, want := m.line(5*time.Second), "10 files, 50.0 MB, 10.0 MB/s, 1 findings"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.counted.Store(true)
	if got, want := m.line(5*time.Second), "10 of 30 files, 50.0 of 150.0 MB, 10.0 MB/s, 1 findings, 10s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	m.bytes.Store(0)
	m.line(0) // no division by nothing
}
