//go:build unix

package command

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// hand is a clock that a test moves.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func block(h *hand, p string, ttl time.Duration) action.Action {
	return action.Action{Kind: action.Block, Prefix: netip.MustParsePrefix(p), Until: h.now().Add(ttl)}
}

// world is a directory with a program and the file that names it.
type world struct {
	*hand
	dir string
	c   Config
}

// newWorld has a program of that text, which is told its log as $1 and the
// word as $2.
func newWorld(t *testing.T, program, more string) *world {
	t.Helper()
	w := &world{hand: &hand{at: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}, dir: t.TempDir()}
	for d := w.dir; d != "/" && d != os.TempDir(); d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	w.c = Config{File: w.path("edge.yml"), State: w.path("state"), Owner: os.Getuid(), Now: w.now}
	w.write(t, "edge", "#!/bin/sh\n"+program+"\n", 0o755)
	w.write(t, "edge.yml", "block: ["+w.path("edge")+", "+w.path("log")+", block]\nunblock: ["+w.path("edge")+", "+w.path("log")+", unblock]\n"+more, 0o600)
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := errors.Join(os.WriteFile(w.path(name), []byte(text), 0o600), os.Chmod(w.path(name), mode)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) log() []string {
	b, _ := os.ReadFile(w.path("log"))
	return strings.Fields(strings.ReplaceAll(strings.TrimSpace(string(b)), " ", "_"))
}

func (w *world) open(t *testing.T) *Command {
	t.Helper()
	b, err := New(w.c)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const logs = `read net seconds; echo "$2 $net $seconds" >> "$1"; env | grep -q SECRET && echo leak >> "$1"; exit 0`

func TestCommand(t *testing.T) {
	t.Setenv("SECRET", "x")
	w := newWorld(t, logs, "")
	b := w.open(t)
	ctx := t.Context()
	if err := b.Allow(ctx, action.AllowList{{Prefix: netip.MustParsePrefix("10.0.0.0/8")}}); err != nil {
		t.Fatal(err)
	}
	a := block(w.hand, "192.0.2.7/32", time.Hour)
	plan, err := b.Plan(ctx, a)
	if err != nil || !strings.HasSuffix(plan.Text[0], "block  with the input  192.0.2.7/32 3600") || plan.Noop {
		t.Errorf("%+v %v", plan, err)
	}
	err = b.Apply(ctx, []action.Action{
		a, block(w.hand, "10.1.1.1/32", time.Hour), block(w.hand, "2001:db8::/64", 10*time.Minute), block(w.hand, "127.0.0.1/32", time.Hour),
		block(w.hand, "192.0.2.9/32", -time.Hour),
		{Kind: action.Quarantine, File: "/x"},
	})
	if joined, ok := err.(interface{ Unwrap() []error }); !ok || len(joined.Unwrap()) != 3 || !errors.Is(err, action.ErrAllowed) || !errors.Is(err, action.ErrUnsupported) {
		t.Error(err)
	}
	if err := b.Apply(ctx, []action.Action{a}); err != nil { // it stands: nothing is run
		t.Error(err)
	}
	want := []string{"block_192.0.2.7/32_3600", "block_2001:db8::/64_600"}
	if diff := cmp.Diff(want, w.log()); diff != "" {
		t.Error(diff)
	}
	if list, err := b.List(ctx); err != nil || len(list) != 2 {
		t.Error(list, err)
	}
	b = w.open(t) // another run
	if list, err := b.List(ctx); err != nil || len(list) != 2 {
		t.Error("after a restart", list, err)
	}
	b.expire(ctx)
	w.move(11 * time.Minute)
	b.expire(ctx)
	want = append(want, "unblock_2001:db8::/64_0")
	if diff := cmp.Diff(want, w.log()); diff != "" {
		t.Error(diff)
	}
	if err := b.Revert(ctx, []action.Action{block(w.hand, "192.0.2.99/32", 0)}); err != nil {
		t.Error(err)
	}
	if err := b.Allow(ctx, action.AllowList{{Prefix: netip.MustParsePrefix("192.0.2.0/24")}}); err != nil {
		t.Error(err)
	}
	want = append(want, "unblock_192.0.2.7/32_0")
	if diff := cmp.Diff(want, w.log()); diff != "" {
		t.Error(diff)
	}
	if err := b.Health(ctx); err != nil {
		t.Error(err)
	}
}

// TestFails: a program that fails, hangs or talks without end.
func TestFails(t *testing.T) {
	for name, tt := range map[string]struct{ program, more, want string }{
		"fails":   {`echo "no such zone: $(tr a-z A-Z < /dev/null)" >&2; exit 3`, "", `exit status 3: "no such zone:"`},
		"hangs":   {`sleep 1000 & sleep 1000`, "timeout: 100ms\n", "it did not end within 100ms"},
		"talks":   {`yes | head -c 200000; exit 1`, "", "exit status 1"},
		"no such": {`exec /no/such/program`, "", "exit status 127"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.program, tt.more)
			b := w.open(t)
			err := b.Apply(t.Context(), []action.Action{block(w.hand, "192.0.2.7/32", time.Hour)})
			if !errors.Is(err, action.ErrDegraded) || !strings.Contains(err.Error(), tt.want) || len(err.Error()) > maxOutput*2+500 {
				t.Errorf("%.300v", err)
			}
			if err := b.Health(t.Context()); !errors.Is(err, action.ErrDegraded) {
				t.Errorf("health: %v", err)
			}
			if list, err := b.List(t.Context()); err != nil || len(list) != 0 {
				t.Error(list, err)
			}
			// It may have blocked all the same: the end is brought about.
			w.write(t, "edge", "#!/bin/sh\n"+logs+"\n", 0o755)
			w.move(again)
			b.expire(t.Context())
			if diff := cmp.Diff([]string{"unblock_192.0.2.7/32_0"}, w.log()); diff != "" {
				t.Error(diff)
			}
			if err := b.Health(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFull(t *testing.T) {
	w := newWorld(t, logs, "max: 1\ncheck: [/bin/false]\n")
	b := w.open(t)
	err := b.Apply(t.Context(), []action.Action{block(w.hand, "192.0.2.7/32", time.Hour), block(w.hand, "192.0.2.8/32", time.Hour)})
	if !errors.Is(err, action.ErrFull) || len(w.log()) != 1 {
		t.Error(err, w.log())
	}
	if err := b.Health(t.Context()); !errors.Is(err, action.ErrDegraded) {
		t.Errorf("a check that says no: %v", err)
	}
}

func TestRun(t *testing.T) {
	w := newWorld(t, logs, "")
	b := w.open(t)
	if err := b.Apply(t.Context(), []action.Action{block(w.hand, "192.0.2.7/32", time.Hour)}); err != nil {
		t.Fatal(err)
	}
	w.move(2 * time.Hour)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	for began := time.Now(); len(w.log()) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatal("the block does not end within 30 s")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestTrust(t *testing.T) {
	tests := map[string]struct {
		change func(w *world)
		want   string
	}{
		"writable file":    {func(w *world) { os.Chmod(w.c.File, 0o666) }, "chmod go-w"},
		"writable program": {func(w *world) { os.Chmod(w.path("edge"), 0o775) }, "chmod go-w"},
		"writable folder":  {func(w *world) { os.Chmod(w.dir, 0o777) }, "chmod go-w"},
		"sticky folder":    {func(w *world) { os.Chmod(w.dir, 0o777|os.ModeSticky) }, "chmod go-w"},
		"relative": {func(w *world) {
			os.WriteFile(w.path("edge.yml"), []byte("block: [edge]\nunblock: [./edge]\n"), 0o600)
		}, "absolute path"},
		"none": {func(w *world) { os.WriteFile(w.path("edge.yml"), []byte("timeout: 1s\n"), 0o600) }, "no command under block"},
		"unknown": {func(w *world) {
			os.WriteFile(w.path("edge.yml"), []byte("block: [/bin/true]\nunblock: [/bin/true]\nshell: x\n"), 0o600)
		}, "shell"},
		"folder": {func(w *world) {
			os.WriteFile(w.path("edge.yml"), []byte("block: [/bin]\nunblock: [/bin/true]\n"), 0o600)
		}, "no ordinary file"},
		"timeout": {func(w *world) {
			os.WriteFile(w.path("edge.yml"), []byte("block: [/bin/true]\nunblock: [/bin/true]\ntimeout: 1h\n"), 0o600)
		}, "timeout is outside"},
		"state": {func(w *world) { os.WriteFile(w.path("state"), []byte("{"), 0o600) }, "move it away"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, logs, "")
			tt.change(w)
			if _, err := New(w.c); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q in it", err, tt.want)
			}
		})
	}
	t.Run("later", func(t *testing.T) {
		w := newWorld(t, logs, "")
		b := w.open(t)
		os.Chmod(w.path("edge"), 0o777)
		if err := b.Apply(t.Context(), []action.Action{block(w.hand, "192.0.2.7/32", time.Hour)}); !errors.Is(err, action.ErrDegraded) || len(w.log()) != 0 {
			t.Errorf("a program that anybody can change is run: %v", err)
		}
	})
}
