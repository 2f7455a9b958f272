package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ownRule is a rule of the operator about commands on decoys.
func ownRule(n int, title, text string) string {
	return fmt.Sprintf(`title: %s
id: 10000000-0000-4000-8000-%012d
name: own_%d
status: test
logsource: {product: lapwing, service: decoy}
detection:
  s: {event.action: command-executed, process.command_line|contains: %s}
  condition: s
level: high
tags: [attack.execution, attack.t1059.004]
`, title, n, n, text)
}

// watched is an instance whose rules and lists of indicators are watched.
type watched struct{ *instance }

func newWatched(t *testing.T) *watched {
	t.Helper()
	in := newInstance(t)
	in.stop()
	w := &watched{in}
	for _, d := range []string{"own", "lists"} {
		if err := os.Mkdir(filepath.Join(in.dir, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	w.write("own/base.yml", ownRule(1, "Base", "marker-base"))
	conf, err := os.ReadFile(filepath.Join(in.dir, "c.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	w.write("c.yaml", string(conf)+"rules:\n  dirs: ["+in.dir+"/own]\n  suppress: [{rule: Quiet, reason: of this test}, {field: process.command_line, value: marker-silent, reason: of this test}, {rule: Not from here, source: 127.0.0.0/8, reason: of this test}]\nscan: {indicators: ["+in.dir+"/lists]}\n")
	in.start()
	return w
}

// write puts a file in place at once, as an operator's tools should.
func (w *watched) write(name, text string) {
	w.t.Helper()
	file := filepath.Join(w.dir, name)
	err := os.WriteFile(file+".new", []byte(text), 0o600)
	if err == nil {
		err = os.Rename(file+".new", file)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// do gives a command to the decoy.
func (w *watched) do(line string) {
	w.t.Helper()
	if _, err := w.exec(line); err != nil {
		w.t.Fatal(err)
	}
}

// later are the alerts of a rule: those of the present and the findings.
func (w *watched) alertsOf(title string) (present, later []string) {
	w.t.Helper()
	for l := range strings.Lines(w.lapwing("alerts", "--json")) {
		switch {
		case !strings.Contains(l, fmt.Sprintf("%q:%q", "rule.name", title)):
		case strings.Contains(l, `"lapwing.retrospective":true`):
			later = append(later, l)
		default:
			present = append(present, l)
		}
	}
	return present, later
}

// await waits until there is a finding (or an alert of the present) of a rule.
func (w *watched) await(title string, past bool) string {
	w.t.Helper()
	for range 300 {
		if present, later := w.alertsOf(title); past && len(later) > 0 {
			return later[0]
		} else if !past && len(present) > 0 {
			return present[0]
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("no alert %q (of the past: %v) in\n%s\nthe instance says: %s", title, past, w.lapwing("alerts"), w.out)
	return ""
}

// TestLookBack: new rules and indicators find what happened before they came,
// on a running instance and over stops and kills, each once, and never as
// alerts of the present.
func TestLookBack(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.do("echo marker-alpha; echo marker-silent")
	w.do("echo marker-alpha")
	w.do("echo marker-base")
	w.await("Base", false)
	w.write("own/alpha.yml", ownRule(2, "Alpha", "marker-alpha")+"---\n"+`title: Alpha twice
id: 10000000-0000-4000-8000-000000000003
status: test
level: medium
correlation:
  type: event_count
  rules: [own_2]
  group-by: [source.ip]
  timespan: 1h
  generate: true
  condition: {gte: 2}
---
`+ownRule(4, "Quiet", "marker-alpha")+"---\n"+ownRule(5, "Not from here", "marker-alpha"))
	if a := w.await("Alpha", true); !strings.Contains(a, `"count":2`) || !strings.Contains(a, `"source.ip":"127.0.0.1"`) || !strings.Contains(a, `"T1059.004"`) {
		t.Errorf("the finding: %s", a)
	}
	w.await("Alpha twice", true)
	for _, title := range []string{"Quiet", "Not from here", "Base"} {
		if _, later := w.alertsOf(title); len(later) > 0 {
			t.Errorf("%s: it is suppressed, or not new: %s", title, later)
		}
	}
	if present, _ := w.alertsOf("Alpha"); len(present) > 0 {
		t.Errorf("an alert of the present: %s", present)
	}

	// A set with a broken rule is not used, the old one goes on; live and past
	// stay apart.
	w.write("own/broken.yml", "title: Broken\nlogsource: {product: lapwing}\ndetection: {s: {a|nonsense: b}, condition: s}\n---\n"+ownRule(6, "Good beside broken", "marker-alpha"))
	w.do("echo marker-alpha")
	w.await("Alpha", false)
	if _, later := w.alertsOf("Good beside broken"); len(later) > 0 {
		t.Errorf("half of a set is used: %s", later)
	}
	if err := os.Remove(filepath.Join(w.dir, "own/broken.yml")); err != nil {
		t.Fatal(err)
	}

	// Other words are no other rule; what was told as it came is not told again.
	w.write("own/base.yml", strings.Replace(ownRule(1, "Base", "marker-base"), "level: high", "level: critical", 1))
	w.write("own/list.yml", ownRule(7, "Seven", "marker-alpha"))
	w.write("lists/dated.csv", "ip,label,valid_from,valid_until\n127.0.0.1,Listed,2020-01-01,2099-01-01\n127.0.0.1/32,,,\n127.0.0.0/8,Expired,2020-01-01,2021-01-01\n")
	w.await("Seven", true)
	w.await("Indicator: Listed", true)
	w.do("echo on the list")
	w.await("Indicator: Listed", false)
	for _, title := range []string{"Base", "Indicator: Expired"} {
		if _, later := w.alertsOf(title); len(later) > 0 {
			t.Errorf("%s: %s", title, later)
		}
	}

	// Killed at once after a rule came, and while it is stopped.
	w.write("own/eight.yml", ownRule(8, "Eight", "marker-alpha"))
	w.kill("whole")
	w.write("own/nine.yml", ownRule(9, "Nine", "marker-alpha"))
	w.start()
	w.await("Eight", true)
	w.await("Nine", true)
	for _, title := range []string{"Alpha", "Seven", "Eight", "Nine", "Indicator: Listed"} {
		if _, later := w.alertsOf(title); len(later) != 1 {
			t.Errorf("%s: %d findings", title, len(later))
		}
	}
	if text := w.lapwing("alerts"); !strings.Contains(text, "found later") {
		t.Errorf("nothing marks a finding:\n%s", text)
	}
	id := w.await("Nine", true)
	_, id, _ = strings.Cut(id, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	if show := w.lapwing("alerts", "show", id); strings.Count(show, "marker-alpha") != 3 {
		t.Errorf("the events under a finding:\n%s", show)
	}
}

// TestCountsSurviveARestart: a correlation counts on over a stop and a kill.
func TestCountsSurviveARestart(t *testing.T) {
	t.Parallel()
	w := newWatched(t)
	w.write("own/many.yml", ownRule(2, "One", "marker-one")+"---\n"+`title: Three of one
id: 10000000-0000-4000-8000-000000000003
status: test
level: medium
correlation:
  type: event_count
  rules: [own_2]
  group-by: [source.ip]
  timespan: 1h
  condition: {gte: 3}
`)
	w.stop()
	w.start()
	w.do("echo marker-one")
	w.stop()
	w.start()
	w.do("echo marker-one")
	w.lapwing("alerts") // judged
	w.kill("whole")
	w.start()
	if present, _ := w.alertsOf("Three of one"); len(present) > 0 {
		t.Fatalf("two are three: %s", present)
	}
	w.do("echo marker-one")
	if a := w.await("Three of one", false); !strings.Contains(a, "3 within") {
		t.Errorf("the alert: %s", a)
	}
	if one, _ := w.alertsOf("One"); len(one) > 0 {
		t.Errorf("a rule that only feeds a correlation speaks: %s", one)
	}
}
