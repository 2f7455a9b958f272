package sftpfs

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Flags of attributes (section 5).
const (
	hasSize  = 1
	hasOwner = 2
	hasMode  = 4
	hasTimes = 8
)

// attrs is what a client wants a file to have.
type attrs struct {
	flags        uint32
	size         uint64
	uid, gid     uint32
	mode         uint32
	atime, mtime uint32
}

const hasExtended = 0x80000000

func (r *reader) attrs() attrs {
	a := attrs{flags: r.u32()}
	if a.flags&hasSize != 0 {
		a.size = r.u64()
	}
	if a.flags&hasOwner != 0 {
		a.uid, a.gid = r.u32(), r.u32()
	}
	if a.flags&hasMode != 0 {
		a.mode = r.u32()
	}
	if a.flags&hasTimes != 0 {
		a.atime, a.mtime = r.u32(), r.u32()
	}
	if a.flags&hasExtended != 0 {
		for n := r.u32(); n > 0 && !r.bad; n-- {
			r.bytes()
			r.bytes()
		}
	}
	return a
}

// typeBits is S_IFMT of stat(2).
func typeBits(k vfs.Kind) uint32 {
	return [...]uint32{vfs.File: 0o100000, vfs.Dir: 0o040000, vfs.Symlink: 0o120000, vfs.CharDev: 0o020000, vfs.BlockDev: 0o060000, vfs.FIFO: 0o010000, vfs.Socket: 0o140000}[k]
}

func appendAttrs(b []byte, in vfs.Info) []byte {
	b = binary.BigEndian.AppendUint32(b, hasSize|hasOwner|hasMode|hasTimes)
	b = binary.BigEndian.AppendUint64(b, uint64(in.Size))
	b = binary.BigEndian.AppendUint32(b, in.UID)
	b = binary.BigEndian.AppendUint32(b, in.GID)
	b = binary.BigEndian.AppendUint32(b, typeBits(in.Kind)|in.Mode&0o7777)
	b = binary.BigEndian.AppendUint32(b, uint32(in.Atime.Unix()))
	return binary.BigEndian.AppendUint32(b, uint32(in.Mtime.Unix()))
}

// modeText is strmode(3) without its last blank.
func modeText(in vfs.Info) string {
	b := []byte("?rwxrwxrwx")
	b[0] = [...]byte{vfs.File: '-', vfs.Dir: 'd', vfs.Symlink: 'l', vfs.CharDev: 'c', vfs.BlockDev: 'b', vfs.FIFO: 'p', vfs.Socket: 's'}[in.Kind]
	for i := range 9 {
		if in.Mode&(0o400>>i) == 0 {
			b[1+i] = '-'
		}
	}
	special := func(bit uint32, at int, set byte) {
		if in.Mode&bit == 0 {
			return
		}
		if b[at] == '-' {
			set -= 'a' - 'A'
		}
		b[at] = set
	}
	special(vfs.ModeSetUID, 3, 's')
	special(vfs.ModeSetGID, 6, 's')
	special(vfs.ModeSticky, 9, 't')
	return string(b)
}

// longName is one line of a listing, as ls_file of OpenSSH writes it.
func (s *server) longName(name string, in vfs.Info) string {
	now := s.p.Now()
	stamp := in.Mtime.Format("Jan _2 15:04")
	if age := now.Sub(in.Mtime); age < 0 || age >= 365*24*time.Hour/2 {
		stamp = in.Mtime.Format("Jan _2  2006")
	}
	return fmt.Sprintf("%s  %3d %-8s %-8s %8d %s %s", modeText(in), in.Nlink, s.p.M.UserName(in.UID), s.p.M.GroupName(in.GID), in.Size, stamp, name)
}
