//go:build unix

package cli

import (
	"bufio"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/respond"
)

const (
	prefixHelp   = "An IPv6 address stands for its /64."
	decisionHelp = "ID is the id of a decision, or its first or last letters, at least four."
	whyUsage     = "the reason; it is written down"
	// statusAsked says that a person has to agree first.
	statusAsked = 1
)

// blockWords is a decision as a person reads it.
func blockWords(b *app.Block) []byte {
	who := b.Actor
	if b.RuleName != "" {
		who = b.RuleName
	}
	end := "until"
	at := b.Until
	if b.Ended != nil {
		end, at = "since", *b.Ended
	}
	line := fmt.Appendf(nil, "%s  %-8s %-9s %-20s %s %s  %s", b.ID, b.Mode, b.State, b.Prefix, end, at.Local().Format(time.DateTime), safe(who, 60))
	if b.Why != "" {
		line = fmt.Appendf(line, ": %s", safe(b.Why, 160))
	}
	if b.Risk != "" {
		line = fmt.Appendf(line, "  LOOK FIRST: %s", safe(b.Risk, 200))
	} else if b.Hits != nil {
		line = fmt.Appendf(line, "  HITS %s, who logged in as %q, last %s", b.Hits.Prefix, safe(b.Hits.User, 40), b.Hits.Last.Local().Format(time.DateTime))
	}
	if b.EndWhy != "" {
		line = fmt.Appendf(line, "  (%s: %s)", b.Ender, safe(b.EndWhy, 120))
	}
	return line
}

// blocks prints the lines that fn gives, and says at the end what they mean.
func (g *globals) blocks(fn func(app.BlockFunc) error, end func(n int, last *app.Block) error) error {
	n := 0
	var last *app.Block
	err := g.print(func(out *bufio.Writer) error {
		return fn(func(line []byte, b *app.Block) error {
			n++
			last = b
			if g.json {
				return putLine(out, jsonText(line))
			}
			if g.quiet {
				return nil
			}
			return putLine(out, blockWords(b))
		})
	})
	if err != nil {
		return err
	}
	return end(n, last)
}

// idle tells that nothing runs that would carry out what was decided.
func (g *globals) idle(b *app.Block) {
	if b != nil && b.Idle && !g.quiet {
		fmt.Fprintln(g.Err, "lapwing: nothing runs here: it is written down and carried out when lapwing up runs; what a back end holds already ends by itself") //nolint:errcheck // nowhere else to say it
	}
}

func newBlock(g *globals) *cobra.Command {
	var period time.Duration
	var why string
	c := &cobra.Command{
		Use: "block ADDR|PREFIX", Short: "Block an address or a network", Args: cobra.ExactArgs(1),
		Long: "Blocks what comes from an address or a network, for --for, or as long as the policy would. " + prefixHelp + "\n" +
			"What the machine lives by is refused: its addresses, gateways, resolvers, administrators who are logged in, respond.allow.\n" +
			"What is wider than /24 or /48, or would hit somebody who logged in of late, waits for lapwing approve.\n\n" +
			"Exit status: 0 blocked, 1 waits for approval, 2 refused or error, 64 wrong usage.",
		Example: "  lapwing block 203.0.113.7 --why 'guesses passwords'\n  lapwing block 2001:db8:1::/48 --for 24h",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			if c.Flags().Changed("for") && period <= 0 {
				return usageError{errors.New("block: --for needs a time such as 30m or 24h: no block is without an end")}
			}
			return g.blocks(func(fn app.BlockFunc) error { return dir.Block(c.Context(), args[0], period, why, fn) }, func(_ int, b *app.Block) error {
				if b.State == respond.Waiting {
					if !g.quiet {
						fmt.Fprintf(g.Err, "lapwing: not blocked yet: %s; lapwing approve %s blocks it\n", safe(b.Risk, 200), b.ID) //nolint:errcheck // nowhere else to say it
					}
					return exitStatus(statusAsked)
				}
				g.idle(b)
				return nil
			})
		},
	}
	c.Flags().DurationVar(&period, "for", 0, "how long; without it, as long as the policy would")
	c.Flags().StringVar(&why, "why", "", whyUsage)
	return c
}

func newUnblock(g *globals) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use: "unblock ADDR|PREFIX", Short: "Lift whatever blocks an address or a network", Args: cobra.ExactArgs(1),
		Long: "Lifts every block that hits an address of it, also wider ones, and turns down proposals for it. What happened up to now counts for\n" +
			"nothing any more; what happens from now on may block it again: see respond.allow for good.\n\nExit status: 0 lifted, 2 nothing blocks it, or error, 64 wrong usage.",
		Example: "  lapwing unblock 203.0.113.7 --why 'our own scanner'",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return g.blocks(func(fn app.BlockFunc) error { return dir.Unblock(c.Context(), args[0], why, fn) }, func(_ int, b *app.Block) error { g.idle(b); return nil })
		},
	}
	c.Flags().StringVar(&why, "why", "", whyUsage)
	return c
}

func newBlocks(g *globals) *cobra.Command {
	var all bool
	var since time.Duration
	c := &cobra.Command{
		Use: "blocks", Short: "What is blocked, proposed, and would be blocked", Args: cobra.NoArgs,
		Long: "Lists decisions: mode enforce is blocked, propose waits for lapwing approve or refuse, observe would be blocked.\n" +
			"HITS names a source inside that logged in to something real of late: in mode observe, somebody whom a block would have locked out.\n" +
			"A line at the end says how the back ends stand.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing blocks\n  lapwing blocks --all --since 168h --json",
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			var from time.Time
			if since > 0 {
				from = time.Now().Add(-since)
			}
			return g.blocks(func(fn app.BlockFunc) error { return dir.Blocks(c.Context(), all, from, fn) }, func(int, *app.Block) error { return g.blocksEnd(c, dir) })
		},
	}
	c.Flags().BoolVar(&all, "all", false, "also those that are over")
	c.Flags().DurationVar(&since, "since", 0, "made within this time")
	return c
}

// blocksEnd says in a line how deciding stands.
func (g *globals) blocksEnd(c *cobra.Command, dir app.Dir) error {
	if g.json || g.quiet {
		return nil
	}
	_, st, err := dir.Respond(c.Context())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(g.Out, "%d blocked, %d proposed, %d observed; %s\n", st.Standing, st.Waiting, st.Observed, policyWords(st)); err != nil {
		return err
	}
	for _, b := range st.Backends {
		if b.Trouble != "" {
			fmt.Fprintf(g.Err, "lapwing: %s: %s\n", b.Name, safe(b.Trouble, 300)) //nolint:errcheck // nowhere else to say it
		}
	}
	if st.Running && len(st.Backends) == 0 && st.Standing > 0 {
		fmt.Fprintln(g.Err, "lapwing: no back end is configured (respond.backends): what is blocked is not carried out") //nolint:errcheck // as above
	}
	return nil
}

func newUndo(g *globals) *cobra.Command {
	var why string
	var since time.Duration
	c := &cobra.Command{
		Use: "undo ID | undo --since D", Short: "Take a decision back, or all of the last time", Args: cobra.MaximumNArgs(1),
		Long: "Lifts a block, or turns a proposal down. " + decisionHelp + " With --since, all that was decided within that time.\n\n" +
			"Exit status: 0 taken back, 2 there is none, it is over, or error, 64 wrong usage.",
		Example: "  lapwing undo 0199a1b2\n  lapwing undo --since 10m --why 'rule was wrong'",
		RunE: func(c *cobra.Command, args []string) error {
			if (len(args) == 1) == (since > 0) {
				return usageError{errors.New("undo: say an ID, or --since with a time such as 10m")}
			}
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return g.blocks(func(fn app.BlockFunc) error {
				if since > 0 {
					return dir.UndoSince(c.Context(), time.Now().Add(-since), why, fn)
				}
				return dir.Undo(c.Context(), args[0], why, fn)
			}, func(_ int, b *app.Block) error { g.idle(b); return nil })
		},
	}
	c.Flags().StringVar(&why, "why", "", whyUsage)
	c.Flags().DurationVar(&since, "since", 0, "all that was decided within this time")
	return c
}

func newPanic(g *globals) *cobra.Command {
	var why string
	var yes bool
	c := &cobra.Command{
		Use: "panic --yes", Short: "Lift every block at once and only observe from then on", Args: cobra.NoArgs,
		Long: "Lifts every block, turns down every proposal, and only observes from then on, also after a restart. lapwing policy reset, and\n" +
			"lapwing policy confirm, go back to what the configuration says.\n\nExit status: 0 fine, 2 error, 64 wrong usage.",
		Example: "  lapwing panic --yes --why 'customers are locked out'",
		RunE: func(c *cobra.Command, _ []string) error {
			if !yes {
				return usageError{errors.New("panic lifts every block: say --yes if you mean it")}
			}
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return g.blocks(func(fn app.BlockFunc) error { return dir.Panic(c.Context(), why, fn) }, func(n int, b *app.Block) error {
				g.idle(b)
				return g.say("%d lifted; everything is only observed until lapwing policy reset and confirm", n)
			})
		},
	}
	c.Flags().StringVar(&why, "why", "", whyUsage)
	c.Flags().BoolVar(&yes, "yes", false, "that is meant")
	return c
}

func newApprove(g *globals) *cobra.Command {
	return &cobra.Command{
		Use: "approve ID", Short: "Block what was proposed", Args: cobra.ExactArgs(1),
		Long:    "Makes a proposal stand, from now on. " + decisionHelp + " The word of a chat message works, too, once.\n\nExit status: 0 blocked, 2 there is none, it is over, refused, or error, 64 wrong usage.",
		Example: "  lapwing blocks\n  lapwing approve 0199a1b2",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return g.blocks(func(fn app.BlockFunc) error { return dir.Approve(c.Context(), args[0], fn) }, func(_ int, b *app.Block) error { g.idle(b); return nil })
		},
	}
}

func newRefuse(g *globals) *cobra.Command {
	var why string
	c := &cobra.Command{
		Use: "refuse ID", Short: "Turn down what was proposed", Args: cobra.ExactArgs(1),
		Long:    "Turns a proposal down. " + decisionHelp + " What happened up to now will not propose it again.\n\nExit status: 0 refused, 2 there is none, it is over, or error, 64 wrong usage.",
		Example: "  lapwing refuse 0199a1b2 --why 'our own scanner'",
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := g.dir()
			if err != nil {
				return err
			}
			return g.blocks(func(fn app.BlockFunc) error { return dir.Refuse(c.Context(), args[0], why, fn) }, func(int, *app.Block) error { return nil })
		},
	}
	c.Flags().StringVar(&why, "why", "", whyUsage)
	return c
}
