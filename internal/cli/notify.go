//go:build unix

package cli

import (
	"bufio"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func newNotify(g *globals) *cobra.Command {
	return group(&cobra.Command{
		Use: "notify", Short: "Try who is told of alerts: test",
		Long:    "Targets stand under notify: in the configuration: webhook, slack, teams, ntfy, mail, syslog." + statusHelp,
		Example: "  lapwing notify test --config lapwing.yml",
	}, &cobra.Command{
		Use: "test [NAME]", Short: "Send a test to each target of the configuration, or to one",
		Long: "A test goes past quiet hours and rates, and touches nothing that waits to be told. What each target answered is said." +
			"\n\nExit status: 0 all took it, 1 one did not, 2 error, 64 wrong usage.",
		Example: "  lapwing notify test --config lapwing.yml\n  lapwing notify test chat --config lapwing.yml",
		Args:    cobra.MaximumNArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return g.notifyTest(c.Context(), args) },
	})
}

func (g *globals) notifyTest(ctx context.Context, args []string) error {
	cfg, err := config.Load(g.config, persona.Templates())
	if err != nil {
		return err
	}
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	got, err := app.NotifyTest(ctx, cfg, name)
	if err != nil {
		return err
	}
	failed := 0
	err = g.print(func(out *bufio.Writer) error {
		for _, n := range slices.Sorted(maps.Keys(got)) {
			says := "took it"
			if got[n] != nil {
				failed++
				says = "did not: " + safe(got[n].Error(), 400)
			}
			if g.json {
				fmt.Fprintf(out, "{\"name\":%q,\"taken\":%v,\"error\":%q}\n", n, got[n] == nil, errText(got[n])) //nolint:errcheck // print tells
				continue
			}
			fmt.Fprintf(out, "%-20s %s\n", n, says) //nolint:errcheck // print tells
		}
		return nil
	})
	if err == nil && failed > 0 {
		return exitStatus(1)
	}
	return err
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return safe(err.Error(), 400)
}
