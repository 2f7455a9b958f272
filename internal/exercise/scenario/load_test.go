package scenario_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

const small = `range: "1"
id: small
name: Small
duration: 10m
variables:
  pass: {type: password, length: 12}
networks:
  office: {cidr: 10.20.1.0/24, gateway: r1}
routers:
  r1: {rules: [{from: any, to: any, action: allow}]}
hosts:
  web01:
    network: office
    ip: 10.20.1.10
    services: [{port: tcp/80, type: http}]
  red01: {network: office, roles: [red]}
  desk: {network: office, count: 3, persona: windows-10, roles: [green], user: k.dietz}
credentials:
  admin: {user: admin, password: "${vars.pass}"}
adversary:
  steps:
    - id: s1
      technique: {attack_id: T1046}
      tactic: discovery
      from: red01
      action: http.get
      target: {host: web01}
      args: {path: "/x?from=${hosts.red01.ip}"}
`

func load(text string) (*scenario.Scenario, error) {
	return scenario.Load("t.yaml", strings.NewReader(text))
}

func TestLoad(t *testing.T) {
	s, err := load(small)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(s.Hosts); n != 5 {
		t.Fatalf("%d hosts, want 5", n)
	}
	if s.Hosts[2].Name != "desk-1" || s.Hosts[2].Group != "desk" {
		t.Errorf("a member of a group is %q of %q", s.Hosts[2].Name, s.Hosts[2].Group)
	}
	seen := map[string]bool{}
	for _, h := range s.Hosts {
		if seen[h.IP.String()] || !s.Networks[0].CIDR.Contains(h.IP) {
			t.Errorf("%s has the address %s", h.Name, h.IP)
		}
		seen[h.IP.String()] = true
	}
	st := s.Adversary.Steps[0]
	if want := "/x?from=" + s.Hosts[1].IP.String(); st.Args.Text("path") != want {
		t.Errorf("the path is %q, want %q", st.Args.Text("path"), want)
	}
	if st.Args.Int("repeat") != 1 {
		t.Errorf("the default of an argument is %d", st.Args.Int("repeat"))
	}
	one, err := s.For("ada")
	if err != nil {
		t.Fatal(err)
	}
	two, err := s.For("grace")
	if err != nil {
		t.Fatal(err)
	}
	again, err := s.For("ada")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := one.Credentials[0].Password, two.Credentials[0].Password; a == b || len(a) != 12 || a != again.Credentials[0].Password {
		t.Errorf("two trainees have %q and %q, the first again %q", a, b, again.Credentials[0].Password)
	}
}

func TestSharedExample(t *testing.T) {
	name := filepath.Join(sharedtest.Dir(t), "range", "example.range.yaml")
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s, err := scenario.Load(name, f)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Hosts) != 5 || len(s.Adversary.Steps) != 4 || len(s.Training.Levels) != 4 {
		t.Errorf("%d hosts, %d steps, %d levels", len(s.Hosts), len(s.Adversary.Steps), len(s.Training.Levels))
	}
}

// TestFaults changes the small scenario in one place each and wants the fault
// there, with its line.
func TestFaults(t *testing.T) {
	for name, c := range map[string]struct {
		old, new, want string
	}{
		"unknown key":                  {"duration: 10m", "duration: 10m\ncolour: red", `t.yaml:5: the scenario has no key "colour"`},
		"repeated key":                 {"duration: 10m", "duration: 10m\nduration: 5m", `t.yaml:5: `},
		"unknown action":               {"http.get", "shell.run", `t.yaml:26: adversary.steps[0].action: there is no action`},
		"a payload":                    {"args: {path:", "payload: AAAA\n      args: {path:", `has no key "payload"`},
		"a command for a machine":      {"args: {path:", "args: {command: id, path:", `has no key "command"`},
		"unknown host":                 {"host: web01", "host: web02", `did you mean "web01"?`},
		"somebody's network":           {"10.20.1.0/24", "8.8.8.0/24", `8.8.8.0/24 belongs to somebody`},
		"somebody's address":           {"{host: web01}", "{external: www.google.com}", `is somebody's`},
		"the whole internet":           {"10.20.1.0/24, gateway", "203.0.113.0/24, gateway", `203.0.113.0/24 is the internet inside`},
		"overlap":                      {"10.20.1.0/24, gateway: r1}", "10.20.1.0/24, gateway: r1}\n  other: {cidr: 10.20.0.0/16}", `overlaps the network office`},
		"outside the network":          {"ip: 10.20.1.10", "ip: 10.20.9.10", `10.20.9.10 is outside its network`},
		"a cycle":                      {"action: http.get", "after: s1\n      action: http.get", `waits for itself`},
		"no such technique":            {"T1046", "T99", `an id of ATT&CK`},
		"somebody's link":              {`path: "/x?`, `path: "/x?u=http://www.google.com/&y=`, `the server "www.google.com" is somebody's`},
		"somebody's address in a text": {`path: "/x?`, `path: "/x?u=8.8.8.8&y=`, `the address 8.8.8.8 is somebody's`},
		"no such rule":                 {"adversary:", "detections:\n  d: {rule: sigma:windows/proc_fscann, source: process}\nadversary:", `did you mean "sigma:windows/proc_fscan"?`},
		"begins too late":              {"action: http.get", "action: http.get\n      delay: 11m", `may begin 11m0s after the start`},
		"an alias":                     {"name: Small", "name: &n Small\ndescription: *n", `t.yaml:4: an alias`},
		"no such tactic":               {"tactic: discovery", "tactic: looking", `none of the words`},
		"a step that never ends":       {"args: {path:", "args: {repeat: 100000, every: 1h, path:", `the exercise 10m0s`},
		"an argument of another":       {"args: {path:", "args: {ports: [1], path:", `has no key "ports"`},
		"no value to fill in":          {"${vars.pass}", "${vars.passs}", `there is no value "vars.passs"`},
		"too many hosts":               {"count: 3", "count: 10001", `is outside 1 to 10000`},
		"no room":                      {"count: 3", "count: 400", `has no free address`},
		"a second document":            {"range: \"1\"", "range: \"1\"\n---\nrange: \"1\"", `a second document`},
		"a service nobody has":         {"type: http", "type: gopher", `there is no service "gopher"`},
		"a shell on Windows":           {"{port: tcp/80, type: http}]", "{port: tcp/22, type: ssh}]\n    persona: windows-10", `has no ssh service`},
		"a number never given out":     {"T1046", "T9999", `t.yaml:23: adversary.steps[0].technique.attack_id: "T9999" is a number that ATT&CK has not given out`},
		"a sub-technique too many":     {"T1046", "T1110.999", `is a number that ATT&CK has not given out`},
		"availability of UDP":          {"adversary:", "scoring:\n  availability: {services: [web01/udp/53]}\nadversary:", `whether udp/53 of web01 answers cannot be asked`},
		"a merge key":                  {"name: Small", "<<: {name: Small}", `t.yaml:3: a merge key (<<) in the scenario`},
		"a merge key below":            {"    ip: 10.20.1.10", "    <<: {decoy: true}\n    ip: 10.20.1.10", `t.yaml:14: a merge key (<<) in hosts.web01`},
		"a tag":                        {"name: Small", "name: !!binary U21hbGw=", `t.yaml:3: a tag`},
		"a tag of another program":     {"name: Small", "name: !!python/object:os.system x", `t.yaml:3: a tag`},
		"a repeated key below":         {"    ip: 10.20.1.10", "    ip: 10.20.1.10\n    ip: 10.20.1.11", `t.yaml:15: hosts.web01 has the key "ip" twice, first in line 14`},
		"not UTF-8":                    {"name: Small", "name: Sm\xe4ll", `t.yaml:3: the byte 0xe4`},
		"a control character":          {"name: Small", "name: Sm\x00all", `t.yaml:3: the control character`},
		"a network's own address":      {"ip: 10.20.1.10", "ip: 10.20.1.0", `t.yaml:14: hosts.web01: 10.20.1.0 is the network's own or its broadcast address`},
		"a broadcast address":          {"ip: 10.20.1.10", "ip: 10.20.1.255", `t.yaml:14: hosts.web01: 10.20.1.255 is the network's own or its broadcast address`},
		"more jitter than latency":     {"gateway: r1}", "gateway: r1, latency: 1ms, jitter: 2ms}", `t.yaml:8: networks.office: the jitter 2ms is more than the latency 1ms`},
		"packets too small":            {"gateway: r1}", "gateway: r1, mtu: 600}", `t.yaml:8: networks.office.mtu: "600" is outside 1280 to 65535`},
		"an octal number":              {"gateway: r1}", "gateway: r1, mtu: 01500}", `t.yaml:8: networks.office.mtu: "01500" is no plain integer`},
		"a number that overflows":      {"duration: 10m", "duration: 10m\nseed: 99999999999999999999", `t.yaml:5: seed: "99999999999999999999" is no integer`},
		"a tab":                        {"  office:", "\toffice:", `t.yaml:8: `},
		"a field of nothing":           {"gateway: r1}", "gateway: r1, fill: {density: 0%}}", `t.yaml:8: networks.office.fill: it fills nothing`},
		"two hosts of one name":        {"  red01: {network: office,", "  desk-2: {network: office}\n  red01: {network: office,", `hosts.desk-2: there is another host of this name`},
		"a shell on a printer":         {"services: [{port: tcp/80, type: http}]", "persona: printer\n    services: [{port: tcp/23, type: telnet}]", `a printer has no shell for a telnet service`},
		"a login to a switch":          {"services: [{port: tcp/80, type: http}]", "persona: switch\n    services: [{port: tcp/23, type: telnet, accept: [admin]}]", `hosts.web01: a switch has no shell of its own system: nobody logs in to its telnet service`},
		"a question of SQL":            {"action: http.get\n      target: {host: web01}\n      args: {path: \"/x?from=${hosts.red01.ip}\"}", "action: sql.query\n      target: {host: web01}\n      args: {credential: admin, ask: [drop]}", `t.yaml:28: adversary.steps[0].args of sql.query.ask[0]: "drop" is none of the words`},
		"too much to score":            {"adversary:", "background:\n  - {id: b, from: desk, action: tcp.probe, target: office, args: {ports: [1, 2, 3, 4], rate: 10000/s}, every: 1s}\nadversary:", `t.yaml:21: background[b]: with it the exercise has some`},
		"NAT to a network of another":  {"r1: {rules:", "r1: {nat: [internet, plant], rules:", `t.yaml:10: routers.r1.nat: "plant" is no network of this router (name a network whose gateway it is, or internet)`},
		"nowhere to":                   {"cidr: 10.20.1.0/24, gateway: r1}", "cidr: 10.20.1.0/24}\nbackground:\n  - {id: b, from: desk, action: http.get, target: {external: 203.0.113.7}, every: 1m}", `t.yaml:10: background[b]: no router leads from the network office of desk-1 to 203.0.113.7`},
		"IPv6 without any":             {"{host: web01}", "{host: web01, ipv6: true}", `adversary.steps[s1]: the host red01 has no IPv6 address`},
		"IPv6 of a network":            {"action: http.get\n      target: {host: web01}\n      args: {path: \"/x?from=${hosts.red01.ip}\"}", "action: icmp.ping\n      target: {network: office, ipv6: true}", `ipv6 belongs to host and hosts`},
		"too many networks":            {"routers:", lines(300, "  n%[1]d: {cidr: 10.30.%[1]d.0/29}\n") + "routers:", `networks has 301 entries, the limit is 256`},
		"too many steps":               {"adversary:\n  steps:\n", "adversary:\n  steps:\n" + lines(1001, "    - {id: z%d, technique: {attack_id: T1046}, tactic: discovery, from: red01, action: http.get, target: {host: web01}}\n"), `adversary.steps has 1002 entries, the limit is 1000`},
		"hosts without end":            {"credentials:", lines(100_000, "  h%d: {network: office}\n") + "credentials:", `t.yaml:10015: hosts has 100003 entries, the limit is 10000`},
		"a hundred thousand of one":    {"count: 3", "count: 100000", `t.yaml:17: hosts.desk.count: "100000" is outside 1 to 10000`},
		"a file too large":             {"name: Small", "name: Small # " + strings.Repeat("x", 4<<20), `more than 4194304 bytes`},
		"a billion laughs":             {"name: Small", laughs(), `more than 500000 values, aliases counted`},
		"nested without end":           {"name: Small", "name: " + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000), `max depth`},
		"aliases without end":          {"duration: 10m", "duration: 10m\nnotes: &a [*a]", `t.yaml:5: `},
	} {
		t.Run(name, func(t *testing.T) {
			if !strings.Contains(small, c.old) {
				t.Fatalf("the small scenario has no %q", c.old)
			}
			_, err := load(strings.Replace(small, c.old, c.new, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v\nwant %s", err, c.want)
			}
		})
	}
}

// TestReseed: with another seed everything drawn is another, for a trainee too, and
// with the file's it is the file's.
func TestReseed(t *testing.T) {
	s, err := load(small)
	if err != nil {
		t.Fatal(err)
	}
	drawn := func(s *scenario.Scenario, err error) [3]string {
		if err != nil {
			t.Fatal(err)
		}
		return [3]string{s.Variables["pass"], s.Hosts[1].IP.String(), strconv.FormatUint(s.Seed, 10)}
	}
	file, again, other := drawn(s, nil), drawn(s.Reseed(s.Seed)), drawn(s.Reseed(99))
	if file != again || file[0] == other[0] || file[1] == other[1] || other[2] != "99" {
		t.Errorf("the file's %q, once more %q, another seed %q", file, again, other)
	}
	anna, err := s.For("anna")
	if err != nil {
		t.Fatal(err)
	}
	if a, b := drawn(anna, nil), drawn(anna.Reseed(99)); a[0] == b[0] || b[0] == other[0] {
		t.Errorf("anna has %q, with another seed %q", a, b)
	}
}

func TestOneIPv6AddressTwice(t *testing.T) {
	_, err := load(strings.NewReplacer(
		"gateway: r1}", `gateway: r1, cidr6: "fd00:1::/64"}`,
		"ip: 10.20.1.10", "ip: 10.20.1.10\n    ip6: \"fd00:1::5\"",
		"red01: {network: office,", `red01: {network: office, ip6: "fd00:1::5",`,
	).Replace(small))
	if want := "t.yaml:17: hosts.red01: fd00:1::5 is the address of web01"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestNoRoomForTheRouter(t *testing.T) {
	_, err := load(strings.NewReplacer("10.20.1.0/24, gateway: r1}", "10.20.1.0/24}\n  tiny: {cidr: 10.30.0.0/30, gateway: r1}",
		"  red01:", "  one: {network: tiny, ip: 10.30.0.1}\n  two: {network: tiny, ip: 10.30.0.2}\n  red01:").Replace(small))
	if want := "t.yaml:9: networks.tiny: hosts have every address of 10.30.0.0/30, none is left for the router r1"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestEveryDefaultParses(t *testing.T) {
	for _, a := range scenario.Actions {
		for _, f := range a.Args {
			if f.Default == "" {
				continue
			}
			if docs, err := yamldoc.Documents("d", []byte(f.Default)); err != nil || len(docs) != 1 {
				t.Errorf("%s: the default of %s: %v", a.Name, f.Name, err)
			}
		}
	}
}

// FuzzLoad wants every text to be a scenario or a list of faults, and one that
// loads to load the same way again.
func lines(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}

// laughs is nine to the power of twenty texts by aliases of aliases.
func laughs() string {
	b := "name: Small\nnotes:\n  - &a [x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c < 'v'; c++ {
		b += fmt.Sprintf("  - &%c [%s]\n", c, strings.Repeat(fmt.Sprintf("*%c, ", c-1), 9))
	}
	return b
}

// TestTenThousandHosts is the most that a scenario may have.
func TestTenThousandHosts(t *testing.T) {
	s, err := load(strings.NewReplacer("count: 3", "count: 9998", "10.20.1.0/24", "10.20.0.0/16").Replace(small))
	if err != nil || len(s.Hosts) != scenario.MaxHosts {
		t.Fatal(err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add(small)
	f.Add("range: \"1\"\nid: a\nname: ${vars.x\nhosts: {a: {count: 3}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		s, err := load(text)
		if err != nil {
			var faults yamldoc.Faults
			if !errors.As(err, &faults) || len(faults) == 0 {
				t.Fatalf("no list of faults: %v", err)
			}
			return
		}
		again, err := s.For("")
		if err != nil || len(again.Hosts) != len(s.Hosts) {
			t.Fatalf("loaded again: %v", err)
		}
	})
}
