package host

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

var (
	t0  = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	him = netip.MustParseAddr("198.51.100.7")
)

// store is a Store in memory.
type store struct {
	mu    sync.Mutex
	kept  map[string][]byte
	gone  bool
	away  bool
	saves int
}

func (s *store) Recall(_ context.Context, key string) (uint64, []byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away {
		return 0, nil, errors.New("away")
	}
	return 1, s.kept[key], nil
}

func (s *store) State(_ context.Context, key string, _ uint64, data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return ErrGone
	}
	s.saves++
	s.kept[key] = data
	return nil
}

func testHost(tb testing.TB, st Store, clk clock.Clock) *Host {
	tb.Helper()
	p, err := persona.Generate("debian-server", 1, t0)
	if err != nil {
		tb.Fatal(err)
	}
	return New(Config{Name: "files", Persona: p, Clock: clk, Seed: 3, Store: st})
}

func write(tb testing.TB, v *Visit, path, text string) {
	tb.Helper()
	if err := v.M.FS.WriteFile(vfs.Root(), path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func read(v *Visit, path string) string {
	b, _ := v.M.FS.ReadFile(vfs.Root(), path, 1<<20)
	return string(b)
}

func TestVisitorFindsHisChangesAfterARestart(t *testing.T) {
	st := &store{kept: map[string][]byte{}}
	clk := clock.NewManual(t0)
	h := testHost(t, st, clk)
	v := h.Visit(t.Context(), him)
	victim := v.M.Table.List()[len(v.M.Table.List())-1].PID
	write(t, v, "/var/spool/cron/crontabs/root", "* * * * * /tmp/x\n")
	v.SetPassword("root", "his own")
	v.Admit("root", "admin")
	v.M.Table.Kill(victim, 9)
	pid := v.M.Table.Reserve()
	v.Close()
	h.saveAll(t.Context(), false)

	h = testHost(t, st, clk)
	v = h.Visit(t.Context(), him)
	if got := read(v, "/var/spool/cron/crontabs/root"); got != "* * * * * /tmp/x\n" {
		t.Errorf("his crontab is %q", got)
	}
	if !v.Password("root", "his own") || v.Password("root", "another") {
		t.Error("the password he set is not what it was")
	}
	for pw, want := range map[string]bool{"admin": true, "other": false} {
		if before, same := v.Admitted("root", pw); !before || same != want {
			t.Errorf("admitted with %s: %v, %v", pw, before, same)
		}
	}
	for _, e := range v.M.Table.List() {
		if e.PID == victim {
			t.Error("the process he ended runs again")
		}
	}
	if next := v.M.Table.Reserve(); next <= pid {
		t.Errorf("process ids fall from %d to %d", pid, next)
	}
	if _, err := v.M.FS.Stat(vfs.Root(), "/proc/uptime"); err != nil {
		t.Errorf("/proc: %v", err)
	}
	other := h.Visit(t.Context(), netip.MustParseAddr("198.51.100.8"))
	if got := read(other, "/var/spool/cron/crontabs/root"); got != "" || other.Password("root", "his own") {
		t.Errorf("another source sees them: %q", got)
	}
	for _, data := range st.kept {
		plain, _, err := decode(data)
		if err != nil {
			t.Fatal(err)
		}
		if b, _ := json.Marshal(plain); strings.Contains(string(b), "his own") || strings.Contains(string(b), "admin\"") {
			t.Errorf("a password is kept in the clear: %s", b)
		}
	}
}

func TestOnlyChangesAreKept(t *testing.T) {
	st := &store{kept: map[string][]byte{}}
	clk := clock.NewManual(t0)
	h := testHost(t, st, clk)
	v := h.Visit(t.Context(), him)
	h.saveAll(t.Context(), false)
	if st.saves != 0 {
		t.Errorf("%d saves of an unchanged view", st.saves)
	}
	write(t, v, "/tmp/a", "one")
	h.saveAll(t.Context(), true)
	h.saveAll(t.Context(), true)
	if st.saves != 1 {
		t.Errorf("%d saves of one change", st.saves)
	}
	v.Close()
	clk.Advance(dropAfter + time.Second)
	h.saveAll(t.Context(), false)
	if n := len(h.views()); n != 0 {
		t.Errorf("%d unused views stay in memory", n)
	}
	if v = h.Visit(t.Context(), him); read(v, "/tmp/a") != "one" {
		t.Error("what left memory is not found again")
	}
}

func TestForgottenViewsGo(t *testing.T) {
	st := &store{kept: map[string][]byte{}}
	h := testHost(t, st, clock.NewManual(t0))
	v := h.Visit(t.Context(), him)
	write(t, v, "/tmp/a", "one")
	st.gone = true
	h.saveAll(t.Context(), true)
	st.gone = false
	v.Close()
	if v = h.Visit(t.Context(), him); read(v, "/tmp/a") != "" {
		t.Error("a forgotten view is still there")
	}
}

func TestForgottenViewsWithoutNewChangesGo(t *testing.T) {
	st := &store{kept: map[string][]byte{}}
	clk := clock.NewManual(t0)
	h := testHost(t, st, clk)
	v := h.Visit(t.Context(), him)
	write(t, v, "/tmp/a", "one")
	h.saveAll(t.Context(), true)
	v.Close()
	clk.Advance(2 * trustFor)
	if v = h.Visit(t.Context(), him); read(v, "/tmp/a") != "one" {
		t.Fatal("a kept view is gone")
	}
	v.Close()
	clear(st.kept)
	clk.Advance(2 * trustFor)
	if v = h.Visit(t.Context(), him); read(v, "/tmp/a") != "" {
		t.Error("a forgotten view is still there")
	}
}

func TestStoreAwayOverwritesNothing(t *testing.T) {
	st := &store{kept: map[string][]byte{"files/198.51.100.7": []byte("precious")}, away: true}
	h := testHost(t, st, clock.NewManual(t0))
	v := h.Visit(t.Context(), him)
	write(t, v, "/tmp/a", "one")
	st.away = false
	h.saveAll(t.Context(), true)
	if got := string(st.kept["files/198.51.100.7"]); got != "precious" {
		t.Errorf("the kept state became %q", got)
	}
}

func TestRunKeepsAtTheEnd(t *testing.T) {
	st := &store{kept: map[string][]byte{}}
	h := testHost(t, st, clock.System())
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { h.Run(ctx); close(done) }()
	v := h.Visit(t.Context(), him)
	write(t, v, "/tmp/a", "one")
	cancel()
	<-done
	if st.saves != 1 {
		t.Errorf("%d saves", st.saves)
	}
}

func TestBombIsRefused(t *testing.T) {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestSpeed)
	w.Write(make([]byte, maxInflated+10))
	w.Close()
	if _, _, err := decode(b.Bytes()); err == nil {
		t.Error("no error")
	}
}

// FuzzDecode: hostile bytes make a view within its limits, or an error.
func FuzzDecode(f *testing.F) {
	h := testHost(f, nil, clock.NewManual(t0))
	v := h.Visit(f.Context(), him)
	write(f, v, "/tmp/a", "one")
	v.SetPassword("root", "x")
	good, err := v.encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Fuzz(func(t *testing.T, data []byte) {
		w := h.view("x", t0)
		if w.restore(data) != nil {
			return
		}
		if used, nodes := w.M.FS.Used(); used > 64<<20 || nodes > 20_000 || len(w.passwords) > maxSecrets {
			t.Fatalf("over the limits: %d bytes, %d nodes, %d passwords", used, nodes, len(w.passwords))
		}
		if _, err := w.encode(); err != nil {
			t.Fatalf("what was restored cannot be kept again: %v", err)
		}
	})
}
