// Package httpd is a decoy that speaks HTTP/1 and HTTP/2, plain or over TLS, as
// nginx 1.22.1 of Debian 12 does: its status lines, its order of headers, its
// error pages. In front stands an entrance for staff; paths for which old
// configurations hold credentials (git, pip, npm, a registry, Kubernetes) ask
// for them. Each request is recorded with the client's fingerprints, and known
// shapes of attacks are named. It fetches, forwards and runs nothing.
package httpd

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
)

// OpenCanary's numbers of a request and of a login on a web page. A connection
// by itself has none.
const (
	LogConnection = 0
	logRequest    = 3000
	logLogin      = 3001
)

// Config is what New takes.
type Config struct {
	Door        *access.Door
	Name        string           // of the host, on its pages
	Changed     time.Time        // of its files
	Certificate *tls.Certificate // nil: plain HTTP
}

// Server is the decoy.
type Server struct {
	c    Config
	tls  *tls.Config
	site *site
}

var _ decoy.Decoy = (*Server)(nil)

// New makes a Server.
func New(c Config) *Server {
	d := &Server{c: c, site: &site{host: c.Name, changed: c.Changed}}
	if c.Certificate != nil {
		d.tls = &tls.Config{
			Certificates: []tls.Certificate{*c.Certificate}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequestClientCert, // a client's certificate is looked at, never believed
		}
	}
	return d
}

// visit is one connection.
type visit struct {
	*Server
	s     *decoy.Session
	last  context.Context //nolint:containedctx // outlives the connection, for its last events
	host  *host.Visit
	conn  net.Conn
	hello *hello
	tried map[credential]bool
	asked int
	cert  *x509.Certificate
}

// Timeouts as nginx has them.
const (
	headTime  = 60 * time.Second
	keepTime  = 75 * time.Second
	maxAsked  = 1000 // keepalive_requests
	shakeTime = 60 * time.Second
)

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, last: context.WithoutCancel(ctx), conn: s.Conn, tried: map[credential]bool{}}
	v.host = s.Host.Visit(ctx, s.Source.Addr())
	defer v.host.Close()
	stop := context.AfterFunc(ctx, func() { s.Conn.Close() }) //nolint:errcheck // ends the read
	defer stop()
	if d.tls == nil {
		return decoy.Quiet(v.http1(), errQuiet)
	}
	heard, h, plain, err := listen(s.Conn)
	v.hello = h
	if plain {
		v.conn = heard
		return decoy.Quiet(v.plainOverTLS(), errQuiet)
	}
	if h != nil {
		v.identified()
	}
	if err != nil {
		return decoy.Quiet(err, errQuiet)
	}
	conn := tls.Server(heard, d.tls)
	shake, cancel := context.WithTimeout(ctx, shakeTime)
	defer cancel()
	if err := conn.HandshakeContext(shake); err != nil {
		return v.broken("TLS: " + err.Error())
	}
	v.conn = conn
	state := conn.ConnectionState()
	if len(state.PeerCertificates) > 0 {
		v.cert = state.PeerCertificates[0]
		v.certificate()
	}
	if state.NegotiatedProtocol == "h2" {
		err = v.http2()
	} else {
		err = v.http1()
	}
	conn.CloseWrite() //nolint:errcheck // a gone client needs no farewell
	return decoy.Quiet(err, errQuiet)
}

func (v *visit) broken(why string) error {
	record.Broken(v.last, v.s, why)
	return nil
}

// identified tells by what a client of TLS can be known.
func (v *visit) identified() {
	e := v.s.Event(event.ActionClientIdentified)
	e.Depth = event.DepthTouch
	e.Add("tls.client.ja3", v.hello.ja3())
	e.Add("tls.client.ja4", v.hello.ja4())
	e.Add("tls.client.server_name", clip(v.hello.name, 255))
	e.Add("lapwing.tls.alpn", clip(strings.Join(v.hello.alpn, ","), 200))
	v.s.Post(v.last, e)
}

// certificate tells who a client's certificate says he is. It is not believed.
func (v *visit) certificate() {
	e := record.Login(v.s, record.Try{User: v.cert.Subject.CommonName, Method: "certificate", LogType: logLogin})
	e.Add("tls.client.subject", clip(v.cert.Subject.String(), 300))
	e.Add("tls.client.x509.serial_number", v.cert.SerialNumber.Text(16))
	e.Add("tls.client.issuer", clip(v.cert.Issuer.String(), 300))
	v.s.Post(v.last, e)
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

// plainOverTLS answers who speaks HTTP to the port of HTTPS.
func (v *visit) plainOverTLS() error {
	v.conn.SetReadDeadline(v.s.Clock.Now().Add(headTime)) //nolint:errcheck // a failed read follows
	r, err := readRequest(bufio.NewReaderSize(v.conn, maxLine))
	var f *fault
	if err != nil && !errors.As(err, &f) {
		return err
	}
	a := &response{status: 400, kind: "text/html", body: errorPage(400, "The plain HTTP request was sent to HTTPS port")}
	if f != nil {
		a = fail(f.status)
	}
	if r == nil {
		r = &request{}
	}
	v.note(r, a, nil)
	_, err = v.conn.Write(a.bytes(r, v.s.Clock.Now(), false))
	return err
}

// http1 answers requests until one of both sides has enough.
func (v *visit) http1() error {
	in := bufio.NewReaderSize(v.conn, maxLine)
	wait := headTime
	for {
		v.conn.SetReadDeadline(v.s.Clock.Now().Add(wait)) //nolint:errcheck // a failed read follows
		wait = keepTime
		r, err := readRequest(in)
		if err == nil {
			if strings.EqualFold(r.get("Expect"), "100-continue") {
				if _, err := io.WriteString(v.conn, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
					return err
				}
			}
			err = r.readBody(in)
		}
		var f *fault
		switch {
		case errors.As(err, &f):
			return v.refuse(r, f)
		case err != nil:
			if r != nil && r.line != "" { // who leaves in the middle of a request has still asked
				v.note(r, nil, nil)
			}
			return err
		}
		v.asked++
		keep := v.asked < maxAsked && r.keep()
		a := v.handle(r)
		keep = keep && a.status != 400
		if _, err := v.conn.Write(a.bytes(r, v.s.Clock.Now(), keep)); err != nil || !keep {
			return err
		}
	}
}

// keep tells whether the client wants to go on.
func (r *request) keep() bool {
	c := strings.ToLower(r.get("Connection"))
	switch r.proto {
	case "HTTP/1.1":
		return !strings.Contains(c, "close")
	case "HTTP/1.0":
		return strings.Contains(c, "keep-alive")
	}
	return false
}

func (v *visit) refuse(r *request, f *fault) error {
	a := &response{status: f.status}
	if f.note != "" {
		a.kind, a.body = "text/html", errorPage(f.status, f.note)
	}
	if r == nil {
		r = &request{}
	}
	shown := *r
	if shown.proto == "" {
		shown.proto = "HTTP/1.1" // the answer has a head even where the request had none
	}
	v.note(r, a, f)
	if _, err := v.conn.Write(a.bytes(&shown, v.s.Clock.Now(), false)); err != nil {
		return err
	}
	v.linger()
	return nil
}

// linger takes what the client still sends, so that he can read why he is sent
// away (lingering_close: 5 s of silence, 30 s in all).
func (v *visit) linger() {
	if c, ok := v.conn.(interface{ CloseWrite() error }); ok {
		c.CloseWrite() //nolint:errcheck // a gone client has read enough
	}
	buf := make([]byte, 4<<10)
	for end := v.s.Clock.Now().Add(30 * time.Second); v.s.Clock.Now().Before(end); {
		v.conn.SetReadDeadline(v.s.Clock.Now().Add(5 * time.Second)) //nolint:errcheck // a failed read follows
		if _, err := v.conn.Read(buf); err != nil {
			return
		}
	}
}

// handle finds out who asks, records it, and gives the page.
func (v *visit) handle(r *request) *response {
	creds := r.credentials()
	admitted := false
	for _, c := range creds {
		admitted = v.login(c) || admitted
	}
	a := v.site.answer(r, admitted, len(creds) > 0)
	v.note(r, a, nil)
	return a
}

// maxTries are the different credentials of one connection that are told.
const maxTries = 200

// login checks a credential; each is told once a connection.
func (v *visit) login(c credential) bool {
	c.user, c.secret = clip(c.user, 255), clip(c.secret, 4096)
	user := c.user
	if user == "" {
		user = "token"
	}
	if ok, before := v.tried[c]; before || len(v.tried) >= maxTries {
		return ok
	}
	a := v.c.Door.Check(v.s.Source.Addr(), v.host, user, c.secret)
	ok := a.OK && c.method != "aws-sigv4"
	v.tried[c] = ok
	v.s.Post(v.last, record.Login(v.s, record.Try{User: c.user, Method: c.method, Password: c.secret, Token: a.Token, OK: ok, LogType: logLogin}))
	return ok
}

// note records a request and what was answered.
func (v *visit) note(r *request, a *response, f *fault) {
	e := v.s.Event(event.ActionRequest)
	e.Depth, e.LogType = event.DepthTry, logRequest
	e.URL = clip(r.target, 4096)
	e.Add("http.request.method", clip(r.method, 32))
	e.Add("http.version", strings.TrimPrefix(r.proto, "HTTP/"))
	e.Add("url.path", clip(r.path(), 2048))
	e.Add("url.domain", clip(r.get("Host"), 255))
	e.Add("user_agent.original", clip(r.get("User-Agent"), 1024))
	e.Add("http.request.referrer", clip(r.get("Referer"), 1024))
	e.AddInt("http.request.body.bytes", int64(len(r.body)))
	if a != nil {
		e.AddInt("http.response.status_code", int64(a.status))
	}
	if f != nil {
		e.Reason = f.why
		if r.method == "" {
			e.Add("lapwing.http.line", clip(r.line, 512))
		}
	}
	if len(r.headers) > 0 {
		e.Add("lapwing.http.headers", clip(r.names(), 1024))
		e.Add("lapwing.http.ja4h", r.ja4h())
	}
	if found := r.attacks(); len(found) > 0 {
		e.Depth = event.DepthAct
		e.Add("lapwing.http.attack", strings.Join(found, ", "))
	}
	v.keep(r, &e)
	v.s.Post(v.last, e)
}

// names are the headers' names in the client's order.
func (r *request) names() string {
	out := make([]string, 0, len(r.headers))
	for _, h := range r.headers {
		out = append(out, h.name)
	}
	return strings.Join(out, ",")
}

// keep captures a body that is no login form: what somebody left.
func (v *visit) keep(r *request, e *event.Event) {
	if len(r.body) == 0 || len(r.credentials()) > 0 {
		return
	}
	sum, size, err := v.s.Rec.Capture(v.last, bytes.NewReader(r.body), maxBody)
	if err != nil || size == 0 {
		return
	}
	c := v.s.Event(event.ActionFileCaptured)
	c.Depth, c.Path, c.SHA256, c.Size = event.DepthAct, clip(r.path(), 1024), sum, size
	c.Add("lapwing.capture.how", "http "+strings.ToLower(clip(r.method, 16)))
	v.s.Post(v.last, c)
	e.Depth = event.DepthAct
}
