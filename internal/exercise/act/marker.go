package act

import (
	"context"
	"fmt"
	"strings"
)

// MarkerText is what files and datagrams of a range hold.
const MarkerText = "LAPWING-RANGE-MARKER: harmless, left by an exercise.\n"

// testFile is the EICAR test file, which every scanner knows and which does
// nothing.
func testFile() string {
	return `X5O!P%@AP[4\PZX54(P^)7CC)7}$` + "EICAR-STANDARD-ANTIVIRUS-" + `TEST-FILE!$H+H*`
}

// Marker is a file that is left or fetched.
type Marker struct {
	Protocol   string // sftp, scp, ftp or http
	Path       string
	Credential Credential
	Size       int  // bytes of one that is left, 1 to 1 MiB (64)
	TestFile   bool // leave the EICAR test file instead of the marker
	Agent      string
}

const maxMarker = 1 << 20

// content is what is left.
func (m Marker) content() []byte {
	if m.TestFile {
		return []byte(testFile())
	}
	n := m.Size
	if n == 0 {
		n = 64
	}
	return []byte(strings.Repeat(MarkerText, n/len(MarkerText)+1)[:n])
}

func (m Marker) check() error {
	if m.Size < 0 || m.Size > maxMarker || m.Path == "" {
		return fmt.Errorf("a marker of %d bytes at %q: 1 to %d bytes, and a path: %w", m.Size, m.Path, maxMarker, errWrong)
	}
	return plain("a path", m.Path, 1024)
}

// Upload leaves a marker on a host.
func (a *Actor) Upload(ctx context.Context, t Target, m Marker) LoggedIn {
	return a.transfer(ctx, "file.upload_marker", t, m, m.content())
}

// Download fetches a file.
func (a *Actor) Download(ctx context.Context, t Target, m Marker) LoggedIn {
	return a.transfer(ctx, "file.download_marker", t, m, nil)
}

// transfer leaves data, or fetches where there is none.
func (a *Actor) transfer(ctx context.Context, action string, t Target, m Marker, data []byte) LoggedIn {
	if err := m.check(); err != nil {
		var out LoggedIn
		a.begin(ctx, action, &out.Outcome).end(err)
		return out
	}
	l := Login{Credentials: []Credential{m.Credential}}
	switch m.Protocol {
	case "http":
		return a.httpTransfer(ctx, action, t, m, data)
	case "ftp":
		return a.login(ctx, action, t, l, func(r *run, c *conn, cred Credential) (bool, []string, error) {
			return r.ftp(c, t, ftpWords{Credential: cred}, func(f *ftp) ([]string, error) {
				if data != nil {
					return nil, f.store(m.Path, data)
				}
				text, err := f.retrieve(m.Path)
				return []string{text}, err
			})
		})
	case "scp", "sftp":
		return a.login(ctx, action, t, l, func(r *run, c *conn, cred Credential) (bool, []string, error) {
			return r.sshTransfer(c, t, cred, m, data)
		})
	}
	var out LoggedIn
	a.begin(ctx, action, &out.Outcome).end(fmt.Errorf("protocol %q: sftp, scp, ftp or http: %w", m.Protocol, errWrong))
	return out
}

func (r *run) sshTransfer(c *conn, t Target, cred Credential, m Marker, data []byte) (bool, []string, error) {
	client, err := r.ssh(c, t, cred)
	if err != nil {
		return false, nil, err
	}
	defer client.Close() //nolint:errcheck // the connection ends with it
	if m.Protocol == "scp" {
		text, err := r.scp(client, m.Path, data)
		return true, []string{text}, err
	}
	f, done, err := openSFTP(client)
	if err != nil {
		return true, nil, err
	}
	defer done()
	if data != nil {
		return true, nil, f.upload(m.Path, data)
	}
	text, err := f.download(m.Path)
	return true, []string{text}, err
}

func (a *Actor) httpTransfer(ctx context.Context, action string, t Target, m Marker, data []byte) LoggedIn {
	q := Request{Paths: []string{m.Path}, Agent: m.Agent, Post: data != nil, marker: data}
	if m.Credential.User != "" {
		q.Credential = &m.Credential
	}
	f := a.HTTP(ctx, action, t, q)
	out := LoggedIn{Outcome: f.Outcome, Tries: 1, Output: []string{f.Text}}
	if f.OK() && f.Pages[0].Status >= 400 && data == nil {
		out.Result, out.Reason = Refused, fmt.Sprintf("status %d", f.Pages[0].Status)
	}
	return out
}

// Bytes is a transfer of bytes without meaning.
type Bytes struct {
	Size int64 // 1 to 64 MiB
	Down bool
	HTTP bool
}

// Moved is the outcome of a transfer.
type Moved struct {
	Outcome
	Bytes int64
}

const maxMoved = 64 << 20

// Transfer moves bytes of the marker up, or reads what comes down.
func (a *Actor) Transfer(ctx context.Context, t Target, b Bytes) Moved {
	var out Moved
	r := a.begin(ctx, "transfer.bytes", &out.Outcome)
	if b.Size < 1 || b.Size > maxMoved {
		r.end(fmt.Errorf("%d bytes, 1 to %d: %w", b.Size, int64(maxMoved), errWrong))
		return out
	}
	r.end(r.once("tcp", t, func(c *conn) error {
		if err := c.send([]byte(b.head(t))); err != nil {
			return err
		}
		var err error
		if b.Down {
			out.Bytes, err = c.down(b.Size)
		} else {
			out.Bytes, err = c.up(b.Size)
			if err == nil {
				err = c.taken()
			}
		}
		return err
	}))
	return out
}

// head is what is said before the bytes.
func (b Bytes) head(t Target) string {
	switch {
	case !b.HTTP && b.Down:
		return fmt.Sprintf("LAPWING-RANGE down %d\r\n", b.Size)
	case !b.HTTP:
		return fmt.Sprintf("LAPWING-RANGE up %d\r\n", b.Size)
	case b.Down:
		return fmt.Sprintf("GET /transfer?bytes=%d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", b.Size, t.Host)
	}
	return fmt.Sprintf("POST /transfer HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nContent-Type: application/octet-stream\r\nContent-Length: %d\r\n\r\n", t.Host, b.Size)
}

// taken waits until the server has read all and says so: who hangs up at once
// ends the connection with a reset.
func (c *conn) taken() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		if err := half.CloseWrite(); err != nil {
			return fmt.Errorf("end the bytes: %w", err)
		}
	}
	if _, err := limited(c, maxOutput); err != nil {
		return fmt.Errorf("wait for the server's word: %w: %w", errRefused, err)
	}
	return nil
}

func (c *conn) up(size int64) (int64, error) {
	chunk := []byte(strings.Repeat(MarkerText, 600))
	for sent := int64(0); ; {
		n, err := c.Write(chunk[:min(int64(len(chunk)), size-sent)])
		sent += int64(n)
		if err != nil || sent == size {
			return sent, err
		}
	}
}

func (c *conn) down(size int64) (int64, error) {
	c.left = size + maxOutput
	var got int64
	for buf := make([]byte, 32<<10); got < size; {
		n, err := c.Read(buf[:min(int64(len(buf)), size-got)])
		got += int64(n)
		if err != nil {
			break // the server has no more
		}
	}
	if got == 0 {
		return 0, fmt.Errorf("nothing came: %w", errRefused)
	}
	return got, nil
}
