package cli

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
)

// noise are log lines that no rule fires on and that do not shrink to nothing.
func noise() []byte {
	var b bytes.Buffer
	for i := range 3000 {
		b.WriteString(strings.Replace(`{"Channel":"Security","EventID":4624,"TargetUserName":"u","n":"N"}`+"\n", "N", strings.Repeat(string(rune('a'+i*7%26)), i%40)+string(rune('a'+i*i%26)), 1))
	}
	return b.Bytes()
}

// TestHuntStatusOfDamage: what could not be read does not look clean, and neither does
// it hide what was found.
func TestHuntStatusOfDamage(t *testing.T) {
	var gz, zs, zp bytes.Buffer
	g := gzip.NewWriter(&gz)
	g.Write(noise())
	g.Close()
	z, err := zstd.NewWriter(&zs)
	if err != nil {
		t.Fatal(err)
	}
	z.Write(noise())
	z.Close()
	p := zip.NewWriter(&zp)
	w, err := p.Create("log.json")
	if err != nil {
		t.Fatal(err)
	}
	w.Write(noise())
	p.Close()
	half := func(b []byte) string { return string(b[:len(b)/2]) }
	dir := files(t, map[string]string{
		"rules/a.yml": testRules, "whole.gz": gz.String(), "cut.gz": half(gz.Bytes()), "cut.zst": half(zs.Bytes()), "cut.zip": half(zp.Bytes()),
		"bad.json": sysmon + "\n", "broken.json": string(noise()) + "{\"a\":\n", "both.json": sysmon + "\n{\"a\":\n",
		"picture.png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00", "dir/picture.png": "\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00", "dir/log.json": string(noise()),
	})
	for args, want := range map[string]int{
		"whole.gz": 0, "cut.gz": 3, "cut.zst": 3, "cut.zip": 3, "broken.json": 3, "both.json": 1, "bad.json": 1, "bad.json cut.gz": 1, "cut.gz whole.gz": 3,
		"none.json": 2, "bad.json none.json": 2, "picture.png": 3, "dir": 0,
	} {
		t.Run(args, func(t *testing.T) {
			line := []string{"hunt", "--rules", filepath.Join(dir, "rules")}
			for f := range strings.FieldsSeq(args) {
				line = append(line, filepath.Join(dir, f))
			}
			status, _, errs := lapwing(t, "", line...)
			if status != want {
				t.Errorf("status %d, want %d: %s", status, want, errs)
			}
			if (want == 2 || want == 3) && errs == "" {
				t.Error("nothing says why")
			}
		})
	}
}

// TestHuntIndicators: what a list names is found in any field, within the dates
// that the list gives.
func TestHuntIndicators(t *testing.T) {
	list := "ip,sha256,label,valid_from,valid_until\n192.0.2.7,,The scanner,2024-01-01,2025-01-01\n,E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855,Empty file,,\n"
	dir := files(t, map[string]string{
		"rules/a.yml": testRules, "list.csv": list,
		"log.json": `{"@timestamp":"2024-05-01T10:00:00Z","source.ip":"192.0.2.7"}` + "\n" + `{"@timestamp":"2026-05-01T10:00:00Z","source.ip":"192.0.2.7"}` + "\n" +
			`{"@timestamp":"2026-05-01T10:00:00Z","Hashes":"MD5=D41D8CD98F00B204E9800998ECF8427E,SHA256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}` + "\n",
	})
	status, out, errs := lapwing(t, "", "hunt", "--format", "csv", "--rules", filepath.Join(dir, "rules"), "--indicators", filepath.Join(dir, "list.csv"), filepath.Join(dir, "log.json"))
	if status != 1 || strings.Count(out, "Indicator: The scanner") != 1 || strings.Count(out, "Indicator: Empty file") != 1 {
		t.Errorf("status %d\n%s%s", status, out, errs)
	}
	if err := os.WriteFile(filepath.Join(dir, "list.csv"), []byte("nothing here\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, errs = lapwing(t, "", "hunt", "--indicators", filepath.Join(dir, "list.csv"), filepath.Join(dir, "log.json")); !strings.Contains(errs, "list.csv:1") {
		t.Errorf("nobody says that the list is none: %s", errs)
	}
}
