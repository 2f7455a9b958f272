package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
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
