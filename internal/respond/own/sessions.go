package own

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/utmp"
)

// utmp adds who is logged in from elsewhere.
func (o *Own) utmp(name string, out map[netip.Addr]string) error {
	f, err := o.cfg.Root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	data := make([]byte, maxFile)
	n, err := io.ReadFull(f, data)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	for _, r := range utmp.Parse(data[:n]) {
		why := "session of " + strings.ToValidUTF8(r.User, "?")
		if r.Kind != utmp.User || len(out) >= maxSessions || put(out, r.Host, why) {
			continue
		}
		a := netip.AddrFrom16(r.Addr)
		if binary.BigEndian.Uint64(r.Addr[8:]) == 0 && binary.BigEndian.Uint32(r.Addr[4:]) == 0 {
			a = netip.AddrFrom4([4]byte(r.Addr[:4]))
		}
		if !a.IsUnspecified() {
			out[a.Unmap()] = why
		}
	}
	return nil
}

// connected adds whoever has an open connection to sshd and logged in of late. A
// connection alone is none: guessers have one, too.
func (o *Own) connected(out map[netip.Addr]string) error {
	if o.cfg.LoggedIn == nil {
		return nil
	}
	ports := o.sshPorts()
	var errs []error
	for _, file := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		errs = append(errs, o.lines(file, func(w []string) {
			if len(w) < 4 || w[3] != "01" { // established
				return
			}
			local, err1 := procAddr(w[1])
			remote, err2 := procAddr(w[2])
			if err1 != nil || err2 != nil || !slices.Contains(ports, int(local.Port())) || len(out) >= maxSessions {
				return
			}
			if a := remote.Addr(); out[a] == "" && o.cfg.LoggedIn(a) {
				out[a] = "open connection to sshd after a login"
			}
		}))
	}
	return errors.Join(errs...)
}

// procAddr reads an address of /proc/net/tcp: words of 32 bits in the machine's
// order, then the port.
func procAddr(s string) (netip.AddrPort, error) {
	addr, port, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(addr)
	n, perr := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil || perr != nil || len(raw) != 4 && len(raw) != 16 {
		return netip.AddrPort{}, fmt.Errorf("address %.60q", s)
	}
	for i := 0; i < len(raw); i += 4 {
		binary.NativeEndian.PutUint32(raw[i:], binary.BigEndian.Uint32(raw[i:]))
	}
	a, _ := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(a.Unmap(), uint16(n)), nil
}
