package textlog

import (
	"bytes"
	"net/netip"
	"strconv"
	"time"
)

// proxyLine tells whether a line is one of a Squid access log: the native
// format, or the combined one, which ends with how the request was served.
func proxyLine(b []byte) bool {
	if len(b) == 0 {
		return false
	}
	if b[0] >= '0' && b[0] <= '9' {
		first, rest := word(b)
		if dot := bytes.IndexByte(first, '.'); dot == 9 || dot == 10 {
			_, rest = word(bytes.TrimLeft(rest, " ")) // milliseconds
			_, rest = word(rest)                      // client
			code, _ := word(rest)
			return served(code, '/')
		}
	}
	i := bytes.LastIndexByte(b, ' ')
	return i > 0 && bytes.IndexByte(b, '[') > 0 && served(b[i+1:], ':')
}

// served tells of a word such as TCP_MISS/200 or TCP_TUNNEL:HIER_DIRECT.
func served(b []byte, sep byte) bool {
	i := bytes.IndexByte(b, sep)
	if i < 4 {
		return false
	}
	for _, c := range b[:i] {
		if (c < 'A' || c > 'Z') && c != '_' {
			return false
		}
	}
	for _, how := range [...]string{"TCP_", "UDP_", "NONE", "TAG_", "ERR_"} {
		if bytes.HasPrefix(b, []byte(how)) {
			return true
		}
	}
	return false
}

// proxy decodes both formats.
func (d *Decoder) proxy(b []byte) bool {
	if !proxyLine(b) {
		return false
	}
	if b[0] >= '0' && b[0] <= '9' && d.squid(b) {
		return true
	}
	if !d.access(b) {
		return false
	}
	if v, _, ok := d.rec.First(d.id.query); ok {
		d.target(v.Text)
	}
	if v, _, ok := d.rec.First(d.id.agent); ok {
		d.derive(d.id.proxyAgent, v.Text)
	}
	return true
}

// squid decodes "time elapsed client code/status bytes method URL user
// hierarchy/server type".
func (d *Decoder) squid(b []byte) bool {
	f := bytes.Fields(b)
	if len(f) < 9 {
		return false
	}
	sec, err := strconv.ParseFloat(string(f[0]), 64)
	if err != nil || sec < 0 || sec > 1<<33 {
		return false
	}
	d.rec.Time = time.UnixMilli(int64(sec * 1000)).UnixNano()
	d.field(d.id.ip, f[2])
	if i := bytes.IndexByte(f[3], '/'); i >= 0 {
		d.set(d.id.action, f[3][:i])
		d.number(d.id.status, f[3][i+1:])
	}
	d.number(d.id.size, f[4])
	d.field(d.id.method, f[5])
	d.set(d.id.query, f[6])
	d.target(f[6])
	d.field(d.id.user, f[7])
	if i := bytes.IndexByte(f[8], '/'); i >= 0 {
		if _, err := netip.ParseAddr(string(f[8][i+1:])); err == nil {
			d.set(d.id.dstIP, f[8][i+1:])
		} else {
			d.field(d.id.peer, f[8][i+1:])
		}
	}
	return true
}

// target takes the URL that was asked for apart: https://host:port/a/b.exe?q.
func (d *Decoder) target(b []byte) {
	d.derive(d.id.uri, b)
	d.complete(d.id.fullURI, b)
	rest := b
	if _, after, ok := bytes.Cut(b, []byte("://")); ok {
		rest = after
	}
	host, path := rest, []byte(nil)
	if i := bytes.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if i := bytes.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	if i := bytes.LastIndexByte(host, ':'); i > 0 && bytes.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	d.complete(d.id.host, host)
	d.complete(d.id.dns, host)
	if i := bytes.IndexByte(path, '?'); i >= 0 {
		d.derive(d.id.uriQuery, path[i+1:])
		path = path[:i]
	}
	d.derive(d.id.stem, path)
	last := path[bytes.LastIndexByte(path, '/')+1:]
	if i := bytes.LastIndexByte(last, '.'); i >= 0 {
		d.derive(d.id.extension, last[i+1:])
	}
}
