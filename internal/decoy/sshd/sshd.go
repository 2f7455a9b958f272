// Package sshd is a decoy that speaks SSH as Debian's OpenSSH 9.2 does, as far
// as golang.org/x/crypto/ssh lets it (RFC 4251 to 4254).
package sshd

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
)

// OpenCanary's numbers of SSH events.
const (
	LogConnection = 4000
	logVersion    = 4001
	logLogin      = 4002
)

const (
	maxTries    = 6
	graceTime   = 2 * time.Minute // LoginGraceTime
	maxChannels = 10              // MaxSessions
)

// Config is what New takes.
type Config struct {
	Banner   string   // without the newline
	HostKeys [][]byte // PEM, in the order to offer them
	Door     *access.Door
	Tunnels  string // "refuse" or "accept"; nothing is ever forwarded
}

// Server is the decoy.
type Server struct {
	c       Config
	signers []ssh.Signer
}

var _ decoy.Decoy = (*Server)(nil)

// New parses the host keys.
func New(c Config) (*Server, error) {
	s := &Server{c: c}
	for _, k := range c.HostKeys {
		signer, err := ssh.ParsePrivateKey(k)
		if err != nil {
			return nil, fmt.Errorf("parse a host key: %w", err)
		}
		s.signers = append(s.signers, signer)
	}
	if len(s.signers) == 0 {
		return nil, errors.New("the ssh decoy has no host key")
	}
	return s, nil
}

// visit is one connection.
type visit struct {
	*Server
	s      *decoy.Session
	ctx    context.Context //nolint:containedctx // of the connection
	last   context.Context //nolint:containedctx // outlives the connection, for its last events
	conn   *identConn
	host   *host.Visit
	tries  int
	posts  sync.WaitGroup
	opened int
	mu     sync.Mutex
}

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, ctx: ctx, last: context.WithoutCancel(ctx)}
	defer v.posts.Wait()
	stopGrace := s.Clock.AfterFunc(graceTime, func() { s.Conn.Close() }) //nolint:errcheck // ends the handshake
	ic, err := newIdentConn(s.Conn, d.c.Banner)
	if ic != nil {
		v.conn = ic
	}
	if err != nil {
		stopGrace()
		if errors.Is(err, errIdent) {
			v.protocolError("identification " + quote(ic.client))
		}
		return quiet(err)
	}
	v.host = s.Host.Visit(ctx, s.Source.Addr())
	defer v.host.Close()
	sc, chans, reqs, err := ssh.NewServerConn(ic, v.config())
	stopGrace()
	if err != nil {
		if v.tries == 0 {
			v.identified()
			v.protocolError(err.Error())
		}
		return quiet(err)
	}
	defer sc.Close() //nolint:errcheck // the visit ends
	v.hostKeys(sc)
	v.loop(sc, chans, reqs)
	return nil
}

// loop answers requests and opens channels until the connection ends, then
// waits for the channels.
func (v *visit) loop(sc *ssh.ServerConn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	var wg sync.WaitGroup
	for chans != nil || reqs != nil {
		select {
		case nc, ok := <-chans:
			if !ok {
				chans = nil
				continue
			}
			v.channel(&wg, sc, nc)
		case r, ok := <-reqs:
			if !ok {
				reqs = nil
				continue
			}
			v.global(r)
		}
	}
	sc.Close() //nolint:errcheck // the visit ends
	wg.Wait()
}

func quote(s string) string { return fmt.Sprintf("%.200q", s) }

// quiet is nil for the ordinary ends of a connection.
func quiet(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errIdent) {
		return nil
	}
	return err
}

func (v *visit) post(e event.Event) {
	v.s.Post(v.last, e)
}

func (v *visit) protocolError(why string) {
	e := v.s.Event(event.ActionProtocolError)
	e.Depth, e.Reason = event.DepthTry, why[:min(len(why), 400)]
	v.post(e)
}

// identified tells who the client is, once.
func (v *visit) identified() {
	e := v.s.Event(event.ActionClientIdentified)
	e.Depth, e.LogType = event.DepthTouch, logVersion
	e.Add("user_agent.original", v.conn.client)
	if k, ok := v.conn.clientKex(); ok {
		e.Add("lapwing.ssh.hassh", k.HASSH())
		e.Add("lapwing.ssh.kex", k.KeyExchange)
		e.Add("lapwing.ssh.host_key_algorithms", k.HostKeys)
		e.Add("lapwing.ssh.ciphers", k.Ciphers)
		e.Add("lapwing.ssh.macs", k.MACs)
	}
	v.post(e)
}

func (v *visit) config() *ssh.ServerConfig {
	c := &ssh.ServerConfig{
		ServerVersion: v.c.Banner,
		MaxAuthTries:  maxTries,
		Config: ssh.Config{
			KeyExchanges: []string{"curve25519-sha256", "curve25519-sha256@libssh.org", "ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "diffie-hellman-group-exchange-sha256", "diffie-hellman-group16-sha512", "diffie-hellman-group14-sha256"},
			Ciphers:      []string{"chacha20-poly1305@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr", "aes128-gcm@openssh.com", "aes256-gcm@openssh.com"},
			MACs:         []string{"hmac-sha2-256-etm@openssh.com", "hmac-sha2-512-etm@openssh.com", "hmac-sha2-256", "hmac-sha2-512", "hmac-sha1"},
		},
		PasswordCallback: v.password,
		PublicKeyCallback: func(m ssh.ConnMetadata, k ssh.PublicKey) (*ssh.Permissions, error) {
			e := v.login(m, "publickey", false)
			e.Add("lapwing.ssh.public_key", ssh.FingerprintSHA256(k))
			e.Add("lapwing.ssh.public_key_type", k.Type())
			v.post(e)
			return nil, errors.New("permission denied")
		},
	}
	for _, s := range v.signers {
		c.AddHostKey(s)
	}
	return c
}

func (v *visit) login(m ssh.ConnMetadata, method string, ok bool) event.Event {
	if v.tries == 0 {
		v.identified()
	}
	v.tries++
	e := v.s.Event(event.ActionLogin)
	e.User, e.Depth, e.LogType = m.User()[:min(len(m.User()), 256)], event.DepthTry, logLogin
	e.Outcome = "failure"
	if ok {
		e.Outcome, e.Depth = "success", event.DepthEnter
	}
	e.Add("lapwing.login.method", method)
	return e
}

func (v *visit) password(m ssh.ConnMetadata, pw []byte) (*ssh.Permissions, error) {
	ok, delay := v.c.Door.Check(v.s.Source.Addr(), v.host, m.User(), string(pw))
	e := v.login(m, "password", ok)
	e.Add(record.PasswordField, string(pw[:min(len(pw), 1024)]))
	v.post(e)
	if ok {
		return &ssh.Permissions{}, nil
	}
	v.s.Clock.Sleep(v.ctx, delay) //nolint:errcheck // the handshake sees the end
	return nil, errors.New("permission denied")
}

// hostKeys sends hostkeys-00@openssh.com, as OpenSSH does after login.
func (v *visit) hostKeys(sc *ssh.ServerConn) {
	var payload []byte
	for _, s := range v.signers {
		k := s.PublicKey().Marshal()
		payload = append(binary.BigEndian.AppendUint32(payload, uint32(len(k))), k...)
	}
	sc.SendRequest("hostkeys-00@openssh.com", false, payload) //nolint:errcheck // a gone client is seen elsewhere
}

// global answers global requests (RFC 4254, section 4).
func (v *visit) global(r *ssh.Request) {
	if r.Type == "tcpip-forward" {
		e := v.s.Event(event.ActionTunnelRequested)
		e.Depth, e.Outcome = event.DepthAct, "failure"
		e.Add("lapwing.tunnel.kind", r.Type)
		v.post(e)
	}
	if r.WantReply {
		r.Reply(false, nil) //nolint:errcheck // a gone client is seen elsewhere
	}
}

// channel answers one request for a channel.
func (v *visit) channel(wg *sync.WaitGroup, sc *ssh.ServerConn, nc ssh.NewChannel) {
	switch nc.ChannelType() {
	case "session":
		v.mu.Lock()
		v.opened++
		over := v.opened > maxChannels
		v.mu.Unlock()
		if over {
			nc.Reject(ssh.ResourceShortage, "open failed") //nolint:errcheck // a gone client is seen elsewhere
			return
		}
		ch, reqs, err := nc.Accept()
		if err != nil {
			return
		}
		wg.Go(func() {
			defer func() { v.mu.Lock(); v.opened--; v.mu.Unlock() }()
			(&channel{v: v, ch: ch, user: sc.User()}).serve(reqs)
		})
	case "direct-tcpip":
		v.tunnel(nc)
	default:
		nc.Reject(ssh.UnknownChannelType, "unknown channel type") //nolint:errcheck // a gone client is seen elsewhere
	}
}

// tunnel records what a visitor wanted to reach and refuses; nothing is dialled.
func (v *visit) tunnel(nc ssh.NewChannel) {
	var m struct {
		Host  string
		Port  uint32
		From  string
		FromP uint32
	}
	e := v.s.Event(event.ActionTunnelRequested)
	e.Depth, e.Outcome = event.DepthAct, "failure"
	if err := ssh.Unmarshal(nc.ExtraData(), &m); err == nil {
		e.Add("lapwing.tunnel.host", m.Host[:min(len(m.Host), 256)])
		e.AddInt("lapwing.tunnel.port", int64(m.Port))
	}
	e.Add("lapwing.tunnel.kind", "direct-tcpip")
	v.post(e)
	if v.c.Tunnels != "accept" {
		nc.Reject(ssh.ConnectionFailed, "Connection refused") //nolint:errcheck // a gone client is seen elsewhere
		return
	}
	ch, reqs, err := nc.Accept()
	if err != nil {
		return
	}
	go ssh.DiscardRequests(reqs)
	v.posts.Go(func() {
		defer ch.Close() //nolint:errcheck // the visit goes on
		var b strings.Builder
		io.CopyN(&b, ch, 16<<10) //nolint:errcheck // what came is kept
		if b.Len() > 0 {
			e := v.s.Event(event.ActionTunnelRequested)
			e.Depth, e.Outcome = event.DepthAct, "unknown"
			e.Add("lapwing.tunnel.host", m.Host[:min(len(m.Host), 256)])
			e.Add("lapwing.tunnel.payload", b.String())
			v.s.Emit(v.last, e) //nolint:errcheck // the recorder counts what it refuses
		}
	})
}
