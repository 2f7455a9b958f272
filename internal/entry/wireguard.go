package entry

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.zx2c4.com/wireguard/device"

	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// WireGuardConfig is what NewWireGuard takes.
type WireGuardConfig struct {
	Listen string             // a loopback address and a port; port 0 takes a free one
	Key    PrivateKey         // the door's
	Port   *vnet.AttachedPort // has the addresses of all peers; the door closes it
	Peers  []Peer             // at least one
	Limits WireGuardLimits
}

// Peer is a person whose tools come by WireGuard.
type Peer struct {
	Name  string // for people and Stats
	Key   PublicKey
	Addrs []netip.Addr // he sends from these and no others
}

// WireGuardLimits bound what people can do to the door. 0 means the number in
// brackets.
type WireGuardLimits struct {
	Packets    int // packets a second of one peer, as many at once; more are dropped (20,000)
	Handshakes int // handshakes a second of all, twice that at once; more are dropped (50)
}

// WireGuardStats are the counters of a door.
type WireGuardStats struct {
	Received          uint64 // datagrams that came
	Sent              uint64 // datagrams that went
	TooFast           uint64 // dropped before they were decrypted: too many of one sender, or of all
	HandshakesDropped uint64 // too many
	Strangers         uint64 // dropped: not from loopback
	Nobody            uint64 // packets of the range that no peer has the address of
	Faults            uint64 // what the protocol's library complained of
	Peers             []PeerStats
}

// PeerStats are the counters of one peer.
type PeerStats struct {
	Name      string
	Handshake time.Time // the last one, zero before the first
	ToRange   uint64    // packets
	FromRange uint64
	BytesTo   uint64 // of these packets
	BytesFrom uint64
	TooFast   uint64 // dropped: more than WireGuardLimits.Packets
	Refused   uint64 // dropped by the network: wrong checksums, too long, no port
}

// WireGuard is a WireGuard peer in userspace whose network is virtual. People
// connect to it with any WireGuard client that runs on the same machine.
type WireGuard struct {
	dev    *device.Device
	bind   *bind
	tun    *tunnel
	at     netip.AddrPort
	public PublicKey
	peers  []*peer
	faults *atomic.Uint64
}

// NewWireGuard opens the door: it answers at once. Serve closes it when its
// context ends; where Serve is never called, Close does.
func NewWireGuard(ctx context.Context, cfg WireGuardConfig) (*WireGuard, error) {
	w, err := newWireGuard(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("wireguard door: %w", err)
	}
	return w, nil
}

func newWireGuard(ctx context.Context, cfg WireGuardConfig) (*WireGuard, error) {
	lim := cfg.Limits
	lim.Packets, lim.Handshakes = cmp.Or(lim.Packets, 20000), cmp.Or(lim.Handshakes, 50)
	public, err := cfg.Key.Public()
	if err != nil {
		return nil, err
	}
	peers, err := makePeers(cfg.Peers, lim)
	if err != nil {
		return nil, err
	}
	if err := covers(cfg.Port, peers); err != nil {
		return nil, err
	}
	at, err := loopback(cfg.Listen)
	if err != nil {
		return nil, err
	}
	sock, err := listenUDP(ctx, at)
	if err != nil {
		return nil, err
	}
	w := &WireGuard{
		bind: newBind(sock, lim, len(peers)), tun: newTunnel(cfg.Port, peers), at: plain(sock.LocalAddr().(*net.UDPAddr).AddrPort()),
		public: public, peers: peers, faults: new(atomic.Uint64),
	}
	faults := w.faults
	w.dev = device.NewDevice(w.tun, w.bind, &device.Logger{Verbosef: device.DiscardLogf, Errorf: func(string, ...any) { faults.Add(1) }})
	err = w.dev.IpcSet(settings(cfg.Key, peers))
	if err == nil {
		err = w.dev.Up()
	}
	if err != nil {
		w.dev.Close()
		shut(sock)
		return nil, err
	}
	return w, nil
}

func makePeers(list []Peer, lim WireGuardLimits) ([]*peer, error) {
	if len(list) == 0 {
		return nil, errors.New("no peer: nobody could come in")
	}
	var out []*peer
	var taken []netip.Addr
	for _, p := range list {
		if p.Name == "" || len(p.Addrs) == 0 || p.Key == (PublicKey{}) {
			return nil, fmt.Errorf("peer %q: a name, a key and an address are needed", p.Name)
		}
		for _, q := range out {
			if q.key == p.Key || q.name == p.Name {
				return nil, fmt.Errorf("peer %q: its name or key is peer %q's as well", p.Name, q.name)
			}
		}
		for _, a := range p.Addrs {
			if !a.IsValid() || a.Is4In6() || a.Zone() != "" || slices.Contains(taken, a) {
				return nil, fmt.Errorf("peer %q: address %s is no plain address, or is there twice", p.Name, a)
			}
			taken = append(taken, a)
		}
		out = append(out, &peer{name: p.Name, key: p.Key, addrs: slices.Clone(p.Addrs), rate: newBucket(lim.Packets, lim.Packets, time.Now())})
	}
	return out, nil
}

// covers says whether port has all addresses of peers.
func covers(port *vnet.AttachedPort, peers []*peer) error {
	if port == nil {
		return errors.New("no port of a virtual network; vnet.AttachPort makes one")
	}
	for _, p := range peers {
		for _, a := range p.addrs {
			if !slices.Contains(port.Addrs(), a) {
				return fmt.Errorf("peer %q: the port has %v and not %s", p.name, port.Addrs(), a)
			}
		}
	}
	return nil
}

// settings is the configuration in the library's language. An allowed address
// is also what the library holds each packet's source against.
func settings(key PrivateKey, peers []*peer) string {
	var b strings.Builder
	fmt.Fprintf(&b, "private_key=%s\nreplace_peers=true\n", hex.EncodeToString(key[:]))
	for _, p := range peers {
		fmt.Fprintf(&b, "public_key=%s\nreplace_allowed_ips=true\n", p.key.hex())
		for _, a := range p.addrs {
			fmt.Fprintf(&b, "allowed_ip=%s\n", netip.PrefixFrom(a, a.BitLen()))
		}
	}
	return b.String()
}

// Addr is where the door listens.
func (w *WireGuard) Addr() netip.AddrPort { return w.at }

// Public is the door's public key.
func (w *WireGuard) Public() PublicKey { return w.public }

// Attach joins the door to another port, of a network that was made anew; the
// port before is closed. Clients notice nothing but that their connections
// are gone. It has to have all peers' addresses.
func (w *WireGuard) Attach(port *vnet.AttachedPort) error {
	if err := covers(port, w.peers); err != nil {
		return fmt.Errorf("wireguard door: %w", err)
	}
	w.tun.attach(port)
	return nil
}

// Serve waits for the end of ctx, closes the door and returns nil. A door
// that ended before is an error.
func (w *WireGuard) Serve(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return w.Close()
	case <-w.dev.Wait():
		return fmt.Errorf("wireguard door on %s: %w", w.at, net.ErrClosed)
	}
}

// Close closes the socket and the port.
func (w *WireGuard) Close() error {
	w.dev.Close()
	return w.bind.Close()
}

// Stats reads the counters; peers are in the order of the configuration.
func (w *WireGuard) Stats() WireGuardStats {
	b := w.bind
	out := WireGuardStats{
		Received: b.received.Load(), Sent: b.sent.Load(), TooFast: b.tooFast.Load(), HandshakesDropped: b.handshakesDropped.Load(),
		Strangers: b.strangers.Load(), Nobody: w.tun.nobody.Load(), Faults: w.faults.Load(),
	}
	last := w.handshakes()
	for _, p := range w.peers {
		out.Peers = append(out.Peers, PeerStats{
			Name: p.name, Handshake: last[p.key.hex()], ToRange: p.toRange.Load(), FromRange: p.fromRange.Load(),
			BytesTo: p.bytesTo.Load(), BytesFrom: p.bytesFrom.Load(), TooFast: p.tooFast.Load(), Refused: p.refused.Load(),
		})
	}
	return out
}

// handshakes asks the library for the times of the last ones, by public key.
func (w *WireGuard) handshakes() map[string]time.Time {
	out := map[string]time.Time{}
	text, err := w.dev.IpcGet()
	if err != nil { // the door is closed
		return out
	}
	var key string
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch name {
		case "public_key":
			key = value
		case "last_handshake_time_sec":
			if sec, err := strconv.ParseInt(value, 10, 64); err == nil && sec > 0 {
				out[key] = time.Unix(sec, 0)
			}
		}
	}
	return out
}
