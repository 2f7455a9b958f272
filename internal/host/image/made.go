package image

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// made is a content of size bytes that is made each time it is read: it takes
// no memory while nobody reads it.
type made struct {
	size int64
	text func() []byte
}

func (m *made) Size() int64 { return m.size }

func (m *made) ReadAt(b []byte, off int64) (int, error) {
	if off >= m.size {
		return 0, io.EOF
	}
	text := m.text()
	if off >= int64(len(text)) {
		return 0, io.EOF
	}
	n := copy(b, text[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// lines is a content of lines, made when it is read.
func lines(text func() string) vfs.Content {
	return &made{int64(len(text())), func() []byte { return []byte(text()) }}
}

// filler is what stands in a file that a package brought and that nobody is
// meant to look at twice: of the right kind, and of the very size.
func (b *builder) filler(f persona.PackageFile) vfs.Content {
	p := f.Path()
	base := path.Base(p)
	code := strings.Contains(base, ".so") || strings.HasSuffix(base, ".o") || strings.HasSuffix(base, ".bin") || strings.HasSuffix(base, ".mod") || strings.HasSuffix(base, ".img")
	switch {
	case code, f.Mode&0o111 != 0 && f.Size >= 9_000:
		return vfs.Image("stub", f.Size, b.elf(uint64(len(p))*7919+uint64(f.Size)))
	case strings.HasSuffix(base, ".gz"):
		return &made{f.Size, func() []byte { return packed(prose(b.p, f, f.Size-gzipFrame), f.Size) }}
	}
	return &made{f.Size, func() []byte { return prose(b.p, f, f.Size) }}
}

const gzipFrame = 10 + 5 + 8 // bytes of a gzip file around one stored block

// packed is text as a gzip file of size bytes (RFC 1952, one stored block).
func packed(text []byte, size int64) []byte {
	if int64(len(text))+gzipFrame != size || len(text) > 0xffff {
		return append([]byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3}, make([]byte, max(0, size-10))...)
	}
	out := []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 3, 1}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(text)))
	out = binary.LittleEndian.AppendUint16(out, ^uint16(len(text)))
	out = append(out, text...)
	out = binary.LittleEndian.AppendUint32(out, crc32.ChecksumIEEE(text))
	return binary.LittleEndian.AppendUint32(out, uint32(len(text)))
}

// prose is text of a file's own kind, of exactly size bytes.
func prose(p *persona.Persona, f persona.PackageFile, size int64) []byte {
	pkg, _, _ := strings.Cut(f.Packages, ",")
	facts, _ := p.Facts(pkg)
	name := path.Base(f.Name)
	head, more := "# "+name+" of "+pkg+" "+facts.Version+"\n", "#\n"
	switch {
	case f.Name == "copyright":
		head = fmt.Sprintf("Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: %s\n\nFiles: *\nCopyright: the authors of %[1]s\nLicense: see /usr/share/common-licenses\n", pkg)
		more = " .\n"
	case strings.HasPrefix(f.Name, "changelog"), strings.HasPrefix(f.Name, "NEWS"):
		head = fmt.Sprintf("%s (%s) stable; urgency=medium\n\n  * Stable update.\n\n -- %s  Sat, 15 Mar 2025 10:00:00 +0000\n", pkg, facts.Version, facts.Maintainer)
		more = "\n"
	case strings.Contains(f.Dir, "/man/"):
		title := strings.TrimSuffix(name, ".gz")
		head = fmt.Sprintf(".TH %s\n.SH NAME\n%s \\- %s\n.SH SYNOPSIS\n.B %[2]s\n[options]\n", strings.ToUpper(title), title[:max(0, strings.LastIndexByte(title, '.'))], facts.Summary)
		more = ".PP\n"
	case strings.HasSuffix(name, ".service"), strings.HasSuffix(name, ".timer"), strings.HasSuffix(name, ".target"), strings.HasSuffix(name, ".socket"), strings.HasSuffix(name, ".mount"), strings.HasSuffix(name, ".slice"), strings.HasSuffix(name, ".path"):
		head = "#  SPDX-License-Identifier: LGPL-2.1-or-later\n#\n[Unit]\nDescription=" + strings.TrimSuffix(name, path.Ext(name)) + "\nDocumentation=man:" + name + "\n"
		more = "#\n"
	case f.Mode&0o111 != 0:
		head = "#!/bin/sh\n# " + name + ": " + facts.Summary + "\nset -e\n"
		more = ":\n"
	case strings.HasSuffix(name, ".py"), strings.HasSuffix(name, ".pm"), strings.HasSuffix(name, ".pl"):
		head = "# " + name + "\n"
	}
	out := append(make([]byte, 0, size), head...)
	for int64(len(out)) < size {
		out = append(out, more...)
	}
	out = out[:max(0, size)]
	if size > 0 {
		out[size-1] = '\n'
	}
	return out
}
