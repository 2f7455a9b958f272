package hunt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestInside: a record that another program has put into its own lines is judged
// as what it is.
func TestInside(t *testing.T) {
	const (
		eve    = `{"timestamp":"2026-01-02T03:04:05.000000+0000","flow_id":1,"event_type":"dns","dns":{"type":"query","rrname":"x.bad.example"}}`
		access = `1.1.1.1 - - [02/Jan/2026:03:04:05 +0000] "GET /?f=/etc/passwd HTTP/1.1" 200 5`
		at     = 1767323045e9
	)
	text := func(m map[string]string) string {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	docker := func(line string) string {
		return text(map[string]string{"log": line + "\n", "stream": "stdout", "time": "2026-01-02T03:04:05.000000000Z"})
	}
	for _, tt := range []struct {
		name, in, found string
		unknown         int64
	}{
		{"eve in syslog", "Jan  5 10:11:12 gw suricata[1]: " + eve, "name asked", 0},
		{"cee", "<13>Jan  5 10:11:12 gw suricata: @cee: " + eve, "name asked", 0},
		{"no time of its own", `2026-01-02T03:04:05Z gw app: {"Channel":"Security","EventID":4688,"NewProcessName":"C:\\x\\bad.exe"}`, "bad", 0},
		{"JSON of nobody", `Jan  5 10:11:12 gw app: {"a":"b"}`, "", 0},
		{"broken JSON", `Jan  5 10:11:12 gw dnsmasq: {"a":query[A] x.bad.example from 192.0.2.1}`, "name asked", 0},
		{"Microsoft 365, export", text(map[string]string{"RecordType": "x", "AuditData": eve}), "name asked", 0},
		{"AWS, export", text(map[string]string{"EventId": "x", "CloudTrailEvent": `{"eventTime":"2026-01-02T03:04:05Z","eventSource":"iam.amazonaws.com","eventName":"CreateUser"}`}), "cloud", 0},
		{"a shipper", text(map[string]string{"message": eve, "offset": "1"}), "name asked", 0},
		{"a shipper, known itself", text(map[string]string{"message": eve, "eventid": "cowrie.session.connect", "timestamp": "2026-01-02T03:04:05Z"}), "", 0},
		{"docker, access log", docker(access), "probe", 0},
		{"docker, JSON", docker(eve), "name asked", 0},
		{"docker, text", docker("hello"), "", 1},
		{"docker, a query without a time", docker("dnsmasq: query[A] x.bad.example from 192.0.2.1"), "name asked", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "input")
			if err := os.WriteFile(file, []byte(tt.in+"\n"+tt.in+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			h, matches := hunting(t, small(t), Config{Paths: []string{file}, Events: true})
			for i, m := range matches {
				if m.Rule.Title != tt.found || m.Record != uint64(i+1) || (m.Time != at && tt.name != "broken JSON") {
					t.Errorf("%s %d %d", m.Rule.Title, m.Record, m.Time)
				}
			}
			if (len(matches) == 2) != (tt.found != "") || h.Stats.Records.Load() != 2 || h.Stats.Unknown.Load() != 2*tt.unknown || h.Partial() {
				t.Errorf("%d matches, %d records, %d unknown", len(matches), h.Stats.Records.Load(), h.Stats.Unknown.Load())
			}
		})
	}
}
