package sshd

import (
	"crypto/rand"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

func TestDecoy(t *testing.T) {
	keys, err := NewHostKeys(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	decoytest.Run(t, decoytest.Target{Name: "ssh", Persona: "debian-server", LogType: LogConnection, New: func(tb testing.TB, p *persona.Persona, door *access.Door) decoy.Decoy {
		tb.Helper()
		d, err := New(Config{Banner: p.SSH.Banner, HostKeys: keys, Door: door})
		if err != nil {
			tb.Fatal(err)
		}
		return d
	}})
}
