//go:build unix

package app

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/keep"
	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
)

const (
	lookEvery = 2 * time.Second  // between two looks for what is new
	lookAgain = 30 * time.Second // after a failure
)

// lookback runs rules and indicators that are new or were changed over the
// events that are kept, one job at a time, beside everything else. What is to be
// done is written down first: a job that was cut off is done anew after the next
// start, and what it finds is written down once.
type lookback struct {
	file       string // of lookbackState
	back       time.Duration
	indicators []string
	read       func(ctx context.Context, from, to time.Time, fn func(line []byte) error) error
	judge      *judge
	clock      clock.Clock
	log        *slog.Logger

	state lookbackState
	stat  string // of the indicator files when they were last read
}

// lookbackState is what was seen, and what is still to be done.
type lookbackState struct {
	Rules      map[string]string `json:"rules"`      // fingerprints by key
	Indicators map[string]string `json:"indicators"` // SHA-256 of the files by path
	Job        *lookbackJob      `json:"job,omitempty"`
}

// lookbackJob is what is to be run, over the events between two times.
type lookbackJob struct {
	From       time.Time `json:"from"`
	To         time.Time `json:"to"`
	Rules      []string  `json:"rules,omitempty"`
	Indicators []string  `json:"indicators,omitempty"` // files
}

// lookback looks back until ctx ends.
func (a *archive) lookback(ctx context.Context, dir Dir, s storage, indicators []string, log *slog.Logger) {
	l := &lookback{
		file: dir.Path("lookback"), back: s.Rules.LookBack, indicators: indicators, judge: a.judge, clock: clock.System(), log: log,
		read: func(ctx context.Context, from, to time.Time, fn func([]byte) error) error {
			return a.Read(ctx, keep.Query{Query: eventlog.Query{Range: eventlog.Range{From: from, To: to}}}, fn)
		},
	}
	l.run(ctx)
}

func (l *lookback) run(ctx context.Context) {
	known, err := l.load()
	if err != nil {
		l.log.Error("what rules were run over the past is not known any more: those of now count as known", "error", err)
	}
	hurt := ""
	for wait := time.Duration(0); l.clock.Sleep(ctx, wait) == nil; {
		wait = lookEvery
		err := l.look(known)
		if err == nil {
			known = true
			err = l.work(ctx)
		}
		if err != nil && ctx.Err() == nil {
			wait = lookAgain
			if err.Error() != hurt {
				l.log.Error("new rules cannot be run over the past; it is tried again", "error", err)
			}
			hurt = err.Error()
		}
	}
}

// load reads the state; known is false where there is none.
func (l *lookback) load() (known bool, err error) {
	data, err := os.ReadFile(l.file)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &l.state)
	}
	if err != nil {
		l.state = lookbackState{}
		return false, fmt.Errorf("read %s: %w", l.file, err)
	}
	return true, nil
}

func (l *lookback) save() error {
	data, err := json.Marshal(&l.state)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(l.file, append(data, '\n')); err != nil {
		return fmt.Errorf("write down which rules were run over the past: %w", err)
	}
	return nil
}

// look compares rules and lists with what was known and adds what is new to the
// job. At the very first look everything is known.
func (l *lookback) look(known bool) error {
	rules := map[string]string{}
	for key, mark := range l.judge.rules.engine.Fingerprints() {
		rules[key] = hex.EncodeToString(mark[:])
	}
	lists, err := l.lists()
	if err != nil {
		return err
	}
	newRules, newLists := fresh(l.state.Rules, rules), fresh(l.state.Indicators, lists)
	same := len(newRules)+len(newLists) == 0 && len(rules) == len(l.state.Rules) && len(lists) == len(l.state.Indicators)
	if same && known {
		return nil
	}
	l.state.Rules, l.state.Indicators = rules, lists
	if known && l.back > 0 && len(newRules)+len(newLists) > 0 {
		now := l.clock.Now().UTC()
		job := &lookbackJob{From: now.Add(-l.back), To: now, Rules: newRules, Indicators: newLists}
		if old := l.state.Job; old != nil {
			job.Rules = union(old.Rules, job.Rules)
			job.Indicators = union(old.Indicators, job.Indicators)
			if old.From.Before(job.From) {
				job.From = old.From
			}
		}
		l.state.Job = job
	}
	return l.save()
}

// fresh are the keys of now whose value was another, or none, before.
func fresh(before, now map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(now)) {
		if before[k] != now[k] {
			out = append(out, k)
		}
	}
	return out
}

func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}

// lists are the hashes of the indicator files. They are read only when one of
// them has changed.
func (l *lookback) lists() (map[string]string, error) {
	stat, files := "", []string(nil)
	for _, p := range l.indicators {
		filepath.WalkDir(p, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // the callback gives none
			if err != nil || d.IsDir() {
				return nil //nolint:nilerr // a list that went is not new
			}
			if info, err := d.Info(); err == nil {
				files = append(files, path)
				stat += fmt.Sprintln(path, info.Size(), info.ModTime().UnixNano())
			}
			return nil
		})
	}
	if stat == l.stat && l.state.Indicators != nil {
		return l.state.Indicators, nil
	}
	out := map[string]string{}
	for _, f := range files {
		sum, err := sumFile(f)
		if err != nil {
			return nil, err
		}
		out[f] = sum
	}
	l.present(files)
	l.stat = stat
	return out, nil
}

func sumFile(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// present has addresses, domains and URLs of the lists looked up in events as
// they come. Files are scanned with the lists by themselves.
func (l *lookback) present(files []string) {
	all, problems, err := scan.LoadIndicators(files)
	if err != nil {
		l.log.Error("indicators cannot be used: events are judged with those of before", "error", err)
		return
	}
	for _, p := range problems[:min(len(problems), 10)] {
		l.log.Warn("an indicator is left out", "problem", p.Error())
	}
	net := indicator.New()
	all.All(func(in indicator.Indicator) {
		if in.Kind == indicator.IP || in.Kind == indicator.Domain || in.Kind == indicator.URL {
			net.Add(in) //nolint:errcheck // it was in a set
		}
	})
	if net.Network() == 0 {
		net = nil
	}
	l.judge.rules.engine.Listed(net)
}

// work does the job, if there is one, and strikes it off.
func (l *lookback) work(ctx context.Context) error {
	job := l.state.Job
	if job == nil {
		return nil
	}
	l.log.Info("looking back", "rules", len(job.Rules), "lists of indicators", len(job.Indicators), "from", job.From.Format(time.DateTime), "to", job.To.Format(time.DateTime))
	f, err := l.find(ctx, job)
	if err != nil {
		return err
	}
	told, err := l.judge.findings(ctx, f)
	if err != nil {
		return err
	}
	l.log.Info("looked back", "events", f.events, "findings", told, "known already", f.known, "findings not kept, because there were too many", f.over)
	l.state.Job = nil
	return l.save()
}

// find runs a job.
func (l *lookback) find(ctx context.Context, job *lookbackJob) (*findings, error) {
	keys := map[string]bool{}
	for _, k := range job.Rules {
		keys[k] = true
	}
	var listed *indicator.Set
	if len(job.Indicators) > 0 {
		there := slices.DeleteFunc(slices.Clone(job.Indicators), func(f string) bool { _, err := os.Stat(f); return err != nil })
		var err error
		if listed, _, err = scan.LoadIndicators(there); err != nil { // mended, it is new again
			l.log.Error("indicators cannot be used: nothing is looked back for with them", "error", err)
			listed = nil
		}
	}
	f := &findings{ctx: ctx, book: l.judge.book, groups: map[string]*finding{}}
	past := l.judge.rules.engine.Past(keys, listed)
	err := l.read(ctx, job.From, job.To, func(line []byte) error {
		f.events++
		return f.take(line, past.Judge(line))
	})
	if err == nil {
		err = f.take(nil, past.Advance(job.To.Add(time.Hour*24*366)))
	}
	return f, err
}
