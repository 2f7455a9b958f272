// Package ldap is a decoy that speaks LDAPv3 (RFC 4511) as Debian 12's OpenLDAP
// 2.5 does when it was set up by hand: anybody may read, who binds is checked,
// nobody may write. What is searched for and who binds is recorded.
package ldap

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	ber "github.com/go-asn1-ber/asn1-ber"

	"github.com/lapwing-defence/lapwing/internal/decoy"
	"github.com/lapwing-defence/lapwing/internal/decoy/access"
	"github.com/lapwing-defence/lapwing/internal/decoy/record"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/host"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// LogConnection is OpenCanary's number of a connection: it has none for LDAP.
const LogConnection = 0

// Config is what New takes.
type Config struct {
	Door    *access.Door
	Persona *persona.Persona
}

// Server is the decoy.
type Server struct {
	c   Config
	dir *directory
}

var _ decoy.Decoy = (*Server)(nil)

// New makes a Server.
func New(c Config) *Server { return &Server{c: c, dir: newDirectory(c.Persona)} }

// visit is one connection.
type visit struct {
	*Server
	s    *decoy.Session
	last context.Context //nolint:containedctx // outlives the connection, for its last events
	host *host.Visit
	rec  *record.Session
	user string // distinguished name that is bound, "" for nobody
	told int
}

const (
	idleTime    = 5 * time.Minute
	maxRequests = 10_000
	maxTold     = 500 // searches and tries that are recorded one by one
)

// Serve speaks with one visitor.
func (d *Server) Serve(ctx context.Context, s *decoy.Session) error {
	v := &visit{Server: d, s: s, last: context.WithoutCancel(ctx)}
	v.host = s.Host.Visit(ctx, s.Source.Addr())
	defer v.host.Close()
	defer v.close()
	stop := context.AfterFunc(ctx, func() { s.Conn.Close() }) //nolint:errcheck // ends the read
	defer stop()
	in := bufio.NewReaderSize(s.Conn, 4096)
	for range maxRequests {
		s.Conn.SetReadDeadline(s.Clock.Now().Add(idleTime)) //nolint:errcheck // a failed read follows
		m, err := readMessage(in)
		if errors.Is(err, errMessage) {
			record.Broken(v.last, s, err.Error())
			return nil
		}
		if err != nil {
			return decoy.Quiet(err)
		}
		answer, more := v.handle(m)
		if len(answer) > 0 {
			if _, err := s.Conn.Write(answer); err != nil {
				return decoy.Quiet(err)
			}
		}
		if !more {
			return nil
		}
	}
	return nil
}

func (v *visit) close() {
	if v.rec != nil {
		v.rec.Close(v.host, "")
	}
}

// handle answers one request; more is false when the connection ends.
func (v *visit) handle(m *message) (answer []byte, more bool) {
	switch m.op {
	case opBind:
		return v.bind(m), true
	case opUnbind:
		return nil, false
	case opSearch:
		return v.search(m), true
	case opAbandon:
		return nil, true
	case opExtended:
		return v.extended(m), true
	case opCompare:
		v.note("compare "+m.text(0), event.DepthAct, "")
		return result(m.id, opCompareDone, insufficientAccess, "", ""), true
	}
	if reply, verb := written(m.op); reply != 0 {
		target := m.text(0)
		if m.op == opDelete {
			target = content(m.p)
		}
		code, note := 8, "modifications require authentication" // strongerAuthRequired
		if v.user != "" {
			code, note = insufficientAccess, "no write access to parent"
		}
		v.note(verb+" "+target, event.DepthAct, note)
		return result(m.id, reply, code, "", note), true
	}
	// An unknown request ends the connection with a notice (RFC 4511, 4.4.1).
	oid := ber.NewString(ber.ClassContext, ber.TypePrimitive, 10, "1.3.6.1.4.1.1466.20036", "")
	return result(0, opExtendedDone, protocolErrorCode, "", "unknown LDAP request", oid), false
}

// written tells how an operation that would change something is answered.
func written(op int) (reply int, verb string) {
	switch op {
	case opModify:
		return opModifyResponse, "modify"
	case opAdd:
		return opAddResponse, "add"
	case opDelete:
		return opDeleteResponse, "delete"
	case opRename:
		return opRenameResponse, "modrdn"
	}
	return 0, ""
}

func (v *visit) bind(m *message) []byte {
	if len(m.p.Children) < 3 {
		return result(m.id, opBindResponse, protocolErrorCode, "", "decoding error")
	}
	name, how := m.text(1), m.p.Children[2]
	v.user = ""
	switch {
	case m.number(0) < 2 || m.number(0) > 3:
		return result(m.id, opBindResponse, protocolErrorCode, "", "requested protocol version not allowed")
	case m.number(0) == 2:
		return result(m.id, opBindResponse, protocolErrorCode, "", "historical protocol version requested, use LDAPv3 instead")
	case how.Tag == 3:
		mech := ""
		if len(how.Children) > 0 {
			mech = content(how.Children[0])
		}
		v.note("bind by SASL "+mech, event.DepthTry, "no mechanism")
		return result(m.id, opBindResponse, authMethodUnknown, "", "SASL(-4): no mechanism available: No worthy mechs found")
	case how.Tag != 0:
		return result(m.id, opBindResponse, authMethodUnknown, "", "unknown authentication method")
	}
	pw := content(how)
	switch {
	case name == "" && pw == "", name == "":
		return result(m.id, opBindResponse, success, "", "")
	case pw == "":
		return result(m.id, opBindResponse, unwilling, "", "unauthenticated bind (DN with no password) disallowed")
	case !strings.Contains(name, "="):
		v.login(name, pw)
		return result(m.id, opBindResponse, 34, "", "invalid DN")
	case v.login(name, pw):
		v.user = name
		return result(m.id, opBindResponse, success, "", "")
	}
	return result(m.id, opBindResponse, invalidCredentials, "", "")
}

// account is the user that a distinguished name speaks of: the value of its first part.
func account(dn string) string {
	first, _, _ := strings.Cut(dn, ",")
	if _, v, ok := strings.Cut(first, "="); ok {
		return strings.TrimSpace(v)
	}
	return dn
}

func (v *visit) login(dn, pw string) bool {
	user := account(dn)
	a := v.c.Door.Check(v.s.Source.Addr(), v.host, user, pw)
	e := record.Login(v.s, record.Try{User: user, Method: "simple bind", Password: pw, Token: a.Token, OK: a.OK})
	e.Add("lapwing.ldap.dn", clip(dn, 512))
	if v.told++; v.told <= maxTold {
		v.s.Post(v.last, e)
	}
	return a.OK
}

func clip(s string, n int) string { return s[:min(len(s), n)] }

func (v *visit) search(m *message) []byte {
	if len(m.p.Children) < 8 {
		return result(m.id, opSearchDone, protocolErrorCode, "", "decoding error")
	}
	base, scope, limit, filter := m.text(0), m.number(1), m.number(3), m.p.Children[6]
	var asked []string
	for _, a := range m.p.Children[7].Children {
		asked = append(asked, content(a))
	}
	found, code, matched := v.dir.find(base, scope, filter)
	depth := event.DepthAct
	if base == "" {
		depth = event.DepthTry // who only looks what answers
	}
	words := map[int64]string{scopeBase: "base", scopeOne: "one", scopeSub: "sub"}
	v.note(fmt.Sprintf("search %q %s %s %s", clip(base, 512), words[scope], clip(filterText(filter, maxDepth), 4096), clip(strings.Join(asked, " "), 1024)), depth, "")
	if limit > 0 && int64(len(found)) > limit {
		found, code = found[:limit], sizeLimitExceeded
	}
	var out []byte
	only := len(m.p.Children) > 5 && m.p.Children[5].Value == true
	for _, e := range found {
		out = append(out, found1(m.id, e, asked, only)...)
	}
	return append(out, result(m.id, opSearchDone, code, matched, "")...)
}

// found1 is one entry with the attributes that were asked for.
func found1(id int64, e *entry, asked []string, namesOnly bool) []byte {
	whole, body := envelope(id, opSearchEntry)
	body.AppendChild(octets(e.dn))
	list := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
	for _, a := range e.attrs {
		if !wanted(a, asked) {
			continue
		}
		one := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSequence, nil, "")
		one.AppendChild(octets(a.name))
		set := ber.Encode(ber.ClassUniversal, ber.TypeConstructed, ber.TagSet, nil, "")
		if !namesOnly {
			for _, s := range a.values {
				set.AppendChild(octets(s))
			}
		}
		one.AppendChild(set)
		list.AppendChild(one)
	}
	body.AppendChild(list)
	whole.AppendChild(body)
	return whole.Bytes()
}

func wanted(a attribute, asked []string) bool {
	if len(asked) == 0 {
		return !a.inner
	}
	return slices.ContainsFunc(asked, func(s string) bool {
		return strings.EqualFold(s, a.name) || s == "*" && !a.inner || s == "+" && a.inner
	})
}

// Extended operations that are known.
const (
	oidStartTLS = "1.3.6.1.4.1.1466.20037"
	oidWhoAmI   = "1.3.6.1.4.1.4203.1.11.3"
	oidPassword = "1.3.6.1.4.1.4203.1.11.1"
)

func (v *visit) extended(m *message) []byte {
	oid := ""
	for _, c := range m.p.Children {
		if c.Tag == 0 {
			oid = content(c)
		}
	}
	v.note("extended "+clip(oid, 128), event.DepthTry, "")
	switch oid {
	case oidWhoAmI:
		who := ""
		if v.user != "" {
			who = "dn:" + v.user
		}
		return result(m.id, opExtendedDone, success, "", "", ber.NewString(ber.ClassContext, ber.TypePrimitive, 11, who, ""))
	case oidPassword:
		return result(m.id, opExtendedDone, insufficientAccess, "", "")
	case oidStartTLS:
		return result(m.id, opExtendedDone, protocolErrorCode, "", "unsupported extended operation")
	}
	return result(m.id, opExtendedDone, protocolErrorCode, "", "unsupported extended operation")
}

// note records what was asked.
func (v *visit) note(text string, d event.Depth, failure string) {
	if v.told++; v.told > maxTold {
		return
	}
	if d == event.DepthAct && v.rec == nil {
		v.rec = record.New(v.last, v.s, account(v.user), "ldap")
	}
	if v.rec != nil {
		v.rec.Emit(event.ActionQueryExecuted, d, func(e *event.Event) { record.Query(e, text, failure) })
		return
	}
	e := v.s.Event(event.ActionQueryExecuted)
	e.Depth = d
	record.Query(&e, text, failure)
	v.s.Post(v.last, e)
}
