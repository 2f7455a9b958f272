//go:build unix

package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/lapwing-defence/lapwing/internal/app"
)

// addPlatform adds the commands of an instance: its processes need Unix
// sockets that pass descriptors.
func addPlatform(root *cobra.Command, g *globals) {
	root.Example = "  lapwing up                     start decoys and watch\n  lapwing alerts                 what was raised\n  lapwing session replay ID      watch what an intruder did"
	root.AddCommand(newUp(g), newCheck(g), newEvents(g), newAlerts(g), newSessions(g), newSession(g), newCaptures(g), newHold(g), newForget(g), newExport(g), newBackup(g), newRestore(g), newQuarantine(g), newToken(g), newNotify(g),
		newBlock(g), newUnblock(g), newBlocks(g), newUndo(g), newPanic(g), newApprove(g), newRefuse(g), newPolicy(g), newAudit(g), newStatus(g))
	for _, c := range []*cobra.Command{
		{Use: "hub", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return told(app.RunHub(c.Context(), g.log())) }},
		{Use: "store", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return told(app.RunStore(c.Context())) }},
		{Use: "enforcer", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return told(app.RunEnforcer(c.Context(), g.log())) }},
		{Use: "worker", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return told(app.RunWorker(c.Context(), g.log())) }},
		{Use: "reader", Hidden: true, Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return told(app.RunReader(c.Context(), g.log())) }},
	} {
		root.AddCommand(c)
	}
}

// told is the end of a process whose supervisor shows the error: it does not
// show it, too.
func told(err error) error {
	if _, ok := errors.AsType[app.ToldError](err); ok {
		return exitStatus(statusError)
	}
	return err
}
