package feed

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/source/line"
)

type sink func(line.Batch) error

func (s sink) Take(_ context.Context, b line.Batch) error { return s(b) }

func open(t *testing.T, dir string, s sink, now func() time.Time) *Feed {
	t.Helper()
	f, err := New(Config{Name: "auth", Type: "file", Sink: s, Dir: dir, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

var one = []line.Line{{Text: []byte("x")}}

func TestPositionIsKeptOnlyAfterTheSink(t *testing.T) {
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	fail := false
	f := open(t, dir, func(line.Batch) error {
		if fail {
			cancel()
			return errors.New("away")
		}
		return nil
	}, nil)
	if f.Position() != nil {
		t.Fatal("a new source has a position")
	}
	for _, p := range []string{"first", "second, which is longer", "third"} {
		if err := f.Give(ctx, one, []byte(p)); err != nil {
			t.Fatal(err)
		}
	}
	fail = true
	if err := f.Give(ctx, one, []byte("fourth")); !errors.Is(err, context.Canceled) {
		t.Fatalf("Give: %v", err)
	}
	// Nobody closed or synced: it is as after a kill.
	g := open(t, dir, nil, nil)
	if got := string(g.Position()); got != "third" {
		t.Errorf("after a kill: %q", got)
	}
	if s := f.Stats(); s.Lines != 3 {
		t.Errorf("counted %+v", s)
	}
}

func TestTornWritesLeaveThePositionBefore(t *testing.T) {
	for name, damage := range map[string]func(data []byte) []byte{
		"cut":         func(d []byte) []byte { return d[:len(d)-3] },
		"one bit":     func(d []byte) []byte { d[len(d)-1] ^= 4; return d },
		"empty":       func([]byte) []byte { return nil },
		"half header": func(d []byte) []byte { return d[:10] },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			f := open(t, dir, func(line.Batch) error { return nil }, nil)
			for _, p := range []string{"one", "two"} {
				if err := f.Give(t.Context(), one, []byte(p)); err != nil {
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "auth.0") // the second save
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, damage(data), 0o600); err != nil {
				t.Fatal(err)
			}
			if got := string(open(t, dir, nil, nil).Position()); got != "one" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestSyncSurvivesTheLossOfBoth(t *testing.T) {
	dir := t.TempDir()
	f := open(t, dir, func(line.Batch) error { return nil }, nil)
	if err := f.Give(t.Context(), one, []byte("kept")); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"auth.0", "auth.1"} {
		if err := os.Truncate(filepath.Join(dir, n), 0); err != nil {
			t.Fatal(err)
		}
	}
	g := open(t, dir, func(line.Batch) error { return nil }, nil)
	if got := string(g.Position()); got != "kept" {
		t.Errorf("got %q", got)
	}
	if s := g.Stats(); s.Last.IsZero() || s.Lines != 0 {
		t.Errorf("after a restart: %+v", s)
	}
}

func TestSilence(t *testing.T) {
	now := time.Date(2026, 11, 25, 8, 0, 0, 0, time.UTC)
	f := open(t, t.TempDir(), func(line.Batch) error { return nil }, func() time.Time { return now })
	give := func(after time.Duration) {
		now = now.Add(after)
		if err := f.Give(t.Context(), one, nil); err != nil {
			t.Fatal(err)
		}
	}
	told := func() bool { _, _, _, ok := f.Silence(0); return ok }
	give(time.Minute)
	now = now.Add(5 * time.Hour)
	if told() {
		t.Error("one line is not enough to know a source by")
	}
	for range 30 {
		give(20 * time.Minute)
	}
	type step struct {
		after time.Duration
		told  bool
	}
	for i, s := range []step{{4 * time.Hour, false}, {59 * time.Minute, false}, {2 * time.Hour, true}, {time.Hour, false}} {
		now = now.Add(s.after)
		if got := told(); got != s.told {
			t.Errorf("step %d: told %v", i, got)
		}
	}
	if !f.Stats().Silent {
		t.Error("it does not show")
	}
	give(0)
	if f.Stats().Silent || told() {
		t.Error("it speaks again, and that does not show")
	}
	if diff := cmp.Diff("7h59m0s", f.Stats().Longest); diff != "" {
		t.Error(diff)
	}
}

// FuzzDecode: what is taken for a position was written as one.
func FuzzDecode(f *testing.F) {
	f.Add(encode(nil, 7, []byte("where")))
	f.Add([]byte(magic))
	f.Fuzz(func(t *testing.T, data []byte) {
		seq, position, ok := decode(data)
		if ok && string(encode(nil, seq, position)) != string(data[:storeHeader+len(position)]) {
			t.Errorf("%d %q", seq, position)
		}
	})
}
