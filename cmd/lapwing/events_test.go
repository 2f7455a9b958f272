package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// TestEvents asks for events on a running instance and on a stopped one.
func TestEvents(t *testing.T) {
	in := newInstance(t)
	for _, line := range []string{"echo one", "echo two", "uname -a"} {
		if _, err := in.exec(line); err != nil {
			t.Fatal(err)
		}
	}
	ask := func(args ...string) []string {
		t.Helper()
		return strings.FieldsFunc(in.lapwing(append([]string{"events", "--json"}, args...)...), func(r rune) bool { return r == '\n' })
	}
	field := func(line, name string) string {
		t.Helper()
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		s, _ := e[name].(string)
		return s
	}
	check := func(t *testing.T) {
		t.Helper()
		all := ask()
		commands := ask("event.action:=command-executed")
		if len(commands) != 3 || field(commands[0], "process.command_line") != "echo one" || field(commands[2], "process.command_line") != "uname -a" {
			t.Errorf("commands: %v", commands)
		}
		if got := ask("echo", "and", "not", "one"); len(got) != 1 || field(got[0], "process.command_line") != "echo two" {
			t.Errorf("echo and not one: %v", got)
		}
		if got := ask("-n", "2"); len(got) != 2 || field(got[1], "event.id") != field(all[len(all)-1], "event.id") {
			t.Errorf("the last two: %v", got)
		}
		if got := ask("--since", "1h"); len(got) != len(all) {
			t.Errorf("of the last hour: %d, want %d", len(got), len(all))
		}
		if got := ask("source.ip:127.0.0.0/8", "event.action:login"); len(got) != 3 {
			t.Errorf("logins: %v", got)
		}
		if got := ask(`event.action:login | stats by ("source.ip") count() hits`); len(got) != 1 || field(got[0], "hits") != "3" || field(got[0], "source.ip") != "127.0.0.1" {
			t.Errorf("pipes: %v", got)
		}
		if got := in.lapwing("events", "--quiet"); got != "" {
			t.Errorf("quiet: %q", got)
		}
		if got := in.lapwing("events", "-n", "1", "uname"); !strings.Contains(got, "$ uname -a") {
			t.Errorf("for people: %q", got)
		}
		session := field(commands[0], "lapwing.session.id")
		if got := in.lapwing("session", "show", session[:13]); !strings.Contains(got, "echo one") || strings.Contains(got, "echo two") {
			t.Errorf("session show: %s", got)
		}
	}
	for range 200 { // the visitor is gone before the last of it is written down
		if len(ask("event.action:connection-closed")) == 3 {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Run("running", check)
	in.stop()
	t.Run("stopped", check)
}
