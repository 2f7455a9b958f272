package sigma

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// ruleDirs are the folders of live rules.
var ruleDirs = []string{"rules", "rules-emerging-threats", "rules-threat-hunting", "rules-placeholder", "rules-compliance"}

type ruleFile struct {
	name string
	data []byte
}

func ruleFiles(tb testing.TB) []ruleFile {
	tb.Helper()
	root := filepath.Join(sharedtest.Dir(tb), "sigma", "rules")
	var out []ruleFile
	for _, d := range ruleDirs {
		err := filepath.WalkDir(filepath.Join(root, d), func(p string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() || filepath.Ext(p) != ".yml" {
				return err
			}
			data, err := os.ReadFile(p)
			rel, _ := filepath.Rel(root, p)
			out = append(out, ruleFile{rel, data})
			return err
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	return out
}

func loadCorpus(tb testing.TB, opts Options) *Set {
	tb.Helper()
	s := NewSet(opts)
	for _, f := range ruleFiles(tb) {
		s.Add(f.name, f.data)
	}
	return s
}

// mapping is SigmaHQ's thor.yml, enough of it for these tests.
type mapping struct {
	service map[string]string // by channel
	cats    []category
	cache   map[string]*Source
}

type category struct {
	name, service, eventType string
	ids                      []string
}

func loadMapping(tb testing.TB, fields *Fields) *mapping {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join(sharedtest.Dir(tb), "sigma", "rules", "thor.yml"))
	if err != nil {
		tb.Fatal(err)
	}
	docs, err := yamldoc.Documents("thor.yml", data)
	if err != nil {
		tb.Fatal(err)
	}
	fields.Add("NewProcessName", "ParentProcessName", "Provider_Name", "Computer")
	m := &mapping{service: map[string]string{}, cache: map[string]*Source{}}
	ls := lookup(docs[0], "logsources")
	for i := 1; i < len(ls.Content); i += 2 {
		n := ls.Content[i]
		if src := lookup(n, "sources"); src != nil && scalarOf(n, "product") == "windows" {
			for _, s := range src.Content {
				m.service[strings.ToLower(strings.TrimPrefix(s.Value, "WinEventLog:"))] = scalarOf(n, "service")
			}
		}
		rw := lookup(n, "rewrite")
		if rw == nil {
			continue
		}
		c := category{name: scalarOf(n, "category"), service: scalarOf(rw, "service")}
		cond := lookup(n, "conditions")
		c.ids, _ = textList(lookup(cond, "EventID"))
		c.eventType = scalarOf(cond, "EventType")
		m.cats = append(m.cats, c)
	}
	m.service["microsoft-windows-dns-client/operational"] = "dns-client"
	m.service["dns server"] = "dns-server"
	m.service["microsoft-windows-dns-server/audit"] = "dns-server-audit"
	m.service["microsoft-windows-driverframeworks-usermode/operational"] = "driver-framework"
	m.cats = append(m.cats, category{name: "file_delete", service: "sysmon", ids: []string{"26"}})
	return m
}

func (m *mapping) source(channel, provider, id, eventType string) *Source {
	et := ""
	if id == "12" {
		et = eventType
	}
	key := strings.Join([]string{channel, provider, id, et}, "\x00")
	if s := m.cache[key]; s != nil {
		return s
	}
	svc := m.service[strings.ToLower(channel)]
	s := &Source{Name: channel + " " + id, Const: []Const{{"EventID", id}}}
	s.Logsources = []Logsource{{"", "windows", svc}}
	for _, c := range m.cats {
		if c.service == svc && slices.Contains(c.ids, id) && (c.eventType == "" || c.eventType == et) {
			s.Logsources = append(s.Logsources, Logsource{c.name, "windows", svc})
		}
	}
	m.cache[key] = s
	return s
}

// fill puts a decoded JSON object into a record.
func fill(rec *Record, prefix string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if prefix != "" {
				k = prefix + "." + k
			}
			fill(rec, k, x)
		}
	case []any:
		for _, x := range v {
			fill(rec, prefix, x)
		}
	case string:
		rec.Add([]byte(prefix), String(v))
	case json.Number:
		rec.Add([]byte(prefix), Value{[]byte(v), Number})
	case bool:
		rec.Add([]byte(prefix), Value{[]byte(strconv.FormatBool(v)), Bool})
	case nil:
		rec.Add([]byte(prefix), Value{})
	}
}

// otrfEvent is one line of an archive.
type otrfEvent struct {
	archive, member string
	line            int
	raw             []byte
}

func otrfEvents(tb testing.TB) []otrfEvent {
	tb.Helper()
	var out []otrfEvent
	lines := func(archive, member string, r io.Reader) {
		sc := bufio.NewScanner(r)
		sc.Buffer(nil, 64<<20)
		for n := 1; sc.Scan(); n++ {
			out = append(out, otrfEvent{"otrf/" + filepath.Base(archive), member, n, slices.Clone(sc.Bytes())})
		}
	}
	zips, err := filepath.Glob(filepath.Join(sharedtest.Dir(tb), "sigma", "data", "otrf", "*.zip"))
	if err != nil || len(zips) == 0 {
		tb.Fatal("no archives", err)
	}
	for _, z := range zips {
		r, err := zip.OpenReader(z)
		if err != nil {
			tb.Fatal(err)
		}
		for _, f := range r.File {
			rc, err := f.Open()
			if err != nil {
				tb.Fatal(err)
			}
			lines(z, f.Name, rc)
			rc.Close()
		}
		r.Close()
	}
	tars, _ := filepath.Glob(filepath.Join(sharedtest.Dir(tb), "sigma", "data", "otrf", "*.tar.gz"))
	for _, name := range tars {
		f, err := os.Open(name)
		if err != nil {
			tb.Fatal(err)
		}
		defer f.Close()
		gz, err := gzip.NewReader(f)
		if err != nil {
			tb.Fatal(err)
		}
		for tr := tar.NewReader(gz); ; {
			h, err := tr.Next()
			if err != nil {
				break
			}
			lines(name, h.Name, tr)
		}
	}
	return out
}

// fillOTRF decodes a line as the MANIFEST says; false where it is no event.
func fillOTRF(rec *Record, m *mapping, raw []byte) bool {
	dec := json.NewDecoder(strings.NewReader(string(raw)))
	dec.UseNumber()
	var obj map[string]any
	if dec.Decode(&obj) != nil || obj["EventID"] == nil || obj["Channel"] == nil {
		return false
	}
	rec.Reset()
	fill(rec, "", obj)
	fixWindows(rec, m)
	return true
}

func fixWindows(rec *Record, m *mapping) {
	f := rec.Fields()
	text := func(n string) string { v, _ := rec.Get(n); return string(v.Text) }
	if text("Provider_Name") == "" && text("SourceName") != "" {
		rec.Hide(f.ID("Provider_Name"), String(text("SourceName")))
	}
	if text("Computer") == "" && text("Hostname") != "" {
		rec.Hide(f.ID("Computer"), String(text("Hostname")))
	}
	if text("EventID") == "4688" {
		rec.Alias(f.ID("Image"), f.ID("NewProcessName"))
		rec.Alias(f.ID("ParentImage"), f.ID("ParentProcessName"))
	}
	rec.Source = m.source(text("Channel"), text("Provider_Name"), text("EventID"), text("EventType"))
}

func TestCorpusLoads(t *testing.T) {
	s := loadCorpus(t, Options{})
	e := Compile(s, NewFields())
	for _, p := range s.Problems() {
		if p.Severity == Refused && p.Code != "placeholder" {
			t.Error(p)
		}
	}
	if len(e.Rules()) != 3755 || s.Refused() != 25 {
		t.Errorf("%d rules, %d refused; want 3755 and 25", len(e.Rules()), s.Refused())
	}
	tables := map[string][]string{}
	for _, p := range s.Problems() {
		if p.Code == "placeholder" {
			for _, piece := range splitVars(string(fileOf(t, p.File))) {
				if piece.dash {
					tables[piece.text] = []string{"one", "two*"}
				}
			}
		}
	}
	s = loadCorpus(t, Options{Placeholders: tables})
	if len(s.Rules()) != 3780 || s.Refused() != 0 {
		t.Errorf("with %d tables: %d rules, %d refused: %v", len(tables), len(s.Rules()), s.Refused(), s.Problems())
	}
}

func fileOf(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(sharedtest.Dir(t), "sigma", "rules", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestReferenceOTRF(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	type row struct {
		RuleID    string `json:"rule_id"`
		Archive   string
		Member    string
		Line      int
		Confirmed bool
	}
	data, err := os.ReadFile(filepath.Join(sharedtest.Dir(t), "sigma", "data", "reference-matches-otrf.json"))
	if err != nil {
		t.Fatal(err)
	}
	var rows []row
	if err := json.Unmarshal(data, &rows); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, r := range rows {
		want[fmt.Sprint(r.RuleID, " ", r.Archive, " ", r.Member, " ", r.Line)] = r.Confirmed
	}
	eng := Compile(loadCorpus(t, Options{}), NewFields())
	m, w, rec := loadMapping(t, eng.Fields()), eng.NewWorker(), NewRecord(eng.Fields())
	got := map[string]bool{}
	n := 0
	for _, ev := range otrfEvents(t) {
		if !fillOTRF(rec, m, ev.raw) {
			continue
		}
		n++
		for _, r := range w.Match(rec) {
			got[fmt.Sprint(r.ID, " ", ev.archive, " ", ev.member, " ", ev.line)] = true
		}
	}
	for k, confirmed := range want {
		if confirmed && !got[k] {
			t.Error("missing", k)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Error("too many", k)
		}
	}
	t.Logf("%d events, %d matches, %d reference rows, %d plans, %+v", n, len(got), len(want), eng.Plans(), w.Stats())
}
