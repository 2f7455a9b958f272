package unpack

import (
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"unicode/utf16"
)

// ISO 9660 (ECMA-119) with Joliet names. Directories are read at most once, so
// that an image that contains itself comes to an end.

const (
	isoSector  = 2048
	maxISODirs = 20_000
	maxISODir  = 16 << 20 // bytes of one directory
)

type isoWalk struct {
	c      *container
	r      *io.SectionReader
	joliet bool
	seen   map[uint32]bool
}

// walkISO goes through the Joliet tree if there is one, else the plain one.
func walkISO(c *container) error {
	w := &isoWalk{c: c, r: c.input(), seen: map[uint32]bool{}}
	var root [34]byte
	found := false
	for n := int64(16); n < 16+32; n++ {
		var d [isoSector]byte
		if _, err := w.r.ReadAt(d[:], n*isoSector); err != nil || string(d[1:6]) != "CD001" || d[0] == 255 {
			break
		}
		esc := string(d[88:91])
		joliet := d[0] == 2 && (esc == "%/@" || esc == "%/C" || esc == "%/E")
		if d[0] == 1 && !found || joliet {
			copy(root[:], d[156:190])
			found, w.joliet = true, joliet
		}
	}
	if !found {
		return errors.New("there is no volume descriptor")
	}
	return w.dir("", binary.LittleEndian.Uint32(root[2:]), binary.LittleEndian.Uint32(root[10:]), 0)
}

func (w *isoWalk) dir(path string, sector, size uint32, depth int) error {
	if w.seen[sector] || depth > 64 {
		return nil
	}
	if len(w.seen) >= maxISODirs || size > maxISODir {
		return skipError{Limit, "it has too many or too large directories"}
	}
	w.seen[sector] = true
	b := make([]byte, size)
	if n, err := w.r.ReadAt(b, int64(sector)*isoSector); n < len(b) {
		w.c.skip(path, Damaged, "a directory is cut off: "+err.Error())
		b = b[:n]
	}
	for at := 0; at+34 <= len(b); {
		n := int(b[at])
		if n == 0 { // the rest of the sector is empty
			at = (at/isoSector + 1) * isoSector
			continue
		}
		if n < 34 || at+n > len(b) {
			w.c.skip(path, Damaged, "a directory record is cut off")
			return nil
		}
		if err := w.record(path, b[at:at+n], depth); err != nil {
			return err
		}
		at += n
	}
	return nil
}

func (w *isoWalk) record(path string, rec []byte, depth int) error {
	n := int(rec[32])
	if 33+n > len(rec) || n == 1 && rec[33] < 2 { // "." and ".."
		return nil
	}
	name := string(rec[33 : 33+n])
	if w.joliet {
		u := make([]uint16, 0, n/2)
		for i := 0; i+1 < n; i += 2 {
			u = append(u, binary.BigEndian.Uint16(rec[33+i:]))
		}
		name = string(utf16.Decode(u))
	}
	name, _, _ = strings.Cut(name, ";")
	if path != "" {
		name = path + "/" + name
	}
	sector, size := binary.LittleEndian.Uint32(rec[2:]), binary.LittleEndian.Uint32(rec[10:])
	if rec[25]&2 != 0 {
		return w.dir(name, sector, size, depth+1)
	}
	if size == 0 {
		return nil
	}
	at := int64(sector) * isoSector
	if at+int64(size) > w.c.it.size {
		w.c.skip(name, Damaged, "it lies behind the end of the image")
		if at >= w.c.it.size {
			return nil
		}
	}
	return w.c.give(name, io.NewSectionReader(w.r, at, int64(size)))
}
