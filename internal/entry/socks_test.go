package entry_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/entry"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

const secret = "k3ep-0ut-of-here"

func TestConnect(t *testing.T) {
	s := newSite(t)
	door := open(t, entry.SOCKSConfig{Seats: []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}}})
	outside := get(net.Listen("tcp", "127.0.0.1:0")) // a port of the machine that nobody may reach
	defer outside.Close()
	port := uint16(outside.Addr().(*net.TCPAddr).Port)
	for _, tt := range []struct {
		name string
		port uint16
		want byte
	}{
		{"10.20.1.10", 80, 0},
		{"2001:db8:1::10", 80, 0},
		{"::ffff:10.20.1.10", 80, 0},
		{"WEB01", 80, 0},
		{"web01", 81, 5},
		{"web01", 0, 1},
		{"example.com", 80, 4},
		{"localhost", port, 4},
		{"127.0.0.1", port, 2},
		{"::1", port, 2},
		{"10.20.1.99", 80, 4},
		{"8.8.8.8", 53, 4},
		{"a\x00b:1]", 80, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := get(login(t, door, "anna", secret))
			code, bound := request(t, c, 1, tt.name, tt.port)
			if code != tt.want {
				t.Fatalf("reply %d, want %d", code, tt.want)
			}
			if code != 0 {
				if n, err := c.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
					t.Errorf("after a refusal: %d bytes, %v", n, err)
				}
				return
			}
			if a := bound.Addr(); a != addr("10.20.1.200") && a != addr("2001:db8:1::200") {
				t.Errorf("bound to %s", bound)
			}
			io.WriteString(c, "GET / HTTP/1.0\r\nHost: it\r\n\r\n")
			c.(*net.TCPConn).CloseWrite() // the end of one direction leaves the other
			body := string(get(io.ReadAll(c)))
			if !strings.Contains(body, "from 10.20.1.200 for it") && !strings.Contains(body, "from [2001:db8:1::200] for it") {
				t.Errorf("got %q", body)
			}
		})
	}
	st := door.Stats()
	if st.Accepted != 13 || len(st.Seats) != 1 || st.Seats[0].Connections != 13 || st.Seats[0].Failed != 9 || st.Seats[0].ToRange != 4*28 || st.Seats[0].FromRange == 0 {
		t.Errorf("%+v", st)
	}
	eventually(t, "all connections are closed", func() bool { return door.Stats().Open == 0 })
}

func TestWhoComesIn(t *testing.T) {
	s := newSite(t)
	door := open(t, entry.SOCKSConfig{Seats: []entry.Seat{
		{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}, {User: "ben", Secret: "another-secret", Dialer: s.tap.Dialer()},
	}})
	for _, tt := range []struct {
		user, secret string
		in           bool
	}{
		{"anna", secret, true},
		{"ben", "another-secret", true},
		{"anna", "another-secret", false},
		{"ben", secret, false},
		{"carl", secret, false},
		{"", "", false},
		{"anna", "", false},
		{"anna", secret + "x", false},
	} {
		c, err := login(t, door, tt.user, tt.secret)
		if (err == nil) != tt.in {
			t.Errorf("%q %q: %v", tt.user, tt.secret, err)
		}
		if err == nil {
			c.Close()
		}
	}
	for _, tt := range []struct{ name, send, want string }{
		{"no login offered", "\x05\x01\x00", "\x05\xff"},
		{"SOCKS4", "\x04\x01\x00\x50\x0a\x14\x01\x0a\x00", ""},
		{"HTTP", "CONNECT web01:80 HTTP/1.1\r\n\r\n", ""},
		{"login of another version", "\x05\x01\x02\x02\x04anna", "\x05\x02"},
		{"BIND", "\x05\x01\x02\x01\x04anna\x10" + secret + "\x05\x02\x00\x01\x0a\x14\x01\x0a\x00\x50", "\x05\x02\x01\x00\x05\x07\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"address of type 2", "\x05\x01\x02\x01\x04anna\x10" + secret + "\x05\x01\x00\x02", "\x05\x02\x01\x00\x05\x08\x00\x01\x00\x00\x00\x00\x00\x00"},
		{"name of no bytes", "\x05\x01\x02\x01\x04anna\x10" + secret + "\x05\x01\x00\x03\x00\x00\x50", "\x05\x02\x01\x00"},
		{"cut off", "\x05\x01\x02\x01\x04anna\x10" + secret + "\x05\x01\x00\x01\x0a", "\x05\x02\x01\x00"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := get(net.Dial("tcp", door.Addr().String())).(*net.TCPConn)
			defer c.Close()
			c.SetDeadline(time.Now().Add(patience))
			io.WriteString(c, tt.send)
			c.CloseWrite()
			// What was not read may end the connection with a reset, after the answer.
			var got bytes.Buffer
			io.Copy(&got, c)
			if got.String() != tt.want {
				t.Errorf("got %q, want %q", got.String(), tt.want)
			}
		})
	}
	eventually(t, "logins are over", func() bool { return door.Stats().Open == 0 })
	if st := door.Stats(); st.BadLogin != 7 || st.BadHandshake < 7 {
		t.Errorf("%+v", st)
	}
}

func TestSeats(t *testing.T) {
	s, other := newSite(t), newSite(t)
	door := open(t, entry.SOCKSConfig{Seats: []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}}})
	c := get(login(t, door, "anna", secret))
	if code, _ := request(t, c, 1, "web01", 80); code != 0 {
		t.Fatal(code)
	}
	// A reset: another network under the same name; what was open ends.
	if err := door.SetSeat(entry.Seat{User: "anna", Secret: secret, Dialer: other.tap.Dialer()}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the old connection: %v", err)
	}
	s.net.Close()
	c = get(login(t, door, "anna", secret))
	if code, _ := request(t, c, 1, "web01", 80); code != 0 {
		t.Fatal(code)
	}
	if st := door.Stats().Seats; len(st) != 1 || st[0].Connections != 2 {
		t.Errorf("%+v", st)
	}
	door.RemoveSeat("anna")
	if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
		t.Errorf("the connection of a seat that is gone: %v", err)
	}
	if _, err := login(t, door, "anna", secret); err == nil {
		t.Error("a seat that is gone lets in")
	}
	for _, bad := range []entry.Seat{
		{},
		{User: "x", Secret: secret},
		{User: "x", Secret: "short", Dialer: other.tap.Dialer()},
		{User: strings.Repeat("x", 256), Secret: secret, Dialer: other.tap.Dialer()},
		{User: "x", Secret: strings.Repeat("x", 256), Dialer: other.tap.Dialer()},
		{User: "x", Secret: secret, Dialer: new(vnet.Dialer)},
	} {
		if err := door.SetSeat(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
	if a, b := entry.NewSecret(), entry.NewSecret(); a == b || len(a) != 26 {
		t.Errorf("secrets %q and %q", a, b)
	}
}

func isTimeout(err error) bool {
	var t net.Error
	return errors.As(err, &t) && t.Timeout()
}

func TestLimits(t *testing.T) {
	s := newSite(t)
	seats := []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}, {User: "ben", Secret: "another-secret", Dialer: s.tap.Dialer()}}
	hold := func(t *testing.T, door *entry.SOCKS, user, secret string) byte {
		t.Helper()
		code, _ := request(t, get(login(t, door, user, secret)), 1, "web01", 80)
		return code
	}
	t.Run("of a seat", func(t *testing.T) {
		door := open(t, entry.SOCKSConfig{Seats: seats, Limits: entry.SOCKSLimits{PerSeat: 3}})
		for range 3 {
			if code := hold(t, door, "anna", secret); code != 0 {
				t.Fatal(code)
			}
		}
		if code := hold(t, door, "anna", secret); code != 2 {
			t.Errorf("the fourth: %d", code)
		}
		if code := hold(t, door, "ben", "another-secret"); code != 0 {
			t.Errorf("somebody else: %d", code)
		}
		if st := door.Stats().Seats; st[0].RefusedOpen != 1 || st[0].Open != 3 || st[1].RefusedOpen != 0 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("of a second", func(t *testing.T) {
		door := open(t, entry.SOCKSConfig{Seats: seats, Limits: entry.SOCKSLimits{Rate: 1}})
		refused := 0
		for range 100 {
			refused += int(hold(t, door, "anna", secret) / 2)
		}
		if st := door.Stats().Seats[0]; refused == 0 || st.RefusedRate != uint64(refused) || hold(t, door, "ben", "another-secret") != 0 {
			t.Errorf("%d refused, %+v", refused, st)
		}
	})
	t.Run("of all", func(t *testing.T) {
		door := open(t, entry.SOCKSConfig{Seats: seats, Limits: entry.SOCKSLimits{Open: 1}})
		hold(t, door, "anna", secret)
		if _, err := login(t, door, "ben", "another-secret"); err == nil || isTimeout(err) {
			t.Error(err)
		}
		if st := door.Stats(); st.RefusedOpen != 1 {
			t.Errorf("%+v", st)
		}
	})
	t.Run("who says nothing", func(t *testing.T) {
		door := open(t, entry.SOCKSConfig{Seats: seats, Limits: entry.SOCKSLimits{Greeting: 2, Handshake: 200 * time.Millisecond}})
		var silent [20]net.Conn
		for i := range silent {
			silent[i] = get(net.Dial("tcp", door.Addr().String()))
			defer silent[i].Close()
		}
		for _, c := range silent {
			c.SetReadDeadline(time.Now().Add(patience))
			if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
				t.Errorf("silence ended with %v", err)
			}
		}
		eventually(t, "silent connections end", func() bool { return door.Stats().Open == 0 })
		if st := door.Stats(); st.Late < 2 || st.Late+st.RefusedEarly != uint64(len(silent)) {
			t.Errorf("%+v", st)
		}
	})
	t.Run("idle", func(t *testing.T) {
		door := open(t, entry.SOCKSConfig{Seats: seats, Limits: entry.SOCKSLimits{Idle: 300 * time.Millisecond}})
		c := get(login(t, door, "anna", secret))
		if code, _ := request(t, c, 1, "web01", 80); code != 0 {
			t.Fatal(code)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Error(err)
		}
		c = get(login(t, door, "anna", secret))
		if code, _ := request(t, c, 3, "0.0.0.0", 0); code != 0 {
			t.Fatal(code)
		}
		if _, err := c.Read(make([]byte, 1)); err == nil || isTimeout(err) {
			t.Error(err)
		}
	})
}

// TestFloodOfConnections: what one person throws at the door ends in counters,
// and another gets through.
func TestFloodOfConnections(t *testing.T) {
	s := newSite(t)
	door := open(t, entry.SOCKSConfig{
		Seats:  []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}, {User: "ben", Secret: "another-secret", Dialer: s.tap.Dialer()}},
		Limits: entry.SOCKSLimits{PerSeat: 8, Rate: 20},
	})
	stop, done := make(chan struct{}), make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if c, err := net.Dial("tcp", door.Addr().String()); err == nil {
					io.WriteString(c, "\x05\x01\x02\x01\x04anna\x10"+secret+"\x05\x01\x00\x03\x05web01\x00\x50")
					c.SetReadDeadline(time.Now().Add(patience))
					io.ReadFull(c, make([]byte, 6))
					c.Close()
				}
			}
		}()
	}
	eventually(t, "the flood is refused", func() bool { st := door.Stats().Seats[0]; return st.RefusedRate+st.RefusedOpen > 200 })
	for range 5 {
		if code, _ := request(t, get(login(t, door, "ben", "another-secret")), 1, "web01", 80); code != 0 {
			t.Errorf("somebody else got %d", code)
		}
	}
	close(stop)
	for range 8 {
		<-done
	}
	if st := door.Stats().Seats[1]; st.Connections != 5 || st.RefusedOpen+st.RefusedRate != 0 {
		t.Errorf("%+v", st)
	}
}

func TestDatagrams(t *testing.T) {
	s := newSite(t)
	door := open(t, entry.SOCKSConfig{Seats: []entry.Seat{{User: "anna", Secret: secret, Dialer: s.tap.Dialer()}}, Limits: entry.SOCKSLimits{Relays: 1}})
	c := get(login(t, door, "anna", secret))
	code, relay := request(t, c, 3, "0.0.0.0", 0)
	if code != 0 || !relay.Addr().IsLoopback() {
		t.Fatal(code, relay)
	}
	if code, _ := request(t, get(login(t, door, "anna", secret)), 3, "0.0.0.0", 0); code != 2 {
		t.Errorf("one association more: %d", code)
	}
	u := get(net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(relay)))
	defer u.Close()
	stranger := get(net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(relay)))
	defer stranger.Close()
	exchange := func(send, want string) {
		t.Helper()
		b := make([]byte, 70000)
		// Datagrams may get lost where a machine is short of room.
		for range 30 {
			u.Write([]byte(send))
			u.SetReadDeadline(time.Now().Add(patience / 30))
			if n, err := u.Read(b); err == nil {
				if string(b[:n]) != want {
					t.Errorf("got %.60q, want %.60q", b[:n], want)
				}
				return
			}
		}
		t.Errorf("no answer to %.60q", send)
	}
	exchange("\x00\x00\x00\x01\x0a\x14\x01\x0a\x00\x07hello", "\x00\x00\x00\x01\x0a\x14\x01\x0a\x00\x07hello")
	exchange("\x00\x00\x00\x03\x05web01\x00\x07by name", "\x00\x00\x00\x01\x0a\x14\x01\x0a\x00\x07by name")
	v6 := addr("2001:db8:1::10").As16()
	exchange("\x00\x00\x00\x04"+string(v6[:])+"\x00\x07six", "\x00\x00\x00\x04"+string(v6[:])+"\x00\x07six")
	big := strings.Repeat("x", 8000)
	exchange("\x00\x00\x00\x01\x0a\x14\x01\x0a\x00\x07"+big, "\x00\x00\x00\x01\x0a\x14\x01\x0a\x00\x07"+big)
	before := door.Stats().Seats[0].DatagramsDropped
	for _, bad := range []string{"", "\x00\x00", "\x00\x00\x01\x01\x0a\x14\x01\x0a\x00\x07part", "\x00\x00\x00\x09", "\x00\x00\x00\x03\x0bexample.com\x00\x35x"} {
		u.Write([]byte(bad))
	}
	stranger.Write([]byte("\x00\x00\x00\x01\x0a\x14\x01\x0a\x00\x07mine"))
	eventually(t, "bad datagrams are counted", func() bool { return door.Stats().Seats[0].DatagramsDropped >= before+6 })
	c.Close()
	eventually(t, "the association ends with its connection", func() bool { return door.Stats().Open == 0 })
}
