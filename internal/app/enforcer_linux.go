package app

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/lapwing-defence/lapwing/internal/confine"
	"github.com/lapwing-defence/lapwing/internal/enforce"
	"github.com/lapwing-defence/lapwing/internal/enforce/nft"
)

// RunEnforcer is the process that changes the firewall, and can do nothing else.
func RunEnforcer(ctx context.Context, log *slog.Logger) error {
	var o EnforcerOrders
	ctl, err := openControl(&o)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() { lines(ctl.conn, func(string) {}); cancel() }()
	go tend(ctx, false)
	f := os.NewFile(firstListener, "socket")
	ln, err := net.FileListener(f)
	f.Close() //nolint:errcheck // FileListener has its own copy
	if err != nil {
		return fmt.Errorf("take the enforcer's socket: %w", err)
	}
	table, err := nft.Open(nft.Config{Max: o.Max, Shared: o.Shared, Log: log})
	if err != nil {
		return err
	}
	defer table.Close() //nolint:errcheck // blocks stay, and end by themselves
	report, err := confine.EnterEnforcer(o.ParentUID)
	if err != nil {
		return fatal(ctl, err)
	}
	if data, err := json.Marshal(report); err == nil {
		ctl.tell("report " + string(data)) //nolint:errcheck // a gone supervisor is seen above
	}
	watched := make(chan error, 1)
	go func() { watched <- table.Watch(ctx); cancel() }()
	if err := ctl.tell("ready"); err != nil {
		return err
	}
	err = enforce.Serve(ctx, ln, enforce.ServerConfig{Firewall: table, UIDs: []int{0, o.ParentUID}, Log: log})
	cancel()
	if w := <-watched; w != nil {
		return w
	}
	return err
}
