package hunt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMapping: a record of each log source, as its program writes it, fires the
// rule of SigmaHQ for that log source. The records are our own.
func TestMapping(t *testing.T) {
	l, _ := sigmaHQ(t)
	const zeekHead = "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\t"
	for _, tt := range []struct{ name, input, rule string }{
		{"cloudtrail", `{"Records":[{"eventVersion":"1.08","eventTime":"2026-01-02T03:04:05Z","eventSource":"cloudtrail.amazonaws.com","eventName":"StopLogging","awsRegion":"eu-central-1","sourceIPAddress":"192.0.2.7","userIdentity":{"type":"IAMUser","userName":"bob"}}]}`, "4db60cc0-36fb-42b7-9b58-a5b53019fb74"},
		{"entra sign-in", `{"records":[{"time":"2026-01-02T03:04:05Z","category":"SignInLogs","operationName":"Sign-in activity","resultType":"53003","properties":{"userPrincipalName":"bob@example.org","appDisplayName":"Office"}}]}`, "9a60e676-26ac-44c3-814b-0c2a8b977adf"},
		{"entra sign-in, graph", `{"value":[{"createdDateTime":"2026-01-02T03:04:05Z","userPrincipalName":"bob@example.org","appDisplayName":"Office","status":{"errorCode":53003,"failureReason":"Blocked"}}]}`, "9a60e676-26ac-44c3-814b-0c2a8b977adf"},
		{"entra audit", `{"time":"2026-01-02T03:04:05Z","category":"AuditLogs","operationName":"Read BitLocker key","properties":{"category":"KeyManagement","result":"success"}}`, "a0413867-daf3-43dd-9245-734b3a787942"},
		{"entra audit, graph", `{"activityDateTime":"2026-01-02T03:04:05Z","activityDisplayName":"Read BitLocker key","category":"KeyManagement","loggedByService":"Device Registration Service","result":"success"}`, "a0413867-daf3-43dd-9245-734b3a787942"},
		{"entra risk", `{"time":"2026-01-02T03:04:05Z","category":"UserRiskEvents","properties":{"riskEventType":"anonymizedIPAddress"}}`, "53acd925-2003-440d-a1f3-71a5253fe237"},
		{"azure activity", `{"time":"2026-01-02T03:04:05Z","operationName":"MICROSOFT.NETWORK/DNSZONES/TXT/WRITE","resourceId":"/SUBSCRIPTIONS/1","category":"Administrative"}`, "af6925b0-8826-47f1-9324-337507a0babd"},
		{"m365 audit", `{"CreationTime":"2026-01-02T03:04:05","Workload":"AzureActiveDirectory","Operation":"Disable Strong Authentication.","UserId":"bob@example.org","ResultStatus":"Success"}`, "60de9b57-dc4d-48b9-a6a0-b39e0469f876"},
		{"m365 exchange", `{"CreationTime":"2026-01-02T03:04:05","Workload":"Exchange","Operation":"Add-FederatedDomain","UserId":"bob@example.org","ResultStatus":"success"}`, "42127bdd-9133-474f-a6f1-97b6c08a4339"},
		{"suricata http", `{"timestamp":"2026-01-02T03:04:05.000000+0000","flow_id":1,"event_type":"http","src_ip":"10.0.0.5","dest_ip":"192.0.2.7","http":{"hostname":"example.org","url":"/x","http_user_agent":"sqlmap/1.7","http_method":"GET","status":200}}`, "c42a3073-30fb-48ae-8c99-c23ada84b103"},
		{"suricata dns", `{"timestamp":"2026-01-02T03:04:05.000000+0000","flow_id":1,"event_type":"dns","src_ip":"10.0.0.5","dest_ip":"192.0.2.7","dns":{"type":"query","rrname":"aaa.stage.1234.example.org","rrtype":"TXT"}}`, "2975af79-28c4-4d2f-a951-9095f229df29"},
		{"cowrie command", `{"eventid":"cowrie.command.input","input":"xmrig -o pool.example.org:3333 --donate-level=0","message":"CMD: xmrig","sensor":"s","timestamp":"2026-01-02T03:04:05.000000Z","src_ip":"192.0.2.7","session":"a1"}`, "9069ea3c-b213-4c52-be13-86506a227ab1"},
		{"opencanary", `{"dst_host":"10.0.0.2","dst_port":22,"local_time":"2026-01-02 03:04:05.000000","logdata":{"USERNAME":"root","PASSWORD":"x"},"logtype":4002,"node_id":"opencanary-1","src_host":"192.0.2.7","src_port":5555,"utc_time":"2026-01-02 03:04:05.000000"}`, "ff7139bc-fdb1-4437-92f2-6afefe8884cb"},
		{"zeek dns, json", `{"_path":"dns","ts":1767323045.1,"uid":"C1","id.orig_h":"10.0.0.5","id.resp_h":"10.0.0.1","query":"abc.onion.link","qtype_name":"A"}`, "a8322756-015c-42e7-afb1-436e85ed3ff5"},
		{"zeek dns, table", zeekHead + "dns\n#fields\tts\tuid\tid.orig_h\tid.resp_h\tquery\tqtype_name\n#types\ttime\tstring\taddr\taddr\tstring\tstring\n1767323045.1\tC1\t10.0.0.5\t10.0.0.1\tabc.onion.link\tA\n", "a8322756-015c-42e7-afb1-436e85ed3ff5"},
		{"zeek http", zeekHead + "http\n#fields\tts\tuid\tid.orig_h\tid.resp_h\tmethod\thost\turi\tuser_agent\n1767323045.1\tC1\t10.0.0.5\t192.0.2.7\tGET\texample.org\t/webdav/a.exe\tx\n", "aac2fd97-bcba-491b-ad66-a6edf89c71bf"},
		{"zeek smb_files", zeekHead + "smb_files\n#fields\tts\tuid\tpath\tname\n1767323045.1\tC1\t\\\\\\\\10.0.0.9\\\\IPC$\tx-stdin\n", "f1b3a22a-45e6-4004-afb5-4291f9c21166"},
		{"zeek kerberos", `{"_path":"kerberos","ts":1767323045.1,"uid":"C1","request_type":"TGS","cipher":"rc4-hmac","service":"cifs/x"}`, "503fe26e-b5f2-4944-a126-eab405cc06e5"},
		{"zeek x509", `{"_path":"x509","ts":1767323045.1,"id":"F1","certificate.serial":"8BB00EE"}`, "7100f7e3-92ce-4584-b7b7-01b40d3d4118"},
		{"zeek dce_rpc", `{"_path":"dce_rpc","ts":1767323045.1,"uid":"C1","endpoint":"efsrpc","operation":"EfsRpcOpenFileRaw"}`, "4096842a-8f9f-4d36-92b4-d0b2a62f9b2a"},
		{"squid", "1767323045.123    180 10.0.0.5 TCP_MISS/200 411 GET http://pastebin.pl/view/raw/1 - HIER_DIRECT/192.0.2.7 text/html\n", "5468045b-4fcc-4d1a-973c-c9c9578edacb"},
		{"squid, combined", "10.0.0.5 - - [02/Jan/2026:03:04:05 +0000] \"GET http://example.org/x HTTP/1.1\" 200 411 \"-\" \"sqlmap/1.7\" TCP_MISS:HIER_DIRECT\n", "c42a3073-30fb-48ae-8c99-c23ada84b103"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "input")
			if err := os.WriteFile(file, []byte(tt.input), 0o600); err != nil {
				t.Fatal(err)
			}
			h, matches := hunting(t, l, Config{Paths: []string{file}})
			var ids []string
			for _, m := range matches {
				ids = append(ids, m.Rule.ID)
				if m.Time == 0 && !strings.Contains(tt.name, "opencanary") {
					t.Errorf("%s: no time", m.Rule.Title)
				}
			}
			if !strings.Contains(strings.Join(ids, " "), tt.rule) || h.Stats.Records.Load() != 1 || h.Partial() {
				t.Errorf("%d records fire %q", h.Stats.Records.Load(), ids)
			}
		})
	}
}
