package scenario_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
	"github.com/lapwing-defence/lapwing/scenarios"
)

// TestOneFaultIsOneFault puts a key that does not exist into each block of the
// shipped scenarios in turn: what hangs on that block is no fault of its own.
func TestOneFaultIsOneFault(t *testing.T) {
	all, err := fs.Glob(scenarios.FS, "*.range.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		text, err := fs.ReadFile(scenarios.FS, name)
		if err != nil {
			t.Fatal(err)
		}
		lines, tried := strings.Split(string(text), "\n"), 0
		for i, l := range lines {
			at := strings.IndexByte(l, '{')
			if at < 0 || strings.Contains(l[:at], "$") || strings.Contains(l[:at], "\"") || strings.Contains(l[:at], "#") {
				continue
			}
			if i > 60 && i%9 > 0 {
				continue // enough is enough
			}
			lines[i] = l[:at+1] + "zzz: 1, " + l[at+1:]
			_, err := scenario.Load(name, strings.NewReader(strings.Join(lines, "\n")))
			lines[i] = l
			var faults yamldoc.Faults
			if !errors.As(err, &faults) || len(faults) != 1 || faults[0].Line != i+1 || !strings.Contains(faults[0].Text, `"zzz"`) {
				t.Errorf("%s:%d %s: %v", name, i+1, l, err)
			}
			tried++
		}
		if tried < 20 {
			t.Errorf("%s: only %d places", name, tried)
		}
	}
}

// TestAllFaultsAtOnce: faults in the form of one place hide none of what another
// place says against a third.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := load(strings.NewReplacer(
		"duration: 10m", "duration: never",
		"ip: 10.20.1.10", "ip: 10.20.9.10",
		"10.20.1.0/24, gateway: r1}", "10.20.1.0/24, gateway: r1}\n  other: {cidr: 10.20.0.0/16}",
		"action: http.get", "after: s1\n      action: http.get",
		"credentials:", "  odd: {network: office, persona: nosuch}\ncredentials:",
	).Replace(small))
	for _, want := range []string{`duration: "never"`, "10.20.9.10 is outside", "overlaps the network", "waits for itself", `no persona "nosuch"`} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("without %q:\n%v", want, err)
		}
	}
}
