//go:build unix

package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/rules"
)

// The limits of looking at captured files again when rules have changed.
const (
	rescanFiles   = 10_000 // the newest contents; older ones are counted
	rescanSources = 100    // of one content: who else left it is not told again
	rescanPause   = 20 * time.Millisecond
	rulesEvery    = 2 * time.Second
	rulesBytes    = 1 << 30 // of the rule files that count for what set it is
)

// scanSet is the rules and lists that files are looked at with. id changes with
// their content.
type scanSet struct {
	scanner scan.Scanner
	id      string
}

// rescan is what is to be looked at again, since the rules have changed since.
type rescan struct {
	book  casebook.Reader
	file  string // has the id of the set that all captured files were looked at with
	sets  chan scanSet
	every time.Duration // between two looks at the rule files
	id    string        // of the set in use
	left  []string      // SHA-256, those to come
	turn  <-chan time.Time
	files int // looked at
	found int // events written
}

// watchRules gives the set that is there, and a new one whenever a file of the
// rules or indicators has changed and changes no more. A set in which something
// is refused is told and not used: the old one goes on.
func (s *fileScanner) watchRules(ctx context.Context, c config.Scan) {
	give := func(set scanSet) {
		select {
		case s.again.sets <- set:
		case <-ctx.Done():
		}
	}
	paths := slices.Concat(c.Rules, c.Indicators)
	used, id := rulesPrint(paths, false), rulesPrint(paths, true)
	scanner, _ := loadScanner(c, s.log)
	give(scanSet{scanner, id})
	if len(paths) == 0 {
		return
	}
	tick := time.NewTicker(s.again.every)
	defer tick.Stop()
	last := used
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := rulesPrint(paths, false)
		settled := now == last
		last = now
		if now == used || !settled {
			continue
		}
		used, id = now, rulesPrint(paths, true)
		scanner, ok := loadScanner(c, s.log)
		if !ok {
			s.log.Error("the changed rules are not used for captured files, the old ones go on")
			continue
		}
		s.log.Info("rules for captured files reloaded")
		give(scanSet{scanner, id})
	}
}

// rulesPrint stands for the files of rules: whole, by their content and by what
// is shipped; else by their names, sizes and times.
func rulesPrint(paths []string, whole bool) string {
	h := sha256.New()
	if whole {
		fs.WalkDir(rules.FS, "yara", func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // the callback gives none
			if err == nil && !d.IsDir() {
				text, err := fs.ReadFile(rules.FS, path)
				fmt.Fprintln(h, path, len(text), err) //nolint:errcheck // a hash takes all
				h.Write(text)
			}
			return nil
		})
	}
	left := int64(rulesBytes)
	for _, p := range paths {
		filepath.WalkDir(p, func(path string, _ fs.DirEntry, err error) error { //nolint:errcheck // as above
			if err != nil {
				fmt.Fprintln(h, path, err) //nolint:errcheck // as above
				return nil
			}
			info, err := os.Stat(path)
			if err != nil || !info.Mode().IsRegular() {
				return nil //nolint:nilerr // it is no file of rules
			}
			fmt.Fprintln(h, path, info.Size()) //nolint:errcheck // as above
			if whole {
				left -= addContent(h, path, left)
			} else {
				fmt.Fprintln(h, info.ModTime().UnixNano()) //nolint:errcheck // as above
			}
			return nil
		})
	}
	return hex.EncodeToString(h.Sum(nil))
}

// addContent adds at most limit bytes of a file to a hash, and counts them.
func addContent(h hash.Hash, path string, limit int64) int64 {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close() //nolint:errcheck // only read
	n, _ := io.Copy(h, io.LimitReader(f, limit))
	return n
}

// use makes set the one that files are looked at with. Where not all captured
// files were, they are to be looked at again, the newest first.
func (s *fileScanner) use(ctx context.Context, set scanSet) {
	s.scanner = set.scanner
	clear(s.known)
	r := &s.again
	r.id, r.left, r.turn, r.files, r.found = set.id, nil, nil, 0, 0
	before, err := os.ReadFile(r.file)
	if err == nil && strings.TrimSpace(string(before)) == set.id {
		return
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		s.log.Error("which rules captured files were looked at with cannot be read: they are looked at again", "error", err)
	}
	seen := map[string]bool{}
	err = r.book.Captures(ctx, casebook.Query{}, func(c *casebook.Capture) error {
		if !seen[c.SHA256] {
			seen[c.SHA256] = true
			r.left = append(r.left, c.SHA256)
		}
		return nil
	})
	if err != nil {
		s.log.Error("captured files are not looked at with the changed rules", "error", err)
		return
	}
	slices.Reverse(r.left)
	if n := len(r.left) - rescanFiles; n > 0 {
		s.log.Warn("captured files are not looked at with the changed rules: there are too many", "files", n, "looked at", rescanFiles)
		r.left = r.left[:rescanFiles]
	}
	s.next(0)
}

// next sets when the next file is looked at again: as long is paused as the last
// one took, so that at most half a processor is used. After the last, what was
// looked at with which rules is written down.
func (s *fileScanner) next(took time.Duration) {
	r := &s.again
	if len(r.left) > 0 {
		r.turn = time.After(max(rescanPause, took))
		return
	}
	r.turn = nil
	if err := durable.WriteFile(r.file, []byte(r.id+"\n")); err != nil {
		s.log.Error("which rules captured files were looked at with cannot be written down", "error", err)
	}
	if r.files > 0 {
		s.log.Info("captured files were looked at with the changed rules", "files", r.files, "new findings", r.found)
	}
}

// lookAgain looks at the next of the files that are left. What was not found
// before is written down as an event of each session that left the file.
func (s *fileScanner) lookAgain(ctx context.Context) {
	r := &s.again
	begin := time.Now()
	if len(r.left) > 0 {
		sum := r.left[0]
		// With the set in use it was looked at when somebody left it once more.
		if _, done := s.known[sum]; !done {
			if err := s.rescan(ctx, sum); err != nil && ctx.Err() == nil {
				s.log.Error("a captured file was not looked at with the changed rules", "sha256", sum, "error", err)
			}
		}
		if ctx.Err() != nil {
			return // all are looked at after the next start
		}
		r.left = r.left[1:]
	}
	s.next(time.Since(begin))
}

// rescan looks at one content again.
func (s *fileScanner) rescan(ctx context.Context, sum string) error {
	var left []casebook.Capture
	err := s.again.book.Captures(ctx, casebook.Query{ID: sum, Last: rescanSources}, func(c *casebook.Capture) error {
		left = append(left, *c)
		return nil
	})
	if err != nil || len(left) == 0 { // it may have been forgotten meanwhile
		return err
	}
	before := map[string]bool{}
	for _, f := range left[0].Findings {
		before[f.Rule] = true
	}
	v := s.look(ctx, captureEvent(&left[0]))
	if ctx.Err() != nil {
		return ctx.Err()
	}
	s.again.files++
	var out []byte
	for _, x := range v.found[:min(len(v.found), scanTold)] {
		if before[x.Rule] {
			continue
		}
		for i := range left {
			e := s.finding(captureEvent(&left[i]), x)
			out = append(e.AppendJSON(out), '\n')
			s.again.found++
		}
	}
	if v.reason != "" && !before[""] {
		e := s.about(captureEvent(&left[len(left)-1]), event.ActionScanIncomplete)
		e.Reason = v.reason
		out = append(e.AppendJSON(out), '\n')
	}
	if len(out) == 0 {
		return nil
	}
	if _, err := s.journal.Append(ctx, event.DepthAct, out); err != nil {
		return fmt.Errorf("write down what was found: %w", err)
	}
	return nil
}

// captureEvent is what is known of the event with which a file was captured.
func captureEvent(c *casebook.Capture) *event.Event {
	return &event.Event{Source: netip.AddrPortFrom(c.Source, 0), Host: c.Host, Session: c.Session, Path: c.Path, Size: c.Size, SHA256: c.SHA256}
}
