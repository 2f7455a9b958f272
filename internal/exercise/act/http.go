package act

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

// Request is what HTTP asks for.
type Request struct {
	Paths      []string // one after the other, "/" where none
	Form       map[string]string
	Post       bool // sends Form
	TLS        bool
	Host       string // header; the target's where ""
	Agent      string
	Headers    map[string]string
	Credential *Credential // sent as basic authentication
	// Sprayed are tried one for each path in turn, as basic authentication.
	Sprayed []Credential
	Repeat

	marker []byte // a body; only this package makes one
}

// Page is one answer.
type Page struct {
	Path   string
	Status int
	Bytes  int64
}

// Fetched is the outcome of HTTP.
type Fetched struct {
	Outcome
	Pages []Page // at most 10,000
	Text  string // of the last, at most 64 KiB
}

// maxPages bounds what a Fetched lists.
const maxPages = 10_000

func (q *Request) check() error {
	if len(q.Paths) == 0 {
		q.Paths = []string{"/"}
	}
	if len(q.Paths) > maxCredentials || len(q.Headers) > 20 || len(q.Form) > 50 || len(q.Sprayed) > maxCredentials {
		return fmt.Errorf("%d paths, %d headers, %d fields: too many: %w", len(q.Paths), len(q.Headers), len(q.Form), errWrong)
	}
	err := errors.Join(plain("a host", q.Host, 255), plain("an agent", q.Agent, 300))
	for _, p := range q.Paths {
		err = errors.Join(err, plain("a path", p, 2048))
		if !strings.HasPrefix(p, "/") || strings.ContainsAny(p, " #") {
			err = errors.Join(err, fmt.Errorf("path %q: it begins with / and holds no space: %w", p, errWrong))
		}
	}
	for n, v := range q.Headers {
		err = errors.Join(err, plain("a header", v, 1000))
		if n == "" || strings.ContainsFunc(n, func(c rune) bool { return c <= ' ' || c >= 0x7f || c == ':' }) || len(n) > 64 {
			err = errors.Join(err, fmt.Errorf("header %q: %w", n, errWrong))
		}
	}
	return err
}

// HTTP asks for pages, each over a connection of its own. It is done when every
// request was answered, whatever the status.
func (a *Actor) HTTP(ctx context.Context, action string, t Target, q Request) Fetched {
	var out Fetched
	r := a.begin(ctx, action, &out.Outcome)
	if err := q.check(); err != nil {
		r.end(err)
		return out
	}
	n := len(q.Paths) * max(q.Times, 1)
	every := q.Repeat
	if len(q.Sprayed) > 0 {
		n = len(q.Sprayed)
	}
	every.Times = n
	r.end(r.repeat(every, func(i int) error {
		cred := q.Credential
		if len(q.Sprayed) > 0 {
			cred = &q.Sprayed[i]
		}
		path := q.Paths[i%len(q.Paths)]
		p, text, err := r.page(t, q, path, cred)
		if err == nil && len(out.Pages) < maxPages {
			out.Pages, out.Text = append(out.Pages, p), text
		}
		return err
	}))
	return out
}

// page makes one request.
func (r *run) page(t Target, q Request, path string, cred *Credential) (Page, string, error) {
	c, err := r.dial("tcp", t)
	if err != nil {
		return Page{}, "", err
	}
	defer c.Close() //nolint:errcheck // may be closed already
	var over io.ReadWriter = c
	if q.TLS {
		k := tls.Client(c, &tls.Config{InsecureSkipVerify: true, Time: r.c.Clock.Now}) //nolint:gosec // a virtual host signs its own
		if err := k.HandshakeContext(r.ctx); err != nil {
			return Page{}, "", fmt.Errorf("shake hands with %s: %w", t.address(), err)
		}
		over = k
	}
	method := http.MethodGet
	if q.Post {
		method = http.MethodPost
	}
	if _, err := over.Write(q.bytes(t, method, path, cred)); err != nil {
		return Page{}, "", fmt.Errorf("send a request to %s: %w", t.address(), err)
	}
	return answer(over, method, path)
}

// bytes is the request as it is sent.
func (q Request) bytes(t Target, method, path string, cred *Credential) []byte {
	var b bytes.Buffer
	host := t.Host
	if q.Host != "" {
		host = q.Host
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n", method, path, host)
	if q.Agent != "" {
		fmt.Fprintf(&b, "User-Agent: %s\r\n", q.Agent)
	}
	for _, n := range slices.Sorted(maps.Keys(q.Headers)) {
		fmt.Fprintf(&b, "%s: %s\r\n", n, q.Headers[n])
	}
	if cred != nil {
		fmt.Fprintf(&b, "Authorization: Basic %s\r\n", base64.StdEncoding.EncodeToString([]byte(cred.User+":"+cred.Password)))
	}
	body, typ := q.marker, "application/octet-stream"
	if body == nil && method == http.MethodPost {
		form := url.Values{}
		for n, v := range q.Form {
			form.Set(n, v)
		}
		body, typ = []byte(form.Encode()), "application/x-www-form-urlencoded"
	}
	if method == http.MethodPost {
		fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Length: %d\r\n", typ, len(body))
	}
	b.WriteString("\r\n")
	b.Write(body)
	return b.Bytes()
}

// answer reads one answer, at most 4 MiB of it.
func answer(over io.Reader, method, path string) (Page, string, error) {
	req := &http.Request{Method: method}
	res, err := http.ReadResponse(newReader(over), req)
	if err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
			return Page{}, "", fmt.Errorf("read the answer about %s: %w", path, err)
		}
		return Page{}, "", fmt.Errorf("read the answer about %s: %w: %w", path, err, wire.ErrMalformed)
	}
	defer res.Body.Close() //nolint:errcheck // the connection is closed with it
	out := &clipped{left: maxOutput}
	n, err := io.Copy(out, io.LimitReader(res.Body, maxRead))
	if err != nil {
		return Page{}, "", fmt.Errorf("read the answer about %s: %w", path, err)
	}
	return Page{path, res.StatusCode, n}, out.b.String(), nil
}
