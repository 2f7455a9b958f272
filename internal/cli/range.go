package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/exercise"
	exercised "github.com/lapwing-defence/lapwing/internal/exercise/report"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/scenarios"
)

const scenarioSuffix = ".range.yaml"

func newRange(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "range", Short: "Exercises on a network inside this process",
		Long: "The range plays scenarios: hosts, people at work and an inert adversary on a network inside this process, which nothing can leave. " +
			"The same decoys and the same rules as in real life see what happens; the score tells what they missed.\n\n" +
			"A scenario is a file, or the name of one that is shipped (lapwing range list).\n\nExit status: 0 fine, 1 of run: an expected detection was missed or could not be tried, 2 error, 64 wrong usage.",
		Example: "  lapwing range list\n  lapwing range run flax-typhoon\n  lapwing range serve flax-typhoon-short",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("range: say list, check, run, serve, report, schema or import; trainees say join")}
		},
	}
	c.AddCommand(newRangeList(g), newRangeCheck(g), newRangeSchema(g), newRangeImport(g), newRangeRun(g), newRangeReport(g), newRangeServe(g))
	c.AddCommand(traineeCommands(g)...)
	c.AddCommand(trainerCommands(g)...)
	return c
}

// openScenario finds a scenario by the name of one that is shipped, or by file.
func openScenario(name string) (*scenario.Scenario, []byte, error) {
	if text, err := scenarios.FS.ReadFile(name + scenarioSuffix); err == nil {
		s, err := scenario.Load(name+scenarioSuffix, bytes.NewReader(text))
		return s, text, err
	}
	// A pipe would be waited for without end.
	if at, err := os.Stat(name); err == nil && !at.Mode().IsRegular() {
		return nil, nil, fmt.Errorf("open the scenario: %s is no regular file: name a file, or one of %s", name, strings.Join(shippedScenarios(), ", "))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, fmt.Errorf("open the scenario: %w: name a file, or one of %s", err, strings.Join(shippedScenarios(), ", "))
	}
	defer f.Close() //nolint:errcheck // only read
	var text bytes.Buffer
	s, err := scenario.Load(name, io.TeeReader(f, &text))
	return s, text.Bytes(), err
}

func shippedScenarios() []string {
	all, _ := fs.Glob(scenarios.FS, "*"+scenarioSuffix) // the pattern is ours
	for i := range all {
		all[i] = strings.TrimSuffix(all[i], scenarioSuffix)
	}
	return all
}

func newRangeList(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the scenarios that are shipped", Args: cobra.NoArgs,
		Long:    "Lists the scenarios that are shipped with the program." + statusHelpUsage,
		Example: "  lapwing range list\n  lapwing range list --json",
		RunE: func(*cobra.Command, []string) error {
			w := tabwriter.NewWriter(g.Out, 0, 0, 2, ' ', 0)
			for _, name := range shippedScenarios() {
				s, _, err := openScenario(name)
				if err != nil {
					return err
				}
				if g.json {
					line, _ := json.Marshal(map[string]any{"id": s.ID, "name": s.Name, "level": s.Level, "hosts": len(s.Hosts), "steps": len(s.Adversary.Steps), "duration": s.Duration.String(), "description": s.Description}) // plain values
					fmt.Fprintf(g.Out, "%s\n", line)                                                                                                                                                                             //nolint:errcheck // the terminal is gone
					continue
				}
				fmt.Fprintf(w, "%s\t%d hosts\t%d steps\t%s\t%s\n", name, len(s.Hosts), len(s.Adversary.Steps), s.Duration, s.Name) //nolint:errcheck // as above
			}
			return w.Flush()
		},
	}
}

func newRangeCheck(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "check SCENARIO", Short: "Name every fault of a scenario", Args: cobra.ExactArgs(1),
		Long:    "Reads a scenario as range run would and names all faults with their lines.\n\nExit status: 0 no fault, 2 faults or an unreadable file, 64 wrong usage.",
		Example: "  lapwing range check office.range.yaml",
		RunE:    func(_ *cobra.Command, args []string) error { return g.checkScenario(args[0]) },
	}
}

func isScenario(name string) bool {
	return strings.HasSuffix(name, scenarioSuffix) || strings.HasSuffix(name, ".range.yml")
}

func (g *globals) checkScenario(name string) error {
	s, _, err := openScenario(name)
	if err != nil || g.quiet {
		return err
	}
	_, err = fmt.Fprintf(g.Out, "%s: no faults (%d hosts, %d steps)\n", name, len(s.Hosts), len(s.Adversary.Steps))
	return err
}

func newRangeSchema(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "schema", Short: "Print the JSON Schema of scenarios", Args: cobra.NoArgs,
		Long:    "Prints the JSON Schema of the scenario format, for editors that complete and check YAML." + statusHelpUsage,
		Example: "  lapwing range schema > range-1.schema.json",
		RunE: func(*cobra.Command, []string) error {
			text, err := scenario.Schema()
			if err != nil {
				return err
			}
			_, err = g.Out.Write(text)
			return err
		},
	}
}

type rangeFlags struct {
	rules   []string
	keep    string
	format  string
	out     string
	trainee string
	seed    uint64
	real    bool
	respond string // mode
	level   string // of alerts that it applies to
}

func newRangeRun(g *globals) *cobra.Command {
	f := &rangeFlags{}
	c := &cobra.Command{
		Use: "run SCENARIO", Short: "Play a scenario and score what was seen", Args: cobra.ExactArgs(1),
		Long: "Plays a scenario from its start to its end, on virtual time in seconds or with --real-time as long as it lasts (or as clock.speed in the scenario says), and scores each step by what the rules made of it. " +
			"What it leaves (labelled packets, flows, events, alerts, steps, report) is kept below the data directory, or in --keep DIR.\n\n" +
			"With --respond the decision engine of the product answers the alerts of the run, at the routers of the exercise alone: it blocks the sources of alerts of high and critical level (or from --respond-level up) as it would in life, and the score tells which steps that prevented. No firewall of this machine changes, and nobody is told.\n\n" +
			"Exit status: 0 every expected detection fired, 1 one was missed or its step did not run, 2 error, 64 wrong usage.",
		Example: "  lapwing range run flax-typhoon\n  lapwing range run --rules my-rules/ office.range.yaml\n  lapwing range run --json --keep run/ flax-typhoon\n  lapwing range run --respond enforce flax-typhoon\n  lapwing range run --format junit -o range.xml flax-typhoon",
		RunE: func(c *cobra.Command, args []string) error {
			return g.rangeRun(c.Context(), f, args[0], c.Flags().Changed("seed"))
		},
	}
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "further Sigma rules: a file or a directory; the shipped ones always judge")
	c.Flags().StringVar(&f.keep, "keep", "", "new directory that takes what the run leaves (default below the data directory)")
	reportFlags(c, f)
	c.Flags().StringVar(&f.respond, "respond", "", "answer alerts: observe (say what would be blocked), propose (nobody approves) or enforce")
	c.Flags().StringVar(&f.level, "respond-level", "high", "level of alerts from which on --respond applies: low, medium, high or critical")
	c.Flags().StringVar(&f.trainee, "trainee", "", "draw the variables for this person")
	c.Flags().BoolVar(&f.real, "real-time", false, "play by the clock of the wall, as fast as the scenario's clock.speed says")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "another seed than the scenario's")
	return c
}

func reportFlags(c *cobra.Command, f *rangeFlags) {
	c.Flags().StringVar(&f.format, "format", "table", "table, json, html, navigator, junit or attack-flow")
	c.Flags().StringVarP(&f.out, "output", "o", "", "write the report into this file")
}

// reportWriter is how a report of the format is written.
func (g *globals) reportWriter(f *rangeFlags) (func(io.Writer, *exercised.Run) error, error) {
	format := f.format
	if g.json {
		format = "json"
	}
	w := map[string]func(io.Writer, *exercised.Run) error{
		"table": exercised.Table, "json": exercised.Lines, "html": exercised.HTML, "navigator": exercised.Navigator, "junit": exercised.JUnit, "attack-flow": exercised.AttackFlow,
	}[format]
	if w == nil {
		return nil, usageError{fmt.Errorf("--format %q: say table, json, html, navigator, junit or attack-flow", f.format)}
	}
	return w, nil
}

// report writes a run to the file of the flags, or to the output.
func (g *globals) report(f *rangeFlags, r *exercised.Run) error {
	write, err := g.reportWriter(f)
	if err != nil {
		return err
	}
	if f.out == "" {
		return write(g.Out, r)
	}
	file, err := os.OpenFile(f.out, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return errors.Join(write(file, r), file.Close())
}

// policy is how alerts are answered; nil: nobody answers.
func (f *rangeFlags) policy() (*respond.Policy, error) {
	if f.respond == "" {
		return nil, nil
	}
	mode, ok := respond.ParseMode(f.respond)
	if !ok {
		return nil, usageError{fmt.Errorf("--respond %q: say observe, propose or enforce", f.respond)}
	}
	level, ok := alert.ParseLevel(f.level)
	if !ok || level < alert.Low {
		return nil, usageError{fmt.Errorf("--respond-level %q: say low, medium, high or critical", f.level)}
	}
	p := respond.DefaultPolicy()
	p.Rules = []respond.Rule{{Level: level, Mode: mode}}
	return &p, nil
}

func (g *globals) rangeRun(ctx context.Context, f *rangeFlags, name string, seeded bool) error {
	if _, err := g.reportWriter(f); err != nil {
		return err
	}
	policy, err := f.policy()
	if err != nil {
		return err
	}
	sc, text, err := openScenario(name)
	if err != nil {
		return err
	}
	if f.trainee != "" {
		if sc, err = sc.For(f.trainee); err != nil {
			return err
		}
	}
	if seeded {
		if sc, err = sc.Reseed(f.seed); err != nil {
			return err
		}
	}
	if f.out != "" { // a long run must not end in vain
		if at, err := os.Stat(filepath.Dir(f.out)); err != nil || !at.IsDir() {
			return fmt.Errorf("write the report: %s is no directory: name a file in one that is there", filepath.Dir(f.out))
		}
	}
	began := time.Now()
	dir, err := g.runDir(f.keep, sc, began)
	if err != nil {
		return err
	}
	p, err := exercise.Run(ctx, sc, exercise.Config{
		Rules: f.rules, Dir: dir, Start: began.Truncate(time.Second).UTC(), Real: f.real, Respond: policy, Version: g.version, Tell: g.rangeTold(), Log: g.log(),
	})
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("interrupted: half a run has no score; packets and records until then lie in %s", dir)
	}
	if err != nil {
		return err
	}
	r := exercised.New(p.Truth, p.Rules, p.Result)
	set := exercised.Dataset{Run: r, Scenario: text, Alerts: p.Seen.Alerts, Leaves: sc.Leaves}
	if err := set.Write(dir); err != nil {
		return fmt.Errorf("keep the run: %w", err)
	}
	if err := g.report(f, r); err != nil {
		return err
	}
	if !g.quiet && !g.json {
		fmt.Fprintf(g.Err, "%d records in %s; kept in %s\n", p.Judged, time.Since(began).Round(10*time.Millisecond), dir) //nolint:errcheck // the terminal is gone
	}
	if p.Result.Missed+p.Result.NotRun > 0 {
		return exitStatus(1)
	}
	return nil
}

// runDir makes the directory of a run.
func (g *globals) runDir(keep string, sc *scenario.Scenario, began time.Time) (string, error) {
	if keep == "" {
		return g.ownRunDir(sc.ID, began)
	}
	if err := os.MkdirAll(keep, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the run: %w", err)
	}
	all, err := os.ReadDir(keep)
	if err != nil {
		return "", fmt.Errorf("look into %s: %w", keep, err)
	}
	if len(all) > 0 {
		return "", usageError{fmt.Errorf("%s is not empty: name a new directory", keep)}
	}
	return keep, nil
}

// ownRunDir makes a directory of the run's own below the data directory, whoever
// else begins one in the same instant.
func (g *globals) ownRunDir(id string, began time.Time) (string, error) {
	data, err := g.dir()
	if err != nil {
		return "", err
	}
	base := filepath.Join(string(data), exercisesDir)
	if err := os.MkdirAll(base, 0o700); err != nil {
		return "", fmt.Errorf("make the directory of the run: %w", err)
	}
	name := filepath.Join(base, began.UTC().Format("20060102T150405.000")+"-"+id)
	for n := 1; ; n++ {
		dir := name
		if n > 1 {
			dir = fmt.Sprintf("%s-%d", name, n)
		}
		switch err := os.Mkdir(dir, 0o700); {
		case err == nil:
			return dir, nil
		case !errors.Is(err, fs.ErrExist) || n == 1000:
			return "", fmt.Errorf("make the directory of the run: %w", err)
		}
	}
}

const exercisesDir = "exercises"

// rangeTold shows a person what happens.
func (g *globals) rangeTold() func(exercise.Progress) {
	if g.quiet || g.json {
		return nil
	}
	return func(p exercise.Progress) {
		switch {
		case p.Began:
			fmt.Fprintf(g.Err, "%s  %s begins  %s\n", p.At.Format("15:04:05"), p.Step, p.Name) //nolint:errcheck // the terminal is gone
		case p.Note != "":
			fmt.Fprintf(g.Err, "%s  %s: %s\n", p.At.Format("15:04:05"), p.Step, p.Note) //nolint:errcheck // as above
		}
	}
}

func newRangeReport(g *globals) *cobra.Command {
	f := &rangeFlags{}
	var against string
	c := &cobra.Command{
		Use: "report [RUN]", Short: "Show a run that was kept", Args: cobra.MaximumNArgs(1),
		Long: "Shows a run that was kept: RUN is a directory, or the name of one below exercises/ of the data directory; without it the newest.\n" +
			"With --against it tells what changed since another run.\n\n" +
			"Exit status: 0 fine, 1 with --against: a detection that fired no longer does, 2 error, 64 wrong usage.",
		Example: "  lapwing range report\n  lapwing range report --format html -o report.html run/\n  lapwing range report --against old-run/ new-run/",
		RunE: func(_ *cobra.Command, args []string) error {
			r, err := g.loadRun(strings.Join(args, ""))
			if err != nil {
				return err
			}
			if against == "" {
				return g.report(f, r)
			}
			before, err := g.loadRun(against)
			if err != nil {
				return err
			}
			d := exercised.Compare(before, r)
			if err := d.Write(g.Out); err != nil {
				return err
			}
			if d.Regressed() {
				return exitStatus(1)
			}
			return nil
		},
	}
	reportFlags(c, f)
	c.Flags().StringVar(&against, "against", "", "tell what changed since this run")
	return c
}

// loadRun finds a run by directory or name; "" is the newest.
func (g *globals) loadRun(name string) (*exercised.Run, error) {
	if _, err := os.Stat(name); name != "" && err == nil {
		return exercised.Load(name)
	}
	data, err := g.dir()
	if err != nil {
		return nil, err
	}
	base := filepath.Join(string(data), exercisesDir)
	if name != "" {
		if !filepath.IsLocal(name) {
			return nil, fmt.Errorf("there is no run %s", name)
		}
		return exercised.Load(filepath.Join(base, name))
	}
	all, err := os.ReadDir(base)
	for _, d := range slices.Backward(all) { // one that was ended halfway has no report
		if _, err := os.Stat(filepath.Join(base, d.Name(), exercised.File)); err == nil {
			return exercised.Load(filepath.Join(base, d.Name()))
		}
	}
	if len(all) > 0 {
		return nil, fmt.Errorf("none of the %d runs in %s came to its end: play one with lapwing range run", len(all), base)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	return nil, fmt.Errorf("no run was kept in %s: play one with lapwing range run", base)
}
