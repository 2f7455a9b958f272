package programs

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/netcmd"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func hostOf(t *testing.T, template string, change func(*persona.Persona)) *host.Visit {
	t.Helper()
	p, err := persona.Generate(template, 7, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	change(p)
	h := host.New(host.Config{Name: "x", Persona: p, Programs: All(), Clock: clock.System(), Net: netcmd.World{Downloads: "serve"}})
	return h.Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
}

// A router's ifconfig and route show the mask of its network.
func TestRouterNetmask(t *testing.T) {
	v := hostOf(t, "busybox-router", func(p *persona.Persona) {
		for i := range p.NICs {
			if p.NICs[i].IPv4 != "" {
				p.NICs[i].IPv4, p.NICs[i].Prefix = "10.9.14.3", 21
			}
		}
	})
	if out, _ := run(t, v, "ifconfig", ""); !strings.Contains(out, "inet addr:10.9.14.3  Bcast:") || !strings.Contains(out, "  Mask:255.255.248.0\n") {
		t.Errorf("ifconfig:\n%s", out)
	}
	if out, _ := run(t, v, "route -n", ""); !strings.Contains(out, "10.9.8.0 ") || !strings.Contains(out, " 255.255.248.0 ") {
		t.Errorf("route -n:\n%s", out)
	}
}

// dig names the distribution that built it, and the buffer of the resolver
// that the host asks.
func TestDigIsOfTheDistribution(t *testing.T) {
	for template, want := range map[string][2]string{"debian-server": {"-Debian <<>> example.net\n", "udp: 1232\n"}, "ubuntu-24.04-server": {"-Ubuntu <<>> example.net\n", "udp: 65494\n"}} {
		v := hostOf(t, template, func(*persona.Persona) {})
		out, status := run(t, v, "dig example.net", "")
		if status == 127 {
			t.Logf("%s has no dig", template)
			continue
		}
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", template, w, out)
			}
		}
	}
}
