//go:build unix

package app

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/lapwing-defence/lapwing/internal/durable"
)

const keySize = 32 // bytes of every symmetric key

// key reads the key called name from the data directory; the first call makes it.
func (d Dir) key(name string) ([]byte, error) {
	file := filepath.Join(d.keys(), name)
	data, err := os.ReadFile(file)
	switch {
	case err == nil:
		k, err := hex.DecodeString(strings.TrimSpace(string(data)))
		if err != nil || len(k) != keySize {
			return nil, fmt.Errorf("read the key %s: it is damaged; restore it from a backup", file)
		}
		return k, nil
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("read the key %s: %w", name, err)
	}
	k := make([]byte, keySize)
	rand.Read(k)
	if err := durable.WriteFile(file, []byte(hex.EncodeToString(k)+"\n")); err != nil {
		return nil, fmt.Errorf("write the key %s: %w", name, err)
	}
	return k, nil
}

// passwordHash is HMAC-SHA-256 with the site key, in hex, cut to 16 bytes:
// equal passwords can be told to be equal, none can be found without the key.
func passwordHash(key []byte, password string) string {
	m := hmac.New(sha256.New, key)
	m.Write([]byte("password\x00" + password))
	return hex.EncodeToString(m.Sum(nil)[:16])
}

// passwordClass names the kinds of characters in a password.
func passwordClass(s string) string {
	var lower, upper, digit, other bool
	for _, r := range s {
		switch {
		case unicode.IsLower(r):
			lower = true
		case unicode.IsUpper(r):
			upper = true
		case unicode.IsDigit(r):
			digit = true
		default:
			other = true
		}
	}
	var out []string
	for _, c := range []struct {
		in   bool
		name string
	}{{lower, "lower"}, {upper, "upper"}, {digit, "digit"}, {other, "other"}} {
		if c.in {
			out = append(out, c.name)
		}
	}
	return strings.Join(out, "+")
}

func passwordLength(s string) int64 { return int64(utf8.RuneCountInString(s)) }
