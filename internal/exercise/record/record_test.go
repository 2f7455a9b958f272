package record

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/detect/live"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/ruleset"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

var t0 = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

func newHost(tb testing.TB, family string, clk clock.Clock, seed uint64) *Host {
	tb.Helper()
	h, err := New(Config{
		Name: "srv01", Domain: "plant.example", Family: family, Addr: netip.MustParseAddr("10.20.1.10"), Clock: clk, Seed: seed, Users: []string{"anna", "bernd"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return h
}

func engine(tb testing.TB, c live.Config) *live.Engine {
	tb.Helper()
	e, err := live.New(c)
	if err != nil {
		tb.Fatal(err)
	}
	return e
}

// fired gives the rules that events fire, by title, with their level.
func fired(e *live.Engine, now time.Time, events []event.Event) map[string]sigma.Level {
	out := map[string]sigma.Level{}
	take := func(list []live.Verdict) {
		for _, v := range list {
			out[v.Rule.Title] = v.Rule.Level
		}
	}
	for i := range events {
		take(e.Judge(events[i].AppendJSON(nil)))
	}
	take(e.Advance(now.Add(time.Hour)))
	return out
}

func outside() Params {
	return Params{From: netip.MustParseAddrPort("10.20.1.66:50123"), Peer: "dc01"}
}

// rulesOf says which of our shipped rules a behaviour must fire. Those with
// none are judged by rules of SigmaHQ, see TestSigmaHQ.
var rulesOf = map[string][]string{
	"server-shell":          {"Service Account Starts a Shell From a Web or Database Server"},
	"object-extension":      {"Base64 Command in a Layer Parameter of an ArcGIS Extension", "Service Account Starts a Shell From a Web or Database Server"},
	"powershell-command":    {"Service Account Starts a Shell From a Web or Database Server"},
	"discovery-burst":       {"Burst of Discovery Under a Service Account"},
	"download-by-tool":      {"Built-in Tool Downloads From a Bare Address"},
	"privilege-tool":        {"Privilege Tool of the Potato Family"},
	"nla-off":               {"Network Level Authentication Switched Off"},
	"sticky-keys":           {"Debugger Set for an Accessibility Feature", "Sign-in Screen Starts Task Manager for Sticky Keys"},
	"bridge-service":        {"Service Installed as a SoftEther Bridge", "Service With the Name or Path of a SoftEther Bridge (Security Log)", "SoftEther VPN Program Under Another Name"},
	"renamed-vpn":           {"SoftEther VPN Program Under Another Name", "SoftEther VPN Companion File Written", "System Binary Name With a Foreign Command Line", "Service Runs a Program That Bears a System Binary Name"},
	"vpn-tunnel":            {"DNS Query for a SoftEther Name", "Console Host or COM Surrogate Talks to the Internet"},
	"standing-vpn":          {"SoftEther VPN Program Started"},
	"wmic-remote":           {"Process Created on Another Host by WMIC"},
	"winrm-shell":           {"Shell Started by a Remote Management Session"},
	"lsass-dump":            {"Task Manager Dumps LSASS From the Sign-in Screen"},
	"hive-save":             {"Registry Hive With Secrets Saved to a File"},
	"dcsync":                {"Directory Replication by an Account That Is No Domain Controller"},
	"password-file":         {"Shortcut to a Password File in Recent Items"},
	"internal-scan":         {"Internal Scanner Fscan or Nbtscan"},
	"restore-points":        {"System Restore Points Listed"},
	"fake-diagtrack":        {"Process Named DiagTrack.exe"},
	"exchange-spray":        {"Password Spraying Across Exchange Directories", "One Source Walks the Exchange Directories"},
	"mail-robot":            {"Mailbox Robot or Tool Name in a Web Log", "One Client Reads Many Mailboxes"},
	"staged-files":          {"Archive or Image Name From the Actor List Fetched"},
	"admin-logon":           nil,
	"account-created":       nil,
	"defender-off":          nil,
	"task-created":          nil,
	"share-collect":         nil,
	"remote-thread":         nil,
	"ssh-guessing":          {"Passwords Guessed at sshd"},
	"server-shell-linux":    nil,
	"download-linux":        nil,
	"cron-changed":          nil,
	"account-created-linux": nil,
}

func TestBehavioursFireShippedRules(t *testing.T) {
	names := []string{}
	for _, b := range Behaviours() {
		names = append(names, b.Name)
		t.Run(b.Name, func(t *testing.T) {
			clk := clock.NewManual(t0)
			events, err := newHost(t, b.Family, clk, 7).Emulate(b.Name, outside())
			if err != nil {
				t.Fatal(err)
			}
			got := fired(engine(t, live.Config{}), clk.Now(), events)
			for _, want := range rulesOf[b.Name] {
				if _, ok := got[want]; !ok {
					t.Errorf("%q did not fire; these did: %v", want, got)
					for i := range events {
						t.Logf("%s", events[i].AppendJSON(nil))
					}
				}
			}
			for i := range events {
				if v, ok := events[i].Get(Synthetic); !ok || v.Text() != "true" || events[i].Host != "srv01" {
					t.Errorf("not marked: %s", events[i].AppendJSON(nil))
				}
			}
		})
	}
	if len(names) != len(rulesOf) {
		t.Errorf("%d behaviours, %d in the table: %v", len(names), len(rulesOf), names)
	}
}

// elsewhere are techniques of the profile that leave nothing in a host's log, or
// that are met by decoys and flows.
var elsewhere = map[string]string{
	"T1595.002": "scans are seen by decoys, web logs and flows",
	"T1566.002": "a mail gateway's log",
	"T1078":     "a decoy's and a planted credential's rule",
	"T1584.008": "devices of others", "T1584.005": "devices of others", "T1090.003": "devices of others",
	"T1059.004": "commands on a decoy", "T1070.004": "commands on a decoy", "T1498": "not emulated",
	"T1588.002": "outside", "T1587.001": "outside", "T1583.003": "outside",
}

func TestEveryHostTraceOfFlaxTyphoon(t *testing.T) {
	file := filepath.Join(sharedtest.Dir(t), "threat", "flax_typhoon.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Skip(err)
	}
	ids := map[string]bool{}
	for l := range strings.SplitSeq(string(data), "\n") {
		l = strings.TrimSpace(l)
		if id, ok := strings.CutPrefix(l, "- id: T1"); ok {
			ids["T1"+strings.Trim(id, `'"`)] = true
		}
		if l == "tooling:" {
			break
		}
	}
	if len(ids) < 40 {
		t.Fatalf("only %d techniques in %s", len(ids), file)
	}
	for id := range ids {
		if elsewhere[id] != "" {
			continue
		}
		if !slices.ContainsFunc(Behaviours(), func(b Behaviour) bool { return slices.Contains(b.Techniques, id) && len(rulesOf[b.Name]) > 0 }) {
			t.Errorf("%s has no behaviour that fires a shipped rule", id)
		}
	}
}

func TestAnHourOfBenignRecordsIsQuiet(t *testing.T) {
	cfgs := map[string]live.Config{"shipped": {}}
	if dir := os.Getenv("LAPWING_SHARED"); dir != "" {
		cfgs["sigmahq"] = live.Config{Rules: ruleset.Config{Paths: []string{filepath.Join(dir, "sigma", "rules", "rules")}}}
	}
	for name, cfg := range cfgs {
		t.Run(name, func(t *testing.T) {
			clk := clock.NewManual(t0)
			e, err := live.New(cfg)
			if err != nil {
				t.Skip(err)
			}
			var hosts []*Host
			for i := range 8 {
				hosts = append(hosts, newHost(t, []string{"windows", "windows", "windows", "linux"}[i%4], clk, uint64(i)))
			}
			n := 0
			for range 360 {
				clk.Advance(10 * time.Second)
				for _, h := range hosts {
					events := h.Benign()
					n += len(events)
					for title, level := range fired(e, clk.Now().Add(-time.Hour), events) {
						if level >= sigma.High {
							t.Errorf("%s (%v) on\n%s", title, level, events[len(events)-1].AppendJSON(nil))
						}
					}
				}
			}
			if n < 3000 {
				t.Errorf("only %d records", n)
			}
		})
	}
}

func TestOneSeedOneStory(t *testing.T) {
	tell := func(seed uint64) []event.Event {
		clk := clock.NewManual(t0)
		h := newHost(t, "windows", clk, seed)
		var out []event.Event
		for _, b := range Behaviours() {
			if b.Family == "windows" {
				l, err := h.Emulate(b.Name, outside())
				if err != nil {
					t.Fatal(err)
				}
				out = append(out, l...)
			}
		}
		for range 50 {
			out = append(out, h.Benign()...)
		}
		return out
	}
	lines := func(l []event.Event) (out []string) {
		for i := range l {
			out = append(out, string(l[i].AppendJSON(nil)))
		}
		return out
	}
	a := lines(tell(1))
	if d := cmp.Diff(a, lines(tell(1))); d != "" {
		t.Error(d)
	}
	if slices.Equal(a, lines(tell(2))) {
		t.Error("another seed tells the same")
	}
	for _, l := range a {
		if _, err := event.Decode([]byte(l)); err != nil {
			t.Fatalf("%v: %s", err, l)
		}
	}
}

// TestPrimitives says what each record is called in the log that it belongs to.
func TestPrimitives(t *testing.T) {
	from := netip.MustParseAddrPort("10.20.1.66:50000")
	for family, list := range map[string]map[string]func(h *Host) []event.Event{
		"windows": {
			"1 4688":         func(h *Host) []event.Event { return h.Process(Process{Image: `C:\Windows\System32\cmd.exe`}) },
			"3":              func(h *Host) []event.Event { return h.Network(Connection{Image: "x.exe", To: from}) },
			"7":              func(h *Host) []event.Event { return h.ImageLoad("x.exe", "y.dll", "", false) },
			"8":              func(h *Host) []event.Event { return h.RemoteThread("x.exe", "y.exe") },
			"10":             func(h *Host) []event.Event { return h.Access("x.exe", "y.exe", "", "0x1410", "") },
			"11":             func(h *Host) []event.Event { return h.File("x.exe", `C:\x`, "") },
			"13":             func(h *Host) []event.Event { return h.Registry("x.exe", `HKLM\x`, "1", "") },
			"12":             func(h *Host) []event.Event { return h.Registry("x.exe", `HKLM\x`, "", "") },
			"22":             func(h *Host) []event.Event { return h.DNS("x.exe", "a.b", "1.2.3.4", "") },
			"4624 4672":      func(h *Host) []event.Event { return h.Logon(Logon{User: "anna", Type: 10, From: from, Admin: true}) },
			"4625":           func(h *Host) []event.Event { return h.Logon(Logon{User: "anna", Type: 3, From: from, Failed: true}) },
			"4648":           func(h *Host) []event.Event { return h.ExplicitLogon("anna", "bernd", "fs01", "x.exe") },
			"7045 4697":      func(h *Host) []event.Event { return h.Service("s", "x.exe", "", "anna") },
			"4698":           func(h *Host) []event.Event { return h.Task("t", "x.exe", "anna") },
			"4720 4732":      func(h *Host) []event.Event { return h.AccountCreated("x", "Administrators", "anna") },
			"4724":           func(h *Host) []event.Event { return h.PasswordReset("x", "anna") },
			"5140 5145 5145": func(h *Host) []event.Event { return h.Share("anna", "C$", from, "a", "b") },
			"4662":           func(h *Host) []event.Event { return h.Replication("anna") },
			"4104 4103":      func(h *Host) []event.Event { return h.Script("Get-Process", "anna") },
			"5001":           func(h *Host) []event.Event { return h.DefenderOff() },
			"1149 21 4624":   func(h *Host) []event.Event { return h.RemoteDesktop("anna", from, false) },
			"59":             func(h *Host) []event.Event { return h.Transfer("j", "http://x", "anna") },
		},
		"linux": {
			"auditd.log":              func(h *Host) []event.Event { return h.Process(Process{Image: "/usr/bin/id", CommandLine: "id -u"}) },
			"endpoint.events.file":    func(h *Host) []event.Event { return h.File("/usr/bin/tee", "/etc/cron.d/x", "") },
			"endpoint.events.network": func(h *Host) []event.Event { return h.Network(Connection{Image: "/usr/bin/curl", To: from}) },
			"system.auth":             func(h *Host) []event.Event { return h.Logon(Logon{User: "anna", From: from}) },
			"system.syslog":           func(h *Host) []event.Event { return h.Syslog("systemd", "x") },
			"nginx.access":            func(h *Host) []event.Event { return h.Web(Request{From: from, Path: "/"}) },
		},
	} {
		for want, write := range list {
			t.Run(family+" "+want, func(t *testing.T) {
				var got []string
				for _, e := range write(newHost(t, family, clock.NewManual(t0), 1)) {
					if v, ok := e.Get("EventID"); ok {
						got = append(got, v.Text())
					} else {
						got = append(got, e.Dataset)
					}
					if !e.Time.Equal(t0) || e.ID == "" {
						t.Errorf("%+v", e)
					}
				}
				if strings.Join(got, " ") != want {
					t.Errorf("%q, want %q", got, want)
				}
			})
		}
	}
	e := newHost(t, "linux", clock.NewManual(t0), 1).Process(Process{Image: "/usr/bin/id", CommandLine: "id -u"})[0]
	if v, _ := e.Get("a0"); v.Text() != "/usr/bin/id" || e.CommandLine != "/usr/bin/id -u" {
		t.Errorf("%s", e.AppendJSON(nil))
	}
}

func TestBadBehaviour(t *testing.T) {
	h := newHost(t, "windows", clock.NewManual(t0), 1)
	for _, tt := range []struct {
		name, behaviour string
		p               Params
		want            string
	}{
		{"unknown", "format-disk", Params{}, `no behaviour "format-disk": use one of account-created`},
		{"wrong family", "ssh-guessing", Params{}, "choose another host"},
		{"a command as user", "nla-off", Params{User: `x" & calc`}, "is no name of a user or host"},
		{"a command as peer", "wmic-remote", Params{Peer: "a b; c"}, "is no name of a user or host"},
		{"long name", "wmic-remote", Params{Peer: strings.Repeat("x", 65)}, "is no name of a user or host"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := h.Emulate(tt.behaviour, tt.p); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
	if _, err := New(Config{Name: "x", Clock: clock.System(), Family: "amiga"}); err == nil {
		t.Error("a family that there is not")
	}
}

// TestSigmaHQ judges behaviours that no rule of ours is about by SigmaHQ's.
func TestSigmaHQ(t *testing.T) {
	dir := filepath.Join(sharedtest.Dir(t), "sigma", "rules", "rules")
	if _, err := os.Stat(dir); err != nil {
		t.Skip(err)
	}
	e, err := live.New(live.Config{Rules: ruleset.Config{Paths: []string{dir}}})
	if err != nil {
		t.Skipf("the rules of SigmaHQ do not load: %v", err)
	}
	quiet := []string{}
	for _, b := range Behaviours() {
		clk := clock.NewManual(t0)
		events, err := newHost(t, b.Family, clk, 7).Emulate(b.Name, outside())
		if err != nil {
			t.Fatal(err)
		}
		got := fired(e, clk.Now(), events)
		if len(got) == 0 {
			quiet = append(quiet, b.Name)
		}
		t.Logf("%-22s %v", b.Name, got)
	}
	// Where SigmaHQ has nothing, our own rules are (rulesOf), but for the last two.
	want := []string{"exchange-spray", "fake-diagtrack", "internal-scan", "mail-robot", "password-file", "restore-points", "ssh-guessing", "staged-files", "standing-vpn", "vpn-tunnel", "cron-changed", "share-collect"}
	slices.Sort(want)
	if !slices.Equal(quiet, want) {
		t.Errorf("no rule of SigmaHQ fires on %q, want %q", quiet, want)
	}
}
