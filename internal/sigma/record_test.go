package sigma

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func pairs(r *Record) []string {
	var out []string
	for n, v := range r.All() {
		out = append(out, fmt.Sprintf("%s=%s", n, v.Text))
	}
	return out
}

func TestRecord(t *testing.T) {
	f := NewFields()
	ids := f.Add("Image", "NewProcessName", "Image", "EventID")
	if diff := cmp.Diff([]FieldID{0, 1, 0, 2}, ids); diff != "" {
		t.Fatal(diff)
	}
	r := NewRecord(f)
	r.SetString("EventID", Int(4688))
	r.Set([]byte("Other"), String("x"))
	r.Add([]byte("NewProcessName"), String("a"))
	r.Add([]byte("NewProcessName"), String("b"))
	r.Alias(ids[0], ids[1])
	want := []string{"EventID=4688", "Other=x", "NewProcessName=a", "NewProcessName=b", "Image=a", "Image=b"}
	if diff := cmp.Diff(want, pairs(r)); diff != "" {
		t.Error(diff)
	}
	r.SetID(ids[0], nil, String("c"))
	r.Alias(ids[0], ids[1]) // present: nothing
	if diff := cmp.Diff(append(want[:4:4], "Image=c"), pairs(r)); diff != "" {
		t.Error(diff)
	}
	if v, ok := r.Get("Other"); !ok || string(v.Text) != "x" {
		t.Errorf("Other: %q %v", v.Text, ok)
	}
	r.Reset()
	if _, ok := r.Get("EventID"); ok || r.head(ids[0]) != -1 {
		t.Error("values after Reset")
	}
	late := f.Add("Late")[0]
	for range 100 {
		f.Add(fmt.Sprint("more", f.Len()))
	}
	r.SetString("Late", String("1"))
	r.SetString("more99", String("2"))
	if r.head(late) != 0 || len(pairs(r)) != 2 {
		t.Errorf("fields added after the record: %v", pairs(r))
	}
}

func TestRecordLimits(t *testing.T) {
	r := NewRecord(NewFields())
	for range MaxFields + 10 {
		r.Add([]byte("n"), String("v"))
	}
	if r.Left != 10 || len(pairs(r)) != MaxFields {
		t.Errorf("left %d", r.Left)
	}
	r.Reset()
	r.Set([]byte("big"), Bytes(make([]byte, MaxValue+1)))
	if v, _ := r.Get("big"); r.Cut != 1 || len(v.Text) != MaxValue {
		t.Errorf("cut %d, %d bytes", r.Cut, len(v.Text))
	}
}

func TestSourceAccepts(t *testing.T) {
	s := &Source{Logsources: []Logsource{{"process_creation", "windows", "sysmon"}, {"", "linux", "auth"}}}
	for _, tt := range []struct {
		l    Logsource
		want bool
	}{
		{Logsource{}, true},
		{Logsource{Product: "windows"}, true},
		{Logsource{Category: "process_creation"}, true},
		{Logsource{Category: "process_creation", Product: "linux"}, false},
		{Logsource{Product: "linux", Service: "auth"}, true},
		{Logsource{Service: "security"}, false},
	} {
		if got := s.Accepts(tt.l); got != tt.want {
			t.Errorf("%+v: %v", tt.l, got)
		}
	}
}
