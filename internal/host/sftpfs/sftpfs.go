// Package sftpfs answers SFTP (draft-ietf-secsh-filexfer-02, version 3, and
// OpenSSH's extensions, PROTOCOL section 4) from the file system of a fake
// host, as OpenSSH 9.2's sftp-server does, down to its error texts.
package sftpfs

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Watcher is told what a visitor does by SFTP.
type Watcher interface {
	// Read is a file that was opened for reading.
	Read(path string)
	// Changed is a rename, removal, new directory or the like.
	Changed(verb, path, target string)
}

// The limits of sftp-server: a longer packet ends it.
const (
	maxPacket  = 256 << 10
	maxData    = maxPacket - 1024 // of one READ or WRITE
	maxHandles = 1019             // 1024 descriptors but five
)

// Packet types.
const (
	fxInit     = 1
	fxVersion  = 2
	fxOpen     = 3
	fxClose    = 4
	fxRead     = 5
	fxWrite    = 6
	fxLstat    = 7
	fxFstat    = 8
	fxSetstat  = 9
	fxFsetstat = 10
	fxOpendir  = 11
	fxReaddir  = 12
	fxRemove   = 13
	fxMkdir    = 14
	fxRmdir    = 15
	fxRealpath = 16
	fxStat     = 17
	fxRename   = 18
	fxReadlink = 19
	fxSymlink  = 20
	fxStatus   = 101
	fxHandle   = 102
	fxData     = 103
	fxName     = 104
	fxAttrs    = 105
	fxExtended = 200
	fxExtReply = 201
)

// code is a status of the protocol.
type code uint32

const (
	ok          code = 0
	eof         code = 1
	noSuchFile  code = 2
	denied      code = 3
	failure     code = 4
	badMessage  code = 5
	unsupported code = 8
)

func (c code) text() string {
	return [...]string{"Success", "End of file", "No such file", "Permission denied", "Failure", "Bad message", "No connection", "Connection lost", "Operation unsupported"}[c]
}

// status is what sftp-server makes of an errno.
func status(err error) code {
	switch {
	case err == nil:
		return ok
	case errors.Is(err, io.EOF):
		return eof
	case errors.Is(err, vfs.ENOENT), errors.Is(err, vfs.ENOTDIR), errors.Is(err, vfs.EBADF), errors.Is(err, vfs.ELOOP):
		return noSuchFile
	case errors.Is(err, vfs.EPERM), errors.Is(err, vfs.EACCES):
		return denied
	case errors.Is(err, vfs.ENAMETOOLONG), errors.Is(err, vfs.EINVAL):
		return badMessage
	}
	return failure
}

var errPacket = errors.New("sftp: a packet that makes no sense")

// file is what a handle stands for: an open file, or a directory being listed.
type file struct {
	h    *vfs.Handle
	path string
	list []vfs.Info
	app  bool // opened to append
}

type server struct {
	p       *kernel.Proc
	w       Watcher
	in      *bufio.Reader
	out     io.Writer
	handles map[uint32]*file
	reply   []byte
	why     string // text of a status that is not the usual one
	begun   bool
}

// Serve speaks SFTP on rw as the session's user until rw ends or what comes
// makes no sense. The budget of the session bounds what is moved.
func Serve(p *kernel.Proc, rw io.ReadWriter, w Watcher) error {
	s := &server{p: p, w: w, in: bufio.NewReaderSize(rw, 4096), out: rw, handles: map[uint32]*file{}}
	defer func() {
		for _, f := range s.handles {
			f.close()
		}
	}()
	var buf []byte
	for {
		var head [4]byte
		if _, err := io.ReadFull(s.in, head[:]); err != nil {
			return end(err)
		}
		n := binary.BigEndian.Uint32(head[:])
		if n < 1 || n > maxPacket {
			return fmt.Errorf("%w: %d bytes", errPacket, n)
		}
		if cap(buf) < int(n) || cap(buf) > 64<<10 && n < 4096 {
			buf = make([]byte, max(n, 1024))
		}
		buf = buf[:n]
		if _, err := io.ReadFull(s.in, buf); err != nil {
			return end(err)
		}
		if err := s.packet(buf); err != nil {
			return err
		}
	}
}

func end(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func (f *file) close() {
	if f.h != nil {
		f.h.Close() //nolint:errcheck // of the fake file system
	}
}

// packet answers one request.
func (s *server) packet(b []byte) error {
	r := &reader{b: b[1:]}
	if b[0] == fxInit {
		r.u32()
		if r.bad || s.begun {
			return errPacket
		}
		s.begun = true
		return s.version()
	}
	id := r.u32()
	if !s.begun || r.bad {
		return errPacket
	}
	if err := s.p.Step(10); err != nil {
		return err
	}
	s.reply = binary.BigEndian.AppendUint32(append(s.reply[:0], 0, 0, 0, 0, 0), id)
	c, known := s.serve(b[0], r)
	if r.bad {
		return errPacket
	}
	if !known { // sftp-server logs it and goes on
		return nil
	}
	if s.reply[4] == 0 {
		s.reply = append(s.reply[:9], 0, 0, 0, byte(c))
		s.reply[4] = fxStatus
		if s.why == "" {
			s.why = c.text()
		}
		s.str(s.why)
		s.str("")
		s.why = ""
	}
	return s.send()
}

// send writes the reply, whose first four bytes are its length.
func (s *server) send() error {
	binary.BigEndian.PutUint32(s.reply, uint32(len(s.reply)-4))
	if err := s.p.S.Budget.Output(int64(len(s.reply))); err != nil {
		return err
	}
	_, err := s.out.Write(s.reply)
	if cap(s.reply) > 64<<10 {
		s.reply = nil
	}
	return err
}

func (s *server) str(t string) {
	s.reply = append(binary.BigEndian.AppendUint32(s.reply, uint32(len(t))), t...)
}

func (s *server) version() error {
	s.reply = append(s.reply[:0], 0, 0, 0, 0, fxVersion, 0, 0, 0, 3)
	for _, e := range [...][2]string{
		{"posix-rename@openssh.com", "1"},
		{"statvfs@openssh.com", "2"},
		{"fstatvfs@openssh.com", "2"},
		{"hardlink@openssh.com", "1"},
		{"fsync@openssh.com", "1"},
		{"lsetstat@openssh.com", "1"},
		{"limits@openssh.com", "1"},
		{"expand-path@openssh.com", "1"},
		{"copy-data", "1"},
		{"home-directory", "1"},
		{"users-groups-by-id@openssh.com", "1"},
	} {
		s.str(e[0])
		s.str(e[1])
	}
	return s.send()
}

// reader takes a packet apart; bad is set where it is cut off.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) u32() uint32 {
	if len(r.b) < 4 {
		r.bad = true
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

func (r *reader) u64() uint64 { return uint64(r.u32())<<32 | uint64(r.u32()) }

func (r *reader) bytes() []byte {
	n := r.u32()
	if r.bad || n > uint32(len(r.b)) {
		r.bad = true
		return nil
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) str() string { return string(r.bytes()) }
