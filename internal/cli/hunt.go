package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/lapwing-defence/lapwing/internal/hunt"
	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// maxMapping is the size in bytes of a file with log sources.
const maxMapping = 4 << 20

// ruleFlags are the flags that choose rules.
type ruleFlags struct {
	rules        []string
	placeholders string
	logsources   []string
	level        string
	want         ruleset.Want
}

func (f *ruleFlags) flags(c *cobra.Command) {
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "rule file or directory (default: the rules in the program)")
	c.Flags().StringVar(&f.placeholders, "placeholders", "", "YAML file with the values behind %name%")
	c.Flags().StringArrayVar(&f.logsources, "logsources", nil, "YAML file of log sources that comes before the one in the program")
	c.Flags().StringVar(&f.level, "min-level", "", "only rules of this level or above: informational, low, medium, high, critical")
	c.Flags().StringSliceVar(&f.want.Tags, "tag", nil, "only rules with this tag, such as attack.t1059 or T1059")
	c.Flags().StringSliceVar(&f.want.Statuses, "status", nil, "only rules of this status: stable, test, experimental")
	c.Flags().StringSliceVar(&f.want.Include, "include", nil, "only rules of this id or title")
	c.Flags().StringSliceVar(&f.want.Exclude, "exclude", nil, "no rules of this id or title")
}

// load reads the rules and the mapping.
func (f *ruleFlags) load() (*ruleset.Loaded, *logsource.Mapping, error) {
	if f.level != "" {
		l, ok := sigma.ParseLevel(f.level)
		if !ok {
			return nil, nil, usageError{fmt.Errorf("--min-level %q: say informational, low, medium, high or critical", f.level)}
		}
		f.want.MinLevel = l
	}
	for _, st := range f.want.Statuses {
		if !slices.Contains([]string{"stable", "test", "experimental", "deprecated", "unsupported"}, strings.ToLower(st)) {
			return nil, nil, usageError{fmt.Errorf("--status %q: say stable, test, experimental, deprecated or unsupported", st)}
		}
	}
	m, err := logsource.Default()
	if err != nil {
		return nil, nil, err
	}
	for _, file := range f.logsources {
		data, err := readLimited(file, maxMapping)
		if err != nil {
			return nil, nil, err
		}
		own, err := logsource.Parse(file, data)
		if err != nil {
			return nil, nil, err
		}
		m = m.Before(own)
	}
	l, err := ruleset.Load(ruleset.Config{Paths: f.rules, Placeholders: f.placeholders, Want: f.want}, sigma.NewFields())
	return l, m, err
}

// readLimited reads a file of at most limit bytes.
func readLimited(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(f, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return []byte(b.String()), err
}

type huntFlags struct {
	ruleFlags
	format, output string
	since, until   string
	carve          bool
	kept           bool
	indicators     []string
	workers        int
}

func newHunt(g *globals) *cobra.Command {
	f := &huntFlags{}
	c := &cobra.Command{
		Use: "hunt [--rules DIR]... PATH...", Short: "Find intruders in recorded logs",
		Args: func(c *cobra.Command, args []string) error {
			if f.kept && len(args) > 0 {
				return usageError{errors.New("hunt: --kept takes no paths")}
			}
			if f.kept {
				return nil
			}
			return cobra.MinimumNArgs(1)(c, args)
		},
		Long: "Runs Sigma rules over logs: event log files (.evtx), JSON of many kinds, syslog, auditd, journal exports, web access logs, IIS, Zeek, Suricata,\n" +
			"CloudTrail, Entra, Microsoft 365, decoys. Directories are walked; gzip, zstd, bzip2, zip and tar are unpacked; - is the standard input.\n" +
			"The format is recognised by content. Without --rules the rules in the program are used.\n\n" +
			"Exit status: 0 nothing matched, 1 something matched, 2 error or an input that cannot be opened, 3 nothing matched in what could be read, but not\n" +
			"everything could be (damaged, cut off), 64 wrong usage.",
		Example: "  lapwing hunt /var/log\n  lapwing hunt --rules sigma/rules --min-level high C/Windows/System32/winevt/Logs\n  lapwing hunt --format html -o report.html evidence.zip\n  journalctl -o export | lapwing hunt -\n  lapwing hunt --kept --since 720h --rules new-rule.yml",
		RunE: func(c *cobra.Command, args []string) error {
			return runHunt(c.Context(), g, f, args)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&f.format, "format", "", "table, json, csv, html or navigator (default table)")
	c.Flags().StringVarP(&f.output, "output", "o", "", "file to write to")
	c.Flags().StringVar(&f.since, "since", "", "only records from this time on: 2024-05-01, 2024-05-01T12:00:00Z, or 24h back from now")
	c.Flags().StringVar(&f.until, "until", "", "only records up to this time")
	c.Flags().BoolVar(&f.carve, "carve", false, "also look for event log records in slack space and damaged chunks")
	c.Flags().StringArrayVar(&f.indicators, "indicators", nil, "hashes, addresses, domains, URLs, paths: plain, CSV, STIX 2.1, MISP; a file or a directory. What has dates counts within them")
	c.Flags().BoolVar(&f.kept, "kept", false, "look back over the events that lapwing itself has kept")
	c.Flags().IntVar(&f.workers, "workers", 0, "how many processors to use (default all)")
	return c
}

// instant reads a time, or how far back from now.
func instant(s string, now time.Time) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(s); err == nil {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", "2006-01-02T15:04", "2006-01-02"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usageError{fmt.Errorf("time %q: write 2024-05-01, 2024-05-01T12:00:00Z or 24h", s)}
}

// report is a way to show findings.
type report interface {
	hunt.Reporter
	Summary(h *hunt.Hunt) error
}

func (f *huntFlags) report(g *globals, w io.Writer, now time.Time) (report, bool, error) {
	if f.format == "" && g.json {
		f.format = "json"
	}
	switch f.format {
	case "", "table":
		colour := false
		if file, ok := w.(*os.File); ok {
			colour = term.IsTerminal(int(file.Fd())) && os.Getenv("NO_COLOR") == ""
		}
		return hunt.NewTableReport(w, colour), false, nil
	case "json":
		return hunt.NewJSONReport(w), true, nil
	case "csv":
		return hunt.NewCSVReport(w, ""), false, nil
	case "html":
		return hunt.NewHTMLReport(w, now), true, nil
	case "navigator":
		return hunt.NewNavigatorReport(w), false, nil
	}
	return nil, false, usageError{fmt.Errorf("--format %q: say table, json, csv, html or navigator", f.format)}
}

func runHunt(ctx context.Context, g *globals, f *huntFlags, paths []string) (err error) {
	now := time.Now()
	cfg := hunt.Config{Paths: paths, Stdin: g.In, Workers: f.workers, Carve: f.carve, Now: now}
	if cfg.Since, err = instant(f.since, now); err != nil {
		return err
	}
	if cfg.Until, err = instant(f.until, now); err != nil {
		return err
	}
	if !cfg.Since.IsZero() && !cfg.Until.IsZero() && cfg.Since.After(cfg.Until) {
		return usageError{fmt.Errorf("--since %s is later than --until %s: no record lies between", f.since, f.until)}
	}
	w := g.Out
	rep, events, err := f.report(g, w, now)
	if err != nil {
		return err
	}
	if cfg.Rules, cfg.Mapping, err = f.load(); err != nil {
		return err
	}
	if f.output != "" {
		file, ferr := createReport(f.output, paths)
		if ferr != nil {
			return ferr
		}
		cfg.Report = file
		defer func() { err = errors.Join(err, file.Close()) }()
		if rep, events, err = f.report(g, file, now); err != nil {
			return err
		}
	}
	if err := f.known(g, &cfg); err != nil {
		return err
	}
	cfg.Events = events
	warnRefused(g, cfg.Rules)
	warnWanted(g, cfg.Rules, len(f.indicators) > 0)
	if f.kept {
		end, kerr := keptEvents(ctx, g, &cfg)
		if kerr != nil {
			return kerr
		}
		defer func() {
			if kerr := end(); kerr != nil { // of more weight than any status
				err = kerr
			}
		}()
	}
	h, err := hunt.New(cfg)
	if err != nil {
		return err
	}
	stop := progress(ctx, g, h)
	err = h.Run(ctx, rep)
	stop()
	if err != nil {
		return err
	}
	if err := rep.Summary(h); err != nil {
		return err
	}
	return huntStatus(g, h)
}

// known reads the lists of indicators.
func (f *huntFlags) known(g *globals, cfg *hunt.Config) error {
	if len(f.indicators) == 0 {
		return nil
	}
	set, faults, err := scan.LoadIndicators(f.indicators)
	if err != nil {
		return err
	}
	for _, p := range faults {
		fmt.Fprintln(g.Err, "indicators:", strconv.QuoteToGraphic(p.Error())) //nolint:errcheck // nowhere else to say it
	}
	cfg.Indicators = set
	return nil
}

// createReport makes the file for the report. One of the inputs is not emptied
// for it.
func createReport(name string, inputs []string) (*os.File, error) {
	if there, err := os.Stat(name); err == nil {
		for _, in := range inputs {
			if info, err := os.Stat(in); err == nil && in != "-" && info.Mode().IsRegular() && os.SameFile(there, info) {
				return nil, usageError{fmt.Errorf("-o %s is an input too: it would be emptied before it is read; give another name", name)}
			}
		}
	}
	return os.Create(name)
}

// warnWanted tells that the choice of rules is probably not what was meant.
func warnWanted(g *globals, l *ruleset.Loaded, more bool) {
	if g.quiet {
		return
	}
	for _, name := range l.Unknown() {
		fmt.Fprintf(g.Err, "--exclude %s: no rule has this id or title\n", strconv.QuoteToGraphic(name)) //nolint:errcheck // nowhere else to say it
	}
	if !more && !slices.ContainsFunc(l.Set.Rules(), l.Want.Takes) {
		fmt.Fprintln(g.Err, "no rule is left to look with: see --min-level, --status, --tag, --include and --exclude") //nolint:errcheck // as above
	}
}

// maxRefused is how many rules that cannot be loaded a hunt names.
const maxRefused = 10

func warnRefused(g *globals, l *ruleset.Loaded) {
	n := l.Set.Refused()
	if n == 0 || g.quiet {
		return
	}
	told := 0
	for _, p := range l.Set.Problems() {
		if p.Severity == sigma.Refused && told < maxRefused {
			fmt.Fprintln(g.Err, hunt.Plain(p.Error(), 0)) //nolint:errcheck // nowhere else to say it
			told++
		}
	}
	if n > told {
		fmt.Fprintf(g.Err, "%d more rules could not be loaded: lapwing rules check names all\n", n-told) //nolint:errcheck // nowhere else to say it
	}
}

// huntStatus tells the problems and the exit status.
func huntStatus(g *globals, h *hunt.Hunt) error {
	list, more := h.Problems()
	fatal := false
	for _, p := range list {
		fatal = fatal || p.Fatal
		if p.Fatal || !g.quiet {
			fmt.Fprintf(g.Err, "%s: %s\n", hunt.Plain(p.File, 0), hunt.Plain(p.Text, 0)) //nolint:errcheck // nowhere else to say it
		}
	}
	if more > 0 && !g.quiet {
		fmt.Fprintf(g.Err, "and %d more of these\n", more) //nolint:errcheck // as above
	}
	switch {
	case fatal:
		return exitStatus(statusError)
	case h.Stats.Matches.Load() > 0:
		return exitStatus(statusFound)
	case h.Partial():
		return exitStatus(statusIncomplete)
	}
	return nil
}

// progress draws a line on a terminal until it is stopped.
func progress(ctx context.Context, g *globals, h *hunt.Hunt) (stop func()) {
	file, ok := g.Err.(*os.File)
	if !ok || g.quiet || !term.IsTerminal(int(file.Fd())) {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				fmt.Fprint(file, "\r\x1b[K") //nolint:errcheck // a terminal
				return
			case <-tick.C:
			}
			s := &h.Stats
			share := int64(0)
			if total := s.Total.Load(); total > 0 {
				share = min(100, s.Bytes.Load()*100/total)
			}
			bar := strings.Repeat("#", int(share/5)) + strings.Repeat(".", int(20-share/5))
			fmt.Fprintf(file, "\r[%s] %3d %%  %d records, %d matches\x1b[K", bar, share, s.Records.Load(), s.Matches.Load()) //nolint:errcheck // a terminal
		}
	})
	return func() { cancel(); wg.Wait() }
}
