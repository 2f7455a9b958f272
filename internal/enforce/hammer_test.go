package enforce

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/enforce/nft"
)

// hammer sends damaged requests for a time and counts the connections, and the
// requests that were called bad.
func hammer(t *testing.T, path string, d time.Duration) (sent, refused int) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	for end := time.Now().Add(d); time.Now().Before(end); sent++ {
		conn, err := net.Dial("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		conn.Write(damaged(r))            // it may end before all is taken
		conn.(*net.UnixConn).CloseWrite() // it may have ended
		answers, err := io.ReadAll(conn)
		if err != nil && len(answers) == 0 {
			t.Fatalf("no greeting: %v", err)
		}
		for b := bytes.NewReader(answers); ; {
			f, err := readFrame(b, func() error { return nil })
			if err != nil {
				break
			}
			if f.status == statusBad {
				refused++
			}
		}
		conn.Close()
	}
	return sent, refused
}

// damaged are some requests, most of them with a few bytes that are others.
func damaged(r *rand.Rand) []byte {
	var b bytes.Buffer
	for range 1 + r.IntN(4) {
		f := frame{word: byte(1 + r.IntN(6)), id: r.Uint32()}
		for range r.IntN(4) {
			var raw [16]byte
			for i := range raw {
				raw[i] = byte(r.Uint32())
			}
			a := netip.AddrFrom16(raw)
			if r.IntN(2) == 0 {
				a = netip.AddrFrom4([4]byte(raw[:4]))
			}
			p := netip.PrefixFrom(a, r.IntN(a.BitLen()+1)).Masked()
			switch f.word {
			case wordBlock:
				f.body = appendBlock(f.body, nft.Element{Prefix: p, TTL: time.Duration(r.Int64N(int64(nft.MaxTTL)))})
			case wordUnblock, wordAllow:
				f.body = appendPrefix(f.body, p)
			}
		}
		f.write(&b) // into memory
	}
	out := b.Bytes()
	for range r.IntN(4) {
		out[r.IntN(len(out))] = byte(r.Uint32())
	}
	return out
}
