package mysql

import (
	"encoding/binary"
	"errors"
	"io"
)

// Limits of what is read.
const (
	maxPacket = 1 << 20 // bytes of one command; the protocol has 16 MiB - 1 in a packet
	maxHello  = 8 << 10
)

var errPacket = errors.New("a packet that breaks the protocol")

// wire reads and writes packets: three bytes of length, one of sequence.
type wire struct {
	rw  io.ReadWriter
	seq byte
	out []byte
}

func (w *wire) read(limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(w.rw, head[:]); err != nil {
		return nil, err
	}
	size := int(head[0]) | int(head[1])<<8 | int(head[2])<<16
	w.seq = head[3] + 1
	if size > limit {
		return nil, errPacket
	}
	b := make([]byte, 0, min(size, 16<<10))
	for len(b) < size {
		n := min(size-len(b), 16<<10)
		at := len(b)
		b = append(b, make([]byte, n)...)
		if _, err := io.ReadFull(w.rw, b[at:]); err != nil {
			return nil, io.ErrUnexpectedEOF
		}
	}
	return b, nil
}

// add puts a packet behind those that wait to be sent.
func (w *wire) add(payload []byte) {
	n := len(payload)
	w.out = append(w.out, byte(n), byte(n>>8), byte(n>>16), w.seq)
	w.out = append(w.out, payload...)
	w.seq++
}

func (w *wire) flush() error {
	_, err := w.rw.Write(w.out)
	w.out = w.out[:0]
	return err
}

func (w *wire) ok(affected int) {
	b := appendInt([]byte{0}, uint64(max(affected, 0)))
	b = append(b, 0)
	b = binary.LittleEndian.AppendUint16(b, autocommit)
	w.add(binary.LittleEndian.AppendUint16(b, 0))
}

func (w *wire) end() {
	w.add(binary.LittleEndian.AppendUint16([]byte{0xfe, 0, 0}, autocommit))
}

func (w *wire) fail(f *fault) {
	b := binary.LittleEndian.AppendUint16([]byte{0xff}, f.code)
	b = append(append(b, '#'), f.state...)
	w.add(append(b, f.text[:min(len(f.text), 512)]...))
}

// appendInt writes a number with its length before it where it is long.
func appendInt(b []byte, n uint64) []byte {
	switch {
	case n < 251:
		return append(b, byte(n))
	case n < 1<<16:
		return binary.LittleEndian.AppendUint16(append(b, 0xfc), uint16(n))
	case n < 1<<24:
		return append(b, 0xfd, byte(n), byte(n>>8), byte(n>>16))
	}
	return binary.LittleEndian.AppendUint64(append(b, 0xfe), n)
}

func appendText(b []byte, s string) []byte { return append(appendInt(b, uint64(len(s))), s...) }

// cursor reads the fields of a packet.
type cursor struct {
	b   []byte
	bad bool
}

func (c *cursor) take(n int) []byte {
	if c.bad || n < 0 || n > len(c.b) {
		c.bad = true
		return nil
	}
	out := c.b[:n]
	c.b = c.b[n:]
	return out
}

// zero reads up to a zero byte, or to the end where there is none.
func (c *cursor) zero() string {
	for i, x := range c.b {
		if x == 0 {
			s := string(c.b[:i])
			c.b = c.b[i+1:]
			return s
		}
	}
	s := string(c.b)
	c.b = nil
	return s
}

// counted reads what has its length before it, in one byte or more.
func (c *cursor) counted() []byte {
	n := c.take(1)
	if n == nil {
		return nil
	}
	if n[0] == 0xfc {
		if two := c.take(2); two != nil {
			return c.take(int(binary.LittleEndian.Uint16(two)))
		}
		return nil
	}
	if n[0] > 0xfc {
		c.bad = true
		return nil
	}
	return c.take(int(n[0]))
}

// What client and server can, as bits (MariaDB's documentation, "Connection").
const (
	canLongPassword = 1
	canLongFlag     = 4
	canConnectDB    = 8
	canProtocol41   = 0x200
	canTransactions = 0x2000
	canSecure       = 0x8000
	canMultiResults = 0x20000
	canPluginAuth   = 0x80000
	canAttributes   = 0x100000
	canLenenc       = 0x200000

	ours = canLongPassword | 2 | canLongFlag | canConnectDB | 0x10 | 0x40 | 0x80 | 0x100 | canProtocol41 | 0x400 | 0x1000 | canTransactions | canSecure | 0x10000 | canMultiResults | 0x40000 | canPluginAuth | canAttributes | canLenenc
)

const autocommit = 2 // status of a connection

// greeting is the server's first packet (protocol 10).
func greeting(version string, thread uint32, salt []byte) []byte {
	b := append([]byte{10}, "5.5.5-"+version...)
	b = binary.LittleEndian.AppendUint32(append(b, 0), thread)
	b = append(append(b, salt[:8]...), 0)
	caps := uint32(ours)
	b = binary.LittleEndian.AppendUint16(b, uint16(caps&0xffff))
	b = append(b, 45) // utf8mb4_general_ci
	b = binary.LittleEndian.AppendUint16(b, autocommit)
	b = binary.LittleEndian.AppendUint16(b, uint16(caps>>16))
	b = append(b, 21, 0, 0, 0, 0, 0, 0)
	b = append(b, 0x1d, 0, 0, 0) // MariaDB's own: progress, COM_MULTI off, bulk, metadata
	b = append(append(b, salt[8:20]...), 0)
	return append(b, "mysql_native_password\x00"...)
}

// answer is what a client says of itself.
type answer struct {
	caps           uint32
	user, database string
	plugin         string
	response       []byte // to our salt: told to nobody
	attributes     map[string]string
}

// readAnswer reads a HandshakeResponse41.
func readAnswer(b []byte) (*answer, error) {
	c := &cursor{b: b}
	head := c.take(32)
	if head == nil {
		return nil, errPacket
	}
	a := &answer{caps: binary.LittleEndian.Uint32(head), attributes: map[string]string{}}
	if a.caps&canProtocol41 == 0 {
		return nil, errPacket
	}
	a.user = c.zero()
	if a.caps&canSecure != 0 || a.caps&canLenenc != 0 {
		a.response = c.counted()
	} else {
		a.response = []byte(c.zero())
	}
	if a.caps&canConnectDB != 0 {
		a.database = c.zero()
	}
	if a.caps&canPluginAuth != 0 {
		a.plugin = c.zero()
	}
	if c.bad {
		return nil, errPacket
	}
	if a.caps&canAttributes != 0 {
		for in := (&cursor{b: c.counted()}); !in.bad && len(in.b) > 0 && len(a.attributes) < 32; {
			k := string(in.counted())
			a.attributes[k] = string(in.counted())
		}
	}
	return a, nil
}
