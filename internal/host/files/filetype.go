package files

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// file tells what a file holds by its first bytes.
func file(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bcCdEhikLlNnprsSvzZ0e:f:F:m:P:", "brief/b mime/i mime-type/i mime-encoding/i dereference/L")
	if o.Bad != "" || len(o.Args) == 0 {
		fmt.Fprint(p.Stderr(), "Usage: file [-bcCdEhikLlNnprsSvzZ0] [--apple] [--extension] [--mime-encoding]\n            [--mime-type] [-e <testname>] [-F <separator>]  [-f <namefile>]\n            [-m <magicfiles>] [-P <parameter=value>] [--exclude-quiet]\n            <file> ...\n       file -C [-m <magicfiles>]\n       file [--help]\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	width := 0
	for _, a := range o.Args {
		width = max(width, len(a)+1)
	}
	for _, a := range o.Args {
		text := describe(p, a, o)
		if o.Has("b") {
			put(p, text+"\n")
			continue
		}
		put(p, fmt.Sprintf("%-*s %s\n", width, a+":", text))
	}
	return 0
}

func describe(p *kernel.Proc, name string, o getopt.Opts) string {
	get := p.M.FS.Lstat
	if o.Has("L") {
		get = p.M.FS.Stat
	}
	in, err := get(p.Caller, p.Abs(name))
	if err != nil {
		return fmt.Sprintf("cannot open `%s' (%s)", name, err)
	}
	switch in.Kind {
	case vfs.Dir:
		if in.Mode&vfs.ModeSticky != 0 {
			return "sticky, directory"
		}
		return "directory"
	case vfs.Symlink:
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(name)); err != nil {
			return "broken symbolic link to " + in.Target
		}
		return "symbolic link to " + in.Target
	case vfs.CharDev:
		return fmt.Sprintf("character special (%d/%d)", in.Major, in.Minor)
	case vfs.BlockDev:
		return fmt.Sprintf("block special (%d/%d)", in.Major, in.Minor)
	case vfs.FIFO:
		return "fifo (named pipe)"
	case vfs.Socket:
		return "socket"
	}
	if in.Size == 0 {
		return "empty"
	}
	data := make([]byte, 4096)
	h, err := p.M.FS.Open(p.Caller, p.Abs(name), vfs.ReadOnly, 0)
	if err != nil {
		return "regular file, no read permission"
	}
	defer h.Close() //nolint:errcheck // only read
	n, _ := h.Read(data)
	mark := ""
	if in.Mode&vfs.ModeSetUID != 0 {
		mark = "setuid "
	}
	if o.Has("i") {
		return mimeOf(data[:n])
	}
	return mark + magic(data[:n], in)
}

func mimeOf(b []byte) string {
	switch {
	case bytes.HasPrefix(b, []byte("\x7fELF")):
		return "application/x-pie-executable; charset=binary"
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		return "application/gzip; charset=binary"
	case bytes.HasPrefix(b, []byte("#!")):
		return "text/x-shellscript; charset=us-ascii"
	case !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0:
		return "application/octet-stream; charset=binary"
	}
	return "text/plain; charset=us-ascii"
}

func magic(b []byte, in vfs.Info) string {
	for _, m := range []struct{ head, text string }{
		{"\x1f\x8b", "gzip compressed data, from Unix"},
		{"BZh", "bzip2 compressed data, block size = 900k"},
		{"\xfd7zXZ", "XZ compressed data, checksum CRC64"},
		{"PK\x03\x04", "Zip archive data, at least v2.0 to extract, compression method=deflate"},
		{"\x89PNG", "PNG image data"},
		{"%PDF-", "PDF document, version 1.4"},
		{"\xff\xd8\xff", "JPEG image data"},
		{"GIF8", "GIF image data"},
		{"-----BEGIN OPENSSH PRIVATE KEY", "OpenSSH private key"},
		{"ssh-rsa ", "OpenSSH RSA public key"},
	} {
		if bytes.HasPrefix(b, []byte(m.head)) {
			return m.text
		}
	}
	if bytes.HasPrefix(b, []byte("\x7fELF")) && len(b) >= 20 {
		return elfText(b)
	}
	if len(b) > 262 && string(b[257:262]) == "ustar" {
		return "POSIX tar archive (GNU)"
	}
	if bytes.IndexByte(b, 0) >= 0 || !text(b) {
		return "data"
	}
	kind := "ASCII text"
	if !isASCII(b) {
		kind = "Unicode text, UTF-8 text"
	}
	if bytes.Contains(b, []byte("\r\n")) {
		kind += ", with CRLF line terminators"
	}
	if !bytes.Contains(b, []byte("\n")) {
		kind += ", with no line terminators"
	}
	_ = in
	if line, _, _ := strings.Cut(string(b), "\n"); strings.HasPrefix(line, "#!") {
		switch interp := strings.Fields(line[2:] + " x")[0]; {
		case strings.HasSuffix(interp, "bash"):
			return "Bourne-Again shell script, " + kind + " executable"
		case strings.HasSuffix(interp, "sh"):
			return "POSIX shell script, " + kind + " executable"
		case strings.Contains(line, "python3"):
			return "Python script, " + kind + " executable"
		case strings.Contains(line, "perl"):
			return "Perl script text executable"
		default:
			return "a " + strings.TrimSpace(line[2:]) + " script, " + kind + " executable"
		}
	}
	return kind
}

func text(b []byte) bool {
	for _, c := range b {
		if c < 7 || c > 13 && c < 27 || c == 127 {
			return false
		}
	}
	return utf8.Valid(b) || len(b) == 4096
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= 0x80 {
			return false
		}
	}
	return true
}

func elfText(b []byte) string {
	bits, order := "64-bit", "LSB"
	var bo binary.ByteOrder = binary.LittleEndian
	if b[4] == 1 {
		bits = "32-bit"
	}
	if b[5] == 2 {
		order, bo = "MSB", binary.BigEndian
	}
	kind := map[uint16]string{1: "relocatable", 2: "executable", 3: "pie executable"}[bo.Uint16(b[16:])]
	machine := map[uint16]string{62: "x86-64", 3: "Intel 80386", 40: "ARM, EABI5", 183: "ARM aarch64", 8: "MIPS, MIPS32"}[bo.Uint16(b[18:])]
	return fmt.Sprintf("ELF %s %s %s, %s, version 1 (SYSV), dynamically linked, interpreter /lib64/ld-linux-x86-64.so.2, for GNU/Linux 3.2.0, stripped", bits, order, kind, machine)
}
