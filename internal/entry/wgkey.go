package entry

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
)

// PrivateKey is one side's secret of WireGuard (Curve25519). It prints as
// "[secret]"; Text has it in the form that wg(8) writes.
type PrivateKey [32]byte

// PublicKey is what the other side knows a PrivateKey by.
type PublicKey [32]byte

// NewPrivateKey makes a key.
func NewPrivateKey() PrivateKey {
	var k PrivateKey
	_, _ = rand.Read(k[:]) // it does not fail: crypto/rand ends the process before
	k[0] &= 248
	k[31] = k[31]&127 | 64
	return k
}

// ParsePrivateKey reads 32 bytes in base64.
func ParsePrivateKey(text string) (PrivateKey, error) {
	b, err := parseKey(text)
	return PrivateKey(b), err
}

// ParsePublicKey reads 32 bytes in base64.
func ParsePublicKey(text string) (PublicKey, error) {
	b, err := parseKey(text)
	return PublicKey(b), err
}

var errKey = errors.New("a key of WireGuard is 44 characters of base64, as wg genkey writes them")

func parseKey(text string) (out [32]byte, err error) {
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) != len(out) {
		return out, errKey
	}
	return [32]byte(b), nil
}

// Public is the key's other half.
func (k PrivateKey) Public() (PublicKey, error) {
	if k == (PrivateKey{}) {
		return PublicKey{}, errors.New("a key of 32 zero bytes; entry.NewPrivateKey makes one")
	}
	p, err := ecdh.X25519().NewPrivateKey(k[:])
	if err != nil {
		return PublicKey{}, fmt.Errorf("key: %w", err)
	}
	return PublicKey(p.PublicKey().Bytes()), nil
}

// Text is the key in base64, for configurations and files that only their
// owner reads.
func (k PrivateKey) Text() string { return base64.StdEncoding.EncodeToString(k[:]) }

// String hides the key.
func (k PrivateKey) String() string { return "[secret]" }

// GoString hides the key.
func (k PrivateKey) GoString() string { return "[secret]" }

// MarshalText hides the key.
func (k PrivateKey) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// String is the key in base64.
func (k PublicKey) String() string { return base64.StdEncoding.EncodeToString(k[:]) }

func (k PublicKey) hex() string { return hex.EncodeToString(k[:]) }
