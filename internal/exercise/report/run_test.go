package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

func TestSaveLoad(t *testing.T) {
	dir, r := t.TempDir(), sample()
	if err := Save(dir, r); err != nil {
		t.Fatal(err)
	}
	got, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	// What is reported of the stored run is what was reported of the fresh one.
	for name, write := range map[string]func(*bytes.Buffer, *Run) error{
		"table": func(b *bytes.Buffer, r *Run) error { return Table(b, r) },
		"lines": func(b *bytes.Buffer, r *Run) error { return Lines(b, r) },
		"html":  func(b *bytes.Buffer, r *Run) error { return HTML(b, r) },
		"layer": func(b *bytes.Buffer, r *Run) error { return Navigator(b, r) },
		"junit": func(b *bytes.Buffer, r *Run) error { return JUnit(b, r) },
	} {
		var fresh, stored bytes.Buffer
		if err := errors.Join(write(&fresh, r), write(&stored, got)); err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(fresh.String(), stored.String()); d != "" {
			t.Errorf("%s of the stored run differs: %s", name, d)
		}
	}
	if len(r.Truth.Steps[0].Flows) == 0 || len(got.Truth.Steps[0].Flows) != 0 {
		t.Error("flows: the fresh run must keep them, the stored one has none")
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%v in the directory (%v), want the run alone", left, err)
	}
}

func TestReadRefuses(t *testing.T) {
	stored := func(change func(r *Run)) string {
		r := sample()
		change(r)
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	tests := []struct{ name, in, says string }{
		{"nothing", "", "no stored run"},
		{"no JSON", "# scenario", "no stored run"},
		{"cut off", stored(func(*Run) {})[:500], "no stored run"},
		{"another format", stored(func(r *Run) { r.Format = 9 }), "run the scenario again"},
		{"something behind", stored(func(*Run) {}) + "{}", "stands behind"},
		{"sums that do not add up", stored(func(r *Run) { r.Result.Met = 17 }), "17 met"},
		{"score", stored(func(r *Run) { r.Result.Score = 101 }), "score 101"},
		{"rules", stored(func(r *Run) { r.Rules.ZeroAt = 1 }), "zero_at"},
		{"a step twice", stored(func(r *Run) { r.Result.Steps = append(r.Result.Steps, r.Result.Steps[0]) }), "twice"},
		{"a step without a reason", stored(func(r *Run) { r.Result.Steps[0].Reasons = nil }), "no reason"},
		{"an unknown category", strings.Replace(stored(func(*Run) {}), `"category":"technique"`, `"category":"tech"`, 1), "is one of none"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(strings.NewReader(tt.in))
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v, want one with %q", err, tt.says)
			}
		})
	}
	if _, err := Load(t.TempDir()); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "range run") {
		t.Errorf("load from an empty directory: %v", err)
	}
}

// FuzzRead: what Read accepts can be reported in every form, keeps its sums when
// saved and read again, and shows no markup of its own.
func FuzzRead(f *testing.F) {
	b, err := json.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte(`{"format":1}`))
	f.Add([]byte(`{"format":1,"result":{"steps":[{"id":"a","reasons":[{"text":"<script>"}],"category":"technique"}]}}`))
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := Read(bytes.NewReader(in))
		if err != nil {
			return
		}
		var page, out bytes.Buffer
		if err := errors.Join(HTML(&page, r), Table(&out, r), Lines(&out, r), Navigator(&out, r), JUnit(&out, r)); err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(page.Bytes(), []byte("<script")) {
			t.Fatal("markup in the page")
		}
		var again bytes.Buffer
		if err := line(&again, r); err != nil {
			t.Fatal(err)
		}
		r2, err := Read(&again)
		if err != nil {
			t.Fatalf("reading what was written: %v", err)
		}
		if d := Compare(r, r2); d.Score != 0 || len(d.Worse)+len(d.Better)+len(d.Gone)+len(d.New) > 0 {
			t.Fatalf("the run differs from itself: %+v", d)
		}
	})
}

func TestCompare(t *testing.T) {
	before, after := sample(), sample()
	if d := Compare(before, after); d.Regressed() || d.Unlike != "" {
		t.Errorf("the same run: %+v", d)
	}
	truth := sampleTruth()
	truth.Steps = truth.Steps[:5]
	truth.Steps[4].ID = "s7"
	alerts := sampleAlerts()[1:]
	alerts[0].Raised = at(202)      // s2 in time
	alerts[1].Rule.Techniques = nil // s3 general only
	after = New(truth, before.Rules, score.Evaluate(truth, score.Seen{Alerts: alerts}, before.Rules))
	d := Compare(before, after)
	var b bytes.Buffer
	if err := d.Write(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "diff.txt", b.Bytes())
	if !d.Regressed() || len(d.Worse) != 3 || len(d.Better) != 1 {
		t.Errorf("%d worse, %d better; want 3 (s1 missed, s3 general, s4 none), 1 (s2)", len(d.Worse), len(d.Better))
	}
}

func TestDataset(t *testing.T) {
	const events = `{"@timestamp":"2026-11-25T10:19:17.294304450Z","event.id":"e1","event.category":"web","event.outcome":"success","event.dataset":"nginx.access","source.ip":"10.0.0.1","source.port":40000,"url.path":"/x","http.request.method":"GET","lapwing.host":"web"}
{"@timestamp":"2026-11-25T10:19:18Z","event.id":"e2","event.dataset":"system.security","user.name":"anna","host.name":"dc","Channel":"Security","EventID":4625,"event.outcome":"failure"}
{"@timestamp":"2026-11-25T10:19:19Z","event.id":"e3","event.dataset":"system.system","Channel":"System","EventID":7045}
`
	write := func(leaves func(string) bool) string {
		dir := t.TempDir()
		for name, text := range map[string]string{"capture.pcapng": "packets", "events.jsonl": events} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		d := Dataset{Run: sample(), Scenario: []byte("range: \"1\"\n"), Alerts: sampleAlerts(), Leaves: leaves}
		if err := d.Write(dir); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	everything := func(string) bool { return true }
	dir := write(everything)
	read := func(dir, name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var red, benign, own, last float64
	for l := range strings.Lines(read(dir, "flows.jsonl")) {
		var o map[string]any
		if err := json.Unmarshal([]byte(l), &o); err != nil {
			t.Fatal(err)
		}
		if ts := o["ts"].(float64); ts < last {
			t.Errorf("flows are not in the order of time: %v after %v", ts, last)
		} else {
			last = ts
		}
		switch o["label"] {
		case "Malicious":
			red++
			if !strings.HasPrefix(o["detailed-label"].(string), "T1") {
				t.Errorf("detailed-label %v", o["detailed-label"])
			}
		case "Benign":
			benign++
		case "Exercise":
			own++
		}
	}
	if red != 7 || benign != 2 || own != 1 {
		t.Errorf("%v malicious, %v benign, %v own; want 7, 2, 1", red, benign, own)
	}
	for l := range strings.Lines(read(dir, "SHA256SUMS")) {
		sum, name, _ := strings.Cut(strings.TrimSpace(l), "  ")
		if got, err := sumOf(filepath.Join(dir, name)); err != nil || got != sum {
			t.Errorf("sum of %s: %v, %v", name, got, err)
		}
	}
	if n := strings.Count(read(dir, "SHA256SUMS"), "\n"); n != 14 {
		t.Errorf("%d sums, want 14", n)
	}
	var classes []string
	for l := range strings.Lines(read(dir, "events.ocsf.jsonl")) {
		var o struct {
			Class int `json:"class_uid"`
			Type  int `json:"type_uid"`
			Time  int64
			Host  struct{ Hostname string } `json:"device"`
			From  struct{ IP string }       `json:"src_endpoint"`
			Rest  map[string]any            `json:"unmapped"`
		}
		if err := json.Unmarshal([]byte(l), &o); err != nil || o.Time < 1_795_000_000_000 || o.Type/100 != o.Class {
			t.Errorf("%s: %v", l, err)
		}
		classes = append(classes, fmt.Sprintf("%d %s %s %d", o.Class, o.Host.Hostname, o.From.IP, len(o.Rest)))
	}
	if want := []string{"4002  10.0.0.1 2", "3002 dc  1", "0   1"}; !slices.Equal(classes, want) {
		t.Errorf("classes %q, want %q", classes, want)
	}
	few := write(func(f string) bool { return f == "junit" })
	for name, there := range map[string]bool{"junit.xml": true, "flows.jsonl": false, "report.html": false, "attack-flow.json": false, "alerts.jsonl": true, "report.json": true, "SHA256SUMS": true} {
		if _, err := os.Stat(filepath.Join(few, name)); (err == nil) != there {
			t.Errorf("of a run that is to leave JUnit alone: %s: %v", name, err)
		}
	}
	golden(t, "card.md", []byte(read(dir, "README.md")))
	golden(t, "steps.jsonl", []byte(read(dir, "steps.jsonl")))
	if read(dir, "SHA256SUMS") != read(write(everything), "SHA256SUMS") {
		t.Error("the same run gives another dataset")
	}
}
