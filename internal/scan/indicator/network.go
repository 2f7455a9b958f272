package indicator

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"
)

// maxValue is how long in bytes a value is that is looked up; longer ones are
// texts.
const maxValue = 4096

// network is what a Set knows of addresses, names and URLs.
type network struct {
	nets  map[netip.Prefix]int32
	bits  []int // of nets, the longest first; IPv6's have 1000 added
	names map[string]int32
	urls  map[string]int32
}

// Network tells how many addresses, domains and URLs are in the set: they fit
// values of logs, never files.
func (s *Set) Network() int { return len(s.net.nets) + len(s.net.names) + len(s.net.urls) }

// addNetwork puts the n-th in.
func (s *Set) addNetwork(in *Indicator, n int32) error {
	w := &s.net
	switch in.Kind {
	case IP:
		p, err := parseNet(in.Value)
		if err != nil {
			return err
		}
		in.Value = strings.TrimSuffix(p.String(), fmt.Sprintf("/%d", p.Addr().BitLen()))
		if w.nets == nil {
			w.nets = map[netip.Prefix]int32{}
		}
		if _, ok := w.nets[p]; ok {
			return errKnown
		}
		w.nets[p] = n
		if b := bitsOf(p); !slices.Contains(w.bits, b) {
			w.bits = append(w.bits, b)
			slices.SortFunc(w.bits, func(a, b int) int { return b - a })
		}
	case Domain:
		in.Value = strings.ToLower(strings.TrimSuffix(strings.TrimSpace(in.Value), "."))
		if !isDomain(in.Value) {
			return fmt.Errorf("%q is no domain", clip(in.Value))
		}
		return put(&w.names, in.Value, n)
	default:
		u, err := url.Parse(in.Value)
		if err != nil || u.Host == "" || len(in.Value) > maxValue {
			return fmt.Errorf("%q is no URL", clip(in.Value))
		}
		return put(&w.urls, in.Value, n)
	}
	return nil
}

func put(m *map[string]int32, key string, n int32) error {
	if *m == nil {
		*m = map[string]int32{}
	}
	if _, ok := (*m)[key]; ok {
		return errKnown
	}
	(*m)[key] = n
	return nil
}

// parseNet reads an address or a network.
func parseNet(text string) (netip.Prefix, error) {
	text = strings.TrimSpace(text)
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil || p.Bits() == 0 {
		return p, fmt.Errorf("%q is neither an address nor a network", clip(text))
	}
	return p.Masked(), nil
}

func bitsOf(p netip.Prefix) int {
	if p.Addr().Is6() {
		return 1000 + p.Bits()
	}
	return p.Bits()
}

func isDomain(s string) bool {
	if len(s) < 3 || len(s) > 253 || !strings.Contains(s, ".") || strings.Contains(s, "..") {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '.' && c != '-' && c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && c < 0x80 {
			return false
		}
	}
	return true
}

// Value calls fn with each indicator that fits one value of a log record of the
// time at: the value as a whole is a hash, an address, a domain or a URL (whose
// host is looked up, too), a list of hashes as Sysmon writes it, or a path.
// at zero is a record without a time, which every window of validity takes.
func (s *Set) Value(value []byte, at time.Time, fn func(Hit)) {
	value = bytes.TrimSpace(value)
	if len(value) < 2 || len(value) > maxValue || len(s.all) == 0 {
		return
	}
	hit := func(n int32, ok bool) {
		if !ok {
			return
		}
		in := s.all[n]
		if !at.IsZero() && (!in.From.IsZero() && at.Before(in.From) || !in.Until.IsZero() && !at.Before(in.Until)) {
			return
		}
		fn(Hit{in, 100})
	}
	s.hash(value, hit)
	if s.Network() > 0 {
		s.address(value, hit)
	}
	if len(s.names)+len(s.patterns) > 0 && bytes.ContainsAny(value, `/\`) {
		p := strings.ReplaceAll(string(value), `\`, "/")
		n, ok := s.names[strings.ToLower(path.Base(p))]
		hit(n, ok)
		for _, x := range s.patterns {
			hit(x.n, x.re.MatchString(p))
		}
	}
}

// hash looks up a hash, or the hashes in a text such as "MD5=…,SHA256=…".
func (s *Set) hash(value []byte, hit func(int32, bool)) {
	if len(s.hashes) == 0 {
		return
	}
	for part := range bytes.SplitSeq(value, []byte(",")) {
		name, h, ok := bytes.Cut(part, []byte("="))
		if !ok {
			h = part
		} else if bytes.EqualFold(name, []byte("IMPHASH")) {
			continue
		}
		var raw [32]byte
		if hashKind(len(h)) == "" {
			continue
		}
		if n, err := hex.Decode(raw[:], h); err == nil {
			i, ok := s.hashes[string(raw[:n])]
			hit(i, ok)
		}
	}
}

// address looks up an address, a domain or a URL.
func (s *Set) address(value []byte, hit func(int32, bool)) {
	text := string(value)
	if strings.Contains(text, "://") {
		n, ok := s.net.urls[text]
		hit(n, ok)
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		text = u.Hostname()
	}
	if a, err := netip.ParseAddr(text); err == nil {
		a = a.Unmap().WithZone("")
		for _, b := range s.net.bits {
			if (b >= 1000) != a.Is6() {
				continue
			}
			if p, err := a.Prefix(b % 1000); err == nil {
				n, ok := s.net.nets[p]
				hit(n, ok)
			}
		}
		return
	}
	if len(s.net.names) > 0 && len(text) <= 254 {
		n, ok := s.net.names[strings.ToLower(strings.TrimSuffix(text, "."))]
		hit(n, ok)
	}
}

// All calls fn with every indicator.
func (s *Set) All(fn func(Indicator)) {
	for _, in := range s.all {
		fn(in)
	}
}
