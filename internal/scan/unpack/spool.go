package unpack

import (
	"errors"
	"io"
	"os"
)

// spool holds unpacked bytes: small ones in memory, large ones in a file that
// has no name any more.
type spool struct {
	mem  []byte
	file *os.File
	size int64
}

const inMemory = 4 << 20 // bytes

func (s *spool) write(p []byte) error {
	if s.file == nil && len(s.mem)+len(p) <= inMemory {
		s.mem = append(s.mem, p...)
		s.size += int64(len(p))
		return nil
	}
	if s.file == nil {
		f, err := os.CreateTemp("", "lapwing-unpack-")
		if err != nil {
			return err
		}
		os.Remove(f.Name()) //nolint:errcheck // where that cannot be, close removes it
		s.file = f
		if _, err := f.Write(s.mem); err != nil {
			return err
		}
		s.mem = nil
	}
	n, err := s.file.Write(p)
	s.size += int64(n)
	return err
}

// ReadAt implements io.ReaderAt.
func (s *spool) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, errors.New("read before the beginning")
	}
	if s.file != nil {
		return s.file.ReadAt(p, off)
	}
	if off >= int64(len(s.mem)) {
		return 0, io.EOF
	}
	n := copy(p, s.mem[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (s *spool) close() {
	if s.file != nil {
		s.file.Close()           //nolint:errcheck // nobody reads it any more
		os.Remove(s.file.Name()) //nolint:errcheck // gone already where files can be removed while open
	}
}
