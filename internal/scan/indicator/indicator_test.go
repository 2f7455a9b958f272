package indicator

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

const (
	md5EICAR    = "44d88612fea8a8f36de82e1278abb02f"
	sha1EICAR   = "3395856ce81f2b7382dee72602f798b642f14140"
	sha256EICAR = "275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f"
)

func read(t *testing.T, text string) (*Set, []Problem) {
	t.Helper()
	s := New()
	p, err := s.Read(strings.NewReader(text), "list")
	if err != nil {
		t.Fatal(err)
	}
	return s, p
}

func TestForms(t *testing.T) {
	for name, text := range map[string]string{
		"plain":     "# a list\n" + sha256EICAR + "\n",
		"upper":     strings.ToUpper(sha256EICAR) + "\r\n",
		"sha256sum": sha256EICAR + "  eicar.com\n" + sha256EICAR + " *eicar2.com\n",
		"loki":      sha256EICAR + ";the test file\n",
		"csv":       "\"sha256\",\"label\"\n\"" + sha256EICAR + "\",\"the test file\"\n",
		"csv;":      "name;sha256_hash\neicar;" + sha256EICAR + "\n",
		"csv later": "2026-01-01,eicar," + sha256EICAR + "\n",
		"hashdeep":  "%%%% HASHDEEP-1.0\n%%%% size,md5,sha256,filename\n## Invoked from: /tmp\n68," + md5EICAR + "," + sha256EICAR + ",/tmp/a,b\n",
		"bom":       "\xef\xbb\xbf" + sha256EICAR,
		"stix": `{"type":"bundle","id":"bundle--1","objects":[{"type":"indicator","id":"indicator--1","name":"the test file","pattern_type":"stix",
			"pattern":"[file:hashes.'SHA-256' = '` + sha256EICAR + `' OR file:hashes.MD5 = '` + md5EICAR + `']","valid_from":"2020-01-01T00:00:00Z"}]}`,
		"misp":            `{"Event":{"info":"test","Attribute":[{"type":"filename|sha256","value":"a.exe|` + sha256EICAR + `","to_ids":true,"uuid":"u1"}]}}`,
		"misp, no to_ids": `{"Event":{"info":"test","Attribute":[{"type":"sha256","value":"` + sha256EICAR + `","uuid":"u1"}]}}`,
		"misp list":       `{"response":[{"Event":{"info":"test","Object":[{"Attribute":[{"type":"sha256","value":"` + sha256EICAR + `","to_ids":"1"}]}]}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s, problems := read(t, text)
			if len(problems) > 0 {
				t.Errorf("problems: %v", problems)
			}
			hits := s.Match(File{SHA256: sha256EICAR}, time.Now())
			if len(hits) != 1 || hits[0].Kind != SHA256 || hits[0].Source == "" {
				t.Errorf("hits: %+v", hits)
			}
			if hits := s.Match(File{SHA256: strings.Repeat("0", 64), Path: "/tmp/a.exe"}, time.Now()); len(hits) != 0 {
				t.Errorf("a false hit: %+v", hits)
			}
		})
	}
}

func TestNamesAndPaths(t *testing.T) {
	s, problems := read(t, `\\(Temp|ProgramData)\\x\.exe;80`+"\n"+`/tmp/\.[a-z]+/bot$;70`+"\n")
	if len(problems) != 0 {
		t.Fatal(problems)
	}
	if err := s.Add(Indicator{Kind: Name, Value: "HamCore.se2", Source: "own"}); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/tmp/.x/bot": 1, "/tmp/bot": 0, `C:\ProgramData\hamcore.SE2`: 1, "/a/hamcore.se2.bak": 0} {
		if got := s.Match(File{Path: path}, time.Now()); len(got) != want {
			t.Errorf("%s: %+v", path, got)
		}
	}
}

func TestValidity(t *testing.T) {
	s, _ := read(t, `{"type":"indicator","id":"indicator--2","pattern":"[file:hashes.MD5 = '`+md5EICAR+`']","valid_from":"2024-01-01T00:00:00Z","valid_until":"2025-01-01T00:00:00Z"}`)
	at := func(y int) time.Time { return time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC) }
	for year, want := range map[int]int{2023: 0, 2024: 1, 2025: 0} {
		if got := s.Match(File{MD5: md5EICAR}, at(year)); len(got) != want {
			t.Errorf("%d: %d hits", year, len(got))
		}
	}
}

func TestProblemsNameTheLine(t *testing.T) {
	for text, want := range map[string]string{
		"good: no\nhello world\n":                   "list:1: ",
		sha1EICAR + "\nzz" + sha256EICAR[2:] + "\n": "list:2: ",
		"(unclosed;80\n":                            "list:1: ",
		"md5,sha256\nxyz,\n":                        "list:2: ",
		`{"type":"indicator","id":"i","pattern":"[process:command_line = '192.0.2.1']"}`: "list#i: ",
		`{"type":"indicator","id":"i","pattern":"[file:name = 'a' AND file:size = 3]"}`:  "list#i: ",
		"": "list: ",
		strings.Repeat("a", MaxLine+5) + "\n" + sha1EICAR: "list:1: ",
	} {
		_, problems := read(t, text)
		if len(problems) == 0 || !strings.HasPrefix(problems[0].Error(), want) {
			t.Errorf("%.60q: %v", text, problems)
		}
	}
	if _, err := New().Read(strings.NewReader(`{"type": `), "cut.json"); err == nil || !strings.Contains(err.Error(), "cut.json") {
		t.Errorf("cut JSON: %v", err)
	}
}

func TestLikeness(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 40_000)
	for i := range data {
		data[i] = byte(rnd.IntN(256))
	}
	near := append([]byte(nil), data...)
	for i := range 50 {
		near[i*700] ^= 1
	}
	far := make([]byte, len(data))
	for i := range far {
		far[i] = byte(rnd.IntN(256))
	}
	tl, ss := Similar(data)
	s, problems := read(t, tl+" mine\n"+ss+",\"mine\"\n")
	if len(problems) > 0 || s.Len() != 2 {
		t.Fatal(problems, s.Len())
	}
	for name, c := range map[string]struct {
		data []byte
		want bool
	}{"same": {data, true}, "near": {near, true}, "far": {far, false}} {
		var f File
		f.TLSH, f.SSDeep = Similar(c.data)
		hits := s.Match(f, time.Now())
		if (len(hits) > 0) != c.want {
			t.Errorf("%s: %+v", name, hits)
		}
	}
	if a, b := Similar([]byte("too small")); a != "" || b != "" {
		t.Errorf("a tiny file has a likeness: %q %q", a, b)
	}
}

func TestWants(t *testing.T) {
	s, _ := read(t, sha1EICAR+"\n")
	if w := s.Wants(); !w[SHA1] || w[SHA256] || w[TLSH] || w[Name] {
		t.Errorf("wants %v", w)
	}
}

// FuzzRead: no panic, and everything that was taken matches itself.
func FuzzRead(f *testing.F) {
	for _, s := range []string{sha256EICAR, "md5,name\n" + md5EICAR + ",x", "%%%% HASHDEEP-1.0\n%%%% size,md5,filename\n1," + md5EICAR + ",x", `{"objects":[{"type":"indicator","pattern":"[file:name='x']"}]}`, `{"Event":{"Attribute":[{"type":"md5","value":"` + md5EICAR + `","to_ids":1}]}}`, "a+;3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := New()
		if _, err := s.Read(strings.NewReader(text), "f"); err != nil {
			return
		}
		for _, in := range s.all {
			var file File
			switch in.Kind {
			case MD5:
				file.MD5 = in.Value
			case SHA1:
				file.SHA1 = in.Value
			case SHA256:
				file.SHA256 = in.Value
			case Name:
				file.Path = "/x/" + in.Value
			default:
				continue
			}
			if !in.From.IsZero() || !in.Until.IsZero() {
				continue
			}
			if len(s.Match(file, time.Now())) == 0 {
				t.Errorf("%+v does not match itself", in)
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	s := New()
	for i := range 1_000_000 {
		if err := s.Add(Indicator{Kind: SHA256, Value: fmt.Sprintf("%064x", i*7919)}); err != nil {
			b.Fatal(err)
		}
	}
	now := time.Now()
	for b.Loop() {
		s.Match(File{SHA256: sha256EICAR, SHA1: sha1EICAR, MD5: md5EICAR, Path: "/usr/bin/x"}, now)
	}
}
