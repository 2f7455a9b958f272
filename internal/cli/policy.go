//go:build unix

package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/persona"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/audit"
)

func newPolicy(g *globals) *cobra.Command {
	return group(&cobra.Command{
		Use: "policy", Short: "What is done about alerts: show, set, reset, confirm, revert",
		Long: "policy changes how alerts are answered, without a restart. A change holds for two minutes; unless it is confirmed by then, the policy\n" +
			"before it comes back and what it blocked is lifted. So a policy that locks you out undoes itself.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing policy show\n  lapwing policy set enforce.yml\n  lapwing policy confirm",
	}, policyShow(g), policySet(g), policyReset(g), policyEnd(g, false), policyEnd(g, true))
}

func policyShow(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "show", Short: "The policy in force, and what is never blocked", Args: cobra.NoArgs,
		Long:    "Prints the policy in force, how the back ends stand, and the allow list with its reasons." + statusHelp,
		Example: "  lapwing policy show\n  lapwing policy show --json",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			line, st, err := dir.Respond(c.Context())
			if err != nil {
				return err
			}
			return g.print(func(out *bufio.Writer) error {
				if g.json {
					return putLine(out, jsonText(line))
				}
				return showPolicy(out, st)
			})
		},
	}
}

// policyWords says in a few words what is decided by.
func policyWords(st *app.RespondStatus) string {
	p := &st.Policy
	text := fmt.Sprintf("by default %s, %d rules of the policy", p.Default, len(p.Rules))
	switch o := st.Override; {
	case o == nil:
	case o.Panic:
		text = fmt.Sprintf("panic of %s at %s: everything is only observed", safe(o.Actor, 40), o.At.Local().Format(time.DateTime))
	case !o.Until.IsZero():
		text += fmt.Sprintf("; set by %s, until %s unless it is confirmed", safe(o.Actor, 40), o.Until.Local().Format(time.TimeOnly))
	case o.Policy != nil:
		text += fmt.Sprintf("; set by %s at %s", safe(o.Actor, 40), o.At.Local().Format(time.DateTime))
	}
	if st.Storm {
		text += "; block storm: nothing new is blocked by itself"
	}
	if !st.Kept {
		text += "; decisions cannot be written down"
	}
	return text
}

func showPolicy(out *bufio.Writer, st *app.RespondStatus) error {
	p := &st.Policy
	put := func(format string, args ...any) { fmt.Fprintf(out, format+"\n", args...) } //nolint:errcheck // Flush tells
	put("%s", policyWords(st))
	for i, r := range p.Rules {
		put("  %d. %s%s%s", i+1, r.Mode, ruleWords(&r), ttlWords(r.TTL))
	}
	put("blocks last %s; one step back for each %s of quiet; at most %d new a minute, %d in all", durations(p.Steps), p.Quiet, p.PerMinute, p.Total)
	for _, b := range st.Backends {
		state := "works"
		if b.Trouble != "" {
			state = safe(b.Trouble, 200)
		}
		put("back end %s: %s", b.Name, state)
	}
	put("never blocked:")
	for _, a := range st.Allow {
		put("  %-28s %s", a.Prefix, safe(a.Why, 120))
	}
	for _, n := range st.Notices {
		put("%s  %s: %s", n.At.Local().Format(time.DateTime), n.Kind, safe(n.Text, 300))
	}
	return nil
}

func ruleWords(r *respond.Rule) string {
	text := ""
	if r.Rule != "" {
		text += fmt.Sprintf(", rule %q", r.Rule)
	}
	if r.Tag != "" {
		text += ", tag " + r.Tag
	}
	if r.Level > 0 {
		text += ", " + r.Level.String() + " and above"
	}
	return text
}

func ttlWords(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return ", at first " + d.String()
}

func durations(ds []time.Duration) string {
	words := make([]string, len(ds))
	for i, d := range ds {
		words[i] = d.String()
	}
	return strings.Join(words, ", ")
}

// changed tells until when a change holds.
func (g *globals) changed(o *respond.Override) error {
	if g.json {
		return json.NewEncoder(g.Out).Encode(o)
	}
	return g.say("in force; unless you say lapwing policy confirm before %s, the policy before it comes back and what this one blocked is lifted", o.Until.Local().Format(time.TimeOnly))
}

func policySet(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "set FILE", Short: "Answer alerts as the respond block of a configuration says, for two minutes unless confirmed", Args: cobra.ExactArgs(1),
		Long: "Takes modes, rules, times and caps of the respond block of a configuration file. Allow list and back ends stay as they are: they are\n" +
			"read when lapwing up starts. What is confirmed holds until the running configuration's respond block changes." + statusHelp,
		Example: "  lapwing policy set enforce.yml && lapwing policy confirm",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			cfg, err := config.Load(args[0], persona.Templates())
			if err != nil {
				return err
			}
			o, err := dir.SetPolicy(c.Context(), &cfg.Respond)
			if err != nil {
				return err
			}
			return g.changed(&o)
		},
	}
}

func policyReset(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "reset", Short: "Answer alerts as the running configuration says, for two minutes unless confirmed", Args: cobra.NoArgs,
		Long:    "Goes back to the respond block of the configuration that lapwing up runs with; it ends a panic." + statusHelp,
		Example: "  lapwing policy reset && lapwing policy confirm",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			o, err := dir.SetPolicy(c.Context(), nil)
			if err != nil {
				return err
			}
			return g.changed(&o)
		},
	}
}

func policyEnd(g *globals, revert bool) *cobra.Command {
	use, short, done := "confirm", "Keep the last change", "confirmed"
	if revert {
		use, short, done = "revert", "Take the last change back now", "taken back"
	}
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.NoArgs,
		Long:    short + ", within two minutes of it." + statusHelp,
		Example: "  lapwing policy " + use,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			if err := dir.ConfirmPolicy(c.Context(), revert); err != nil {
				return err
			}
			return g.say("%s", done)
		},
	}
}

func newAudit(g *globals) *cobra.Command {
	return group(&cobra.Command{
		Use: "audit", Short: "Who decided what and why: list, verify, checkpoint",
		Long: "audit reads the log of every decision, refusal, approval and undo. Its entries are leaves of a tree whose head is signed: what was\n" +
			"changed, dropped, added or moved is found. A checkpoint that you keep elsewhere proves it against whoever holds this machine.\n\nExit status: 0 fine, 1 verify found something, 2 error, 64 wrong usage.",
		Example: "  lapwing audit list\n  lapwing audit checkpoint > /media/stick/lapwing.checkpoint\n  lapwing audit verify --checkpoint /media/stick/lapwing.checkpoint",
	}, auditList(g), auditVerify(g), auditCheckpoint(g))
}

func auditList(g *globals) *cobra.Command {
	var since time.Duration
	c := &cobra.Command{
		Use: "list", Short: "The entries, the oldest first", Args: cobra.NoArgs,
		Long:    "Lists number, time, act, who, about what, and why. What was forgotten (lapwing forget) has no address any more." + statusHelp,
		Example: "  lapwing audit list --since 24h\n  lapwing audit list --json",
		RunE: func(*cobra.Command, []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return g.print(func(out *bufio.Writer) error {
				return dir.AuditEntries(func(e audit.Entry) error {
					if since > 0 && time.Since(e.At) > since {
						return nil
					}
					return putEntry(out, g.json, &e)
				})
			})
		},
	}
	c.Flags().DurationVar(&since, "since", 0, "of the last time")
	return c
}

func putEntry(out *bufio.Writer, asJSON bool, e *audit.Entry) error {
	if asJSON {
		line, err := json.Marshal(e)
		if err != nil {
			return err
		}
		return putLine(out, jsonText(line))
	}
	target := e.Target
	if e.Erased {
		target = "(forgotten)"
	}
	return putLine(out, fmt.Appendf(nil, "%6d  %s  %-14s %-16s %-22s %s  %s", e.Number, e.At.Local().Format(time.DateTime), safe(e.Act, 40), safe(e.Actor, 40), safe(target, 120), e.ID, safe(e.Why, 200)))
}

const maxCheckpoint = 64 << 10 // bytes of a file

func auditVerify(g *globals) *cobra.Command {
	var files []string
	c := &cobra.Command{
		Use: "verify", Short: "Find what was changed in the audit log", Args: cobra.NoArgs,
		Long: "Verifies every entry, every hash, the signed head and the kept checkpoints; with --checkpoint, also that the log still is a\n" +
			"continuation of what it was when that checkpoint was made.\n\nExit status: 0 as it was written, 1 something was changed (it names the entry), 2 error, 64 wrong usage.",
		Example: "  lapwing audit verify\n  lapwing audit verify --checkpoint /media/stick/lapwing.checkpoint",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			texts := make([]string, len(files))
			for i, f := range files {
				st, err := os.Stat(f)
				if err == nil && (!st.Mode().IsRegular() || st.Size() > maxCheckpoint) {
					err = fmt.Errorf("%s is no checkpoint", f)
				}
				var data []byte
				if err == nil {
					data, err = os.ReadFile(f)
				}
				if err != nil {
					return fmt.Errorf("read the checkpoint: %w", err)
				}
				texts[i] = string(data)
			}
			rep, err := dir.AuditVerify(c.Context(), texts...)
			if err != nil {
				return g.found(err)
			}
			if g.json {
				return json.NewEncoder(g.Out).Encode(map[string]any{"entries": rep.Entries, "erased": rep.Erased, "checkpoints": rep.Checkpoints, "event.outcome": "success"})
			}
			return g.say("%d entries are as they were written (%d without what was forgotten); %d checkpoints agree", rep.Entries, rep.Erased, rep.Checkpoints)
		},
	}
	c.Flags().StringArrayVar(&files, "checkpoint", nil, "file with a checkpoint that was kept elsewhere; may be repeated")
	return c
}

// found tells what verify found.
func (g *globals) found(err error) error {
	f, ok := errors.AsType[*audit.FaultError](err)
	if !ok {
		return err
	}
	if g.json {
		err = json.NewEncoder(g.Out).Encode(map[string]any{"event.outcome": "failure", "entry": f.Entry, "event.reason": f.Text})
	} else {
		_, err = fmt.Fprintf(g.Out, "the audit log was changed: %s\n", safe(f.Text, 500))
	}
	if err != nil {
		return err
	}
	return exitStatus(statusAsked)
}

func auditCheckpoint(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "checkpoint", Short: "Print the signed head of the log, to be kept elsewhere", Args: cobra.NoArgs,
		Long:    "Prints how many entries there are and their hash, signed. lapwing up prints one an hour, too. The key that verifies it goes to the\nstandard error." + statusHelp,
		Example: "  lapwing audit checkpoint > /media/stick/lapwing.checkpoint",
		RunE: func(*cobra.Command, []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			text, public, err := dir.AuditCheckpoint()
			if err != nil {
				return err
			}
			if text == "" {
				return errors.New("the audit log has no entry yet")
			}
			if !g.quiet {
				fmt.Fprintf(g.Err, "verified by the key %s\n", public) //nolint:errcheck // nowhere else to say it
			}
			_, err = fmt.Fprintln(g.Out, text)
			return err
		},
	}
}
