// Package geotest writes small MMDB files for tests, so that none has to be
// shipped or fetched.
package geotest

import (
	"encoding/binary"
	"math"
	"net/netip"
	"os"
	"sort"
	"testing"
)

// Row is what a file says of a network. Zero fields are left out.
type Row struct {
	Country  string
	City     string
	Lat, Lon float64
	Radius   uint16
	ASN      uint32
	Org      string
}

// Write makes a database file (format 2.0, records of 24 bits, IPv6 tree).
func Write(tb testing.TB, path string, rows map[string]Row) {
	tb.Helper()
	if err := os.WriteFile(path, Bytes(tb, rows), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// Bytes is what Write writes.
func Bytes(tb testing.TB, rows map[string]Row) []byte {
	tb.Helper()
	var data []byte
	nodes := [][2]int{{}} // 0: nothing, -n: data at offset n-1, n: node
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		p := netip.MustParsePrefix(name)
		a, n := p.Addr().As16(), p.Bits()
		if p.Addr().Is4() {
			b := p.Addr().As4()
			a = [16]byte{12: b[0], 13: b[1], 14: b[2], 15: b[3]}
			n += 96
		}
		at := 0
		for i := range n {
			bit := a[i/8] >> (7 - i%8) & 1
			if i == n-1 {
				nodes[at][bit] = -(len(data) + 1)
				break
			}
			if nodes[at][bit] <= 0 {
				nodes = append(nodes, [2]int{})
				nodes[at][bit] = len(nodes) - 1
			}
			at = nodes[at][bit]
		}
		data = append(data, value(rows[name])...)
	}
	var out []byte
	for _, n := range nodes {
		for _, r := range n {
			v := uint32(len(nodes))
			switch {
			case r > 0:
				v = uint32(r)
			case r < 0:
				v = uint32(len(nodes) + 16 - r - 1)
			}
			out = append(out, byte(v>>16), byte(v>>8), byte(v))
		}
	}
	out = append(out, make([]byte, 16)...)
	out = append(out, data...)
	out = append(out, "\xab\xcd\xefMaxMind.com"...)
	return append(out, object(
		"binary_format_major_version", number(2), "binary_format_minor_version", number(0), "build_epoch", number(1_700_000_000),
		"database_type", text("Test"), "description", object("en", text("test")), "ip_version", number(6), "languages", array(text("en")),
		"node_count", number(uint32(len(nodes))), "record_size", number(24))...)
}

func value(r Row) []byte {
	var parts []any
	if r.Country != "" {
		parts = append(parts, "country", object("iso_code", text(r.Country)))
	}
	if r.City != "" {
		parts = append(parts, "city", object("names", object("en", text(r.City))))
	}
	if r.Lat != 0 || r.Lon != 0 {
		parts = append(parts, "location", object("accuracy_radius", number(uint32(r.Radius)), "latitude", double(r.Lat), "longitude", double(r.Lon)))
	}
	if r.ASN != 0 {
		parts = append(parts, "autonomous_system_number", number(r.ASN), "autonomous_system_organization", text(r.Org))
	}
	return object(parts...)
}

func control(kind, size int) []byte {
	var b []byte
	first := byte(kind << 5)
	if kind > 7 {
		first = 0
	}
	if size < 29 {
		b = append(b, first|byte(size))
	} else {
		b = append(b, first|29)
	}
	if kind > 7 {
		b = append(b, byte(kind-7))
	}
	if size >= 29 {
		b = append(b, byte(size-29))
	}
	return b
}

func text(s string) []byte { return append(control(2, len(s)), s...) }

func double(f float64) []byte {
	return binary.BigEndian.AppendUint64(control(3, 8), math.Float64bits(f))
}

func number(n uint32) []byte { return binary.BigEndian.AppendUint32(control(6, 4), n) }

func array(items ...[]byte) []byte {
	b := control(11, len(items))
	for _, i := range items {
		b = append(b, i...)
	}
	return b
}

// object takes names and values in turn.
func object(parts ...any) []byte {
	b := control(7, len(parts)/2)
	for i := 0; i+1 < len(parts); i += 2 {
		b = append(b, text(parts[i].(string))...)
		b = append(b, parts[i+1].([]byte)...)
	}
	return b
}
