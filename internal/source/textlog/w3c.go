package textlog

import (
	"bytes"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// w3cName gives the headers of requests the names that rules use.
func w3cName(n string) string {
	if inner, ok := strings.CutPrefix(n, "cs("); ok && strings.HasSuffix(inner, ")") {
		return "cs-" + strings.ToLower(strings.TrimSuffix(inner, ")"))
	}
	return n
}

// isProxy tells by its columns whether a log in the extended format was written
// by a proxy (Blue Coat, Forefront) and not by a web server.
func isProxy(names []string) bool {
	for _, n := range names {
		switch n {
		case "s-action", "cs-uri-scheme", "sc-filter-result", "r-host", "r-ip", "r-dns", "s-hierarchy", "s-supplier-name":
			return true
		}
	}
	return false
}

// w3c gives the record its time, and the whole target as cs-uri-query.
func (d *Decoder) w3c(day, clock []byte) {
	if len(day) == 0 {
		day = []byte(d.table.day)
	}
	if len(day) > 0 && len(clock) > 0 {
		at := append(append(append([]byte(nil), day...), ' '), clock...)
		d.rec.Time, _ = logsource.ParseTime(at)
	}
	if d.table.proxy {
		d.w3cProxy()
		return
	}
	stem, _, ok := d.rec.First(d.id.stem)
	if !ok {
		return
	}
	from := len(d.arena)
	d.arena = append(d.arena, stem.Text...)
	if q, _, ok := d.rec.First(d.id.query); ok {
		d.arena = append(append(d.arena, '?'), q.Text...)
	}
	d.rec.SetID(d.id.query, nil, sigma.Bytes(d.arena[from:len(d.arena):len(d.arena)]))
}

// w3cProxy gives the record the names that rules for proxies use.
func (d *Decoder) w3cProxy() {
	for _, x := range [...]struct{ from, to sigma.FieldID }{
		{d.id.agent, d.id.proxyAgent}, {d.id.clientAgent, d.id.proxyAgent}, {d.id.peerIP, d.id.dstIP}, {d.id.peerHost, d.id.host},
	} {
		if v, _, ok := d.rec.First(x.from); ok && !d.rec.Has(x.to) {
			d.derive(x.to, v.Text)
		}
	}
	text := func(id sigma.FieldID) []byte {
		v, _, _ := d.rec.First(id)
		return v.Text
	}
	whole := text(d.id.fullURI)
	if len(whole) == 0 {
		whole = d.assemble(text)
	}
	if len(whole) > 0 {
		d.target(whole)
	}
}

// assemble writes the URL of a request out of its parts.
func (d *Decoder) assemble(text func(sigma.FieldID) []byte) []byte {
	path := text(d.id.uriPath)
	if len(path) == 0 {
		path = text(d.id.stem)
	}
	from := len(d.arena)
	if host := text(d.id.host); len(host) > 0 && !bytes.Contains(path, []byte("://")) {
		if scheme := text(d.id.uriScheme); len(scheme) > 0 {
			d.arena = append(append(d.arena, scheme...), "://"...)
		}
		d.arena = append(d.arena, host...)
		if port := text(d.id.uriPort); len(port) > 0 && string(port) != "80" && string(port) != "443" {
			d.arena = append(append(d.arena, ':'), port...)
		}
	}
	d.arena = append(d.arena, path...)
	if q := bytes.TrimPrefix(text(d.id.query), []byte("?")); len(q) > 0 {
		d.arena = append(append(d.arena, '?'), q...)
	}
	return d.arena[from:len(d.arena):len(d.arena)]
}
