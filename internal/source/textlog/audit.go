package textlog

import (
	"bytes"
	"encoding/hex"
	"slices"

	"github.com/lapwing-defence/lapwing/internal/logsource"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// AuditID is the "1684329817.579:2995" of a line of auditd; records of one
// event share it. nil for other lines.
func AuditID(line []byte) []byte {
	i := bytes.Index(line[:min(len(line), 256)], []byte("audit("))
	if i < 0 {
		return nil
	}
	rest := line[i+6:]
	j := bytes.IndexByte(rest, ')')
	if j < 0 || j > 64 {
		return nil
	}
	return rest[:j]
}

// Audit decodes the lines of one event into rec, which must be empty; false
// when the first is none of auditd's or says nothing. Names that several lines use (type, a0)
// get the values of all. A program start also gets the names that rules for
// process creation use: Image, CommandLine.
func (d *Decoder) Audit(lines [][]byte, rec *sigma.Record) bool {
	id := AuditID(lines[0])
	if id == nil {
		return false
	}
	d.rec = rec
	if i := bytes.IndexByte(id, ':'); i > 0 {
		rec.Time, _ = logsource.ParseTime(id[:i])
	}
	var a auditEvent
	for _, line := range lines {
		typ := string(between(line, "type=", " "))
		d.pairs(line, func(name, value []byte, quoted bool) {
			if !quoted {
				value = d.unhex(typ, name, value)
			}
			a.said = true
			if typ == "EXECVE" && a.argument(d, name, value) {
				return
			}
			switch string(name) {
			case "exe":
				a.exe = value
			case "syscall":
				arch := between(line, "arch=", " ")
				d.derive(d.id.syscall, []byte(d.callNames(arch)[string(value)]))
			}
			rec.Add(name, sigma.Bytes(value))
		})
	}
	a.endPiece(d)
	d.derive(d.id.image, a.exe)
	d.derive(d.id.commandLine, a.command)
	return a.said
}

// auditEvent is what is gathered over the lines of one event.
type auditEvent struct {
	exe, command []byte
	piece, name  []byte // an argument of which the kernel gave pieces: a1[0], a1[1]
	said         bool
}

// argument takes an argument of a program's start, or a piece of a long one;
// what is neither it leaves to be a field.
func (a *auditEvent) argument(d *Decoder, name, value []byte) bool {
	whole, rest, pieces := bytes.Cut(name, []byte("["))
	if !isArg(whole) || (pieces && !bytes.HasSuffix(rest, []byte("]"))) {
		return false
	}
	if pieces && bytes.Equal(whole, a.name) {
		a.piece = append(a.piece, value...)
		return true
	}
	a.endPiece(d)
	if pieces {
		a.name, a.piece = whole, append([]byte{}, value...)
		return true
	}
	a.add(d, name, value)
	return true
}

func (a *auditEvent) endPiece(d *Decoder) {
	if a.name != nil {
		a.add(d, a.name, a.piece)
		a.name, a.piece = nil, nil
	}
}

func (a *auditEvent) add(d *Decoder, name, value []byte) {
	if a.command != nil {
		a.command = append(a.command, ' ')
	}
	a.command = append(a.command, value...)
	d.rec.Add(name, sigma.Bytes(value))
}

func isArg(name []byte) bool {
	if len(name) < 2 || name[0] != 'a' {
		return false
	}
	for _, c := range name[1:] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

// pairs calls fn for each name=value, also of those inside msg='...'.
func (d *Decoder) pairs(b []byte, fn func(name, value []byte, quoted bool)) {
	for len(b) > 0 {
		b = bytes.TrimLeft(b, " \x1d")
		eq := bytes.IndexByte(b, '=')
		if eq < 0 {
			return
		}
		if sp := bytes.LastIndexByte(b[:eq], ' '); sp >= 0 {
			b = b[sp+1:]
			eq -= sp + 1
		}
		name, rest := b[:eq], b[eq+1:]
		var value []byte
		switch {
		case len(rest) > 0 && (rest[0] == '"' || rest[0] == '\''):
			end := bytes.IndexByte(rest[1:], rest[0])
			if end < 0 {
				end = len(rest) - 1
			}
			value = rest[1 : 1+end]
			b = rest[min(end+2, len(rest)):]
			if rest[0] == '\'' {
				d.pairs(value, fn)
				continue
			}
			fn(name, value, true)
			continue
		default:
			end := bytes.IndexAny(rest, " \x1d")
			if end < 0 {
				end = len(rest)
			}
			value, b = rest[:end], rest[end:]
		}
		if len(name) > 0 && !bytes.HasPrefix(value, []byte("audit(")) {
			fn(name, value, false)
		}
	}
}

// unhex decodes values that the kernel writes in hexadecimal, and then without
// quotes, because they hold spaces or worse. Arguments of system calls are
// numbers and stay.
func (d *Decoder) unhex(typ string, name, value []byte) []byte {
	least := 4
	switch string(name) {
	case "proctitle", "cmd", "comm", "exe", "name", "cwd", "data", "acct", "key":
	default:
		if whole, _, _ := bytes.Cut(name, []byte("[")); typ != "EXECVE" || !isArg(whole) {
			return value
		}
		least = 2
	}
	if len(value) < least || len(value)%2 != 0 || !upperHex(value) {
		return value
	}
	from := len(d.arena)
	d.arena = append(d.arena, make([]byte, len(value)/2)...)
	out := d.arena[from:]
	if _, err := hex.Decode(out, value); err != nil {
		return value
	}
	for i := range out {
		if out[i] == 0 {
			out[i] = ' '
		}
	}
	return slices.Clip(out)
}

func upperHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}
