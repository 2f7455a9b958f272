package feed

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/lapwing-defence/lapwing/internal/durable"
)

// store keeps the newest position of a source. Each save overwrites one of two
// files in turn, so that a kill in the middle leaves the one before; now and
// then sync writes a third one that a crash of the machine does not take away.
// A file is: magic, number of the save, length, checksum of both and of the
// position, position.
type store struct {
	base  string
	slots [2]*os.File

	mu   sync.Mutex
	seq  uint64
	last []byte
	buf  []byte

	writing sync.Mutex // held while sync writes
	kept    uint64     // seq that is durable
}

const (
	magic       = "LWPOS001"
	storeHeader = len(magic) + 8 + 4 + 4
	maxPosition = 16 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func openStore(dir, name string) (*store, error) {
	s := &store{base: filepath.Join(dir, name)}
	for i := range s.slots {
		f, err := os.OpenFile(fmt.Sprintf("%s.%d", s.base, i), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			s.close()
			return nil, err
		}
		s.slots[i] = f
		if err := s.read(f); err != nil {
			s.close()
			return nil, err
		}
	}
	f, err := os.Open(s.base + ".kept")
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		s.close()
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	if err := s.read(f); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// read takes what f holds, unless it is broken or older.
func (s *store) read(f *os.File) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if st.Size() < int64(storeHeader) || st.Size() > int64(storeHeader+maxPosition) {
		return nil
	}
	data := make([]byte, st.Size())
	if _, err := f.ReadAt(data, 0); err != nil {
		return fmt.Errorf("read %s: %w", f.Name(), err)
	}
	if seq, position, ok := decode(data); ok && seq > s.seq {
		s.seq, s.last = seq, position
	}
	return nil
}

// decode reads what append wrote; what follows it is left.
func decode(data []byte) (seq uint64, position []byte, ok bool) {
	if len(data) < storeHeader || string(data[:len(magic)]) != magic {
		return 0, nil, false
	}
	head := data[len(magic):]
	seq = binary.LittleEndian.Uint64(head)
	n := uint64(binary.LittleEndian.Uint32(head[8:]))
	if n > uint64(len(data)-storeHeader) {
		return 0, nil, false
	}
	position = data[storeHeader : uint64(storeHeader)+n]
	sum := crc32.Update(crc32.Checksum(head[:12], castagnoli), castagnoli, position)
	return seq, position, sum == binary.LittleEndian.Uint32(head[12:])
}

func encode(dst []byte, seq uint64, position []byte) []byte {
	dst = append(dst, magic...)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(position)))
	sum := crc32.Update(crc32.Checksum(dst[len(dst)-12:], castagnoli), castagnoli, position)
	return append(binary.LittleEndian.AppendUint32(dst, sum), position...)
}

func (s *store) position() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last
}

// save keeps position against a kill of the process.
func (s *store) save(position []byte) error {
	if len(position) > maxPosition {
		return fmt.Errorf("a position of %d bytes, the limit is %d", len(position), maxPosition)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	s.last = append(s.last[:0:0], position...)
	s.buf = encode(s.buf[:0], s.seq, position)
	_, err := s.slots[s.seq%2].WriteAt(s.buf, 0)
	return err
}

// sync keeps the newest position against a crash of the machine.
func (s *store) sync(r rhythm) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	s.mu.Lock()
	seq, data := s.seq, encode(nil, s.seq, s.last)
	s.mu.Unlock()
	if seq == s.kept {
		return nil
	}
	beat, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(s.base+".kept", data); err != nil {
		return err
	}
	s.kept = seq
	return durable.WriteFile(s.base+".rhythm", beat)
}

// rhythm is what sync kept; nothing where it cannot be read: it is learnt anew.
func (s *store) rhythm() (r rhythm) {
	f, err := os.Open(s.base + ".rhythm")
	if err != nil {
		return r
	}
	defer f.Close() //nolint:errcheck // only read
	var buf [1024]byte
	n, _ := f.Read(buf[:])
	if json.Unmarshal(buf[:n], &r) != nil {
		return rhythm{}
	}
	return r
}

func (s *store) close() {
	for _, f := range s.slots {
		if f != nil {
			f.Close() //nolint:errcheck // what is written is written
		}
	}
}
