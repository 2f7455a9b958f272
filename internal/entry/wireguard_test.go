package entry_test

import (
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.zx2c4.com/wireguard/device"
	"golang.zx2c4.com/wireguard/tun/tuntest"

	"github.com/lapwing-defence/lapwing/internal/entry"
	"github.com/lapwing-defence/lapwing/internal/vnet"
	"github.com/lapwing-defence/lapwing/internal/vnet/packet"
)

func public(k entry.PrivateKey) entry.PublicKey { return get(k.Public()) }

// tunnelled is a site with a WireGuard door for anna and ben.
type tunnelled struct {
	site
	door      *entry.WireGuard
	anna, ben entry.PrivateKey
}

func newTunnelled(t *testing.T, lim entry.WireGuardLimits) tunnelled {
	t.Helper()
	w := tunnelled{site: newSite(t), anna: entry.NewPrivateKey(), ben: entry.NewPrivateKey()}
	port := attach(w.site)
	door, err := entry.NewWireGuard(t.Context(), entry.WireGuardConfig{
		Listen: "127.0.0.1:0", Key: entry.NewPrivateKey(), Port: port, Limits: lim,
		Peers: []entry.Peer{
			{Name: "anna", Key: public(w.anna), Addrs: []netip.Addr{addr("10.20.1.201"), addr("2001:db8:1::201")}},
			{Name: "ben", Key: public(w.ben), Addrs: []netip.Addr{addr("10.20.1.202")}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	w.door = door
	serve(t, door.Serve)
	return w
}

func attach(s site) *vnet.AttachedPort {
	return get(s.net.AttachPort(s.office, "people", addr("10.20.1.201"), addr("2001:db8:1::201"), addr("10.20.1.202")))
}

// client is somebody's own WireGuard: the library's device with packets by hand.
type client struct {
	*tuntest.ChannelTUN
	dev *device.Device
}

func (w tunnelled) client(t *testing.T, key entry.PrivateKey, door entry.PublicKey) client {
	t.Helper()
	c := client{ChannelTUN: tuntest.NewChannelTUN()}
	sock := get(net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)}))
	c.dev = device.NewDevice(c.TUN(), entry.NewClientBind(sock), device.NewLogger(device.LogLevelSilent, ""))
	t.Cleanup(c.dev.Close)
	err := c.dev.IpcSet(fmt.Sprintf("private_key=%s\npublic_key=%s\nendpoint=%s\nallowed_ip=0.0.0.0/0\nallowed_ip=::/0\n", hex.EncodeToString(key[:]), hex.EncodeToString(door[:]), w.door.Addr()))
	if err == nil {
		err = c.dev.Up()
	}
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func echo(from, to string) []byte {
	return packet.Echo(packet.Tuple{Src: netip.AddrPortFrom(addr(from), 7), Dst: netip.AddrPortFrom(addr(to), 0)}, 1, []byte("12345678"))
}

// send puts a packet into the tunnel.
func (c client) send(t *testing.T, b []byte) {
	t.Helper()
	select {
	case c.Outbound <- b:
	case <-time.After(patience):
		t.Fatal("the tunnel takes no packet")
	}
}

// ping sends echo requests until an answer is there.
func (c client) ping(t *testing.T, from, to string) {
	t.Helper()
	for range 90 {
		c.send(t, echo(from, to))
		select {
		case b := <-c.Inbound:
			in, err := packet.Parse(b, len(b))
			if err != nil || in.Src.Addr() != addr(to) || in.Dst.Addr() != addr(from) || !packet.ChecksumsRight(b, in) {
				t.Fatalf("answer %+v, %v", in, err)
			}
			return
		case <-time.After(time.Second): // lost; again
		}
	}
	t.Fatalf("no answer from %s", to)
}

func TestWireGuard(t *testing.T) {
	w := newTunnelled(t, entry.WireGuardLimits{})
	anna := w.client(t, w.anna, w.door.Public())
	ben := w.client(t, w.ben, w.door.Public())
	anna.ping(t, "10.20.1.201", "10.20.1.10")
	anna.ping(t, "2001:db8:1::201", "2001:db8:1::10")
	ben.ping(t, "10.20.1.202", "10.20.1.10")
	st := w.door.Stats()
	if len(st.Peers) != 2 || st.Peers[0].Name != "anna" || st.Peers[0].ToRange < 2 || st.Peers[0].FromRange < 2 || st.Peers[0].Handshake.IsZero() || st.Peers[1].ToRange == 0 || st.Faults != 0 {
		t.Errorf("%+v", st)
	}
}

// TestSourcesArePinned: nobody sends under another's address, nor reaches what
// is not in the range.
func TestSourcesArePinned(t *testing.T) {
	w := newTunnelled(t, entry.WireGuardLimits{})
	anna := w.client(t, w.anna, w.door.Public())
	anna.ping(t, "10.20.1.201", "10.20.1.10")
	before := w.door.Stats().Peers[0].ToRange
	for _, from := range []string{"10.20.1.202", "10.20.1.200", "192.0.2.1", "127.0.0.1", "2001:db8:1::200"} {
		to := "10.20.1.10"
		if strings.Contains(from, ":") {
			to = "2001:db8:1::10"
		}
		anna.send(t, echo(from, to))
	}
	wrong := echo("10.20.1.201", "10.20.1.10")
	wrong[len(wrong)-1] ^= 1
	anna.send(t, wrong)
	anna.ping(t, "10.20.1.201", "10.20.1.10") // what was sent before it has been looked at
	eventually(t, "the wrong sum is refused", func() bool { return w.door.Stats().Peers[0].Refused == 1 })
	st := w.door.Stats()
	if st.Peers[1].ToRange != 0 || st.Peers[0].ToRange <= before {
		t.Errorf("%+v", st)
	}
	if d := w.net.Stats().Dropped; d.Spoofed != 0 || d.BadChecksum != 1 {
		t.Errorf("%+v", d)
	}
}

func TestStrangersKeysOpenNothing(t *testing.T) {
	w := newTunnelled(t, entry.WireGuardLimits{})
	stranger := w.client(t, entry.NewPrivateKey(), w.door.Public())
	mistaken := w.client(t, w.anna, public(entry.NewPrivateKey()))
	for _, c := range []client{stranger, mistaken} {
		c.send(t, echo("10.20.1.201", "10.20.1.10"))
	}
	eventually(t, "both have knocked", func() bool { return w.door.Stats().Received >= 2 })
	anna := w.client(t, w.anna, w.door.Public())
	anna.ping(t, "10.20.1.201", "10.20.1.10")
	for _, c := range []client{stranger, mistaken} {
		select {
		case b := <-c.Inbound:
			t.Errorf("a stranger got % x", b)
		default:
		}
	}
	if st := w.door.Stats(); st.Peers[1].ToRange != 0 || !st.Peers[1].Handshake.IsZero() {
		t.Errorf("%+v", st)
	}
}

// TestFloodOfPackets: what one person sends beyond his measure ends in
// counters, and another gets through.
func TestFloodOfPackets(t *testing.T) {
	w := newTunnelled(t, entry.WireGuardLimits{Packets: 200})
	anna, ben := w.client(t, w.anna, w.door.Public()), w.client(t, w.ben, w.door.Public())
	anna.ping(t, "10.20.1.201", "10.20.1.10")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		b := echo("10.20.1.201", "10.20.1.10")
		for {
			select {
			case <-stop:
				return
			case <-anna.Inbound:
			case anna.Outbound <- b:
			}
		}
	}()
	dropped := func() uint64 { st := w.door.Stats(); return st.TooFast + st.Peers[0].TooFast }
	eventually(t, "the flood is cut", func() bool { return dropped() > 500 })
	for range 3 {
		ben.ping(t, "10.20.1.202", "10.20.1.10")
	}
	close(stop)
	<-done
	if st := w.door.Stats(); st.Peers[1].TooFast != 0 || st.Peers[1].ToRange < 3 {
		t.Errorf("%+v", st)
	}
}

// TestFloodOfHandshakes: noise and handshakes of nobody are dropped and
// counted, and who is in stays in.
func TestFloodOfHandshakes(t *testing.T) {
	w := newTunnelled(t, entry.WireGuardLimits{Handshakes: 10})
	anna := w.client(t, w.anna, w.door.Public())
	anna.ping(t, "10.20.1.201", "10.20.1.10")
	noise := make([]byte, 148)
	noise[0] = 1
	for range 100 { // more senders than are told apart
		c := get(net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(w.door.Addr())))
		for range 5 {
			c.Write(noise)
		}
		c.Close()
	}
	eventually(t, "handshakes are dropped", func() bool { return w.door.Stats().HandshakesDropped > 100 })
	anna.ping(t, "10.20.1.201", "10.20.1.10")
}

func TestAttachAfterReset(t *testing.T) {
	w, other := newTunnelled(t, entry.WireGuardLimits{}), newSite(t)
	anna := w.client(t, w.anna, w.door.Public())
	anna.ping(t, "10.20.1.201", "10.20.1.10")
	bare := get(other.net.AttachPort(other.office, "bare", addr("10.20.1.203")))
	if err := w.door.Attach(bare); err == nil || !strings.Contains(err.Error(), "10.20.1.201") {
		t.Errorf("a port without the peers' addresses: %v", err)
	}
	w.net.Close() // the door waits for the next network
	anna.send(t, echo("10.20.1.201", "10.20.1.10"))
	if err := w.door.Attach(attach(other)); err != nil {
		t.Fatal(err)
	}
	anna.ping(t, "10.20.1.201", "10.20.1.10")
}

func TestWireGuardConfigs(t *testing.T) {
	s := newSite(t)
	key, his := entry.NewPrivateKey(), entry.NewPrivateKey()
	good := func() entry.WireGuardConfig {
		return entry.WireGuardConfig{Listen: "127.0.0.1:0", Key: key, Port: attach(s), Peers: []entry.Peer{{Name: "anna", Key: public(his), Addrs: []netip.Addr{addr("10.20.1.201")}}}}
	}
	for _, tt := range []struct {
		name, says string
		spoil      func(*entry.WireGuardConfig)
	}{
		{"every address", "loopback only", func(c *entry.WireGuardConfig) { c.Listen = "0.0.0.0:51820" }},
		{"a name", "an address and a port", func(c *entry.WireGuardConfig) { c.Listen = "localhost:51820" }},
		{"no key", "NewPrivateKey", func(c *entry.WireGuardConfig) { c.Key = entry.PrivateKey{} }},
		{"no peer", "no peer", func(c *entry.WireGuardConfig) { c.Peers = nil }},
		{"a peer without address", "needed", func(c *entry.WireGuardConfig) { c.Peers[0].Addrs = nil }},
		{"an address twice", "twice", func(c *entry.WireGuardConfig) { c.Peers[0].Addrs = append(c.Peers[0].Addrs, c.Peers[0].Addrs[0]) }},
		{"a peer twice", "as well", func(c *entry.WireGuardConfig) {
			c.Peers = append(c.Peers, entry.Peer{Name: "anna", Key: public(key), Addrs: []netip.Addr{addr("10.20.1.202")}})
		}},
		{"an address that the port lacks", "10.20.1.9", func(c *entry.WireGuardConfig) { c.Peers[0].Addrs[0] = addr("10.20.1.9") }},
		{"no port", "AttachPort", func(c *entry.WireGuardConfig) { c.Port = nil }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good()
			port := cfg.Port
			defer port.Close()
			tt.spoil(&cfg)
			door, err := entry.NewWireGuard(t.Context(), cfg)
			if err == nil {
				door.Close()
			}
			if err == nil || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error %v does not say %q", err, tt.says)
			}
		})
	}
	door := get(entry.NewWireGuard(t.Context(), good()))
	want := "[Interface]\nPrivateKey = " + his.Text() + "\nAddress = 10.20.1.201/32\nMTU = 1500\nDNS = 10.20.1.10\n\n[Peer]\nPublicKey = " + door.Public().String() +
		"\nEndpoint = " + door.Addr().String() + "\nAllowedIPs = 10.20.0.0/16, 2001:db8:1::/64\n"
	c := entry.Client{Name: "anna", Key: his, Networks: []netip.Prefix{prefix("10.20.1.0/16"), prefix("2001:db8:1::/64")}, DNS: []netip.Addr{addr("10.20.1.10")}}
	got, err := door.ClientConfig(c)
	for strings.HasPrefix(got, "#") {
		_, got, _ = strings.Cut(got, "\n")
	}
	if got != want || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for name, c := range map[string]entry.Client{
		"somebody else": {Name: "ben", Key: his, Networks: c.Networks}, "another key": {Name: "anna", Key: key, Networks: c.Networks}, "no network": {Name: "anna", Key: his},
		"everything": {Name: "anna", Key: his, Networks: []netip.Prefix{prefix("0.0.0.0/0")}}, "loopback": {Name: "anna", Key: his, Networks: []netip.Prefix{prefix("127.0.0.0/24")}},
	} {
		if got, err := door.ClientConfig(c); err == nil {
			t.Errorf("%s: %q", name, got)
		}
	}
	if err := door.Close(); err != nil {
		t.Error(err)
	}
	if err := door.Serve(t.Context()); err == nil {
		t.Error("a closed door serves")
	}
}

func TestKeys(t *testing.T) {
	// RFC 7748, section 6.1: Alice's keys.
	known := entry.PrivateKey(get(hex.DecodeString("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")))
	if p := public(known); hex.EncodeToString(p[:]) != "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a" {
		t.Errorf("public key %x", p[:])
	}
	k := entry.NewPrivateKey()
	if again, err := entry.ParsePrivateKey(k.Text()); err != nil || again != k {
		t.Errorf("%v", err)
	}
	if again, err := entry.ParsePublicKey(public(k).String()); err != nil || again != public(k) {
		t.Errorf("%v", err)
	}
	for _, bad := range []string{"", "AAAA", k.Text()[:43], k.Text() + "=", strings.Repeat("!", 44)} {
		if _, err := entry.ParsePrivateKey(bad); err == nil {
			t.Errorf("%q is a key", bad)
		}
	}
	for _, format := range []string{"%v", "%+v", "%s", "%#v"} {
		if got := fmt.Sprintf(format, k); strings.Contains(got, k.Text()) || got != "[secret]" {
			t.Errorf("%s prints %s", format, got)
		}
	}
}
