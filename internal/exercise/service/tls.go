package service

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"sync"
	"time"
)

// certificate is the host's own, made when it is first needed.
type certificate struct {
	once sync.Once
	cert tls.Certificate
	err  error
}

// certificate signs itself, as those of devices and intranets do.
func (h *Host) certificate() (tls.Certificate, error) {
	h.tls.once.Do(func() { h.tls.cert, h.tls.err = h.makeCertificate() })
	return h.tls.cert, h.tls.err
}

func (h *Host) makeCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("draw the key of %s: %w", h.Name(), err)
	}
	now := h.c.Clock.Now()
	t := &x509.Certificate{
		SerialNumber: new(big.Int).SetUint64(h.c.Seed | 1), Subject: pkix.Name{CommonName: h.fqdn()}, DNSNames: []string{h.fqdn()},
		NotBefore: now.AddDate(0, -3, 0), NotAfter: now.AddDate(2, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("sign the certificate of %s: %w", h.Name(), err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

// handshakeTime is how long a client may take.
const handshakeTime = 30 * time.Second

// serveHTTPS speaks TLS, then serves the site.
func serveHTTPS(v *visit) error {
	cert, err := v.c.Host.certificate()
	if err != nil {
		return err
	}
	c := tls.Server(&rewound{v.conn, v.r}, &tls.Config{Certificates: []tls.Certificate{cert}, Time: v.c.Host.c.Clock.Now, MinVersion: tls.VersionTLS12})
	stop := v.c.Host.c.Clock.AfterFunc(handshakeTime, func() { v.conn.Close() }) //nolint:errcheck // ends the handshake
	err = c.HandshakeContext(v.ctx)
	stop()
	if err != nil {
		return fmt.Errorf("shake hands: %w: %w", err, errMalformed)
	}
	v.r, v.w = bufio.NewReaderSize(c, maxLine), c
	return serveHTTP(v)
}
