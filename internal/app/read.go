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
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/vault"
	"github.com/lapwing-defence/lapwing/internal/vault/aezip"
)

// Query says which events Events gives.
type Query struct {
	Follow  bool // go on as they come; needs a running instance
	FromEnd bool // only what comes from now on
}

// Events calls fn for every kept event in the order of arrival, from the
// running instance or from a stopped data directory.
func (d Dir) Events(ctx context.Context, q Query, fn func(event.Event) error) error {
	if !d.Exists() {
		return fmt.Errorf("the data directory %s holds nothing yet: start with lapwing up, or name another with --data DIR", d)
	}
	lines := func(data []byte) error {
		e, err := event.Decode(data)
		if err != nil {
			return nil //nolint:nilerr // a damaged line is no reason to hide the rest
		}
		return fn(e)
	}
	unlock, err := d.lock(ctx, "hub.lock", 0)
	var locked LockedError
	if errors.As(err, &locked) {
		return d.remote(ctx, q, lines)
	}
	if err != nil {
		return err
	}
	defer unlock()
	if q.Follow {
		return fmt.Errorf("nothing runs in %s: start it with lapwing up", d)
	}
	j, err := journal.Open(journal.Config{Dir: d.journal()})
	if err != nil {
		return err
	}
	defer j.Close() //nolint:errcheck // only read
	_, err = j.Read(ctx, journal.Position{}, func(e journal.Entry) error { return eachLine(e.Data, lines) })
	return err
}

func eachLine(data []byte, fn func([]byte) error) error {
	for len(data) > 0 {
		i := 0
		for i < len(data) && data[i] != '\n' {
			i++
		}
		if i > 0 {
			if err := fn(data[:i]); err != nil {
				return err
			}
		}
		data = data[min(i+1, len(data)):]
	}
	return nil
}

// remote asks the running hub over its socket.
func (d Dir) remote(ctx context.Context, q Query, fn func([]byte) error) error {
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var nd net.Dialer
		return nd.DialContext(ctx, "unix", d.apiSocket())
	}}}
	url := "http://hub/events?"
	if q.Follow {
		url += "follow=1&"
	}
	if q.FromEnd {
		url += "from=end"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("ask the running instance: %w", err)
	}
	var resp *http.Response
	for range 50 { // it may still be starting
		if resp, err = client.Do(req); err == nil || ctx.Err() != nil {
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
	sc := bufio.NewScanner(resp.Body)
	sc.Buffer(make([]byte, 64<<10), event.MaxLine+1)
	for sc.Scan() {
		if err := fn(sc.Bytes()); err != nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return nil
	}
	return sc.Err()
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
