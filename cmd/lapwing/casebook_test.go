package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// try runs a command and gives its output and status.
func (in *instance) try(args ...string) (string, int) {
	in.t.Helper()
	c := command(in.t, append([]string{"--data", filepath.Join(in.dir, "d")}, args...)...)
	out, _ := c.CombinedOutput()
	return string(out), c.ProcessState.ExitCode()
}

// bytesOf counts where text lies in the data directory.
func (in *instance) bytesOf(text string) (where []string) {
	filepath.Walk(filepath.Join(in.dir, "d"), func(p string, st os.FileInfo, err error) error {
		if err == nil && st.Mode().IsRegular() && st.Name() != "doors.json" { // addresses of our own listeners
			if data, _ := os.ReadFile(p); bytes.Contains(data, []byte(text)) {
				where = append(where, p)
			}
		}
		return nil
	})
	return where
}

// TestForget holds, exports, backs up, forgets and restores a source.
func TestForget(t *testing.T) {
	in := newInstance(t)
	if _, err := in.exec("echo very-odd-words; echo left > /tmp/x"); err != nil {
		t.Fatal(err)
	}
	in.exec("cat /etc/passwd")
	const source = "127.0.0.1"
	all := ""
	for range 50 { // what he left is sealed after the answer
		if all = in.lapwing("alerts", "--json"); strings.Count(all, `"rule.name"`) == 3 {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if n := strings.Count(all, `"rule.name"`); n != 3 {
		t.Fatalf("%d alerts:\n%s", n, all)
	}
	var a struct {
		ID, Campaign string
		Events       []string
	}
	if err := json.Unmarshal([]byte(strings.SplitN(all, "\n", 2)[0]), &a); err != nil || len(a.Events) == 0 {
		t.Fatalf("%s: %v", all, err)
	}
	if show := in.lapwing("alerts", "show", a.ID[:9]); !strings.Contains(show, "login") {
		t.Errorf("alerts show: %s", show)
	}
	if out, status := in.try("hold", source, "--why", "a case"); status != 0 {
		t.Fatalf("hold: %s", out)
	}
	if out, status := in.try("forget", source); status != 2 || !strings.Contains(out, "on hold") || !strings.Contains(out, "a case") {
		t.Errorf("forget of what is on hold: %d, %s", status, out)
	}
	in.lapwing("hold", source, "--release")
	for _, args := range [][]string{{"export", source}, {"export", source, "-o", "-"}} {
		if got := in.lapwing(args...); !strings.HasPrefix(got, "\x1f\x8b") {
			t.Errorf("lapwing %v gives no archive: %.20q", args, got)
		}
	}
	export := filepath.Join(in.dir, "export") + "/"
	in.lapwing("export", source, "-o", export)
	for name, want := range map[string]string{"events.ndjson": "very-odd-words", "alerts.ndjson": `"evidence"`, "sessions.ndjson": source, "captures.ndjson": "/tmp/x"} {
		if data, err := os.ReadFile(export + name); err != nil || !bytes.Contains(data, []byte(want)) || bytes.Contains(data, []byte("admin")) {
			t.Errorf("export: %s lacks %q: %v\n%s", name, want, err, data)
		}
	}
	backup := filepath.Join(in.dir, "backup.tar.gz")
	in.lapwing("backup", backup)
	if len(in.bytesOf(source)) == 0 {
		t.Fatal("the address is nowhere before: the test shows nothing")
	}
	// The log counts IPv4 addresses among those of ::/64; the visitor from ::1 is somebody else.
	if out, status := in.try("forget", "::1"); status != 0 || !strings.HasPrefix(out, "::/64 is forgotten: 0 events, 0 alerts, 0 sessions") {
		t.Errorf("forget of another: %d, %s", status, out)
	}
	if out := in.lapwing("events"); !strings.Contains(out, "very-odd-words") {
		t.Errorf("another's events went, too:\n%s", out)
	}
	if out := in.lapwing("forget", source, "--why", "asked by "+source); !strings.Contains(out, "3 alerts") || !strings.Contains(out, "2 sessions") {
		t.Errorf("forget: %s", out)
	}
	gone := func(when string) {
		t.Helper()
		for _, text := range []string{source, "very-odd-words"} {
			if where := in.bytesOf(text); len(where) > 0 {
				t.Errorf("%s: %q still lies in %v", when, text, where)
			}
		}
		for _, what := range []string{"alerts", "sessions", "captures", "events"} {
			if out := in.lapwing(what); strings.Contains(out, source) {
				t.Errorf("%s: %s still gives\n%s", when, what, out)
			}
		}
	}
	gone("running")
	in.stop()
	gone("stopped")
	restored := &instance{t: t, dir: filepath.Join(in.dir, "r")}
	os.MkdirAll(restored.dir, 0o700)
	if out, status := in.try("restore", backup); status != 2 || !strings.Contains(out, "not empty") {
		t.Errorf("restore into a used directory: %d, %s", status, out)
	}
	restored.lapwing("restore", backup)
	if got := restored.lapwing("alerts", "--json"); got != all {
		t.Errorf("restored alerts:\n%s\nwere\n%s", got, all)
	}
	if got := restored.lapwing("events", "--json"); !strings.Contains(got, "very-odd-words") {
		t.Error("restored events lack the session's")
	}
	data, _ := os.ReadFile(backup)
	data[len(data)/2] ^= 0x55
	os.WriteFile(backup, data, 0o600)
	bad := &instance{t: t, dir: filepath.Join(in.dir, "b")}
	os.MkdirAll(bad.dir, 0o700)
	if out, status := bad.try("restore", backup); status != 2 || !strings.Contains(out, "nothing was put in place") {
		t.Errorf("restore of a damaged backup: %d, %s", status, out)
	}
	if l, _ := os.ReadDir(filepath.Join(bad.dir, "d")); len(l) > 0 {
		t.Errorf("a damaged backup left %v", l)
	}
}
