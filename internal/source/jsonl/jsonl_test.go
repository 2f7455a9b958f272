package jsonl

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

func newScanner(tb testing.TB) *Scanner {
	tb.Helper()
	m, err := logsource.Default()
	if err != nil {
		tb.Fatal(err)
	}
	f := sigma.NewFields()
	f.Add("EventID", "Image", "Channel", "requestParameters")
	return NewScanner(f, m)
}

func scan(s *Scanner, obj string) (pairs []string, head logsource.Head, err error) {
	rec := sigma.NewRecord(s.fields)
	err = s.Scan([]byte(obj), rec, &head)
	for n, v := range rec.Shown() {
		pairs = append(pairs, fmt.Sprintf("%s=%s/%d", n, v.Text, v.Type))
	}
	return pairs, head, err
}

func TestScan(t *testing.T) {
	for _, tt := range []struct {
		name, in, channel string
		want              []string
	}{
		{"flat", `{"a":"x","n":-1.5,"t":true,"f":false,"z":null,"e":""}`, "", []string{"a=x/1", "n=-1.5/2", "t=true/3", "f=false/3", "z=/0", "e=/1"}},
		{"empty arrays", `{"a":[],"b":[[],1],"c":{}}`, "", []string{"a=/0", "b=/0", "b=1/2"}},
		{"a name twice", `{"a":"x","a":"y","b":{"c":1},"b":{"c":2}}`, "", []string{"a=x/1", "a=y/1", "b.c=1/2", "b.c=2/2"}},
		{"nested", `{ "a" : { "b" : {"c": 1}, "d": [1, "2", {"e":"x"}, {"e":"y"}] } }`, "", []string{"a.b.c=1/2", "a.d=1/2", "a.d=2/1", "a.d.e=x/1", "a.d.e=y/1"}},
		{"escapes", `{"a":"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\ud800x\q"}`, "", []string{"a=\"\\/\b\f\n\r\té\U0001F600\uFFFDx\\q/1"}},
		{"an object that rules read", `{"requestParameters":{"k":"v"}}`, "", []string{"requestParameters.k=v/1"}},
		{
			"nested event", `{"Event":{"System":{"Provider":{"#attributes":{"Name":"P"}},"EventID":{"#text":104},"Channel":"System"},"UserData":{"Log":{"Channel":"Security"}}}}`, "System",
			[]string{"Provider_Name=P/1", "EventID=104/2", "Channel=Security/1"},
		},
		{"system after data", `{"Event":{"EventData":{"Channel":"X","Source Name":"s"},"System":{"Channel":"System"}}}`, "System", []string{"Channel=X/1", "SourceName=s/1"}},
		{"unnamed data", `{"Event":{"EventData":{"Data":["a","b \\"]}}}`, "", []string{`Data=` + "a\nb \\/1"}},
		{"pairs", `{"Event":{"EventData":{"Data":[{"@Name":"Image","#text":"C:\\x"},{"@Name":"B C","#text":"2"}]}}}`, "", []string{`Image=C:\x/1`, "BC=2/1"}},
		{"winlogbeat", `{"winlog":{"channel":"Security","event_id":4688,"event_data":{"Image":"i"}}}`, "Security", []string{"Channel=Security/1", "EventID=4688/2", "Image=i/1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScanner(t)
			for range 2 { // the second time from memory
				got, head, err := scan(s, tt.in)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Error(diff)
				}
				if string(head.Channel) != tt.channel {
					t.Errorf("channel %q", head.Channel)
				}
			}
		})
	}
}

func TestFaults(t *testing.T) {
	s := newScanner(t)
	for in, want := range map[string]string{
		`[]`: "not a JSON object", ``: "not a JSON object", `{"a"`: "byte 5: a colon", `{"a":1`: "byte 7: the object is cut off",
		`{"a":"x`: "the quote is not closed", `{"a":1} x`: "byte 9: text after", `{"a":nil}`: "byte 6: no value", `{"a":[1`: "the array is cut off",
		`{a:1}`: "a name in quotes", strings.Repeat(`{"a":`, 100) + "1" + strings.Repeat("}", 99): "the object is cut off",
		`{"a":` + strings.Repeat("[", 100): "cut off", strings.Repeat(`{"a":`, 100) + `"x`: "the quote is not closed", `{"a":"\`: "the quote is not closed", `{"a":}`: "no value", `{"a":1,}`: "a name in quotes",
	} {
		if _, _, err := scan(s, in); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want %s", in, err, want)
		}
	}
}

// TestDeep: what is nested too deep is the text of its name.
func TestDeep(t *testing.T) {
	s := newScanner(t)
	deep := `{"b":[{"x":"}]"},"evil.exe"]}`
	got, _, err := scan(s, strings.Repeat(`{"a":`, 64)+deep+strings.Repeat("}", 64))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{strings.Repeat("a.", 63) + "a=" + deep + "/1"}, got); d != "" {
		t.Error(d)
	}
}

// flat is what encoding/json makes of an object.
func flat(t *testing.T, path string, d *json.Decoder, depth int, out *[]string) (deep bool) {
	t.Helper()
	tok, err := d.Token()
	if err != nil {
		t.Fatal(err)
	}
	switch v := tok.(type) {
	case json.Delim:
		for d.More() {
			p := path
			if v == '{' {
				k, err := d.Token()
				if err != nil {
					t.Fatal(err)
				}
				if p, _ = k.(string); depth > 0 {
					p = path + "." + p
				}
			}
			deep = flat(t, p, d, depth+1, out) || deep
		}
		d.Token()
		return deep || depth >= MaxDepth
	case nil:
	case string:
		*out = append(*out, path+"="+v)
	case json.Number:
		*out = append(*out, path+"="+number(v.String()))
	default:
		*out = append(*out, fmt.Sprintf("%s=%v", path, v))
	}
	return false
}

// number is a number in one form: records keep 1e3 as 1000.
func number(s string) string {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return s
	}
	return strconv.FormatFloat(f, 'g', -1, 64)
}

// agree holds that both read the same fields.
func agree(t *testing.T, s *Scanner, obj []byte) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(string(obj)))
	d.UseNumber()
	var v map[string]any
	if d.Decode(&v) != nil || d.More() || v == nil {
		return
	}
	var want, got []string
	d = json.NewDecoder(strings.NewReader(string(obj)))
	d.UseNumber()
	deep := flat(t, "", d, 0, &want)
	rec, head := sigma.NewRecord(s.fields), logsource.Head{}
	if err := s.Scan(obj, rec, &head); err != nil {
		if strings.Contains(err.Error(), "text after") {
			return
		}
		t.Fatalf("%q: %v", obj, err)
	}
	if deep {
		return
	}
	for n, v := range rec.Shown() {
		if v.Type != sigma.Null {
			text := string([]rune(string(v.Text))) // each byte that is no UTF-8 becomes U+FFFD
			if v.Type == sigma.Number {
				text = number(text)
			}
			got = append(got, string([]rune(n))+"="+text)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%q: %s", obj, diff)
	}
}

func randomValue(r *rand.Rand, depth int) any {
	switch k := r.IntN(8); {
	case k == 0 && depth < 4:
		m := map[string]any{}
		for i := range r.IntN(4) {
			m[fmt.Sprintf("k%d", i)] = randomValue(r, depth+1)
		}
		return m
	case k == 1 && depth < 4:
		var l []any
		for range r.IntN(3) {
			l = append(l, randomValue(r, depth+1))
		}
		return l
	case k == 2:
		return r.Int64()
	case k == 3:
		return r.Float64()
	case k == 4:
		return nil
	case k == 5:
		return r.IntN(2) == 0
	}
	text := make([]rune, r.IntN(12))
	for i := range text {
		text[i] = []rune("ab\\\"\n\tä€😀<\x00 ")[r.IntN(12)]
	}
	return string(text)
}

func TestAgainstEncodingJSON(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	s := newScanner(t)
	for range 5000 {
		m := map[string]any{}
		for i := range r.IntN(6) {
			m[fmt.Sprintf("f%d", i)] = randomValue(r, 0)
		}
		obj, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		agree(t, s, obj)
	}
}

// FuzzScan holds that whatever encoding/json reads is read the same.
func FuzzScan(f *testing.F) {
	for _, s := range []string{`{"a":{"b":[1,{"c":"d"}]}}`, `{"Event":{"EventData":{"Data":["x"]}}}`, `{"a":"\u00e9\\"}`} {
		f.Add([]byte(s))
	}
	m, err := logsource.Parse("none", nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, obj []byte) {
		if strings.Contains(string(obj), `\`) && !json.Valid(obj) || strings.ContainsAny(string(obj), ".") {
			return
		}
		var keys map[string]any
		if json.Unmarshal(obj, &keys) != nil || repeats(obj) {
			return
		}
		agree(t, NewScanner(sigma.NewFields(), m), obj)
	})
}

// repeats tells whether a name stands twice, which encoding/json merges.
func repeats(obj []byte) bool {
	seen := map[string]bool{}
	for part := range strings.SplitSeq(string(obj), `"`) {
		if seen[part] {
			return true
		}
		seen[part] = len(part) > 0 && !strings.ContainsAny(part, ":,{}[]")
	}
	return strings.Contains(strings.ToLower(string(obj)), `\u`)
}

// What was learnt from one record must not let a fault in the next one pass.
func TestKnownNames(t *testing.T) {
	s := newScanner(t)
	for _, in := range []string{`{"a\"b":"1","c\\":"2"}`, `{"a\"b":"1","c\\":"2"}`} {
		got, _, err := scan(s, in)
		if diff := cmp.Diff([]string{`a"b=1/1`, `c\=2/1`}, got); diff != "" || err != nil {
			t.Error(diff, err)
		}
	}
	for _, in := range []string{`{"a"b":"1"}`, `{"a\"b":"1","c\":"2"}`, `{"a\"b":"1","c`, `{"a\"b":"1\`, `{"a\"b":"1\\\"`} {
		if got, _, err := scan(s, in); err == nil {
			t.Errorf("%s gave %q and no error", in, got)
		}
	}
}
