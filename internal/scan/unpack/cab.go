package unpack

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// The cabinet format: [MS-CAB]. Folders are compressed streams; files are
// ranges of them. Stored, MSZIP and LZX folders are read; Quantum is told as
// unsupported.

type cabFile struct {
	name   string
	size   int64
	at     int64 // in the unpacked folder
	folder int
	before bool // it begins in the cabinet before
}

type cabFolder struct {
	at     int64 // of the first data block
	blocks int
	method uint16
}

const maxCabFolder = 1 << 31 // bytes of one folder, unpacked

// walkCab goes through a cabinet.
func walkCab(c *container) error {
	r := c.input()
	folders, files, reserve, err := cabIndex(r)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return errors.New("the cabinet lists no files")
	}
	for _, x := range files {
		switch {
		case x.folder >= len(folders):
			c.skip(x.name, Damaged, fmt.Sprintf("folder %d of %d holds it", x.folder+1, len(folders)))
		case x.before:
			c.skip(x.name, Unsupported, "it begins in another cabinet")
		}
	}
	for i, f := range folders {
		var in []cabFile
		for _, x := range files {
			if x.folder == i && !x.before {
				in = append(in, x)
			}
		}
		if err := c.cabFolder(r, f, in, reserve); err != nil {
			return err
		}
	}
	return nil
}

// cabFolder unpacks one folder and cuts its files out in their order.
func (c *container) cabFolder(r io.ReaderAt, f cabFolder, files []cabFile, reserve int) error {
	s := &cabStream{r: r, at: f.at, blocks: f.blocks, reserve: reserve}
	switch method := f.method & 0xf; method {
	case 0:
	case 1:
		s.zip = true
	case 3:
		var err error
		if s.lzx, err = newLZX(int(f.method >> 8 & 0x1f)); err != nil {
			return err
		}
	default:
		names := map[uint16]string{2: "Quantum"}
		for _, x := range files {
			c.skip(x.name, Unsupported, fmt.Sprintf("compression %s (%d) is not read", names[method], method))
		}
		return nil
	}
	var pos int64
	for _, x := range files {
		if x.at < pos || x.at > maxCabFolder {
			c.skip(x.name, Damaged, "its place overlaps another file's")
			continue
		}
		if _, err := io.CopyN(io.Discard, s, x.at-pos); err != nil {
			return fmt.Errorf("find %s: %w", clip(x.name, 80), err)
		}
		body := &io.LimitedReader{R: s, N: x.size}
		if err := c.give(x.name, body); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, body); err != nil {
			return nil //nolint:nilerr // the damage was told with the entry
		}
		pos = x.at + x.size
	}
	return nil
}

// cabIndex reads the lists of folders and files.
func cabIndex(r *io.SectionReader) (folders []cabFolder, files []cabFile, reserve int, err error) {
	var h [36]byte
	if _, err := r.ReadAt(h[:], 0); err != nil {
		return nil, nil, 0, err
	}
	le := binary.LittleEndian
	nFolders, nFiles, flags := int(le.Uint16(h[26:])), int(le.Uint16(h[28:])), le.Uint16(h[30:])
	at, perFolder := int64(36), 0
	if flags&4 != 0 {
		var x [4]byte
		if _, err := r.ReadAt(x[:], at); err != nil {
			return nil, nil, 0, err
		}
		perFolder, reserve = int(x[2]), int(x[3])
		at += 4 + int64(le.Uint16(x[:]))
	}
	for range 2 * int(flags&1+flags>>1&1) { // names of the cabinets before and behind
		s, err := cString(r, at)
		if err != nil {
			return nil, nil, 0, err
		}
		at += int64(len(s)) + 1
	}
	for range nFolders {
		var x [8]byte
		if _, err := r.ReadAt(x[:], at); err != nil {
			return nil, nil, 0, err
		}
		folders = append(folders, cabFolder{int64(le.Uint32(x[:])), int(le.Uint16(x[4:])), le.Uint16(x[6:])})
		at += 8 + int64(perFolder)
	}
	at = int64(le.Uint32(h[16:]))
	for range nFiles {
		var x [16]byte
		if _, err := r.ReadAt(x[:], at); err != nil {
			return folders, files, reserve, err
		}
		name, err := cString(r, at+16)
		if err != nil {
			return folders, files, reserve, err
		}
		at += 16 + int64(len(name)) + 1
		folder := int(le.Uint16(x[8:]))
		before := folder == 0xfffd || folder == 0xffff
		switch {
		case before:
			folder = 0
		case folder == 0xfffe: // it goes on in the next cabinet
			folder = max(nFolders-1, 0)
		}
		files = append(files, cabFile{name, int64(le.Uint32(x[:])), int64(le.Uint32(x[4:])), folder, before})
	}
	return folders, files, reserve, nil
}

// cString reads a text that ends with NUL, at most 256 bytes of it.
func cString(r io.ReaderAt, at int64) (string, error) {
	b := make([]byte, 257)
	n, err := r.ReadAt(b, at)
	i := bytes.IndexByte(b[:n], 0)
	if i < 0 {
		if err == nil {
			err = errors.New("a name has no end")
		}
		return "", err
	}
	return string(b[:i]), nil
}

// cabStream is the unpacked folder.
type cabStream struct {
	r       io.ReaderAt
	at      int64
	blocks  int
	reserve int
	zip     bool
	lzx     *lzx
	window  []byte // the last 32 KiB, which MSZIP blocks refer to
	buf     []byte
}

// Read implements io.Reader.
func (s *cabStream) Read(p []byte) (int, error) {
	for len(s.buf) == 0 {
		if s.blocks == 0 {
			return 0, io.ErrUnexpectedEOF // files end before their folder does, at the latest with it
		}
		if err := s.block(); err != nil {
			return 0, err
		}
	}
	n := copy(p, s.buf)
	s.buf = s.buf[n:]
	return n, nil
}

func (s *cabStream) block() error {
	s.blocks--
	var h [8]byte
	if _, err := s.r.ReadAt(h[:], s.at); err != nil {
		return cutOff(err)
	}
	in, out := int(binary.LittleEndian.Uint16(h[4:])), int(binary.LittleEndian.Uint16(h[6:]))
	data := make([]byte, in)
	if n, err := s.r.ReadAt(data, s.at+8+int64(s.reserve)); n < len(data) {
		return cutOff(err)
	}
	s.at += 8 + int64(s.reserve) + int64(in)
	switch {
	case s.lzx != nil:
		var err error
		s.buf, err = s.lzx.frame(data, out)
		return err
	case !s.zip:
		s.buf = data
		return nil
	}
	if len(data) < 2 || string(data[:2]) != "CK" {
		return errors.New("a block of the cabinet is no MSZIP block")
	}
	s.buf = make([]byte, out)
	n, err := io.ReadFull(flate.NewReaderDict(bytes.NewReader(data[2:]), s.window), s.buf)
	s.buf = s.buf[:n]
	if err != nil {
		return err
	}
	s.window = append(s.window, s.buf...)
	if len(s.window) > 32<<10 {
		s.window = append([]byte(nil), s.window[len(s.window)-32<<10:]...)
	}
	return nil
}

// cutOff makes of an early end what it is.
func cutOff(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
