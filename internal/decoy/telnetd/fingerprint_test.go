package telnetd

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/decoy/decoytest"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// telnetProbes are the rows of layer telnet of the table of fingerprints, with
// what telnetd and login of BusyBox answer; HOST and VERSION are the persona's.
var telnetProbes = []struct {
	row        int
	name       string
	send, want string
}{
	{30, "first bytes", "", "\xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03\r\r\nHOST login: "},
	{31, "the name is echoed", "root\r\x00", "root\r\nPassword: "},
	{31, "after password", "admin\r\x00", "\r\n\r\n\r\nVERSION built-in shell (ash)\r\nEnter 'help' for a list of built-in commands.\r\n\r\n~ # "},
}

func TestFingerprintRows(t *testing.T) {
	b := target.Start(t, decoytest.Options{})
	c := b.Dial(t)
	rows := map[int]bool{}
	for _, p := range telnetProbes {
		rows[p.row] = true
		if _, err := io.WriteString(c, p.send); err != nil {
			t.Fatal(err)
		}
		want := strings.NewReplacer("HOST", b.Persona.Hostname, "VERSION", b.Persona.BusyBoxVersion()).Replace(p.want)
		got := make([]byte, len(want))
		if n, err := io.ReadFull(c, got); string(got[:n]) != want {
			t.Fatalf("row %d, %s: %q (%v), want %q", p.row, p.name, got[:n], err, want)
		}
	}
	data, err := os.ReadFile(sharedtest.Dir(t) + "/decoys/fingerprint_probes.tsv")
	if err != nil {
		t.Skip(err)
	}
	for line := range strings.Lines(string(data)) {
		var n int
		f := strings.Split(line, "\t")
		if _, err := fmt.Sscan(f[0], &n); err == nil && len(f) > 2 && f[1] == "telnet" && !rows[n] {
			t.Errorf("row %d (%s) has no test", n, f[2])
		}
	}
}
