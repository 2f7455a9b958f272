package main

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// visit emits what a visitor did at a time: a session with a recording and a file.
func (s *sensor) visit(source string, at time.Time) (session, sum string) {
	s.t.Helper()
	session = s.ids.New()
	sum, size, err := s.client.Capture(s.t.Context(), strings.NewReader("left by "+source), 1<<20)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := s.client.Cast(s.t.Context(), session, []byte(`{"version":2,"width":80,"height":24}`+"\n")); err != nil {
		s.t.Fatal(err)
	}
	for n, action := range []string{event.ActionSessionStarted, event.ActionLogin, event.ActionCommandExecuted, event.ActionFileCaptured, event.ActionSessionEnded} {
		e := event.Event{
			ID: s.ids.New(), Time: at.Add(time.Duration(n) * time.Second), Host: "files", Protocol: "ssh", Decoy: "ssh", Depth: event.DepthAct, User: "root",
			Session: session, Source: netip.AddrPortFrom(netip.MustParseAddr(source), 4711),
		}
		e.Describe(action)
		switch action {
		case event.ActionLogin:
			e.Outcome = "success"
		case event.ActionCommandExecuted:
			e.CommandLine = "echo " + source
		case event.ActionFileCaptured:
			e.Path, e.SHA256, e.Size = "/tmp/x", sum, size
		}
		if err := s.client.Emit(s.t.Context(), e); err != nil {
			s.t.Fatal(err)
		}
	}
	return session, sum
}

// TestRetentionWhileRunning lets the hub remove what is too old by itself: it
// looks for the first time a minute after its start.
func TestRetentionWhileRunning(t *testing.T) {
	if os.Getenv("LAPWING_SOAK") == "" {
		t.Skip("it takes more than a minute: make soak")
	}
	in := newInstance(t)
	in.stop()
	conf := filepath.Join(in.dir, "c.yaml")
	text, err := os.ReadFile(conf)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(conf, append(text, "retention: {raw: 24h, recordings: 24h, captures: 24h, cases: 24h}\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	in.start()
	s := newSensor(t, in)
	visitors := map[string]time.Duration{"203.0.113.1": 48 * time.Hour, "203.0.113.2": 48 * time.Hour, "203.0.113.3": 0}
	recording := map[string]string{}
	file := map[string]string{}
	for source, age := range visitors {
		var session string
		session, file[source] = s.visit(source, time.Now().Add(-age))
		recording[source] = filepath.Join(in.dir, "d", "recordings", session+".cast")
	}
	lists := []string{"sessions", "alerts", "captures"}
	has := func(list, source string) bool {
		return strings.Contains(in.lapwing(list, "--json"), fmt.Sprintf("%q", source))
	}
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		seen := 0
		for source := range visitors {
			for _, l := range lists {
				if has(l, source) {
					seen++
				}
			}
			if _, err := os.Stat(recording[source]); err == nil {
				seen++
			}
		}
		if seen == len(visitors)*(len(lists)+1) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d things are there before", seen)
		}
	}
	if out, status := in.try("hold", "203.0.113.2", "--why", "a case"); status != 0 {
		t.Fatal(out)
	}
	for end := time.Now().Add(5 * time.Minute); has("sessions", "203.0.113.1"); time.Sleep(time.Second) {
		if time.Now().After(end) {
			t.Fatal("what is too old stays")
		}
	}
	time.Sleep(2 * time.Second) // the files go after the index
	for source := range visitors {
		stays := source != "203.0.113.1"
		for _, l := range lists {
			if has(l, source) != stays {
				t.Errorf("%s of %s: there %v", l, source, !stays)
			}
		}
		if _, err := os.Stat(recording[source]); (err == nil) != stays {
			t.Errorf("the recording of %s: %v", source, err)
		}
		if out, status := in.try("captures", "get", file[source], "--raw"); (status == 0) != stays || stays && out != "left by "+source {
			t.Errorf("the file of %s: %d %s", source, status, out)
		}
	}
}
