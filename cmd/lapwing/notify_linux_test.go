package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/notify"
)

// TestPeopleAreTold: an alert out of a log reaches a webhook, signed; a test goes
// to each target, and its answer is said.
func TestPeopleAreTold(t *testing.T) {
	var mu sync.Mutex
	var got []notify.Message
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, sig, _ := strings.Cut(r.Header.Get("X-Lapwing-Signature"), "v1=")
		at, _, _ := strings.Cut(strings.TrimPrefix(r.Header.Get("X-Lapwing-Signature"), "t="), ",")
		var m notify.Message
		if json.Unmarshal(body, &m) != nil || sig != notify.Sign([]byte("s3cret-key"), at, body) {
			t.Errorf("%q is signed %q", body, r.Header.Get("X-Lapwing-Signature"))
		}
		mu.Lock()
		defer mu.Unlock()
		got = append(got, m)
	}))
	defer srv.Close()
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("s3cret-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	in, log := newReading(t, fmt.Sprintf("notify:\n  - {name: hook, type: webhook, url: %q, secret_file: %q}\n", srv.URL, secret))
	line := failure(1)
	for range 8 {
		appendTo(t, log, line)
	}
	find := func(kind notify.Kind) *notify.Message {
		mu.Lock()
		defer mu.Unlock()
		for i := range got {
			if got[i].Kind == kind {
				return &got[i]
			}
		}
		return nil
	}
	for end := time.Now().Add(time.Minute); find(notify.Alert) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nobody was told: %+v", got)
		}
	}
	m := find(notify.Alert)
	if !strings.Contains(m.Title, "198.18.0.1") || m.Level == "" || m.Key == "" {
		t.Errorf("told %+v", m)
	}
	out := in.lapwing("notify", "test", "--config", filepath.Join(in.dir, "c.yaml"))
	if !strings.Contains(out, "took it") || find(notify.Test) == nil {
		t.Errorf("%q", out)
	}
}
