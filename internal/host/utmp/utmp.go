// Package utmp reads and writes the books of logins of a fake host: the records
// of utmp(5), which wtmp and btmp hold too, and those of lastlog, as a 64-bit
// Linux machine has them, which keeps the layout of 32 bits.
package utmp

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"time"
)

// Sizes of a record, in bytes.
const (
	Size        = 384
	LastlogSize = 292
)

// Types of a record.
const (
	RunLevel = 1
	BootTime = 2
	Getty    = 6 // a line that waits for a login
	User     = 7
	Dead     = 8
)

// Record is one record of utmp(5). Texts that are too long are cut: Line, User
// and Host at 32, 32 and 256 bytes, ID at 4.
type Record struct {
	Kind       int
	PID        int
	Line, ID   string
	User, Host string
	Addr       [16]byte // an IPv4 address is the first four
	At         time.Time
}

// Addr is a text's address as a record holds it, zero for what is none.
func Addr(text string) (addr [16]byte) {
	if a, err := netip.ParseAddr(text); err == nil {
		copy(addr[:], a.AsSlice())
	}
	return addr
}

// Append appends the record to b.
func (r Record) Append(b []byte) []byte {
	le := binary.LittleEndian
	b = le.AppendUint32(b, uint32(uint16(r.Kind)))
	b = le.AppendUint32(b, uint32(r.PID))
	b = appendText(b, r.Line, 32)
	b = appendText(b, r.ID, 4)
	b = appendText(b, r.User, 32)
	b = appendText(b, r.Host, 256)
	b = append(b, make([]byte, 8)...) // exit status, session
	b = le.AppendUint32(b, uint32(r.At.Unix()))
	b = le.AppendUint32(b, uint32(r.At.Nanosecond()/1000))
	b = append(b, r.Addr[:]...)
	return append(b, make([]byte, 20)...)
}

// Parse reads the records of a book. What is left at its end is no record.
func Parse(data []byte) []Record {
	var out []Record
	for ; len(data) >= Size; data = data[Size:] {
		le := binary.LittleEndian
		out = append(out, Record{
			Kind: int(int16(le.Uint16(data))), PID: int(int32(le.Uint32(data[4:]))), Line: text(data[8:40]), ID: text(data[40:44]), User: text(data[44:76]), Host: text(data[76:332]),
			At: time.Unix(int64(int32(le.Uint32(data[340:]))), int64(le.Uint32(data[344:]))*1000).UTC(), Addr: [16]byte(data[348:364]),
		})
	}
	return out
}

// Lastlog is the last login of a user; it lies in the book at his number.
type Lastlog struct {
	At         time.Time // zero: he never came
	Line, Host string    // cut at 32 and 256 bytes
}

// Append appends the record to b.
func (l Lastlog) Append(b []byte) []byte {
	b = binary.LittleEndian.AppendUint32(b, uint32(l.At.Unix()))
	return appendText(appendText(b, l.Line, 32), l.Host, 256)
}

// ParseLastlog reads one record; a short one is that of a user who never came.
func ParseLastlog(b []byte) Lastlog {
	if len(b) < LastlogSize || binary.LittleEndian.Uint32(b) == 0 {
		return Lastlog{}
	}
	return Lastlog{time.Unix(int64(int32(binary.LittleEndian.Uint32(b))), 0).UTC(), text(b[4:36]), text(b[36:LastlogSize])}
}

func appendText(b []byte, s string, size int) []byte {
	s = s[:min(len(s), size)]
	return append(append(b, s...), make([]byte, size-len(s))...)
}

func text(b []byte) string {
	s, _, _ := bytes.Cut(b, []byte{0})
	return string(s)
}
