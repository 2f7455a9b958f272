package eventlog

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// ClientConfig is what NewClient takes.
type ClientConfig struct {
	Socket string // Unix socket of the embedded store, or
	URL    string // of an external VictoriaLogs: http://host:9428

	// Flush is the store's flush interval, 0 = 5 s. What an external store
	// took is believed to be on disk after three of them.
	Flush time.Duration
}

// Client is the event log over HTTP. It is safe for concurrent use.
type Client struct {
	cfg  ClientConfig
	base string
	http *http.Client
}

var (
	_ Writer    = (*Client)(nil)
	_ Reader    = (*Client)(nil)
	_ Forgetter = (*Client)(nil)
)

// The limits of a conversation with the store.
const (
	maxAnswer   = 16 << 20 // bytes of an answer that is not a stream of rows
	maxRow      = 4 << 20  // bytes of one row of an answer
	callTimeout = 2 * time.Minute
)

// NewClient makes a Client; nothing is sent yet.
func NewClient(cfg ClientConfig) (*Client, error) {
	c := &Client{cfg: cfg, base: "http://store"}
	if c.cfg.Flush <= 0 {
		c.cfg.Flush = 5 * time.Second
	}
	tr := &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: 30 * time.Second, ResponseHeaderTimeout: callTimeout}
	switch {
	case cfg.Socket != "":
		tr.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", cfg.Socket)
		}
	case cfg.URL != "":
		u, err := url.Parse(cfg.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			return nil, fmt.Errorf("event log at %q: write a URL such as http://127.0.0.1:9428", cfg.URL)
		}
		c.base = strings.TrimSuffix(cfg.URL, "/")
		tr.Proxy = http.ProxyFromEnvironment
	default:
		return nil, errors.New("event log: neither a socket nor a URL is given")
	}
	c.http = &http.Client{Transport: tr}
	return c, nil
}

// Close ends idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// call sends a form, or body where it is not nil, and gives the answer's
// stream. The caller closes it.
func (c *Client) call(ctx context.Context, path string, form url.Values, body []byte) (io.ReadCloser, error) {
	target, kind := c.base+path, "application/x-www-form-urlencoded"
	payload := []byte(form.Encode())
	if body != nil {
		// With a form's type the store answers 200 and stores nothing.
		target, kind, payload = target+"?"+form.Encode(), "application/stream+json", body
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(payload))
	if err != nil {
		return nil, fmt.Errorf("ask the event log: %w", err)
	}
	req.Header.Set("Content-Type", kind)
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close() //nolint:errcheck // the status is told
	text, _ := bounded(resp.Body, 4096)
	return nil, statusError(resp.StatusCode, strings.TrimSpace(string(text)))
}

// StatusError is an answer that says no.
type StatusError struct {
	Code int
	Text string
}

// Error is the store's own text.
func (e StatusError) Error() string {
	return fmt.Sprintf("the event log answers %d: %s", e.Code, e.Text)
}

func statusError(code int, text string) error {
	e := StatusError{code, text}
	switch code {
	case http.StatusTooManyRequests:
		return fmt.Errorf("%w: %w", ErrNoRoom, e)
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return fmt.Errorf("%w: %w", ErrAway, e)
	}
	return e
}

// bounded reads up to limit bytes; more is an error.
func bounded(r io.Reader, limit int) ([]byte, error) {
	var b bytes.Buffer
	n, err := io.Copy(&b, io.LimitReader(r, int64(limit)+1))
	if err == nil && n > int64(limit) {
		err = fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	return b.Bytes()[:min(b.Len(), limit)], err
}

// answer is call for a short answer.
func (c *Client) answer(ctx context.Context, path string, form url.Values, body []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	r, err := c.call(ctx, path, form, body)
	if err != nil {
		return nil, err
	}
	defer r.Close() //nolint:errcheck // only read
	data, err := bounded(r, maxAnswer)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAway, err)
	}
	return data, nil
}

// rows is call for an answer of lines. A stream that breaks is ErrAway.
func (c *Client) rows(ctx context.Context, path string, form url.Values, fn func(row []byte) error) error {
	r, err := c.call(ctx, path, form, nil)
	if err != nil {
		return err
	}
	defer r.Close() //nolint:errcheck // only read
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 64<<10), maxRow)
	for sc.Scan() {
		if len(sc.Bytes()) == 0 {
			continue
		}
		if sc.Bytes()[0] != '{' { // the fault came after the first rows
			return StatusError{http.StatusInternalServerError, strings.TrimSpace(sc.Text())}
		}
		if err := fn(sc.Bytes()); err != nil {
			return err
		}
	}
	switch err := sc.Err(); {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		return fmt.Errorf("%w: %w", ErrAway, err)
	}
	return nil
}

// Ready returns nil when the store answers.
func (c *Client) Ready(ctx context.Context) error {
	_, err := c.answer(ctx, "/health", nil, nil)
	return err
}

// Raw gives the rows of a query in the store's own language, whole.
func (c *Client) Raw(ctx context.Context, logsql string, r Range, fn func(row []byte) error) error {
	err := c.rows(ctx, "/select/logsql/query", r.form(logsql), fn)
	var s StatusError
	if errors.As(err, &s) && s.Code == http.StatusBadRequest {
		return QueryError{Query: logsql, At: -1, Text: s.Text}
	}
	return err
}

// form is the arguments of a query.
func (r Range) form(logsql string) url.Values {
	v := url.Values{"query": {logsql}, "timeout": {callTimeout.String()}}
	if !r.From.IsZero() {
		v.Set("start", strconv.FormatInt(r.From.UnixNano(), 10))
	}
	if !r.To.IsZero() {
		v.Set("end", strconv.FormatInt(r.To.UnixNano(), 10))
	}
	return v
}

// number reads the one number of a row of statistics.
func (c *Client) number(ctx context.Context, logsql string, r Range) (int64, error) {
	var n int64
	err := c.Raw(ctx, logsql, r, func(row []byte) error {
		var v struct {
			N string `json:"n"`
		}
		if err := json.Unmarshal(row, &v); err != nil {
			return fmt.Errorf("count in the event log: %w", err)
		}
		m, err := strconv.ParseInt(v.N, 10, 64)
		n += m
		return err
	})
	return n, err
}
