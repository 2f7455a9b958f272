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
	"sync"
	"sync/atomic"
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
	maxChannels = 10   // MaxSessions
	maxTunnels  = 64   // tunnels of a connection at once
	maxEvents   = 2000 // events of a connection beside those of its sessions
)

// Config is what New takes. Zero takes the default in brackets.
type Config struct {
	Banner   string   // without the newline
	HostKeys [][]byte // PEM, in the order to offer them
	Door     *access.Door
	Tunnels  string // "refuse" or "accept"; nothing is ever forwarded

	MaxTries            int           // MaxAuthTries (6)
	Grace               time.Duration // LoginGraceTime (2 min)
	Startups            Startups      // MaxStartups (none)
	KeyboardInteractive bool          // offer it beside the password
	StdinMemory         int64         // bytes of standard input kept in memory, over all sessions (128 MiB)
}

// Startups is OpenSSH's MaxStartups: from Begin connections that have not
// logged in, Rate of a hundred new ones are turned away, rising to all at Full.
type Startups struct{ Begin, Rate, Full int }

// drop is the decision for one more connection beside n; dice is in [0, 100).
func (s Startups) drop(n, dice int) bool {
	switch {
	case s.Full == 0 || n < s.Begin:
		return false
	case n >= s.Full || s.Rate == 100:
		return true
	}
	return dice < s.Rate+(100-s.Rate)*(n-s.Begin)/max(s.Full-s.Begin, 1)
}

// Server is the decoy.
type Server struct {
	c        Config
	signers  []ssh.Signer
	startups atomic.Int64
	dice     atomic.Uint64
	stdin    atomic.Int64 // bytes of standard input in memory
}

var _ decoy.Decoy = (*Server)(nil)

// New parses the host keys.
func New(c Config) (*Server, error) {
	if c.MaxTries == 0 {
		c.MaxTries = 6
	}
	if c.Grace == 0 {
		c.Grace = 2 * time.Minute
	}
	if c.StdinMemory == 0 {
		c.StdinMemory = 128 << 20
	}
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
	s        *decoy.Session
	ctx      context.Context //nolint:containedctx // of the connection
	last     context.Context //nolint:containedctx // outlives the connection, for its last events
	conn     *identConn
	once     sync.Once
	host     *host.Visit
	tries    int
	posts    sync.WaitGroup
	sessions sync.WaitGroup
	events   atomic.Int64
	late     atomic.Bool // the time to log in is over

	adopt chan requests // of a session, for loop to answer

	mu       sync.Mutex
	adopted  bool // loop has the requests of a session
	over     bool // loop takes no more of them
	opened   int
	tunnels  int
	forwards map[string]bool
}

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, ctx: ctx, last: context.WithoutCancel(ctx), adopt: make(chan requests, 1)}
	defer v.leave()
	sc, chans, reqs, err := v.admit()
	if sc == nil {
		return err
	}
	v.loop(sc, chans, reqs)
	return nil
}

// admit lets the visitor log in; without a connection he did not.
func (v *visit) admit() (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	n := int(v.startups.Add(1))
	defer v.startups.Add(-1)
	if v.c.Startups.drop(n-1, int(v.dice.Add(37)%100)) {
		io.WriteString(v.s.Conn, "Exceeded MaxStartups\r\n") //nolint:errcheck // the connection ends
		v.limit("MaxStartups")
		return nil, nil, nil, nil
	}
	stopGrace := v.s.Clock.AfterFunc(v.c.Grace, func() { v.late.Store(true); v.s.Conn.Close() }) //nolint:errcheck // ends the handshake
	sc, chans, reqs, err := v.handshake()
	stopGrace()
	if err != nil {
		return nil, nil, nil, v.failed(err)
	}
	v.hostKeys(sc)
	v.conn.out.release() //nolint:errcheck // a gone client is seen elsewhere
	return sc, chans, reqs, nil
}

func (v *visit) leave() {
	v.posts.Wait()
	if v.host != nil {
		v.host.Close()
	}
}

// handshake reads the identification, agrees on keys and lets log in.
func (v *visit) handshake() (*ssh.ServerConn, <-chan ssh.NewChannel, <-chan *ssh.Request, error) {
	ic, err := newIdentConn(v.s.Conn, v.c.Banner)
	v.conn = ic
	if err != nil {
		return nil, nil, nil, err
	}
	sc, chans, reqs, err := ssh.NewServerConn(ic, v.config())
	if err == nil {
		v.visitHost()
		ic.forget()
	}
	return sc, chans, reqs, err
}

// failed tells why nobody logged in.
func (v *visit) failed(err error) error {
	switch {
	case v.late.Load():
		if v.tries == 0 && v.conn != nil {
			v.identified()
		}
		v.limit("login grace time")
		return nil
	case errors.Is(err, errIdent):
		v.protocolError("identification " + quote(v.conn.client))
	case v.conn == nil && !errors.Is(err, io.EOF):
		v.protocolError("no identification: " + err.Error())
	case v.conn != nil && v.tries == 0:
		v.identified()
		v.protocolError(err.Error())
	}
	return quiet(err)
}

// visitHost opens the visitor's view of the host when it is first needed: a
// scanner that only looks at the handshake costs none.
func (v *visit) visitHost() *host.Visit {
	v.once.Do(func() { v.host = v.s.Host.Visit(v.ctx, v.s.Source.Addr()) })
	return v.host
}

// limit records that a limit was reached.
func (v *visit) limit(what string) {
	e := v.s.Event(event.ActionLimitReached)
	e.Depth, e.Reason = event.DepthTouch, what
	v.post(e)
}

// requests are those of a session whose program runs.
type requests struct {
	from   <-chan *ssh.Request
	answer func(*ssh.Request)
	end    func() // from is closed
}

func (r requests) run() {
	for q := range r.from {
		r.answer(q)
	}
	r.end()
}

// answer answers the requests of a session: those of one in loop, so that a
// visitor who has one shell, as nearly all have, costs no goroutine for them;
// those of others on goroutines of their own.
func (v *visit) answer(r requests) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.adopted || v.over {
		go r.run()
		return
	}
	v.adopted = true
	v.adopt <- r // there is room: the last one was taken before adopted became false
}

// loop answers requests and opens channels until the connection ends, then
// waits for the channels.
func (v *visit) loop(sc *ssh.ServerConn, chans <-chan ssh.NewChannel, reqs <-chan *ssh.Request) {
	var session requests
	for chans != nil || reqs != nil {
		select {
		case nc, ok := <-chans:
			if !ok {
				chans = nil
				continue
			}
			v.channel(sc, nc)
		case r, ok := <-reqs:
			if !ok {
				reqs = nil
				continue
			}
			v.global(sc, r)
		case session = <-v.adopt:
		case r, ok := <-session.from:
			if ok {
				session.answer(r)
				continue
			}
			v.orphan(&session)
		}
	}
	sc.Close() //nolint:errcheck // the visit ends
	v.drain(session)
}

// drain answers what is left of the requests of session, or of one that comes
// only now, and waits for all sessions.
func (v *visit) drain(session requests) {
	v.mu.Lock()
	v.over = true
	v.mu.Unlock()
	if session.from == nil {
		select {
		case session = <-v.adopt:
		default:
		}
	}
	if session.from != nil {
		session.run()
	}
	v.sessions.Wait()
}

// orphan ends the answering of a session's requests.
func (v *visit) orphan(r *requests) {
	r.end()
	*r = requests{}
	v.mu.Lock()
	defer v.mu.Unlock()
	v.adopted = false
}

func quote(s string) string { return fmt.Sprintf("%.200q", s) }

// quiet is nil for the ordinary ends of a connection.
func quiet(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, errIdent) {
		return nil
	}
	return err
}

// post records; over the limit of a connection one event says so, and the
// rest is not told.
func (v *visit) post(e event.Event) {
	switch n := v.events.Add(1); {
	case n == maxEvents:
		e = v.s.Event(event.ActionLimitReached)
		e.Depth, e.Reason = event.DepthAct, "events of one connection"
	case n > maxEvents:
		return
	}
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
		MaxAuthTries:  v.c.MaxTries,
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
	if v.c.KeyboardInteractive {
		c.KeyboardInteractiveCallback = v.interactive
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
	return v.check(m, "password", string(pw))
}

// interactive asks as PAM does (RFC 4256).
func (v *visit) interactive(m ssh.ConnMetadata, ask ssh.KeyboardInteractiveChallenge) (*ssh.Permissions, error) {
	answers, err := ask("", "", []string{"Password: "}, []bool{false})
	if err != nil {
		return nil, err
	}
	pw := ""
	if len(answers) > 0 {
		pw = answers[0]
	}
	return v.check(m, "keyboard-interactive", pw)
}

// check asks the door; a refusal takes as long as PAM's.
func (v *visit) check(m ssh.ConnMetadata, method, pw string) (*ssh.Permissions, error) {
	a := v.c.Door.Check(v.s.Source.Addr(), v.visitHost(), m.User(), pw)
	if !a.OK {
		v.visitHost().Refused(m.User(), v.s.Source, "ssh")
	}
	e := v.login(m, method, a.OK)
	e.Add(record.PasswordField, pw[:min(len(pw), 1024)])
	if a.Token != "" {
		e.Add(record.TokenField, a.Token)
	}
	v.post(e)
	if a.OK {
		v.conn.out.hold() // until hostKeys: sshd sends both in one segment
		return &ssh.Permissions{}, nil
	}
	v.s.Clock.Sleep(v.ctx, a.Delay) //nolint:errcheck // the handshake sees the end
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
