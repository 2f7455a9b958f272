package cli

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/access"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// policyOf gives the policy that is asked what it would do about a verdict; nil:
// none.
type policyOf func(config string) (access.Policy, error)

// newExplain makes the command. Lines are judged by a reader of its own, in their
// order.
func newExplain(g *globals, policy policyOf) *cobra.Command {
	f := &ruleFlags{}
	var format, state string
	c := &cobra.Command{
		Use: "explain [LINE]...", Short: "Tell what becomes of a line of a log, and why",
		Long: "Reads a line as the reader of logs does and tells how it was understood, which rules match or just miss it, where those stand that\n" +
			"count, what is told and kept, and what policy would do. Without LINE, or with -, lines come from the standard input; each is\n" +
			"judged after those before it, so that many lines show how counting rules get to their number.\n\n" +
			"Exit status: 0 no verdict, 1 some line brought one, 2 error, 64 wrong usage.",
		Example: "  lapwing explain 'Nov 25 10:00:00 srv sshd[7]: Failed password for root from 192.0.2.7 port 4000 ssh2'\n" +
			"  tail -n 50 /var/log/auth.log | lapwing explain --json",
		RunE: func(c *cobra.Command, args []string) error {
			x := &explainer{g: g, format: format}
			if policy != nil {
				p, err := policy(g.config)
				if err != nil {
					return err
				}
				x.policy = p
			}
			_, m, err := f.load()
			if err != nil {
				return err
			}
			rules := ruleset.Config{Paths: f.rules, Placeholders: f.placeholders, Want: f.want}
			x.reader, err = access.New(access.Config{Rules: live.Config{Rules: rules, Mapping: m}, Out: nowhere{}, Log: g.log()})
			if err != nil {
				return err
			}
			if state != "" {
				if err := restoreFile(x.reader, state); err != nil {
					return err
				}
			}
			return x.run(c.InOrStdin(), args)
		},
	}
	f.flags(c)
	c.Flags().StringVar(&format, "format", "", "what the lines are: syslog, access, json, mysql ... (default: found out)")
	c.Flags().StringVar(&state, "state", "", "go on with what a reader's state file remembers; the file stays as it is")
	return c
}

// nowhere is an Emitter for a reader that only explains.
type nowhere struct{}

func (nowhere) Emit(context.Context, []event.Event) error { return nil }

func restoreFile(r *access.Reader, file string) error {
	in, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("read the state: %w", err)
	}
	defer in.Close() //nolint:errcheck // read only
	if err := r.Restore(in); err != nil {
		return fmt.Errorf("read the state %s: %w", file, err)
	}
	return nil
}

// explainer explains lines one after the other.
type explainer struct {
	g      *globals
	reader *access.Reader
	policy access.Policy
	format string
	told   bool // some line brought a verdict
}

func (x *explainer) run(in io.Reader, args []string) error {
	if len(args) == 0 {
		args = []string{"-"}
	}
	for _, a := range args {
		if a != "-" {
			if err := x.line([]byte(a)); err != nil {
				return err
			}
			continue
		}
		lines := bufio.NewScanner(in)
		lines.Buffer(make([]byte, 64<<10), maxExplained)
		for lines.Scan() {
			if err := x.line(lines.Bytes()); err != nil {
				return err
			}
		}
		if errors.Is(lines.Err(), bufio.ErrTooLong) {
			return fmt.Errorf("a line of the standard input has more than %d MiB: cut it", maxExplained>>20)
		}
		if lines.Err() != nil {
			return fmt.Errorf("read the standard input: %w", lines.Err())
		}
	}
	if x.told {
		return exitStatus(statusFound)
	}
	return nil
}

// maxExplained is the size in bytes of a line that is read from the standard input.
const maxExplained = 4 << 20

func (x *explainer) line(text []byte) error {
	if len(strings.TrimSpace(string(text))) == 0 {
		return nil
	}
	cut := len(text) > line.MaxText
	e := x.reader.Explain("explain", line.Line{Text: text[:min(len(text), line.MaxText)], Format: x.format, Received: time.Now(), Cut: cut}, x.policy)
	x.told = x.told || len(e.Verdicts) > 0
	if x.g.json {
		data, err := json.Marshal(e)
		if err != nil {
			return fmt.Errorf("write the explanation: %w", err)
		}
		_, err = fmt.Fprintf(x.g.Out, "%s\n", data)
		return err
	}
	_, err := io.WriteString(x.g.Out, explained(&e))
	return err
}

// explained is an explanation for a person.
func explained(e *access.Explanation) string {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("%s", safe(e.Line, 500))
	if !e.Read {
		say("  not judged: %s\n", e.KeptWhy)
		return b.String()
	}
	say("  read as   %s, which is %s (%s), of %s", e.Format, e.Kind, strings.Join(e.Sources, ", "), e.Time)
	for _, f := range e.Fields {
		mark := " "
		if !f.Said {
			mark = "+"
		}
		say("    %s %-24s %s", mark, safe(f.Name, 60), safe(f.Value, 200))
	}
	say("  rules")
	for _, a := range e.Matched {
		say("    matches   %s (%s, %s)%s", safe(a.Name, 100), a.Level, a.ID, because(a.Why))
	}
	for _, a := range e.Missed {
		say("    misses    %s (%s, %s): by one thing: %s", safe(a.Name, 100), a.Level, a.ID, safe(a.Why, 300))
	}
	if len(e.Matched)+len(e.Missed) == 0 {
		say("    none matches, and none misses it by one thing")
	}
	for _, s := range e.Standing {
		say("    counts    %s (%s): %d of %d within %s%s%s", safe(s.Name, 100), s.Level, s.Have, s.Need, s.Span, groupWords(s.Group), stands(s))
	}
	for _, v := range e.Verdicts {
		name, _ := v.Event.Get("rule.name")
		level, _ := v.Event.Get("rule.level")
		about := v.Event.User
		if v.Event.Source.IsValid() {
			about = v.Event.Source.Addr().String()
		}
		say("  verdict   %s (%s) about %s", safe(name.Text(), 100), level.Text(), safe(about, 100))
		say("  decision  %s", safe(v.Decision, 300))
	}
	if len(e.Verdicts) == 0 {
		say("  verdict   none")
	}
	if e.Spoofable {
		say("  address   anybody can have written it: a verdict about it is told, nobody is blocked for it")
	}
	answer := "no"
	if e.Kept {
		answer = "yes"
	}
	say("  kept      %s: %s\n", answer, e.KeptWhy)
	return b.String()
}

func because(why string) string {
	if why == "" {
		return ""
	}
	return ": " + why
}

func groupWords(group map[string]string) string {
	var out []string
	for name, value := range group {
		out = append(out, name+" "+value)
	}
	slices.Sort(out)
	if len(out) == 0 {
		return ""
	}
	return " for " + safe(strings.Join(out, ", "), 200)
}

func stands(s access.Standing) string {
	switch {
	case s.Fired:
		return ", it has fired"
	case s.Waits:
		return ", judged in order of time a little later"
	}
	return ""
}
