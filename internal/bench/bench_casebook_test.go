package bench

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"io/fs"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/detect"
	"github.com/lapwing-defence/lapwing/internal/event"
)

// flood is what BenchmarkEventsToLog sends, as the hub reads it in the journal:
// visits that go on at the same time, at 8,000 events a second of its own clock.
func flood(n int) iter.Seq[event.Event] {
	return func(yield func(event.Event) bool) {
		const visitors = 1500
		start := time.Date(2026, 5, 6, 7, 8, 9, 0, time.UTC)
		now := start
		pick := rand.New(rand.NewPCG(1, 2))
		ids := event.NewIDs(rand.NewChaCha8([32]byte{1}), func() time.Time { return now })
		next := make([]func() (event.Event, bool), visitors)
		for i := range next {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			pull, stop := iter.Pull(func(yield func(event.Event) bool) {
				for visit(ids, r, yield) {
				}
			})
			defer stop()
			next[i] = pull
		}
		for k := range n {
			e, ok := next[pick.IntN(visitors)]()
			if !ok {
				return
			}
			now = start.Add(time.Duration(k)*125*time.Microsecond + time.Duration(pick.IntN(125_000)))
			e.Time, e.Ingested, e.Observer = now, now.Add(30*time.Millisecond).Truncate(time.Millisecond), "sensor"
			if v, ok := e.Get("lapwing.password.text"); ok {
				h := fnv.New128a()
				h.Write([]byte(v.Text()))
				e.Extra[len(e.Extra)-1] = event.Field{Name: "lapwing.password.hmac", Value: event.String(hex.EncodeToString(h.Sum(nil)))}
			}
			if !yield(e) {
				return
			}
		}
	}
}

// BenchmarkCasebook judges a flood and writes it into a casebook, 8,000 events
// together; LAPWING_EVENTS events (480,000). It gives the size of the casebook,
// and how long the writing took of one processor.
func BenchmarkCasebook(b *testing.B) {
	n := 480_000
	if v, err := strconv.Atoi(os.Getenv("LAPWING_EVENTS")); err == nil {
		n = v
	}
	for b.Loop() {
		dir := b.TempDir()
		book, err := casebook.Open(b.Context(), casebook.Config{File: filepath.Join(dir, "casebook.db")})
		if err != nil {
			b.Fatal(err)
		}
		apply := judgeFlood(b, book, n)
		if err := book.Close(); err != nil {
			b.Fatal(err)
		}
		size := int64(0)
		filepath.WalkDir(dir, func(_ string, d fs.DirEntry, _ error) error {
			if st, err := d.Info(); err == nil && st.Mode().IsRegular() {
				size += st.Size()
			}
			return nil
		})
		if keep := os.Getenv("LAPWING_KEEP"); keep != "" {
			os.Rename(filepath.Join(dir, "casebook.db"), keep)
		}
		b.ReportMetric(float64(size)/float64(n), "bytes/event")
		b.ReportMetric(float64(apply.Microseconds())/float64(n), "apply-CPU-us/event")
	}
}

func judgeFlood(b *testing.B, book casebook.Book, n int) (spent time.Duration) {
	b.Helper()
	engine := detect.New(detect.Config{Recall: func(ctx context.Context, key string) (detect.State, bool, error) {
		s, ok, err := book.Recall(ctx, key)
		return detect.State(s), ok, err
	}})
	var batch casebook.Batch
	seen := 0
	write := func() {
		before := cpu(os.Getpid())
		states, moves := engine.Changed()
		for _, s := range states {
			batch.State(casebook.State(s))
		}
		for _, m := range moves {
			batch.Move(casebook.Move(m))
		}
		batch.Position = fmt.Sprintf("1:%d", seen)
		if err := book.Apply(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
		batch = casebook.Batch{}
		spent += cpu(os.Getpid()) - before
	}
	for e := range flood(n) {
		if seen++; seen%8000 == 0 {
			write()
		}
		if e.Action == event.ActionConnectionOpened || e.Action == event.ActionConnectionClosed {
			continue
		}
		line := string(e.AppendJSON(nil))
		batch.Index(&e)
		alerts, err := engine.Judge(b.Context(), &e, nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, a := range alerts {
			batch.AlertLine(a, &e, line)
		}
	}
	write()
	return spent
}
