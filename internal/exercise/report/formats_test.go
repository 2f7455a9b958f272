package report

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func page0(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	if err := HTML(&b, sample()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The page has one document structure, whatever strangers typed.
func TestHTMLEscapesForeignText(t *testing.T) {
	got := page0(t)
	for _, bad := range []string{"<script", "<img", "\x1b", "\u202e"} {
		if strings.Contains(got, bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	if !strings.Contains(got, "&lt;script&gt;alert(1)") {
		t.Error("the foreign text is not there at all: the test tests nothing")
	}
}

// Nothing is fetched, nothing runs, and the one style is the one with the hash.
func TestHTMLIsSelfContained(t *testing.T) {
	got := page0(t)
	for _, bad := range []string{" src=", " href=", "http:", "https:", "@import", " style=", " onload=", "<link", "<iframe", "<object", "url(h", "url(/"} {
		if strings.Contains(strings.ReplaceAll(got, "&lt;img src=", ""), bad) {
			t.Errorf("the page contains %q", bad)
		}
	}
	policy := regexp.MustCompile(`Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(got)
	if policy == nil {
		t.Fatal("no policy")
	}
	said := strings.NewReplacer("&#39;", "'", "&#43;", "+", "&#61;", "=").Replace(policy[1])
	if want := "style-src '" + StyleHash() + "'"; !strings.Contains(said, want) || !strings.HasPrefix(said, "default-src 'none'") {
		t.Errorf("policy %q, want default-src 'none' and %s", said, want)
	}
	_, rest, _ := strings.Cut(got, "<style>")
	shown, _, _ := strings.Cut(rest, "</style>")
	_, rest, _ = strings.Cut(pageText, "<style>")
	if hashed, _, _ := strings.Cut(rest, "</style>"); shown != hashed {
		t.Error("the style that is shown is not the one that is hashed")
	}
}

// XHTML-like nesting: every element that is opened is closed, in order.
func TestHTMLNests(t *testing.T) {
	text := regexp.MustCompile(`<(meta[^>]*|br)>`).ReplaceAllString(strings.Replace(page0(t), "<!doctype html>", "", 1), "<$1/>")
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.Entity = xml.HTMLEntity
	for {
		_, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestLayerFormat holds the layer against the table of properties of
// LAYERFORMATv4_5.md.
func TestLayerFormat(t *testing.T) {
	var b bytes.Buffer
	r := sample()
	r.Result.Techniques = append(r.Result.Techniques, score.Coverage{ID: "none of ATT&CK's", Steps: []string{"x"}})
	if err := Navigator(&b, r); err != nil {
		t.Fatal(err)
	}
	var l map[string]any
	if err := json.Unmarshal(b.Bytes(), &l); err != nil {
		t.Fatal(err)
	}
	known := map[string]string{
		"versions": "object", "name": "string", "description": "string", "domain": "string", "sorting": "number", "layout": "object",
		"hideDisabled": "bool", "techniques": "array", "gradient": "object", "legendItems": "array", "showTacticRowBackground": "bool",
		"tacticRowBackground": "string", "metadata": "array", "links": "array", "filters": "object",
	}
	checkObject(t, "layer", l, known, "name", "domain")
	if !slices.Contains([]any{"enterprise-attack", "mobile-attack", "ics-attack"}, l["domain"]) {
		t.Errorf("domain %v", l["domain"])
	}
	v := l["versions"].(map[string]any)
	checkObject(t, "versions", v, map[string]string{"attack": "string", "navigator": "string", "layer": "string"}, "navigator", "layer")
	if v["layer"] != "4.5" || v["navigator"].(string) < "4.9.0" {
		t.Errorf("versions %v", v)
	}
	g := l["gradient"].(map[string]any)
	checkObject(t, "gradient", g, map[string]string{"colors": "array", "minValue": "number", "maxValue": "number"}, "colors", "minValue", "maxValue")
	if len(g["colors"].([]any)) < 2 || g["maxValue"].(float64) <= g["minValue"].(float64) {
		t.Errorf("gradient %v", g)
	}
	for _, item := range l["legendItems"].([]any) {
		checkObject(t, "legend", item.(map[string]any), map[string]string{"label": "string", "color": "string"}, "label", "color")
	}
	techniques := l["techniques"].([]any)
	if len(techniques) != 5 { // T1021.004 was prevented
		t.Errorf("%d techniques, want 5", len(techniques))
	}
	for _, item := range techniques {
		o := item.(map[string]any)
		checkObject(t, "technique", o, map[string]string{
			"techniqueID": "string", "tactic": "string", "comment": "string", "enabled": "bool", "score": "number", "color": "string",
			"metadata": "array", "links": "array", "showSubtechniques": "bool",
		}, "techniqueID")
		if !regexp.MustCompile(`^T\d{4}(\.\d{3})?$`).MatchString(o["techniqueID"].(string)) {
			t.Errorf("techniqueID %v", o["techniqueID"])
		}
		for _, m := range o["metadata"].([]any) {
			checkObject(t, "metadata", m.(map[string]any), map[string]string{"name": "string", "value": "string"}, "name", "value")
		}
	}
}

func checkObject(t *testing.T, what string, o map[string]any, known map[string]string, required ...string) {
	t.Helper()
	for _, name := range required {
		if _, ok := o[name]; !ok {
			t.Errorf("%s has no %s", what, name)
		}
	}
	for name, v := range o {
		kind := map[string]string{"string": "string", "float64": "number", "bool": "bool", "[]interface {}": "array", "map[string]interface {}": "object"}[fmt.Sprintf("%T", v)]
		if known[name] != kind {
			t.Errorf("%s.%s is a %s, want %q", what, name, kind, known[name])
		}
	}
}

func TestJUnitCounts(t *testing.T) {
	var b bytes.Buffer
	if err := JUnit(&b, sample()); err != nil {
		t.Fatal(err)
	}
	var got suites
	dec := xml.NewDecoder(&b)
	if err := dec.Decode(&got); err != nil {
		t.Fatal(err)
	}
	failures, skipped := 0, 0
	for _, c := range got.Suite.Cases {
		if c.Failure != nil {
			failures++
		}
		if c.Skipped != nil {
			skipped++
		}
		if c.Name == "" || c.Class == "" {
			t.Errorf("case without a name: %+v", c)
		}
		if _, err := strconv.ParseFloat(c.Time, 64); err != nil {
			t.Errorf("time %q", c.Time)
		}
	}
	s := got.Suite
	if s.Tests != 6 || len(s.Cases) != 6 || s.Failures != failures || failures != 1 || s.Skipped != skipped || skipped != 1 ||
		got.Tests != s.Tests || got.Failures != s.Failures || got.Skipped != s.Skipped {
		t.Errorf("tests %d/%d, failures %d/%d, skipped %d/%d; want 6, 1, 1", got.Tests, s.Tests, got.Failures, failures, got.Skipped, skipped)
	}
}

// TestNotRun: what could not be tried is told in every form, as neither.
func TestNotRun(t *testing.T) {
	truth := sampleTruth()
	truth.Responses = nil // nobody kept s6 from acting
	whole := sample()
	r := New(truth, whole.Rules, score.Evaluate(truth, sampleSeen(), whole.Rules))
	for name, form := range map[string]struct {
		write func(io.Writer, *Run) error
		want  string
	}{
		"table": {Table, "1 expected detection could not be tried, since the step did not run; the score is of the steps that ran: with the others it would lie between"},
		"lines": {Lines, `"not_run":1,"score_bounds":{"least":`},
		"junit": {JUnit, `failures="1" errors="1" skipped="1"`},
		"html":  {HTML, "1 expected detection could not be tried"},
	} {
		var b bytes.Buffer
		if err := form.write(&b, r); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), form.want) {
			t.Errorf("%s without %q:\n%s", name, form.want, b.String())
		}
	}
	// Compared with a run in which it acted (or was prevented) it is gone, not worse.
	if d := Compare(whole, r); len(d.Gone) != 1 || len(d.Worse) != 0 || !d.Regressed() {
		t.Errorf("%+v", d)
	}
	if d := Compare(r, whole); len(d.New) != 1 || len(d.Better) != 0 || d.Regressed() {
		t.Errorf("%+v", d)
	}
	if d := Compare(r, r); d.Regressed() || len(d.New)+len(d.Gone) > 0 {
		t.Errorf("%+v", d)
	}
}

// TestLinesContract holds the lines against what other programs read.
func TestLinesContract(t *testing.T) {
	var b bytes.Buffer
	if err := Lines(&b, sample()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 7 {
		t.Fatalf("%d lines, want 6 steps and a summary", len(lines))
	}
	for i, l := range lines {
		var o map[string]any
		if err := json.Unmarshal([]byte(l), &o); err != nil {
			t.Fatalf("line %d: %v", i+1, err)
		}
		want := []string{"id", "technique", "started", "category", "expected", "alerts", "time_to_detect_ms"}
		if i == len(lines)-1 {
			want = []string{"score", "expected", "met", "missed", "not_run", "false_alarms", "hosts", "packets"}
			if o["summary"] != true {
				t.Error("the last line is no summary")
			}
		}
		for _, name := range want {
			if _, ok := o[name]; !ok {
				t.Errorf("line %d has no %s", i+1, name)
			}
		}
	}
}

// TestHTMLInBrowser lets a browser lay the page out and report what its policy
// refused.
func TestHTMLInBrowser(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a browser")
	}
	browser := sharedtest.Program(t, "chromium")
	run := func(args ...string) (out, log string) {
		cmd := exec.CommandContext(t.Context(), browser, append([]string{
			"--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--enable-logging=stderr", "--v=0", "--user-data-dir=" + t.TempDir(),
		}, args...)...)
		var dom, said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &dom, &said
		if err := cmd.Run(); err != nil {
			sharedtest.Missing(t, fmt.Sprintf("chromium does not run here: %v\n%s", err, said.String()))
		}
		return dom.String(), said.String()
	}
	dom, log := run("--dump-dom", "testdata/report.html")
	if strings.Contains(log, "Content Security Policy") || strings.Contains(log, "Refused to") {
		t.Errorf("the browser refused something:\n%s", log)
	}
	if !strings.Contains(dom, "How the score came about") {
		t.Error("the browser did not show the page")
	}
	// What a person sees: timeline and network are drawn, on a wide screen and a narrow one.
	for _, size := range []string{"1300,2400", "420,2400"} {
		name := filepath.Join(t.TempDir(), "shot.png")
		run("--hide-scrollbars", "--window-size="+size, "--screenshot="+name, "testdata/report.html")
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		img, err := png.Decode(f)
		if err != nil {
			t.Fatal(err)
		}
		seen := map[color.Color]int{}
		for y := 0; y < img.Bounds().Dy(); y++ {
			for x := 0; x < img.Bounds().Dx(); x++ {
				seen[img.At(x, y)]++
			}
		}
		if inked := img.Bounds().Dx()*img.Bounds().Dy() - most(seen); len(seen) < 50 || inked < 20_000 {
			t.Errorf("a window of %s shows %d colours and %d points of ink", size, len(seen), inked)
		}
	}
}

// most is how often the most frequent colour is there: the paper.
func most(seen map[color.Color]int) int {
	n := 0
	for _, k := range seen {
		n = max(n, k)
	}
	return n
}
