package entry_test

import (
	"io"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/entry"
)

// BenchmarkConnect is a person's download from the range: 64 MiB a turn
// through the door, beside what a connection costs.
func BenchmarkConnect(b *testing.B) {
	const size = 64 << 20
	s := newSite(b)
	l := get(s.web.Listen(b.Context(), 99))
	go func() {
		block := make([]byte, 64<<10)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			for range size / len(block) {
				if _, err := c.Write(block); err != nil {
					break
				}
			}
			c.Close()
		}
	}()
	door := open(b, entry.SOCKSConfig{Seats: []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}}})
	b.SetBytes(size)
	for b.Loop() {
		c := get(login(b, door, "anna", secret))
		if code, _ := request(b, c, 1, "web01", 99); code != 0 {
			b.Fatal(code)
		}
		if n, err := io.Copy(io.Discard, c); n != size || err != nil {
			b.Fatal(n, err)
		}
		c.Close()
	}
}
