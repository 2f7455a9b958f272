package exercise

import (
	"context"
	"encoding/binary"
	"hash/fnv"
	"net/netip"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/vnet"
	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// kind is what some addresses of a filled network are.
type kind struct {
	persona  service.Persona
	services []scenario.Service
}

// mixed are the personas of a field of all sorts. No two serve the same port: one
// stack answers for all of them.
var mixed = []string{"linux-5", "windows-server", "camera"}

// kindsOf are those that fill a network. An address is of one of them.
func kindsOf(persona string) ([]kind, error) {
	list := []string{persona}
	if persona == "mixed" {
		list = mixed
	}
	var out []kind
	for _, name := range list {
		p, err := service.FindPersona(name)
		if err != nil {
			return nil, err
		}
		out = append(out, kind{p, fieldServices(p, persona == "mixed")})
	}
	return out, nil
}

// fieldServices are what every address of a persona serves.
func fieldServices(p service.Persona, mixed bool) []scenario.Service {
	tcp := func(n uint16, kind string) scenario.Service {
		return scenario.Service{Port: scenario.Port{Proto: "tcp", Number: n}, Type: kind}
	}
	switch {
	case p.Name == "printer":
		return []scenario.Service{tcp(21, "ftp"), tcp(80, "http")}
	case p.Name == "plc":
		return []scenario.Service{tcp(502, "modbus"), tcp(80, "http")}
	case p.Family == "device":
		return []scenario.Service{tcp(23, "telnet"), tcp(80, "http")}
	case p.Family == "windows":
		return []scenario.Service{tcp(135, "msrpc"), tcp(445, "smb"), tcp(3389, "rdp")}
	case mixed:
		return []scenario.Service{tcp(22, "ssh"), tcp(21, "ftp")}
	}
	return []scenario.Service{tcp(22, "ssh"), tcp(80, "http")}
}

// buildFields fills the networks that say so with decoys.
func (l *lab) buildFields(ctx context.Context) error {
	for i := range l.sc.Networks {
		if n := &l.sc.Networks[i]; n.Fill != nil {
			if err := l.buildField(ctx, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (l *lab) buildField(ctx context.Context, n *scenario.Network) error {
	kinds, err := kindsOf(n.Fill.Persona)
	if err != nil {
		return err
	}
	looks, opens := make([]vnet.Traits, len(kinds)), make([]map[uint16]bool, len(kinds))
	for k := range kinds {
		looks[k], opens[k] = traitsOf(kinds[k].persona), map[uint16]bool{}
		for _, s := range kinds[k].services {
			opens[k][s.Port.Number] = true
		}
	}
	seed := l.seedOf("kinds", n.Name)
	of := func(a netip.Addr) int { return draw(seed, a, len(kinds)) }
	f, err := l.segments[n.Name].AddField(vnet.FieldConfig{
		Name: n.Name, Prefix: n.CIDR, Density: float64(n.Fill.Density),
		Traits: func(a netip.Addr) vnet.Traits { return looks[of(a)] },
		Open:   func(a netip.Addr, proto uint8, port uint16) bool { return proto == packet.TCP && opens[of(a)][port] },
	})
	if err != nil {
		return err
	}
	for _, k := range kinds {
		host, err := service.NewHost(service.HostConfig{
			Name: n.Name, Persona: k.persona.Name, Addr: n.CIDR, Gateway: l.gateways(n)[0], Decoy: true,
			Seed: l.seedOf("field", n.Name, k.persona.Name), Clock: l.clk, Sink: l.sink, Programs: l.progs, Log: l.log,
		})
		if err != nil {
			return err
		}
		for _, s := range k.services {
			srv, err := service.New(s.Type, service.Config{Host: host, Port: s.Port.Number, Zone: l.zone})
			if err != nil {
				return err
			}
			ln, err := f.Listen(ctx, s.Port.Number)
			if err != nil {
				return err
			}
			l.served.Go(func() { l.ended(srv.Serve(ctx, ln)) })
		}
	}
	return nil
}

// draw picks one of n for an address.
func draw(seed uint64, a netip.Addr, n int) int {
	if n == 1 {
		return 0
	}
	h := fnv.New64a()
	var b [8]byte
	binary.LittleEndian.PutUint64(b[:], seed)
	h.Write(b[:])
	ip := a.As16()
	h.Write(ip[:])
	return int(h.Sum64() >> 33 % uint64(n))
}
