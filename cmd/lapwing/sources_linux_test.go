package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
)

// newReading starts an instance that follows logs/auth.log as the source "auth".
func newReading(t *testing.T, more string) (in *instance, log string) {
	t.Helper()
	in = newInstanceWith(t, func(dir string) string {
		log = filepath.Join(dir, "logs", "auth.log")
		if err := os.Mkdir(filepath.Dir(log), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(log, []byte(failure(0)), 0o640); err != nil { // of before: not read
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "token"), []byte("5a0f8be4c1d2e3f405162738495a6b7c\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("sources:\n  - {name: auth, type: file, path: %q}\n%s", log, more)
	})
	return in, log
}

// failure is a line of sshd about a failed login from the n-th address.
func failure(n int) string {
	return fmt.Sprintf("%s web1 sshd[%d]: Failed password for root from 198.%d.%d.%d port 40000 ssh2\n",
		time.Now().Format("2006-01-02T15:04:05.000000Z07:00"), 1000+n, 18+n>>16, n>>8&255, n&255)
}

func appendTo(t *testing.T, log, text string) {
	t.Helper()
	f, err := os.OpenFile(log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

type shownAlert struct {
	RuleID  string `json:"rule.id"`
	Rule    string `json:"rule.name"`
	Level   string `json:"rule.level"`
	Source  string `json:"source.ip"`
	Log     string `json:"lapwing.source"`
	Host    string `json:"lapwing.host"`
	Message string `json:"message"`
	Count   int    `json:"count"`
	Events  []string
}

// alerts gives what lapwing alerts shows, once ok takes one of them.
func (in *instance) alerts(ok func(shownAlert) bool) []shownAlert {
	in.t.Helper()
	var all []shownAlert
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		all = nil
		found := false
		for line := range strings.Lines(in.lapwing("alerts", "--json")) {
			var a shownAlert
			if err := json.Unmarshal([]byte(line), &a); err != nil {
				in.t.Fatal(err)
			}
			all = append(all, a)
			found = found || ok(a)
		}
		if found {
			return all
		}
	}
	in.t.Fatalf("the alert does not come; there are %+v\n%s", all, in.out)
	return nil
}

// TestBruteForceInALog appends failed logins to a log and looks for the alert.
func TestBruteForceInALog(t *testing.T) {
	in, log := newReading(t, "")
	for n := range 12 {
		appendTo(t, log, strings.Replace(failure(n), "198.18.0."+strconv.Itoa(n), "203.0.113.77", 1))
	}
	for _, a := range in.alerts(func(a shownAlert) bool { return a.Source == "203.0.113.77" }) {
		if a.Source == "203.0.113.77" && (a.Log != "auth" || a.Host != "web1" || !strings.Contains(a.Message, "(log auth)") || !strings.Contains(a.Rule, "Guessed")) {
			t.Errorf("the alert does not say where it comes from: %+v", a)
		}
		if strings.HasPrefix(a.Source, "198.18.") {
			t.Errorf("a line that was there before was read: %+v", a)
		}
	}
}

// TestStatusShowsTheSources: what a source has taken, and that nobody reads any more.
func TestStatusShowsTheSources(t *testing.T) {
	in, log := newReading(t, "")
	for n := range 7 {
		appendTo(t, log, failure(n))
	}
	shows := func(status int, text string, args ...string) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
			out, got := in.try(append([]string{"status"}, args...)...)
			if got == status && strings.Contains(out, text) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("status %d, %s", got, out)
			}
		}
	}
	shows(0, `"source":"auth","type":"file","lines":7`, "--json")
	shows(0, "7 lines, the last ")
}

// TestReaderIsKilled kills the reader, and once the hub, while a log grows and is
// rotated: of every source address the first failure is kept, once.
func TestReaderIsKilled(t *testing.T) {
	in, log := newReading(t, "")
	const lines = 600
	for n := 1; n <= lines; n++ {
		appendTo(t, log, failure(n))
		switch {
		case n%150 == 75:
			in.restarted("reader", 0)
			in.kill("reader")
		case n%100 == 99:
			if err := os.Rename(log, fmt.Sprintf("%s.%d", log, n)); err != nil {
				t.Fatal(err)
			}
		case n == 300:
			in.kill("hub")
		case n%10 == 0:
			time.Sleep(20 * time.Millisecond)
		}
	}
	seen := map[string]map[string]bool{} // by address, ids
	for deadline := time.Now().Add(2 * time.Minute); len(seen) < lines && time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		out, status := in.try("events", "--json")
		if status != 0 { // the hub starts again
			continue
		}
		clear(seen)
		for line := range strings.Lines(out) {
			var e struct {
				ID     string `json:"event.id"`
				Source string `json:"source.ip"`
				Log    string `json:"lapwing.source"`
				Kind   string `json:"event.kind"`
			}
			if json.Unmarshal([]byte(line), &e) != nil || e.Log != "auth" || e.Source == "" || e.Kind == "alert" {
				continue
			}
			if seen[e.Source] == nil {
				seen[e.Source] = map[string]bool{}
			}
			seen[e.Source][e.ID] = true
		}
	}
	twice := 0
	for _, ids := range seen {
		if len(ids) > 1 {
			twice++
		}
	}
	if len(seen) != lines || twice > 0 {
		t.Errorf("%d of %d lines are kept, %d of them twice\n%s", len(seen), lines, twice, in.out)
	}
}

// TestOnlyTheReaderReachesVerdicts sends a verdict over each of both sockets.
func TestOnlyTheReaderReachesVerdicts(t *testing.T) {
	in, _ := newReading(t, "")
	ids := event.NewIDs(nil, time.Now)
	send := func(socket string, from string) {
		c, err := uplink.NewClient(uplink.ClientConfig{
			Name: "test", Timeout: 30 * time.Second,
			Dial: func(ctx context.Context) (net.Conn, error) {
				var d net.Dialer
				return d.DialContext(ctx, "unix", filepath.Join(in.dir, "d", "run", socket))
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); c.Run(ctx) }()
		defer func() { cancel(); <-done }()
		e, err := event.Decode([]byte(`{"@timestamp":"` + time.Now().UTC().Format(time.RFC3339Nano) + `","event.id":"` + ids.New() + `","event.kind":"alert",` +
			`"event.action":"rule-matched","event.dataset":"decoy.ssh","source.ip":"` + from + `","rule.id":"11111111-2222-4333-8444-555555555555","rule.name":"Made Up","rule.level":"high",` +
			`"lapwing.source":"auth","lapwing.count":7,"lapwing.group":["user.name=root"]}`))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Emit(ctx, e); err != nil {
			t.Fatal(err)
		}
	}
	send("journal.sock", "203.0.113.8")
	send("reader.sock", "203.0.113.9")
	send("reader.sock", "203.0.113.10")
	all := in.alerts(func(a shownAlert) bool { return a.Rule == "Made Up" && a.Count == 2 })
	forged := false
	for _, a := range all {
		switch {
		case a.Rule == "Made Up" && (a.Log != "auth" || a.Count != 2 || a.Level != "high"):
			t.Errorf("the verdicts on one user are not one alert: %+v", a)
		case strings.HasPrefix(a.Rule, "Verdict Forged"):
			forged = a.Source == "203.0.113.8"
		case a.Rule != "Made Up":
			t.Errorf("unexpected: %+v", a)
		}
	}
	if !forged {
		t.Errorf("nobody tells of the forged verdict: %+v", all)
	}
}

// TestLogsOverTheNetwork sends failed logins by syslog over UDP and TCP and by
// the webhook, and looks for an alert of each.
func TestLogsOverTheNetwork(t *testing.T) {
	syslog, hook := freePort(t), freePort(t)
	const token = "5a0f8be4c1d2e3f405162738495a6b7c"
	in, _ := newReading(t, fmt.Sprintf("  - {name: devices, type: syslog, listen: %q}\n  - {name: hook, type: webhook, listen: %q, token_file: token}\n", syslog, hook))
	line := func(from string) string {
		return fmt.Sprintf("<38>%s gw1 sshd[7]: Failed password for root from %s port 40000 ssh2\n", time.Now().Format(time.Stamp), from)
	}
	for _, proto := range []string{"udp", "tcp"} {
		c, err := net.Dial(proto, syslog)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 12 {
			if _, err := c.Write([]byte(line(map[string]string{"udp": "203.0.113.21", "tcp": "203.0.113.22"}[proto]))); err != nil {
				t.Fatal(err)
			}
		}
	}
	post := func(token string) int {
		var body strings.Builder
		for range 12 {
			fmt.Fprintf(&body, `{"@timestamp":%q,"event.category":"authentication","event.action":"logon-failed","event.outcome":"failure","source.ip":"203.0.113.23","user.name":"root","host.name":"app1","service.name":"sshd"}`+"\n", time.Now().UTC().Format(time.RFC3339Nano))
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+hook+"/", strings.NewReader(body.String()))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		return res.StatusCode
	}
	if got := post("no"); got != http.StatusUnauthorized {
		t.Errorf("a wrong token: %d", got)
	}
	if got := post(token); got != http.StatusOK {
		t.Errorf("the token: %d", got)
	}
	for _, from := range []string{"203.0.113.21", "203.0.113.22"} {
		for _, a := range in.alerts(func(a shownAlert) bool { return a.Source == from }) {
			if a.Source == from && a.Log != "devices" {
				t.Errorf("%+v", a)
			}
		}
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out, _ := in.try("events", "--json", "source.ip:203.0.113.23")
		if strings.Contains(out, `"lapwing.source":"hook"`) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("what the webhook took is not kept: %s\n%s", out, in.out)
		}
	}
}
