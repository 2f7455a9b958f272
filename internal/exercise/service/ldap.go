package service

import (
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

const ldapMessages = 1000 // of one connection

// serveLDAP answers simple binds, and searches with nothing (RFC 4511).
func serveLDAP(v *visit) error {
	in := false
	for n := range ldapMessages {
		m, err := wire.ReadLDAP(v.r)
		if err != nil || m.Op == wire.LDAPUnbind {
			return over(err)
		}
		code, text := wire.LDAPDenied, ""
		switch m.Op {
		case wire.LDAPBind:
			code = v.bind(m, n)
			in = code == wire.LDAPSuccess && m.Password != ""
			if code != wire.LDAPSuccess {
				text = "80090308: LdapErr: DSID-0C090439, comment: AcceptSecurityContext error, data 52e, v4563"
			}
		case wire.LDAPSearch:
			v.query("search", m.DN)
			v.syslog("slapd", "conn=1000 op=%d SRCH base=%q scope=2 deref=0", n, m.DN)
			if in || m.DN == "" {
				code = wire.LDAPSuccess
			}
		}
		if err := v.send(wire.LDAPReply(m, code, text)); err != nil {
			return err
		}
	}
	return nil
}

// bind judges cn=anna,... or PLANT\anna or anna@plant.example.
func (v *visit) bind(m wire.LDAPMessage, n int) int {
	if m.Password == "" && m.Simple {
		v.query("anonymous bind", m.DN)
		return wire.LDAPSuccess
	}
	user := m.DN
	if rdn, _, ok := strings.Cut(user, ","); ok || strings.Contains(user, "=") {
		_, user, _ = strings.Cut(rdn, "=")
	}
	if i := strings.LastIndexByte(user, '\\'); i >= 0 {
		user = user[i+1:]
	}
	user, _, _ = strings.Cut(user, "@")
	j := v.admit(user, m.Password)
	code := wire.LDAPInvalid
	if j.ok {
		code = wire.LDAPSuccess
	}
	v.logon(j, user, "", 3, "slapd", fmt.Sprintf("conn=1000 op=%d BIND dn=%q method=128 RESULT tag=97 err=%d", n, m.DN, code))
	return code
}
