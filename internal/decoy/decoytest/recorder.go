package decoytest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// Recorder keeps in memory what a decoy records, in order.
type Recorder struct {
	mu     sync.Mutex
	events []event.Event
	files  map[string][]byte // captures by SHA-256
	casts  map[string][]byte // recordings by session
}

var _ decoy.Recorder = (*Recorder)(nil)

// Emit keeps e.
func (r *Recorder) Emit(_ context.Context, e event.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, e)
	return nil
}

// Post is Emit for who does not wait.
func (r *Recorder) Post(ctx context.Context, e event.Event, done func(error)) { done(r.Emit(ctx, e)) }

// Capture keeps a file.
func (r *Recorder) Capture(_ context.Context, in io.Reader, limit int64) (string, int64, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(in, limit))
	sum := sha256.Sum256(b.Bytes())
	name := hex.EncodeToString(sum[:])
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.files == nil {
		r.files = map[string][]byte{}
	}
	r.files[name] = b.Bytes()
	return name, n, err
}

// Cast keeps lines of a recording.
func (r *Recorder) Cast(_ context.Context, session string, data []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.casts == nil {
		r.casts = map[string][]byte{}
	}
	r.casts[session] = append(r.casts[session], data...)
	return nil
}

// Events are those with that action, or all for "".
func (r *Recorder) Events(action string) []event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []event.Event
	for _, e := range r.events {
		if action == "" || e.Action == action {
			out = append(out, e)
		}
	}
	return out
}

// File is a captured file.
func (r *Recorder) File(sha256 string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.files[sha256]
}

// Recording is the asciicast of a session.
func (r *Recorder) Recording(session string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return string(r.casts[session])
}
