package notify

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Syslog sends RFC 5424 records over TCP with octet counting (RFC 6587), over TLS
// (RFC 5425) where TLS is set. What is told is a record of the Common Event Format
// (ArcSight CEF 0).
type Syslog struct {
	Address string // host:port
	TLS     *tls.Config
	Host    string // HOSTNAME of the header
	Version string // of the product
}

// severity is syslog's (RFC 5424, 6.2.1) and CEF's, from 0 to 10.
func severity(l alert.Level) (syslog, cef int) {
	switch l {
	case alert.Critical:
		return 2, 10
	case alert.High:
		return 3, 8
	case alert.Medium:
		return 4, 6
	case alert.Low:
		return 5, 3
	}
	return 6, 1
}

const facility = 13 // log audit

// record is m as it goes over the wire, without the octet count.
func (s *Syslog) record(m *Message) string {
	sys, cef := severity(m.level())
	head := strings.NewReplacer("\\", "\\\\", "|", "\\|", "\n", " ").Replace
	value := strings.NewReplacer("\\", "\\\\", "=", "\\=", "\n", "\\n").Replace
	var b strings.Builder
	fmt.Fprintf(&b, "<%d>1 %s %s lapwing - %s - ", facility*8+sys, m.Time.UTC().Format("2006-01-02T15:04:05.000Z"), word(s.Host), word(string(m.Kind)))
	fmt.Fprintf(&b, "CEF:0|lapwing|lapwing|%s|%s|%s|%d|", head(s.Version), head(string(m.Kind)), head(m.Title), cef)
	fmt.Fprintf(&b, "rt=%d externalId=%s msg=%s", m.Time.UnixMilli(), value(m.ID), value(m.Text))
	n := 0
	for _, f := range m.Fields {
		switch f.Name {
		case "source.ip":
			b.WriteString(" src=" + value(f.Value))
		case "user.name":
			b.WriteString(" suser=" + value(f.Value))
		case "lapwing.host", "host.name":
			b.WriteString(" dhost=" + value(f.Value))
		default:
			if n++; n <= 6 {
				fmt.Fprintf(&b, " cs%d=%s cs%dLabel=%s", n, value(f.Value), n, value(f.Name))
			}
		}
	}
	return b.String()
}

// word is a header's part: printable ASCII, "-" for nothing.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r <= ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	if s == "" {
		return "-"
	}
	return s[:min(len(s), 255)]
}

// Send connects, writes one record and closes: alerts are few, and what a
// broken connection swallowed would be lost.
func (s *Syslog) Send(ctx context.Context, m *Message) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return fmt.Errorf("syslog to %s: %w", s.Address, err)
	}
	defer conn.Close() //nolint:errcheck // what counts is whether the record went out
	if at, ok := ctx.Deadline(); ok {
		conn.SetDeadline(at) //nolint:errcheck // a failed write follows
	}
	if s.TLS != nil {
		t := tls.Client(conn, s.TLS)
		if err := t.HandshakeContext(ctx); err != nil {
			return fmt.Errorf("syslog to %s: %w", s.Address, err)
		}
		conn = t
	}
	r := s.record(m)
	if _, err := conn.Write([]byte(strconv.Itoa(len(r)) + " " + r)); err != nil {
		return fmt.Errorf("syslog to %s: %w", s.Address, err)
	}
	return s.taken(conn)
}

// taken waits until the other side has what was written: it closes after ours,
// or says nothing for a second.
func (s *Syslog) taken(conn net.Conn) error {
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		if err := c.CloseWrite(); err != nil {
			return fmt.Errorf("syslog to %s: %w", s.Address, err)
		}
	}
	conn.SetReadDeadline(time.Now().Add(time.Second)) //nolint:errcheck // a failed read follows
	var b [1]byte
	conn.Read(b[:]) //nolint:errcheck // whatever it is, the record is out
	return nil
}
