package textlog

import (
	"bytes"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
	"github.com/lapwing-defence/lapwing/internal/source/login"
)

// access decodes the common and combined log formats, with or without the
// virtual host in front.
func (d *Decoder) access(b []byte) bool {
	front, at, rest := accessTime(b)
	if front == nil {
		return false
	}
	request, rest, _ := quoted(rest)
	d.rec.Time = at.UnixNano()
	d.visitor(front)
	d.request(request)
	status, rest := word(bytes.TrimLeft(rest, " "))
	d.number(d.id.status, status)
	size, rest := word(rest)
	d.number(d.id.size, size)
	if referer, rest, ok := quoted(rest); ok {
		d.field(d.id.referer, referer)
		if agent, _, ok := quoted(bytes.TrimLeft(rest, " ")); ok {
			d.field(d.id.agent, agent)
		}
	}
	d.refused(status)
	return true
}

// refused says what a server's answer is to a login. Whoever named himself was
// refused by it; who did not was only asked to.
func (d *Decoder) refused(status []byte) {
	id, action := &d.id.login, login.Denied
	switch string(status) {
	case "401":
		if user, _, ok := d.rec.First(d.id.user); ok {
			action = login.LogonFailed
			d.derive(id.user, user.Text)
		}
	case "403":
	default:
		return
	}
	d.word(id.category, action.Category())
	d.word(id.action, action.String())
	d.word(id.outcome, action.Outcome())
	d.word(id.service, "http")
}

// maxBrackets is how many brackets are tried for the one before the time.
const maxBrackets = 64

// accessTime splits a line at its time, which stands in brackets with the request
// in quotes behind it: the visitor chooses the name before it, which may hold
// brackets too. front is nil where there is none.
func accessTime(b []byte) (front []byte, at time.Time, rest []byte) {
	from := 0
	for range maxBrackets {
		i := bytes.Index(b[from:], []byte(" ["))
		if i < 0 {
			break
		}
		open := from + i
		from = open + 2
		shut := bytes.IndexByte(b[from:], ']')
		if shut < 0 {
			break
		}
		at, ok := clfTime(b[from : from+shut])
		if !ok {
			continue
		}
		if rest = bytes.TrimLeft(b[from+shut+1:], " "); len(rest) > 0 && rest[0] == '"' && len(bytes.Fields(b[:open])) > 2 {
			return b[:open], at, rest
		}
	}
	return nil, at, nil
}

// visitor splits "address - name", with or without a virtual host before it. A
// name may hold spaces. Of a list, as proxies make it, the first address is the
// visitor's.
func (d *Decoder) visitor(b []byte) {
	first, rest := word(bytes.TrimLeft(b, " "))
	if bytes.HasSuffix(first, []byte(",")) {
		first = first[:len(first)-1]
		if i := bytes.Index(rest, []byte(" - ")); i >= 0 {
			rest = rest[i+1:]
		}
	}
	second, rest := word(bytes.TrimLeft(rest, " "))
	third, more := word(bytes.TrimLeft(rest, " "))
	if len(more) > 0 && string(second) != "-" && (string(third) == "-" || isAddress(second)) {
		if i := bytes.LastIndexByte(first, ':'); i > 0 {
			first = first[:i]
		}
		d.set(d.id.host, first)
		first, rest = second, more
	}
	d.field(d.id.ip, first)
	d.field(d.id.user, bytes.TrimSpace(rest))
}

func isAddress(b []byte) bool {
	_, err := netip.ParseAddr(string(b))
	return err == nil
}

// field sets a value unless it is the dash that stands for none.
func (d *Decoder) field(id sigma.FieldID, b []byte) {
	if string(b) != "-" {
		d.set(id, b)
	}
}

func (d *Decoder) number(id sigma.FieldID, b []byte) {
	if len(b) > 0 && string(b) != "-" {
		d.rec.SetID(id, nil, sigma.Value{Text: b, Type: sigma.Number})
	}
}

// request splits "GET /path?query HTTP/1.1". Rules for web servers mean the
// whole target by cs-uri-query. What is no request is all target.
func (d *Decoder) request(b []byte) {
	method, rest := word(b)
	i := bytes.LastIndexByte(rest, ' ')
	if rest == nil || !isUpper(method) {
		d.field(d.id.query, b)
		return
	}
	target := rest
	if i >= 0 && bytes.HasPrefix(rest[i+1:], []byte("HTTP/")) {
		target = rest[:i]
		d.set(d.id.version, rest[i+1:])
	}
	d.set(d.id.method, method)
	d.set(d.id.query, target)
	stem := target
	if j := bytes.IndexByte(target, '?'); j >= 0 {
		stem = target[:j]
	}
	d.derive(d.id.stem, stem)
}

func isUpper(b []byte) bool {
	for _, c := range b {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(b) > 0
}

// quoted reads a text in quotes, in which \" is no end.
func quoted(b []byte) (text, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, b, false
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return b[1:i], bytes.TrimLeft(b[i+1:], " "), true
		}
	}
	return b[1:], nil, true // cut off
}

// clfTime reads "02/Jan/2006:15:04:05 -0700".
func clfTime(b []byte) (time.Time, bool) {
	if len(b) < 20 || b[2] != '/' || b[6] != '/' || b[11] != ':' {
		return time.Time{}, false
	}
	t, err := time.Parse("02/Jan/2006:15:04:05 -0700", string(b))
	if err != nil {
		t, err = time.Parse("02/Jan/2006:15:04:05", string(b[:20]))
	}
	return t, err == nil
}

// webError decodes the error logs of nginx and Apache: time and text.
func (d *Decoder) webError(b []byte) bool {
	switch {
	case len(b) > 20 && b[4] == '/' && b[7] == '/' && b[10] == ' ':
		t, err := time.Parse("2006/01/02 15:04:05", string(b[:19]))
		if err != nil {
			return false
		}
		d.rec.Time = t.UnixNano()
		d.set(d.id.message, b[20:])
		if !d.login([]byte("nginx"), b[20:]) && bytes.Count(b, []byte(", client: ")) == 1 { // the path and the request are the visitor's
			d.derive(d.id.srcIP, between(b, ", client: ", ","))
		}
		return true
	case len(b) > 0 && b[0] == '[':
		i := bytes.IndexByte(b, ']')
		if i < 0 {
			return false
		}
		t, err := time.Parse("Mon Jan 02 15:04:05 2006", string(b[1:i]))
		if err != nil {
			return false
		}
		d.rec.Time = t.UnixNano()
		d.set(d.id.message, bytes.TrimLeft(b[i+1:], " "))
		d.login([]byte("apache"), b[i+1:])
		return true
	}
	return false
}
