package sshd

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/lapwing-defence/lapwing/internal/event"
)

// global answers global requests (RFC 4254, section 4) as OpenSSH does: what
// it does not know, it refuses.
func (v *visit) global(sc *ssh.ServerConn, r *ssh.Request) {
	var ok bool
	var payload []byte
	switch r.Type {
	case "tcpip-forward", "streamlocal-forward@openssh.com":
		ok, payload = v.forward(r)
	case "cancel-tcpip-forward", "cancel-streamlocal-forward@openssh.com":
		ok = v.cancelForward(r)
	case "hostkeys-prove-00@openssh.com":
		payload, ok = v.prove(sc, r.Payload)
	case "no-more-sessions@openssh.com":
		ok = true
	}
	if r.WantReply {
		r.Reply(ok, payload) //nolint:errcheck // a gone client is seen elsewhere
	}
}

// forwardKey is the address of a forwarding request as its client wrote it.
func forwardKey(r *ssh.Request) (host string, port uint32, ok bool) {
	if strings.Contains(r.Type, "streamlocal") {
		var m struct{ Path string }
		err := ssh.Unmarshal(r.Payload, &m)
		return m.Path, 0, err == nil
	}
	var m struct {
		Host string
		Port uint32
	}
	err := ssh.Unmarshal(r.Payload, &m)
	return m.Host, m.Port, err == nil && m.Port <= 65535
}

// forward records a request to listen for the visitor, and answers it as
// configured; nothing listens.
func (v *visit) forward(r *ssh.Request) (ok bool, payload []byte) {
	host, port, valid := forwardKey(r)
	chosen := port
	if port == 0 && r.Type == "tcpip-forward" { // the server chooses
		chosen = 32768 + uint32(v.dice.Add(7919)%28_000)
	}
	ok = valid && v.c.Tunnels == "accept" && v.addForward(fmt.Sprint(host, ":", chosen))
	if ok && chosen != port {
		payload = binary.BigEndian.AppendUint32(nil, chosen)
	}
	v.tunnelEvent(r.Type, host, port, ok, "") // as it was asked for
	return ok, payload
}

func (v *visit) addForward(key string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.forwards) >= maxTunnels {
		return false
	}
	if v.forwards == nil {
		v.forwards = map[string]bool{}
	}
	v.forwards[key] = true
	return true
}

func (v *visit) cancelForward(r *ssh.Request) bool {
	host, port, valid := forwardKey(r)
	key := fmt.Sprint(host, ":", port)
	v.mu.Lock()
	defer v.mu.Unlock()
	had := valid && v.forwards[key]
	delete(v.forwards, key)
	return had
}

func (v *visit) tunnelEvent(kind, host string, port uint32, ok bool, payload string) {
	e := v.s.Event(event.ActionTunnelRequested)
	e.Depth, e.Outcome = event.DepthAct, "failure"
	if ok {
		e.Outcome = "unknown" // it was answered, and led nowhere
	}
	e.Add("lapwing.tunnel.kind", kind)
	e.Add("lapwing.tunnel.host", host[:min(len(host), 256)])
	e.AddInt("lapwing.tunnel.port", int64(port))
	if payload != "" {
		e.Add("lapwing.tunnel.payload", payload)
	}
	v.post(e)
}

// prove signs for the host keys that a client asks about (OpenSSH, PROTOCOL
// section 2.5).
func (v *visit) prove(sc *ssh.ServerConn, payload []byte) ([]byte, bool) {
	var out []byte
	for n := 0; len(payload) > 0; n++ {
		var m struct {
			Key  []byte
			Rest []byte `ssh:"rest"`
		}
		if n >= len(v.signers) || ssh.Unmarshal(payload, &m) != nil {
			return nil, false
		}
		payload = m.Rest
		sig := v.proof(sc.SessionID(), m.Key)
		if sig == nil {
			return nil, false
		}
		out = append(binary.BigEndian.AppendUint32(out, uint32(len(sig))), sig...)
	}
	return out, len(out) > 0
}

func (v *visit) proof(session, key []byte) []byte {
	for _, s := range v.signers {
		if string(s.PublicKey().Marshal()) != string(key) {
			continue
		}
		data := ssh.Marshal(struct {
			What         string
			Session, Key []byte
		}{"hostkeys-prove-00@openssh.com", session, key})
		var sig *ssh.Signature
		var err error
		if as, ok := s.(ssh.AlgorithmSigner); ok && s.PublicKey().Type() == ssh.KeyAlgoRSA {
			sig, err = as.SignWithAlgorithm(noise{}, data, ssh.KeyAlgoRSASHA512)
		} else {
			sig, err = s.Sign(noise{}, data)
		}
		if err != nil {
			return nil
		}
		return ssh.Marshal(sig)
	}
	return nil
}

// channel answers one request for a channel.
func (v *visit) channel(sc *ssh.ServerConn, nc ssh.NewChannel) {
	switch kind := nc.ChannelType(); kind {
	case "session":
		v.session(sc, nc)
	case "direct-tcpip", "direct-streamlocal@openssh.com":
		v.tunnel(kind, nc)
	default: // as OpenSSH: the reason it begins with
		nc.Reject(ssh.ConnectionFailed, "open failed") //nolint:errcheck // a gone client is seen elsewhere
	}
}

func (v *visit) session(sc *ssh.ServerConn, nc ssh.NewChannel) {
	v.mu.Lock()
	over := v.opened >= maxChannels
	if !over {
		v.opened++
	}
	v.mu.Unlock()
	if over {
		nc.Reject(ssh.ConnectionFailed, "open failed") //nolint:errcheck // a gone client is seen elsewhere
		v.limit("sessions of one connection")
		return
	}
	done := func() { v.mu.Lock(); v.opened--; v.mu.Unlock() }
	ch, reqs, err := nc.Accept()
	if err != nil {
		done()
		return
	}
	c := &channel{v: v, ch: ch, user: sc.User()}
	v.sessions.Go(func() {
		defer done()
		c.serve(reqs)
	})
}

const maxPayload = 16 << 10 // bytes sent into a tunnel that are kept

// tunnel records what a visitor wanted to reach and what he sent there;
// nothing is dialled.
func (v *visit) tunnel(kind string, nc ssh.NewChannel) {
	var m struct {
		Host  string
		Port  uint32
		From  string
		FromP uint32
	}
	if kind == "direct-tcpip" {
		ssh.Unmarshal(nc.ExtraData(), &m) //nolint:errcheck // what is there is told
	} else {
		var p struct {
			Path string
			Rest []byte `ssh:"rest"`
		}
		ssh.Unmarshal(nc.ExtraData(), &p) //nolint:errcheck // as above
		m.Host = p.Path
	}
	v.mu.Lock()
	accept := v.c.Tunnels == "accept" && v.tunnels < maxTunnels
	if accept {
		v.tunnels++
	}
	v.mu.Unlock()
	v.tunnelEvent(kind, m.Host, m.Port, accept, "")
	if !accept {
		nc.Reject(ssh.ConnectionFailed, "Connection refused") //nolint:errcheck // a gone client is seen elsewhere
		return
	}
	done := func() { v.mu.Lock(); v.tunnels--; v.mu.Unlock() }
	ch, reqs, err := nc.Accept()
	if err != nil {
		done()
		return
	}
	go ssh.DiscardRequests(reqs)
	v.posts.Go(func() {
		defer done()
		defer ch.Close() //nolint:errcheck // the visit goes on
		var b strings.Builder
		io.CopyN(&b, ch, maxPayload) //nolint:errcheck // what came is kept
		if b.Len() > 0 {
			v.tunnelEvent(kind, m.Host, m.Port, true, b.String())
		}
	})
}
