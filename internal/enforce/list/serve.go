package list

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"
)

// Path is where the list lies on the server.
const Path = "/blocks.txt"

// ServerConfig is what Serve takes.
type ServerConfig struct {
	User, Password string      // of whoever may read it; empty: anybody who can reach it
	TLS            *tls.Config // nil: without
	Log            *slog.Logger
}

// The bounds of the server.
const (
	maxConns    = 64
	headerBytes = 16 << 10
	slow        = 10 * time.Second
	slowest     = 2 * time.Minute // for the whole list to be taken
)

// Certificate loads what TLS needs.
func Certificate(cert, key string) (*tls.Config, error) {
	c, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return nil, fmt.Errorf("load the certificate of the block list's server: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS12}, nil
}

// Password reads one from the first line of a file that only its owner and
// group can read.
func Password(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read the password of the block list: %w", err)
	}
	defer f.Close() //nolint:errcheck // only read
	st, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("read the password of the block list: %w", err)
	}
	if st.Mode().Perm()&0o007 != 0 {
		return "", fmt.Errorf("read the password of the block list: everybody can read %s: chmod o= it", path)
	}
	const most = 1024
	b := make([]byte, most+1)
	n, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password of the block list: %w", err)
	}
	line, _, _ := strings.Cut(string(b[:n]), "\n")
	line = strings.TrimSuffix(line, "\r")
	if line == "" || len(line) > most {
		return "", fmt.Errorf("read the password of the block list: the first line of %s must have 1 to %d characters", path, most)
	}
	return line, nil
}

// Serve gives the list out on ln until ctx ends.
func (l *List) Serve(ctx context.Context, ln net.Listener, c ServerConfig) error {
	if c.Password != "" && c.TLS == nil && !loopback(ln.Addr()) {
		return errors.Join(errors.New("serve the block list: a password would cross the network in the clear: give tls_cert and tls_key, or listen on loopback"), ln.Close())
	}
	ln = &limited{Listener: ln, free: make(chan struct{}, maxConns)}
	if c.TLS != nil {
		ln = tls.NewListener(ln, c.TLS)
	}
	srv := &http.Server{
		Handler:           l.handler(c),
		ReadHeaderTimeout: slow, ReadTimeout: slow, WriteTimeout: slowest, IdleTimeout: slow, MaxHeaderBytes: headerBytes,
		ErrorLog: slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	stop := context.AfterFunc(ctx, func() { srv.Close() }) //nolint:errcheck // it ends
	defer stop()
	if err := srv.Serve(ln); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serve the block list: %w", err)
	}
	return nil
}

func loopback(a net.Addr) bool {
	ap, err := netip.ParseAddrPort(a.String())
	return err == nil && ap.Addr().IsLoopback()
}

func (l *List) handler(c ServerConfig) http.Handler {
	want := sha256.Sum256([]byte(c.User + "\x00" + c.Password))
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+Path, func(w http.ResponseWriter, r *http.Request) {
		if c.Password != "" {
			user, password, _ := r.BasicAuth()
			got := sha256.Sum256([]byte(user + "\x00" + password))
			if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
				w.Header().Set("WWW-Authenticate", `Basic realm="lapwing block list"`)
				http.Error(w, "user name and password are needed", http.StatusUnauthorized)
				return
			}
		}
		if !l.settled() {
			w.Header().Set("Retry-After", "15")
			http.Error(w, "the list is not complete yet", http.StatusServiceUnavailable)
			return
		}
		p := l.render()
		h := w.Header()
		h.Set("Content-Type", "text/plain; charset=utf-8")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache")
		h.Set("ETag", p.tag)
		http.ServeContent(w, r, "", p.changed, bytes.NewReader(p.text))
	})
	return mux
}

// limited accepts no more than cap(free) connections at once; others wait.
type limited struct {
	net.Listener
	free chan struct{}
}

// Accept waits for room, then for a connection.
func (l *limited) Accept() (net.Conn, error) {
	l.free <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.free
		return nil, err
	}
	return &counted{c, sync.OnceFunc(func() { <-l.free })}, nil
}

type counted struct {
	net.Conn
	done func()
}

// Close makes room.
func (c *counted) Close() error {
	defer c.done()
	return c.Conn.Close()
}
