package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/entry"
	"github.com/lapwing-defence/lapwing/internal/exercise/training"
)

// Where the ways in keep things, below rangeDir.
const (
	rangeWireGuard = "wireguard" // what trainees give to their WireGuard
	tunnelSuffix   = ".tunnel.json"
)

// doors let trainees in: one of SOCKS5 for all, and one of WireGuard for each.
type doors struct {
	socks *entry.SOCKS
	base  netip.AddrPort // of WireGuard
	class string         // directory that keeps keys
	dir   string         // directory of configurations

	mu      sync.Mutex
	tunnels []*tunnel
}

var _ training.Door = (*doors)(nil)

// tunnel is a trainee's WireGuard.
type tunnel struct {
	name string
	door *entry.WireGuard
	way  training.Way
}

// tunnelKeys are what a trainee's configuration holds to. They are kept, so that
// it stays right when the range is started again.
type tunnelKeys struct {
	Format int    `json:"format"`
	Door   string `json:"door_key"`
	Client string `json:"client_key"`
	Port   uint16 `json:"port"`
}

const tunnelFormat = 1

// newDoors opens the SOCKS5 door, without seats.
func newDoors(ctx context.Context, f *serveFlags, base, scenario string) (*doors, error) {
	at, err := netip.ParseAddrPort(f.wireguard)
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return nil, usageError{fmt.Errorf("--wireguard %q: a loopback address and a port are needed, such as 127.0.0.1:51820; whoever sits elsewhere comes by ssh -L to the SOCKS5 way in", f.wireguard)}
	}
	d := &doors{base: at, class: filepath.Join(base, "class", scenario), dir: filepath.Join(base, rangeWireGuard)}
	// Configurations of trainees who are not there any more go.
	if err := os.RemoveAll(d.dir); err != nil {
		return nil, fmt.Errorf("take the WireGuard configurations of before away: %w", err)
	}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep the WireGuard configurations: %w", err)
	}
	if d.socks, err = entry.NewSOCKS(ctx, entry.SOCKSConfig{Listen: f.listen}); err != nil {
		return nil, usageError{fmt.Errorf("--listen: %w", err)}
	}
	return d, nil
}

// close closes what serve has not closed.
func (d *doors) close() {
	d.socks.Close() //nolint:errcheck // it was closed already
	for _, t := range d.all() {
		t.door.Close() //nolint:errcheck // as above
	}
}

// serve lets trainees in until ctx ends.
func (d *doors) serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var wg sync.WaitGroup
	tunnels := d.all()
	ended := make(chan error, 1+len(tunnels))
	wg.Go(func() { ended <- d.socks.Serve(ctx) })
	for _, t := range tunnels {
		wg.Go(func() { ended <- t.door.Serve(ctx) })
	}
	err := <-ended
	stop()
	wg.Wait()
	return err
}

func (d *doors) all() []*tunnel {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.tunnels)
}

// Seat implements training.Door.
func (d *doors) Seat(ctx context.Context, g training.Guest) ([]training.Way, error) {
	var ways []training.Way
	if slices.Contains(g.Access, "socks5") {
		if err := d.socks.SetSeat(entry.Seat{User: g.Name, Secret: g.Secret, Dialer: g.Host.Dialer()}); err != nil {
			return nil, err
		}
		ways = append(ways, training.Way{Kind: "socks5", Address: d.socks.Addr().String(), User: g.Name, Inside: g.Host.Addrs()})
	}
	if slices.Contains(g.Access, "wireguard") {
		w, err := d.tunnel(ctx, g)
		if err != nil {
			return nil, err
		}
		ways = append(ways, w)
	}
	if len(ways) == 0 {
		return nil, errors.New("the scenario has no way in that this command opens: give the trainee's host access: [socks5, wireguard]")
	}
	return ways, nil
}

// tunnel joins the trainee's WireGuard to his network; it is opened with the first.
func (d *doors) tunnel(ctx context.Context, g training.Guest) (training.Way, error) {
	port, err := g.Attach()
	if err != nil {
		return training.Way{}, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if i := slices.IndexFunc(d.tunnels, func(t *tunnel) bool { return t.name == g.Name }); i >= 0 {
		if err := d.tunnels[i].door.Attach(port); err != nil {
			return training.Way{}, errors.Join(err, port.Close())
		}
		return d.tunnels[i].way, nil
	}
	keys, client, err := d.keys(g.Name)
	if err != nil {
		return training.Way{}, errors.Join(err, port.Close())
	}
	public, err := client.Public()
	if err != nil {
		return training.Way{}, errors.Join(err, port.Close())
	}
	door, err := d.openTunnel(ctx, keys, entry.WireGuardConfig{Port: port, Peers: []entry.Peer{{Name: g.Name, Key: public, Addrs: port.Addrs()}}})
	if err != nil {
		return training.Way{}, errors.Join(fmt.Errorf("--wireguard: %w", err), port.Close())
	}
	t := &tunnel{name: g.Name, door: door, way: training.Way{
		Kind: "wireguard", Address: door.Addr().String(), File: filepath.Join(d.dir, tunnelName(g.Name)+".conf"), Inside: port.Addrs(), Names: g.Names,
	}}
	d.tunnels = append(d.tunnels, t)
	keys.Port = door.Addr().Port()
	return t.way, d.keep(g, t, keys, client)
}

// openTunnel listens where the trainee's configuration says; where a port that was
// free before is taken now, and nobody has asked for it, on another.
func (d *doors) openTunnel(ctx context.Context, k tunnelKeys, c entry.WireGuardConfig) (*entry.WireGuard, error) {
	var err error
	if c.Key, err = entry.ParsePrivateKey(k.Door); err != nil {
		return nil, err
	}
	at := d.base
	if at.Port() != 0 {
		if int(at.Port())+len(d.tunnels) > 65535 {
			return nil, usageError{fmt.Errorf("%s and the %d ports after it are too few: name a lower one", at, 65535-int(at.Port()))}
		}
		at = netip.AddrPortFrom(at.Addr(), at.Port()+uint16(len(d.tunnels)))
	} else {
		at = netip.AddrPortFrom(at.Addr(), k.Port)
	}
	c.Listen = at.String()
	door, err := entry.NewWireGuard(ctx, c)
	if err != nil && d.base.Port() == 0 && k.Port != 0 {
		c.Listen = netip.AddrPortFrom(at.Addr(), 0).String()
		door, err = entry.NewWireGuard(ctx, c)
	}
	return door, err
}

// keys are the trainee's, made with the first.
func (d *doors) keys(name string) (k tunnelKeys, client entry.PrivateKey, err error) {
	file := filepath.Join(d.class, name+tunnelSuffix)
	text, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		client = entry.NewPrivateKey()
		return tunnelKeys{Format: tunnelFormat, Door: entry.NewPrivateKey().Text(), Client: client.Text()}, client, nil
	case err != nil:
		return k, client, fmt.Errorf("read the WireGuard keys of %s: %w", name, err)
	}
	if err := json.Unmarshal(text, &k); err != nil || k.Format != tunnelFormat {
		return k, client, fmt.Errorf("%s was not written by this program's version: move it away, and give %s his new configuration", file, name)
	}
	client, err = entry.ParsePrivateKey(k.Client)
	if err == nil {
		_, err = entry.ParsePrivateKey(k.Door)
	}
	if err != nil {
		return k, client, fmt.Errorf("%s: %w: move it away, and give %s his new configuration", file, err, name)
	}
	return k, client, nil
}

// keep writes the keys and the configuration down.
func (d *doors) keep(g training.Guest, t *tunnel, k tunnelKeys, client entry.PrivateKey) error {
	text, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(filepath.Join(d.class, g.Name+tunnelSuffix), text); err != nil {
		return err
	}
	conf, err := t.door.ClientConfig(entry.Client{Name: g.Name, Key: client, Networks: g.Networks, DNS: g.Names})
	if err != nil {
		return err
	}
	return durable.WriteFile(t.way.File, []byte(conf))
}

// tunnelName is the name of a trainee's network interface, which Linux holds to
// 15 bytes; longer names are told apart by a number.
func tunnelName(trainee string) string {
	const prefix, most = "lw-", 15
	if len(prefix+trainee) <= most {
		return prefix + trainee
	}
	h := fnv.New32a()
	h.Write([]byte(trainee))
	return fmt.Sprintf("%s%.5s-%06x", prefix, trainee, h.Sum32()&0xffffff)
}

// Traffic implements training.Door.
func (d *doors) Traffic(name string) []training.Traffic {
	var out []training.Traffic
	for _, s := range d.socks.Stats().Seats {
		if s.User == name {
			out = append(out, training.Traffic{
				Kind: "socks5", Open: s.Open, Connections: s.Connections, Packets: s.Datagrams, In: s.ToRange, Out: s.FromRange,
				Dropped: s.RefusedOpen + s.RefusedRate + s.DatagramsDropped, Failed: s.Failed,
			})
		}
	}
	for _, t := range d.all() {
		if t.name != name {
			continue
		}
		st := t.door.Stats()
		p := st.Peers[0]
		w := training.Traffic{
			Kind: "wireguard", Packets: p.ToRange + p.FromRange, In: p.BytesTo, Out: p.BytesFrom, Handshake: p.Handshake,
			Dropped: p.TooFast + p.Refused + st.TooFast + st.HandshakesDropped + st.Strangers, Failed: st.Nobody,
		}
		if time.Since(p.Handshake) < 3*time.Minute { // after which WireGuard makes a new one
			w.Open = 1
		}
		out = append(out, w)
	}
	return out
}

// wayIn is a line about a way in.
func wayIn(w training.Way, token string) string {
	if w.Kind == "wireguard" {
		return fmt.Sprintf("wireguard %s  configuration in %s, your address %s, names from %s", w.Address, w.File, list(w.Inside), list(w.Names))
	}
	text := fmt.Sprintf("%s %s  user %s", w.Kind, w.Address, w.User)
	if token != "" {
		text += ", password in " + token
	}
	return text
}

func list(addrs []netip.Addr) string {
	out := make([]string, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

// traffic is a line about what went through a way in.
func traffic(t training.Traffic) string {
	if t.Kind == "wireguard" {
		last := "never connected"
		if !t.Handshake.IsZero() {
			last = "last handshake " + t.Handshake.Local().Format(time.TimeOnly)
		}
		return fmt.Sprintf("  wireguard: %s, %d packets, %s in, %s out, %d dropped", last, t.Packets, size(t.In), size(t.Out), t.Dropped)
	}
	return fmt.Sprintf("  %s: %d connections (%d open), %s in, %s out, %d failed, %d dropped", t.Kind, t.Connections, t.Open, size(t.In), size(t.Out), t.Failed, t.Dropped)
}

func size(n uint64) string {
	for _, u := range []struct {
		over uint64
		name string
	}{{1 << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}} {
		if n >= u.over {
			return fmt.Sprintf("%.1f %s", float64(n)/float64(u.over), u.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// availability is how often a service answered.
func availability(v training.Availability) string {
	now := map[bool]string{true: "answers", false: "does not answer"}[v.Up]
	if v.Checks == 0 {
		return "not asked yet"
	}
	return fmt.Sprintf("%s, %d of %d times so far", now, v.Answered, v.Checks)
}
