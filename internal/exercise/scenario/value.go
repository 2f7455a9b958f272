package scenario

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Share is a part of one: 0.3, written 0.3 or 30%.
type Share float64

// UnmarshalText reads 0.3 or 30%.
func (s *Share) UnmarshalText(b []byte) error {
	text, div := strings.TrimSpace(string(b)), 1.0
	if t, ok := strings.CutSuffix(text, "%"); ok {
		text, div = t, 100
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !(f >= 0 && f/div <= 1) {
		return fmt.Errorf("%q is no share: write 30%% or 0.3, at most 100%%", b)
	}
	*s = Share(f / div)
	return nil
}

// Rate is a number of times a second.
type Rate float64

// UnmarshalText reads 20/s, 6/m or 10/h.
func (r *Rate) UnmarshalText(b []byte) error {
	num, unit, _ := strings.Cut(string(b), "/")
	f, err := strconv.ParseFloat(strings.TrimSpace(num), 64)
	per, known := map[string]float64{"s": 1, "m": 60, "h": 3600}[unit]
	if err != nil || !known || !(f > 0 && f <= 1e6) {
		return fmt.Errorf("%q is no rate: write 20/s, 6/m or 10/h", b)
	}
	*r = Rate(f / per)
	return nil
}

// Bandwidth is a number of bits a second.
type Bandwidth int64

// UnmarshalText reads 100Mbit, 1Gbit, 64kbit or a number of bits.
func (w *Bandwidth) UnmarshalText(b []byte) error {
	text, mul := string(b), int64(1)
	for suffix, m := range map[string]int64{"kbit": 1e3, "Mbit": 1e6, "Gbit": 1e9} {
		if t, ok := strings.CutSuffix(text, suffix); ok {
			text, mul = t, m
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > 1e12/mul {
		return fmt.Errorf("%q is no bandwidth: write 100Mbit or 64kbit, up to 1000Gbit", b)
	}
	*w = Bandwidth(n * mul)
	return nil
}

// Port is one port of a transport.
type Port struct {
	Proto  string // tcp or udp
	Number uint16
}

// String is tcp/22.
func (p Port) String() string { return fmt.Sprintf("%s/%d", p.Proto, p.Number) }

// UnmarshalText reads tcp/22.
func (p *Port) UnmarshalText(b []byte) error {
	var r PortRange
	if err := r.UnmarshalText(b); err != nil {
		return err
	}
	if r.Lo != r.Hi {
		return fmt.Errorf("%q is a range of ports: name one, such as %s/%d", b, r.Proto, r.Lo)
	}
	*p = Port{r.Proto, r.Lo}
	return nil
}

// PortRange is several ports of a transport, or icmp.
type PortRange struct {
	Proto  string // tcp, udp or icmp
	Lo, Hi uint16 // 1 to 65535; 0 of icmp
}

// UnmarshalText reads tcp/22, udp/1000-2000, tcp/any or icmp.
func (r *PortRange) UnmarshalText(b []byte) error {
	text := string(b)
	if text == "icmp" {
		*r = PortRange{Proto: text}
		return nil
	}
	proto, ports, _ := strings.Cut(text, "/")
	lo, hi, ranged := strings.Cut(ports, "-")
	switch {
	case ports == "any":
		lo, hi = "1", "65535"
	case !ranged:
		hi = lo
	}
	l, err1 := strconv.ParseUint(lo, 10, 16)
	h, err2 := strconv.ParseUint(hi, 10, 16)
	if (proto != "tcp" && proto != "udp") || err1 != nil || err2 != nil || l == 0 || l > h {
		return fmt.Errorf("%q is no port: write tcp/22, udp/53, tcp/8000-8099 or tcp/any", b)
	}
	*r = PortRange{proto, uint16(l), uint16(h)}
	return nil
}

// ServiceRef names a service as host/tcp/80.
type ServiceRef struct {
	Host string
	Port Port
}

// UnmarshalText reads host/tcp/80.
func (s *ServiceRef) UnmarshalText(b []byte) error {
	host, port, _ := strings.Cut(string(b), "/")
	if err := s.Port.UnmarshalText([]byte(port)); err != nil || host == "" {
		return fmt.Errorf("%q names no service: write HOST/tcp/80", b)
	}
	s.Host = host
	return nil
}

// Texts is a list of texts; in the file one alone needs no brackets.
type Texts []string

// UnmarshalYAML takes a text or a list.
func (t *Texts) UnmarshalYAML(n *yamldoc.Node) error {
	if n.Kind == yamldoc.Scalar {
		*t = Texts{n.Value}
		return nil
	}
	return n.Decode((*[]string)(t))
}

// Delay is a span of time to choose from.
type Delay struct {
	Min, Max time.Duration
}

// UnmarshalYAML takes 30s or {min: 30s, max: 90s}.
func (d *Delay) UnmarshalYAML(n *yamldoc.Node) error {
	if n.Kind == yamldoc.Scalar {
		err := n.Decode(&d.Min)
		d.Max = d.Min
		return err
	}
	var v struct{ Min, Max time.Duration }
	err := n.Decode(&v)
	*d = Delay(v)
	d.Max = max(d.Min, d.Max)
	return err
}
