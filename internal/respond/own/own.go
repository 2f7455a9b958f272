// Package own finds out whom this machine lives by: its addresses, gateways,
// resolvers, time and DHCP servers, and the administrators who are logged in now.
// None of them may be blocked.
package own

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/netip"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Config is what New takes.
type Config struct {
	Root fs.FS // the file system, "etc/resolv.conf" and the like
	// Addresses are those of this machine, Gateways its default gateways; nil: asked
	// of the system.
	Addresses, Gateways func() (map[netip.Addr]string, error)
	// Lookup resolves the name of a time server; nil: not resolved.
	Lookup func(ctx context.Context, name string) ([]netip.Addr, error)
	Names  []string // hosts that must be reached, beside the time servers
	// Ports are those that sshd listens on beside those of its configuration.
	Ports []int
	// LoggedIn tells whether an address logged in to this machine of late, as its log says.
	LoggedIn func(netip.Addr) bool
	Fixed    action.AllowList // of the configuration
	Now      func() time.Time
}

const (
	maxFile     = 1 << 20   // bytes of one file that are read
	maxSessions = 4096      // administrators
	nameFresh   = time.Hour // how long the addresses of a name count
	nameWait    = 2 * time.Second
)

// Own collects. It is for one goroutine.
type Own struct {
	cfg   Config
	last  map[string]map[netip.Addr]string // by part: what cannot be read stays as it was
	names map[string]named
}

type named struct {
	at    time.Time
	addrs []netip.Addr
}

// New makes an Own.
func New(cfg Config) *Own {
	if cfg.Addresses == nil {
		cfg.Addresses = addresses
	}
	if cfg.Gateways == nil {
		cfg.Gateways = gateways
	}
	return &Own{cfg: cfg, last: map[string]map[netip.Addr]string{}, names: map[string]named{}}
}

// List is the allow list now. An error names what could not be found out; the list
// then has what was found before.
func (o *Own) List(ctx context.Context) (action.AllowList, error) {
	var errs []error
	out := slices.Clone(o.cfg.Fixed)
	for _, part := range []struct {
		name string
		find func(context.Context) (map[netip.Addr]string, error)
	}{
		{"own addresses", func(context.Context) (map[netip.Addr]string, error) { return o.cfg.Addresses() }},
		{"default gateways", func(context.Context) (map[netip.Addr]string, error) { return o.cfg.Gateways() }},
		{"resolvers", o.resolvers},
		{"time servers", o.timeServers},
		{"DHCP servers", o.dhcp},
		{"sessions", o.sessions},
	} {
		found, err := part.find(ctx)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", part.name, err))
			merged := maps.Clone(o.last[part.name])
			if merged == nil {
				merged = map[netip.Addr]string{}
			}
			maps.Copy(merged, found)
			found = merged
		}
		o.last[part.name] = found
		for a, why := range found {
			a = a.Unmap().WithZone("")
			if a.IsValid() && !a.IsUnspecified() {
				out = append(out, action.Allowed{Prefix: netip.PrefixFrom(a, a.BitLen()), Why: why})
			}
		}
	}
	slices.SortFunc(out, func(a, b action.Allowed) int {
		if c := a.Prefix.Addr().Compare(b.Prefix.Addr()); c != 0 {
			return c
		}
		return strings.Compare(a.Why, b.Why)
	})
	return slices.Compact(out), errors.Join(errs...)
}

// addresses are those of the interfaces.
func addresses() (map[netip.Addr]string, error) {
	ifs, err := net.Interfaces()
	if err != nil {
		return nil, err
	}
	out := map[netip.Addr]string{}
	for _, i := range ifs {
		as, err := i.Addrs()
		if err != nil {
			return out, err
		}
		for _, a := range as {
			if n, ok := a.(*net.IPNet); ok {
				if ip, ok := netip.AddrFromSlice(n.IP); ok {
					out[ip.Unmap()] = "own address on " + i.Name
				}
			}
		}
	}
	return out, nil
}

// lines calls fn with the words of each line of a file that is no comment; a
// missing file has none.
func (o *Own) lines(name string, fn func(words []string)) error {
	f, err := o.cfg.Root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 64<<10)
	for read := 0; sc.Scan() && read < maxFile; read += len(sc.Bytes()) {
		text, _, _ := strings.Cut(sc.Text(), "#")
		if w := strings.Fields(text); len(w) > 0 && w[0][0] != ';' {
			fn(w)
		}
	}
	return sc.Err()
}

// all calls fn for each file that a pattern fits.
func (o *Own) all(pattern string, fn func(name string) error) error {
	names, err := fs.Glob(o.cfg.Root, pattern)
	if err != nil {
		return err
	}
	var errs []error
	for _, n := range names {
		errs = append(errs, fn(n))
	}
	return errors.Join(errs...)
}

// resolvers are those of resolv.conf, and those behind systemd-resolved.
func (o *Own) resolvers(context.Context) (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	var errs []error
	for _, file := range []string{"etc/resolv.conf", "run/systemd/resolve/resolv.conf", "run/NetworkManager/resolv.conf"} {
		errs = append(errs, o.lines(file, func(w []string) {
			if len(w) > 1 && w[0] == "nameserver" {
				put(out, w[1], "resolver in /"+file)
			}
		}))
	}
	return out, errors.Join(errs...)
}

func put(out map[netip.Addr]string, text, why string) bool {
	a, err := netip.ParseAddr(strings.Trim(text, `"'`))
	if err != nil {
		return false
	}
	out[a.Unmap().WithZone("")] = why
	return true
}

// timeServers are those that chrony, ntpd, openntpd and systemd-timesyncd are told.
func (o *Own) timeServers(ctx context.Context) (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	names := map[string]string{}
	for _, n := range o.cfg.Names {
		names[n] = "named in the configuration"
	}
	add := func(text, file string) {
		if !put(out, text, "time server in /"+file) && !strings.ContainsAny(text, ":/") {
			names[text] = "time server in /" + file
		}
	}
	servers := func(file string) error {
		return o.lines(file, func(w []string) {
			switch {
			case len(w) > 1 && slices.Contains([]string{"server", "pool", "peer", "servers"}, w[0]):
				add(w[1], file)
			case strings.HasPrefix(w[0], "NTP=") || strings.HasPrefix(w[0], "FallbackNTP="):
				_, first, _ := strings.Cut(w[0], "=")
				for _, s := range append([]string{first}, w[1:]...) {
					if s != "" {
						add(s, file)
					}
				}
			}
		})
	}
	var errs []error
	for _, pattern := range []string{
		"etc/chrony.conf", "etc/chrony/chrony.conf", "etc/chrony/sources.d/*.sources", "etc/chrony/conf.d/*.conf", "run/chrony-dhcp/*.sources",
		"etc/ntp.conf", "etc/ntpsec/ntp.conf", "etc/openntpd/ntpd.conf", "etc/systemd/timesyncd.conf", "etc/systemd/timesyncd.conf.d/*.conf", "run/systemd/netif/state",
	} {
		errs = append(errs, o.all(pattern, servers))
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		for _, a := range o.lookup(ctx, name) {
			out[a.Unmap()] = names[name] + " (" + name + ")"
		}
	}
	return out, errors.Join(errs...)
}

// lookup resolves a name; the last answer counts as long as there is no newer one.
func (o *Own) lookup(ctx context.Context, name string) []netip.Addr {
	n := o.names[name]
	if o.cfg.Lookup == nil || !n.at.IsZero() && o.cfg.Now().Sub(n.at).Abs() < nameFresh {
		return n.addrs
	}
	ctx, cancel := context.WithTimeout(ctx, nameWait)
	defer cancel()
	n.at = o.cfg.Now()
	if as, err := o.cfg.Lookup(ctx, name); err == nil && len(as) > 0 {
		n.addrs = as
	}
	o.names[name] = n
	return n.addrs
}

// dhcp are the servers that leases of this machine name.
func (o *Own) dhcp(context.Context) (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	one := func(file string) error {
		return o.lines(file, func(w []string) {
			if v, ok := strings.CutPrefix(w[0], "SERVER_ADDRESS="); ok {
				put(out, v, "DHCP server in /"+file)
			}
			if len(w) > 2 && w[0] == "option" && w[1] == "dhcp-server-identifier" {
				put(out, strings.TrimSuffix(w[2], ";"), "DHCP server in /"+file)
			}
		})
	}
	var errs []error
	for _, pattern := range []string{"run/systemd/netif/leases/*", "var/lib/dhcp/*.leases", "var/lib/dhclient/*.leases", "var/lib/NetworkManager/*.lease", "run/NetworkManager/devices/*"} {
		errs = append(errs, o.all(pattern, one))
	}
	return out, errors.Join(errs...)
}

// sshPorts are those that sshd is told to listen on.
func (o *Own) sshPorts() []int {
	ports := slices.Clone(o.cfg.Ports)
	read := func(file string) error {
		return o.lines(file, func(w []string) {
			if len(w) > 1 && strings.EqualFold(w[0], "port") {
				if p, err := strconv.Atoi(w[1]); err == nil {
					ports = append(ports, p)
				}
			}
		})
	}
	for _, pattern := range []string{"etc/ssh/sshd_config", "etc/ssh/sshd_config.d/*.conf"} {
		o.all(pattern, read) //nolint:errcheck // without them it is port 22
	}
	if len(ports) == 0 {
		ports = append(ports, 22)
	}
	return ports
}

// sessions are the sources of administrators who are logged in: as utmp says, as
// logind says, and whoever has a connection to sshd and logged in by its log.
func (o *Own) sessions(context.Context) (map[netip.Addr]string, error) {
	out := map[netip.Addr]string{}
	errs := []error{o.utmp("run/utmp", out), o.utmp("var/run/utmp", out)}
	errs = append(errs, o.all("run/systemd/sessions/*", func(file string) error {
		if strings.HasSuffix(file, ".ref") {
			return nil
		}
		var host, user, state string
		err := o.lines(file, func(w []string) {
			k, v, _ := strings.Cut(w[0], "=")
			switch k {
			case "REMOTE_HOST":
				host = v
			case "USER":
				user = v
			case "STATE":
				state = v
			}
		})
		if host != "" && state != "closing" && len(out) < maxSessions {
			put(out, host, "session "+path.Base(file)+" of "+user)
		}
		return err
	}))
	errs = append(errs, o.connected(out))
	return out, errors.Join(errs...)
}
