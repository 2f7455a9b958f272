//go:build unix

package app

import (
	"context"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/scan"
)

// capturesOf is a casebook that has only captured files.
type capturesOf struct {
	casebook.Reader
	list []casebook.Capture
}

func (b *capturesOf) Captures(_ context.Context, q casebook.Query, fn func(*casebook.Capture) error) error {
	for i := range b.list {
		if strings.HasPrefix(b.list[i].SHA256, q.ID) {
			if err := fn(&b.list[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

// kept puts contents into the vault, each left by one source in a session.
func (s *fileScanner) kept(t *testing.T, book *capturesOf, content, session string, findings ...casebook.Finding) {
	t.Helper()
	sum, size, err := s.vault.Put(strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	book.list = append(book.list, casebook.Capture{
		SHA256: sum, Size: size, Source: netip.MustParseAddr("198.51.100.7"), Path: "/tmp/" + session, Host: "files", Session: session, Findings: findings,
	})
}

func TestRulesThatChangeAreRunAgain(t *testing.T) {
	asked := 0
	s := newTestScanner(t, nil)
	book := &capturesOf{}
	s.again = rescan{book: book, file: filepath.Join(t.TempDir(), "rules"), sets: make(chan scanSet)}
	old := casebook.Finding{Rule: "Old"}
	s.kept(t, book, "evil", "one", old)
	s.kept(t, book, "evil", "two", old)
	s.kept(t, book, "good", "three")
	s.kept(t, book, "odd", "four", casebook.Finding{Description: "not to its end"})
	s.kept(t, book, "gone", "five")
	s.kept(t, book, "gone", "six")
	scanner := scanFunc(func(_ context.Context, in io.ReaderAt, size int64) ([]scan.Finding, error) {
		asked++
		b := make([]byte, size)
		in.ReadAt(b, 0)
		switch string(b) {
		case "evil":
			return []scan.Finding{{Rule: "Old"}, {Rule: "New", Detector: "yara"}}, nil
		case "odd":
			return nil, &scan.Incomplete{Reasons: []string{"time"}}
		}
		return nil, nil
	})
	run := func(id string) {
		s.use(t.Context(), scanSet{scanner, id})
		for s.again.turn != nil {
			s.lookAgain(t.Context())
		}
	}
	s.use(t.Context(), scanSet{scanner, "a"})
	book.list = book.list[:4] // a source is forgotten meanwhile
	for s.again.turn != nil {
		s.lookAgain(t.Context())
	}
	found := s.events(t, event.ActionMalwareFound)
	var sessions []string
	for _, e := range found {
		name, _ := e.Get("rule.name")
		sessions = append(sessions, e.Session+" "+name.Text()+" "+e.Path)
	}
	if got := strings.Join(sessions, ", "); got != "one New /tmp/one, two New /tmp/two" {
		t.Errorf("found: %s", got)
	}
	if n := len(s.events(t, event.ActionScanIncomplete)); n != 0 || asked != 3 {
		t.Errorf("%d scans, %d told again as incomplete", asked, n)
	}
	// The same set: nothing. Another: all, but for what came with it in use.
	if run("a"); asked != 3 {
		t.Errorf("looked at %d times with the same rules", asked)
	}
	s.use(t.Context(), scanSet{scanner, "b"})
	s.leave(t, []byte("good"))
	if _, err := s.journal.Read(t.Context(), journal.Position{}, s.take); err != nil {
		t.Fatal(err)
	}
	s.do(t.Context(), <-s.queue)
	for s.again.turn != nil {
		s.lookAgain(t.Context())
	}
	if asked != 6 {
		t.Errorf("%d scans, want 6", asked)
	}
	if b, err := os.ReadFile(s.again.file); err != nil || string(b) != "b\n" {
		t.Errorf("written down: %q, %v", b, err)
	}
}

// TestRuleFilesAreWatched changes a rule while the scanner works: it is used on
// what is there, once it is whole.
func TestRuleFilesAreWatched(t *testing.T) {
	s := newTestScanner(t, nil)
	book := &capturesOf{}
	s.again = rescan{book: book, file: filepath.Join(t.TempDir(), "rules"), sets: make(chan scanSet), every: 5 * time.Millisecond}
	s.kept(t, book, "a marker of the test", "one")
	dir := t.TempDir()
	rule := filepath.Join(dir, "r.yar")
	write := func(text string) {
		if err := os.WriteFile(rule, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`rule Other { strings: $a = "something else" condition: $a }`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go s.watchRules(ctx, config.Scan{Rules: []string{dir}})
	first := <-s.again.sets
	write(`rule Marked { strings: $a = "a marker of the test" condition: `) // refused
	refused := rulesPrint([]string{dir}, true)
	write(`rule Marked { strings: $a = "a marker of the test" condition: $a }`)
	second := <-s.again.sets
	if first.id == second.id || second.id == refused || second.id != rulesPrint([]string{dir}, true) {
		t.Errorf("ids %q, %q", first.id, second.id)
	}
	s.use(ctx, second)
	for s.again.turn != nil {
		s.lookAgain(ctx)
	}
	got := s.events(t, event.ActionMalwareFound)
	if len(got) != 1 || got[0].Session != "one" || got[0].Reason != "Marked" {
		t.Errorf("%+v", got)
	}
}
