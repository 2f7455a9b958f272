package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/hunt"
	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	shipped "github.com/lapwing-defence/lapwing/rules"
)

func newRules(g *globals) *cobra.Command {
	return group(&cobra.Command{
		Use: "rules", Short: "Check, test and explain detection rules",
		Long:    "Works on Sigma rules: those in the program, or your own (docs/formats/sigma.md).\n\nExit status: 0 fine, 1 a rule was refused, failed its test or does not fire, 2 error, 64 wrong usage.",
		Example: "  lapwing rules check my-rules\n  lapwing rules test my-rules\n  lapwing rules list --min-level high",
	}, newRulesCheck(g), newRulesTest(g), newRulesExplain(g), newRulesList(g), newRulesCoverage(g))
}

func newRulesCheck(g *globals) *cobra.Command {
	f := &ruleFlags{}
	c := &cobra.Command{
		Use: "check [PATH]...", Short: "Tell every fault of rules, with its line",
		Long: "Reads rule files and directories (default: the rules in the program) and tells what is wrong: rules that cannot be loaded, what is\n" +
			"probably not meant, and rules that can never fire because no configured log source gives what they look at.\n\n" +
			"Exit status: 0 all rules loaded, 1 some were refused, 2 error, 64 wrong usage.",
		Example: "  lapwing rules check sigma/rules\n  lapwing rules check --placeholders tables.yml my-rules",
		RunE: func(_ *cobra.Command, args []string) error {
			f.rules = append(f.rules, args...)
			refused, err := g.checkRules(f)
			if err == nil && refused > 0 {
				return exitStatus(statusFound)
			}
			return err
		},
	}
	f.flags(c)
	return c
}

// checkRules tells the faults of the rules that f names, and how many were refused.
func (g *globals) checkRules(f *ruleFlags) (refused int, err error) {
	l, m, err := f.load()
	if err != nil {
		return 0, err
	}
	for _, p := range append(l.Set.Problems(), neverFire(l, m)...) {
		if err := g.problem(p); err != nil {
			return 0, err
		}
	}
	loaded := len(l.Engine.Rules())
	if g.json {
		fmt.Fprintf(g.Out, "{\"summary\":true,\"files\":%d,\"rules\":%d,\"refused\":%d}\n", l.Files, loaded, l.Set.Refused()) //nolint:errcheck // the terminal is gone
	} else if !g.quiet {
		fmt.Fprintf(g.Out, "%d files, %d rules loaded, %d refused\n", l.Files, loaded, l.Set.Refused()) //nolint:errcheck // as above
	}
	return l.Set.Refused(), nil
}

// problem prints one fault of a rule.
func (g *globals) problem(p sigma.Problem) error {
	if !g.json {
		_, err := fmt.Fprintln(g.Out, hunt.Plain(p.Error(), 0))
		return err
	}
	b, err := json.Marshal(map[string]any{"file": p.File, "line": p.Line, "rule": p.Rule, "severity": p.Severity.String(), "code": p.Code, "text": p.Text, "remedy": p.Remedy})
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(g.Out, "%s\n", b)
	return err
}

// neverFire finds the rules that no source of the mapping feeds.
func neverFire(l *ruleset.Loaded, m *logsource.Mapping) []sigma.Problem {
	all := sigma.Source{}
	products := map[string]bool{}
	for s := range m.Logsources() {
		all.Logsources = append(all.Logsources, s)
		products[s.Product] = true
	}
	var out []sigma.Problem
	for _, r := range l.Engine.Rules() {
		if r.Correlation != nil || all.Accepts(r.Logsource) {
			continue
		}
		why := "no configured log source is "
		switch {
		case r.Logsource.Product != "" && !products[r.Logsource.Product]:
			why += "of product " + r.Logsource.Product
		default:
			why += strings.Join(strings.Fields(r.Logsource.Category+" "+r.Logsource.Product+" "+r.Logsource.Service), "/")
		}
		out = append(out, sigma.Problem{File: r.File, Line: r.Line, Rule: r.Key(), Severity: sigma.Warning, Code: "never-fires", Text: "can never fire: " + why, Remedy: "add the source with --logsources"})
	}
	return out
}

func newRulesList(g *globals) *cobra.Command {
	f := &ruleFlags{}
	c := &cobra.Command{
		Use: "list", Short: "List rules", Args: cobra.NoArgs, Example: "  lapwing rules list --rules sigma/rules --tag T1059 --min-level high",
		Long: "Lists the rules in the program, or those of --rules.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		RunE: func(*cobra.Command, []string) error {
			l, _, err := f.load()
			if err != nil {
				return err
			}
			for _, r := range l.Engine.Rules() {
				if !l.Want.Takes(r) {
					continue
				}
				if g.json {
					b, err := json.Marshal(map[string]any{
						"rule.id": r.ID, "rule.name": r.Title, "rule.level": r.Level.String(), "rule.author": r.Author, "rule.license": l.License(r),
						"rule.status": r.Status, "file": r.File, "line": r.Line, "threat.technique.id": hunt.Techniques(r),
					})
					if err != nil {
						return err
					}
					fmt.Fprintf(g.Out, "%s\n", b) //nolint:errcheck // the terminal is gone
					continue
				}
				fmt.Fprintf(g.Out, "%-36s %-13s %-12s %s\n", r.ID, r.Level, r.Status, hunt.Plain(r.Title, 120)) //nolint:errcheck // as above
			}
			return nil
		},
	}
	f.flags(c)
	return c
}

func newRulesCoverage(g *globals) *cobra.Command {
	f := &ruleFlags{}
	c := &cobra.Command{
		Use: "coverage", Short: "Write an ATT&CK Navigator layer of what rules cover", Args: cobra.NoArgs,
		Long:    "Writes a layer for the MITRE ATT&CK Navigator: how many loaded rules name each technique.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing rules coverage --rules sigma/rules > layer.json",
		RunE: func(*cobra.Command, []string) error {
			l, _, err := f.load()
			if err != nil {
				return err
			}
			score, names, n := map[string]int{}, map[string][]string{}, 0
			for _, r := range l.Engine.Rules() {
				if !l.Want.Takes(r) {
					continue
				}
				n++
				for _, t := range hunt.Techniques(r) {
					score[t]++
					names[t] = append(names[t], r.Title)
				}
			}
			e := json.NewEncoder(g.Out)
			e.SetIndent("", " ")
			return e.Encode(hunt.NewLayer("lapwing rules", fmt.Sprintf("%d rules", n), score, names))
		},
	}
	f.flags(c)
	return c
}

func newRulesExplain(g *globals) *cobra.Command {
	f := &ruleFlags{}
	c := &cobra.Command{
		Use: "explain RULE EVENT", Short: "Tell why a rule fires on a record, or not", Args: cobra.ExactArgs(2),
		Long: "RULE is a rule's file, id or title. EVENT is a record: JSON or a log line, a file whose first record it is, or FILE:N for the record\n" +
			"with number N (the line, or the EventRecordID of an event log).\n\nExit status: 0 it fires, 1 it does not, 2 error, 64 wrong usage.",
		Example: "  lapwing rules explain rule.yml '{\"Channel\":\"Security\",\"EventID\":4688,\"CommandLine\":\"whoami\"}'\n  lapwing rules explain --rules sigma/rules 0022869c-49f7-4ff2-ba03-85ac42ddac58 Security.evtx:4711",
		RunE: func(c *cobra.Command, args []string) error {
			if _, err := os.Stat(args[0]); err == nil {
				f.rules = append(f.rules, args[0])
			}
			l, m, err := f.load()
			if err != nil {
				return err
			}
			list := choose(l, args[0])
			if len(list) == 0 {
				return fmt.Errorf("no rule %q: give its file, id or title, and --rules with its directory", args[0])
			}
			fired, seen, err := explain(c.Context(), g, l, m, list, args[1])
			switch {
			case err != nil:
				return err
			case !seen:
				return fmt.Errorf("no such record: %s", args[1])
			case !fired:
				return exitStatus(statusFound)
			}
			return nil
		},
	}
	f.flags(c)
	return c
}

// choose finds the rules that a word means.
func choose(l *ruleset.Loaded, word string) []*sigma.Rule {
	var out []*sigma.Rule
	for _, r := range l.Engine.Rules() {
		if r.File == filepath.ToSlash(word) || strings.EqualFold(r.ID, word) || strings.EqualFold(r.Title, word) || (r.Name == word && word != "") {
			out = append(out, r)
		}
	}
	return out
}

// under are the rules that the correlations of a list count, those of
// correlations among them too, each once and none of the list.
func under(l *ruleset.Loaded, list []*sigma.Rule) []*sigma.Rule {
	all := slices.Clone(list)
	for i := 0; i < len(all); i++ {
		if all[i].Correlation == nil {
			continue
		}
		for _, word := range all[i].Correlation.Rules {
			for _, r := range choose(l, word) {
				if !slices.Contains(all, r) {
					all = append(all, r)
				}
			}
		}
	}
	return all[len(list):]
}

func explain(ctx context.Context, g *globals, l *ruleset.Loaded, m *logsource.Mapping, list []*sigma.Rule, event string) (fired, seen bool, err error) {
	file, number := event, uint64(0)
	if _, serr := os.Stat(file); serr != nil {
		if i := strings.LastIndexByte(event, ':'); i > 0 {
			if n, perr := strconv.ParseUint(event[i+1:], 10, 64); perr == nil {
				file, number = event[:i], n
			}
		}
	}
	look := func(rec *sigma.Record, id uint64) bool {
		if number != 0 && id != number {
			return true
		}
		seen = true
		for _, r := range list {
			x := l.Engine.Explain(r, rec)
			fired = fired || x.Holds
			fmt.Fprintf(g.Out, "%s (%s)\n%s", hunt.Plain(r.Title, 0), r.ID, x) //nolint:errcheck // the terminal is gone
		}
		for _, r := range under(l, list) {
			fmt.Fprintf(g.Out, "%s (%s)\n%s", hunt.Plain(r.Title, 0), r.ID, l.Engine.Explain(r, rec)) //nolint:errcheck // as above
		}
		return false
	}
	h, err := hunt.New(hunt.Config{Rules: l, Mapping: m, Paths: []string{file}, Stdin: g.In})
	if err != nil {
		return false, false, err
	}
	if _, serr := os.Stat(file); serr == nil || file == "-" {
		err = h.Look(ctx, look)
		return fired, seen, err
	}
	h.LookAt("", append([]byte(event), '\n'), func(rec *sigma.Record, id uint64) { look(rec, id) })
	return fired, seen, nil
}

func newRulesTest(g *globals) *cobra.Command {
	f := &ruleFlags{}
	c := &cobra.Command{
		Use: "test [PATH]...", Short: "Run the tests of rules",
		Long: "Runs test cases: NAME.test.yml beside NAME.yml with records on which rules must and must not fire (see docs/formats/hunt.md), and\n" +
			"regression data as SigmaHQ keeps it (info.yml beside a recording; the rules come from --rules). Default: the tests of the rules in the program.\n\n" +
			"Exit status: 0 all passed, 1 some failed, 2 error, 64 wrong usage.",
		Example: "  lapwing rules test\n  lapwing rules test my-rules\n  lapwing rules test --rules sigma/rules sigma/regression_data",
		RunE: func(c *cobra.Command, args []string) error {
			if len(f.rules) == 0 {
				f.rules = args
			}
			l, m, err := f.load()
			if err != nil {
				return err
			}
			h, err := hunt.New(hunt.Config{Rules: l, Mapping: m, Paths: []string{"-"}, Stdin: bytes.NewReader(nil)})
			if err != nil {
				return err
			}
			t := ruleTests{g: g, h: h, ctx: c.Context()}
			if len(args) == 0 {
				err = t.walk(shipped.FS, "rules")
			}
			for _, p := range args {
				if err = errors.Join(err, t.path(p)); err != nil {
					break
				}
			}
			return t.end(err)
		},
	}
	f.flags(c)
	return c
}

// ruleTests runs the tests below some paths.
type ruleTests struct {
	g              *globals
	h              *hunt.Hunt
	ctx            context.Context //nolint:containedctx // lives for one command
	passed, failed int
}

func (t *ruleTests) path(p string) error {
	info, err := os.Stat(p)
	if err != nil {
		return err
	}
	if info.IsDir() {
		return t.walk(os.DirFS(p), filepath.ToSlash(p))
	}
	return t.file(os.DirFS(filepath.Dir(p)), filepath.Base(p), filepath.ToSlash(p))
}

func (t *ruleTests) walk(fsys fs.FS, prefix string) error {
	return fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		return t.file(fsys, p, path.Join(prefix, p))
	})
}

func (t *ruleTests) file(fsys fs.FS, p, name string) error {
	base := path.Base(p)
	cases := strings.HasSuffix(base, ".test.yml") || strings.HasSuffix(base, ".test.yaml")
	if !cases && base != "info.yml" {
		return nil
	}
	info, err := fs.Stat(fsys, p)
	if err != nil {
		return err
	}
	if info.Size() > yamldoc.MaxSize {
		return fmt.Errorf("%s: larger than %d bytes", name, yamldoc.MaxSize)
	}
	data, err := fs.ReadFile(fsys, p)
	if err != nil {
		return err
	}
	var out []hunt.Outcome
	if cases {
		out, err = t.h.RunCases(name, data)
	} else {
		out, err = t.h.RunRegression(t.ctx, name, data, func(rec string) string { return path.Join(path.Dir(name), path.Base(rec)) })
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Line < out[j].Line })
	for _, o := range out {
		t.tell(o)
	}
	return err
}

func (t *ruleTests) tell(o hunt.Outcome) {
	if o.Fault == "" {
		t.passed++
		return
	}
	t.failed++
	fmt.Fprintf(t.g.Out, "%s:%d: %s: %s\n", o.File, o.Line, hunt.Plain(o.Name, 0), hunt.Plain(o.Fault, 0)) //nolint:errcheck // the terminal is gone
}

func (t *ruleTests) end(err error) error {
	if err != nil {
		return err
	}
	if !t.g.quiet {
		fmt.Fprintf(t.g.Out, "%d passed, %d failed\n", t.passed, t.failed) //nolint:errcheck // the terminal is gone
	}
	if t.failed > 0 {
		return exitStatus(statusFound)
	}
	return nil
}
