//go:build unix

package app

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/token"
)

// door is a decoy's service as tokens may lead to it.
type door struct {
	Host     string   `json:"host"`
	Type     string   `json:"type"`
	Address  string   `json:"address"`
	HostKeys []string `json:"host_keys,omitempty"` // public keys as in known_hosts, Ed25519 first

	Certificate string `json:"certificate,omitempty"` // of the web server, PEM
	Name        string `json:"name,omitempty"`        // that the certificate is for
}

// saveDoors writes down which doors are open, for commands and the hub.
func (d Dir) saveDoors(listens []Listen, orders *WorkerOrders) error {
	doors := make([]door, 0, len(listens))
	for _, l := range listens {
		one := door{Host: l.Host, Type: l.Type, Address: l.Address}
		i := slices.IndexFunc(orders.Hosts, func(h WorkerHost) bool { return h.Config.Name == l.Host })
		if l.Type == "ssh" && i >= 0 {
			var err error
			if one.HostKeys, err = publicKeys(orders.Hosts[i].Identity.HostKeys); err != nil {
				return fmt.Errorf("the host keys of %s: %w", l.Host, err)
			}
		}
		if l.Type == "https" && i >= 0 {
			one.Name = orders.Hosts[i].Identity.Persona.FQDN()
			block, _ := pem.Decode(orders.Hosts[i].Identity.TLS)
			if block == nil {
				return fmt.Errorf("the certificate of %s: it is no PEM", l.Host)
			}
			one.Certificate = string(pem.EncodeToMemory(block))
		}
		doors = append(doors, one)
	}
	data, err := json.Marshal(doors)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(d.doors(), data); err != nil {
		return fmt.Errorf("write down the open doors: %w", err)
	}
	return nil
}

func publicKeys(private [][]byte) (out []string, err error) {
	for _, p := range private {
		s, err := ssh.ParsePrivateKey(p)
		if err != nil {
			return nil, err
		}
		out = append(out, strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))))
	}
	slices.SortStableFunc(out, func(a, b string) int {
		first := func(s string) int {
			if strings.HasPrefix(s, ssh.KeyAlgoED25519) {
				return 0
			}
			return 1
		}
		return first(a) - first(b)
	})
	return out, nil
}

func (d Dir) loadDoors() ([]door, error) {
	data, err := os.ReadFile(d.doors())
	if errors.Is(err, os.ErrNotExist) {
		return nil, errors.New("no decoy was started here yet: lapwing up first, so that a token has something to lead to")
	}
	var doors []door
	if err == nil {
		err = json.Unmarshal(data, &doors)
	}
	if err != nil {
		return nil, fmt.Errorf("read the doors of the last start: %w", err)
	}
	return doors, nil
}

// aim chooses the doors that t leads to.
func (k *desk) aim(t *token.Token, o NewToken) (near token.Surroundings, err error) {
	kind, err := token.FindKind(o.Kind)
	if err != nil {
		return near, refuse(http.StatusBadRequest, "%v", err)
	}
	if len(kind.Services) == 0 {
		return near, nil
	}
	doors, err := k.dir.loadDoors()
	if err != nil {
		return near, refuse(http.StatusConflict, "%v", err)
	}
	d := choose(doors, kind.Services, o.To)
	if d == nil {
		return near, refuse(http.StatusConflict, "no decoy that a token of kind %s can lead to was open at the last start (it takes one of type %s)", kind.Name, strings.Join(kind.Services, " or "))
	}
	if t.Door, err = d.seen(o.Address); err != nil {
		return near, err
	}
	for _, typ := range kind.Services {
		if more := choose(doors, []string{typ}, o.To); kind.All && more != nil && typ != d.Type {
			host, _, err := net.SplitHostPort(o.Address)
			if err != nil { // without a port
				host = o.Address
			}
			one, err := more.seen(host)
			if err != nil {
				return near, err
			}
			t.More = append(t.More, one)
		}
	}
	return d.near(), nil
}

// near is what the content of a token takes from the door.
func (d *door) near() token.Surroundings {
	if d == nil {
		return token.Surroundings{}
	}
	return token.Surroundings{HostKeys: d.HostKeys, Certificate: d.Certificate, Name: d.Name}
}

// seen is the door as it is to stand in a token: by its own address, or by the
// address or name that others reach it by.
func (d *door) seen(as string) (token.Door, error) {
	out := token.Door{Decoy: d.Host, Type: d.Type, Address: d.Address}
	own, err := netip.ParseAddrPort(d.Address)
	if err != nil {
		return out, fmt.Errorf("the door %s: %w", d.Address, err)
	}
	if as == "" && own.Addr().IsUnspecified() {
		return out, refuse(http.StatusBadRequest, "the decoy %s listens on every address of this machine: say by which one others reach it, with --address NAME", d.Host)
	}
	if as == "" {
		return out, nil
	}
	host, port, err := net.SplitHostPort(as)
	if err != nil {
		host, port = strings.Trim(as, "[]"), portText(own)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || !isName(host) {
		return out, refuse(http.StatusBadRequest, "%.100q is neither an address nor a name, with or without a port", as)
	}
	out.Address = net.JoinHostPort(host, port)
	return out, nil
}

// isName tells of a text that it has what names and addresses of machines have.
func isName(s string) bool {
	bad := func(r rune) bool {
		return (r|0x20 < 'a' || r|0x20 > 'z') && (r < '0' || r > '9') && r != '.' && r != '-' && r != '_' && r != ':'
	}
	return s != "" && len(s) <= 253 && !strings.ContainsFunc(s, bad)
}

func choose(doors []door, types []string, host string) *door {
	for _, typ := range types {
		for i, d := range doors {
			if d.Type == typ && (host == "" || d.Host == host) {
				return &doors[i]
			}
		}
	}
	return nil
}

func portText(a netip.AddrPort) string { return strconv.Itoa(int(a.Port())) }

// ownDoor finds the listener of ours that the address in a token leads to.
func ownDoor(ctx context.Context, d token.Door, doors []door) (netip.AddrPort, error) {
	host, port, err := net.SplitHostPort(d.Address)
	if err != nil {
		return netip.AddrPort{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find %s, which the token leads to: %w", host, err)
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("find the addresses of this machine: %w", err)
	}
	here := func(a netip.Addr) bool {
		return slices.ContainsFunc(own, func(n net.Addr) bool {
			p, err := netip.ParsePrefix(n.String())
			return err == nil && p.Addr().Unmap() == a
		})
	}
	for _, a := range addrs {
		a = a.Unmap()
		for _, l := range doors {
			at, err := netip.ParseAddrPort(l.Address)
			if err != nil || l.Type != d.Type || portText(at) != port {
				continue
			}
			if at.Addr().Unmap() == a || at.Addr().IsUnspecified() && (a.IsLoopback() || here(a)) {
				return netip.AddrPortFrom(a, at.Port()), nil
			}
		}
	}
	return netip.AddrPort{}, fmt.Errorf("%s, which the token leads to, is no decoy of this machine: nothing is sent there (it moved, or stands behind a translation of addresses)", d.Address)
}
