package hunt

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

const layoutRule = `title: sshd on Windows
level: high
logsource: {product: windows, service: openssh}
detection:
  s:
    EventID: 4
    Channel: OpenSSH/Operational
    Provider_Name: OpenSSH
    process: sshd
    payload|startswith: 'Server listening on '
  condition: s
---
title: defender
level: high
logsource: {product: windows, service: windefend}
detection: {s: {EventID: 1116, ThreatName: 'Virus:x', Path|endswith: '\\x.exe', Provider_Name: P}, condition: s}
---
title: process
level: high
logsource: {product: windows, category: process_creation}
detection: {s: {EventID: 1, Image|endswith: 'x.exe'}, condition: s}
---
title: cleared
level: high
logsource: {product: windows, service: security}
detection: {s: {EventID: 1102, SubjectUserName: bob}, condition: s}
`

// TestLayouts: one event as different shippers write it is judged the same, and
// has its time and its computer.
func TestLayouts(t *testing.T) {
	rules := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(rules, []byte(layoutRule), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := ruleset.Load(ruleset.Config{Paths: []string{rules}}, sigma.NewFields())
	if err != nil || l.Set.Refused() > 0 {
		t.Fatal(err, l.Set.Problems())
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 123456700, time.UTC)
	for _, tt := range []struct{ name, rule, record string }{
		{"flat", "sshd on Windows", `{"@timestamp":"2026-01-02T03:04:05.1234567Z","Computer":"w","Channel":"OpenSSH/Operational","EventID":4,"Provider_Name":"OpenSSH","process":"sshd","payload":"Server listening on 0.0.0.0 port 22."}`},
		{"nxlog", "sshd on Windows", `{"EventTime":"2026-01-02T05:04:05.1234567+02:00","Hostname":"w","Keywords":-9223372036854775808,"EventID":4,"SourceName":"OpenSSH","Channel":"OpenSSH/Operational","process":"sshd","payload":"Server listening on :: port 22."}`},
		{"winlogbeat 6", "sshd on Windows", `{"@timestamp":"2026-01-02T03:04:05.1234567Z","computer_name":"w","event_data":{"payload":"Server listening on :: port 22.","process":"sshd"},"event_id":4,"level":"Information","log_name":"OpenSSH/Operational","record_number":"7","source_name":"OpenSSH","type":"wineventlog"}`},
		{"winlogbeat 8", "sshd on Windows", `{"@timestamp":"2026-01-02T03:04:05.1234567Z","event":{"code":"4","provider":"OpenSSH"},"winlog":{"channel":"OpenSSH/Operational","computer_name":"w","event_id":"4","provider_name":"OpenSSH","event_data":{"payload":"Server listening on :: port 22.","process":"sshd"}}}`},
		{"ecs alone, flat names", "sshd on Windows", `{"@timestamp":"2026-01-02T03:04:05.1234567Z","event.code":"4","event.provider":"OpenSSH","winlog.channel":"OpenSSH/Operational","winlog.computer_name":"w","winlog.event_data.payload":"Server listening on :: port 22.","winlog.event_data.process":"sshd"}`},
		{"elasticsearch", "sshd on Windows", `{"_index":"w","_id":"1","_source":{"@timestamp":"2026-01-02T03:04:05.1234567Z","winlog":{"channel":"OpenSSH/Operational","computer_name":"w","event_id":4,"provider_name":"OpenSSH","event_data":{"payload":"Server listening on :: port 22.","process":"sshd"}}}}`},
		{"evtx_dump", "sshd on Windows", `{"Event":{"#attributes":{"xmlns":"x"},"System":{"Provider":{"#attributes":{"Name":"OpenSSH"}},"EventID":{"#attributes":{"Qualifiers":0},"#text":4},"TimeCreated":{"#attributes":{"SystemTime":"2026-01-02T03:04:05.123456700Z"}},"EventRecordID":7,"Channel":"OpenSSH/Operational","Computer":"w"},"EventData":{"process":"sshd","payload":"Server listening on :: port 22."}}}`},
		{"evtx_dump, separate attributes", "sshd on Windows", `{"Event":{"System":{"Provider_attributes":{"Name":"OpenSSH"},"EventID":4,"EventID_attributes":{"Qualifiers":0},"TimeCreated_attributes":{"SystemTime":"2026-01-02T03:04:05.123456700Z"},"Channel":"OpenSSH/Operational","Computer":"w"},"EventData":{"process":"sshd","payload":"Server listening on :: port 22."}}}`},
		{"xml to json", "sshd on Windows", `{"Event":{"System":{"Provider":{"@Name":"OpenSSH"},"EventID":{"@Qualifiers":"0","#text":"4"},"TimeCreated":{"@SystemTime":"2026-01-02T03:04:05.123456700Z"},"Channel":"OpenSSH/Operational","Computer":"w"},"EventData":{"Data":[{"@Name":"process","#text":"sshd"},{"@Name":"payload","#text":"Server listening on :: port 22."}]}}}`},
		{"velociraptor", "sshd on Windows", `{"System":{"Provider":{"Name":"OpenSSH"},"EventID":{"Value":4},"TimeCreated":{"SystemTime":1767323045.1234567},"EventRecordID":7,"Channel":"OpenSSH/Operational","Computer":"w"},"EventData":{"process":"sshd","payload":"Server listening on :: port 22."},"Message":"sshd"}`},
		{"wazuh", "sshd on Windows", `{"timestamp":"2026-01-02T09:09:09.000+0000","agent":{"name":"w"},"data":{"win":{"system":{"providerName":"OpenSSH","eventID":"4","systemTime":"2026-01-02T03:04:05.1234567Z","channel":"OpenSSH/Operational","computer":"w"},"eventdata":{"process":"sshd","payload":"Server listening on :: port 22."}}}}`},
		{"names with spaces", "defender", `{"@timestamp":"2026-01-02T03:04:05.1234567Z","computer_name":"w","event_data":{"Threat Name":"Virus:x","Path":"C:\\x.exe"},"event_id":1116,"log_name":"Microsoft-Windows-Windows Defender/Operational","source_name":"P"}`},
		{"names with spaces, velociraptor", "defender", `{"System":{"Provider":{"Name":"P"},"EventID":{"Value":1116},"TimeCreated":{"SystemTime":1767323045.1234567},"Channel":"Microsoft-Windows-Windows Defender/Operational","Computer":"w"},"EventData":{"Threat Name":"Virus:x","Path":"C:\\x.exe"}}`},
		{"user data, winlogbeat 6", "cleared", `{"@timestamp":"2026-01-02T03:04:05.1234567Z","computer_name":"w","user_data":{"LogFileCleared":{"SubjectUserName":"bob"}},"event_id":1102,"log_name":"Security","source_name":"P"}`},
		{"user data, velociraptor", "cleared", `{"System":{"Provider":{"Name":"P"},"EventID":{"Value":1102},"TimeCreated":{"SystemTime":1767323045.1234567},"Channel":"Security","Computer":"w"},"UserData":{"LogFileCleared":{"SubjectUserName":"bob"}}}`},
		{"a number that pandas wrote", "process", `{"@timestamp":"2026-01-02T03:04:05.1234567Z","Computer":"w","Channel":"Microsoft-Windows-Sysmon/Operational","EventID":1.0,"Image":"C:\\x.exe"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "input")
			if err := os.WriteFile(file, []byte(tt.record), 0o600); err != nil {
				t.Fatal(err)
			}
			_, matches := hunting(t, l, Config{Paths: []string{file}})
			if len(matches) != 1 || matches[0].Rule.Title != tt.rule {
				t.Fatalf("%d matches %+v", len(matches), matches)
			}
			m := matches[0]
			if d := time.Unix(0, m.Time).Sub(at); d < -time.Microsecond || d > time.Microsecond {
				t.Errorf("time is %v", time.Unix(0, m.Time).UTC())
			}
			if m.Computer != "w" || m.Channel == "" || m.EventID == "" {
				t.Errorf("computer %q, channel %q, event %q", m.Computer, m.Channel, m.EventID)
			}
		})
	}
}
