package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/scan"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
)

func newYara(g *globals) *cobra.Command {
	c := &cobra.Command{
		Use: "yara", Short: "Check, compile, list and measure YARA rules",
		Long:    "Works on YARA rules, for lapwing scan and for what is left on decoys." + statusHelp,
		Example: "  lapwing yara check my-rules\n  lapwing yara compile -o rules.lwy my-rules\n  lapwing scan --rules rules.lwy /srv",
	}
	var define []string
	c.PersistentFlags().StringArrayVarP(&define, "define", "d", nil, "external variable of the rules, NAME=VALUE")
	load := func(paths []string) (*yara.Rules, []yara.Problem, error) {
		vars, _, err := definitions(define)
		if err != nil {
			return nil, nil, err
		}
		return scan.LoadYARA(paths, vars)
	}
	return group(c,
		&cobra.Command{
			Use: "check PATH...", Short: "Tell the faults of rules, and what libyara would warn of", Args: cobra.MinimumNArgs(1),
			Long:    "check reads rules and tells all faults and warnings, under libyara's names.\n\nExit status: 0 fine, 2 a fault or an unreadable file, 64 wrong usage.",
			Example: "  lapwing yara check my-rules\n  lapwing yara check -d owner=plant my-rules/a.yar",
			RunE:    func(_ *cobra.Command, args []string) error { return yaraCheck(g, load, args) },
		},
		newYaraCompile(g, load),
		&cobra.Command{
			Use: "list PATH...", Short: "List rules", Args: cobra.MinimumNArgs(1),
			Long:    "Lists the rules of files and directories, compiled ones too, with their tags and meta data." + statusHelp,
			Example: "  lapwing yara list my-rules\n  lapwing yara list --json rules.lwy",
			RunE:    func(_ *cobra.Command, args []string) error { return yaraList(g, load, args) },
		},
		newYaraBench(g, load),
	)
}

type yaraLoad = func(paths []string) (*yara.Rules, []yara.Problem, error)

// loaded loads rules that must be without fault.
func loaded(g *globals, load yaraLoad, paths []string) (*yara.Rules, error) {
	rules, problems, err := load(paths)
	if err != nil {
		return nil, err
	}
	if yara.Failed(problems) {
		printProblems(g, g.Err, problems, false)
		return nil, exitStatus(statusError)
	}
	return rules, nil
}

func yaraCheck(g *globals, load yaraLoad, paths []string) error {
	rules, problems, err := load(paths)
	if err != nil {
		return err
	}
	printProblems(g, g.Out, problems, !g.quiet)
	faults, warnings := 0, 0
	for _, p := range problems {
		if p.Warning {
			warnings++
		} else {
			faults++
		}
	}
	n := 0
	if rules != nil {
		n = rules.Len()
	}
	if g.json {
		err = json.NewEncoder(g.Out).Encode(map[string]any{"summary": true, "rules": n, "errors": faults, "warnings": warnings})
	} else if !g.quiet {
		_, err = fmt.Fprintf(g.Out, "%d rules, %d errors, %d warnings\n", n, faults, warnings)
	}
	if err == nil && faults > 0 {
		return exitStatus(statusError)
	}
	return err
}

func newYaraCompile(g *globals, load yaraLoad) *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "compile -o FILE PATH...", Short: "Compile rules into one file that loads fast", Args: cobra.MinimumNArgs(1),
		Long:    "compile writes compiled rules for 'scan --rules FILE'. They load with the same version of lapwing only." + statusHelp,
		Example: "  lapwing yara compile -o rules.lwy my-rules",
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				return usageError{fmt.Errorf("compile needs -o FILE")} //nolint:perfsprint // as its siblings
			}
			rules, err := loaded(g, load, args)
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if err := rules.Save(&b); err != nil {
				return err
			}
			return replaceFile(out, b.Bytes())
		},
	}
	c.Flags().StringVarP(&out, "output", "o", "", "file to write")
	return c
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".lapwing-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it is gone where all went well
	if _, err = f.Write(b); err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Chmod(f.Name(), 0o644)
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func yaraList(g *globals, load yaraLoad, paths []string) error {
	rules, err := loaded(g, load, paths)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(g.Out)
	enc.SetEscapeHTML(false)
	for i := range rules.Len() {
		r := rules.Rule(i)
		meta := map[string]any{}
		for _, m := range r.Meta {
			meta[m.Name] = m.Value
		}
		if g.json {
			err = enc.Encode(map[string]any{"rule": r.Name, "file": r.File, "line": r.Line, "rule.tags": r.Tags, "rule.meta": meta, "private": r.Private, "global": r.Global})
		} else {
			_, err = fmt.Fprintf(g.Out, "%s\t%s:%d\t%s\n", r.Name, r.File, r.Line, strconv.QuoteToASCII(describe(meta)))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// describe is what a rule says of itself in words.
func describe(meta map[string]any) string {
	text, _ := meta["description"].(string)
	return text
}

func newYaraBench(g *globals, load yaraLoad) *cobra.Command {
	var rules []string
	c := &cobra.Command{
		Use: "bench --rules PATH... PATH...", Short: "Measure rules on files: speed, and which strings are slow", Args: cobra.MinimumNArgs(1),
		Long:    "Scans files in memory, and tells how fast the rules are and which of them cost most." + statusHelp,
		Example: "  lapwing yara bench --rules my-rules /usr/bin",
		RunE: func(c *cobra.Command, args []string) error {
			if len(rules) == 0 {
				return usageError{fmt.Errorf("bench needs rules: --rules PATH")} //nolint:perfsprint // as its siblings
			}
			begin := time.Now()
			set, err := loaded(g, load, rules)
			if err != nil {
				return err
			}
			return yaraBench(c, g, set, time.Since(begin), args)
		},
	}
	c.Flags().StringArrayVar(&rules, "rules", nil, "YARA rules")
	return c
}

func yaraBench(c *cobra.Command, g *globals, set *yara.Rules, load time.Duration, paths []string) error {
	s := &costScanner{scanner: set.NewScanner(), cost: map[string]int64{}}
	begin := time.Now()
	var files, size int64
	tree := scan.Tree{Scanners: []scan.Scanner{s}, Workers: 1}
	if err := tree.Run(c.Context(), paths, func(r scan.Report) { files++; size += r.Size }); err != nil {
		return err
	}
	took := time.Since(begin)
	names := make([]string, 0, len(s.cost))
	for n := range s.cost {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool { return s.cost[names[i]] > s.cost[names[j]] })
	names = names[:min(len(names), 20)]
	if g.json {
		enc := json.NewEncoder(g.Out)
		for _, n := range names {
			if err := enc.Encode(map[string]any{"string": n, "steps": s.cost[n]}); err != nil {
				return err
			}
		}
		return enc.Encode(map[string]any{
			"summary": true, "rules": set.Len(), "load_ms": load.Milliseconds(), "files": files, "bytes": size,
			"duration_ms": took.Milliseconds(), "mb_per_second": float64(size) / 1e6 / took.Seconds(),
		})
	}
	for _, n := range names {
		if _, err := fmt.Fprintf(g.Out, "%12d steps\t%s\n", s.cost[n], n); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintf(g.Out, "%d rules loaded in %s; %d files, %.1f MB in %s: %.1f MB/s\n",
		set.Len(), load.Round(time.Millisecond), files, float64(size)/1e6, took.Round(time.Millisecond), float64(size)/1e6/took.Seconds())
	return err
}
