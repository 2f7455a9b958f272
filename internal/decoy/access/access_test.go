package access

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func TestPolicies(t *testing.T) {
	p, err := persona.Generate("debian-server", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	type try struct {
		source, user, password string
		want                   bool
	}
	const a, b = "198.51.100.1", "198.51.100.2"
	for _, tt := range []struct {
		name   string
		policy Policy
		tries  []try
	}{
		{"none", Policy{None: true, Accept: []Credential{{"root", "*"}}}, []try{{a, "root", "x", false}, {a, "root", "", false}}},
		{"a list", Policy{Accept: []Credential{{"root", "admin"}, {"pi", "*"}}}, []try{
			{a, "root", "x", false}, {a, "root", "admin", true}, {a, "admin", "admin", false}, {a, "pi", "1", true}, {a, "pi", "2", false}, {a, "pi", "1", true}, {b, "pi", "2", true}, {b, "pi", "", false},
		}},
		{"the third try", Policy{After: 3}, []try{
			{a, "root", "1", false}, {b, "root", "1", false}, {a, "root", "2", false}, {a, "root", "3", true}, {a, "root", "4", false}, {a, "root", "3", true},
			{a, "nobody-here", "5", false}, {b, "root", "2", false}, {b, "root", "3", true},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := host.New(host.Config{Name: "h", Persona: p, Clock: clock.System()})
			d := New(tt.policy, kernel.NewRand(1, 2), time.Now)
			for i, y := range tt.tries {
				at := netip.MustParseAddr(y.source)
				v := h.Visit(context.WithoutCancel(t.Context()), at)
				ok, delay := d.Check(at, v, y.user, y.password)
				v.Close()
				if ok != y.want || ok != (delay == 0) {
					t.Errorf("try %d, %+v: %v, after %s", i, y, ok, delay)
				}
			}
		})
	}
}
