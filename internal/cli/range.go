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
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/exercise"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/scenarios"
)

const scenarioSuffix = ".range.yaml"

func newRange(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "range", Short: "Exercises on a network inside this process",
		Long: "The range plays scenarios: hosts, people at work and an inert adversary on a network inside this process, which nothing can leave. " +
			"The same decoys and the same rules as in real life see what happens; the score tells what they missed.\n\n" +
			"A scenario is a file, or the name of one that is shipped (lapwing range list).",
		RunE: func(*cobra.Command, []string) error {
			return usageError{errors.New("range: say list, check, run, report or schema")}
		},
	}
	c.AddCommand(newRangeList(g), newRangeCheck(g), newRangeSchema(g), newRangeRun(g))
	return c
}

// openScenario finds a scenario by the name of one that is shipped, or by file.
func openScenario(name string) (*scenario.Scenario, error) {
	if !strings.ContainsAny(name, `/\.`) {
		f, err := scenarios.FS.Open(name + scenarioSuffix)
		if err == nil {
			defer f.Close() //nolint:errcheck // embedded
			return scenario.Load(name+scenarioSuffix, f)
		}
		if _, err := os.Stat(name); err != nil {
			return nil, fmt.Errorf("there is no scenario %q: name a file, or one of %s", name, strings.Join(shippedScenarios(), ", "))
		}
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("open the scenario: %w: name a file, or one of %s", err, strings.Join(shippedScenarios(), ", "))
	}
	defer f.Close() //nolint:errcheck // only read
	return scenario.Load(name, f)
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
				s, err := openScenario(name)
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
		RunE: func(_ *cobra.Command, args []string) error {
			s, err := openScenario(args[0])
			if err != nil {
				return err
			}
			if g.quiet {
				return nil
			}
			_, err = fmt.Fprintf(g.Out, "%s: no faults (%d hosts, %d steps)\n", args[0], len(s.Hosts), len(s.Adversary.Steps))
			return err
		},
	}
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
	out     string
	trainee string
	seed    uint64
}

func newRangeRun(g *globals) *cobra.Command {
	f := &rangeFlags{}
	c := &cobra.Command{
		Use: "run SCENARIO", Short: "Play a scenario and score what was seen", Args: cobra.ExactArgs(1),
		Long: "Plays a scenario on virtual time from its start to its end and scores each step by what the rules made of it.\n\n" +
			"Exit status: 0 every expected detection fired, 1 one was missed, 2 error, 64 wrong usage.",
		Example: "  lapwing range run flax-typhoon-short\n  lapwing range run --rules my-rules/ office.range.yaml\n  lapwing range run --json -o run/ flax-typhoon",
		RunE: func(c *cobra.Command, args []string) error {
			return g.rangeRun(c.Context(), f, args[0], c.Flags().Changed("seed"))
		},
	}
	c.Flags().StringArrayVar(&f.rules, "rules", nil, "further Sigma rules: a file or a directory; the shipped ones always judge")
	c.Flags().StringVarP(&f.out, "output", "o", "", "directory that takes what the run leaves: packets, events, report; it must not exist or be empty")
	c.Flags().StringVar(&f.trainee, "trainee", "", "draw the variables for this person")
	c.Flags().Uint64Var(&f.seed, "seed", 0, "another seed than the scenario's")
	return c
}

func (g *globals) rangeRun(ctx context.Context, f *rangeFlags, name string, seeded bool) error {
	sc, err := openScenario(name)
	if err != nil {
		return err
	}
	if f.trainee != "" {
		if sc, err = sc.For(f.trainee); err != nil {
			return err
		}
	}
	if seeded {
		sc.Seed = f.seed
	}
	if f.out != "" {
		if err := emptyDir(f.out); err != nil {
			return err
		}
	}
	began := time.Now()
	p, err := exercise.Run(ctx, sc, exercise.Config{
		Rules: f.rules, Dir: f.out, Start: began.Truncate(time.Second).UTC(), Version: g.version, Tell: g.rangeTold(began), Log: g.log(),
	})
	if err != nil {
		return err
	}
	if f.out != "" {
		text, err := json.MarshalIndent(p.Result, "", "  ")
		if err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
		if err := os.WriteFile(filepath.Join(f.out, "report.json"), append(text, '\n'), 0o600); err != nil {
			return fmt.Errorf("write the report: %w", err)
		}
	}
	if err := g.rangeResult(p, time.Since(began)); err != nil {
		return err
	}
	if p.Result.Missed > 0 {
		return exitStatus(1)
	}
	return nil
}

func emptyDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("make the directory of the run: %w", err)
	}
	all, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("look into %s: %w", dir, err)
	}
	if len(all) > 0 {
		return usageError{fmt.Errorf("%s is not empty: name a new directory", dir)}
	}
	return nil
}

// rangeTold shows a person what happens.
func (g *globals) rangeTold(time.Time) func(exercise.Progress) {
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

// rangeStep is one line of --json (docs/formats/range-run.md).
type rangeStep struct {
	ID        string    `json:"id"`
	Name      string    `json:"name,omitempty"`
	Technique string    `json:"technique"`
	Tactic    string    `json:"tactic"`
	Started   time.Time `json:"started"`
	Outcome   string    `json:"outcome"`
	Category  string    `json:"category"`
	Expected  string    `json:"expected"`
	Status    string    `json:"status"`
	Alerts    []string  `json:"alerts"`
	TTD       *int64    `json:"time_to_detect_ms"`
	Note      string    `json:"note,omitempty"`
}

type rangeSummary struct {
	Summary     bool    `json:"summary"`
	Exercise    string  `json:"exercise"`
	Scenario    string  `json:"scenario"`
	Seed        uint64  `json:"seed"`
	Score       float64 `json:"score"`
	Expected    int     `json:"expected"`
	Met         int     `json:"met"`
	Missed      int     `json:"missed"`
	FalseAlarms int     `json:"false_alarms"`
	Hosts       int     `json:"hosts"`
	Packets     int64   `json:"packets"`
	Dropped     int64   `json:"dropped"`
	Records     int64   `json:"records"`
}

func (g *globals) rangeResult(p *exercise.Played, took time.Duration) error {
	r := &p.Result
	if g.json {
		return g.rangeJSON(p)
	}
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "STEP\tTECHNIQUE\tSEEN AS\tEXPECTED\tAFTER\tALERTS\tNAME") //nolint:errcheck // memory
	for i := range r.Steps {
		s := &r.Steps[i]
		after := "-"
		if s.TimeToDetect != nil {
			after = s.TimeToDetect.Duration().Round(time.Second).String()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", s.ID, s.Technique, s.Category, s.Status, after, len(s.Alerts()), s.Name) //nolint:errcheck // memory
	}
	w.Flush() //nolint:errcheck // memory
	fmt.Fprintf(&b, "\nscore %.1f: %d of %d expected detections met, %d missed, %d false alarms\n", r.Score, r.Met, r.Expected, r.Missed, r.FalseAlarms)
	fmt.Fprintf(&b, "%d hosts, %d packets, %d records, %s of exercise in %s\n", p.Truth.HostsAll, p.Truth.Packets, p.Judged, p.Truth.Ended.Sub(p.Truth.Started).Round(time.Second), took.Round(10*time.Millisecond))
	_, err := io.Copy(g.Out, &b)
	return err
}

func (g *globals) rangeJSON(p *exercise.Played) error {
	enc := json.NewEncoder(g.Out)
	for i := range p.Result.Steps {
		s := &p.Result.Steps[i]
		line := rangeStep{
			ID: s.ID, Name: s.Name, Technique: s.Technique, Tactic: s.Tactic, Started: s.Started, Outcome: string(s.Outcome),
			Category: s.Category.String(), Expected: s.Expected.String(), Status: string(s.Status), Alerts: s.Alerts(), Note: s.Note,
		}
		if s.TimeToDetect != nil {
			ms := int64(*s.TimeToDetect)
			line.TTD = &ms
		}
		if err := enc.Encode(line); err != nil {
			return err
		}
	}
	r := &p.Result
	return enc.Encode(rangeSummary{
		Summary: true, Exercise: p.Truth.Exercise, Scenario: p.Truth.Scenario, Seed: p.Truth.Seed, Score: r.Score, Expected: r.Expected, Met: r.Met, Missed: r.Missed,
		FalseAlarms: r.FalseAlarms, Hosts: p.Truth.HostsAll, Packets: p.Truth.Packets, Dropped: p.Truth.Dropped, Records: p.Judged,
	})
}
