// Package hunt runs rules over recorded logs: files and directories, plain,
// compressed or in archives, of any format that the decoders know. Input is
// read once, in blocks, and never held as a whole; several goroutines decode
// and judge the blocks, and what they find comes out in the order of the input.
// Correlations are judged at the end, over all inputs, in order of time.
package hunt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Config is what a hunt needs.
type Config struct {
	Rules   *ruleset.Loaded
	Mapping *logsource.Mapping
	// Router is the mapping bound to the rules' fields; made by New when nil.
	Router *logsource.Router
	// Paths are files and directories; "-" is Stdin.
	Paths []string
	Stdin io.Reader
	// StdinName is what Stdin is called in findings; empty: "-".
	StdinName string
	// Workers is how many goroutines decode; 0: one for each processor.
	Workers int
	// Since and Until bound the time of records; records without a time pass.
	Since, Until time.Time
	// Carve also looks for event log records in slack and damaged chunks.
	Carve bool
	// Indicators are looked up in every value of a record; nil: none.
	Indicators *indicator.Set
	// Report is the file that the findings are written to; where a walk meets it,
	// it is no input. nil: none.
	Report *os.File
	// Events asks for the record itself with each match.
	Events bool
	// Now is taken for log lines whose time has no year and whose file is not
	// dated.
	Now time.Time
	// TempDir is where correlations of very large inputs are sorted.
	TempDir string
}

// Reporter takes the findings, one call at a time.
type Reporter interface {
	Match(m *Match) error
}

// Stats counts what a hunt met. Reading it while the hunt runs gives progress.
type Stats struct {
	Bytes   atomic.Int64 // read, before unpacking
	Total   atomic.Int64 // to be read, 0 while unknown
	Files   atomic.Int64 // inputs, members of archives each
	Records atomic.Int64 // judged
	Outside atomic.Int64 // left out by Since and Until
	Unknown atomic.Int64 // of Records: of no known log source
	Damaged atomic.Int64 // records, lines and chunks that could not be read
	Carved  atomic.Int64 // of Records: found in slack
	Skipped atomic.Int64 // files that are no logs
	Matches atomic.Int64
	Alerts  atomic.Int64 // of Matches: correlations
	Points  atomic.Int64 // facts that correlations looked at
}

// Hunt is one run.
type Hunt struct {
	Stats Stats

	cfg    Config
	router *logsource.Router
	names  []sigma.FieldID
	who    []sigma.FieldID // where a record may say which machine it is of, best first

	look func(rec *sigma.Record, id uint64) // instead of judging

	mu       sync.Mutex
	problems []Problem
	dropped  int
	partial  bool
}

// Problem is an input, or a part of one, that could not be read.
type Problem struct { //nolint:errname // told, never compared
	File  string
	Text  string
	Fatal bool // the input could not be opened at all
}

// share is how much of an input a problem is about.
type share uint8

const (
	aside  share = iota // it is no log
	partly              // a part was not looked at
	unread              // nothing was
)

// Error is "file: text".
func (p Problem) Error() string { return p.File + ": " + p.Text }

// maxProblems is how many problems are kept; more are counted.
const maxProblems = 1000

// New makes a hunt.
func New(cfg Config) (*Hunt, error) {
	if cfg.Rules == nil || cfg.Mapping == nil || len(cfg.Paths) == 0 {
		return nil, errors.New("hunt: rules, a mapping and paths are needed")
	}
	if cfg.Workers <= 0 {
		cfg.Workers = runtime.GOMAXPROCS(0)
	}
	h := &Hunt{cfg: cfg, router: cfg.Router}
	f := cfg.Rules.Fields
	if h.router == nil {
		h.router = cfg.Mapping.Router(f)
	}
	h.names = f.Add(telling()...)
	h.who = f.Add("Computer", "hostname", "host.name", "lapwing.host")
	return h, nil
}

// Problems are the inputs that could not be read whole, and how many more
// there were than are kept.
func (h *Hunt) Problems() (list []Problem, more int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Problem(nil), h.problems...), h.dropped
}

// Partial tells whether a part of an input was not looked at: it was damaged,
// cut off, too deeply packed, or a file that was named is no log.
func (h *Hunt) Partial() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.partial
}

func (h *Hunt) problem(file string, how share, format string, args ...any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	fatal := how == unread
	h.partial = h.partial || how == partly
	if len(h.problems) >= maxProblems && !fatal {
		h.dropped++
		return
	}
	h.problems = append(h.problems, Problem{File: file, Text: fmt.Sprintf(format, args...), Fatal: fatal})
}

// Run hunts and gives what it finds to out. The error is that of ctx, of out,
// or of the disk where correlations are sorted; inputs that cannot be read are
// Problems.
func (h *Hunt) Run(ctx context.Context, out Reporter) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	line := newLine(h.cfg.Workers)
	facts := newFacts(h.cfg.Rules.Engine, h.cfg.TempDir)
	defer facts.close()

	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(line.todo)
		r := reader{h: h, ctx: ctx, line: line}
		r.all(h.cfg.Paths)
	})
	var judges sync.WaitGroup
	for range h.cfg.Workers {
		judges.Go(func() {
			j := h.newJudge()
			for b := range line.todo {
				select {
				case line.done <- j.block(b):
				case <-ctx.Done():
					return
				}
			}
		})
	}
	wg.Go(func() { judges.Wait(); close(line.done) })
	err := line.collect(func(r *result) error {
		for i := range r.matches {
			if err := out.Match(&r.matches[i]); err != nil {
				return err
			}
		}
		return facts.add(r.points, r.file)
	})
	if err != nil {
		cancel(err)
		for range line.done { // let the others end
		}
	}
	wg.Wait()
	if err != nil {
		return err
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return h.correlate(facts, out)
}
