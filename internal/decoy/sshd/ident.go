package sshd

import (
	"bytes"
	"crypto/md5" //nolint:gosec // HASSH is defined with MD5
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
)

// maxIdent is the longest identification line that OpenSSH reads, in bytes.
const maxIdent = 8192

// errIdent ends a connection whose identification was answered here.
var errIdent = errors.New("no SSH client")

// identConn reads the client's identification line as OpenSSH 9.2 does
// (RFC 4253, section 4.2), then gives the transport a line that it accepts.
// It also keeps the client's first KEXINIT.
type identConn struct {
	net.Conn
	banner string

	mu      sync.Mutex
	replay  []byte // bytes the transport has yet to read
	client  string // the client's line
	kex     []byte // the client's first packets, until its KEXINIT is whole
	kexDone bool
	settled atomic.Bool // nothing is replayed or observed any more
	sent    bool        // the server's line went out

	// Of the one who writes:
	extension bool // the next packet tells of extensions
	keyed     bool // the first key exchange is over

	out outbox
}

// newIdentConn sends the server's line and reads the client's.
func newIdentConn(c net.Conn, banner string) (*identConn, error) {
	ic := &identConn{Conn: c, banner: banner, out: outbox{w: c}}
	if _, err := io.WriteString(c, banner+"\r\n"); err != nil {
		return nil, err
	}
	line, rest, err := readIdent(c)
	if err != nil && !errors.Is(err, errIdent) {
		return nil, err
	}
	ic.client = line
	verdict := badIdent
	if err == nil {
		verdict = judgeIdent(line)
	}
	if verdict != "" {
		refuse(c, verdict, len(rest) > 0)
		return ic, errIdent
	}
	short := line
	if len(short) > 200 { // the transport takes 255 bytes; OpenSSH takes more
		short = short[:200]
	}
	ic.replay = append([]byte(short+"\r\n"), rest...)
	ic.observe(rest)
	return ic, nil
}

// resetter is a connection that can be ended with a reset.
type resetter interface{ Reset() }

// refuse answers and ends. sshd reads byte by byte: where it leaves some
// unread, its close resets the connection, and the line end that Nagle's
// algorithm held back is lost.
func refuse(c net.Conn, verdict string, unread bool) {
	if r, ok := c.(resetter); ok && unread {
		io.WriteString(c, verdict) //nolint:errcheck // the connection ends
		r.Reset()
		return
	}
	io.WriteString(c, verdict+"\r\n") //nolint:errcheck // the connection ends
}

const badIdent = "Invalid SSH identification string."

// judgeIdent is OpenSSH's sscanf of "SSH-%d.%d-%[^\n]".
func judgeIdent(line string) string {
	rest, ok := strings.CutPrefix(line, "SSH-")
	if !ok {
		return badIdent
	}
	major, rest, ok := number(rest)
	if !ok || !strings.HasPrefix(rest, ".") {
		return badIdent
	}
	minor, rest, ok := number(rest[1:])
	if !ok || len(rest) < 2 || rest[0] != '-' {
		return badIdent
	}
	if major == 2 || major == 1 && minor == 99 {
		return ""
	}
	return "Protocol major versions differ."
}

// number is %d of scanf(3): blanks, a sign, digits.
func number(s string) (n int, rest string, ok bool) {
	s = strings.TrimLeft(s, " \t\v\f\r\n")
	sign := 1
	if s != "" && (s[0] == '+' || s[0] == '-') {
		if s[0] == '-' {
			sign = -1
		}
		s = s[1:]
	}
	i := 0
	for i < len(s) && s[i] >= '0' && s[i] <= '9' {
		n = min(n*10+int(s[i]-'0'), 1<<30)
		i++
	}
	return sign * n, s[i:], i > 0
}

// readIdent reads one line as OpenSSH does; what follows it in the same
// segment is rest. errIdent says that it cannot be one.
func readIdent(c net.Conn) (line string, rest []byte, err error) {
	var buf []byte
	chunk := make([]byte, 256)
	seen, ended := 0, false
	for {
		n, err := c.Read(chunk)
		buf = append(buf, chunk[:n]...)
		for ; seen < len(buf); seen++ {
			switch b := buf[seen]; {
			case b == '\r':
				ended = true
			case b == '\n':
				return strings.ReplaceAll(string(buf[:seen]), "\r", ""), buf[seen+1:], nil
			case b == 0 || ended || seen >= maxIdent:
				return string(buf[:min(seen, 200)]), buf[seen+1:], errIdent
			}
		}
		if err != nil {
			return "", nil, err
		}
	}
}

// Read gives the replayed bytes first. The transport waits in here for as long
// as the visitor is silent: it has little on its stack.
func (c *identConn) Read(b []byte) (int, error) {
	if c.settled.Load() {
		return c.Conn.Read(b)
	}
	return c.early(b)
}

// early is Read until the client has logged in.
func (c *identConn) early(b []byte) (int, error) {
	c.mu.Lock()
	if len(c.replay) > 0 {
		n := copy(b, c.replay)
		c.replay = c.replay[n:]
		c.mu.Unlock()
		return n, nil
	}
	c.mu.Unlock()
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.observe(b[:n])
	}
	return n, err
}

// Write drops the transport's own identification line: it has gone out.
func (c *identConn) Write(b []byte) (int, error) {
	if !c.sent && bytes.HasPrefix(b, []byte("SSH-2.0-")) {
		c.sent = true
		i := bytes.IndexByte(b, '\n')
		if i < 0 || i+1 == len(b) {
			return len(b), nil
		}
		n, err := c.out.write(b[i+1:])
		return i + 1 + n, err
	}
	if !c.keyed {
		return c.exchange(b)
	}
	return c.out.write(b)
}

// The packets that sshd sends together: its answer to the key exchange, the
// word that the keys are new, and what extensions it knows (RFC 8308).
const (
	msgNewKeys  = 21
	msgKexReply = 31
)

// exchange writes a packet of the first key exchange, which is not encrypted.
func (c *identConn) exchange(b []byte) (int, error) {
	if len(b) > 5 && b[5] == msgKexReply {
		c.out.hold()
	}
	n, err := c.out.write(b)
	if len(b) > 5 && b[5] == msgNewKeys || c.extension {
		k, ok := c.clientKex()
		if c.extension = !c.extension && ok && strings.Contains(","+k.KeyExchange+",", ",ext-info-c,"); !c.extension {
			c.keyed = true
			err = errors.Join(err, c.out.release())
		}
	}
	return n, err
}

// Close sends what is held, and ends the connection.
func (c *identConn) Close() error {
	c.out.last()
	return c.Conn.Close()
}

const maxKex = 35000 // bytes of a packet, RFC 4253 section 6.1

func (c *identConn) observe(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kexDone {
		return
	}
	c.kex = append(c.kex, b...)
	if len(c.kex) >= 5 {
		n := int(binary.BigEndian.Uint32(c.kex))
		if n > maxKex || len(c.kex) >= n+4 || len(c.kex) > maxKex {
			c.kexDone = true
		}
	}
}

// Kex is what a client's KEXINIT offers (RFC 4253, section 7.1).
type Kex struct {
	KeyExchange, HostKeys, Ciphers, MACs, Compression string
}

// HASSH is the fingerprint of a client (salesforce/hassh).
func (k Kex) HASSH() string {
	sum := md5.Sum([]byte(k.KeyExchange + ";" + k.Ciphers + ";" + k.MACs + ";" + k.Compression)) //nolint:gosec // as defined
	return hex.EncodeToString(sum[:])
}

// ParseKex reads a KEXINIT packet as it is on the wire, unencrypted.
func ParseKex(p []byte) (Kex, bool) {
	if len(p) < 6+16 || p[5] != 20 {
		return Kex{}, false
	}
	p = p[6+16:]
	var lists [10]string
	for i := range lists {
		if len(p) < 4 {
			return Kex{}, false
		}
		n := int(binary.BigEndian.Uint32(p))
		if n < 0 || n > len(p)-4 {
			return Kex{}, false
		}
		lists[i], p = string(p[4:4+n]), p[4+n:]
	}
	return Kex{KeyExchange: lists[0], HostKeys: lists[1], Ciphers: lists[2], MACs: lists[4], Compression: lists[6]}, true
}

// forget frees what is no longer needed once the client has logged in.
func (c *identConn) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kex, c.kexDone = nil, true
	c.settled.Store(len(c.replay) == 0)
}

func (c *identConn) clientKex() (Kex, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ParseKex(c.kex)
}
