package telnetd

import (
	"fmt"
	"strconv"
	"strings"
)

// Telnet commands and options (RFC 854, 855, 857, 858, 1073).
const (
	iac  = 255
	dont = 254
	do   = 253
	wont = 252
	will = 251
	sb   = 250
	se   = 240

	optEcho = 1
	optSGA  = 3
	optNAWS = 31
)

// greeting is what BusyBox telnetd sends before anything else; it answers no
// option that the client offers.
const greeting = "\xff\xfd\x01\xff\xfd\x1f\xff\xfb\x01\xff\xfb\x03" // DO ECHO, DO NAWS, WILL ECHO, WILL SGA

// decoder takes the Telnet commands out of a client's bytes as BusyBox
// telnetd does: IAC IAC is one byte 255, commands without an option are
// skipped, commands with one too, of subnegotiations only the window's size
// (RFC 1073) is understood and what follows another one's option is data.
// CR LF and CR NUL become CR (RFC 1123, 3.3.1). It holds no more than the
// command it is in, so nothing that a client sends makes it grow.
type decoder struct {
	state  state
	verb   byte
	naws   [4]byte
	have   int
	cr     bool
	resize func(rows, cols int)
	seen   client
}

type state uint8

const (
	inData state = iota
	inIAC
	inOption
	inNAWS
)

// decode appends the data among b to out, which never grows by more than len(b).
func (d *decoder) decode(out, b []byte) []byte {
	for _, c := range b {
		switch d.state {
		case inData:
			out = d.data(out, c)
		case inIAC:
			out = d.command(out, c)
		case inOption:
			d.state = inData
			d.seen.option(d.verb, c)
			if d.verb == sb && c == optNAWS {
				d.state, d.have = inNAWS, 0
			}
		case inNAWS:
			d.window(c)
		}
	}
	return out
}

func (d *decoder) data(out []byte, c byte) []byte {
	if d.cr {
		d.cr = false
		if c == '\n' || c == 0 {
			d.seen.line("cr"+map[byte]string{'\n': "lf", 0: "nul"}[c], "cr")
			return out
		}
	}
	switch c {
	case iac:
		d.state = inIAC
		return out
	case '\r':
		d.cr = true
		d.seen.line("cr", "")
	case '\n':
		d.seen.line("lf", "")
	}
	return append(out, c)
}

func (d *decoder) command(out []byte, c byte) []byte {
	d.state = inData
	switch {
	case c == iac:
		return append(out, iac)
	case c >= se && c < sb:
		d.seen.command(c)
	default: // also of what is no command two more bytes are skipped
		d.state, d.verb = inOption, c
	}
	return out
}

func (d *decoder) window(c byte) {
	d.naws[d.have] = c
	if d.have++; d.have < len(d.naws) {
		return
	}
	d.state = inData
	cols, rows := int(d.naws[0])<<8|int(d.naws[1]), int(d.naws[2])<<8|int(d.naws[3])
	if d.resize != nil && cols > 0 && rows > 0 {
		d.resize(min(rows, 1000), min(cols, 1000))
	}
}

const maxSeen = 48 // commands of a client that are remembered

// client is what a client shows of itself by its commands, in their order.
type client struct {
	words   []string
	newline string
}

func (k *client) add(word string) {
	if len(k.words) < maxSeen {
		k.words = append(k.words, word)
	}
}

// line notes the first kind of line ending; was is a shorter reading of it.
func (k *client) line(kind, was string) {
	if k.newline == "" || k.newline == was {
		k.newline = kind
	}
}

func (k *client) option(verb, opt byte) {
	name := optionName(opt)
	switch verb {
	case do:
		k.add("do " + name)
	case dont:
		k.add("dont " + name)
	case will:
		k.add("will " + name)
	case wont:
		k.add("wont " + name)
	case sb:
		k.add("sb " + name)
	default:
		k.add(fmt.Sprintf("%d %s", verb, name))
	}
}

func (k *client) command(c byte) {
	if c != se {
		k.add(fmt.Sprintf("cmd %d", c))
	}
}

func (k *client) String() string { return strings.Join(k.words, ", ") }

func optionName(o byte) string {
	switch o {
	case 0:
		return "binary"
	case optEcho:
		return "echo"
	case optSGA:
		return "sga"
	case 5:
		return "status"
	case 6:
		return "timing-mark"
	case 24:
		return "ttype"
	case optNAWS:
		return "naws"
	case 32:
		return "tspeed"
	case 33:
		return "lflow"
	case 34:
		return "linemode"
	case 35:
		return "xdisploc"
	case 36:
		return "old-environ"
	case 37:
		return "authentication"
	case 38:
		return "encrypt"
	case 39:
		return "new-environ"
	}
	return strconv.Itoa(int(o))
}

// escape doubles each IAC among b, as RFC 854 asks for data.
func escape(b []byte) []byte {
	n := 0
	for _, c := range b {
		if c == iac {
			n++
		}
	}
	if n == 0 {
		return b
	}
	out := make([]byte, 0, len(b)+n)
	for _, c := range b {
		if out = append(out, c); c == iac {
			out = append(out, iac)
		}
	}
	return out
}
