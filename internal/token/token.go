// Package token makes honeytokens: credentials, links and rows that nobody has
// a reason to use and that are good for nothing but giving away who does. What
// is in them follows from a master key and the token's id, so that its use is
// recognised and nothing in a planted file says what it is.
//
// A Register keeps where each of them lies, an Index recognises what events
// report of their use. Nothing here reads or writes on the machine where a
// token is planted: that is package plant.
package token

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// ID names a token: 80 random bits. Its text is 16 letters and digits of base32.
type ID [10]byte

const (
	letters62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	letters32 = "abcdefghijklmnopqrstuvwxyz234567"
)

func base32Lower() *base32.Encoding {
	return base32.NewEncoding(letters32).WithPadding(base32.NoPadding)
}

// NewID draws an id from r.
func NewID(r io.Reader) (ID, error) {
	var id ID
	if _, err := io.ReadFull(r, id[:]); err != nil {
		return ID{}, fmt.Errorf("draw an id: %w", err)
	}
	return id, nil
}

// String is the text of id.
func (id ID) String() string { return base32Lower().EncodeToString(id[:]) }

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (id *ID) UnmarshalText(b []byte) error {
	got, ok := ParseID(string(b))
	if !ok {
		return fmt.Errorf("%.40q is no id of a token: it has 16 of the letters a to z and 2 to 7", b)
	}
	*id = got
	return nil
}

// ParseID reads the text of an id; ok is false for another text.
func ParseID(s string) (id ID, ok bool) {
	if len(s) != 16 {
		return ID{}, false
	}
	b, err := base32Lower().DecodeString(s)
	if err != nil {
		return ID{}, false
	}
	return ID(b), true
}

// Master derives what is in tokens. Whoever has its key can tell tokens from
// everything else, so it stays at the hub.
type Master struct{ key []byte }

// KeySize is the length of a master key in bytes.
const KeySize = 32

// NewMaster takes a key of KeySize bytes.
func NewMaster(key []byte) (*Master, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("a master key has %d bytes, not %d", KeySize, len(key))
	}
	return &Master{bytes.Clone(key)}, nil
}

// derive gives n bytes for one purpose of a token: HKDF-Expand with SHA-256
// (RFC 5869) over HMAC(master, id).
func (m *Master) derive(id ID, purpose string, n int) []byte {
	out, err := hkdf.Expand(sha256.New, m.mac("token", id[:]), purpose, n)
	if err != nil {
		panic("token: " + err.Error()) // more than 8,160 bytes: our own bug
	}
	return out
}

func (m *Master) mac(what string, data ...[]byte) []byte {
	h := hmac.New(sha256.New, m.key)
	io.WriteString(h, what) //nolint:errcheck // a hash takes everything
	h.Write([]byte{0})
	for _, d := range data {
		h.Write(d)
	}
	return h.Sum(nil)
}

// A sealed id has 122 bits, as many as a UUID has to give: a tag of 42 bits
// over the id, and the id under a mask that follows from the tag (as SIV does,
// RFC 5297). It looks random, is the same each time, and who does not have the
// key makes one up that opens once in four million million tries.
const (
	sealedBits = 122
	tagBits    = 42
)

func (m *Master) tag(id ID) uint64 {
	var t uint64
	for _, b := range m.mac("seal", id[:])[:6] {
		t = t<<8 | uint64(b)
	}
	return t >> (48 - tagBits)
}

func (m *Master) mask(id ID, tag uint64) ID {
	var t [8]byte
	for i := range t {
		t[i] = byte(tag >> (56 - 8*i))
	}
	for i, b := range m.mac("mask", t[:])[:len(id)] {
		id[i] ^= b
	}
	return id
}

func (m *Master) seal(id ID) *big.Int {
	t := m.tag(id)
	masked := m.mask(id, t)
	v := new(big.Int).SetUint64(t)
	return v.Lsh(v, 80).Or(v, new(big.Int).SetBytes(masked[:]))
}

func (m *Master) open(v *big.Int) (ID, bool) {
	if v.Sign() < 0 || v.BitLen() > sealedBits {
		return ID{}, false
	}
	var b [16]byte
	v.FillBytes(b[:])
	var t uint64
	for _, x := range b[:6] {
		t = t<<8 | uint64(x)
	}
	id := m.mask(ID(b[6:]), t)
	return id, m.tag(id) == t
}

// The forms of a sealed id. Each is as long as every other of its form.
const (
	len62   = 21 // letters and digits
	len32   = 25 // letters a-z and 2-7
	lenUUID = 36
)

// word62 is a sealed id of 21 letters and digits.
func (m *Master) word62(id ID) string { return inBase(m.seal(id), letters62, len62) }

// word32 is a sealed id of 25 lower-case letters and digits.
func (m *Master) word32(id ID) string { return inBase(m.seal(id), letters32, len32) }

// uuid is a sealed id in the form of a random UUID (RFC 9562, version 4).
func (m *Master) uuid(id ID) string {
	v := m.seal(id)
	low := new(big.Int).And(v, new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 62), big.NewInt(1)))
	mid := new(big.Int).And(new(big.Int).Rsh(v, 62), big.NewInt(0xfff))
	high := new(big.Int).Rsh(v, 74)
	l := low.Uint64() | 1<<63
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", high.Uint64()>>16, high.Uint64()&0xffff, mid.Uint64(), l>>48, l&(1<<48-1))
}

// openUUID reads what uuid wrote.
func (m *Master) openUUID(s string) (ID, bool) {
	var a, b, c, d, e uint64
	if len(s) != lenUUID {
		return ID{}, false
	}
	for i, p := range []*uint64{&a, &b, &c, &d, &e} {
		from, to := [...]int{0, 9, 14, 19, 24}[i], [...]int{8, 13, 18, 23, 36}[i]
		if to < lenUUID && s[to] != '-' || !hexInto(p, s[from:to]) {
			return ID{}, false
		}
	}
	if c>>12 != 4 || d>>14 != 2 {
		return ID{}, false
	}
	v := new(big.Int).SetUint64(a<<16 | b)
	v.Lsh(v, 12).Or(v, new(big.Int).SetUint64(c&0xfff))
	v.Lsh(v, 62).Or(v, new(big.Int).SetUint64((d<<48|e)&(1<<62-1)))
	return m.open(v)
}

func hexInto(p *uint64, s string) bool {
	for i := range len(s) {
		var n byte
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			n = c - '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			n = c | 0x20 - 'a' + 10
		default:
			return false
		}
		*p = *p<<4 | uint64(n)
	}
	return true
}

func inBase(v *big.Int, letters string, n int) string {
	out, base, r := make([]byte, n), big.NewInt(int64(len(letters))), new(big.Int)
	v = new(big.Int).Set(v)
	for i := n - 1; i >= 0; i-- {
		v.DivMod(v, base, r)
		out[i] = letters[r.Int64()]
	}
	return string(out)
}

// openWord reads what inBase wrote.
func (m *Master) openWord(s, letters string) (ID, bool) {
	v, base := new(big.Int), big.NewInt(int64(len(letters)))
	for i := range len(s) {
		at := bytes.IndexByte([]byte(letters), s[i])
		if at < 0 {
			return ID{}, false
		}
		v.Mul(v, base).Add(v, big.NewInt(int64(at)))
	}
	return m.open(v)
}

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such token")
	ErrBusy     = errors.New("not in this state")
)
