package programs

import (
	"net/netip"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// TestLocalsOfSubshells: what a subshell declares local is nothing to its
// parent, and neither is the function it is in.
func TestLocalsOfSubshells(t *testing.T) {
	v := testHost(t, kernel.Limits{}).Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	defer v.Close()
	for line, want := range map[string]string{
		"f() { (local y=2); y=3; }; y=1; f; echo $y":                               "3\n",
		"g() { echo $FUNCNAME; }; f() { g | cat; (g); echo $FUNCNAME; }; f":        "g\ng\nf\n",
		"f() { local a=1; (local b=2; a=5); echo $a $b; }; b=9; f; echo \"$a\" $b": "1 9\n 9\n",
	} {
		if out, _ := run(t, v, line, ""); out != want {
			t.Errorf("%s: %q, want %q", line, out, want)
		}
	}
}
