package vault

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"testing"
)

func TestSealsAndOpens(t *testing.T) {
	for _, n := range []int{0, 1, chunk - 1, chunk, chunk + 1, 3*chunk + 7} {
		dir := t.TempDir()
		v, err := Open(dir, make([]byte, 32), 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		data := bytes.Repeat([]byte("EVIL!"), n/5+1)[:n]
		sum, size, err := v.Put(bytes.NewReader(data))
		want := sha256.Sum256(data)
		if err != nil || size != int64(n) || sum != hex.EncodeToString(want[:]) {
			t.Fatalf("%d bytes: %s %d %v", n, sum, size, err)
		}
		raw, _ := os.ReadFile(v.path(sum))
		if bytes.Contains(raw, []byte("EVIL!")) {
			t.Error("the content lies open on disk")
		}
		if got := PlainSize(int64(len(raw))); got != int64(n) {
			t.Errorf("PlainSize says %d, want %d", got, n)
		}
		var out bytes.Buffer
		if err := v.Get(&out, sum); err != nil || !bytes.Equal(out.Bytes(), data) {
			t.Errorf("%d bytes come back as %d: %v", n, out.Len(), err)
		}
		os.Chmod(v.path(sum), 0o600)
		raw[len(raw)-1] ^= 1
		os.WriteFile(v.path(sum), raw, 0o600)
		if err := v.Get(&out, sum); err == nil {
			t.Error("a changed file was opened")
		}
	}
}

func TestQuota(t *testing.T) {
	v, _ := Open(t.TempDir(), make([]byte, 32), 100)
	if _, _, err := v.Put(bytes.NewReader(make([]byte, 101))); !errors.Is(err, ErrQuota) {
		t.Errorf("got %v", err)
	}
}
