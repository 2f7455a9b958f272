package scan

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// YARA scans with compiled rules.
type YARA struct {
	rules  *yara.Rules
	limits yara.Limits
	pool   sync.Pool
	fixed  map[string]bool
	// console takes what rules say with the console module; nil drops it.
	console func(file, line string)
}

var _ Scanner = (*YARA)(nil)

// FileVariables are the external variables that each file sets, as rule sets
// of the field expect them.
func FileVariables() []string {
	return []string{"filename", "filepath", "extension", "filetype", "owner"}
}

// NewYARA makes a scanner of rules. fixed names the variables that the caller
// set itself, which a file does not change. perFile is how long a file may
// take; zero is one minute.
func NewYARA(rules *yara.Rules, fixed []string, perFile time.Duration) *YARA {
	if perFile <= 0 {
		perFile = time.Minute
	}
	y := &YARA{rules: rules, limits: yara.Limits{Time: perFile}, fixed: map[string]bool{}}
	for _, name := range fixed {
		y.fixed[name] = true
	}
	y.pool.New = func() any { return rules.NewScanner() }
	return y
}

// Console has f called with what rules say with the console module about a
// file, at most maxConsole lines of one. f is called by several goroutines. It
// is set before the first scan.
func (y *YARA) Console(f func(file, line string)) { y.console = f }

const maxConsole = 1000

// logged takes the lines that rules write about in.
func (y *YARA) logged(in io.ReaderAt) func(string) {
	if y.console == nil {
		return nil
	}
	name := "content"
	if n, ok := in.(interface{ Name() string }); ok {
		name = n.Name()
	}
	lines := 0
	return func(line string) {
		switch lines++; {
		case lines == maxConsole:
			line = "... and more, not shown"
		case lines > maxConsole:
			return
		}
		y.console(name, line)
	}
}

// Scan implements Scanner.
func (y *YARA) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error) {
	s, _ := y.pool.Get().(*yara.Scanner)
	defer y.pool.Put(s)
	res, err := s.Scan(ctx, in, size, yara.ScanOptions{Externals: y.variables(in), Limits: y.limits, Log: y.logged(in)})
	var out []Finding
	for _, m := range res.Matches {
		out = append(out, y.finding(m))
	}
	var reasons []string
	for _, l := range res.Limits {
		reasons = append(reasons, strings.TrimSpace("rule "+l.Rule+" "+l.String)+": "+l.Reason)
	}
	switch {
	case errors.Is(err, yara.ErrTime):
		return out, &Incomplete{Reasons: append(reasons, err.Error()+slowest(s.Costs()))}
	case err != nil:
		return out, err
	case len(reasons) > 0:
		return out, &Incomplete{Reasons: reasons}
	}
	return out, nil
}

// slow is how many steps of an expression count as much: about a tenth of a second.
const slow = 10_000_000

// slowest names the string that took most, if it took much.
func slowest(costs []yara.Cost) string {
	var most yara.Cost
	for _, c := range costs {
		if c.Steps > most.Steps {
			most = c
		}
	}
	if most.Steps < slow {
		return ""
	}
	return "; most of it took rule " + most.Rule + " " + most.String
}

func (y *YARA) finding(m yara.Match) Finding {
	r := y.rules.Rule(m.Rule)
	f := Finding{Detector: "yara", Rule: m.Name, Tags: r.Tags}
	for _, x := range r.Meta {
		f.Meta = append(f.Meta, Meta(x))
	}
	for _, p := range m.Strings {
		f.Places = append(f.Places, Place{String: p.Name, Offset: p.Offset, Length: p.Length, Data: p.Data})
	}
	return f
}

// variables are those that the file's name gives.
func (y *YARA) variables(in io.ReaderAt) map[string]any {
	n, ok := in.(interface{ Name() string })
	if !ok {
		return nil
	}
	path := n.Name()
	out := map[string]any{
		"filename":  filepath.Base(path),
		"filepath":  filepath.Dir(path),
		"extension": filepath.Ext(path),
	}
	for name := range y.fixed {
		delete(out, name)
	}
	return out
}
