package archive

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

func unbounded(int) error { return nil }

// samples are contents of many kinds.
func samples() map[string][]byte {
	random := make([]byte, 150_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	var words bytes.Buffer
	for range 30_000 {
		words.WriteString([]string{"the ", "quick", "\x00\x01\xff", " brown fox ", "\n"}[r.IntN(5)])
		words.WriteByte(byte(r.IntN(7)))
	}
	jumps := make([]byte, 60_000) // what filters look for, close together
	for i := range jumps {
		jumps[i] = []byte{0xe8, 0xe9, 0, 0xff, 0xeb, 0xf0, 0xf8, 0x48, 0x40, 0x7f, 0x94, 0x90, 0xb0, 1, byte(r.Uint32())}[r.IntN(15)]
	}
	return map[string][]byte{
		"jumps": jumps, "empty": nil, "one": []byte("a"), "text": []byte("the quick brown fox\n"), "run": bytes.Repeat([]byte("a"), 400_000), "random": random,
		"words": words.Bytes(), "program": append(append([]byte("\x7fELF"), words.Bytes()[:50_000]...), random[:50_000]...),
	}
}

func TestXzRoundTrip(t *testing.T) {
	for name, data := range samples() {
		t.Run(name, func(t *testing.T) {
			if got, err := UnXz(Xz(data), unbounded); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%d bytes come back as %d: %v", len(data), len(got), err)
			}
		})
	}
}

// What Debian's xz packs is unpacked.
func TestXzOfDebian(t *testing.T) {
	xz := sharedtest.Program(t, "xz")
	for name, data := range samples() {
		for _, args := range [][]string{
			{"-0"},
			{"-6"},
			{"-9e"},
			{"-1", "--block-size=65536"},
			{"--check=none"},
			{"--check=crc32"},
			{"--check=sha256"},
			{"--lzma2=preset=6,lc=0,lp=2,pb=0"},
			{"--x86", "--lzma2"},
			{"--x86=start=4096", "--lzma2"},
			{"--arm", "--lzma2"},
			{"--armthumb", "--lzma2"},
			{"--powerpc", "--lzma2"},
			{"--sparc", "--lzma2"},
			{"--arm64", "--lzma2"},
			{"--delta=dist=4", "--lzma2"},
			{"--x86", "--delta=dist=1", "--lzma2", "--block-size=65536"},
			{"--format=lzma"},
			{"--format=lzma", "--lzma1=preset=3,lc=1,lp=3,pb=4"},
		} {
			c := exec.Command(xz, append(args, "-c")...)
			c.Stdin = bytes.NewReader(data)
			packed, err := c.Output()
			if err != nil {
				t.Fatal(err)
			}
			if got, err := UnXz(packed, unbounded); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s, %v: %d bytes come back as %d: %v", name, args, len(data), len(got), err)
			}
		}
	}
}

func TestXzFaults(t *testing.T) {
	good := Xz([]byte("the quick brown fox\n"))
	two := append(append(append([]byte{}, good...), 0, 0, 0, 0), good...)
	if got, err := UnXz(two, unbounded); err != nil || string(got) != "the quick brown fox\nthe quick brown fox\n" {
		t.Errorf("two streams: %q, %v", got, err)
	}
	damaged := bytes.Clone(good)
	damaged[30] ^= 1
	for _, tt := range []struct {
		name string
		in   []byte
		want error
	}{
		{"empty", nil, ErrFormat},
		{"text", []byte("no archive at all, but long enough"), ErrFormat},
		{"cut", good[:len(good)-20], ErrShort},
		{"damaged", damaged, ErrCorrupt},
		{"junk behind", append(bytes.Clone(good), "junk"...), ErrFormat},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := UnXz(tt.in, unbounded); !errors.Is(err, tt.want) {
				t.Errorf("got %q, %v, want %v", got, err, tt.want)
			}
		})
	}
	asked := 0
	_, err := UnXz(Xz(make([]byte, 1<<20)), func(n int) error {
		if asked += n; asked > 1<<18 {
			return ErrMemory
		}
		return nil
	})
	if !errors.Is(err, ErrMemory) {
		t.Errorf("over the limit: %v", err)
	}
}

// FuzzUnXz: what is unpacked was asked for, and the packed comes back.
func FuzzUnXz(f *testing.F) {
	f.Add(Xz([]byte("aaaa")))
	f.Add([]byte("\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff\x00\x30\x98\x88\x98\x46\x7e\x1e\xb2\xff\xfa\x1c\x80\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		asked := 0
		out, err := UnXz(data, func(n int) error {
			if asked += n; asked > 1<<22 {
				return ErrMemory
			}
			return nil
		})
		if err == nil && len(out) > asked {
			t.Errorf("%d bytes, asked for %d", len(out), asked)
		}
		if got, err := UnXz(Xz(data), unbounded); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%q comes back as %q: %v", data, got, err)
		}
	})
}
