package cli

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

// responseCommands are what trainees do against the adversary.
func responseCommands(g *globals) []*cobra.Command {
	lifted := func(kind score.Kind, undo string, c *cobra.Command) *cobra.Command {
		lift := false
		c = g.asTrainee(c, func(ctx context.Context, cl *training.Client, args []string) error {
			out, err := cl.Respond(ctx, kind, thing(args), lift)
			return show(g, out, err, g.responded)
		})
		if undo != "" {
			c.Flags().BoolVar(&lift, "lift", false, undo)
		}
		return c
	}
	return []*cobra.Command{
		lifted(score.Isolate, "join it again", &cobra.Command{
			Use: "isolate HOST", Short: "Cut a host of the exercise off", Args: cobra.ExactArgs(1),
			Long:    "Cuts a host of your exercise off from its network, by name or address. A host that did nothing costs points of the score, and people need their servers.",
			Example: "  lapwing range isolate gis01\n  lapwing range isolate gis01 --lift",
		}),
		lifted(score.Block, "let it through again", &cobra.Command{
			Use: "block ADDRESS", Short: "Have the exercise's routers carry nothing from and to an address", Args: cobra.ExactArgs(1),
			Long:    "Has every router of your exercise drop what comes from or goes to an address, a host, or a name outside. What stays within one network passes no router. An address that nobody misused costs points of the score.",
			Example: "  lapwing range block 203.0.113.10\n  lapwing range block 203.0.113.10 --lift",
		}),
		lifted(score.Stop, "start it again", &cobra.Command{
			Use: "stop HOST/tcp/PORT", Short: "Stop a service of the exercise", Args: cobra.RangeArgs(1, 2),
			Long:    "Stops a service of a host of your exercise: its connections end, and nothing answers at its port. One that nobody attacked costs points of the score, and people need it.",
			Example: "  lapwing range stop www01/tcp/22\n  lapwing range stop www01 22 --lift",
		}),
		lifted(score.Disable, "let the user in again", &cobra.Command{
			Use: "disable USER", Short: "Disable an account of the exercise", Args: cobra.ExactArgs(1),
			Long:    "Lets a user of your exercise in nowhere any more, with any password. Who is in already stays in: cut the host off, or stop the service. An account that nobody misused costs points of the score, and its owner is locked out.",
			Example: "  lapwing range disable svc-gis\n  lapwing range disable svc-gis --lift",
		}),
		lifted(score.Change, "", &cobra.Command{
			Use: "password USER", Short: "Give an account of the exercise another password", Args: cobra.ExactArgs(1),
			Long:    "Draws a new password for a user of your exercise and prints it: the old one opens nothing any more. Whom the account belongs to learns the new one; the adversary does not.",
			Example: "  lapwing range password admin2",
		}),
	}
}

// thing is what a response is about; a service may be written as HOST PORT.
func thing(args []string) string {
	if len(args) == 2 && !strings.Contains(args[1], "/") {
		args = []string{args[0], "tcp", args[1]}
	}
	return strings.Join(args, "/")
}

func (g *globals) responded(out training.Responded) {
	if out.Lifted {
		g.put("%s is no longer %s.\n", safe(out.What, maxLine), out.Done)
	} else {
		g.put("%s is %s.\n", safe(out.What, maxLine), out.Done)
	}
	if out.Note != "" {
		g.put("The new password: %s\n", safe(out.Note, maxLine))
	}
	if out.Verdict != nil {
		g.verdict(*out.Verdict)
	}
}

// does is a response in the words of range join.
func (g *globals) does(ctx context.Context, c *training.Client, word, rest string) error {
	lift := word == "lift"
	if lift {
		kind, what, two := strings.Cut(rest, " ")
		if word, rest = kind, strings.TrimSpace(what); !two {
			word, rest = "isolate", kind
		}
	}
	out, err := c.Respond(ctx, score.Kind(word), thing(strings.Fields(rest)), lift)
	return g.onward(ctx, c, out.Verdict, show(g, out, err, g.responded))
}
