package yara_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/scan/yara"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// unpack reads a .tar.gz of the shared data into memory.
func unpack(tb testing.TB, name string) map[string][]byte {
	tb.Helper()
	f, err := os.Open(filepath.Join(sharedtest.Dir(tb), "yara", name))
	if err != nil {
		tb.Skip(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		tb.Fatal(err)
	}
	out := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			tb.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		b, err := io.ReadAll(r)
		if err != nil {
			tb.Fatal(err)
		}
		out[strings.TrimPrefix(h.Name, "./")] = b
	}
}

// signatureBase compiles the 5,883 rules.
func signatureBase(tb testing.TB) *yara.Rules {
	tb.Helper()
	files := unpack(tb, "signature-base-rules.tar.gz")
	var sources []yara.Source
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if ext := filepath.Ext(name); ext == ".yar" || ext == ".yara" {
			sources = append(sources, yara.Source{Name: name, Text: files[name]})
		}
	}
	externals := map[string]any{"filename": "", "filepath": "", "extension": "", "filetype": "", "owner": ""}
	rules, problems := yara.Compile(sources, yara.Options{Externals: externals})
	for _, p := range problems {
		if !p.Warning {
			tb.Error(p)
		}
	}
	if rules.Len() != 5883 {
		tb.Fatalf("%d rules compile, want 5883", rules.Len())
	}
	return rules
}

// TestSignatureBase holds a large set of rules of the field against files made
// from their strings, on which four other engines agree; before and after the
// rules were saved and loaded.
func TestSignatureBase(t *testing.T) {
	rules := signatureBase(t)
	var saved bytes.Buffer
	if err := rules.Save(&saved); err != nil {
		t.Fatal(err)
	}
	loaded, err := yara.Load(&saved)
	if err != nil {
		t.Fatal(err)
	}
	files := unpack(t, "signature-base-synthetic.tar.gz")
	want := map[string][]string{}
	for line := range strings.Lines(string(files["expected.tsv"])) {
		name, list, _ := strings.Cut(strings.TrimSpace(line), "\t")
		want[strings.TrimPrefix(name, "synth/")] = strings.Split(list, ",")
	}
	if len(want) == 0 {
		t.Fatal("no expectations")
	}
	for label, r := range map[string]*yara.Rules{"compiled": rules, "loaded": loaded} {
		t.Run(label, func(t *testing.T) {
			got := map[string][]string{}
			s := r.NewScanner()
			for name, b := range files {
				if !strings.HasSuffix(name, ".bin") {
					continue
				}
				res, err := s.Scan(t.Context(), bytes.NewReader(b), int64(len(b)), yara.ScanOptions{})
				if err != nil || len(res.Limits) > 0 {
					t.Fatalf("%s: %v %v", name, err, res.Limits)
				}
				for _, m := range res.Matches {
					got[name] = append(got[name], m.Name)
				}
				slices.Sort(got[name])
			}
			for name := range want {
				slices.Sort(want[name])
			}
			maps.DeleteFunc(got, func(_ string, v []string) bool { return len(v) == 0 })
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}
