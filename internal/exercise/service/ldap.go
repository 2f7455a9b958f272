package service

import (
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/wire"
)

const ldapMessages = 1000 // of one connection

// serveLDAP answers simple binds, and to who has bound searches for the people and
// machines of the scenario (RFC 4511). A decoy's directory is empty.
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
			if in {
				if err := v.send(v.found(m)); err != nil {
					return err
				}
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

// found are the entries that a search finds.
func (v *visit) found(m wire.LDAPMessage) []byte {
	if v.decoy {
		return nil
	}
	base := "DC=" + strings.ReplaceAll(first(v.c.Host.c.Domain, "example.internal"), ".", ",DC=")
	var out []byte
	put := func(class, in string, names []string, suffix string) {
		if m.Class != "" && !strings.EqualFold(m.Class, class) {
			return
		}
		for _, n := range names[:min(len(names), ldapEntries)] {
			out = append(out, wire.LDAPFound(m, "CN="+n+",CN="+in+","+base, [2]string{"objectClass", class}, [2]string{"sAMAccountName", n + suffix})...)
		}
	}
	put("user", "Users", v.c.Host.c.People, "")
	put("computer", "Computers", v.c.Host.c.Machines, "$")
	return out
}

const ldapEntries = 500 // of one class, in one answer
