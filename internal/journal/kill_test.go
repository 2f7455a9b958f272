package journal_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/journal/journaltest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("LAPWING_JOURNAL_VICTIM"); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

func TestSuite(t *testing.T) {
	journaltest.Run(t, func(t *testing.T) journaltest.Opener {
		t.Helper()
		dir := t.TempDir()
		return func(t *testing.T) (journal.Journal, func()) {
			t.Helper()
			s, err := journal.Open(journal.Config{Dir: dir, SegmentSize: 256 << 10})
			if err != nil {
				t.Fatal(err)
			}
			return s, func() { s.Close() }
		}
	})
}

// victim appends until it is killed and prints what was acknowledged.
func victim(dir string) {
	s, err := journal.Open(journal.Config{Dir: dir, SegmentSize: 32 << 10})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var mu sync.Mutex
	for w := range 8 {
		go func() {
			for n := 0; ; n++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), w, n)
				_, err := s.Append(context.Background(), event.DepthAct, []byte(`{"event.id":"`+id+`"}`+"\n"))
				if err == nil {
					mu.Lock()
					os.Stdout.WriteString(id + "\n")
					mu.Unlock()
				}
			}
		}()
	}
	select {}
}

func TestKill(t *testing.T) {
	kills := 4
	if os.Getenv("LAPWING_SOAK") != "" {
		kills = 50
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acked := map[string]bool{}
	for range kills {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), "LAPWING_JOURNAL_VICTIM="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(150*time.Millisecond, func() { cmd.Process.Kill() })
		sc := bufio.NewScanner(out)
		for sc.Scan() {
			acked[sc.Text()] = true
		}
		cmd.Wait()
	}
	s, err := journal.Open(journal.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seen := map[string]int{}
	if _, err := s.Read(t.Context(), journal.Position{}, func(e journal.Entry) error {
		seen[strings.TrimSuffix(strings.TrimPrefix(string(e.Data), `{"event.id":"`), "\"}\n")]++
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if len(acked) < 100 {
		t.Fatalf("only %d acknowledged", len(acked))
	}
	for id := range acked {
		if seen[id] != 1 {
			t.Errorf("%s is there %d times", id, seen[id])
		}
	}
	t.Logf("%d acknowledged, %d found, damaged %d", len(acked), len(seen), s.Stats().Damaged)
}
