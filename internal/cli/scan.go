package cli

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/respond/quarantine"
	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/allow"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
	"github.com/lapwing-defence/lapwing/rules"
)

// The exit statuses of scan beside the common ones.
const (
	statusFound      = 1
	statusIncomplete = 3
)

type scanFlags struct {
	rules      []string
	define     []string
	indicators []string
	allow      string
	workers    int
	maxSize    int64
	timeout    time.Duration
	since      time.Duration
	noUnpack   bool
	quarantine bool
	format     string
	output     string
	processes  bool
	cpu        int
	cache      string
	clamd      string
}

func newScan(g *globals) *cobra.Command {
	f := &scanFlags{}
	c := &cobra.Command{
		Use:   "scan [--rules PATH]... [-d NAME=VALUE]... [--processes] PATH...",
		Short: "Look for malware in files",
		Long: "scan looks at files, at all files below directories and at what is packed in them, with YARA rules and lists of indicators. " +
			"Without --rules it takes the rules that are shipped; - is the standard input.\n\n" +
			"A file that also lies among the files left on decoys (data directory) is told with time, source and session.\n\nFindings on the allow list (FILE, or allow.jsonl in the data directory) are not told. --quarantine takes the files away; lapwing quarantine gives them back.\n\n" +
			"Exit status: 0 nothing found, 1 something found, 2 error, also for rules that do not compile, 3 not everything could be looked at, 64 wrong usage. " +
			"Where several are true: 2, then 1, then 3.",
		Example: "  lapwing scan /srv/www\n  lapwing scan --rules rules/ --indicators hashes.txt /srv/share\n  lapwing scan --rules set.yarc --json /home\n  lapwing scan --format sarif -o report.sarif .\n  lapwing scan --cpu 25 --cache /var/lib/scan.cache /srv\n  lapwing scan --processes\n  docker save IMAGE | lapwing scan -",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 && !f.processes {
				return usageError{errors.New("name files or directories, - for the standard input, or --processes")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return f.run(c, g, args) },
	}
	c.AddCommand(newAVCheck(g))
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "YARA rules: a file, a directory, or a file of 'yara compile'")
	c.Flags().StringArrayVarP(&f.define, "define", "d", nil, "external variable of the rules, NAME=VALUE")
	c.Flags().IntVar(&f.workers, "workers", runtime.GOMAXPROCS(0), "files looked at together")
	c.Flags().Int64Var(&f.maxSize, "max-size", 0, "largest file in bytes; a larger one counts as not looked at (0: any)")
	c.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "longest time for one file")
	c.Flags().StringArrayVar(&f.indicators, "indicators", nil, "hashes, likenesses, names: plain, CSV, hashdeep, LOKI, STIX 2.1, MISP; a file or a directory")
	c.Flags().StringVar(&f.allow, "allow", "", "allow list (default allow.jsonl in the data directory)")
	c.Flags().DurationVar(&f.since, "since", 0, "only files that changed within this time")
	c.Flags().BoolVar(&f.noUnpack, "no-unpack", false, "do not look inside archives, mail and documents")
	c.Flags().BoolVar(&f.quarantine, "quarantine", false, "take files with findings away")
	c.Flags().BoolVar(&f.processes, "processes", false, "look at the programs and the memory of the processes that run (Linux)")
	c.Flags().IntVar(&f.cpu, "cpu", 0, "most CPU time to use, in percent of one processor (0: any)")
	c.Flags().StringVar(&f.cache, "cache", "", "file that remembers clean files, so that the next scan with the same rules leaves them out (Linux)")
	c.Flags().StringVar(&f.clamd, "clamd", "", "ask a running clamd, too: its socket or host:port")
	c.Flags().StringVar(&f.format, "format", "table", "table, json, sarif")
	c.Flags().StringVarP(&f.output, "output", "o", "", "file to write instead of the standard output")
	return c
}

func (f *scanFlags) run(c *cobra.Command, g *globals, paths []string) error {
	if f.processes && f.quarantine {
		return usageError{errors.New("--quarantine takes files away, not what processes run: name the files without --processes")}
	}
	if f.cpu < 0 {
		return usageError{fmt.Errorf("--cpu %d: give percent of one processor, 100 for one", f.cpu)}
	}
	vars, names, err := definitions(f.define)
	if err != nil {
		return err
	}
	rules, problems, err := f.load(vars)
	if err != nil {
		return err
	}
	if yara.Failed(problems) {
		printProblems(g, g.Err, problems, false)
		return exitStatus(statusError)
	}
	j, err := f.job(c.Context(), g, rules, names)
	if err != nil {
		return err
	}
	p, done, err := f.printer(c.Context(), g)
	if err != nil {
		j.close() //nolint:errcheck // nothing was scanned
		return err
	}
	defer done()
	j.tree.Sum = p.allow.NeedsSums() || f.quarantine || f.format == "sarif"
	begin := time.Now()
	err = f.scan(c.Context(), j, p, paths)
	if cerr := j.close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	return p.end(time.Since(begin))
}

// scan looks at processes and paths.
func (f *scanFlags) scan(ctx context.Context, j *scanJob, p *scanPrinter, paths []string) error {
	files := make([]string, 0, len(paths))
	stdin := false
	for _, path := range paths {
		if path == "-" {
			stdin = true
		} else if _, err := os.Stat(path); err != nil {
			p.fail(err)
		} else {
			files = append(files, path)
		}
	}
	m := newMeter(ctx, p.g, files)
	defer m.stop()
	report := func(r scan.Report) { m.over(&r); p.report(r) }
	if stdin {
		j.tree.Stream(ctx, p.g.In, "(standard input)", report)
	}
	if f.processes {
		if err := j.tree.Processes(ctx, j.memory, report); err != nil {
			return err
		}
	}
	return j.tree.Run(ctx, files, report)
}

// load compiles the rules that are named, or those that are shipped.
func (f *scanFlags) load(vars map[string]any) (*yara.Rules, []yara.Problem, error) {
	if len(f.rules) == 0 {
		return scan.LoadFS(rules.FS, "yara", vars)
	}
	return scan.LoadYARA(f.rules, vars)
}

// printer makes what prints the results. done is called at the end.
func (f *scanFlags) printer(ctx context.Context, g *globals) (*scanPrinter, func(), error) {
	if g.json {
		f.format = "json"
	}
	if f.format != "table" && f.format != "json" && f.format != "sarif" {
		return nil, nil, usageError{fmt.Errorf("--format %q: write table, json or sarif", f.format)}
	}
	p := &scanPrinter{g: g, out: g.Out, format: f.format}
	done := func() {}
	dir, err := g.dir()
	if err != nil {
		return nil, nil, err
	}
	file := f.allow
	if file == "" {
		file = dir.AllowList()
	}
	if p.allow, err = allow.Load(file); err != nil {
		return nil, nil, err
	}
	if f.quarantine {
		store, unlock, err := dir.Quarantine(ctx)
		if err != nil {
			return nil, nil, err
		}
		p.store, done = store, unlock
	}
	if f.output != "" {
		w, err := os.OpenFile(f.output, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			done()
			return nil, nil, err
		}
		unlock := done
		p.out, done = w, func() { w.Close(); unlock() } //nolint:errcheck // every write is checked
	}
	p.enc = json.NewEncoder(p.out)
	p.enc.SetEscapeHTML(false)
	return p, done, nil
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
	out                          io.Writer
	format                       string
	enc                          *json.Encoder
	allow                        *allow.List
	store                        *quarantine.Store // nil without --quarantine
	sarif                        []scan.Report
	files, bytes, found, missing int64
	hits, allowed, taken, cached int64
	failed                       []string // named paths that could not be scanned, and why
	err                          error
}

type jsonFinding struct {
	File     string         `json:"file"`
	Inside   string         `json:"inside,omitempty"`
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
	if r.Skipped {
		return
	}
	p.files++
	p.bytes += r.Size
	if r.Known {
		p.cached++
	}
	kept := r.Findings[:0:0]
	for _, f := range r.Findings {
		if _, ok := p.allow.Allows(r.File, r.SHA256, f.Rule, time.Now()); ok {
			p.allowed++
			continue
		}
		kept = append(kept, f)
		p.found++
	}
	r.Findings = kept
	if len(kept) > 0 {
		p.hits++
	}
	if r.Err != nil {
		p.missing++
	}
	if p.format == "sarif" {
		if len(kept) == 0 && r.Err == nil {
			return
		}
		p.sarif = append(p.sarif, r)
	} else {
		p.show(r)
	}
	if p.store != nil && len(kept) > 0 {
		p.take(r)
	}
}

// fail is a path that was named and cannot be scanned.
func (p *scanPrinter) fail(err error) {
	p.failed = append(p.failed, strings.ToValidUTF8(err.Error(), "\ufffd"))
	if p.format == "json" {
		p.keep(p.enc.Encode(map[string]any{"error": err.Error()}))
	}
	p.print(p.g.Err, "lapwing: %s\n", quoteText(err.Error()))
}

// show prints what is to be said of one file.
func (p *scanPrinter) show(r scan.Report) {
	for _, f := range r.Findings {
		p.finding(r.File, f)
	}
	if r.Err == nil {
		return
	}
	if p.format == "json" {
		p.keep(p.enc.Encode(map[string]any{"file": r.File, "error": r.Err.Error()}))
		return
	}
	p.print(p.g.Err, "%s: %s\n", strconv.Quote(r.File), quoteText(r.Err.Error()))
}

// take puts the file into quarantine.
func (p *scanPrinter) take(r scan.Report) {
	names := make([]string, 0, len(r.Findings))
	for _, f := range r.Findings {
		names = append(names, f.Rule)
	}
	// The path was resolved before the scan: a link that came since is not followed.
	it, err := p.store.Take(r.Real, r.SHA256, names, "lapwing scan")
	if err != nil {
		p.missing++
		p.print(p.g.Err, "%s\n", quoteText(err.Error()))
		return
	}
	p.taken++
	if it.Links > 1 {
		p.print(p.g.Err, "%s: the same file had %d more names (hard links): look for inode %d, which they still lead to\n", strconv.Quote(r.File), it.Links-1, it.Inode)
	}
	if p.format == "json" {
		p.keep(p.enc.Encode(map[string]any{"file": r.File, "quarantined": it.ID}))
		return
	}
	p.print(p.g.Err, "%s: taken away as %s\n", strconv.Quote(r.File), it.ID)
}

// quoteText makes foreign bytes in a message harmless for a terminal.
func quoteText(s string) string {
	q := strconv.QuoteToGraphic(s)
	return strings.ReplaceAll(q[1:len(q)-1], `\"`, `"`)
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
	if p.format != "json" {
		p.text(file, f)
		return
	}
	j := jsonFinding{File: file, Inside: f.Inside, Detector: f.Detector, Rule: f.Rule, Tags: f.Tags, Meta: map[string]any{}, Matches: []jsonPlace{}}
	for _, m := range f.Meta {
		j.Meta[m.Name] = m.Value
	}
	for _, x := range f.Places {
		j.Matches = append(j.Matches, jsonPlace{x.String, x.Offset, x.Length, hex.EncodeToString(x.Data[:min(len(x.Data), 64)])})
	}
	p.keep(p.enc.Encode(j))
}

func (p *scanPrinter) text(file string, f scan.Finding) {
	if f.Inside != "" {
		file += "!" + f.Inside
	}
	p.print(p.out, "%s\t%s", quoteText(f.Rule), strconv.Quote(file))
	for _, m := range f.Meta {
		if m.Name == "author" || m.Name == "reference" || m.Name == "description" {
			p.print(p.out, "\t%s=%q", m.Name, fmt.Sprint(m.Value))
		}
	}
	p.print(p.out, "\n")
	const most = 20
	for i, x := range f.Places {
		if i == most {
			p.print(p.out, "\t... and %d more places\n", len(f.Places)-most)
			return
		}
		p.print(p.out, "\t0x%x\t%s\t%s\n", x.Offset, x.String, excerpt(x.Data))
	}
}

// excerpt shows the bytes of a match without letting them reach a terminal.
func excerpt(b []byte) string {
	return strconv.QuoteToASCII(string(b[:min(len(b), 60)]))
}

// end prints the summary and gives the exit status.
func (p *scanPrinter) end(took time.Duration) error {
	switch {
	case p.format == "json":
		p.keep(p.enc.Encode(map[string]any{
			"summary": true, "files": p.files, "bytes": p.bytes, "matched_files": p.hits, "findings": p.found, "allowed": p.allowed,
			"quarantined": p.taken, "cached": p.cached, "not_looked_at": p.missing, "duration_ms": took.Milliseconds(),
		}))
	case p.format == "sarif":
		p.keep(writeSARIF(p.out, p.sarif, p.failed, p.g.version))
	case !p.g.quiet:
		p.print(p.g.Err, "%d files, %.1f MB, %d findings in %d files, %d allowed, %d taken away, %d not fully looked at%s, %s\n",
			p.files, float64(p.bytes)/1e6, p.found, p.hits, p.allowed, p.taken, p.missing, p.fromCache(), took.Round(time.Millisecond))
	}
	switch {
	case p.err != nil:
		return fmt.Errorf("print: %w", p.err)
	case len(p.failed) > 0:
		return exitStatus(statusError)
	case p.found > 0:
		return exitStatus(statusFound)
	case p.missing > 0:
		return exitStatus(statusIncomplete)
	}
	return nil
}

// fromCache tells of files that were clean before.
func (p *scanPrinter) fromCache() string {
	if p.cached == 0 {
		return ""
	}
	return fmt.Sprintf(", %d unchanged since they were clean", p.cached)
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
