package event

import (
	"bytes"
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func sample() Event {
	e := Event{
		ID: "0192f0c0-0000-7000-8000-000000000001", Time: time.Date(2026, 1, 2, 3, 4, 5, 678, time.UTC),
		Source:      netip.MustParseAddrPort("198.51.100.7:4242"),
		Destination: netip.MustParseAddrPort("[2001:db8::1]:22"),
		User:        "ro\"ot\x1b[31m", Depth: DepthAct, LogType: 4002, CommandLine: "a\xffb\u2028\u0085", HasExit: true,
		Path: "/tmp/x", Session: "s",
	}
	e.Describe(ActionCommandExecuted)
	e.Add("lapwing.ssh.hassh", "x")
	e.AddInt("source.bytes", 12)
	e.Extra = append(e.Extra, Field{"l", List("a", "b")}, Field{"f", Float(1.5)}, Field{"b", Bool(true)})
	return e
}

func TestRoundTrip(t *testing.T) {
	e := sample()
	got, err := Decode(e.AppendJSON(nil))
	if err != nil {
		t.Fatal(err)
	}
	e.CommandLine = "a\ufffdb\u2028\u0085"
	if d := cmp.Diff(e, got, cmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
		t.Error(d)
	}
}

func TestWrittenLineIsPlainJSON(t *testing.T) {
	e := sample()
	line := e.AppendJSON(nil)
	var m map[string]any
	if err := json.Unmarshal(line, &m); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	for _, c := range line {
		if c < 0x20 || c == 0x7f {
			t.Fatalf("control byte %#x in %q", c, line)
		}
	}
	if m["event.category"] != "process" || m["logtype"] != 4002.0 || m["source.ip"] != "198.51.100.7" {
		t.Errorf("got %s", line)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for _, s := range []string{"", "{", "[]", `{"a"}`, `{"a":}`, `{"a":1 "b":2}`, `{"a":{}}`, `{"a":[[1]]}`, `{"a":"\q"}`, `{"a":"`, `{} x`, `{"a":01}`} {
		if _, err := Decode([]byte(s)); err == nil {
			t.Errorf("%q was taken", s)
		}
	}
}

func FuzzDecode(f *testing.F) {
	e := sample()
	f.Add(e.AppendJSON(nil))
	f.Add([]byte(`{"source.ip":"x","source.port":70000,"lapwing.depth":"no","a":1e400,"b":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := Decode(data)
		if err != nil {
			return
		}
		line := e.AppendJSON(nil)
		again, err := Decode(line)
		if err != nil {
			t.Fatalf("%v in own output %q", err, line)
		}
		if string(again.AppendJSON(nil)) != string(line) {
			t.Fatalf("not stable: %q", line)
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	e := sample()
	buf := make([]byte, 0, 2048)
	for b.Loop() {
		buf = e.AppendJSON(buf[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	e := sample()
	line := e.AppendJSON(nil)
	for b.Loop() {
		if _, err := Decode(line); err != nil {
			b.Fatal(err)
		}
	}
}

// TestPlain holds the eight-at-a-time look against the escapes themselves, for
// strings of all lengths around eight and with another odd byte behind the first.
func TestPlain(t *testing.T) {
	for c := range 256 {
		odd := len(AppendString(nil, string(rune(c)))) != 3
		for length := 1; length <= 20; length++ {
			for at := range length {
				b := bytes.Repeat([]byte{'a'}, length)
				b[at] = byte(c)
				want := length
				if odd {
					want = at
					b[length-1] = "\x00\"\\\x1f\xff"[at%5]
					b[at] = byte(c)
				}
				if n := plain(string(b)); n != want {
					t.Fatalf("%q: plain says %d, not %d", b, n, want)
				}
			}
		}
	}
}
