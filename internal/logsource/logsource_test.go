package logsource

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

func record(f *sigma.Fields, pairs ...string) *sigma.Record {
	r := sigma.NewRecord(f)
	for i := 0; i+1 < len(pairs); i += 2 {
		r.Add([]byte(pairs[i]), sigma.String(pairs[i+1]))
	}
	return r
}

func TestRoute(t *testing.T) {
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	f := sigma.NewFields()
	w := m.Router(f).NewWorker()
	for _, tt := range []struct {
		name   string
		head   Head
		fields []string
		want   []sigma.Logsource
	}{
		{"sysmon", Head{Channel: []byte("Microsoft-Windows-Sysmon/operational"), EventID: []byte("1")}, nil, []sigma.Logsource{{Category: "process_creation", Product: "windows", Service: "sysmon"}}},
		{
			"registry",
			Head{Channel: []byte("Microsoft-Windows-Sysmon/Operational"), EventID: []byte("12")},
			[]string{"EventType", "CreateKey"},
			[]sigma.Logsource{{Category: "registry_event", Product: "windows", Service: "sysmon"}, {Category: "registry_add", Product: "windows", Service: "sysmon"}},
		},
		{
			"registry, other",
			Head{Channel: []byte("Microsoft-Windows-Sysmon/Operational"), EventID: []byte("12")},
			[]string{"EventType", "Else"},
			[]sigma.Logsource{{Category: "registry_event", Product: "windows", Service: "sysmon"}},
		},
		{"security", Head{Channel: []byte("security"), EventID: []byte("4624")}, nil, []sigma.Logsource{{Product: "windows", Service: "security"}}},
		{"unknown channel", Head{Channel: []byte("Foo"), EventID: []byte("x")}, nil, []sigma.Logsource{{Product: "windows"}}},
		{"sysmon for linux", Head{Channel: []byte("Linux-Sysmon/Operational"), EventID: []byte("1")}, nil, []sigma.Logsource{{Category: "process_creation", Product: "linux", Service: "sysmon"}}},
		{"decoy", Head{Format: "json"}, []string{"logtype", "4002", "source.ip", "198.51.100.1"}, []sigma.Logsource{{Category: "application", Product: "opencanary"}, {Product: "lapwing", Service: "decoy"}}},
		{"cloudtrail", Head{Format: "json"}, []string{"eventSource", "iam.amazonaws.com", "eventName", "CreateUser"}, []sigma.Logsource{{Product: "aws", Service: "cloudtrail"}}},
		{"cron", Head{Format: "syslog"}, []string{"program", "CRON"}, []sigma.Logsource{{Product: "linux", Service: "cron"}, {Product: "linux", Service: "auth"}, {Product: "linux", Service: "syslog"}}},
		{"nothing", Head{Format: "json"}, []string{"x", "y"}, []sigma.Logsource{{}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := record(f, tt.fields...)
			w.Route(rec, &tt.head)
			if diff := cmp.Diff(tt.want, rec.Source.Logsources); diff != "" {
				t.Error(diff)
			}
			first := rec.Source
			if w.Route(rec, &tt.head); rec.Source != first {
				t.Error("another Source for the same kind")
			}
		})
	}
}

func TestAliasesAndConsts(t *testing.T) {
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	f := sigma.NewFields()
	w := m.Router(f).NewWorker()
	rec := record(f, "NewProcessName", `C:\a.exe`, "SourceName", "Prov", "Channel", "Security", "EventID", "4688", "EventID", "1")
	w.Route(rec, &Head{Channel: []byte("Security"), EventID: []byte("4688")})
	for name, want := range map[string]string{"Image": `C:\a.exe`, "Provider_Name": "Prov"} {
		if v, _ := rec.Get(name); string(v.Text) != want {
			t.Errorf("%s is %q", name, v.Text)
		}
	}
	want := []sigma.Const{{Field: "Channel", Value: "Security"}, {Field: "Provider_Name", Value: "Prov"}} // two EventIDs: not constant
	if diff := cmp.Diff(want, rec.Source.Const); diff != "" {
		t.Error(diff)
	}
}

// Invented kinds may not fill memory, and still get their log source.
func TestInventedKinds(t *testing.T) {
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	r := m.Router(sigma.NewFields())
	w := r.NewWorker()
	seen := map[*sigma.Source]bool{}
	for i := range 5 * maxKinds {
		rec := record(r.fields, "EventID", strconv.Itoa(i))
		w.Route(rec, &Head{Channel: []byte("Security"), EventID: fmt.Append(nil, i)})
		seen[rec.Source] = true
		if len(rec.Source.Logsources) != 1 || rec.Source.Logsources[0].Service != "security" {
			t.Fatalf("%d: %+v", i, rec.Source)
		}
		for _, c := range rec.Source.Const {
			if c.Field == "EventID" && c.Value != strconv.Itoa(i) {
				t.Fatalf("%d has a constant EventID %s", i, c.Value)
			}
		}
	}
	if len(seen) > maxKinds+8 || len(w.local) > 2*maxKinds {
		t.Errorf("%d sources, %d remembered", len(seen), len(w.local))
	}
}

func TestBefore(t *testing.T) {
	m, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	own, err := Parse("own.yml", []byte("records:\n  - name: mine\n    when: {program: [sshd]}\n    sources: [{product: mine}]\n"))
	if err != nil {
		t.Fatal(err)
	}
	f := sigma.NewFields()
	w := m.Before(own).Router(f).NewWorker()
	rec := record(f, "program", "sshd")
	w.Route(rec, &Head{Format: "syslog"})
	if rec.Source.Name != "mine" {
		t.Errorf("%+v", rec.Source)
	}
	if _, err := Parse("bad.yml", []byte("records:\n  - name: mine\n")); err == nil {
		t.Error("an entry without sources was taken")
	}
}

func TestParseTime(t *testing.T) {
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC).UnixNano()
	for in, want := range map[string]int64{
		"2024-01-02T03:04:05Z": at, "2024-01-02 03:04:05.25": at + 25e7, "2024-01-02T04:04:05.1234567+01:00": at + 123456700,
		"2024-01-02T02:04:05-0100": at, "1704164645": at, "1704164645.5": at + 5e8, "1704164645000": at, "1704164645000000": at, "1704164645000000000": at,
		"": 0, "yesterday": 0, "2024-13-02T03:04:05Z": 0, "12": 0,
	} {
		got, ok := ParseTime([]byte(in))
		if got != want || ok != (want != 0) {
			t.Errorf("%q: %d %v, want %d", in, got, ok, want)
		}
	}
}
