package entry

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(1000, 0)
	b := newBucket(10, 3, now)
	for i, tt := range []struct {
		after time.Duration
		want  bool
	}{{0, true}, {0, true}, {0, true}, {0, false}, {50 * time.Millisecond, false}, {50 * time.Millisecond, true}, {0, false}, {-time.Hour, false}, {2 * time.Hour, true}, {0, true}, {0, true}, {0, false}} {
		now = now.Add(tt.after)
		if got := b.take(now); got != tt.want {
			t.Errorf("%d: %v", i, got)
		}
	}
}

// FuzzSOCKS: what is read is what a client would have to write, and never more
// than SOCKS5 allows is taken.
func FuzzSOCKS(f *testing.F) {
	f.Add([]byte("\x05\x01\x02\x01\x04anna\x04pass\x05\x01\x00\x01\x0a\x14\x01\x0a\x00\x50"))
	f.Add([]byte("\x05\x02\x00\x02\x01\x00\x00\x05\x03\x00\x03\x05web01\x00\x50rest"))
	f.Add([]byte("\x05\x01\x02\x01\x01a\x01b\x05\x01\x00\x04\x20\x01\x0d\xb8\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\xbb"))
	f.Add([]byte("\x00\x00\x00\x01\x0a\x14\x01\x0a\x00\x07data"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if to, data, err := cutDatagram(b); err == nil && to.addr.IsValid() && b[3] == addrIPv4 {
			if again := appendDatagram(nil, netip.AddrPortFrom(to.addr, to.port), data); !bytes.Equal(again, b) {
				t.Errorf("% x became % x", b, again)
			}
		}
		r := &sliceReader{b}
		if _, err := readMethods(r); err != nil {
			return
		}
		user, secret, err := readLogin(r)
		if err != nil {
			return
		}
		cmd, to, err := readRequest(r)
		if err != nil {
			return
		}
		used := b[:len(b)-len(r.rest)]
		if len(used) > 2+255+3+255+255+4+256+2 {
			t.Errorf("%d bytes were taken", len(used))
		}
		port := binary.BigEndian.AppendUint16(nil, to.port)
		if !bytes.Contains(used, []byte(user)) || !bytes.Contains(used, []byte(secret)) || !bytes.Contains(used, []byte{socksVersion, cmd, 0}) || !bytes.HasSuffix(used, port) {
			t.Errorf("%q %q %d %+v are not in % x", user, secret, cmd, to, used)
		}
		if to.addr.IsValid() == (to.name != "") {
			t.Errorf("target %+v", to)
		}
	})
}
