package textlog

import (
	"bytes"
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// packet is in each line of the debug log of Windows' DNS server that tells of
// one.
const packet = " PACKET "

// dnsLine decodes a line of a resolver's own log. Lines that hold no question
// keep their text.
func (d *Decoder) dnsLine(line []byte) bool {
	d.rec.SetID(d.id.message, nil, sigma.Bytes(line))
	d.rec.Time = dnsTime(line)
	return d.resolver(line) || d.rec.Time != 0
}

// dnsStart tells whether a line may be of a resolver's log.
func dnsStart(line []byte) bool {
	return bytes.Contains(line, []byte("query")) || bytes.HasPrefix(line, []byte("[")) && bytes.Contains(line, []byte("] unbound[")) ||
		bytes.Contains(line, []byte(packet)) && windowsTime(line) != 0
}

// dnsTime reads what resolvers begin a line with: BIND 02-Jan-2006 15:04:05.000,
// Unbound [1704449472], Windows the forms of windowsTime. 0 for others.
func dnsTime(b []byte) int64 {
	if len(b) > 24 && b[2] == '-' && b[6] == '-' && b[11] == ' ' {
		if t, err := time.Parse("02-Jan-2006 15:04:05", string(b[:20])); err == nil {
			ms, _ := strconv.Atoi(string(b[21:24]))
			return t.UnixNano() + int64(ms)*1e6
		}
	}
	if bytes.HasPrefix(b, []byte("[")) {
		if at, ok := logsource.ParseTime(between(b, "[", "]")); ok {
			return at
		}
	}
	return windowsTime(b)
}

// windowsTime reads a date as regions write it: 1/31/2024 9:05:06 PM where there
// is AM or PM, else 31/1/2024, 31.01.2024, 31-01-2024 or 2024-01-31 and 21:05:06.
// The log does not say its time zone: it counts as UTC.
func windowsTime(b []byte) int64 {
	date, rest := word(b)
	clock, rest := word(rest)
	half, _ := word(rest)
	sep := bytes.IndexAny(date, "/.-")
	if len(date) > 10 || len(clock) > 8 || sep < 1 {
		return 0
	}
	d := bytes.Split(date, date[sep:sep+1])
	c := bytes.Split(clock, []byte(":"))
	if len(d) != 3 || len(c) != 3 {
		return 0
	}
	var n [6]int
	for i, x := range append(d, c...) {
		v, err := strconv.Atoi(string(x))
		if err != nil || v < 0 {
			return 0
		}
		n[i] = v
	}
	day, month, year := n[0], n[1], n[2]
	switch twelve := string(half); {
	case twelve == "AM" || twelve == "PM":
		day, month = month, day
		n[3] %= 12
		if twelve == "PM" {
			n[3] += 12
		}
	case sep == 4:
		day, month, year = n[2], n[1], n[0]
	}
	if month < 1 || month > 12 || day < 1 || day > 31 || year < 1990 || year > 2261 || n[3] > 23 || n[4] > 59 || n[5] > 60 {
		return 0
	}
	return time.Date(year, time.Month(month), day, n[3], n[4], n[5], 0, time.UTC).UnixNano()
}

// windowsDNS reads a packet: ... PACKET  ID UDP Rcv 192.0.2.1  0004   Q [0001
// D NOERROR] A  (3)www(7)example(0). Of the up to four lines of one question the
// one that came from the client is taken.
func (d *Decoder) windowsDNS(msg []byte) bool {
	f := bytes.Fields(between(msg, packet, "["))
	tail := bytes.Fields(between(msg, "[", "\n"))
	if len(f) != 6 || string(f[2]) != "Rcv" || string(f[5]) != "Q" { // an answer has R before its Q
		return false
	}
	for len(tail) > 0 && !bytes.HasSuffix(tail[0], []byte("]")) {
		tail = tail[1:]
	}
	if len(tail) < 3 {
		return false
	}
	d.question(labels(bytes.Join(tail[2:], []byte(" "))), tail[1], f[3])
	return true
}

// labels reads (3)www(7)example(0).
func labels(b []byte) []byte {
	var name []byte
	for len(b) > 1 && b[0] == '(' {
		end := bytes.IndexByte(b, ')')
		n, err := strconv.Atoi(string(b[1:max(1, end)]))
		if err != nil || n <= 0 || n > len(b)-end-1 {
			break
		}
		if name != nil {
			name = append(name, '.')
		}
		name = append(name, b[end+1:end+1+n]...)
		b = b[end+1+n:]
	}
	return name
}

// resolver takes the question out of query logs of BIND, dnsmasq, Unbound and of
// Windows' DNS server.
func (d *Decoder) resolver(msg []byte) bool {
	switch {
	case bytes.Contains(msg, []byte("query[")): // query[A] example.org from 192.0.2.1
		rest := between(msg, "query[", "\n")
		typ := between(rest, "", "]")
		name, rest := word(bytes.TrimLeft(rest[min(len(typ)+1, len(rest)):], " "))
		d.question(name, typ, between(rest, "from ", " "))
	case bytes.Contains(msg, []byte(" query: ")): // client @0x7f 192.0.2.1#53 (example.org): query: example.org IN A +
		rest := between(msg, " query: ", "\n")
		name, rest := word(rest)
		_, rest = word(rest)
		typ, _ := word(rest)
		d.question(name, typ, client(msg))
	case bytes.Contains(msg, []byte("query")) && bytes.Contains(msg, []byte("'")): // query (cache) 'example.org/ANY/IN' denied
		parts := bytes.Split(between(msg, "'", "'"), []byte("/"))
		if len(parts) < 3 {
			return false
		}
		d.question(parts[0], parts[1], client(msg))
	case bytes.HasSuffix(msg, []byte(" IN")) && bytes.Contains(msg, []byte("info: ")): // info: 192.0.2.1 example.org. A IN
		f := bytes.Fields(bytes.TrimPrefix(between(msg, "info: ", "\n"), []byte("query: ")))
		if len(f) != 4 {
			return false
		}
		d.question(f[1], f[2], f[0])
	case bytes.Contains(msg, []byte(packet)):
		return d.windowsDNS(msg)
	default:
		return false
	}
	return true
}

func client(msg []byte) []byte {
	i := bytes.IndexByte(msg, '#')
	if i < 0 {
		return nil
	}
	return msg[bytes.LastIndexByte(msg[:i], ' ')+1 : i]
}

func (d *Decoder) question(name, typ, from []byte) {
	d.derive(d.id.dnsQuery, bytes.TrimSuffix(name, []byte(".")))
	d.derive(d.id.dnsType, typ)
	d.derive(d.id.srcIP, from)
}
