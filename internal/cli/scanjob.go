package cli

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/term"

	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/clamd"
	"github.com/lapwing-defence/lapwing/internal/scan/unpack"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// scanJob is a scan made ready: with what, and what its outcome depends on.
type scanJob struct {
	tree   scan.Tree
	memory []scan.Scanner // for what processes have in memory
	id     bytes.Buffer   // names rules, lists and settings
	close  func() error
}

// maxClamd is the largest file that is sent to clamd; its own limit is lower.
const maxClamd = 2 << 30

// consoleLines shows what rules write with the console module, a line each.
func consoleLines(g *globals) func(file, line string) {
	var mu sync.Mutex
	const most = 4096 // bytes of a line
	return func(file, line string) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(g.Err, "%s: console: %s\n", strconv.Quote(file), quoteText(line[:min(len(line), most)])) //nolint:errcheck // nowhere else to say it
	}
}

// job makes the scanners.
func (f *scanFlags) job(ctx context.Context, g *globals, rules *yara.Rules, names []string) (*scanJob, error) {
	j := &scanJob{close: func() error { return nil }}
	y := scan.NewYARA(rules, names, f.timeout)
	y.Console(consoleLines(g))
	j.memory = []scan.Scanner{y}
	scanners := []scan.Scanner{y}
	if len(f.indicators) > 0 {
		set, faults, err := scan.LoadIndicators(f.indicators)
		if err != nil {
			return nil, err
		}
		for _, p := range faults {
			fmt.Fprintln(g.Err, "indicators:", strconv.QuoteToGraphic(p.Error())) //nolint:errcheck // nowhere else to say it
		}
		if set.Len() == 0 {
			return nil, fmt.Errorf("indicators: %s: there is no indicator in it", strings.Join(f.indicators, ", "))
		}
		if n := set.Network(); n > 0 && !g.quiet {
			fmt.Fprintf(g.Err, "indicators: %d are addresses, domains or URLs, which files have not: lapwing hunt --indicators looks for them in logs\n", n) //nolint:errcheck // as above
		}
		scanners = append(scanners, scan.NewKnown(set, time.Now))
	}
	captured, err := f.captured(g)
	if err != nil {
		return nil, err
	}
	switch {
	case captured != nil && f.cache != "": // a file that was clean yesterday may have been captured since
		j.tree.Always = []scan.Scanner{captured}
	case captured != nil:
		scanners = append(scanners, captured)
	}
	if !f.noUnpack {
		scanners = []scan.Scanner{&scan.Inside{Scanners: scanners, Limits: unpack.Limits{Time: f.timeout}}}
	}
	j.tree.Scanners = scanners
	j.tree.Workers, j.tree.MaxSize = f.workers, f.maxSize
	if f.since > 0 {
		j.tree.Since = time.Now().Add(-f.since)
	}
	if f.cpu > 0 {
		j.tree.Pace = scan.NewPace(f.cpu)
	}
	if err := j.clamd(ctx, f.clamd, f.timeout); err != nil {
		return nil, err
	}
	if f.cache != "" {
		return j, j.cache(f, g, rules)
	}
	return j, nil
}

// captured is what knows the files that were left on decoys, nil for nothing.
func (f *scanFlags) captured(g *globals) (scan.Scanner, error) {
	dir, err := g.dir()
	if err != nil {
		return nil, err
	}
	s, err := dir.Captured()
	if err != nil {
		fmt.Fprintf(g.Err, "lapwing: files are not compared with those left on decoys: %v\n", err) //nolint:errcheck // nowhere else to say it
	}
	return s, nil
}

// clamd adds a clamd, which must answer.
func (j *scanJob) clamd(ctx context.Context, address string, timeout time.Duration) error {
	if address == "" {
		return nil
	}
	c, err := clamd.New(address, timeout)
	if err != nil {
		return usageError{err}
	}
	v, err := c.Version(ctx)
	if err != nil {
		return fmt.Errorf("--clamd %s: %w", address, err)
	}
	fmt.Fprintf(&j.id, "%+v\n", v)
	j.tree.Scanners = append(j.tree.Scanners, &scan.Clamd{Client: c, Max: maxClamd})
	return nil
}

// cache opens the cache under the name of everything that an outcome depends on.
func (j *scanJob) cache(f *scanFlags, g *globals, rules *yara.Rules) error {
	fmt.Fprintf(&j.id, "%s %q %v %v\n", g.version, f.define, f.noUnpack, f.timeout)
	h := sha256.New()
	h.Write(j.id.Bytes())
	if err := rules.Save(h); err != nil {
		return err
	}
	for _, p := range f.indicators {
		if err := hashFiles(h, p); err != nil {
			return fmt.Errorf("indicators: %w", err)
		}
	}
	c, err := scan.OpenCache(f.cache, [sha256.Size]byte(h.Sum(nil)))
	if err != nil {
		return err
	}
	j.tree.Cache, j.close = c, c.Close
	return nil
}

// hashFiles writes all files below a path into h.
func hashFiles(h io.Writer, root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		in, err := os.Open(path)
		if err != nil {
			return err
		}
		defer in.Close() //nolint:errcheck // only read
		if _, err := io.Copy(h, in); err != nil {
			return err
		}
		_, err = io.WriteString(h, "\x00")
		return err
	})
}

// meter counts for the line on a terminal.
type meter struct {
	files, bytes, found atomic.Int64
	allFiles, allBytes  atomic.Int64
	counted             atomic.Bool // all is known
	mu                  sync.Mutex  // the terminal's
	term                io.Writer   // nil: no line is drawn
	stop                func()
}

// newMeter draws a line on a terminal until stop, where there is one.
func newMeter(ctx context.Context, g *globals, paths []string) *meter {
	m := &meter{stop: func() {}}
	file, ok := g.Err.(*os.File)
	if !ok || g.quiet || g.json || !term.IsTerminal(int(file.Fd())) {
		return m
	}
	m.term = file
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { m.count(ctx, paths) })
	wg.Go(func() { m.draw(ctx, time.Now()) })
	m.stop = func() { cancel(); wg.Wait(); m.clear() }
	return m
}

// count finds out how much there is, beside the scan.
func (m *meter) count(ctx context.Context, paths []string) {
	for _, p := range paths {
		_ = filepath.WalkDir(p, func(_ string, d fs.DirEntry, err error) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil || !d.Type().IsRegular() {
				return nil //nolint:nilerr // as said
			}
			if info, err := d.Info(); err == nil {
				m.allFiles.Add(1)
				m.allBytes.Add(info.Size())
			}
			return nil
		})
	}
	m.counted.Store(ctx.Err() == nil)
}

func (m *meter) draw(ctx context.Context, begin time.Time) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		m.mu.Lock()
		fmt.Fprintf(m.term, "\r%s\x1b[K", m.line(time.Since(begin))) //nolint:errcheck // a terminal
		m.mu.Unlock()
	}
}

// line is the state of the scan for a person: what is done, the rate, the rest.
func (m *meter) line(took time.Duration) string {
	done, all := m.bytes.Load(), m.allBytes.Load()
	rate := float64(done) / max(took.Seconds(), 0.001)
	text := fmt.Sprintf("%d files, %.1f MB, %.1f MB/s, %d findings", m.files.Load(), float64(done)/1e6, rate/1e6, m.found.Load())
	if !m.counted.Load() {
		return text
	}
	text = fmt.Sprintf("%d of %d files, %.1f of %.1f MB, %.1f MB/s, %d findings", m.files.Load(), m.allFiles.Load(), float64(done)/1e6, float64(all)/1e6, rate/1e6, m.found.Load())
	if rate > 0 && all > done {
		left := time.Duration(float64(all-done) / rate * float64(time.Second))
		text += ", " + left.Round(time.Second).String() + " left"
	}
	return text
}

// clear takes the line away, for something else to be printed.
func (m *meter) clear() {
	if m.term != nil {
		m.mu.Lock()
		fmt.Fprint(m.term, "\r\x1b[K") //nolint:errcheck // a terminal
		m.mu.Unlock()
	}
}

// over counts a report, and clears the line where something is to be said.
func (m *meter) over(r *scan.Report) {
	m.files.Add(1)
	m.bytes.Add(r.Size)
	m.found.Add(int64(len(r.Findings)))
	if len(r.Findings) > 0 || r.Err != nil {
		m.clear()
	}
}
