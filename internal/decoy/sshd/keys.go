package sshd

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/pem"
	"fmt"
	"io"

	"golang.org/x/crypto/ssh"
)

// noise is where signatures take their randomness from.
type noise struct{}

func (noise) Read(b []byte) (int, error) { return rand.Read(b) }

// NewHostKeys draws the three host keys that Debian's sshd has, as PEM.
func NewHostKeys(r io.Reader) ([][]byte, error) {
	_, ed, err := ed25519.GenerateKey(r)
	if err != nil {
		return nil, fmt.Errorf("draw an ed25519 key: %w", err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), r)
	if err != nil {
		return nil, fmt.Errorf("draw an ecdsa key: %w", err)
	}
	rs, err := rsa.GenerateKey(r, 3072)
	if err != nil {
		return nil, fmt.Errorf("draw an rsa key: %w", err)
	}
	var out [][]byte
	for _, k := range []any{ed, ec, rs} {
		b, err := ssh.MarshalPrivateKey(k, "")
		if err != nil {
			return nil, fmt.Errorf("write a host key: %w", err)
		}
		out = append(out, pem.EncodeToMemory(b))
	}
	return out, nil
}
