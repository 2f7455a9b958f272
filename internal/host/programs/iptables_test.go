package programs

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// TestIptables types what iptables 1.8.9 of Debian 12 was given in an empty
// network namespace, and wants its very answers: "$ command", what it said, its status.
func TestIptables(t *testing.T) {
	data, err := os.ReadFile("testdata/iptables.txt")
	if err != nil {
		t.Fatal(err)
	}
	v := testHost(t, kernel.Limits{}).Visit(t.Context(), netip.MustParseAddr("198.51.100.7"))
	blocks := strings.Split("\n"+string(data), "\n$ ")[1:]
	if len(blocks) < 30 {
		t.Fatalf("only %d commands", len(blocks))
	}
	for _, b := range blocks {
		line, want, _ := strings.Cut(b, "\n")
		line = strings.Replace(line, "--log-prefix x ", `--log-prefix "x "`, 1)
		out, _ := run(t, v, line+`; echo "[$?]"`, "")
		if strings.TrimSpace(out) != strings.TrimSpace(want) {
			t.Errorf("%s\nsays  %q\nwants %q", line, out, want)
		}
	}
	for _, tt := range [][2]string{
		{"iptables -A INPUT -p tcp --dport 4444 -j DROP; iptables -S INPUT | tail -1", "-A INPUT -p tcp -m tcp --dport 4444 -j DROP\n"},
		{"iptables-save | grep -c 4444; iptables-save > /tmp/r; iptables -F; iptables-restore < /tmp/r; iptables -S INPUT | grep -c 4444", "1\n1\n"},
		{"ip6tables -L INPUT -n | head -1", "Chain INPUT (policy ACCEPT)\n"},
	} {
		if out, _ := run(t, v, tt[0], ""); out != tt[1] {
			t.Errorf("%s\nsays  %q\nwants %q", tt[0], out, tt[1])
		}
	}
}
