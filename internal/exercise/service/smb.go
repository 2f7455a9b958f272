package service

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

const (
	smbTries    = 5
	smbMessages = 1000 // of one connection
)

// smbSession is one connection.
type smbSession struct {
	*visit
	challenge [8]byte
	user      string
	key       []byte // of signatures
	in        bool
	tries     int
	trees     uint32
}

// serveSMB speaks SMB 2 up to the shares (MS-SMB2).
func serveSMB(v *visit) error {
	s := &smbSession{visit: v}
	for i := range s.challenge {
		s.challenge[i] = byte(v.c.Host.draw(256))
	}
	for range smbMessages {
		m, err := wire.ReadSMB(v.r)
		if err != nil {
			return over(err)
		}
		reply := s.answer(m)
		reply.Reply, reply.Command, reply.Message = true, m.Command, m.Message
		out := wire.AppendSMB(reply)
		if m.Signed && len(s.key) > 0 || m.Command == wire.SMBSession && s.in {
			out = wire.SignSMB(out, s.key)
		}
		if err := v.send(out); err != nil || s.tries >= smbTries {
			return err
		}
	}
	return nil
}

func (s *smbSession) answer(m wire.SMB) wire.SMB {
	out := wire.SMB{Session: m.Session, Tree: m.Tree, Body: wire.SMBRefusal()}
	switch {
	case m.Old || m.Command == wire.SMBNegotiate:
		var guid [16]byte
		binary.LittleEndian.PutUint64(guid[:], s.c.Host.c.Seed)
		out.Body = wire.SMBGreeting(wire.SMBDialect(m), guid, s.c.Host.c.Clock.Now())
	case m.Command == wire.SMBSession:
		s.setup(m, &out)
	case !s.in:
		out.Status = wire.SMBDenied
	case m.Command == wire.SMBTree:
		s.share(m, &out)
	case m.Command == wire.SMBTreeOff:
		out.Body = wire.SMBGone()
	case m.Command == wire.SMBLogoff:
		s.in, out.Body = false, wire.SMBGone()
	default:
		out.Status = wire.SMBUnsupported
	}
	return out
}

// setup goes through the three messages of NTLM.
func (s *smbSession) setup(m wire.SMB, out *wire.SMB) {
	h := s.c.Host
	token := wire.SMBToken(m)
	kind, msg := wire.NTLMKind(token)
	wrap := len(token) > 0 && len(msg) < len(token)
	switch kind {
	case 1:
		domain, _, _ := strings.Cut(first(h.c.Domain, h.c.Name), ".")
		c := wire.NTLMChallenge(s.challenge, strings.ToUpper(domain), strings.ToUpper(h.Name()))
		if wrap {
			c = wire.SPNEGOReply(1, c)
		}
		out.Status, out.Session, out.Body = wire.SMBMore, 0x4000000000000|uint64(1+h.draw(1<<30)), wire.SMBSetupReply(c)
	case 3:
		a, err := wire.ParseNTLMAuth(msg)
		if err != nil {
			out.Status = wire.SMBLogonFailed
			return
		}
		s.authenticate(a, wrap, out)
	default:
		out.Status = wire.SMBLogonFailed
		s.tries++
	}
}

func (s *smbSession) authenticate(a wire.NTLMAuth, wrap bool, out *wire.SMB) {
	j := s.prove(a.User, func(p string) bool {
		ok := a.Knows(s.challenge, p)
		if ok {
			s.key = a.Key(p)
		}
		return ok
	})
	status := "NT_STATUS_WRONG_PASSWORD"
	if j.ok {
		status = "NT_STATUS_OK"
	}
	line := fmt.Sprintf("Auth: [SMB2,(null)] user [%s]\\[%s] at [%s] with [NTLMv2] status [%s] workstation [%s] remote host [ipv4:%s]", a.Domain, a.User, s.c.Host.c.Clock.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05 MST"), status, a.Station, s.src)
	s.logon(j, a.User, a.Station, 3, "smbd", line)
	if !j.ok {
		out.Status = wire.SMBLogonFailed
		s.tries++
		return
	}
	s.in, s.user = true, a.User
	var token []byte
	if wrap {
		token = wire.SPNEGOReply(0, nil)
	}
	out.Body = wire.SMBSetupReply(token)
}

// share connects to one; there are IPC$ and those below which files lie.
func (s *smbSession) share(m wire.SMB, out *wire.SMB) {
	path := wire.SMBPath(m)
	name := path[strings.LastIndexByte(path, '\\')+1:]
	s.query("share", path)
	pipe := strings.EqualFold(name, "IPC$")
	known := pipe || s.c.Host.records != nil && (strings.EqualFold(name, "C$") || strings.EqualFold(name, "ADMIN$"))
	for _, f := range s.c.Host.c.Files {
		top, _, _ := strings.Cut(strings.TrimPrefix(f.Path, "/"), "/")
		known = known || strings.EqualFold(top, name)
	}
	if !known || name == "" {
		out.Status = wire.SMBNoShare
		return
	}
	if r := s.c.Host.records; r != nil && !s.decoy {
		s.records(r.Share(clip(s.user, 128), clip(name, 80), s.src))
	} else {
		s.syslog("smbd", "%s (%s) connect to service %s initially as user %s", s.src.Addr(), s.src, name, s.user)
	}
	s.trees++
	out.Tree, out.Body = s.trees, wire.SMBShareReply(pipe)
}
