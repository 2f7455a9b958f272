//go:build unix

package app

import (
	"os"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/config"
)

func TestForgetVisitor(t *testing.T) {
	dir := Dir(t.TempDir())
	if err := os.MkdirAll(dir.Path("keys"), 0o700); err != nil {
		t.Fatal(err)
	}
	s, err := dir.openVisitors(config.Visitors{Keep: time.Hour, Max: 10, Quota: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	k := &keeper{visitors: s}
	for _, key := range []string{"files/198.51.100.7", "mail/198.51.100.7", "files/2001:db8::/64"} {
		token, _, err := k.Recall(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if err := k.State(t.Context(), key, token, []byte("state")); err != nil {
			t.Fatal(err)
		}
	}
	for source, want := range map[string]int{"198.51.100.7": 2, "2001:db8::9": 1, "192.0.2.1": 0} {
		if n, err := dir.ForgetVisitor(source); n != want || err != nil {
			t.Errorf("%s: %d, %v", source, n, err)
		}
	}
	if _, data, err := k.Recall(t.Context(), "files/198.51.100.7"); len(data) > 0 || err != nil {
		t.Errorf("still there: %q, %v", data, err)
	}
	if _, err := dir.ForgetVisitor("nonsense"); err == nil {
		t.Error("nonsense is a source")
	}
	if err := k.State(t.Context(), "nohost", 0, nil); err == nil {
		t.Error("a key without a host is taken")
	}
}
