// Package journaltest is the suite that every journal.Journal must pass.
package journaltest

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
)

// Opener opens the journal of one test. Called again it opens the same one
// anew, after close.
type Opener func(t *testing.T) (j journal.Journal, closeIt func())

// Run runs the suite; each test gets an opener of its own.
func Run(t *testing.T, fresh func(t *testing.T) Opener) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, Opener){
		"Order": order, "Resume": resume, "Reopen": reopen, "Concurrent": concurrent, "Once": once,
		"Wait": wait, "Release": release, "Refuses": refuses, "StopsAtError": stopsAtError, "Cancelled": cancelled,
	} {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func line(n int) []byte { return []byte(`{"event.id":"` + strconv.Itoa(n) + `"}` + "\n") }

func add(t *testing.T, j journal.Journal, from, to int) journal.Position {
	t.Helper()
	var pos journal.Position
	for n := from; n < to; n++ {
		p, err := j.Append(t.Context(), event.DepthAct, line(n))
		if err != nil {
			t.Fatalf("append %d: %v", n, err)
		}
		if !pos.Before(p) {
			t.Fatalf("append %d: position %v after %v", n, p, pos)
		}
		pos = p
	}
	return pos
}

func read(t *testing.T, j journal.Journal, from journal.Position) (lines []string, pos journal.Position) {
	t.Helper()
	last := from
	pos, err := j.Read(t.Context(), from, func(e journal.Entry) error {
		if !last.Before(e.Pos) {
			t.Errorf("entry at %v after %v", e.Pos, last)
		}
		last = e.Pos
		lines = append(lines, strings.TrimSuffix(string(e.Data), "\n"))
		return nil
	})
	if err != nil {
		t.Fatalf("read: %v", err)
	}
	return lines, pos
}

func expect(t *testing.T, got []string, from, to int) {
	t.Helper()
	if len(got) != to-from {
		t.Fatalf("%d entries, want %d", len(got), to-from)
	}
	for i, l := range got {
		if want := strings.TrimSuffix(string(line(from+i)), "\n"); l != want {
			t.Fatalf("entry %d is %s, want %s", i, l, want)
		}
	}
}

func order(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	defer done()
	got, pos := read(t, j, journal.Position{})
	expect(t, got, 0, 0)
	end := add(t, j, 0, 100)
	if j.End() != end {
		t.Errorf("End is %v, the last position %v", j.End(), end)
	}
	got, pos = read(t, j, pos)
	expect(t, got, 0, 100)
	if pos != end {
		t.Errorf("Read ends at %v, want %v", pos, end)
	}
}

func resume(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	defer done()
	mid := add(t, j, 0, 40)
	add(t, j, 40, 70)
	got, pos := read(t, j, mid)
	expect(t, got, 40, 70)
	add(t, j, 70, 75)
	got, _ = read(t, j, pos)
	expect(t, got, 70, 75)
}

func reopen(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	mid := add(t, j, 0, 10)
	done()
	j, done = open(t)
	got, pos := read(t, j, mid)
	expect(t, got, 0, 0)
	next := add(t, j, 10, 20)
	if !mid.Before(next) {
		t.Errorf("position %v after %v", next, mid)
	}
	done()
	j, done = open(t)
	defer done()
	got, _ = read(t, j, journal.Position{})
	expect(t, got, 0, 20)
	got, _ = read(t, j, pos)
	expect(t, got, 10, 20)
}

func concurrent(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	const workers, each = 16, 50
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for n := range each {
				if _, err := j.Append(t.Context(), event.DepthTry, line(w*each+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	done()
	j, done = open(t)
	defer done()
	got, _ := read(t, j, journal.Position{})
	seen := map[string]int{}
	for _, l := range got {
		seen[l]++
	}
	if len(got) != workers*each || len(seen) != workers*each {
		t.Errorf("%d entries, %d different, want %d", len(got), len(seen), workers*each)
	}
}

func once(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	key := journal.Key{Client: [16]byte{1, 2, 3}}
	put := func(seq uint64, n int) journal.Position {
		key.Seq = seq
		p, err := j.AppendOnce(t.Context(), event.DepthAct, key, line(n))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	put(1, 0)
	first := put(2, 1)
	if again := put(2, 1); again != first {
		t.Errorf("repeated at %v, want %v", again, first)
	}
	put(1, 0)
	done()
	j, done = open(t)
	defer done()
	put(2, 1)
	put(3, 2)
	key.Client[0] = 9
	put(1, 3)
	got, _ := read(t, j, journal.Position{})
	expect(t, got, 0, 4)
}

func wait(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	defer done()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := j.Wait(ctx, j.End()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait on nothing: %v", err)
	}
	end := j.End()
	errs := make(chan error, 1)
	go func() { errs <- j.Wait(t.Context(), end) }()
	add(t, j, 0, 1)
	if err := <-errs; err != nil {
		t.Errorf("Wait: %v", err)
	}
	if err := j.Wait(t.Context(), end); err != nil {
		t.Errorf("Wait on what is there: %v", err)
	}
}

func release(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	big := []byte(`{"x":"` + strings.Repeat("x", 60_000) + `"}` + "\n")
	var mid journal.Position
	for n := range 60 {
		p, err := j.Append(t.Context(), event.DepthAct, big)
		if err != nil {
			t.Fatal(err)
		}
		if n == 29 {
			mid = p
		}
	}
	before, end := read(t, j, mid)
	if len(before) != 30 {
		t.Fatalf("%d entries after the middle", len(before))
	}
	if err := j.Release(mid); err != nil {
		t.Fatal(err)
	}
	after, _ := read(t, j, mid)
	if len(after) != 30 {
		t.Errorf("%d entries after the release, want 30", len(after))
	}
	if err := j.Release(end); err != nil {
		t.Fatal(err)
	}
	done()
	j, done = open(t)
	defer done()
	if p := add(t, j, 0, 1); !end.Before(p) {
		t.Errorf("position %v after a release up to %v", p, end)
	}
	got, _ := read(t, j, end)
	expect(t, got, 0, 1)
}

func refuses(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	defer done()
	for name, data := range map[string][]byte{
		"nothing": nil, "no newline": []byte("{}"), "too long": append(make([]byte, journal.MaxRecord), '\n'),
	} {
		if _, err := j.Append(t.Context(), event.DepthAct, data); !errors.Is(err, journal.ErrRecord) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func stopsAtError(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	defer done()
	add(t, j, 0, 10)
	errStop := errors.New("stop")
	n := 0
	pos, err := j.Read(t.Context(), journal.Position{}, func(journal.Entry) error {
		if n == 4 {
			return errStop
		}
		n++
		return nil
	})
	if !errors.Is(err, errStop) {
		t.Fatalf("read: %v", err)
	}
	got, _ := read(t, j, pos)
	expect(t, got, 4, 10)
}

func cancelled(t *testing.T, open Opener) {
	t.Helper()
	j, done := open(t)
	defer done()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for n := range 50 {
		if _, err := j.Append(ctx, event.DepthAct, line(n)); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(fmt.Errorf("append: %w", err))
		}
	}
	add(t, j, 100, 110)
	got, _ := read(t, j, journal.Position{})
	if len(got) < 10 {
		t.Fatalf("%d entries", len(got))
	}
	expect(t, got[len(got)-10:], 100, 110)
}
