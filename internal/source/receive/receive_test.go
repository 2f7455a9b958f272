package receive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/source/feed"
	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// taker takes lines and remembers them.
type taker struct {
	mu    sync.Mutex
	lines []line.Line
	hold  chan struct{} // nil, or what Take waits for
	fail  error
}

func (k *taker) Take(ctx context.Context, b line.Batch) error {
	if k.hold != nil {
		select {
		case <-k.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fail != nil {
		return k.fail
	}
	for _, l := range b.Lines {
		l.Text = bytes.Clone(l.Text)
		k.lines = append(k.lines, l)
	}
	return nil
}

func (k *taker) texts() (out []string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, l := range k.lines {
		out = append(out, string(l.Text))
	}
	return out
}

// until waits for ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: it never happens", what)
		}
	}
}

// rig is a receiver at work.
type rig struct {
	sink *taker
	feed *feed.Feed
	tcp  string
	udp  string
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	var lc net.ListenConfig
	ln, err := lc.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

func newRig(t *testing.T, sink *taker, tweak func(*Config)) *rig {
	t.Helper()
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{sink: sink}
	if r.feed, err = feed.New(feed.Config{Name: "net", Type: "syslog", Sink: sink}); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Feed: r.feed, Format: "syslog", TCP: listen(t), UDP: udp}
	r.tcp, r.udp = cfg.TCP.Addr().String(), udp.LocalAddr().String()
	if tweak != nil {
		tweak(&cfg)
	}
	s, err := NewSyslog(cfg)
	if err != nil {
		t.Fatal(err)
	}
	run(t, s.Run)
	return r
}

func run(t *testing.T, fn func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- fn(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
}

func dial(t *testing.T, network, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(time.Minute))
	return c
}

const (
	new5424 = "<34>1 2026-11-25T22:14:15.003Z host su - ID47 - 'su root' failed"
	old3164 = "<13>Nov 25 22:14:15 host su: 'su root' failed"
)

func TestDatagrams(t *testing.T) {
	r := newRig(t, &taker{}, nil)
	c := dial(t, "udp", r.udp)
	for _, m := range []string{new5424, old3164 + "\n", "no priority\x00", "\n\n", strings.Repeat("x", 65_000)} {
		if _, err := c.Write([]byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "lines", func() bool { return len(r.sink.texts()) == 4 })
	want := []string{new5424, old3164, "no priority", strings.Repeat("x", 65_000)}
	if d := cmp.Diff(want, r.sink.texts()); d != "" {
		t.Errorf("%.500s", d)
	}
	l := r.sink.lines[0]
	if l.Peer != "127.0.0.1" || l.Format != "syslog" || l.Received.IsZero() || l.Mark == r.sink.lines[1].Mark {
		t.Errorf("line %+v", l)
	}
	until(t, "a refusal", func() bool { return r.feed.Stats().Refused == 1 })
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 10)); err == nil {
		t.Errorf("a datagram was answered with %d bytes", n)
	}
}

func TestDatagramsThatNobodyTakesAreCounted(t *testing.T) {
	sink := &taker{hold: make(chan struct{})}
	r := newRig(t, sink, func(c *Config) { c.Queue = 10 })
	c := dial(t, "udp", r.udp)
	sent := 0
	until(t, "drops", func() bool {
		c.Write([]byte(old3164))
		sent++
		return r.feed.Stats().Dropped > 5
	})
	close(sink.hold)
	until(t, "all are taken or counted", func() bool {
		c.Write([]byte("<13>one more, so that the kernel tells"))
		sent++
		s := r.feed.Stats()
		return int(s.Lines)+int(s.Dropped) >= sent-5 && s.Lines > 0
	})
}

func TestStreamsInBothFramings(t *testing.T) {
	r := newRig(t, &taker{}, nil)
	c := dial(t, "tcp", r.tcp)
	two := "<13>two\nlines in one"
	fmt.Fprintf(c, "%d %s%s\n%d %s\n2026-11-25 begins with digits\n\r\n", len(new5424), new5424, old3164, len(two), two)
	io.WriteString(c, "<13>no end")
	c.Close()
	want := []string{new5424, old3164, two, "2026-11-25 begins with digits", "<13>no end"}
	until(t, "lines", func() bool { return len(r.sink.texts()) >= len(want) })
	if d := cmp.Diff(want, r.sink.texts()); d != "" {
		t.Error(d)
	}
	if s := r.feed.Stats(); s.Refused != 0 {
		t.Errorf("counted %+v", s)
	}
}

func TestStreamBounds(t *testing.T) {
	long := strings.Repeat("y", line.MaxText+1000)
	for name, tt := range map[string]struct {
		send    string
		want    []int // lengths
		cut     int
		refused int
	}{
		"a long line":             {long + "\n<13>next\n", []int{line.MaxText, 8}, 1, 0},
		"a long counted message":  {fmt.Sprintf("%d <13>%s<13>next\n", len(long)+4, long), []int{line.MaxText, 8}, 1, 0},
		"a length beyond all":     {"9999999 <13>x", nil, 0, 1},
		"a length that is a lie":  {"500 <13>x", nil, 0, 1},
		"just as long as allowed": {strings.Repeat("y", line.MaxText) + "\r\n", []int{line.MaxText}, 0, 0},
		"nothing but line ends":   {strings.Repeat("\n", 10_000) + "<13>x\n", []int{5}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, &taker{}, nil)
			c := dial(t, "tcp", r.tcp)
			io.WriteString(c, tt.send)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			until(t, "the end", func() bool { s := r.feed.Stats(); return int(s.Lines) == len(tt.want) && int(s.Refused) == tt.refused })
			var got []int
			for _, l := range r.sink.texts() {
				got = append(got, len(l))
			}
			if !slices.Equal(got, tt.want) || int(r.feed.Stats().Cut) != tt.cut {
				t.Errorf("lengths %v, %+v", got, r.feed.Stats())
			}
		})
	}
}

// TestSlowAndManyConnections holds connections that say little or nothing.
func TestSlowAndManyConnections(t *testing.T) {
	r := newRig(t, &taker{}, func(c *Config) { c.PerSource, c.message = 3, 300*time.Millisecond })
	var all []net.Conn
	for range 3 {
		c := dial(t, "tcp", r.tcp)
		io.WriteString(c, "<13>sl")
		all = append(all, c)
	}
	more := dial(t, "tcp", r.tcp)
	if _, err := more.Read(make([]byte, 1)); err == nil {
		t.Error("a fourth connection is served")
	}
	for _, c := range all { // each is closed, for its message does not come
		if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a slow connection: %v", err)
		}
	}
	until(t, "counts", func() bool { return r.feed.Stats().Refused == 4 })
	until(t, "a new one", func() bool {
		c, err := net.Dial("tcp", r.tcp)
		if err != nil {
			return false
		}
		defer c.Close()
		io.WriteString(c, "<13>well\n")
		return slices.Contains(r.sink.texts(), "<13>well")
	})
	if slices.Contains(r.sink.texts(), "<13>sl") {
		t.Error("half a message was taken for one")
	}
}

// TestAFullQueueHoldsTheStream: nothing is dropped of a stream.
func TestAFullQueueHoldsTheStream(t *testing.T) {
	sink := &taker{hold: make(chan struct{})}
	r := newRig(t, sink, func(c *Config) { c.Queue = 4 })
	c := dial(t, "tcp", r.tcp)
	const n = 3000
	go func() {
		w := bufio.NewWriter(c)
		for i := range n {
			fmt.Fprintf(w, "<13>line %d\n", i)
		}
		w.Flush()
	}()
	time.Sleep(20 * time.Millisecond)
	close(sink.hold)
	until(t, "all lines", func() bool { return len(sink.texts()) == n })
	for i, l := range sink.texts() {
		if l != fmt.Sprintf("<13>line %d", i) {
			t.Fatalf("line %d is %q", i, l)
		}
	}
	if s := r.feed.Stats(); s.Dropped != 0 {
		t.Errorf("counted %+v", s)
	}
}

// certificate makes one that is signed by parent, nil: by itself.
func certificate(t *testing.T, name string, parent *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tpl := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: parent == nil, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	by, signer := tpl, any(key)
	if parent != nil {
		by, signer = parent.Leaf, parent.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, tpl, by, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func TestTLS(t *testing.T) {
	ca, other := certificate(t, "ca", nil), certificate(t, "other", nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	server := certificate(t, "server", &ca)
	r := newRig(t, &taker{}, func(c *Config) {
		c.TLS = &tls.Config{Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12}
		c.handshake = 500 * time.Millisecond
	})
	send := func(client tls.Certificate) error {
		d := tls.Dialer{Config: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{client}}}
		c, err := d.DialContext(t.Context(), "tcp", r.tcp)
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintf(c, "%d %s", len(new5424), new5424)
		c.SetReadDeadline(time.Now().Add(time.Minute))
		c.(*tls.Conn).CloseWrite()
		_, err = io.ReadAll(c)
		return err
	}
	if err := send(certificate(t, "client", &ca)); err != nil {
		t.Errorf("a known client: %v", err)
	}
	if err := send(certificate(t, "stranger", &other)); err == nil {
		t.Error("a client of another authority is served")
	}
	plain := dial(t, "tcp", r.tcp)
	io.WriteString(plain, old3164+"\n")
	io.Copy(io.Discard, plain)
	silent := dial(t, "tcp", r.tcp)
	io.Copy(io.Discard, silent) // ends with the handshake's deadline
	until(t, "lines", func() bool { return r.feed.Stats().Refused == 3 && len(r.sink.texts()) == 1 })
}

// FuzzStream: however a stream is cut into reads it gives the same messages,
// none longer than allowed, and together not more bytes than came.
func FuzzStream(f *testing.F) {
	f.Add([]byte("12 <13>counted\n<13>line\n2026 x\n"), uint8(3))
	f.Add([]byte("0 <\n1 <<a\n99999999 <\n"), uint8(1))
	f.Fuzz(func(t *testing.T, data []byte, step uint8) {
		all := func(in io.Reader) (out []string) {
			r := &reader{conn: noDeadline{}, in: bufio.NewReaderSize(in, 16)}
			for range len(data) + 2 {
				text, _, err := r.next()
				if err != nil && !errors.Is(err, io.EOF) {
					return out
				}
				if len(text) > line.MaxText {
					t.Fatalf("%d bytes", len(text))
				}
				if len(text) > 0 {
					out = append(out, string(text))
				}
				if err != nil {
					return out
				}
			}
			t.Fatal("it does not end")
			return nil
		}
		whole := all(bytes.NewReader(data))
		n := 0
		for _, m := range whole {
			n += len(m)
		}
		if n > len(data) {
			t.Errorf("%d bytes of messages in %d", n, len(data))
		}
		if parts := all(&slowly{data, int(step)%7 + 1}); !slices.Equal(whole, parts) {
			t.Errorf("%q in parts, %q as a whole", parts, whole)
		}
	})
}

type noDeadline struct{}

func (noDeadline) SetReadDeadline(time.Time) error { return nil }

type slowly struct {
	data []byte
	step int
}

func (s *slowly) Read(b []byte) (int, error) {
	if len(s.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), s.step)], s.data)
	s.data = s.data[n:]
	return n, nil
}

func TestNetflowIsHandedOnAsItIs(t *testing.T) {
	udp, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	sink := &taker{}
	f, err := feed.New(feed.Config{Name: "flows", Type: "netflow", Sink: sink})
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewNetflow(Config{Feed: f, Format: "netflow", UDP: udp})
	if err != nil {
		t.Fatal(err)
	}
	addr := udp.LocalAddr().String()
	run(t, s.Run)
	packet := "\x00\x09\x00\x00rest\n\x00"
	if _, err := dial(t, "udp", addr).Write([]byte(packet)); err != nil {
		t.Fatal(err)
	}
	until(t, "a datagram", func() bool { return len(sink.texts()) == 1 })
	if l := sink.lines[0]; string(l.Text) != packet || l.Format != "netflow" || l.Peer != "127.0.0.1" {
		t.Errorf("got %+v", l)
	}
}
