package eventlog

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/event"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ query, want, pipes string }{
		{"", "*", ""},
		{" * ", "*", ""},
		{"wget", `*:"wget"`, ""},
		{`"two words"`, `*:"two words"`, ""},
		{"a b or c", `((*:"a" and *:"b") or *:"c")`, ""},
		{"a AND (b OR NOT c)", `(*:"a" and (*:"b" or !(*:"c")))`, ""},
		{"-a", `!(*:"a")`, ""},
		{"user.name:root", `"user.name":"root"`, ""},
		{"user.name: =root", `"user.name":="root"`, ""},
		{"user.name:ro*", `"user.name":"ro"*`, ""},
		{"user.name:=ro*", `"user.name":="ro"*`, ""},
		{"user.name:*oo*", `"user.name":*"oo"*`, ""},
		{"user.name:!=root", `!("user.name":="root")`, ""},
		{"user.name:!root", `!("user.name":"root")`, ""},
		{"user.name:(a or b)", `("user.name":"a" or "user.name":"b")`, ""},
		{"user.name:in(a, 'b c')", `("user.name":="a" or "user.name":="b c")`, ""},
		{"user.name:i(ROOT*)", `"user.name":i("root"*)`, ""},
		{`user.name:""`, `!("user.name":*)`, ""},
		{"user.name:~`^a\"b`", `"user.name":~"^a\"b"`, ""},
		{"source.ip:192.0.2.77/24", `"source.ip":ipv4_range("192.0.2.0/24")`, ""},
		{"source.ip:2001:db8::1/64", `"source.ip":ipv6_range("2001:db8::/64")`, ""},
		{`source.ip:"::1/64"`, `("source.ip":ipv6_range("::/64") and !("source.ip":ipv4_range("0.0.0.0/0")))`, ""},
		{"source.ip:::ffff:192.0.2.1", `"source.ip":="192.0.2.1"`, ""},
		{"file.size:>=10", `"file.size":>="10"`, ""},
		{"command-executed", `*:"command-executed"`, ""},
		{"order android notice", `(*:"order" and *:"android" and *:"notice")`, ""},
		{"a | stats count() x", `*:"a"`, "stats count() x"},
		{"| fields event.id", "*", "fields event.id"},
		{`"a|b"`, `*:"a|b"`, ""},
	} {
		t.Run(tt.query, func(t *testing.T) {
			e, pipes, err := Parse(tt.query)
			if err != nil || e.String() != tt.want || pipes != tt.pipes {
				t.Errorf("got %s | %s, %v; want %s | %s", e, pipes, err, tt.want, tt.pipes)
			}
			again, _, err := Parse(e.String())
			if err != nil || again.String() != e.String() {
				t.Errorf("what it writes it reads as %s, %v", again, err)
			}
		})
	}
}

func TestParseFaults(t *testing.T) {
	for _, tt := range []struct {
		query, want string
		at          int
	}{
		{"a and", "ends where a condition", 5},
		{"(a", "parenthesis is not closed", 0},
		{"a)", `unexpected ")"`, 1},
		{"a or or", "", -2},
		{`"a`, "quote is not closed", 0},
		{"usr.name:root", "did you mean user.name?", 0},
		{"ip:192.0.2.1", "did you mean", 0},
		{"http://x", "must stand in quotes", 0},
		{"_time:5m", "--since", 0},
		{"lapwing.mark:x", "no field is called", 0},
		{"user.name:", "a value is missing", 10},
		{"user.name:=", "a value is missing", 11},
		{"user.name:>5", "holds numbers", 10},
		{"file.size:>big", "is not a number", 10},
		{"user.name:~[", "regular expression is wrong", 10},
		{"user.name:in(a,", "a value is missing", 15},
		{"user.name:in(a", "is not closed", 10},
		{"user.name:*a", `a "*" is missing`, 12},
		{"a |", "nothing follows", 3},
		{strings.Repeat("(", 100) + "a", "nested too deeply", 64},
		{strings.Repeat("a ", 40_000), "longer than", 0},
		{"a\xff", "not UTF-8", 0},
	} {
		t.Run(tt.query[:min(len(tt.query), 20)], func(t *testing.T) {
			_, _, err := Parse(tt.query)
			if tt.at == -2 { // fine: "or" is a word where a condition stands
				return
			}
			var q QueryError
			if !errors.As(err, &q) || !strings.Contains(q.Text, tt.want) || q.At != tt.at {
				t.Errorf("got %v at %d; want %q at %d", err, q.At, tt.want, tt.at)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"a", `user.name:="x"* or not (b c)`, "source.ip:10.0.0.0/8 | limit 1", "user.name:in(a,b) !x:*", "file.size:<5", "i(A)", "'", "*:*", "a:::b", `"event.id":~"("`} {
		f.Add(s)
	}
	line := commandLine(event.NewIDs(nil, time.Now), 1)
	f.Fuzz(func(t *testing.T, s string) {
		e, _, err := Parse(s)
		if err != nil {
			var q QueryError
			if !errors.As(err, &q) || q.At < 0 || q.At > len(s) {
				t.Fatalf("%v (%T)", err, err)
			}
			return
		}
		again, _, err := Parse(e.String())
		if err != nil || again.String() != e.String() {
			t.Fatalf("%s is read as %s, %v", e, again, err)
		}
		_, a := NewMatcher(Query{Where: e}).Match(line, "-")
		if _, b := NewMatcher(Query{Where: again}).Match(line, "-"); a != b {
			t.Fatalf("%s holds: %v, then %v", e, a, b)
		}
	})
}

// answered is a row as the store answers it: every value a text, and columns
// of its own.
func answered(tb testing.TB, b *Batch, i int) []byte {
	tb.Helper()
	var r Row
	if err := r.Parse(b.line(i), "no id"); err != nil {
		tb.Fatal(err)
	}
	out := []byte(`{"_stream":"{}","_stream_id":"0","_time":`)
	out = event.AppendString(out, time.Unix(0, r.Time).UTC().Format(layoutNano))
	last := ""
	r.Columns([]byte("x"), func(name string, text []byte) {
		if name <= last {
			tb.Errorf("%s after %s", name, last)
		}
		last = name
		out = append(out, ',')
		out = event.AppendString(out, name)
		out = append(out, ':')
		out = event.AppendString(out, string(text))
	})
	return append(out, '}')
}

func TestRestore(t *testing.T) {
	now := time.Now().UTC()
	for _, tt := range []struct {
		name string
		e    event.Event
	}{
		{"plain", event.Event{ID: "a", Time: now, Ingested: now, User: "root"}},
		{"clock a year late", event.Event{ID: "a", Time: now.AddDate(1, 0, 0), Ingested: now}},
		{"text in a number's place", event.Event{ID: "a", Time: now, Extra: []event.Field{{Name: "source.port", Value: event.String("x")}}}},
		{"twice the same name", event.Event{ID: "a", Time: now, User: "x", Extra: []event.Field{{Name: "user.name", Value: event.Int(1)}, {Name: "tags", Value: event.List("a")}, {Name: "tags", Value: event.List("b")}}}},
		{"a name of ours", event.Event{ID: "a", Time: now, Extra: []event.Field{{Name: "_time", Value: event.String("x")}, {Name: "lapwing.mark", Value: event.String("y")}}}},
		{"kinds", event.Event{ID: "a", Time: now, Extra: []event.Field{{Name: "event.risk_score", Value: event.Float(0.1)}, {Name: "event.severity", Value: event.Float(0.5)}, {Name: "process.args", Value: event.List("a,b", `]"`)}, {Name: "new", Value: event.Bool(true)}}}},
		{"escapes", event.Event{ID: "a\"\\\n", Time: now, CommandLine: "\x00\x1b[0m\"\\ \u2028 é \U0001f980"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var b Batch
			want := tt.e.AppendJSON(nil)
			if err := b.Add(want, "-"); err != nil {
				t.Fatal(err)
			}
			line, err := Restore(nil, answered(t, &b, 0))
			if err != nil {
				t.Fatal(err)
			}
			got, err := event.Decode(line)
			if err != nil {
				t.Fatalf("%v in %s", err, line)
			}
			for _, l := range [][]event.Field{got.Extra, tt.e.Extra} {
				slices.SortStableFunc(l, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) })
			}
			if d := cmp.Diff(string(tt.e.AppendJSON(nil)), string(got.AppendJSON(nil))); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestBatch(t *testing.T) {
	ids := event.NewIDs(nil, time.Now)
	var b Batch
	for i := range 10 {
		b.Add(commandLine(ids, i), "-")
	}
	b.Add([]byte(`{"@timestamp":"2020-01-01T00:00:00Z","user.name":"x"}`), "1:2:3")
	for _, bad := range []string{"", "x", "{", `{"a":{}}`, `{"a":[[]]}`, `{"a" 1}`, `{"user.name":"no time"}`, `{"a":"b`, "{}x", `{"a":}`} {
		if err := b.Add([]byte(bad), "-"); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	if b.Len() != 11 {
		t.Fatalf("%d rows", b.Len())
	}
	if n := b.Expire(time.Now().Add(-time.Hour)); n != 1 || b.Len() != 10 {
		t.Errorf("%d are old, %d stay", n, b.Len())
	}
	n := 0
	b.Filter(func(string) bool { n++; return n%2 == 0 })
	if b.Len() != 5 || bytes.Count(b.lines, []byte("\n")) != 5 {
		t.Errorf("%d rows stay", b.Len())
	}
	for i := range b.at {
		if k, ok := NewMatcher(Query{}).Match(b.line(i), ""); !ok || k != b.at[i].id {
			t.Errorf("row %d is not what it says", i)
		}
	}
}

func FuzzRow(f *testing.F) {
	f.Add(commandLine(event.NewIDs(nil, time.Now), 1))
	f.Add([]byte(`{"@timestamp":"2020-01-01T00:00:00.000000000Z","event.id":"0191d3f0-0000-7000-8000-000000000001","event.ingested":"2020-01-03T00:00:00.000000000Z"}`))
	f.Add([]byte(`{"@timestamp":"2020-01-01T00:00:00Z","tags":["a"],"x":1.5e3,"y":true,"z":null}`))
	f.Add([]byte(`{"@timestamp":"2020-01-01T00:00:00Z","user.name":"","lapwing.other":"{","event.ingested":"2019-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := event.Decode(line)
		if err != nil || e.Time.IsZero() || e.Time.Year() < 1 || e.Time.Year() > 9999 {
			return
		}
		line = e.AppendJSON(nil)
		var b Batch
		if err := b.Add(line, "f"); err != nil {
			t.Fatalf("%v of %s", err, line)
		}
		if ref, ok := b.head(line); ok {
			if long, err := b.whole(line, "f"); err != nil || ref != long {
				t.Fatalf("the head says %v, the whole %v, %v of %s", ref, long, err, line)
			}
			b.Reset()
			b.Add(line, "f")
		}
		back, err := Restore(nil, answered(t, &b, 0))
		if err != nil {
			t.Fatal(err)
		}
		got, err := event.Decode(back)
		if err != nil {
			t.Fatalf("%v of %s, from %s", err, back, line)
		}
		if e.ID == "" {
			e.ID = "f"
		}
		for _, l := range [][]event.Field{got.Extra, e.Extra} {
			slices.SortStableFunc(l, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) })
		}
		if d := cmp.Diff(string(e.AppendJSON(nil)), string(got.AppendJSON(nil))); d != "" {
			t.Fatalf("%s\n%s", line, d)
		}
	})
}
