package service

import (
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const sipMessages = 100 // of one connection

// answerSIP answers one request (RFC 3261): options, and registrations with a
// refusal. Nothing is called.
func answerSIP(v *visit, in []byte) []byte {
	head, _, _ := strings.Cut(clip(string(in), maxLine), "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	method, rest, ok := strings.Cut(lines[0], " ")
	if !ok || !strings.HasSuffix(rest, " SIP/2.0") || len(lines) > 64 {
		return nil
	}
	status := "501 Not Implemented"
	switch method {
	case "OPTIONS":
		status = "200 OK"
	case "REGISTER", "INVITE":
		status = "401 Unauthorized"
	case "ACK":
		return nil
	}
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	agent := ""
	for _, l := range lines[1:] {
		name, value, _ := strings.Cut(l, ":")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "via", "v", "from", "f", "to", "t", "call-id", "i", "cseq":
			b.WriteString(l + "\r\n")
		case "user-agent":
			agent = strings.TrimSpace(value)
		}
	}
	if strings.HasPrefix(status, "401") {
		fmt.Fprintf(&b, "WWW-Authenticate: Digest realm=\"%s\", nonce=\"%s\"\r\n", v.c.Host.fqdn(), v.id)
	}
	fmt.Fprintf(&b, "Server: %s\r\nAllow: OPTIONS, REGISTER, INVITE, ACK\r\nContent-Length: 0\r\n\r\n", first(v.c.Banner, "PBX 16"))
	v.query("sip", method+" "+agent)
	v.syslog("asterisk", "%s request from %s, agent %q: %s", clip(method, 32), v.src, clip(agent, 200), status)
	return []byte(b.String())
}

// serveSIP answers requests over TCP.
func serveSIP(v *visit) error {
	for range sipMessages {
		var b strings.Builder
		for {
			l, err := v.line()
			if err != nil {
				return over(err)
			}
			b.WriteString(l + "\r\n")
			if l == "" || b.Len() > maxLine {
				break
			}
		}
		out := answerSIP(v, []byte(b.String()))
		if out == nil {
			return fmt.Errorf("a request of SIP: %w", errMalformed)
		}
		if err := v.send(out); err != nil {
			return err
		}
	}
	return nil
}

// serveSOCKS greets a client of version 5 and accepts none of its methods (RFC
// 1928). Nothing is relayed.
func serveSOCKS(v *visit) error {
	b, err := v.r.Peek(2)
	if err != nil {
		return over(err)
	}
	if b[0] != 5 {
		return fmt.Errorf("SOCKS version %d: %w", b[0], errMalformed)
	}
	if _, err := v.r.Discard(2 + int(b[1])); err != nil {
		return over(err)
	}
	v.query("socks", "greeting")
	v.syslog("danted", "info: block(1): tcp/accept ]: %s", v.src)
	return v.send([]byte{5, 0xff})
}

const rpcMessages = 100 // of one connection

// serveRPC reads calls of DCE/RPC and refuses every interface (C706, 12.6.4).
func serveRPC(v *visit) error {
	for range rpcMessages {
		var h [16]byte
		if _, err := io.ReadFull(v.r, h[:]); err != nil {
			return over(err)
		}
		n := int(binary.LittleEndian.Uint16(h[8:])) - len(h)
		if h[0] != 5 { // of another version: it is told which there is
			return v.send(rpcRefusal(4, []byte{0, 0, 0, 0}))
		}
		if n < 0 || n > maxLine {
			return fmt.Errorf("a call of DCE/RPC: %w", errMalformed)
		}
		if _, err := v.r.Discard(n); err != nil {
			return over(err)
		}
		v.query("rpc", fmt.Sprintf("type %d", h[2]))
		if h[2] != 11 { // bind
			return nil
		}
		if err := v.send(rpcRefusal(0, h[12:])); err != nil {
			return err
		}
	}
	return nil
}

// rpcRefusal is the answer to a bind: a reason, and the one version that there is.
func rpcRefusal(reason byte, call []byte) []byte {
	nak := append([]byte{5, 0, 13, 3, 0x10, 0, 0, 0, 24, 0, 0, 0}, call...)
	return append(nak, reason, 0, 1, 5, 0, 0, 0, 0)
}

// serveBanner sends its banner and reads what comes until the visitor leaves.
func serveBanner(v *visit) error {
	if v.c.Banner != "" {
		if err := v.say("%s", v.c.Banner); err != nil {
			return err
		}
	}
	for {
		l, err := v.line()
		if err != nil {
			return over(err)
		}
		v.query("line", l)
	}
}
