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
	var command, exe []byte
	said := false
	for _, line := range lines {
		kind := between(line, "type=", " ")
		typ := string(kind)
		exec := typ == "EXECVE"
		d.pairs(line, func(name, value []byte) {
			value = d.unhex(typ, name, value)
			switch {
			case exec && isArg(name):
				if command != nil {
					command = append(command, ' ')
				}
				command = append(command, value...)
			case string(name) == "exe":
				exe = value
			case string(name) == "syscall" && bytes.Contains(line, []byte("arch=c000003e")):
				d.derive(d.id.syscall, []byte(syscalls[string(value)]))
			}
			rec.Add(name, sigma.Bytes(value))
			said = true
		})
	}
	d.derive(d.id.image, exe)
	d.derive(d.id.commandLine, command)
	return said
}

// The system calls of x86-64 that rules name.
//

var syscalls = map[string]string{
	"41": "socket", "42": "connect", "43": "accept", "49": "bind", "50": "listen", "56": "clone", "57": "fork", "59": "execve", "62": "kill", "82": "rename",
	"87": "unlink", "90": "chmod", "91": "fchmod", "92": "chown", "101": "ptrace", "105": "setuid", "165": "mount", "166": "umount2", "175": "init_module",
	"176": "delete_module", "188": "setxattr", "227": "clock_settime", "159": "adjtimex", "164": "settimeofday", "257": "openat", "2": "open", "263": "unlinkat",
	"264": "renameat", "268": "fchmodat", "310": "process_vm_readv", "311": "process_vm_writev", "313": "finit_module", "317": "seccomp", "319": "memfd_create",
	"321": "bpf", "322": "execveat", "83": "mkdir", "84": "rmdir", "170": "sethostname",
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
func (d *Decoder) pairs(b []byte, fn func(name, value []byte)) {
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
			fn(name, value)
			continue
		default:
			end := bytes.IndexAny(rest, " \x1d")
			if end < 0 {
				end = len(rest)
			}
			value, b = rest[:end], rest[end:]
		}
		if len(name) > 0 && !bytes.HasPrefix(value, []byte("audit(")) {
			fn(name, value)
		}
	}
}

// unhex decodes values that the kernel writes in hexadecimal because they hold
// spaces or worse. Arguments of system calls are numbers and stay.
func (d *Decoder) unhex(typ string, name, value []byte) []byte {
	switch string(name) {
	case "proctitle", "cmd", "comm", "exe", "name", "cwd", "data", "acct":
	default:
		if typ != "EXECVE" || !isArg(name) {
			return value
		}
	}
	if len(value) < 4 || len(value)%2 != 0 || !upperHex(value) {
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
