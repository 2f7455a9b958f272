package ldap

import (
	"slices"
	"strconv"
	"strings"

	ber "github.com/go-asn1-ber/asn1-ber"

	"github.com/lapwing-defence/lapwing/internal/persona"
)

// attribute is a name with its values, in the order in which they are shown.
type attribute struct {
	name   string
	values []string
	inner  bool // operational: shown only when asked for
}

// entry is one object.
type entry struct {
	dn    string
	attrs []attribute
}

func (e *entry) get(name string) []string {
	for _, a := range e.attrs {
		if strings.EqualFold(a.name, name) {
			return a.values
		}
	}
	return nil
}

// directory is what an OpenLDAP server of the persona's organisation holds.
type directory struct {
	base    string
	entries []*entry
	root    *entry // the server itself (RFC 4512, 5.1)
}

// baseOf turns a domain into a name of the directory: dc=example,dc=org.
func baseOf(domain string) string {
	if domain == "" {
		domain = "nodomain" // what Debian's slapd takes then
	}
	return "dc=" + strings.Join(strings.Split(domain, "."), ",dc=")
}

func newDirectory(p *persona.Persona) *directory {
	d := &directory{base: baseOf(p.Domain)}
	org, _, _ := strings.Cut(strings.TrimPrefix(d.base, "dc="), ",")
	d.add(d.base, "objectClass", "top dcObject organization", "o", org, "dc", org)
	d.add("ou=people,"+d.base, "objectClass", "organizationalUnit", "ou", "people")
	d.add("ou=groups,"+d.base, "objectClass", "organizationalUnit", "ou", "groups")
	var members []string
	for _, u := range p.Users {
		if u.UID < 1000 || u.UID > 60000 {
			continue
		}
		name, _, _ := strings.Cut(u.Gecos, ",")
		if name == "" {
			name = u.Name
		}
		parts := strings.Fields(name)
		d.person(u.Name, name, parts[len(parts)-1], int(u.UID), u.Home, u.Shell, p.Domain)
		members = append(members, u.Name)
	}
	for i, s := range []string{"svc-backup", "svc-scan"} {
		d.person(s, s, s, 2001+i, "/nonexistent", "/usr/sbin/nologin", p.Domain)
	}
	d.add("cn=staff,ou=groups,"+d.base, "objectClass", "posixGroup", "cn", "staff", "gidNumber", "5000", "memberUid", strings.Join(members, " "))
	d.root = &entry{attrs: []attribute{
		{"objectClass", []string{"top", "OpenLDAProotDSE"}, false},
		{"structuralObjectClass", []string{"OpenLDAProotDSE"}, true},
		{"configContext", []string{"cn=config"}, true},
		{"namingContexts", []string{d.base}, true},
		{"supportedControl", []string{"2.16.840.1.113730.3.4.18", "2.16.840.1.113730.3.4.2", "1.3.6.1.4.1.4203.1.10.1", "1.3.6.1.1.22", "1.2.840.113556.1.4.319", "1.2.826.0.1.3344810.2.3", "1.3.6.1.1.13.2", "1.3.6.1.1.13.1", "1.3.6.1.1.12"}, true},
		{"supportedExtension", []string{"1.3.6.1.4.1.4203.1.11.1", "1.3.6.1.4.1.4203.1.11.3", "1.3.6.1.1.8"}, true},
		{"supportedFeatures", []string{"1.3.6.1.1.14", "1.3.6.1.4.1.4203.1.5.1", "1.3.6.1.4.1.4203.1.5.2", "1.3.6.1.4.1.4203.1.5.3", "1.3.6.1.4.1.4203.1.5.4", "1.3.6.1.4.1.4203.1.5.5"}, true},
		{"supportedLDAPVersion", []string{"3"}, true},
		{"supportedSASLMechanisms", []string{"SCRAM-SHA-512", "SCRAM-SHA-384", "SCRAM-SHA-256", "SCRAM-SHA-224", "SCRAM-SHA-1", "DIGEST-MD5", "NTLM", "CRAM-MD5"}, true},
		{"entryDN", []string{""}, true},
		{"subschemaSubentry", []string{"cn=Subschema"}, true},
	}}
	return d
}

// add takes pairs of name and values; values of objectClass and memberUid are split at blanks.
func (d *directory) add(dn string, pairs ...string) {
	e := &entry{dn: dn}
	for i := 0; i+1 < len(pairs); i += 2 {
		values := []string{pairs[i+1]}
		if pairs[i] == "objectClass" || pairs[i] == "memberUid" {
			values = strings.Fields(pairs[i+1])
		}
		e.attrs = append(e.attrs, attribute{pairs[i], values, false})
	}
	d.entries = append(d.entries, e)
}

func (d *directory) person(uid, name, surname string, id int, home, shell, domain string) {
	mail := uid + "@" + domain
	if domain == "" {
		mail = uid + "@localhost"
	}
	d.add("uid="+uid+",ou=people,"+d.base, "objectClass", "inetOrgPerson posixAccount shadowAccount", "uid", uid, "cn", name, "sn", surname,
		"mail", mail, "uidNumber", strconv.Itoa(id), "gidNumber", "5000", "homeDirectory", home, "loginShell", shell)
}

// plain is a name of the directory as it is compared: lower case, no blanks around commas and equal signs.
func plain(dn string) string {
	parts := strings.Split(strings.ToLower(dn), ",")
	for i, p := range parts {
		k, v, _ := strings.Cut(p, "=")
		parts[i] = strings.TrimSpace(k) + "=" + strings.TrimSpace(v)
	}
	return strings.Join(parts, ",")
}

// The scopes of a search.
const (
	scopeBase = iota
	scopeOne
	scopeSub
)

// find gives the entries below base that a filter lets through. code is
// noSuchObject where the base is not there; matched is then what of it is.
func (d *directory) find(base string, scope int64, f *ber.Packet) (found []*entry, code int, matched string) {
	if base == "" {
		if scope == scopeBase {
			if matches(d.root, f, maxDepth) {
				found = append(found, d.root)
			}
			return found, success, ""
		}
		return nil, noSuchObject, ""
	}
	at := plain(base)
	if !slices.ContainsFunc(d.entries, func(e *entry) bool { return plain(e.dn) == at }) {
		for up := at; ; {
			_, rest, more := strings.Cut(up, ",")
			if !more {
				return nil, noSuchObject, ""
			}
			for _, e := range d.entries {
				if plain(e.dn) == rest {
					return nil, noSuchObject, e.dn
				}
			}
			up = rest
		}
	}
	for _, e := range d.entries {
		dn := plain(e.dn)
		_, parent, _ := strings.Cut(dn, ",")
		in := dn == at && scope != scopeOne || scope == scopeOne && parent == at || scope == scopeSub && strings.HasSuffix(dn, ","+at)
		if in && matches(e, f, maxDepth) {
			found = append(found, e)
		}
	}
	return found, success, ""
}

// Tags of filters (RFC 4511, 4.5.1).
const (
	fAnd = iota
	fOr
	fNot
	fEqual
	fSub
	fGreater
	fLess
	fPresent
	fApprox
)

func matches(e *entry, f *ber.Packet, depth int) bool {
	if f == nil || depth == 0 {
		return false
	}
	switch f.Tag {
	case fAnd:
		return !slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return !matches(e, c, depth-1) })
	case fOr:
		return slices.ContainsFunc(f.Children, func(c *ber.Packet) bool { return matches(e, c, depth-1) })
	case fNot:
		return len(f.Children) == 1 && !matches(e, f.Children[0], depth-1)
	case fPresent:
		return len(e.get(content(f))) > 0
	}
	if len(f.Children) < 2 {
		return false
	}
	want := strings.ToLower(content(f.Children[1]))
	return slices.ContainsFunc(e.get(content(f.Children[0])), func(v string) bool {
		v = strings.ToLower(v)
		switch f.Tag {
		case fEqual, fApprox:
			return v == want
		case fGreater:
			return v >= want
		case fLess:
			return v <= want
		case fSub:
			return substrings(v, f.Children[1].Children)
		}
		return false
	})
}

func substrings(v string, parts []*ber.Packet) bool {
	for _, p := range parts {
		s := strings.ToLower(content(p))
		switch p.Tag {
		case 0:
			if !strings.HasPrefix(v, s) {
				return false
			}
			v = v[len(s):]
		case 1:
			i := strings.Index(v, s)
			if i < 0 {
				return false
			}
			v = v[i+len(s):]
		default:
			if !strings.HasSuffix(v, s) {
				return false
			}
		}
	}
	return true
}

// filterText writes a filter as one types it (RFC 4515).
func filterText(f *ber.Packet, depth int) string {
	if f == nil || depth == 0 {
		return "(?)"
	}
	switch f.Tag {
	case fAnd, fOr, fNot:
		var b strings.Builder
		b.WriteString("(" + string("&|!"[f.Tag]))
		for _, c := range f.Children {
			b.WriteString(filterText(c, depth-1))
			if b.Len() > 4096 {
				break
			}
		}
		return b.String() + ")"
	case fPresent:
		return "(" + content(f) + "=*)"
	}
	if len(f.Children) < 2 {
		return "(?)"
	}
	name := content(f.Children[0])
	if f.Tag == fSub {
		out, star := "("+name+"=", false
		for _, p := range f.Children[1].Children {
			if p.Tag != 0 && !star {
				out += "*"
			}
			if out += content(p); p.Tag != 2 {
				out, star = out+"*", true
			}
		}
		return out + ")"
	}
	op := map[ber.Tag]string{fEqual: "=", fGreater: ">=", fLess: "<=", fApprox: "~="}[f.Tag]
	return "(" + name + op + content(f.Children[1]) + ")"
}
