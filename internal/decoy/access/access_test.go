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
			{a, "root", "1", false},
			{b, "root", "1", false},
			{a, "root", "2", false},
			{a, "root", "3", true},
			{a, "root", "4", false},
			{a, "root", "3", true},
			{a, "nobody-here", "5", false},
			{b, "root", "2", false},
			{b, "root", "3", true},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := host.New(host.Config{Name: "h", Persona: p, Clock: clock.System()})
			d := New(tt.policy, kernel.NewRand(1, 2), time.Now)
			for i, y := range tt.tries {
				at := netip.MustParseAddr(y.source)
				v := h.Visit(context.WithoutCancel(t.Context()), at)
				a := d.Check(at, v, y.user, y.password)
				v.Close()
				if a.OK != y.want || a.OK != (a.Delay == 0) || a.Token != "" {
					t.Errorf("try %d, %+v: %+v", i, y, a)
				}
			}
		})
	}
}

func TestTokens(t *testing.T) {
	p, err := persona.Generate("debian-server", 1, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tokens := []Token{
		{Credential{"backup", "on-the-share"}, "share", false},
		{Credential{"root", "in-the-wiki"}, "wiki", true},
	}
	type try struct {
		user, password string
		ok             bool
		token          string
	}
	for _, tt := range []struct {
		name   string
		policy Policy
		tries  []try
	}{
		{"alone", Policy{Tokens: tokens}, []try{
			{"backup", "on-the-share", false, "share"},
			{"backup", "on-the-shar", false, ""},
			{"backup", "on-the-share2", false, ""},
			{"root", "on-the-share", false, ""},
			{"backu", "pon-the-share", false, ""},
			{"backup", "", false, ""},
			{"Backup", "on-the-share", false, ""},
			{"root", "in-the-wiki", true, "wiki"},
			{"root", "in-the-wiki", true, "wiki"},
			{"root", "x", false, ""},
		}},
		{"any password is accepted but the token's", Policy{Tokens: tokens, Accept: []Credential{{"backup", "*"}}}, []try{
			{"backup", "on-the-share", false, "share"}, {"backup", "x", true, ""}, {"backup", "on-the-share", false, "share"}, {"backup", "x", true, ""},
		}},
		{"a token is a try", Policy{Tokens: tokens, After: 2}, []try{{"backup", "on-the-share", false, "share"}, {"root", "x", true, ""}}},
		{"nobody gets in", Policy{Tokens: tokens, None: true}, []try{{"root", "in-the-wiki", false, "wiki"}, {"backup", "on-the-share", false, "share"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := host.New(host.Config{Name: "h", Persona: p, Clock: clock.System()})
			d := New(tt.policy, kernel.NewRand(1, 2), time.Now)
			at := netip.MustParseAddr("198.51.100.1")
			v := h.Visit(context.WithoutCancel(t.Context()), at)
			defer v.Close()
			for i, y := range tt.tries {
				a := d.Check(at, v, y.user, y.password)
				if a.OK != y.ok || a.Token != y.token || a.OK != (a.Delay == 0) || !a.OK && (a.Delay < 1600*time.Millisecond || a.Delay >= 3200*time.Millisecond) {
					t.Errorf("try %d, %+v: %+v", i, y, a)
				}
			}
		})
	}
}
