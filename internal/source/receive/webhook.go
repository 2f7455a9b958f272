package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/source/line"
)

// The limits of one request.
const (
	maxBody     = 4 << 20  // bytes, as sent
	maxUnpacked = 16 << 20 // bytes, unpacked
	maxEvents   = 10_000
	maxWork     = 32               // requests that are worked on at once
	takeWithin  = 20 * time.Second // how long one waits for the sink
	// MinToken is how many bytes a token has at least.
	MinToken = 16
)

// Webhook receives JSON by HTTP: one object, an array of objects, or objects one
// after the other (a line each or not). The answer is 200 only after the sink has
// taken all of them.
type Webhook struct {
	cfg   Config
	token [sha256.Size]byte
	work  chan struct{}
	rate  rate
}

// NewWebhook makes a receiver on cfg.TCP, which it closes, for who knows cfg.Token.
func NewWebhook(cfg Config) (*Webhook, error) {
	cfg.defaults()
	if cfg.TCP == nil {
		return nil, errNothing
	}
	if len(cfg.Token) < MinToken {
		return nil, fmt.Errorf("the token has %d bytes, it needs at least %d: make one with  openssl rand -hex 32", len(cfg.Token), MinToken)
	}
	return &Webhook{cfg: cfg, token: sha256.Sum256(cfg.Token), work: make(chan struct{}, maxWork), rate: rate{of: map[netip.Addr]*bucket{}, per: float64(cfg.Rate)}}, nil
}

// Run receives until ctx ends; it returns nil then.
func (w *Webhook) Run(ctx context.Context) error {
	var ln net.Listener = limit(&w.cfg)
	if w.cfg.TLS != nil {
		ln = tls.NewListener(ln, w.cfg.TLS)
	}
	srv := &http.Server{
		Handler: w, ReadHeaderTimeout: w.cfg.handshake, ReadTimeout: w.cfg.message, WriteTimeout: w.cfg.message + takeWithin, IdleTimeout: 2 * time.Minute,
		MaxHeaderBytes: 16 << 10, BaseContext: func(net.Listener) context.Context { return ctx }, ErrorLog: nil,
	}
	defer context.AfterFunc(ctx, func() { srv.Close() })() //nolint:errcheck // ends Serve
	w.cfg.Feed.Begin()
	err := srv.Serve(ln)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve the webhook: %w", err)
}

// refusal is why a request is not taken.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status, fmt.Sprintf(format, args...)}
}

// ServeHTTP implements http.Handler.
func (w *Webhook) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	n, err := w.handle(out, r)
	out.Header().Set("Content-Type", "application/json")
	if err == nil {
		json.NewEncoder(out).Encode(map[string]int{"taken": n}) //nolint:errcheck // the client is gone
		return
	}
	w.cfg.Feed.Refused(1)
	var no *refusal
	if !errors.As(err, &no) {
		no = refuse(http.StatusServiceUnavailable, "what is sent cannot be kept now: send it again")
	}
	switch no.status {
	case http.StatusMethodNotAllowed:
		out.Header().Set("Allow", http.MethodPost)
	case http.StatusUnauthorized:
		out.Header().Set("WWW-Authenticate", "Bearer")
	case http.StatusServiceUnavailable, http.StatusTooManyRequests:
		out.Header().Set("Retry-After", "5")
	}
	out.WriteHeader(no.status)
	json.NewEncoder(out).Encode(map[string]string{"error": no.text}) //nolint:errcheck // the client is gone
}

// handle takes what a request brings, all of it or nothing.
func (w *Webhook) handle(out http.ResponseWriter, r *http.Request) (n int, err error) {
	who := netip.Addr{}
	if ap, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		who = source(net.TCPAddrFromAddrPort(ap))
	}
	now := w.cfg.Feed.Now()
	if !w.rate.take(who, now) {
		return 0, refuse(http.StatusTooManyRequests, "more than %d requests a second of one address: send several events in one", w.cfg.Rate)
	}
	if !w.known(r) {
		return 0, refuse(http.StatusUnauthorized, "send the header  Authorization: Bearer TOKEN  with the token of this source")
	}
	if r.Method != http.MethodPost {
		return 0, refuse(http.StatusMethodNotAllowed, "send events with POST")
	}
	select {
	case w.work <- struct{}{}:
		defer func() { <-w.work }()
	default:
		return 0, refuse(http.StatusServiceUnavailable, "too much at once: send it again")
	}
	body, err := read(out, r)
	if err != nil {
		return 0, err
	}
	lines, err := split(body, w.cfg.Format, now, who)
	if err != nil || len(lines) == 0 {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), takeWithin)
	defer cancel()
	if err := w.cfg.Feed.Give(ctx, lines, nil); err != nil {
		return 0, err
	}
	return len(lines), nil
}

// known compares the token in a time that says nothing of it.
func (w *Webhook) known(r *http.Request) bool {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	return subtle.ConstantTimeCompare(sum[:], w.token[:]) == 1 && strings.EqualFold(scheme, "Bearer")
}

// read reads the body of a request.
func read(out http.ResponseWriter, r *http.Request) ([]byte, error) {
	var in io.Reader = http.MaxBytesReader(out, r.Body, maxBody)
	switch e := r.Header.Get("Content-Encoding"); e {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(in)
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "the body is not gzip: %v", err)
		}
		in = z
	default:
		return nil, refuse(http.StatusUnsupportedMediaType, "Content-Encoding %q: send it as it is, or gzip", e)
	}
	var b bytes.Buffer
	n, err := b.ReadFrom(io.LimitReader(in, maxUnpacked+1))
	var much *http.MaxBytesError
	switch {
	case errors.As(err, &much) || n > maxUnpacked:
		return nil, refuse(http.StatusRequestEntityTooLarge, "more than %d bytes (unpacked %d) in one request: send it in parts", maxBody, maxUnpacked)
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "the body cannot be read: %v", err)
	}
	return b.Bytes(), nil
}

// split takes the objects of a body, each without line breaks.
func split(body []byte, format string, now time.Time, who netip.Addr) ([]line.Line, error) {
	body = bytes.TrimPrefix(body, []byte("\xef\xbb\xbf"))
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, refuse(http.StatusBadRequest, "the body is empty: send a JSON object, an array of objects, or one a line")
	}
	s := splitter{format: format, now: now, peer: who.String()}
	sum := sha256.Sum256(body)
	copy(s.mark[:8], sum[:])
	d := json.NewDecoder(bytes.NewReader(body))
	for {
		var v json.RawMessage
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			return s.lines, nil
		}
		if err == nil && v[0] == '[' {
			err = s.array(v)
		} else if err == nil {
			err = s.add(v)
		}
		if no, ok := err.(*refusal); ok { //nolint:errorlint // it is made here
			return nil, no
		}
		if err != nil {
			return nil, refuse(http.StatusBadRequest, "no JSON near byte %d, after %d events: %v", d.InputOffset(), len(s.lines), err)
		}
	}
}

type splitter struct {
	lines  []line.Line
	mark   [16]byte
	format string
	peer   string
	now    time.Time
}

func (s *splitter) array(v json.RawMessage) error {
	d := json.NewDecoder(bytes.NewReader(v))
	if _, err := d.Token(); err != nil {
		return err
	}
	for d.More() {
		var one json.RawMessage
		if err := d.Decode(&one); err != nil {
			return err
		}
		if err := s.add(one); err != nil {
			return err
		}
	}
	return nil
}

func (s *splitter) add(v json.RawMessage) error {
	n := len(s.lines) + 1
	if v[0] != '{' {
		return refuse(http.StatusBadRequest, "event %d is no object but %.20q", n, v)
	}
	if n > maxEvents {
		return refuse(http.StatusRequestEntityTooLarge, "more than %d events in one request: send it in parts", maxEvents)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, v); err != nil {
		return err
	}
	if b.Len() > line.MaxText {
		return refuse(http.StatusRequestEntityTooLarge, "event %d has %d bytes, the limit is %d", n, b.Len(), line.MaxText)
	}
	binary.BigEndian.PutUint64(s.mark[8:], uint64(n))
	s.lines = append(s.lines, line.Line{Text: b.Bytes(), Format: s.format, Received: s.now, Peer: s.peer, Mark: s.mark})
	return nil
}

// rate counts requests by source.
type rate struct {
	mu  sync.Mutex
	of  map[netip.Addr]*bucket
	per float64 // a second
}

type bucket struct {
	have float64
	at   time.Time
}

// take tells whether who may send one more now. Where too many are counted apart
// those who were quiet long enough are forgotten, and if there are none, all are.
func (r *rate) take(who netip.Addr, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.of[who]
	if b == nil {
		if len(r.of) >= maxSources {
			for k, b := range r.of {
				if now.Sub(b.at) > 2*time.Second {
					delete(r.of, k)
				}
			}
		}
		if len(r.of) >= maxSources {
			clear(r.of)
		}
		b = &bucket{have: 2 * r.per, at: now}
		r.of[who] = b
	}
	b.have = min(2*r.per, b.have+now.Sub(b.at).Seconds()*r.per)
	b.at = now
	if b.have < 1 {
		return false
	}
	b.have--
	return true
}
