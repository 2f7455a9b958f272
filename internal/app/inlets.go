//go:build unix

package app

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/source/receive"
)

// inlet is what a source that listens was handed, and what it read of files
// before it could not read them any more.
type inlet struct {
	tcp   net.Listener
	udp   net.PacketConn
	tls   *tls.Config
	token []byte
}

// maxSecret is how many bytes of a certificate, key or token are read.
const maxSecret = 1 << 20

// open takes the listeners of the sources, and their certificates and tokens.
func (o *ReaderOrders) open() (map[string]*inlet, error) {
	inlets := map[string]*inlet{}
	for i := range o.Sources {
		d, err := o.Sources[i].open()
		if err != nil {
			return nil, fmt.Errorf("source %s: %w", o.Sources[i].Config.Name, err)
		}
		inlets[o.Sources[i].Config.Name] = d
	}
	return inlets, nil
}

func (s *ReaderSource) open() (d *inlet, err error) {
	d = &inlet{}
	if s.TCP >= 0 {
		f := os.NewFile(uintptr(firstListener+s.TCP), "listener")
		d.tcp, err = net.FileListener(f)
		f.Close() //nolint:errcheck // FileListener has its own copy
	}
	if err == nil && s.UDP >= 0 {
		f := os.NewFile(uintptr(firstListener+s.UDP), "socket")
		d.udp, err = net.FilePacketConn(f)
		f.Close() //nolint:errcheck // as above
	}
	if err != nil {
		return nil, fmt.Errorf("take the listener: %w", err)
	}
	if s.Config.Secure() {
		if d.tls, err = serverTLS(&s.Config); err != nil {
			return nil, err
		}
	}
	if s.Config.TokenFile != "" {
		text, err := readSecret(s.Config.TokenFile)
		if err != nil {
			return nil, err
		}
		d.token = bytes.TrimSpace(text)
		if len(d.token) < receive.MinToken {
			return nil, fmt.Errorf("the token in %s has %d bytes, it needs at least %d: make one with  openssl rand -hex 32", s.Config.TokenFile, len(d.token), receive.MinToken)
		}
	}
	return d, nil
}

// serverTLS reads a source's certificate.
func serverTLS(s *config.Source) (*tls.Config, error) {
	cert, err := readSecret(s.Cert)
	if err != nil {
		return nil, err
	}
	key, err := readSecret(s.Key)
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("certificate %s with key %s: %w; both must be PEM and belong together", s.Cert, s.Key, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if s.ClientCA == "" {
		return c, nil
	}
	ca, err := readSecret(s.ClientCA)
	if err != nil {
		return nil, err
	}
	c.ClientCAs, c.ClientAuth = x509.NewCertPool(), tls.RequireAndVerifyClientCert
	if !c.ClientCAs.AppendCertsFromPEM(ca) {
		return nil, fmt.Errorf("client_ca %s: no certificate in PEM is in it", s.ClientCA)
	}
	return c, nil
}

// readSecret reads a small file.
func readSecret(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("%w; let the user that lapwing runs as read it", err)
	}
	defer f.Close() //nolint:errcheck // only read
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(f, maxSecret+1)); err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if b.Len() > maxSecret {
		return nil, fmt.Errorf("read %s: %w", name, errors.New("it is too large"))
	}
	return b.Bytes(), nil
}
