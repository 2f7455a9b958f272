package scan

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/scan/unpack"
	"github.com/lapwing-defence/lapwing/internal/scan/yara"
	"github.com/lapwing-defence/lapwing/rules"
)

// compiled makes a scanner of one rule text.
func compiled(t *testing.T, text string) *YARA {
	t.Helper()
	r, problems := yara.Compile([]yara.Source{{Name: "t", Text: []byte(text)}}, yara.Options{Externals: externals(nil)})
	if yara.Failed(problems) {
		t.Fatal(problems)
	}
	return NewYARA(r, nil, time.Minute)
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestIdentity(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("there is no cache here")
	}
	path := filepath.Join(t.TempDir(), "f")
	at := func(text string) [cacheRecord]byte {
		write(t, path, text)
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := Identity(info, time.Now()); ok {
			t.Error("a file that may change again within the clock's tick is remembered")
		}
		id, ok := Identity(info, time.Now().Add(time.Minute))
		if !ok {
			t.Fatal("no identity")
		}
		return id
	}
	one := at("a")
	if again := at("b"); again == one {
		t.Error("as long, but written later: the same identity")
	}
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	info, _ := os.Stat(path)
	backdated, _ := Identity(info, time.Now().Add(time.Minute))
	if backdated == one {
		t.Error("the change time does not count")
	}
}

func TestCacheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c")
	rules := sha256.Sum256([]byte("rules"))
	open := func(rules [sha256.Size]byte) *Cache {
		t.Helper()
		c, err := OpenCache(path, rules)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	id := func(i int) (k [cacheRecord]byte) { k[0], k[1] = byte(i), byte(i>>8); return k }
	const n = cacheFlush + 10
	c := open(rules)
	for i := range n {
		c.Add(id(i))
	}
	// As after a kill: what was flushed is there.
	half := open(rules)
	if !half.Has(id(0)) || half.Has(id(n-1)) {
		t.Error("what was flushed is not there, or more")
	}
	half.f.Close()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	f.WriteString("torn")
	f.Close()
	c = open(rules)
	if len(c.known) != n || !c.Has(id(n-1)) {
		t.Errorf("%d entries", len(c.known))
	}
	c.Add(id(n))
	c.Close()
	if c = open(rules); len(c.known) != n+1 || !c.Has(id(n)) {
		t.Errorf("after a torn end: %d entries", len(c.known))
	}
	c.Close()
	if c = open(sha256.Sum256([]byte("other rules"))); len(c.known) != 0 {
		t.Error("other rules know the files")
	}
	c.Close()
	write(t, path, "something else, which a cache must not overwrite")
	if _, err := OpenCache(path, rules); !errors.Is(err, errNotCache) {
		t.Errorf("got %v", err)
	}
	if b, _ := os.ReadFile(path); !strings.HasPrefix(string(b), "something") {
		t.Error("a file that is no cache was changed")
	}
	if _, err := OpenCache("/dev/null", rules); !errors.Is(err, errNotCache) {
		t.Errorf("a device: %v", err)
	}
}

// TestTheCacheLeavesOutWhatWasClean uses files of the system, which are older
// than two seconds.
func TestTheCacheLeavesOutWhatWasClean(t *testing.T) {
	self, err := os.Executable()
	if err != nil || runtime.GOOS != "linux" {
		t.Skip("there is no cache here")
	}
	known := filepath.Dir(self)
	for _, p := range []string{"/bin/true", "/usr/bin/true", "/bin/sh"} {
		if _, err := os.Stat(p); err == nil {
			known = p
		}
	}
	cache := filepath.Join(t.TempDir(), "c")
	run := func(rule string) (r Report) {
		t.Helper()
		c, err := OpenCache(cache, sha256.Sum256([]byte(rule)))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		always := &Captured{Sizes: map[int64]bool{1: true}}
		tree := Tree{Scanners: []Scanner{compiled(t, rule)}, Always: []Scanner{always}, Workers: 1, Cache: c}
		if err := tree.Run(t.Context(), []string{known}, func(x Report) { r = x }); err != nil {
			t.Fatal(err)
		}
		return r
	}
	clean, dirty := `rule C { condition: false }`, `rule D { condition: true }`
	if r := run(clean); r.Known || r.Err != nil {
		t.Fatalf("%+v", r)
	}
	if r := run(clean); !r.Known {
		t.Errorf("not known: %+v", r)
	}
	for range 2 { // what is found is found again
		if r := run(dirty); r.Known || len(r.Findings) != 1 {
			t.Errorf("%+v", r)
		}
	}
}

// TestTheSameRulesCompileToTheSame: the cache is named by compiled rules.
func TestTheSameRulesCompileToTheSame(t *testing.T) {
	sum := func() [sha256.Size]byte {
		r, _, err := LoadFS(rules.FS, "yara", map[string]any{"a": int64(1), "b": "x", "c": true})
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if err := r.Save(h); err != nil {
			t.Fatal(err)
		}
		return [sha256.Size]byte(h.Sum(nil))
	}
	first := sum()
	for range 10 {
		if sum() != first {
			t.Fatal("other bytes")
		}
	}
}

func TestPace(t *testing.T) {
	at := time.Unix(1000, 0)
	cpu := time.Duration(0)
	p := &Pace{percent: 25, used: func() time.Duration { return cpu }, since: at}
	total := time.Duration(0)
	for range 100 {
		cpu += 30 * time.Millisecond
		at = at.Add(30 * time.Millisecond)
		w := max(p.due(at), 0)
		total += w
		at = at.Add(w)
	}
	// 3 s of work at a quarter of a processor last 12 s.
	if total < 8900*time.Millisecond || total > 9100*time.Millisecond {
		t.Errorf("waited %s of 9 s", total)
	}
	cpu += paceEvery / 2
	if w := p.due(at); w != 0 {
		t.Errorf("waits %s for next to nothing", w)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cpu += time.Hour
	p.wait(ctx) // does not hang
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), marker)
	found := 0
	tree := Tree{Scanners: []Scanner{compiled(t, `rule A { strings: $a = "`+marker+`" condition: $a and filename == "a" }`)}, Pace: NewPace(100)}
	if err := tree.Run(t.Context(), []string{dir}, func(r Report) { found += len(r.Findings) }); err != nil || found != 1 {
		t.Errorf("%d findings, %v", found, err)
	}
}

func TestCaptured(t *testing.T) {
	sum := sha256.Sum256([]byte(marker))
	c := &Captured{Sizes: map[int64]bool{int64(len(marker)): true}, Lookup: func(_ context.Context, s string) ([]Meta, bool, error) {
		return []Meta{{"session", "s1"}}, s == hex.EncodeToString(sum[:]), nil
	}}
	for text, want := range map[string]int{marker: 1, strings.ToUpper(marker): 0, "short": 0, "": 0} {
		got, err := c.Scan(t.Context(), strings.NewReader(text), int64(len(text)))
		if len(got) != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

// TestContainerImage looks into an image as docker save and skopeo write it
// (OCI image layout): a tar of blobs, of which layers are tars, compressed or not.
func TestContainerImage(t *testing.T) {
	pack := func(files map[string]string) []byte {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for name, data := range files {
			if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Format: tar.FormatPAX}); err != nil {
				t.Fatal(err)
			}
			io.WriteString(w, data)
		}
		w.Close()
		return b.Bytes()
	}
	var zipped bytes.Buffer
	g := gzip.NewWriter(&zipped)
	g.Write(pack(map[string]string{"var/www/a.php": marker, "etc/passwd": "root"}))
	g.Close()
	image := pack(map[string]string{
		"oci-layout": `{"imageLayoutVersion":"1.0.0"}`, "index.json": "{}", "manifest.json": "[]",
		"blobs/sha256/" + strings.Repeat("a", 64): zipped.String(),
		"blobs/sha256/" + strings.Repeat("b", 64): string(pack(map[string]string{"tmp/.wh.x": "", "opt/b": "x" + marker})),
	})
	path := filepath.Join(t.TempDir(), "image.tar")
	write(t, path, string(image))
	in := &Inside{Scanners: []Scanner{compiled(t, `rule A { strings: $a = "`+marker+`" condition: $a and filesize < 100 }`)}, Limits: unpack.Limits{}}
	inside := map[string]bool{}
	tree := Tree{Scanners: []Scanner{in}}
	err := tree.Run(t.Context(), []string{path}, func(r Report) {
		if r.Err != nil {
			t.Error(r.Err)
		}
		for _, f := range r.Findings {
			inside[f.Inside] = true
		}
	})
	if err != nil || len(inside) != 2 {
		t.Fatalf("%v, %v", inside, err)
	}
	for name := range inside {
		if !strings.HasPrefix(name, "blobs/sha256/") || (!strings.HasSuffix(name, "var/www/a.php") && !strings.HasSuffix(name, "opt/b")) {
			t.Errorf("found at %q", name)
		}
	}
}
