package archive

import (
	"bytes"
	"compress/bzip2"
	"io"
	"math/rand/v2"
	"testing"
)

func always(int64) bool { return true }

func TestBzip2RoundTrip(t *testing.T) {
	random := make([]byte, 100_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	for name, data := range map[string][]byte{
		"empty": nil, "one": []byte("a"), "text": []byte("the quick brown fox"), "run": bytes.Repeat([]byte("a"), 1000), "runs of 255": bytes.Repeat([]byte("b"), 255*3+4),
		"periodic": bytes.Repeat([]byte("ab"), 300), "random": random, "two blocks": bytes.Repeat([]byte("hello world\n"), 9000),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(Bzip2(data, always))))
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes come back as %d: %v", len(data), len(got), err)
			}
		})
	}
}

func FuzzBzip2(f *testing.F) {
	f.Add([]byte("aaaa"))
	f.Add([]byte{0, 255, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(Bzip2(data, always))))
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q comes back as %q: %v", data, got, err)
		}
	})
}
