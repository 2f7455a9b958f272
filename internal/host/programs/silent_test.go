package programs

import (
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// TestNoProgramIsSilent wants code behind every name that is installed.
func TestNoProgramIsSilent(t *testing.T) {
	all := All()
	h := testHost(t, kernel.Limits{})
	for _, pr := range h.Persona().Programs {
		if pr.Link == "" && all[pr.Impl] == nil {
			t.Errorf("%s (%s) has no code", pr.Path, pr.Impl)
		}
	}
	_ = persona.Templates()
}
