package vnet

import (
	"net/netip"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

// TestALabelEndsWithItsPorts gives a benign dialer the ports of a red flow that
// nobody answered: its packets must not take the label over.
func TestALabelEndsWithItsPorts(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, proto := range []uint8{packet.TCP, packet.UDP} {
		var table flowTable
		table.init(10)
		tuple := packet.Tuple{Proto: proto, Src: netip.MustParseAddrPort("10.0.0.1:40000"), Dst: netip.MustParseAddrPort("10.0.0.2:53")}
		send := func() string {
			f := &frame{info: packet.Info{Tuple: tuple, Flags: packet.SYN, TotalLen: 60}}
			table.account(f, now)
			return f.label
		}
		table.register(tuple, "s1 T1046", now)
		if got := send(); got != "s1 T1046" {
			t.Errorf("protocol %d: the red packet has %q", proto, got)
		}
		table.register(tuple, "", now)
		if got := send(); got != "" {
			t.Errorf("protocol %d: the benign packet has %q", proto, got)
		}
		if kept, _ := table.size(); kept != 2 {
			t.Errorf("protocol %d: %d flows", proto, kept)
		}
	}
}
