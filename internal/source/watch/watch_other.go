//go:build !linux

package watch

// Watcher exists on Linux only.
type Watcher struct{}

// New gives ErrNot.
func New() (*Watcher, error) { return nil, ErrNot }

// C gives nothing.
func (*Watcher) C() <-chan []Event { return nil }

// Dir gives ErrNot.
func (*Watcher) Dir(string) (int, error) { return -1, ErrNot }

// File gives ErrNot.
func (*Watcher) File(string) (int, error) { return -1, ErrNot }

// Remove does nothing.
func (*Watcher) Remove(int) {}

// Close does nothing.
func (*Watcher) Close() error { return nil }
