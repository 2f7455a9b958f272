//go:build unix

package app

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// call asks the running hub, or answers itself on a stopped data directory.
// store says that the answer needs the event log.
type call struct {
	method, path string
	args         url.Values
	store        bool
	follow       bool // makes sense on a running instance only
}

// ErrRefused is wrapped where the answer is no, for a reason that the text tells.
var ErrRefused = errors.New("refused")

// do calls fn with the body of the answer.
func (d Dir) do(ctx context.Context, c call, fn func(io.Reader) error) error {
	if !d.Exists() {
		return fmt.Errorf("the data directory %s holds nothing yet: start with lapwing up, or name another with --data DIR", d)
	}
	unlock, err := d.lock(ctx, "hub.lock", 0)
	if _, ok := errors.AsType[LockedError](err); ok {
		tr := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var nd net.Dialer
			return nd.DialContext(ctx, "unix", d.apiSocket())
		}}
		defer tr.CloseIdleConnections()
		return c.do(ctx, tr, fn)
	}
	if err != nil {
		return err
	}
	defer unlock()
	if c.follow {
		return fmt.Errorf("nothing runs in %s: start it with lapwing up", d)
	}
	return d.alone(ctx, c.store, func(k *desk) error {
		mux := http.NewServeMux()
		k.handle(mux)
		return c.do(ctx, handlerTransport{mux}, fn)
	})
}

// do sends the call by tr and reads the answer.
func (c call) do(ctx context.Context, tr http.RoundTripper, fn func(io.Reader) error) error {
	req, err := http.NewRequestWithContext(ctx, c.method, "http://hub"+c.path+"?"+c.args.Encode(), nil)
	if err != nil {
		return err
	}
	var resp *http.Response
	for range 50 { // it may still be starting
		var op *net.OpError
		if resp, err = tr.RoundTrip(req); err == nil || ctx.Err() != nil || !errors.As(err, &op) || op.Op != "dial" {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	if err != nil {
		return fmt.Errorf("ask the running instance: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	if resp.StatusCode != http.StatusOK {
		text := make([]byte, 4096)
		n, _ := io.ReadFull(resp.Body, text)
		said := strings.TrimSpace(string(text[:n]))
		if resp.StatusCode == http.StatusConflict {
			return fmt.Errorf("%w: %s", ErrRefused, said)
		}
		return errors.New(said)
	}
	if err := fn(resp.Body); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	if text := resp.Trailer.Get(errorTrailer); text != "" {
		if plain, err := strconv.Unquote(text); err == nil {
			text = plain
		}
		return errors.New(text)
	}
	return nil
}

// alone opens a desk on a data directory whose lock is held, judges what is
// left, and runs fn.
func (d Dir) alone(ctx context.Context, store bool, fn func(*desk) error) error {
	s, err := d.loadStorage()
	if err != nil {
		return err
	}
	run := func() (err error) {
		a, err := d.openArchive(ctx, s, 0, nil)
		if err != nil {
			return err
		}
		defer a.Close()
		if err := a.decide(ctx, d, s, nil, nil); err != nil {
			return err
		}
		if err := a.judge.catchUp(ctx); err != nil {
			return err
		}
		k, err := a.openDesk(deskParts{dir: d}, nil)
		if err != nil {
			return err
		}
		runCtx, stop := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() { defer close(done); a.judge.run(runCtx) }()
		kept := make(chan error, 1)
		if store {
			go func() { kept <- a.keeper.Run(runCtx) }()
		} else {
			kept <- nil
		}
		err = fn(k)
		stop()
		<-done
		return errors.Join(err, <-kept)
	}
	if store {
		return d.withStore(ctx, s, run)
	}
	return run()
}

// handlerTransport answers requests by a handler in this process.
type handlerTransport struct{ h http.Handler }

// RoundTrip implements http.RoundTripper.
func (t handlerTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	pr, pw := io.Pipe()
	w := &pipeWriter{header: http.Header{}, pipe: pw, began: make(chan struct{})}
	done := make(chan struct{})
	resp := &http.Response{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: pipeBody{pr, done}, Request: r, Trailer: http.Header{}}
	go func() {
		defer close(done)
		defer func() {
			if w.header.Get(errorTrailer) != "" {
				resp.Trailer.Set(errorTrailer, w.header.Get(errorTrailer))
			}
			w.WriteHeader(http.StatusOK)
			pw.Close() //nolint:errcheck // never fails
		}()
		t.h.ServeHTTP(w, r)
	}()
	<-w.began
	resp.StatusCode, resp.Header = w.status, w.first
	return resp, nil
}

// pipeBody is an answer; Close returns when the handler has.
type pipeBody struct {
	*io.PipeReader
	done chan struct{}
}

// Close implements io.Closer.
func (b pipeBody) Close() error {
	err := b.PipeReader.Close()
	<-b.done
	return err
}

type pipeWriter struct {
	header, first http.Header
	status        int
	pipe          *io.PipeWriter
	began         chan struct{}
}

// Header implements http.ResponseWriter.
func (w *pipeWriter) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *pipeWriter) WriteHeader(status int) {
	if w.status == 0 {
		w.status, w.first = status, w.header.Clone()
		close(w.began)
	}
}

// Write implements http.ResponseWriter.
func (w *pipeWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.pipe.Write(p)
}

// Flush implements http.Flusher; a pipe holds nothing back.
func (w *pipeWriter) Flush() { w.WriteHeader(http.StatusOK) }

const maxAnswerLine = 16 << 20 // bytes

// each calls fn with each line of the answer.
func (d Dir) each(ctx context.Context, c call, fn func(line []byte) error) error {
	return d.do(ctx, c, func(r io.Reader) error {
		sc := bufio.NewScanner(r)
		sc.Buffer(make([]byte, 64<<10), maxAnswerLine)
		for sc.Scan() {
			if err := fn(sc.Bytes()); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // the person ended it
		}
		return sc.Err()
	})
}

// Alerts calls fn with each alert as a line of JSON and as what it says.
func (d Dir) Alerts(ctx context.Context, q Ask, fn func(line []byte, a *alert.Alert) error) error {
	return d.each(ctx, call{method: http.MethodGet, path: "/alerts", args: q.encode()}, alertLine(fn))
}

// Alert is one alert with its evidence, by the beginning of its id.
func (d Dir) Alert(ctx context.Context, id string, fn func(line []byte, a *alert.Alert) error) error {
	return d.each(ctx, call{method: http.MethodGet, path: "/alerts/" + url.PathEscape(id)}, alertLine(fn))
}

// Feed calls fn with alerts of a running instance as they come, until ctx ends.
func (d Dir) Feed(ctx context.Context, fn func(line []byte, a *alert.Alert) error) error {
	return d.each(ctx, call{method: http.MethodGet, path: "/feed", follow: true}, alertLine(fn))
}

// alertLine decodes lines; one that is no alert is given without.
func alertLine(fn func([]byte, *alert.Alert) error) func([]byte) error {
	return func(line []byte) error {
		a, err := alert.Decode(line)
		if err != nil {
			a = nil
		}
		return fn(line, a)
	}
}

// list decodes each line of a page into a T.
func list[T any](ctx context.Context, d Dir, path string, q Ask, fn func(line []byte, v *T) error) error {
	return d.each(ctx, call{method: http.MethodGet, path: path, args: q.encode()}, func(line []byte) error {
		v := new(T)
		if err := json.Unmarshal(line, v); err != nil {
			return fmt.Errorf("read the answer: %w", err)
		}
		return fn(line, v)
	})
}

// Sessions calls fn with each session.
func (d Dir) Sessions(ctx context.Context, q Ask, fn func(line []byte, s *Session) error) error {
	return list(ctx, d, "/sessions", q, fn)
}

// Captures calls fn with each captured file.
func (d Dir) Captures(ctx context.Context, q Ask, fn func(line []byte, c *Capture) error) error {
	return list(ctx, d, "/captures", q, fn)
}

// Holds calls fn with each hold.
func (d Dir) Holds(ctx context.Context, fn func(line []byte, h *HoldLine) error) error {
	return list(ctx, d, "/holds", Ask{}, fn)
}

// Acts calls fn with what operators did.
func (d Dir) Acts(ctx context.Context, fn func(line []byte, a *ActLine) error) error {
	return list(ctx, d, "/acts", Ask{}, fn)
}

// operator is who runs this command.
func operator() string {
	name := strconv.Itoa(os.Getuid())
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if s := os.Getenv("SUDO_USER"); s != "" {
		name += " (sudo of " + s + ")"
	}
	return name
}

func actArgs(source, why string) url.Values {
	v := url.Values{"source": {source}, "who": {operator()}}
	if why != "" {
		v.Set("why", why)
	}
	return v
}

// Hold keeps a source from being forgotten or expired, or, with release, no longer.
func (d Dir) Hold(ctx context.Context, source, why string, release bool) error {
	args := actArgs(source, why)
	if release {
		args.Set("release", "1")
	}
	return d.each(ctx, call{method: http.MethodPost, path: "/hold", args: args}, func([]byte) error { return nil })
}

// Forget removes everything of a source.
func (d Dir) Forget(ctx context.Context, source, why string) (line []byte, f *Forgotten, err error) {
	err = d.each(ctx, call{method: http.MethodPost, path: "/forget", args: actArgs(source, why), store: true}, func(l []byte) error {
		line, f = append([]byte(nil), l...), &Forgotten{}
		return json.Unmarshal(l, f)
	})
	return line, f, err
}

// Export writes a tar.gz of what is known of a source.
func (d Dir) Export(ctx context.Context, w io.Writer, source, why string) error {
	return d.do(ctx, call{method: http.MethodPost, path: "/export", args: actArgs(source, why), store: true}, func(r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	})
}

// Backup writes a tar.gz of the whole data directory, consistent while it runs.
func (d Dir) Backup(ctx context.Context, w io.Writer) error {
	return d.do(ctx, call{method: http.MethodPost, path: "/backup", args: url.Values{"who": {operator()}}, store: true}, func(r io.Reader) error {
		_, err := io.Copy(w, r)
		return err
	})
}
