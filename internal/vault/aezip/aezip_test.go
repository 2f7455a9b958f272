package aezip

import (
	"archive/zip"
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func archive(t *testing.T, content []byte, announced int) ([]byte, error) {
	t.Helper()
	var out bytes.Buffer
	err := Write(&out, File{
		Name: "sample.bin", Password: "infected", Size: int64(announced), Salt: rand.Reader,
		Modified: time.Date(2026, 1, 2, 3, 4, 6, 0, time.UTC),
	}, func(w io.Writer) error {
		for c := content; len(c) > 0; { // uneven writes
			n := min(len(c), 777)
			if _, err := w.Write(c[:n]); err != nil {
				return err
			}
			c = c[n:]
		}
		return nil
	})
	return out.Bytes(), err
}

// TestOpens reads the archive by the format's own steps.
func TestOpens(t *testing.T) {
	for _, n := range []int{0, 1, 15, 16, 17, 100_000} {
		want := []byte(strings.Repeat("lapwing!", n/8+1)[:n])
		data, err := archive(t, want, n)
		if err != nil {
			t.Fatal(err)
		}
		if n > 16 && bytes.Contains(data, want[:16]) {
			t.Errorf("%d bytes: the content is readable", n)
		}
		r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			t.Fatal(err)
		}
		raw, err := r.File[0].OpenRaw()
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, r.File[0].CompressedSize64)
		if _, err := io.ReadFull(raw, body); err != nil {
			t.Fatal(err)
		}
		s, check, err := newStream("infected", body[:saltSize])
		if err != nil || !bytes.Equal(check, body[saltSize:saltSize+checkSize]) {
			t.Fatalf("%d bytes: the password check differs: %v", n, err)
		}
		got := make([]byte, n)
		sealed := body[saltSize+checkSize : len(body)-macSize]
		s.mac.Write(sealed)
		s.xor(got, sealed)
		if !bytes.Equal(got, want) || !bytes.Equal(s.mac.Sum(nil)[:macSize], body[len(body)-macSize:]) {
			t.Errorf("%d bytes: content or code differ", n)
		}
	}
}

func TestWrongSize(t *testing.T) {
	if _, err := archive(t, []byte("abc"), 4); !errors.Is(err, ErrSize) {
		t.Errorf("error %v", err)
	}
}

// TestSevenZip opens the archive with the tool that analysts use.
func TestSevenZip(t *testing.T) {
	tool := sharedtest.Program(t, "7z")
	want := bytes.Repeat([]byte("harmless "), 5000)
	data, err := archive(t, want, len(want))
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "x.zip")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := exec.CommandContext(t.Context(), tool, "x", "-so", "-pinfected", name).Output()
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("7z gives %d bytes: %v", len(got), err)
	}
	if out, err := exec.CommandContext(t.Context(), tool, "t", "-pwrong", name).CombinedOutput(); err == nil {
		t.Errorf("a wrong password is taken: %s", out)
	}
}
