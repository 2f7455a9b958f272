//go:build unix

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/access"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/flow"
	"github.com/lapwing-defence/lapwing/internal/source/line"
	"github.com/lapwing-defence/lapwing/internal/track"
	"github.com/lapwing-defence/lapwing/internal/track/geo"
)

// access makes the judge of lines, with the rules and the maps that are configured.
func (o *ReaderOrders) access(up *uplink.Client, log *slog.Logger) (*access.Reader, error) {
	tracks := track.Config{Zone: time.Local, Inside: prefixes(o.Access.Inside), Servers: prefixes(o.Access.Servers)}
	if len(o.Access.Geo) > 0 {
		g, err := geo.Open(o.Access.Geo...)
		if err != nil {
			return nil, fmt.Errorf("access: %w", err)
		}
		tracks.Geo = g
	}
	cfg := access.Config{
		Rules: rulesOf(o.Rules), Out: emitter{up}, ServiceAccounts: o.Access.ServiceAccounts, State: o.Dir, Log: log,
		Sources: map[string]access.Source{},
		Trackers: func(f *sigma.Fields) []access.Tracker {
			s := track.New(tracks)
			s.Bind(f)
			return []access.Tracker{s}
		},
		Decoders: func(f *sigma.Fields) map[string]access.Decoder {
			return map[string]access.Decoder{flow.Format: flows{flow.New(f, flow.Config{})}}
		},
	}
	for i := range o.Sources {
		s := &o.Sources[i].Config
		cfg.Sources[s.Name] = access.Source{Format: s.Format, Spoofable: slices.Contains(s.Protocols(), "udp")}
	}
	return access.New(cfg)
}

func prefixes(list []config.Network) (out []netip.Prefix) {
	for _, n := range list {
		out = append(out, n.Prefix)
	}
	return out
}

// flows decodes exports of flows.
type flows struct{ *flow.Decoder }

// Decode implements access.Decoder.
func (d flows) Decode(l *line.Line, rec *sigma.Record, each func(*sigma.Record)) error {
	return d.Datagram(l.Peer, l.Text, l.Received, rec, each)
}

// emitter sends events to the hub.
type emitter struct{ up *uplink.Client }

// emitAtOnce is how many events go in one call; fewer where they are large.
const emitAtOnce = 256

// Emit implements access.Emitter. After an error some may have been kept: they
// are to be sent again as they are, and are known by their ids.
func (e emitter) Emit(ctx context.Context, events []event.Event) error {
	for n := emitAtOnce; len(events) > 0; {
		n = min(n, len(events))
		err := e.up.EmitAll(ctx, events[:n]...)
		if errors.Is(err, uplink.ErrTooBig) && n > 1 {
			n /= 2
			continue
		}
		if err != nil {
			return err
		}
		events = events[n:]
	}
	return nil
}
