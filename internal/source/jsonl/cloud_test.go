package jsonl

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// TestAccessNames: records of clouds, decoys and others have the names that rules
// about access and trackers read.
func TestAccessNames(t *testing.T) {
	m, err := logsource.Default()
	if err != nil {
		t.Fatal(err)
	}
	fields := sigma.NewFields()
	route := m.Router(fields).NewWorker()
	names := []string{"event.category", "event.action", "event.outcome", "user.name", "source.ip", "lapwing.auth.factors", "source.geo.country_iso_code", "dns.question.name", "destination.ip", "rule.name"}
	fields.Add(names...)
	scan := NewScanner(fields, m)
	rec := sigma.NewRecord(fields)
	for _, tt := range []struct {
		name, line string
		want       []string // by names
	}{
		{
			"entra, one factor",
			`{"category":"SignInLogs","resultType":"0","callerIpAddress":"198.51.100.7","properties":{"userPrincipalName":"ann@example.org","authenticationRequirement":"singleFactorAuthentication","location":{"countryOrRegion":"DE"}}}`,
			[]string{"authentication", "logon", "success", "ann@example.org", "198.51.100.7", "single", "DE", "", "", ""},
		},
		{
			"entra, two", `{"category":"NonInteractiveUserSignInLogs","resultType":"0","callerIpAddress":"198.51.100.7","properties":{"userPrincipalName":"ann@example.org","authenticationRequirement":"multiFactorAuthentication"}}`,
			[]string{"authentication", "logon", "success", "ann@example.org", "198.51.100.7", "multi", "", "", "", ""},
		},
		{
			"entra, refused", `{"category":"SignInLogs","resultType":"50126","callerIpAddress":"198.51.100.7","properties":{"userPrincipalName":"ann@example.org"}}`,
			[]string{"authentication", "logon-failed", "failure", "ann@example.org", "198.51.100.7", "", "", "", "", ""},
		},
		{
			"graph", `{"userPrincipalName":"ann@example.org","appDisplayName":"Mail","ipAddress":"2001:db8::7","status":{"errorCode":0},"authenticationRequirement":"multiFactorAuthentication","location":{"countryOrRegion":"FR"}}`,
			[]string{"authentication", "logon", "success", "ann@example.org", "2001:db8::7", "multi", "FR", "", "", ""},
		},
		{
			"graph, refused", `{"userPrincipalName":"ann@example.org","appDisplayName":"Mail","ipAddress":"2001:db8::7","status":{"errorCode":50053}}`,
			[]string{"authentication", "logon-failed", "failure", "ann@example.org", "2001:db8::7", "", "", "", "", ""},
		},
		{
			"m365", `{"Workload":"AzureActiveDirectory","Operation":"UserLoggedIn","UserId":"ann@example.org","ClientIP":"198.51.100.7","ResultStatus":"Success"}`,
			[]string{"authentication", "logon", "success", "ann@example.org", "198.51.100.7", "", "", "", "", ""},
		},
		{
			"m365, refused", `{"Workload":"AzureActiveDirectory","Operation":"UserLoginFailed","UserId":"ann@example.org","ClientIP":"198.51.100.7"}`,
			[]string{"authentication", "logon-failed", "failure", "ann@example.org", "198.51.100.7", "", "", "", "", ""},
		},
		{
			"m365, other", `{"Workload":"Exchange","Operation":"New-InboxRule","UserId":"ann@example.org","ClientIP":"198.51.100.7"}`,
			[]string{"", "", "", "ann@example.org", "198.51.100.7", "", "", "", "", ""},
		},
		{
			"opencanary", `{"logtype":4002,"dst_port":22,"dst_host":"10.0.0.9","src_host":"198.51.100.7","src_port":50000,"node_id":"canary","logdata":{"USERNAME":"root","PASSWORD":"x"}}`,
			[]string{"", "", "", "root", "198.51.100.7", "", "", "", "10.0.0.9", ""},
		},
		{
			"cowrie", `{"eventid":"cowrie.login.failed","src_ip":"198.51.100.7","username":"root","password":"x","session":"ab","sensor":"s1"}`,
			[]string{"intrusion_detection", "logon-failed", "failure", "root", "198.51.100.7", "", "", "", "", ""},
		},
		{
			"crowdsec", `{"scenario":"crowdsecurity/ssh-bf","message":"x","events_count":6,"source":{"scope":"Ip","value":"198.51.100.7","ip":"198.51.100.7","cn":"DE"}}`,
			[]string{"intrusion_detection", "", "", "", "198.51.100.7", "", "DE", "", "", "crowdsecurity/ssh-bf"},
		},
		{
			"webhook in ECS", `{"event":{"category":["authentication"],"action":"logon","outcome":"success"},"user":{"name":"ann"},"source":{"ip":"198.51.100.7"}}`,
			[]string{"authentication", "logon", "success", "ann", "198.51.100.7", "", "", "", "", ""},
		},
		{
			"zeek dns", `{"_path":"dns","id.orig_h":"10.0.0.5","id.resp_h":"10.0.0.1","query":"x.example.net","qtype_name":"A"}`,
			[]string{"", "", "", "", "10.0.0.5", "", "", "x.example.net", "", ""},
		},
		{
			"suricata flow", `{"event_type":"flow","flow_id":1,"src_ip":"10.0.0.5","src_port":1,"dest_ip":"203.0.113.7","dest_port":443,"proto":"TCP","flow":{"bytes_toserver":1,"bytes_toclient":2}}`,
			[]string{"network", "", "", "", "10.0.0.5", "", "", "", "203.0.113.7", ""},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			head := logsource.Head{Format: "json"}
			if err := scan.Scan([]byte(tt.line), rec, &head); err != nil {
				t.Fatal(err)
			}
			if !route.Route(rec, &head) {
				t.Error("of no log source")
			}
			var got []string
			for _, n := range names {
				v, _ := rec.Get(n)
				got = append(got, string(v.Text))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
