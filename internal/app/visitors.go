//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
	"github.com/lapwing-defence/lapwing/internal/visitors"
)

// openVisitors opens the store of what visitors changed.
func (d Dir) openVisitors(c config.Visitors) (*visitors.Store, error) {
	key, err := d.key("visitors")
	if err != nil {
		return nil, err
	}
	return visitors.Open(visitors.Config{Dir: d.visitors(), Key: key, Keep: c.Keep, Max: c.Max, Quota: int64(c.Quota), Now: time.Now})
}

// ForgetVisitor removes what a source changed on every fake host, and the
// passwords that he set there. source is an address; an IPv6 one stands for
// its /64. It works beside a running hub, which from then on refuses what the
// worker still holds, and on a stopped directory. The number is that of hosts.
func (d Dir) ForgetVisitor(source string) (int, error) {
	addr, err := netip.ParseAddr(source)
	if err != nil {
		p, perr := netip.ParsePrefix(source)
		if perr != nil {
			return 0, fmt.Errorf("forget %q: write an address, such as 198.51.100.7", source)
		}
		addr = p.Addr()
	}
	// The limits are the running instance's to keep: none is enforced here.
	s, err := d.openVisitors(config.Visitors{Keep: 10 * 365 * 24 * time.Hour, Max: 1 << 30, Quota: 1 << 50})
	if err != nil {
		return 0, err
	}
	return s.Forget(host.Key(addr))
}

// State keeps what a visitor changed on a host.
func (k *keeper) State(_ context.Context, key string, token uint64, data []byte) error {
	name, source, ok := strings.Cut(key, "/")
	if !ok {
		return fmt.Errorf("%w: the key %.50q", uplink.ErrInvalid, key)
	}
	err := k.visitors.Put(name, source, token, data)
	if errors.Is(err, visitors.ErrGone) {
		return errors.Join(uplink.ErrGone, err)
	}
	return err
}

// Recall gives back what a visitor changed on a host.
func (k *keeper) Recall(_ context.Context, key string) (uint64, []byte, error) {
	name, source, ok := strings.Cut(key, "/")
	if !ok {
		return 0, nil, fmt.Errorf("%w: the key %.50q", uplink.ErrInvalid, key)
	}
	return k.visitors.Get(name, source)
}

// expire removes what nobody used for too long, until ctx ends.
func (k *keeper) expire(ctx context.Context) {
	t := time.NewTicker(10 * time.Minute)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			k.visitors.Expire() //nolint:errcheck // it is tried again
		}
	}
}

// stateStore is the worker's way to the hub's store.
type stateStore struct{ up *uplink.Client }

var _ host.Store = stateStore{}

// Recall implements host.Store.
func (s stateStore) Recall(ctx context.Context, key string) (uint64, []byte, error) {
	return s.up.Recall(ctx, key)
}

// State implements host.Store.
func (s stateStore) State(ctx context.Context, key string, token uint64, data []byte) error {
	err := s.up.State(ctx, key, token, data)
	if errors.Is(err, uplink.ErrGone) {
		return host.ErrGone
	}
	return err
}
