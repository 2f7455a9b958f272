package exercise

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/record"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// sensor is the network's flow log: it reports each flow once, soon after it
// began, as a firewall or a flow exporter does.
type sensor struct {
	lab   *lab
	out   *record.Host
	every time.Duration
	seen  map[flowKey]bool
}

type flowKey struct {
	start    int64
	proto    uint8
	src, dst netip.AddrPort
}

const sensorEvery = 5 * time.Second

// established is how many packets show that who is named as the source has had
// the answer: without the fourth anybody can have written the address.
const established = 4

func newSensor(l *lab) (*sensor, error) {
	h, err := record.New(record.Config{Name: "flowlog", Family: "linux", Clock: l.clk, Seed: l.seedOf("flowlog")})
	if err != nil {
		return nil, err
	}
	return &sensor{lab: l, out: h, every: sensorEvery, seen: map[flowKey]bool{}}, nil
}

// run reports until ctx ends, and once more then.
func (s *sensor) run(ctx context.Context) {
	for s.lab.clk.Sleep(ctx, s.every) == nil {
		s.report(ctx)
	}
	s.report(context.WithoutCancel(ctx))
}

func (s *sensor) report(ctx context.Context) {
	var fresh []vnet.Flow
	for f := range s.lab.net.Flows() {
		k := flowKey{f.Start.UnixNano(), f.Proto, f.Src, f.Dst}
		if !s.seen[k] {
			s.seen[k] = true
			fresh = append(fresh, f)
		}
	}
	slices.SortFunc(fresh, func(a, b vnet.Flow) int {
		if c := a.Start.Compare(b.Start); c != 0 {
			return c
		}
		if c := a.Src.Compare(b.Src); c != 0 {
			return c
		}
		return a.Dst.Compare(b.Dst)
	})
	for _, f := range fresh {
		for _, e := range s.out.Firewall(f.Src, f.Dst, protocolOf(f.Proto)) {
			e.Time = f.Start
			if f.State != vnet.Open || f.Packets < established {
				e.Add("lapwing.spoofable", "true")
			}
			s.lab.sink.Emit(ctx, e) //nolint:errcheck // the recorder tells of its own faults
		}
	}
}

func protocolOf(n uint8) string {
	switch n {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	}
	return "icmp"
}
