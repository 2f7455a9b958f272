//go:build unix

package cli

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

// The exit statuses of scan beside the common ones.
const (
	statusFound      = 1
	statusIncomplete = 3
)

type scanFlags struct {
	rules   []string
	define  []string
	workers int
	maxSize int64
	timeout time.Duration
}

func newScan(g *globals) *cobra.Command {
	f := &scanFlags{}
	c := &cobra.Command{
		Use:   "scan --rules PATH... [-d NAME=VALUE]... PATH...",
		Short: "Look for malware in files",
		Long: "scan looks at files, and at all files below directories, with YARA rules.\n\n" +
			"Exit status: 0 nothing found, 1 something found, 2 error, also for rules that do not compile, 3 not everything could be looked at, 64 wrong usage. " +
			"Where several are true: 2, then 1, then 3.",
		Example: "  lapwing scan --rules rules/ /srv/share\n  lapwing scan --rules set.yarc --json /home",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return f.run(c, g, args) },
	}
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "YARA rules: a file, a directory, or a file of 'yara compile'")
	c.Flags().StringArrayVarP(&f.define, "define", "d", nil, "external variable of the rules, NAME=VALUE")
	c.Flags().IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "files looked at together")
	c.Flags().Int64Var(&f.maxSize, "max-size", 0, "largest file in bytes; a larger one counts as not looked at (0: any)")
	c.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "longest time for one file")
	return c
}

func (f *scanFlags) run(c *cobra.Command, g *globals, paths []string) error {
	if len(f.rules) == 0 {
		return usageError{errors.New("scan needs rules: --rules PATH")}
	}
	vars, names, err := definitions(f.define)
	if err != nil {
		return err
	}
	rules, problems, err := scan.LoadYARA(f.rules, vars)
	if err != nil {
		return err
	}
	if yara.Failed(problems) {
		printProblems(g, g.Err, problems, false)
		return exitStatus(statusError)
	}
	p := &scanPrinter{g: g, enc: json.NewEncoder(g.Out)}
	p.enc.SetEscapeHTML(false)
	tree := scan.Tree{Scanners: []scan.Scanner{scan.NewYARA(rules, names, f.timeout)}, Workers: f.workers, MaxSize: f.maxSize}
	begin := time.Now()
	if err := tree.Run(c.Context(), paths, p.report); err != nil {
		return err
	}
	return p.end(time.Since(begin))
}

// definitions reads NAME=VALUE as yara does: true and false, integers, numbers
// with a point, else texts.
func definitions(list []string) (map[string]any, []string, error) {
	vars := map[string]any{}
	var names []string
	for _, d := range list {
		name, text, ok := strings.Cut(d, "=")
		if !ok || name == "" {
			return nil, nil, usageError{fmt.Errorf("-d %q: want NAME=VALUE", d)}
		}
		names = append(names, name)
		vars[name] = text
		if v, err := strconv.ParseInt(text, 0, 64); err == nil {
			vars[name] = v
		} else if v, err := strconv.ParseFloat(text, 64); err == nil && strings.Contains(text, ".") {
			vars[name] = v
		} else if text == "true" || text == "false" {
			vars[name] = text == "true"
		}
	}
	return vars, names, nil
}

// scanPrinter prints what is found, and counts.
type scanPrinter struct {
	g                            *globals
	enc                          *json.Encoder
	files, bytes, found, missing int64
	hits                         int64
	err                          error
}

type jsonFinding struct {
	File     string         `json:"file"`
	Detector string         `json:"detector"`
	Rule     string         `json:"rule"`
	Tags     []string       `json:"rule.tags,omitempty"`
	Meta     map[string]any `json:"rule.meta"`
	Matches  []jsonPlace    `json:"matches"`
}

type jsonPlace struct {
	String string `json:"string"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	Data   string `json:"data,omitempty"`
}

func (p *scanPrinter) report(r scan.Report) {
	p.files++
	p.bytes += r.Size
	if len(r.Findings) > 0 {
		p.hits++
	}
	for _, f := range r.Findings {
		p.found++
		p.finding(r.File, f)
	}
	if r.Err == nil {
		return
	}
	p.missing++
	if p.g.json {
		p.keep(p.enc.Encode(map[string]any{"file": r.File, "error": r.Err.Error()}))
		return
	}
	p.print(p.g.Err, "%s: not fully looked at: %v\n", strconv.Quote(r.File), r.Err)
}

func (p *scanPrinter) keep(err error) {
	if p.err == nil {
		p.err = err
	}
}

func (p *scanPrinter) print(w io.Writer, format string, a ...any) {
	_, err := fmt.Fprintf(w, format, a...)
	p.keep(err)
}

func (p *scanPrinter) finding(file string, f scan.Finding) {
	if !p.g.json {
		p.text(file, f)
		return
	}
	j := jsonFinding{File: file, Detector: f.Detector, Rule: f.Rule, Tags: f.Tags, Meta: map[string]any{}, Matches: []jsonPlace{}}
	for _, m := range f.Meta {
		j.Meta[m.Name] = m.Value
	}
	for _, x := range f.Places {
		j.Matches = append(j.Matches, jsonPlace{x.String, x.Offset, x.Length, hex.EncodeToString(x.Data[:min(len(x.Data), 64)])})
	}
	p.keep(p.enc.Encode(j))
}

func (p *scanPrinter) text(file string, f scan.Finding) {
	p.print(p.g.Out, "%s\t%s", f.Rule, strconv.Quote(file))
	for _, m := range f.Meta {
		if m.Name == "author" || m.Name == "reference" || m.Name == "description" {
			p.print(p.g.Out, "\t%s=%q", m.Name, fmt.Sprint(m.Value))
		}
	}
	p.print(p.g.Out, "\n")
	const most = 20
	for i, x := range f.Places {
		if i == most {
			p.print(p.g.Out, "\t... and %d more places\n", len(f.Places)-most)
			return
		}
		p.print(p.g.Out, "\t0x%x\t%s\t%s\n", x.Offset, x.String, excerpt(x.Data))
	}
}

// excerpt shows the bytes of a match without letting them reach a terminal.
func excerpt(b []byte) string {
	return strconv.QuoteToASCII(string(b[:min(len(b), 60)]))
}

// end prints the summary and gives the exit status.
func (p *scanPrinter) end(took time.Duration) error {
	if p.g.json {
		p.keep(p.enc.Encode(map[string]any{
			"summary": true, "files": p.files, "bytes": p.bytes, "matched_files": p.hits, "findings": p.found,
			"not_looked_at": p.missing, "duration_ms": took.Milliseconds(),
		}))
	} else if !p.g.quiet {
		p.print(p.g.Err, "%d files, %.1f MB, %d findings in %d files, %d not fully looked at, %s\n",
			p.files, float64(p.bytes)/1e6, p.found, p.hits, p.missing, took.Round(time.Millisecond))
	}
	switch {
	case p.err != nil:
		return fmt.Errorf("print: %w", p.err)
	case p.found > 0:
		return exitStatus(statusFound)
	case p.missing > 0:
		return exitStatus(statusIncomplete)
	}
	return nil
}

// printProblems prints faults, and warnings where asked.
func printProblems(g *globals, w io.Writer, problems []yara.Problem, warnings bool) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, p := range problems {
		switch {
		case p.Warning && !warnings:
		case g.json:
			level := "error"
			if p.Warning {
				level = "warning"
			}
			enc.Encode(map[string]any{"level": level, "file": p.File, "line": p.Line, "code": p.Code, "rule": p.Rule, "message": p.Message}) //nolint:errcheck // nowhere else to say it
		default:
			fmt.Fprintln(w, p.Error()) //nolint:errcheck // as above
		}
	}
}
