package exercise

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/act"
	"github.com/lapwing-defence/lapwing/internal/exercise/scenario"
	"github.com/lapwing-defence/lapwing/internal/exercise/service"
	"github.com/lapwing-defence/lapwing/internal/vnet"
)

// traitsOf are a persona's TCP/IP traits.
func traitsOf(p service.Persona) vnet.Traits {
	for _, name := range []string{p.Name, map[string]string{"windows": "windows-server", "linux": "linux-6", "device": "linux-5"}[p.Family]} {
		if t, ok := traitByName(name); ok {
			return t
		}
	}
	return vnet.Traits{}
}

// serveAll starts every service of every named host.
func (l *lab) serveAll(ctx context.Context) error {
	for i := range l.sc.Hosts {
		m := l.hosts[l.sc.Hosts[i].Name]
		for k := range m.spec.Services {
			if err := l.serve(ctx, m, &m.spec.Services[k]); err != nil {
				return fmt.Errorf("host %s: %w", m.spec.Name, err)
			}
		}
	}
	return nil
}

func (l *lab) serve(ctx context.Context, m *machine, s *scenario.Service) error {
	host := m.host
	if s.Decoy && !m.spec.Decoy {
		c := l.hostConfig(m.spec, m)
		c.Decoy = true
		var err error
		if host, err = service.NewHost(c); err != nil {
			return err
		}
	}
	srv, err := service.New(s.Type, service.Config{
		Host: host, Port: s.Port.Number, Banner: s.Banner, Site: s.Site, Accept: l.accepted(s.Accept), Zone: l.zone,
		Listen: func(ctx context.Context) (net.Listener, error) { return m.net.Listen(ctx, 0) },
	})
	if err != nil {
		return err
	}
	r := &running{begin: func() (func(), error) { return l.listen(ctx, m, s, srv) }}
	l.services[serviceKey(m.spec.Name, s.Port)] = r
	return r.start()
}

func serviceKey(host string, p scenario.Port) string {
	return fmt.Sprintf("%s/%s/%d", host, p.Proto, p.Number)
}

// listen serves s at its port until the function that it gives is called, which
// returns when the port is free, or until ctx ends.
func (l *lab) listen(ctx context.Context, m *machine, s *scenario.Service, srv *service.Server) (func(), error) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	end := func(c io.Closer) func() {
		return func() {
			cancel()
			<-done
			c.Close() //nolint:errcheck // it is closed, or waits until it is
		}
	}
	if s.Port.Proto == "udp" {
		pc, err := m.net.ListenPacket(ctx, s.Port.Number)
		if err != nil {
			cancel()
			return nil, err
		}
		l.served.Go(func() { defer close(done); l.ended(srv.ServePacket(ctx, pc)) })
		return end(pc), nil
	}
	ln, err := m.net.Listen(ctx, s.Port.Number)
	if err != nil {
		cancel()
		return nil, err
	}
	l.served.Go(func() { defer close(done); l.ended(srv.Serve(ctx, ln)) })
	return end(ln), nil
}

func (l *lab) ended(err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		l.log.Warn("a service of the exercise ended", "error", err)
	}
}

// accepted are the credentials of those names that are not planted: a planted
// one is a token of its host.
func (l *lab) accepted(names []string) []service.Credential {
	var out []service.Credential
	for _, n := range names {
		if c := l.credential(n); c != nil && !c.Decoy {
			out = append(out, service.Credential{User: c.User, Password: c.Password})
		}
	}
	return out
}

func (l *lab) credential(name string) *scenario.Credential {
	for i := range l.sc.Credentials {
		if l.sc.Credentials[i].Name == name {
			return &l.sc.Credentials[i]
		}
	}
	return nil
}

// zone answers the names of the inside DNS.
func (l *lab) zone(name string) []string {
	var out []string
	for _, a := range l.net.DNS().Lookup(name) {
		out = append(out, a.String())
	}
	return out
}

// buildOutside makes what answers on the internet inside: a server on the web's
// ports and on those that the scenario goes to, on every address, and the names
// that it uses for places out there.
func (l *lab) buildOutside(ctx context.Context) error {
	kinds := map[uint16]string{80: "outside", 443: "outside"}
	files := []service.File{}
	visit := func(action string, t scenario.Target, args scenario.Args) {
		l.place(t.External)
		if t.External == "" || !scenario.FindAction(action).Speaks() {
			return
		}
		port, kind := outsidePort(action, t, args)
		if _, taken := kinds[port]; !taken {
			kinds[port] = kind
		}
		if action == "file.download_marker" {
			files = append(files, service.File{Path: args.Text("path"), Content: act.MarkerText})
			files = append(files, service.File{Path: "/var/www/html" + args.Text("path"), Content: act.MarkerText})
		}
	}
	for i := range l.sc.Adversary.Steps {
		s := &l.sc.Adversary.Steps[i]
		visit(s.Action, s.Target, s.Args)
	}
	for i := range l.sc.Background {
		b := &l.sc.Background[i]
		visit(b.Action, b.Target, b.Args)
	}
	host, err := service.NewHost(service.HostConfig{
		Name: "internet", Persona: "linux-6", Addr: netip.PrefixFrom(netip.AddrFrom4([4]byte{203, 0, 113, 0}), 24), Accept: l.everyone(), Files: files,
		Seed: l.seedOf("internet"), Clock: l.clk, Sink: nobody{}, Programs: l.progs, Log: l.log,
	})
	if err != nil {
		return err
	}
	for port, kind := range kinds {
		c := service.Config{Host: host, Port: port, Zone: l.zone, Limits: service.Limits{Bytes: 2 * outsideBytes, PerSource: outsideVisits, Total: outsideVisits}}
		if kind == "outside" {
			c.Site = "outside"
		}
		srv, err := service.New(kind, c)
		if err != nil {
			return err
		}
		ln, err := l.internet.Listen(ctx, port)
		if err != nil {
			return err
		}
		l.served.Go(func() { l.ended(srv.Serve(ctx, ln)) })
	}
	return nil
}

// Limits of a server on the internet inside: it stands for very many.
const (
	outsideBytes  = 64 << 20
	outsideVisits = 4096
)

// outsidePort is where an act finds its server out there, and what kind it is.
func outsidePort(action string, t scenario.Target, args scenario.Args) (uint16, string) {
	port, kind := uint16(t.Port), "outside"
	switch args.Text("protocol") {
	case "sftp", "scp":
		port, kind = cmp.Or(port, 22), "ssh"
	case "ftp":
		port, kind = cmp.Or(port, 21), "ftp"
	}
	if port == 0 {
		port = uint16(scenario.FindAction(action).Port)
	}
	return cmp.Or(port, 80), kind
}

// everyone is every credential that the scenario has: an intruder's own server
// lets him in with what he says.
func (l *lab) everyone() []service.Credential {
	var out []service.Credential
	for _, c := range l.sc.Credentials {
		out = append(out, service.Credential{User: c.User, Password: c.Password})
	}
	return out
}

// place gives a name outside an address of those for documentation, drawn from
// the seed.
func (l *lab) place(name string) {
	if name == "" || l.outside[name].IsValid() {
		return
	}
	if a, err := netip.ParseAddr(name); err == nil {
		l.outside[name] = a
		return
	}
	taken := map[netip.Addr]bool{}
	for _, a := range l.outside {
		taken[a] = true
	}
	for try := 0; ; try++ {
		h := l.seedOf("outside", name, strconv.Itoa(try))
		a := netip.AddrFrom4([4]byte{203, 0, 113, byte(2 + h%240)})
		if !taken[a] || try > 1000 {
			l.outside[name] = a
			l.net.DNS().Add(strings.ToLower(name), a)
			return
		}
	}
}
