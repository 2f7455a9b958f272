//go:build unix

package app

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/keep"
	"github.com/lapwing-defence/lapwing/internal/vault"
	"github.com/lapwing-defence/lapwing/internal/vault/aezip"
)

// Query says which events Events gives. The zero Query asks for all.
type Query struct {
	Where   string    // a condition, see eventlog.Parse; only Lines takes pipes
	Since   time.Time // zero: no limit
	Until   time.Time // zero: no limit
	Last    int       // only the newest ones, 0 = all
	Follow  bool      // go on as they come; needs a running instance
	FromEnd bool      // only what comes from now on; needs Follow
}

// archiveQuery checks q.
func (q Query) archiveQuery() (keep.Query, error) {
	k := keep.Query{Follow: q.Follow, FromEnd: q.FromEnd}
	k.Range, k.Last = eventlog.Range{From: q.Since, To: q.Until}, q.Last
	var err error
	k.Where, k.Pipes, err = eventlog.Parse(q.Where)
	if err == nil && k.Pipes != "" && (q.Follow || q.Last > 0) {
		err = errors.New("a query with \"|\" gives rows of its own: leave -n and --follow away, and use the pipe \"limit\"")
	}
	return k, err
}

// Events calls fn for every event that q asks for in the order of arrival,
// from the running instance or from a stopped data directory.
func (d Dir) Events(ctx context.Context, q Query, fn func(event.Event) error) error {
	return d.Lines(ctx, q, func(line []byte) error {
		e, err := event.Decode(line)
		if err != nil {
			return nil //nolint:nilerr // a damaged line is no reason to hide the rest
		}
		return fn(e)
	})
}

// Lines is Events as lines of JSON; a query with pipes gives rows of its own.
// The line is fn's for the length of the call only.
func (d Dir) Lines(ctx context.Context, q Query, fn func(line []byte) error) error {
	if !d.Exists() {
		return fmt.Errorf("the data directory %s holds nothing yet: start with lapwing up, or name another with --data DIR", d)
	}
	k, err := q.archiveQuery()
	if err != nil {
		return err
	}
	unlock, err := d.lock(ctx, "hub.lock", 0)
	if _, ok := errors.AsType[LockedError](err); ok {
		return d.remote(ctx, q, fn)
	}
	if err != nil {
		return err
	}
	defer unlock()
	if q.Follow {
		return fmt.Errorf("nothing runs in %s: start it with lapwing up", d)
	}
	return d.stopped(ctx, k, fn)
}

// stopped reads a data directory that nothing runs in; its lock is held.
func (d Dir) stopped(ctx context.Context, q keep.Query, fn func([]byte) error) error {
	s, err := d.loadStorage()
	if err != nil {
		return err
	}
	return d.withStore(ctx, s, func() error {
		a, err := d.openArchive(ctx, s, 0, nil)
		if err != nil {
			return err
		}
		defer a.Close()
		if q.Pipes == "" {
			return a.Read(ctx, q, fn)
		}
		runCtx, stop := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- a.keeper.Run(runCtx) }()
		err = a.Read(ctx, q, fn)
		stop()
		return errors.Join(err, <-done)
	})
}

// errorTrailer is the HTTP trailer in which the hub says what went wrong after
// the first events.
const errorTrailer = "Lapwing-Error"

// remote asks the running hub over its socket.
func (d Dir) remote(ctx context.Context, q Query, fn func([]byte) error) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var nd net.Dialer
		return nd.DialContext(ctx, "unix", d.apiSocket())
	}}}
	defer client.CloseIdleConnections()
	resp, err := ask(ctx, client, "http://hub/events?"+q.encode().Encode())
	if err != nil {
		return fmt.Errorf("ask the running instance: %w", err)
	}
	defer resp.Body.Close() //nolint:errcheck // only read
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(make([]byte, 64<<10), 4*event.MaxLine)
	if resp.StatusCode != http.StatusOK {
		sc.Scan()
		return fmt.Errorf("ask the running instance: %s", sc.Text())
	}
	for sc.Scan() {
		if err := fn(sc.Bytes()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	if err := sc.Err(); err != nil {
		return fmt.Errorf("the running instance broke off: %w", err)
	}
	if text := resp.Trailer.Get(errorTrailer); text != "" {
		if plain, err := strconv.Unquote(text); err == nil {
			text = plain
		}
		return errors.New(text)
	}
	return nil
}

// ask gets a page of the hub, which may still be starting.
func ask(ctx context.Context, client *http.Client, page string) (resp *http.Response, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, page, nil)
	if err != nil {
		return nil, err
	}
	for range 50 {
		if resp, err = client.Do(req); err == nil || ctx.Err() != nil {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
	return resp, err
}

const maxRecording = 64 << 20 // bytes

// Recording reads the asciicast of a session.
func (d Dir) Recording(session string) ([]byte, error) {
	name, err := d.sessionFile(session)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("session %s has no recording: it had no terminal", session)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data := make([]byte, 0, 64<<10)
	buf := make([]byte, 64<<10)
	for len(data) < maxRecording {
		n, err := f.Read(buf)
		data = append(data, buf[:n]...)
		if err != nil {
			break
		}
	}
	return data, nil
}

// Capture writes a captured file to w: raw, or in a zip archive encrypted with
// the password that analysts expect, "infected".
func (d Dir) Capture(w io.Writer, sum string, raw bool) error {
	if _, err := os.Stat(filepath.Join(d.keys(), "vault")); err != nil {
		return fmt.Errorf("the data directory %s holds no captured files", d)
	}
	key, err := d.key("vault")
	if err != nil {
		return err
	}
	v, err := vault.Open(d.captures(), key, 0)
	if err != nil {
		return err
	}
	if raw {
		return v.Get(w, sum)
	}
	var size counter
	if err := v.Get(&size, sum); err != nil {
		return err
	}
	f := aezip.File{Name: sum, Password: "infected", Modified: time.Now(), Size: int64(size), Salt: rand.Reader}
	return aezip.Write(w, f, func(w io.Writer) error { return v.Get(w, sum) })
}

// counter counts what is written to it.
type counter int64

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
