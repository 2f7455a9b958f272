//go:build unix

package app

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/vault"
)

type scanFunc func(ctx context.Context, in io.ReaderAt, size int64) ([]scan.Finding, error)

func (f scanFunc) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]scan.Finding, error) {
	return f(ctx, in, size)
}

// newTestScanner makes a scanner on an empty journal and vault.
func newTestScanner(t *testing.T, f scanFunc) *fileScanner {
	t.Helper()
	dir := Dir(t.TempDir())
	for _, d := range []string{"j", "v"} {
		if err := os.Mkdir(dir.Path(d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	j, err := journal.Open(journal.Config{Dir: dir.Path("j"), Limit: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	v, err := vault.Open(dir.Path("v"), make([]byte, 32), 200<<20)
	if err != nil {
		t.Fatal(err)
	}
	return &fileScanner{
		journal: j, vault: v, state: keptFile(dir.Path("scanned")), ids: event.NewIDs(nil, time.Now), now: time.Now, log: slog.New(slog.DiscardHandler),
		observer: "here", known: map[string]verdictOf{}, queue: make(chan scanJob, 2), dropped: make(chan int, 1), scanner: f,
	}
}

// leave puts a file into the vault and its event into the journal.
func (s *fileScanner) leave(t *testing.T, content []byte) {
	t.Helper()
	sum, size, err := s.vault.Put(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	e := event.Event{ID: s.ids.New(), Time: time.Now(), Path: "/tmp/x", SHA256: sum, Size: size, Session: "s", Source: netip.MustParseAddrPort("198.51.100.7:1")}
	e.Describe(event.ActionFileCaptured)
	if _, err := s.journal.Append(t.Context(), event.DepthAct, append(e.AppendJSON(nil), '\n')); err != nil {
		t.Fatal(err)
	}
}

// events are those in the journal with one of these actions.
func (s *fileScanner) events(t *testing.T, action string) (out []event.Event) {
	t.Helper()
	_, err := s.journal.Read(t.Context(), journal.Position{}, func(e journal.Entry) error {
		for line := range bytes.Lines(e.Data) {
			if e, err := event.Decode(bytes.TrimSpace(line)); err == nil && e.Action == action {
				out = append(out, e)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestWhatAScannerDoesToTheHub(t *testing.T) {
	for name, c := range map[string]struct {
		content []byte
		scan    scanFunc
		found   int
		reason  string
	}{
		"finds": {[]byte("x"), func(context.Context, io.ReaderAt, int64) ([]scan.Finding, error) {
			return []scan.Finding{{Detector: "yara", Rule: "R"}}, nil
		}, 1, ""},
		"finds too much": {[]byte("x"), func(context.Context, io.ReaderAt, int64) ([]scan.Finding, error) {
			return make([]scan.Finding, 1000), nil
		}, scanTold, ""},
		"finds nothing": {[]byte("x"), func(context.Context, io.ReaderAt, int64) ([]scan.Finding, error) { return nil, nil }, 0, ""},
		"breaks":        {[]byte("x"), func(context.Context, io.ReaderAt, int64) ([]scan.Finding, error) { panic("broken") }, 0, "a scanner broke on it"},
		"runs out of time": {[]byte("x"), func(context.Context, io.ReaderAt, int64) ([]scan.Finding, error) {
			return []scan.Finding{{Rule: "R"}}, &scan.Incomplete{Reasons: []string{"time"}}
		}, 1, "not fully looked at: time"},
		"has a deadline": {[]byte("x"), func(ctx context.Context, _ io.ReaderAt, _ int64) ([]scan.Finding, error) {
			if at, ok := ctx.Deadline(); !ok || time.Until(at) > scanTime {
				return nil, errors.New("none")
			}
			return nil, nil
		}, 0, ""},
		"a large file": {make([]byte, scanSize+1), nil, 0, errTooLarge.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			s := newTestScanner(t, c.scan)
			s.leave(t, c.content)
			if _, err := s.journal.Read(t.Context(), journal.Position{}, s.take); err != nil {
				t.Fatal(err)
			}
			job := <-s.queue
			for range 2 { // again, as after a crash before the state was saved
				s.do(t.Context(), job)
			}
			if got := s.events(t, event.ActionMalwareFound); len(got) != c.found || (c.found > 0 && (got[0].Session != "s" || got[0].Path != "/tmp/x" || got[0].Observer != "here")) {
				t.Errorf("%d findings, want %d: %+v", len(got), c.found, got)
			}
			got := s.events(t, event.ActionScanIncomplete)
			if c.reason == "" && len(got) > 0 || c.reason != "" && (len(got) != 1 || got[0].Reason != c.reason) {
				t.Errorf("incomplete: %+v, want %q", got, c.reason)
			}
			if at, err := s.state.Load(); err != nil || at != job.at {
				t.Errorf("saved %v, want %v, %v", at, job.at, err)
			}
		})
	}
}

// TestFilesOverTheQueueAreCounted fills the queue: the journal is read on, and
// what was not scanned is written down.
func TestFilesOverTheQueueAreCounted(t *testing.T) {
	s := newTestScanner(t, func(context.Context, io.ReaderAt, int64) ([]scan.Finding, error) { return nil, nil })
	for i := range 5 {
		s.leave(t, []byte{byte(i)})
	}
	if _, err := s.journal.Read(t.Context(), journal.Position{}, s.take); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.work(ctx); close(done) }()
	for at := (journal.Position{}); len(s.events(t, event.ActionScanIncomplete)) == 0; at = s.journal.End() {
		if err := s.journal.Wait(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	<-done
	if got := s.events(t, event.ActionScanIncomplete); len(got) != 1 || !strings.HasPrefix(got[0].Reason, "3 captured files were not scanned") {
		t.Errorf("got %+v", got)
	}
}
