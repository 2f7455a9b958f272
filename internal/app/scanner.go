//go:build unix

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/unpack"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
	"github.com/lapwing-defence/lapwing/internal/vault"
	"github.com/lapwing-defence/lapwing/rules"
)

// The limits of looking at captured files. One file is looked at at a time.
const (
	scanTime    = 10 * time.Second // for one file with all that is in it
	scanSize    = 64 << 20         // bytes of one file, which is held in memory
	scanQueue   = 4096             // batches with captured files that wait; more are counted
	scanPause   = 250 * time.Millisecond
	scanVerdict = 4096 // files whose outcome is remembered: botnets leave the same one again and again
	scanTold    = 32   // findings of one file that become events
)

// scanClient names the scanner's own batches in the journal.
const scanClient = "lapwing scanner\x00"

// fileScanner looks at each captured file with YARA rules and indicators, and
// writes what it finds as events of the session that left the file. It follows
// the journal, so that no visitor and no other file waits for it, and files
// that were captured just before a crash are looked at after it.
type fileScanner struct {
	journal  journal.Journal
	vault    *vault.Vault
	state    keptFile
	ids      *event.IDs
	now      func() time.Time
	log      *slog.Logger
	observer string

	scanner scan.Scanner
	known   map[string]verdictOf // by SHA-256; the worker's alone
	queue   chan scanJob
	dropped chan int // 1 element: files that found the queue full
	again   rescan   // the worker's alone
}

// verdictOf is what came of one content.
type verdictOf struct {
	found  []scan.Finding
	reason string // why it was not looked at to the end
}

// scanJob is the captured files of one entry of the journal.
type scanJob struct {
	at    journal.Position // the entry's end
	files []event.Event
}

// background starts what the keeper does by itself; stop waits for its end.
func (k *keeper) background(ctx context.Context, o *HubOrders, log *slog.Logger) (stop func()) {
	go k.expire(ctx)
	return k.scanCaptures(ctx, o, log)
}

// scanCaptures starts looking at captured files; stop waits for the end.
func (k *keeper) scanCaptures(ctx context.Context, o *HubOrders, log *slog.Logger) (stop func()) {
	s := &fileScanner{
		journal: k.journal, vault: k.vault, state: keptFile(k.dir.Path("scanned")), ids: event.NewIDs(nil, time.Now), now: time.Now, log: log,
		observer: o.Observer, known: map[string]verdictOf{}, queue: make(chan scanJob, scanQueue), dropped: make(chan int, 1),
		again: rescan{book: k.book, file: k.dir.Path("scanned-rules"), sets: make(chan scanSet), every: rulesEvery},
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{}, 3)
	go func() { s.follow(ctx); done <- struct{}{} }()
	go func() { s.watchRules(ctx, o.Config.Scan); done <- struct{}{} }()
	go func() {
		select {
		case <-ctx.Done():
		case set := <-s.again.sets:
			s.use(ctx, set)
			s.work(ctx)
		}
		done <- struct{}{}
	}()
	return func() { cancel(); <-done; <-done; <-done }
}

// loadScanner compiles the rules that are shipped and those of the
// configuration. A set that cannot be used is told and left out: the others
// still protect; ok is false then.
func loadScanner(c config.Scan, log *slog.Logger) (s scan.Scanner, ok bool) {
	in := &scan.Inside{Limits: unpack.Limits{Time: scanTime, Total: 512 << 20, Entry: scanSize, Entries: 10_000, Memory: 64 << 20}}
	ok = true
	add := func(name string, r *yara.Rules, problems []yara.Problem, err error) {
		for _, p := range problems {
			if err == nil && !p.Warning {
				err = p
			}
		}
		if err != nil {
			ok = false
			log.Error("rules cannot be used for captured files; lapwing yara check tells all faults", "rules", name, "error", err)
			return
		}
		in.Scanners = append(in.Scanners, scan.NewYARA(r, nil, scanTime))
	}
	r, problems, err := scan.LoadFS(rules.FS, "yara", nil)
	add("shipped", r, problems, err)
	for _, path := range c.Rules {
		r, problems, err := scan.LoadYARA([]string{path}, nil)
		add(path, r, problems, err)
	}
	if len(c.Indicators) > 0 {
		set, _, err := scan.LoadIndicators(c.Indicators)
		if err != nil {
			ok = false
			log.Error("indicators cannot be used for captured files", "error", err)
		} else {
			in.Scanners = append(in.Scanners, scan.NewKnown(set, time.Now))
		}
	}
	return in, ok
}

// follow reads the journal and queues the captured files.
func (s *fileScanner) follow(ctx context.Context) {
	at, err := s.state.Load()
	if err != nil {
		s.log.Error("captured files are looked at again", "error", err)
	}
	for ctx.Err() == nil {
		if s.journal.Wait(ctx, at) != nil {
			return
		}
		if at, err = s.journal.Read(ctx, at, s.take); err != nil && ctx.Err() == nil {
			s.log.Error("captured files wait to be scanned", "error", err)
		}
		t := time.NewTimer(scanPause)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
}

// take queues the captured files of an entry.
func (s *fileScanner) take(e journal.Entry) error {
	if !bytes.Contains(e.Data, []byte(`file-captured"`)) { // as most have none
		return nil
	}
	job := scanJob{at: e.Pos}
	for line := range bytes.Lines(e.Data) {
		if !bytes.Contains(line, []byte(`"event.action":"file-captured"`)) {
			continue
		}
		if f, err := event.Decode(bytes.TrimRight(line, "\n")); err == nil && f.Action == event.ActionFileCaptured && len(f.SHA256) == 64 {
			job.files = append(job.files, f)
		}
	}
	if len(job.files) == 0 {
		return nil
	}
	select {
	case s.queue <- job:
	default:
		n := len(job.files)
		select {
		case more := <-s.dropped:
			n += more
		default:
		}
		s.dropped <- n // only follow fills it, and it has just been emptied
	}
	return nil
}

// work looks at what is queued until ctx ends.
func (s *fileScanner) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case set := <-s.again.sets:
			s.use(ctx, set)
		case <-s.again.turn:
			s.lookAgain(ctx)
		case job := <-s.queue:
			s.do(ctx, job)
		case n := <-s.dropped:
			s.log.Error("captured files were not scanned: too many came at once", "files", n)
			e := s.about(&event.Event{}, event.ActionScanIncomplete)
			e.Reason = fmt.Sprintf("%d captured files were not scanned: too many came at once", n)
			if _, err := s.journal.Append(ctx, event.DepthAct, append(e.AppendJSON(nil), '\n')); err != nil {
				s.log.Error("that files were not scanned cannot be written down", "error", err)
			}
		}
	}
}

// do looks at the files of a job and writes down what was found, once: the key
// of the batch is the job's place in the journal.
func (s *fileScanner) do(ctx context.Context, job scanJob) {
	var out []byte
	for i := range job.files {
		f := &job.files[i]
		v := s.look(ctx, f)
		if ctx.Err() != nil {
			return // it is looked at after the next start
		}
		for _, x := range v.found[:min(len(v.found), scanTold)] {
			e := s.finding(f, x)
			out = append(e.AppendJSON(out), '\n')
		}
		if v.reason != "" {
			e := s.about(f, event.ActionScanIncomplete)
			e.Reason = v.reason
			out = append(e.AppendJSON(out), '\n')
		}
	}
	if len(out) > 0 {
		key := journal.Key{Client: [16]byte([]byte(scanClient)), Seq: job.at.Segment<<40 | uint64(job.at.Offset)}
		if _, err := s.journal.AppendOnce(ctx, event.DepthAct, key, out); err != nil {
			s.log.Error("findings in captured files cannot be written down", "error", err)
			return
		}
	}
	if err := s.state.Save(job.at); err != nil {
		s.log.Error("how far captured files are scanned cannot be written down", "error", err)
	}
}

// look scans one file, or remembers what came of the same content.
func (s *fileScanner) look(ctx context.Context, f *event.Event) verdictOf {
	if v, ok := s.known[f.SHA256]; ok {
		return v
	}
	v := s.scan(ctx, f)
	if len(s.known) >= scanVerdict {
		clear(s.known)
	}
	if v.reason == "" { // another time it may do better
		s.known[f.SHA256] = v
	}
	return v
}

var errTooLarge = errors.New("it is larger than 64 MiB")

// scan takes a file out of its seal, into memory only, and asks the scanners.
// A scanner that panics on it is told as an incomplete scan; the hub goes on.
func (s *fileScanner) scan(ctx context.Context, f *event.Event) (v verdictOf) {
	ctx, cancel := context.WithTimeout(ctx, scanTime)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			s.log.Error("a scanner broke on a captured file; please report it", "sha256", f.SHA256, "panic", fmt.Sprint(p))
			v.reason = "a scanner broke on it"
		}
	}()
	var content limited
	if err := s.vault.Get(&content, f.SHA256); err != nil {
		v.reason = err.Error()
		return v
	}
	found, err := s.scanner.Scan(ctx, capturedFile{bytes.NewReader(content.Bytes()), f.Path}, int64(content.Len()))
	v.found = found
	if err != nil {
		v.reason = err.Error()
	}
	return v
}

// limited is a buffer with an end.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if l.Len()+len(p) > scanSize {
		return 0, errTooLarge
	}
	return l.Buffer.Write(p)
}

// capturedFile is content with the name that it had on the fake host.
type capturedFile struct {
	*bytes.Reader
	path string
}

// Name is the path.
func (c capturedFile) Name() string { return c.path }

// about is an event in the session that left f.
func (s *fileScanner) about(f *event.Event, action string) event.Event {
	now := s.now()
	e := event.Event{
		ID: s.ids.New(), Time: now, Ingested: now.Truncate(time.Millisecond), Dataset: "lapwing.scan", Observer: s.observer,
		Source: f.Source, Destination: f.Destination, Transport: f.Transport, Protocol: f.Protocol, User: f.User, Host: f.Host, Decoy: f.Decoy,
		Persona: f.Persona, Connection: f.Connection, Session: f.Session, Depth: event.DepthAct, Path: f.Path, Size: f.Size, SHA256: f.SHA256,
	}
	e.Describe(action)
	return e
}

// finding words what a scanner found as an event.
func (s *fileScanner) finding(f *event.Event, x scan.Finding) event.Event {
	e := s.about(f, event.ActionMalwareFound)
	about := scan.About(x)
	e.Add("rule.name", x.Rule)
	e.Add("rule.category", x.Detector)
	e.Add("rule.level", about.Level)
	e.Add("rule.description", about.Description)
	e.Add("rule.author", about.Author)
	e.Add("rule.reference", about.Reference)
	e.Add("rule.license", about.License)
	if len(about.Techniques) > 0 {
		e.Extra = append(e.Extra, event.Field{Name: "threat.technique.id", Value: event.List(about.Techniques...)})
	}
	e.Add("lapwing.scan.inside", x.Inside)
	if len(x.Places) > 0 {
		e.AddInt("lapwing.scan.offset", x.Places[0].Offset)
	}
	e.Reason = strings.TrimSuffix(x.Rule+": "+about.Description, ": ")
	return e
}
