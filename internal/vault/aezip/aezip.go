// Package aezip writes a zip archive of one file encrypted with AES-256, so
// that a captured file can be handed on without anything on the way running,
// scanning or deleting it.
//
// It follows WinZip's AE-2 (APPNOTE 6.3.10 section 7.3, method 99; key
// derivation of RFC 8018): 7-Zip and the analysts' usual tools open it.
package aezip

import (
	"archive/zip"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/sha1" //nolint:gosec // the format asks for it
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"
)

// The fixed sizes of AE-2 with a key of 256 bits, in bytes.
const (
	saltSize   = 16
	keySize    = 32
	checkSize  = 2
	macSize    = 10
	overhead   = saltSize + checkSize + macSize
	iterations = 1000
	methodAES  = 99
	extraID    = 0x9901
	strength   = 3 // 256 bits
)

// ErrSize is returned where a file is not as long as was announced.
var ErrSize = errors.New("the file is not as long as announced")

// File is what goes into the archive.
type File struct {
	Name     string
	Password string
	Modified time.Time
	Size     int64     // bytes that Write's callback gives
	Salt     io.Reader // 16 random bytes are read from it
}

// Write writes an archive that holds f to w; data writes the file's content.
// The content is kept uncompressed.
func Write(w io.Writer, f File, data func(io.Writer) error) error {
	salt := make([]byte, saltSize)
	if _, err := io.ReadFull(f.Salt, salt); err != nil {
		return fmt.Errorf("draw the salt: %w", err)
	}
	s, check, err := newStream(f.Password, salt)
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	head := &zip.FileHeader{
		Name: f.Name, Method: methodAES, Flags: 1, Modified: f.Modified, ReaderVersion: 51, CreatorVersion: 51,
		UncompressedSize64: uint64(f.Size), CompressedSize64: uint64(f.Size) + overhead,
		Extra: extra(),
	}
	body, err := archive.CreateRaw(head)
	if err != nil {
		return fmt.Errorf("begin the archive: %w", err)
	}
	if _, err = body.Write(slices.Concat(salt, check)); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	s.w = body
	if err = data(s); err != nil {
		return err
	}
	if s.n != f.Size {
		return fmt.Errorf("%w: %d bytes, not %d", ErrSize, s.n, f.Size)
	}
	if _, err = body.Write(s.mac.Sum(nil)[:macSize]); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return archive.Close()
}

// extra is the AES extra field: version 2, vendor AE, strength, method stored.
func extra() []byte {
	b := binary.LittleEndian.AppendUint16(nil, extraID)
	b = binary.LittleEndian.AppendUint16(b, 7)
	b = binary.LittleEndian.AppendUint16(b, 2)
	return append(b, 'A', 'E', strength, 0, 0)
}

// stream encrypts in counter mode with a little-endian counter, which
// cipher.NewCTR does not know, and authenticates what it wrote.
type stream struct {
	w     io.Writer
	block cipher.Block
	mac   hash.Hash
	count uint64
	pad   [aes.BlockSize]byte
	used  int
	n     int64
}

func newStream(password string, salt []byte) (*stream, []byte, error) {
	key, err := pbkdf2.Key(sha1.New, password, salt, iterations, 2*keySize+checkSize)
	if err != nil {
		return nil, nil, fmt.Errorf("derive the key: %w", err)
	}
	block, err := aes.NewCipher(key[:keySize])
	if err != nil {
		return nil, nil, fmt.Errorf("make the cipher: %w", err)
	}
	s := &stream{block: block, mac: hmac.New(sha1.New, key[keySize:2*keySize]), used: aes.BlockSize}
	return s, key[2*keySize:], nil
}

// Write implements io.Writer.
func (s *stream) Write(p []byte) (int, error) {
	out := make([]byte, len(p))
	s.xor(out, p)
	s.mac.Write(out)
	s.n += int64(len(p))
	return s.w.Write(out)
}

func (s *stream) xor(out, in []byte) {
	for len(in) > 0 {
		if s.used == aes.BlockSize {
			s.count++
			var c [aes.BlockSize]byte
			binary.LittleEndian.PutUint64(c[:], s.count)
			s.block.Encrypt(s.pad[:], c[:])
			s.used = 0
		}
		n := subtle.XORBytes(out, in, s.pad[s.used:])
		s.used += n
		out, in = out[n:], in[n:]
	}
}
