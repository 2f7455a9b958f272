//go:build unix

package cli

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func newUp(g *globals) *cobra.Command {
	o := app.UpOptions{}
	c := &cobra.Command{
		Use:     "up",
		Short:   "Start decoys, judge, keep, and show what happens",
		Long:    "Starts everything and runs until it is interrupted. Prints \"ready\" when the decoys answer.\n\nExit status: 0 stopped, 2 error, 64 wrong usage.",
		Example: "  lapwing up\n  lapwing up --config lapwing.yaml --json\n  lapwing up --expose 192.0.2.10",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return g.up(c.Context(), o) },
	}
	c.Flags().StringVar(&o.Expose, "expose", "", "address that the default decoys listen on instead of loopback")
	c.Flags().BoolVar(&o.AcceptUnconfined, "accept-unconfined", false, "serve beyond loopback even where the decoy process cannot be confined")
	return c
}

func (g *globals) up(ctx context.Context, o app.UpOptions) error {
	dir, err := g.dir()
	if err != nil {
		return err
	}
	o.Dir, o.Out, o.Err, o.Log = dir, g.Out, g.Err, g.log()
	if o.Config, err = config.Load(g.config, persona.Templates()); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	o.Ready = func(in *app.Instance) {
		g.greet(in, o.Config.Implied)
		if g.quiet {
			return
		}
		f := newFeed(g)
		wg.Go(func() {
			if err := dir.Feed(ctx, f.alert); err != nil && ctx.Err() == nil {
				o.Log.Warn("the live feed of alerts ended", "error", err)
			}
		})
		wg.Go(func() {
			if err := dir.Events(ctx, app.Query{Follow: true}, f.show); err != nil && ctx.Err() == nil {
				o.Log.Warn("the live feed ended", "error", err)
			}
		})
	}
	return app.Up(ctx, o)
}

// greet says where things are and what to try.
func (g *globals) greet(in *app.Instance, implied bool) {
	if !g.json && !g.quiet {
		fmt.Fprintf(g.Out, "lapwing keeps its data in %s\n", in.Dir) //nolint:errcheck // the terminal is gone
		for _, l := range in.Listens {
			fmt.Fprintf(g.Out, "decoy %-6s %-22s host %s\n", l.Type, l.Address, l.Host) //nolint:errcheck // as above
			ap, err := netip.ParseAddrPort(l.Address)
			if err == nil && implied {
				fmt.Fprintf(g.Out, "  try: %s     password: %s\n", client(l, ap), l.Password) //nolint:errcheck // as above
			}
		}
		fmt.Fprintf(g.Out, "decoy process confined by: %s\n", in.Report)                                           //nolint:errcheck // as above
		fmt.Fprintf(g.Out, "in another terminal: lapwing alerts | lapwing sessions | lapwing session replay ID\n") //nolint:errcheck // as above
	}
	if g.json {
		line := append(event.AppendString([]byte(`{"event.kind":"state","event.action":"ready","lapwing.data":`), string(in.Dir)), '}', '\n')
		g.Out.Write(line) //nolint:errcheck // as above
		return
	}
	fmt.Fprintln(g.Out, "ready") //nolint:errcheck // as above
}

// client is the command with which an operator plays the visitor of a decoy.
func client(l app.Listen, at netip.AddrPort) string {
	if l.Type == "telnet" {
		return fmt.Sprintf("telnet %s %d     user: %s", at.Addr(), at.Port(), l.User)
	}
	return fmt.Sprintf("ssh -p %d %s@%s", at.Port(), l.User, at.Addr())
}
