package report

import (
	"bytes"
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

var update = flag.Bool("update", false, "write the golden files")

var t0 = time.Date(2026, 3, 2, 9, 0, 0, 0, time.UTC)

func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

func tcp(src, dst string) score.Tuple {
	return score.Tuple{Proto: "tcp", Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
}

func flow(src, dst string, from, to float64) score.Flow {
	return score.Flow{Tuple: tcp(src, dst), Start: at(from), End: at(to), Bytes: 5120, Packets: 22}
}

func host(name, network, addr, persona string, decoy bool, roles ...string) score.Host {
	return score.Host{Name: name, Network: network, Addrs: []netip.Addr{netip.MustParseAddr(addr)}, Persona: persona, Roles: roles, Decoy: decoy}
}

// evil is text that a stranger could have typed.
const evil = "</title><script>alert(1)</script><img src=x onerror=alert(2)> \x1b[31m\u202e' \" & | ]]>"

func sampleTruth() score.Truth {
	want := func(level score.Category, within time.Duration, rules ...string) score.Expect {
		e := score.Expect{Level: level, Within: within}
		for _, r := range rules {
			e.Detections = append(e.Detections, score.Detection{ID: "det." + r, Rules: []string{r}})
		}
		return e
	}
	return score.Truth{
		Exercise: "ex-42", Scenario: "ssh-lateral-101", Name: "Noisy intruder in the office network", Version: "0.1", Seed: 42, Attack: "17",
		Description: "Scan, decoy login, honeytoken use, collection, slow beacon.",
		Started:     t0, Ended: at(2700), Packets: 18342, HostsAll: 33010,
		Networks: []score.Network{
			{Name: "office", Prefixes: []string{"10.20.1.0/24"}, Routers: []string{"r1"}},
			{Name: "server", Prefixes: []string{"10.20.2.0/24"}, Routers: []string{"r1"}},
			{Name: "decoys", Prefixes: []string{"10.20.128.0/17"}, Routers: []string{"r1"}, Filled: true},
		},
		Hosts: []score.Host{
			host("ws01", "office", "10.20.1.10", "windows-10", false, "green"), host("ws02", "office", "10.20.1.11", "windows-10", false, "green"),
			host("red01", "office", "10.20.1.66", "linux-5", false, "red"), host("tap01", "office", "10.20.1.200", "linux-5", false, "blue"),
			host("web01", "server", "10.20.2.10", "linux-5", false), host("db01", "server", "10.20.2.20", "linux-5", true), host("files01", "server", "10.20.2.30", "linux-5", false),
			host("plc01", "decoys", "10.20.128.9", "plc", true),
		},
		Steps: []score.Step{
			{
				ID: "s1", Name: "Service discovery", Technique: "T1046", TechniqueName: "Network Service Discovery", Tactic: "discovery", Action: "tcp.probe", From: "red01", To: "server", Outcome: score.Done,
				Expect: want(score.Technique, time.Minute, "portscan"), Acts: score.Acts{Started: at(120), Ended: at(135), Flows: []score.Flow{flow("10.20.1.66:40001", "10.20.2.10:22", 120, 120), flow("10.20.1.66:40002", "10.20.2.20:3306", 121, 121)}},
			},
			{
				ID: "s2", Name: "Password guessing", Technique: "T1110.001", TechniqueName: "Password Guessing", Tactic: "credential-access", Action: "ssh.login", From: "red01", To: "web01", Outcome: score.Failed, Note: "20 passwords refused",
				Expect: want(score.Technique, 2*time.Minute, "ssh_bruteforce"), Acts: score.Acts{Started: at(200), Ended: at(260), Flows: []score.Flow{flow("10.20.1.66:40011", "10.20.2.10:22", 200, 203)}, Traces: []score.Trace{{At: at(201), Host: "web01", User: "root"}}},
			},
			{
				ID: "s3", Name: "Login with planted credential", Technique: "T1078", TechniqueName: "Valid Accounts", Tactic: "lateral-movement", Action: "ssh.login", From: "red01", To: "db01", Outcome: score.Done,
				Expect: want(score.General, 10*time.Second, "honeytoken"), Acts: score.Acts{Started: at(420), Ended: at(440), Flows: []score.Flow{flow("10.20.1.66:40031", "10.20.2.20:22", 420, 440)}, Traces: []score.Trace{{At: at(421), Host: "db01", User: "backup", Token: "tok-backup", Record: "rec-1"}}},
			},
			{
				ID: "s4", Name: "Collection " + evil, Technique: "T1005", TechniqueName: "Data from Local System", Tactic: "collection", Action: "file.read", From: "db01", To: "files01", Outcome: score.Done,
				Acts: score.Acts{Started: at(700), Ended: at(760), Flows: []score.Flow{flow("10.20.2.20:41000", "10.20.2.30:445", 700, 760)}},
			},
			{
				ID: "s5", Name: "Beacon", Technique: "T1071.001", TechniqueName: "Web Protocols", Tactic: "command-and-control", Action: "beacon.http", From: "red01", To: "203.0.113.10", Outcome: score.Done,
				Expect: want(score.General, 5*time.Minute, "beacon"), Acts: score.Acts{Started: at(900), Ended: at(1500), Flows: []score.Flow{flow("10.20.1.66:42000", "203.0.113.10:80", 900, 901), flow("10.20.1.66:42001", "203.0.113.10:80", 920, 921)}},
			},
			{
				ID: "s6", Name: "Second hop", Technique: "T1021.004", TechniqueName: "SSH", Tactic: "lateral-movement", Action: "ssh.login", From: "red01", To: "files01", Outcome: score.NotRun, Note: "no route to files01",
				Expect: want(score.Technique, time.Minute), Acts: score.Acts{Started: at(1700)},
			},
		},
		Activities: []score.Activity{
			{ID: "browse", Action: "http.get", From: "ws01", Acts: score.Acts{Started: t0, Ended: at(2700), Flows: []score.Flow{flow("10.20.1.10:50001", "10.20.2.10:80", 60, 62), flow("10.20.1.10:50002", "10.20.2.10:80", 210, 212)}}},
			{ID: "tap", From: "tap01", Neutral: true, Acts: score.Acts{Started: t0, Ended: at(2700), Flows: []score.Flow{flow("10.20.1.200:50001", "10.20.2.10:22", 300, 301)}}},
		},
		Responses: []score.Response{{Target: score.Target{Host: "red01"}, At: at(1600), By: "ann"}, {Target: score.Target{Host: "ws02"}, At: at(1620), By: "ann"}},
		Goals:     []score.Goal{{ID: "contain", Target: score.Target{Host: "red01"}, Deadline: at(1800)}},
		Services:  []score.Service{{ID: "web01/tcp/80", Checks: []score.Check{{At: at(30), Up: true}, {At: at(60), Up: true}, {At: at(90), Why: "connection refused"}, {At: at(120), Up: true}}}},
		Tasks: []score.Task{
			{ID: "l2", Title: "Who scans?", Points: 100, Solved: true, Hints: []score.Hint{{ID: "h1", Cost: 10}}},
			{ID: "l4", Points: 50},
		},
	}
}

func sampleAlerts() []score.Alert {
	rule := func(name string, l alert.Level, tags ...string) alert.Rule {
		return alert.Rule{ID: name, Name: name, Level: l, Techniques: tags}
	}
	return []score.Alert{
		{ID: "al-1", Rule: rule("portscan", alert.Medium, "T1046"), First: at(120), Last: at(122), Raised: at(122), Source: netip.MustParseAddrPort("10.20.1.66:0")},
		{ID: "al-2", Rule: rule("ssh_bruteforce", alert.Medium, "T1110"), First: at(201), Last: at(201), Raised: at(420), Events: []score.Ref{{ID: "ev-2", At: at(201), Flow: tcp("10.20.1.66:40011", "10.20.2.10:22"), Host: "web01", User: "root"}}},
		{ID: "al-3", Rule: rule("honeytoken", alert.High, "T1078"), First: at(421), Last: at(421), Raised: at(421.2), Events: []score.Ref{{ID: "rec-1", At: at(421), Host: "db01", User: "backup", Token: "tok-backup"}}},
		{ID: "al-4", Rule: rule("beacon", alert.Low), Title: "beacon " + evil, First: at(900), Last: at(921), Raised: at(1400), Source: netip.MustParseAddrPort("10.20.1.66:0"), Destination: netip.MustParseAddrPort("203.0.113.10:80")},
		{ID: "al-5", Rule: rule("web_scan "+evil, alert.Medium, "T1595"), First: at(210), Last: at(210), Host: "web01", User: "bob" + evil, Source: netip.MustParseAddrPort("10.20.1.10:0"), Events: []score.Ref{{ID: "ev-5", At: at(210), Flow: tcp("10.20.1.10:50002", "10.20.2.10:80")}}},
		{ID: "al-6", Rule: rule("ssh_touch", alert.Low), First: at(300), Last: at(300), Events: []score.Ref{{ID: "ev-6", At: at(300), Flow: tcp("10.20.1.200:50001", "10.20.2.10:22")}}},
	}
}

func sampleSeen() score.Seen {
	return score.Seen{Alerts: sampleAlerts(), Events: []score.Ref{
		{ID: "ev-2", At: at(201), Flow: tcp("10.20.1.66:40011", "10.20.2.10:22")},
		{ID: "ev-9", At: at(702), Flow: tcp("10.20.2.20:41000", "10.20.2.30:445")},
	}}
}

func sample() *Run {
	truth, rules := sampleTruth(), score.DefaultRules()
	return New(truth, rules, score.Evaluate(truth, sampleSeen(), rules))
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v; go test -update writes it", err)
	}
	if d := cmp.Diff(string(want), string(got)); d != "" {
		t.Errorf("%s differs; look at it, then go test -update:\n%s", name, d)
	}
}

func TestGolden(t *testing.T) {
	r := sample()
	for name, write := range map[string]func(*bytes.Buffer) error{
		"table.txt":   func(b *bytes.Buffer) error { return Table(b, r) },
		"lines.jsonl": func(b *bytes.Buffer) error { return Lines(b, r) },
		"report.html": func(b *bytes.Buffer) error { return HTML(b, r) },
		"layer.json":  func(b *bytes.Buffer) error { return Navigator(b, r) },
		"junit.xml":   func(b *bytes.Buffer) error { return JUnit(b, r) },
	} {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			if err := write(&b); err != nil {
				t.Fatal(err)
			}
			golden(t, name, b.Bytes())
		})
	}
}
