// Package avcheck finds out what the antivirus program of a machine does with
// files that it must know: it writes the EICAR test file, plain, renamed and
// packed, and a harmless text, looks what becomes of them, and removes them. It
// changes nothing of the antivirus program and hides nothing from it.
package avcheck

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/clamd"
)

// What became of a file.
const (
	Blocked     = "blocked"     // it could not be written, or not be opened
	Quarantined = "quarantined" // it was taken away or emptied
	Logged      = "logged"      // it was told of, and left
	Nothing     = "nothing"
)

// Config is what Run takes.
type Config struct {
	Dir    string        // must be absent or empty
	Wait   time.Duration // how long what becomes of the files is watched
	Poll   time.Duration // between two looks; zero is half a second
	Clamd  *clamd.Client // nil: the one that clamd.conf names, or that is at a usual place, if it answers
	Conf   string        // clamd.conf; empty: the usual places
	Log    string        // log file of clamd or clamonacc; empty: that of clamd.conf
	Events string        // Defender's events, .evtx or JSON lines; may grow while the check runs
}

// Result is what became of one file.
type Result struct {
	File     string  `json:"file"`
	About    string  `json:"about"`
	Harmless bool    `json:"harmless"`
	Outcome  string  `json:"outcome"`
	Seconds  float64 `json:"seconds"` // from when it was written, or asked about
	By       string  `json:"by,omitempty"`
	Name     string  `json:"signature,omitempty"`
}

// Fine tells whether it is what must become of such a file.
func (r *Result) Fine() bool { return r.Harmless == (r.Outcome == Nothing) }

// Report is the whole check.
type Report struct {
	Results []Result
	State   State
}

// Fine tells whether every file was treated as it must be.
func (r *Report) Fine() bool {
	for i := range r.Results {
		if !r.Results[i].Fine() {
			return false
		}
	}
	return true
}

var errNotEmpty = errors.New("it is not empty: give a directory that does not exist, the check removes what it wrote")

// check is one run.
type check struct {
	Config
	all     []sample
	rep     *Report
	written []time.Time
	begin   time.Time
	log     *logTail
	// watchLog is set where the caller named a log: what writes it acts by itself.
	watchLog bool
	events   *eventFile
}

// Run writes the files, watches them until each one is caught or Wait is over,
// and removes them. An error says that the check could not be made; what was
// written is removed then, too.
func Run(ctx context.Context, c Config) (rep *Report, err error) {
	if c.Poll <= 0 {
		c.Poll = 500 * time.Millisecond
	}
	all, err := samples()
	if err != nil {
		return nil, err
	}
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	made, err := fresh(c.Dir)
	if err != nil {
		return nil, err
	}
	k := &check{Config: c, all: all, rep: &Report{}, begin: time.Now(), watchLog: c.Log != ""}
	defer func() { err = errors.Join(err, k.remove(made)) }()
	if err := k.rep.State.learn(ctx, &k.Config); err != nil {
		return nil, err
	}
	if k.Log != "" {
		k.log = &logTail{path: k.Log}
		k.log.skip()
	}
	if k.Events != "" {
		if k.events, err = openEvents(k.Events); err != nil {
			return nil, err
		}
	}
	if err := k.write(); err != nil {
		return nil, err
	}
	err = k.watch(ctx)
	return k.rep, err
}

// fresh makes the directory; made tells whether it was absent.
func fresh(dir string) (made bool, err error) {
	list, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Other programs, clamd under a user of its own, are to see into it.
		return true, os.Mkdir(dir, 0o755)
	case err != nil:
		return false, err
	case len(list) > 0:
		return false, fmt.Errorf("check in %s: %w", dir, errNotEmpty)
	}
	return false, nil
}

func (k *check) write() error {
	for _, s := range k.all {
		path := filepath.Join(k.Dir, s.name)
		k.rep.Results = append(k.rep.Results, Result{File: path, About: s.about, Harmless: s.harmless, Outcome: Nothing})
		k.written = append(k.written, time.Now())
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err == nil {
			_, err = f.Write(s.data)
			err = errors.Join(err, f.Close())
		}
		if refused(err) {
			k.caught(len(k.rep.Results)-1, Blocked, "on writing", "")
		} else if err != nil {
			return fmt.Errorf("write a test file: %w", err)
		}
	}
	return nil
}

// refused tells of errors with which an antivirus program refuses a file.
func refused(err error) bool {
	return errors.Is(err, fs.ErrPermission) || isInputOutput(err)
}

func (k *check) caught(i int, outcome, by, name string) {
	r := &k.rep.Results[i]
	r.Outcome, r.By, r.Name = outcome, by, name
	r.Seconds = seconds(time.Since(k.written[i]))
}

func seconds(d time.Duration) float64 { return float64(d.Milliseconds()) / 1000 }

// quiet is how long a program that works by itself is waited for where clamd
// answers and nothing is seen running that acts by itself.
const quiet = 2 * time.Second

// watch looks until everything is caught or the time is over; then clamd is
// asked about what is left.
func (k *check) watch(ctx context.Context) error {
	wait := k.Wait
	if k.Clamd != nil && !k.rep.State.RealTime && !k.watchLog && k.events == nil {
		wait = min(wait, quiet)
	}
	end := time.NewTimer(wait)
	defer end.Stop()
	tick := time.NewTicker(k.Poll)
	defer tick.Stop()
	for over := false; !over; {
		if err := k.look(); err != nil {
			return err
		}
		if k.settled() {
			break
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-end.C:
			over = true
		case <-tick.C:
		}
	}
	return k.ask(ctx)
}

// settled tells whether nothing more is waited for: the log may still say more
// of a file that is there.
func (k *check) settled() bool {
	for i := range k.rep.Results {
		if r := &k.rep.Results[i]; !r.Harmless && r.Outcome == Nothing {
			return false
		}
	}
	return true
}

// look takes note of what has become of the files.
func (k *check) look() error {
	for i := range k.rep.Results {
		if o := k.rep.Results[i].Outcome; o == Nothing || o == Logged {
			k.lookAt(i)
		}
	}
	if k.log != nil {
		if err := k.log.each(func(line string) { k.logLine(line) }); err != nil {
			return err
		}
	}
	if k.events != nil {
		return k.events.each(func(e *defenderEvent) { k.event(e) })
	}
	return nil
}

func (k *check) lookAt(i int) {
	f, err := os.Open(k.rep.Results[i].File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		k.caught(i, Quarantined, "it is gone", k.rep.Results[i].Name)
		return
	case refused(err):
		k.caught(i, Blocked, "on opening", k.rep.Results[i].Name)
		return
	case err != nil:
		return
	}
	defer f.Close() //nolint:errcheck // only read
	var b bytes.Buffer
	_, err = io.Copy(&b, io.LimitReader(f, int64(len(k.all[i].data))+1))
	switch {
	case refused(err):
		k.caught(i, Blocked, "on reading", k.rep.Results[i].Name)
	case err == nil && !bytes.Equal(b.Bytes(), k.all[i].data):
		k.caught(i, Quarantined, "its content was changed", k.rep.Results[i].Name)
	}
}

// ask asks clamd about what nobody has caught.
func (k *check) ask(ctx context.Context) error {
	if k.Clamd == nil {
		return nil
	}
	for i := range k.rep.Results {
		r := &k.rep.Results[i]
		if r.Outcome != Nothing {
			continue
		}
		asked := time.Now()
		name, err := k.Clamd.File(ctx, r.File)
		if err != nil {
			// clamd may lack the rights to the directory: it gets the content then.
			data := k.all[i].data
			name, err = k.Clamd.Stream(ctx, bytes.NewReader(data), int64(len(data)))
		}
		if err != nil {
			return err
		}
		if name != "" {
			k.caught(i, Logged, "clamd, when asked", name)
			r.Seconds = seconds(time.Since(asked))
		}
	}
	return nil
}

// remove removes what was written, and nothing else.
func (k *check) remove(made bool) error {
	var all error
	for _, s := range k.all {
		if err := os.Remove(filepath.Join(k.Dir, s.name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, err)
		}
	}
	if made {
		if err := os.Remove(k.Dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			all = errors.Join(all, fmt.Errorf("something else was put into the directory, it stays: %w", err))
		}
	}
	return all
}
