// Package report says what an exercise was worth: as a table, JSON lines, a
// page, an ATT&CK Navigator layer, JUnit, and a labelled dataset. It keeps
// finished runs and compares them. It knows nothing of how a run is made.
package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Format is the version of a stored run. Load refuses others.
const Format = 1

// File is the name of a stored run in the directory of its exercise.
const File = "report.json"

// MaxSize bounds a stored run, in bytes.
const MaxSize = 64 << 20

// ErrFormat is a stored run of another version.
var ErrFormat = errors.New("a run of another format")

// Run is a finished exercise, as it is kept.
type Run struct {
	Format int          `json:"format"`
	Truth  score.Truth  `json:"truth"` // a stored run has no flows and traces: they are in the dataset
	Rules  score.Rules  `json:"rules"`
	Result score.Result `json:"result"`
}

// New is the run of an evaluated exercise.
func New(truth score.Truth, rules score.Rules, result score.Result) *Run {
	return &Run{Format: Format, Truth: truth, Rules: rules, Result: result}
}

// Save writes r to dir/report.json: whole or not at all. dir exists.
func Save(dir string, r *Run) error {
	name := filepath.Join(dir, File)
	kept := *r
	kept.Truth = bare(r.Truth)
	return writeFile(name, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetIndent("", " ")
		return enc.Encode(&kept)
	})
}

// bare is t without flows and traces.
func bare(t score.Truth) score.Truth {
	steps := make([]score.Step, len(t.Steps))
	for i, s := range t.Steps {
		s.Flows, s.Traces = nil, nil
		steps[i] = s
	}
	t.Steps = steps
	acts := make([]score.Activity, len(t.Activities))
	for i, a := range t.Activities {
		a.Flows, a.Traces = nil, nil
		acts[i] = a
	}
	t.Activities = acts
	return t
}

// Load reads dir/report.json.
func Load(dir string) (*Run, error) {
	name := filepath.Join(dir, File)
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open run: %w; `lapwing range run` writes one", err)
	}
	r, err := Read(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return r, nil
}

// Read reads a stored run, of at most MaxSize bytes. It may come from another
// machine: what does not hold together is refused.
func Read(in io.Reader) (*Run, error) {
	limited := &io.LimitedReader{R: in, N: MaxSize + 1}
	dec := json.NewDecoder(limited)
	var r Run
	if err := dec.Decode(&r); err != nil {
		if limited.N <= 0 {
			return nil, fmt.Errorf("larger than %d MiB; it is no run of ours", MaxSize>>20)
		}
		return nil, fmt.Errorf("no stored run: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something stands behind the run; take the file as `lapwing range run` wrote it")
	}
	if r.Format != Format {
		return nil, fmt.Errorf("%w: %d, this program reads %d; run the scenario again", ErrFormat, r.Format, Format)
	}
	return &r, r.check()
}

// check says what does not hold together.
func (r *Run) check() error {
	if err := r.Rules.Check(); err != nil {
		return err
	}
	res := &r.Result
	if res.Expected != res.Met+res.Missed+res.NotRun || min(res.Expected, res.Met, res.Missed, res.NotRun, res.FalseAlarms) < 0 {
		return fmt.Errorf("result: %d expected are not %d met, %d missed and %d not run", res.Expected, res.Met, res.Missed, res.NotRun)
	}
	if !(res.Score >= 0 && res.Score <= 100) {
		return fmt.Errorf("result: score %v; it is 0 to 100", res.Score)
	}
	seen := map[string]bool{}
	for i := range res.Steps {
		s := &res.Steps[i]
		if seen[s.ID] {
			return fmt.Errorf("result: step %q stands there twice", s.ID)
		}
		seen[s.ID] = true
		if len(s.Reasons) == 0 {
			return fmt.Errorf("result: step %q has no reason", s.ID)
		}
	}
	return nil
}

// writeFile writes name through a temporary file beside it.
func writeFile(name string, write func(io.Writer) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(name), ".tmp-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
			err = fmt.Errorf("write %s: %w", name, err)
		}
	}()
	w := bufio.NewWriterSize(f, 1<<16)
	if err = errors.Join(write(w), w.Flush(), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}

// line writes v as one line of JSON, without the escapes that are for HTML.
func line(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}
