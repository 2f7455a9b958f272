//go:build unix

package app

import (
	"log/slog"
	"os"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/confine"
)

// TestBeyondLoopbackNeedsConfinement: a decoy that others reach is served by
// a confined process or not at all, unless the operator accepts the risk.
func TestBeyondLoopbackNeedsConfinement(t *testing.T) {
	for _, tt := range []struct {
		name, listen string
		accept, held bool
	}{
		{"loopback", "127.0.0.1:0", false, false},
		{"loopback of IPv6", "[::1]:0", false, false},
		{"everywhere", "0.0.0.0:0", false, true},
		{"everywhere, accepted", "0.0.0.0:0", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := Dir(t.TempDir())
			for _, p := range []string{"keys", "persona"} {
				if err := os.MkdirAll(dir.Path(p), 0o700); err != nil {
					t.Fatal(err)
				}
			}
			c := config.Default()
			c.Hosts = []config.Host{{Name: "h", Persona: "debian-server", Decoys: []config.Decoy{{Type: "ssh", Listen: tt.listen}}}}
			var orders WorkerOrders
			files, err := bind(UpOptions{Dir: dir, Config: c, AcceptUnconfined: tt.accept, Log: slog.New(slog.DiscardHandler)}, &orders, &Instance{})
			if err != nil {
				if strings.Contains(tt.listen, "::1") {
					t.Skip(err)
				}
				t.Fatal(err)
			}
			for _, f := range files {
				f.Close()
			}
			if orders.MustBeHeld != tt.held {
				t.Errorf("must be held: %v", orders.MustBeHeld)
			}
		})
	}
	whole := confine.Report{Namespace: true, UID: 61977, OwnUID: true, Landlock: 4, Seccomp: true}
	held := WorkerOrders{MustBeHeld: true}
	if err := held.unheld(whole); err != nil {
		t.Errorf("a whole confinement: %v", err)
	}
	for name, r := range map[string]confine.Report{
		"no namespace": {UID: 61977, OwnUID: true, Landlock: 4, Seccomp: true}, "no Landlock": {Namespace: true, UID: 61977, OwnUID: true, Seccomp: true},
		"no seccomp": {Namespace: true, UID: 61977, OwnUID: true, Landlock: 4}, "still root": {Namespace: true, Landlock: 4, Seccomp: true}, "nothing": {},
	} {
		err := held.unheld(r)
		if err == nil || !strings.Contains(err.Error(), "--accept-unconfined") || !strings.Contains(err.Error(), r.String()) {
			t.Errorf("%s: %v", name, err)
		}
		if err := new(WorkerOrders).unheld(r); err != nil {
			t.Errorf("%s, on loopback: %v", name, err)
		}
	}
}
