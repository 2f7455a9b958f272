package list

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

// hand is a clock that a test moves.
type hand struct {
	mu sync.Mutex
	at time.Time
}

func (h *hand) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.at
}

func (h *hand) move(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = h.at.Add(d)
}

func newHand() *hand { return &hand{at: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)} }

func block(h *hand, p string, ttl time.Duration) action.Action {
	return action.Action{ID: p, Kind: action.Block, Prefix: netip.MustParsePrefix(p), Until: h.now().Add(ttl)}
}

func TestList(t *testing.T) {
	h := newHand()
	l := New(Config{Now: h.now, Max: 4})
	ctx := t.Context()
	if err := l.Allow(ctx, action.AllowList{{Prefix: netip.MustParsePrefix("10.0.0.0/8"), Why: "office"}}); err != nil {
		t.Fatal(err)
	}
	err := l.Apply(ctx, []action.Action{
		block(h, "192.0.2.7/32", time.Hour), block(h, "2001:db8::/64", time.Hour), block(h, "::ffff:198.51.100.0/120", 2*time.Hour),
		block(h, "10.9.9.9/32", time.Hour), block(h, "127.0.0.1/32", time.Hour), block(h, "0.0.0.0/0", time.Hour),
		block(h, "203.0.113.1/32", -time.Second),
		{Kind: action.DisableAccount, Account: "x"},
	})
	got := map[string]error{}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var one *action.Error
		if !errors.As(e, &one) {
			t.Fatal(e)
		}
		got[one.Action.ID] = errors.Unwrap(one)
	}
	want := map[string]error{"10.9.9.9/32": action.ErrAllowed, "127.0.0.1/32": action.ErrAllowed, "0.0.0.0/0": action.ErrUnsupported, "": action.ErrUnsupported}
	for id, w := range want {
		if !errors.Is(got[id], w) {
			t.Errorf("%s: %v, want %v", id, got[id], w)
		}
	}
	if len(got) != len(want) {
		t.Errorf("errors %v", got)
	}
	text := func(want string) {
		t.Helper()
		if diff := cmp.Diff(want, string(l.render().text)); diff != "" {
			t.Error(diff)
		}
	}
	text("192.0.2.7/32\n198.51.100.0/24\n2001:db8::/64\n")
	if err := l.Apply(ctx, []action.Action{block(h, "203.0.113.1/32", time.Hour), block(h, "203.0.113.2/32", 3*time.Hour)}); err != nil {
		t.Error("one that ends later finds no room", err)
	}
	if err := l.Apply(ctx, []action.Action{block(h, "203.0.113.9/32", time.Minute)}); !errors.Is(err, action.ErrFull) {
		t.Errorf("one that ends before all others: %v", err)
	}
	list, err := l.List(ctx)
	if err != nil || len(list) != 4 {
		t.Error(list, err)
	}
	h.move(time.Hour + time.Second)
	text("198.51.100.0/24\n203.0.113.2/32\n")
	if err := l.Revert(ctx, []action.Action{block(h, "203.0.113.2/32", 0), block(h, "203.0.113.77/32", 0)}); err != nil {
		t.Error(err)
	}
	text("198.51.100.0/24\n")
	if err := l.Allow(ctx, action.AllowList{{Prefix: netip.MustParsePrefix("198.51.100.7/32")}}); err != nil {
		t.Error(err)
	}
	text("")
}

func TestPlan(t *testing.T) {
	h := newHand()
	l := New(Config{Now: h.now, Name: "edge"})
	a := block(h, "192.0.2.0/24", time.Hour)
	p, err := l.Plan(t.Context(), a)
	want := action.Plan{Text: []string{"add the line 192.0.2.0/24 to the list edge"}, Undo: []string{"take the line 192.0.2.0/24 away"}}
	if diff := cmp.Diff(want, p); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if err := l.Apply(t.Context(), []action.Action{a}); err != nil {
		t.Fatal(err)
	}
	if p, err := l.Plan(t.Context(), a); err != nil || !p.Noop {
		t.Errorf("%+v %v", p, err)
	}
	if _, err := l.Plan(t.Context(), block(h, "127.0.0.0/8", time.Hour)); !errors.Is(err, action.ErrAllowed) {
		t.Error(err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for began := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > 30*time.Second {
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func TestFile(t *testing.T) {
	h := newHand()
	dir := t.TempDir()
	path := filepath.Join(dir, "sub", "blocks.txt")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("192.0.2.200/32\n"), 0o644); err != nil { // of the run before
		t.Fatal(err)
	}
	l := New(Config{Now: h.now, Path: path, Settle: time.Minute})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	if err := l.Apply(ctx, []action.Action{block(h, "192.0.2.7/32", time.Hour)}); err != nil {
		t.Fatal(err)
	}
	content := func() string { b, _ := os.ReadFile(path); return string(b) }
	l.save()
	if got := content(); got != "192.0.2.200/32\n" {
		t.Errorf("before all blocks may be there: %q", got)
	}
	h.move(time.Minute)
	until(t, "the file", func() bool { return content() == "192.0.2.7/32\n" })
	if st, err := os.Stat(path); err != nil || st.Mode().Perm() != 0o644 {
		t.Error(st, err)
	}
	h.move(2 * time.Hour)
	until(t, "the end of the block", func() bool { return content() == "" })
	if err := os.RemoveAll(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := l.Apply(ctx, []action.Action{block(h, "192.0.2.8/32", time.Hour)}); err != nil {
		t.Fatal(err)
	}
	h.move(time.Minute)
	until(t, "a health that tells", func() bool { return errors.Is(l.Health(ctx), action.ErrDegraded) })
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	until(t, "the file after its folder is back", func() bool { h.move(time.Second); return content() == "192.0.2.8/32\n" && l.Health(ctx) == nil })
	if err := l.Revert(ctx, []action.Action{block(h, "192.0.2.8/32", 0)}); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; err != nil || content() != "" {
		t.Errorf("at the end: %v %q", err, content())
	}
}

func serve(t *testing.T, l *List, c ServerConfig) string {
	t.Helper()
	c.Log = slog.New(slog.DiscardHandler)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.Serve(ctx, ln, c) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String() + Path
}

func get(t *testing.T, url, password string, header ...string) (status int, h http.Header, text string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	if password != "" {
		r.SetBasicAuth("edge", password)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestServe(t *testing.T) {
	h := newHand()
	l := New(Config{Now: h.now, Settle: time.Minute})
	url := "http://" + serve(t, l, ServerConfig{User: "edge", Password: "right"})
	if r, _, _ := get(t, url, "wrong"); r != http.StatusUnauthorized {
		t.Error(r)
	}
	if r, _, _ := get(t, url, ""); r != http.StatusUnauthorized {
		t.Error(r)
	}
	if r, h, _ := get(t, url, "right"); r != http.StatusServiceUnavailable || h.Get("Retry-After") == "" {
		t.Error("before all blocks may be there:", r)
	}
	h.move(time.Minute)
	if err := l.Apply(t.Context(), []action.Action{block(h, "192.0.2.7/32", time.Hour)}); err != nil {
		t.Fatal(err)
	}
	r, header, body := get(t, url, "right")
	tag := header.Get("ETag")
	if r != http.StatusOK || body != "192.0.2.7/32\n" || tag == "" || header.Get("Last-Modified") == "" {
		t.Errorf("%d %q %v", r, body, header)
	}
	if r, _, _ := get(t, url, "right", "If-None-Match", tag); r != http.StatusNotModified {
		t.Error(r)
	}
	if r, _, _ := get(t, url, "right", "If-Modified-Since", header.Get("Last-Modified")); r != http.StatusNotModified {
		t.Error(r)
	}
	h.move(time.Minute)
	if err := l.Apply(t.Context(), []action.Action{block(h, "192.0.2.8/32", time.Hour)}); err != nil {
		t.Fatal(err)
	}
	if r, _, body := get(t, url, "right", "If-None-Match", tag); r != http.StatusOK || body != "192.0.2.7/32\n192.0.2.8/32\n" {
		t.Errorf("%d %q", r, body)
	}
	if r, _, _ := get(t, strings.TrimSuffix(url, Path)+"/other", "right"); r != http.StatusNotFound {
		t.Error(r)
	}
}

// TestCurl fetches with a program that people have, over TLS.
func TestCurl(t *testing.T) {
	curl := sharedtest.Program(t, "curl")
	h := newHand()
	l := New(Config{Now: h.now})
	cert, key := certificate(t)
	c, err := Certificate(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	url := "https://" + serve(t, l, ServerConfig{User: "edge", Password: "right", TLS: c})
	if err := l.Apply(t.Context(), []action.Action{block(h, "192.0.2.7/32", time.Hour)}); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), curl, "-sS", "--noproxy", "*", "--cacert", cert, "-u", "edge:right", url).CombinedOutput()
	if err != nil || string(out) != "192.0.2.7/32\n" {
		t.Errorf("%v: %s", err, out)
	}
}

func TestPassword(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p")
	for _, tt := range []struct {
		text string
		mode os.FileMode
		want string
	}{{"right\n", 0o600, "right"}, {"right\r\nmore\n", 0o640, "right"}, {"", 0o600, ""}, {"\n", 0o600, ""}, {"right\n", 0o644, ""}, {strings.Repeat("x", 2000), 0o600, ""}} {
		if err := errors.Join(os.WriteFile(path, []byte(tt.text), 0o600), os.Chmod(path, tt.mode)); err != nil {
			t.Fatal(err)
		}
		got, err := Password(path)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%.20q %o: %q %v", tt.text, tt.mode, got, err)
		}
	}
	if _, err := Password(path + ".none"); err == nil {
		t.Error("no file, no error")
	}
}

func TestClearPassword(t *testing.T) {
	ln, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	h := newHand()
	if err := New(Config{Now: h.now}).Serve(t.Context(), ln, ServerConfig{Password: "x"}); err == nil {
		t.Error("a password goes over the network in the clear")
	}
}

// certificate makes one for 127.0.0.1.
func certificate(t *testing.T) (cert, key string) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "lapwing test"}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	pk, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cert, key = filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	if err := errors.Join(
		os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600),
		os.WriteFile(key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pk}), 0o600)); err != nil {
		t.Fatal(err)
	}
	return cert, key
}
