package event

import (
	"bytes"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

var stampOf = Stamp{Observer: `a "sensor"`, Ingested: time.Date(2026, 1, 2, 3, 4, 5, 678_000_000, time.UTC), Decode: []string{"lapwing.password."}}

// slowly is what Append is to be equal to.
func slowly(t *testing.T, s *Stamp, line []byte) []byte {
	t.Helper()
	e, err := Decode(line)
	if err != nil {
		t.Fatalf("%q is stamped and is no event: %v", line, err)
	}
	if e.ID == "" || e.Exercise != "" {
		t.Fatalf("%q is stamped: id %q, exercise %q", line, e.ID, e.Exercise)
	}
	if e.URL != "" && slices.Contains(s.Decode, "url.") {
		t.Fatalf("%q is stamped and has a URL", line)
	}
	for _, f := range e.Extra {
		if slices.ContainsFunc(s.Decode, func(p string) bool { return strings.HasPrefix(f.Name, p) }) {
			t.Fatalf("%q is stamped and has %s", line, f.Name)
		}
	}
	e.Observer, e.Ingested = s.Observer, s.Ingested
	return e.AppendJSON(nil)
}

func full() Event {
	e := Event{
		ID: "01a2109e-7c87-7cfd-9319-838796ad5c56", Time: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), Dataset: "decoy.ssh", Outcome: "success",
		Source: netip.MustParseAddrPort("192.0.2.1:4711"), Destination: netip.MustParseAddrPort("[2001:db8::1]:22"), Transport: "tcp", User: "root",
		Host: "files", Decoy: "ssh", Session: "01a2109e-7c87-7cfd-9319-838796ad5c57", Depth: DepthAct, LogType: 4002, HasExit: true, ExitCode: -1,
		CommandLine: "echo \"a\\b\"\n\tx", Path: "/tmp/x", Size: 12, SHA256: strings.Repeat("a", 64), URL: "http://x/",
	}
	e.Describe(ActionCommandExecuted)
	e.Add("process.name", "echo")
	e.AddInt("process.pid", 1234)
	return e
}

func TestStamp(t *testing.T) {
	with := func(fn func(*Event)) []byte { e := full(); fn(&e); return e.AppendJSON(nil) }
	line := string(with(func(*Event) {}))
	for _, tt := range []struct {
		name string
		line []byte
		want bool
	}{
		{"full", []byte(line), true},
		{"an id alone", []byte(`{"event.id":"x"}`), true},
		{"no name after the observer", with(func(e *Event) { *e = Event{ID: "x", User: "root"} }), true},
		{"extra names alone", with(func(e *Event) { *e = Event{ID: "x", Extra: e.Extra} }), true},
		{"no id", with(func(e *Event) { e.ID = "" }), false},
		{"an observer", with(func(e *Event) { e.Observer = "me" }), false},
		{"a time of arrival", with(func(e *Event) { e.Ingested = e.Time }), false},
		{"an exercise", with(func(e *Event) { e.Exercise = "x" }), false},
		{"a password", with(func(e *Event) { e.Add("lapwing.password.text", "x") }), false},
		{"not ASCII", with(func(e *Event) { e.User = "é" }), false},
		{"a control character", with(func(e *Event) { e.User = "\x1b" }), false},
		{"an empty value", []byte(`{"event.id":"x","user.name":""}`), false},
		{"a name twice", []byte(`{"event.id":"x","user.name":"a","user.name":"b"}`), false},
		{"a name out of order", []byte(`{"user.name":"a","event.id":"x"}`), false},
		{"a typed name among the others", []byte(`{"event.id":"x","process.pid":1,"user.name":"b"}`), false},
		{"a space", []byte(`{"event.id": "x"}`), false},
		{"an address without its port", []byte(`{"event.id":"x","source.ip":"192.0.2.1"}`), false},
		{"a port without its address", []byte(`{"event.id":"x","source.port":1}`), false},
		{"a port too large", []byte(`{"event.id":"x","source.ip":"192.0.2.1","source.port":65536}`), false},
		{"a mapped address", []byte(`{"event.id":"x","source.ip":"::ffff:192.0.2.1","source.port":1}`), false},
		{"a file without its size", []byte(`{"event.id":"x","file.path":"/x"}`), false},
		{"a size without its file", []byte(`{"event.id":"x","file.size":1}`), false},
		{"an impossible time", []byte(`{"@timestamp":"2026-02-31T00:00:00.000000000Z","event.id":"x"}`), false},
		{"another depth", []byte(`{"event.id":"x","lapwing.depth":"deep"}`), false},
		{"a number for a text", []byte(`{"event.id":"x","user.name":1}`), false},
		{"cut off", []byte(line[:len(line)-1]), false},
		{"something after", []byte(line + " "), false},
		{"nothing", nil, false},
		{"no fields", []byte("{}"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, ok := stampOf.Append([]byte("before"), tt.line)
			if ok != tt.want {
				t.Fatalf("stamped: %v, want %v", ok, tt.want)
			}
			want := []byte("before")
			if ok {
				want = append(want, slowly(t, &stampOf, tt.line)...)
			}
			if !bytes.Equal(out, want) {
				t.Errorf("got  %s\nwant %s", out, want)
			}
		})
	}
}

// FuzzStamp: what is stamped is what decoding, setting and writing gives.
func FuzzStamp(f *testing.F) {
	e := full()
	line := e.AppendJSON(nil)
	f.Add(line)
	f.Add(bytes.Replace(line, []byte("-1"), []byte("-0"), 1))
	f.Add([]byte(`{"event.id":"x","process.pid":123456789012345678,"lapwing.a":"b"}`))
	f.Add([]byte(`{"@timestamp":"2026-02-28T23:59:59.000000000Z","event.id":"x","source.ip":"192.0.2.1","source.port":0,"lapwing.depth":"try"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, s := range []*Stamp{&stampOf, {Ingested: stampOf.Ingested, Decode: []string{"x", "url."}}} {
			if out, ok := s.Append(nil, line); ok {
				if want := slowly(t, s, line); !bytes.Equal(out, want) {
					t.Errorf("of   %s\ngot  %s\nwant %s", line, out, want)
				}
			}
		}
	})
}

func BenchmarkStamp(b *testing.B) {
	e := full()
	line := e.AppendJSON(nil)
	var buf []byte
	b.Run("stamp", func(b *testing.B) {
		for b.Loop() {
			var ok bool
			if buf, ok = stampOf.Append(buf[:0], line); !ok {
				b.Fatal("not stamped")
			}
		}
	})
	b.Run("decode", func(b *testing.B) {
		for b.Loop() {
			e, _ := Decode(line)
			e.Observer, e.Ingested = stampOf.Observer, stampOf.Ingested
			buf = e.AppendJSON(buf[:0])
		}
	})
}
