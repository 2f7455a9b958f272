package textlog

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// TestDevices: messages of firewalls are recognised in each head that they come
// with, or without one, and are of their log source.
func TestDevices(t *testing.T) {
	m, err := logsource.Default()
	if err != nil {
		t.Fatal(err)
	}
	fields := sigma.NewFields()
	route := m.Router(fields).NewWorker()
	d := New(fields)
	d.Now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	rec := sigma.NewRecord(fields)
	forti := `date=2026-11-25 time=10:00:00 devname="gw" devid="FG60" eventtime=1764064800 type="traffic" srcip=10.0.0.5 dstip=203.0.113.7 dstport=443 proto=6 action="close"`
	teardown := "Teardown TCP connection 123 for outside:203.0.113.7/443 to inside:10.0.0.5/50123 duration 0:00:30 bytes 1 TCP FINs"
	for _, tt := range []struct{ line, format, host, at, src, source string }{
		{"<189>" + forti, "fortigate", "gw", "10:00:00", "10.0.0.5", "fortigate traffic (syslog)"},
		{forti, "fortigate", "gw", "10:00:00", "10.0.0.5", "fortigate traffic (syslog)"},
		{"<189>Nov 25 11:00:00 relay " + forti, "fortigate", "relay", "10:00:00", "10.0.0.5", "fortigate traffic (syslog)"},
		{"<166>Nov 25 2026 10:30:00 asa1 : %ASA-6-302014: " + teardown, "asa", "asa1", "10:30:00", "10.0.0.5", "asa traffic"},
		{"<166>Nov 25 10:30:00 asa1 %ASA-6-302014: " + teardown, "asa", "asa1", "10:30:00", "10.0.0.5", "asa traffic"},
		{"<166>:%ASA-6-302014: " + teardown, "asa", "", "", "10.0.0.5", "asa traffic"},
		{"<166>%ASA-6-605004: Login denied from 198.51.100.7/50000 to outside:203.0.113.1/ssh for user \"x\"", "asa", "", "", "198.51.100.7", "asa"},
		{"<14>Nov 25 10:30:00 pa1 1,2026/11/25 10:00:00,0018,TRAFFIC,end,2561,x,10.0.0.5,203.0.113.7,0.0.0.0", "panos", "pa1", "10:30:00", "10.0.0.5", "pan-os traffic"},
		{"<134>id=firewall sn=0017C5 m=98 msg=\"Connection Opened\" src=10.0.0.5:1:X0 dst=203.0.113.7:443:X1 proto=tcp/https", "sonicwall", "", "", "10.0.0.5", "sonicwall traffic"},
		{"<134>1 2026-11-25T10:30:00Z fw filterlog 123 - - 5,,,x,igb0,match,block,in,4,0x0,,64,1,0,DF,6,tcp,60,203.0.113.9,10.0.0.5,50000,23", "filterlog", "fw", "10:30:00", "203.0.113.9", "filterlog"},
		{"<30>Nov 25 10:30:00 MikroTik system,info,account user admin logged in from 10.0.0.5 via ssh", "routeros", "MikroTik", "10:30:00", "10.0.0.5", "routeros"},
		{"Nov 25 10:30:00 vpn openvpn[7]: 198.51.100.7:51234 [ann] Peer Connection Initiated with [AF_INET]198.51.100.7:51234", "syslog", "vpn", "10:30:00", "198.51.100.7", "what other programs say about access"},
		{"Nov 25 10:30:00 vpn kernel: wireguard: wg0: Receiving handshake initiation from peer 3 (198.51.100.7:51820)", "syslog", "vpn", "10:30:00", "198.51.100.7", "what other programs say about access"},
	} {
		t.Run(tt.line[:20], func(t *testing.T) {
			var head logsource.Head
			d.Line(Sniff([]byte(tt.line)), []byte(tt.line), rec, &head)
			route.Route(rec, &head)
			get := func(name string) string {
				v, _ := rec.Get(name)
				return string(v.Text)
			}
			at := ""
			if rec.Time != 0 {
				at = time.Unix(0, rec.Time).UTC().Format("15:04:05")
			}
			got := fmt.Sprint(head.Format, " ", get("host.name"), " ", at, " ", get("source.ip"), " ", rec.Source.Name)
			if diff := cmp.Diff(fmt.Sprint(tt.format, " ", tt.host, " ", tt.at, " ", tt.src, " ", tt.source), got); diff != "" {
				t.Error(diff)
			}
			if get("src_ip") != tt.src && tt.format != "syslog" {
				t.Errorf("src_ip is %q", get("src_ip"))
			}
		})
	}
}
