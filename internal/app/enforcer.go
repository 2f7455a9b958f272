//go:build unix

package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/confine"
	"github.com/lapwing-defence/lapwing/internal/enforce"
)

// EnforcerOrders is what the supervisor tells the process that changes the
// firewall.
type EnforcerOrders struct {
	ParentUID int  `json:"parent_uid"`
	Max       int  `json:"max"`    // blocks of each usual length of prefix
	Shared    bool `json:"shared"` // other programs may change the table; it is put back then
}

// enforcerAgain is how long after an enforcer that does not start another try
// is made. Everything else goes on meanwhile.
const enforcerAgain = 30 * time.Second

// startEnforcer starts the process that changes the firewall, if a back end of
// the configuration is one. Nothing waits for it: its clients try again.
func startEnforcer(ctx context.Context, o UpOptions) (stop func(), err error) {
	i := slices.IndexFunc(o.Config.Respond.Backends, func(b config.Backend) bool { return b.Type == "nftables" })
	if i < 0 {
		return func() {}, nil
	}
	ln, err := listenUnix(o.Dir.enforcerSocket())
	if err != nil {
		return nil, err
	}
	defer ln.Close() //nolint:errcheck // the file is a copy
	u, ok := ln.(*net.UnixListener)
	if !ok {
		return nil, errors.New("listen for the enforcer: not a Unix socket")
	}
	u.SetUnlinkOnClose(false)
	f, err := u.File()
	if err != nil {
		return nil, fmt.Errorf("listen for the enforcer: %w", err)
	}
	c := &child{
		name: "enforcer", args: []string{"enforcer"}, files: []*os.File{f}, stderr: o.Err, log: o.Log, grace: 5 * time.Second,
		orders:  EnforcerOrders{ParentUID: os.Geteuid(), Max: o.Config.Respond.Total, Shared: o.Config.Respond.Backends[i].Shared},
		prepare: confine.PrepareEnforcer, levels: confine.EnforcerLevels, ready: make(chan struct{}),
	}
	c.line = func(l string) {
		var r confine.Report
		if rest, ok := strings.CutPrefix(l, "report "); ok && json.Unmarshal([]byte(rest), &r) == nil {
			o.Log.Info("the firewall is under control", "held", r.String())
		}
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer f.Close() //nolint:errcheck // nobody is left to use it
		for ctx.Err() == nil {
			if err := c.run(ctx); err != nil {
				o.Log.Error("the firewall cannot be changed; blocks are decided and not carried out", "error", err, "again in", enforcerAgain)
			}
			select {
			case <-ctx.Done():
			case <-time.After(enforcerAgain):
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

// enforcer is the client of that process.
func (d Dir) enforcer() *enforce.Client {
	return enforce.NewClient(enforce.ClientConfig{Now: time.Now, Dial: func(ctx context.Context) (net.Conn, error) {
		c, err := new(net.Dialer).DialContext(ctx, "unix", d.enforcerSocket())
		if err != nil {
			return nil, fmt.Errorf("the process that changes the firewall is not there: %w", err)
		}
		return c, nil
	}})
}
