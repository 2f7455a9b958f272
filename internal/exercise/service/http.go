package service

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/exercise/record"
)

const (
	maxRequest = 64 << 10 // bytes of a request's head
	maxBody    = 1 << 20  // bytes kept of a body; more is read and forgotten
	maxPerConn = 1000     // requests of one connection
)

// reply is what a site says to a request.
type reply struct {
	status int
	typ    string // text/html where ""
	body   []byte
	header [][2]string
	user   string // who logged in, "" if nobody
}

// serveHTTP answers requests (RFC 9112) until the client closes.
func serveHTTP(v *visit) error {
	site := sites[v.site()]
	for range maxPerConn {
		req, body, err := v.request()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			v.write(reply{status: 400, body: []byte("<h1>400 Bad Request</h1>")}, nil, site.server) //nolint:errcheck // the end
			return fmt.Errorf("read a request: %w: %w", err, errMalformed)
		}
		r := v.respond(site, req, body)
		v.access(req, r, len(body))
		if err := v.write(r, req, site.server); err != nil || req.Close {
			return err
		}
	}
	return nil
}

// request reads one request with its body.
func (v *visit) request() (*http.Request, []byte, error) {
	if _, err := v.r.Peek(1); err != nil {
		return nil, nil, io.EOF
	}
	before := v.conn.left
	v.conn.left = min(before, maxRequest)
	room := v.conn.left
	req, err := http.ReadRequest(v.r)
	v.conn.left = before - (room - v.conn.left)
	if err != nil {
		return nil, nil, err
	}
	defer req.Body.Close() //nolint:errcheck // nothing behind it
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(req.Body, maxBody)); err != nil {
		return nil, nil, err
	}
	if n, err := io.Copy(io.Discard, req.Body); err != nil {
		return nil, nil, fmt.Errorf("after %d bytes of a body: %w", maxBody+n, err)
	}
	return req, b.Bytes(), nil
}

// basic is the user and password of a request, if it has any.
func basic(req *http.Request) (user, password string, ok bool) {
	scheme, rest, _ := strings.Cut(req.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Basic") {
		return "", "", false
	}
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(rest))
	if err != nil {
		return "", "", false
	}
	return strings.Cut(string(raw), ":")
}

// respond finds the answer of a site.
func (v *visit) respond(site site, req *http.Request, body []byte) reply {
	if req.Method != http.MethodGet && req.Method != http.MethodHead && req.Method != http.MethodPost {
		return reply{status: 405, body: page("405 Method Not Allowed", "")}
	}
	path := req.URL.Path
	if f, ok := v.c.Host.file("/var/www/html" + path); ok && req.Method != http.MethodPost {
		v.read(f, "")
		return reply{status: 200, typ: contentType(path), body: []byte(f.Content)}
	}
	if req.Method == http.MethodPost && site.login != "" && under(path, site.login) {
		return v.form(site, req, body)
	}
	for _, d := range site.guarded {
		if under(path, d) {
			return v.guardedDir(site, req)
		}
	}
	if len(body) > 0 {
		v.uploaded(path, body)
	}
	if site.bytes && path == "/transfer" {
		return reply{status: 200, typ: "application/octet-stream", body: moved(req.URL.Query().Get("bytes"))}
	}
	for _, p := range site.pages {
		if strings.EqualFold(path, p.path) {
			return reply{status: 200, typ: p.typ, body: p.render(v)}
		}
	}
	return reply{status: 404, body: page("404 Not Found", "<p>The requested URL was not found on this server.</p>")}
}

// under tells whether path is dir or below it, as web servers of Windows compare.
func under(path, dir string) bool {
	return len(path) >= len(dir) && strings.EqualFold(path[:len(dir)], dir) && (len(path) == len(dir) || path[len(dir)] == '/' || strings.HasSuffix(dir, "/"))
}

// guardedDir asks for a password (RFC 7617).
func (v *visit) guardedDir(site site, req *http.Request) reply {
	user, password, given := basic(req)
	no := reply{status: 401, body: page("401 Unauthorized", ""), header: [][2]string{{"WWW-Authenticate", `Basic realm="` + v.c.Host.fqdn() + `"`}}}
	if !given {
		return no
	}
	no.user = user
	if !v.admitWeb(user, password).ok {
		return no
	}
	return reply{status: 200, user: user, body: page(site.title, "<p>"+site.welcome+"</p>")}
}

// admitWeb judges a login; on Windows it is one in the security log too.
func (v *visit) admitWeb(user, password string) judgement {
	j := v.admit(user, password)
	if r := v.c.Host.records; r != nil && !v.decoy {
		v.records(r.Logon(record.Logon{User: clip(user, 128), Type: 8, From: v.src, Failed: !j.ok, Unknown: !j.known}))
	}
	return j
}

// form takes a login form.
func (v *visit) form(site site, req *http.Request, body []byte) reply {
	typ, _, err := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if err != nil || typ != "application/x-www-form-urlencoded" {
		return reply{status: 415, body: page("415 Unsupported Media Type", "")}
	}
	q, err := url.ParseQuery(string(body))
	if err != nil {
		return reply{status: 400, body: page("400 Bad Request", "")}
	}
	user, password := "", ""
	for _, n := range []string{"username", "user", "login", "usr"} {
		user = first(user, q.Get(n))
	}
	for _, n := range []string{"password", "passwd", "pass", "pwd"} {
		password = first(password, q.Get(n))
	}
	if !v.admitWeb(user, password).ok {
		return reply{status: 401, user: user, body: page(site.title, "<p>The user name or password is incorrect.</p>"+loginForm(site.login))}
	}
	return reply{status: 302, user: user, header: [][2]string{{"Location", site.home}, {"Set-Cookie", "sid=" + v.id + "; HttpOnly"}}}
}

// uploaded tells of what a client left; it is not kept.
func (v *visit) uploaded(path string, body []byte) {
	if !v.decoy {
		return
	}
	sum, n, err := v.hashed(bytes.NewReader(body))
	if err != nil {
		return
	}
	e := v.event(event.ActionFileCaptured)
	e.Path, e.Size, e.SHA256, e.Depth = clip(path, 2048), n, sum, event.DepthAct
	v.emit(e)
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// write sends an answer; req is nil where the request could not be read.
func (v *visit) write(r reply, req *http.Request, server string) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\nDate: %s\r\nServer: %s\r\n", r.status, http.StatusText(r.status), v.c.Host.c.Clock.Now().UTC().Format(http.TimeFormat), first(v.c.Banner, server))
	fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", first(r.typ, "text/html; charset=utf-8"), len(r.body))
	for _, h := range r.header {
		fmt.Fprintf(&b, "%s: %s\r\n", h[0], h[1])
	}
	if req == nil || req.Close {
		b.WriteString("Connection: close\r\n")
	}
	b.WriteString("\r\n")
	if req == nil || req.Method != http.MethodHead {
		b.Write(r.body)
	}
	return v.send(b.Bytes())
}

// access writes the line of the access log: fields that ECS and the log
// sources know, on a decoy as its own event.
func (v *visit) access(req *http.Request, r reply, sent int) {
	e := v.event("request")
	e.Category, e.Type, e.URL, e.User, e.Outcome = "web", "access", clip(req.RequestURI, 4096), clip(r.user, 256), "success"
	if r.status >= 400 {
		e.Outcome = "failure"
	}
	if v.decoy {
		e.Depth, e.LogType = event.DepthTry, 3000
	} else {
		e.Dataset = "nginx.access"
		if v.c.Host.persona.Family == "windows" {
			e.Dataset = "iis.access"
		}
	}
	e.Add("http.request.method", req.Method)
	e.Add("url.path", clip(req.URL.Path, 2048))
	e.Add("url.query", clip(req.URL.RawQuery, 2048))
	e.Add("url.domain", clip(req.Host, 256))
	e.Add("http.request.referrer", clip(req.Referer(), 2048))
	e.Add("user_agent.original", clip(req.UserAgent(), 1024))
	e.AddInt("http.response.status_code", int64(r.status))
	e.AddInt("http.request.body.bytes", int64(sent))
	e.AddInt("http.response.body.bytes", int64(len(r.body)))
	v.emit(e)
}

func contentType(path string) string {
	for ext, t := range map[string]string{".txt": "text/plain", ".js": "text/javascript", ".css": "text/css", ".gif": "image/gif", ".gz": "application/gzip", ".zip": "application/zip", ".json": "application/json"} {
		if strings.HasSuffix(path, ext) {
			return t
		}
	}
	return "text/html; charset=utf-8"
}
