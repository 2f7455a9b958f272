package programs

import (
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/persona"
)

// TestNoProgramIsSilent wants code behind every name that is installed.
func TestNoProgramIsSilent(t *testing.T) {
	all := All()
	for _, name := range persona.Templates() {
		p, err := persona.Generate(name, 3, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, pr := range p.Programs {
			if pr.Link == "" && pr.Impl != "" && all[pr.Impl] == nil {
				t.Errorf("%s: %s (%s) has no code", name, pr.Path, pr.Impl)
			}
		}
	}
}
