// Package clamd asks a running clamd (ClamAV) over its socket, by the protocol
// of clamd(8): zVERSION, zINSTREAM, zSCAN. Every exchange has a deadline and
// every answer an end; one connection serves one question.
package clamd

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

const (
	maxAnswer = 8 << 10 // bytes
	block     = 64 << 10
)

// ErrTooLarge says that clamd's StreamMaxLength is smaller than the file.
var ErrTooLarge = errors.New("the file is larger than StreamMaxLength of clamd.conf")

// Client asks one clamd. It is safe for concurrent use.
type Client struct {
	network, address string
	timeout          time.Duration
}

// New makes a client of a Unix socket, given by its path, or of host:port.
// timeout bounds each question; zero is two minutes. Nothing is asked yet.
func New(address string, timeout time.Duration) (*Client, error) {
	if timeout <= 0 {
		timeout = 2 * time.Minute
	}
	if path, ok := strings.CutPrefix(address, "unix:"); ok || strings.Contains(address, "/") {
		return &Client{"unix", path, timeout}, nil
	}
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("clamd %q: give the path of its socket (LocalSocket in clamd.conf) or host:port: %w", address, err)
	}
	return &Client{"tcp", address, timeout}, nil
}

// Version is what clamd says of itself.
type Version struct {
	Engine     string    // "ClamAV 1.4.3"
	Signatures string    // number of the daily signatures; empty where clamd has none
	Built      time.Time // of those signatures; zero where unknown
}

// Version asks for engine and signatures.
func (c *Client) Version(ctx context.Context) (Version, error) {
	text, err := c.ask(ctx, "VERSION", nil, 0)
	if err != nil {
		return Version{}, err
	}
	f := strings.SplitN(text, "/", 3)
	v := Version{Engine: f[0]}
	if !strings.HasPrefix(v.Engine, "ClamAV") {
		return Version{}, fmt.Errorf("clamd at %s answers %.60q: is it clamd", c.address, text)
	}
	if len(f) == 3 {
		v.Signatures = f[1]
		// In the local time of its machine; a day's error at most.
		if t, err := time.Parse("Mon Jan _2 15:04:05 2006", f[2]); err == nil {
			v.Built = t
		}
	}
	return v, nil
}

// Stream sends content and gives the name of the signature that it matches,
// empty for none.
func (c *Client) Stream(ctx context.Context, in io.ReaderAt, size int64) (signature string, err error) {
	text, err := c.ask(ctx, "INSTREAM", in, size)
	if err != nil {
		return "", err
	}
	return verdict(text)
}

// File has clamd look at a path by itself, with its own rights.
func (c *Client) File(ctx context.Context, path string) (signature string, err error) {
	if strings.ContainsAny(path, "\x00\n") {
		return "", fmt.Errorf("clamd cannot be asked about the name %q", path)
	}
	text, err := c.ask(ctx, "SCAN "+path, nil, 0)
	if err != nil {
		return "", err
	}
	return verdict(text)
}

// verdict reads "NAME: OK", "NAME: SIGNATURE FOUND", "TEXT ERROR".
func verdict(text string) (string, error) {
	text = strings.TrimSpace(text)
	switch {
	case strings.HasSuffix(text, ": OK"), strings.HasSuffix(text, ": Empty file"):
		return "", nil
	case strings.HasSuffix(text, " FOUND"):
		text = strings.TrimSuffix(text, " FOUND")
		if i := strings.LastIndex(text, ": "); i >= 0 {
			text = text[i+len(": "):]
		}
		return text, nil
	case strings.HasPrefix(text, "INSTREAM size limit exceeded"):
		return "", ErrTooLarge
	}
	return "", fmt.Errorf("clamd answers %.200q", text)
}

// ask sends a command, and content where there is some, and reads the answer.
func (c *Client) ask(ctx context.Context, command string, in io.ReaderAt, size int64) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, c.network, c.address)
	if err != nil {
		return "", fmt.Errorf("ask clamd: %w", err)
	}
	defer conn.Close()                                      //nolint:errcheck // the answer is read
	stop := context.AfterFunc(ctx, func() { conn.Close() }) //nolint:errcheck // it ends the exchange
	defer stop()
	// clamd may answer, and close, before everything is sent: its answer counts.
	_, werr := io.WriteString(conn, "z"+command+"\x00")
	if werr == nil && in != nil {
		werr = send(conn, in, size)
	}
	if read, ok := errors.AsType[readError](werr); ok {
		return "", read.error
	}
	text, err := bufio.NewReader(io.LimitReader(conn, maxAnswer)).ReadString(0)
	text = strings.TrimSuffix(text, "\x00")
	switch {
	case ctx.Err() != nil:
		return "", fmt.Errorf("ask clamd: %w", ctx.Err())
	case text != "":
		return text, nil
	case werr != nil:
		err = werr
	}
	return "", fmt.Errorf("ask clamd: no answer: %w", err)
}

// readError is a fault of the file, not of clamd.
type readError struct{ error }

// send writes content in blocks, each with its length before it, and an end.
func send(w io.Writer, in io.ReaderAt, size int64) error {
	buf := make([]byte, 4+block)
	for at := int64(0); at < size; {
		n, err := in.ReadAt(buf[4:4+min(block, size-at)], at)
		if n == 0 {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return readError{err}
		}
		binary.BigEndian.PutUint32(buf, uint32(n))
		if _, err := w.Write(buf[:4+n]); err != nil {
			return err
		}
		at += int64(n)
	}
	_, err := w.Write(make([]byte, 4))
	return err
}
