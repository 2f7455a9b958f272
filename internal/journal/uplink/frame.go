// Package uplink is the journal protocol: how the process that meets
// strangers hands over what it saw. One stream, frames both ways; the hub
// trusts nothing that comes up.
package uplink

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// A frame is length (uint32, of what follows), kind (byte), request id
// (uint64) and payload; integers are little-endian. Every frame that goes up
// is answered by one ACK or NAK of the same id.
//
//	HELLO   client [16]byte, name
//	EVENTS  depth byte, seq uint64, lines of JSON
//	BLOB    begin: empty
//	CHUNK   bytes of the blob with this id; the next only after the answer
//	END     sha256 [32]byte, size uint64        ACK: sha256 and size
//	CAST    length byte, session, offset uint64, bytes
//	STATE   length byte, key, token uint64, total uint32, offset uint32, bytes
//	RECALL  length byte, key, offset uint32      ACK: token uint64, total uint32, bytes
//	NAK     code byte, text
type kind byte

const (
	kindHello kind = 1 + iota
	kindEvents
	kindBlob
	kindChunk
	kindEnd
	kindCast
	kindState
	kindAck
	kindNak
	kindRecall
)

// Limits of the protocol.
const (
	MaxPayload = 1<<20 + 4096 // one event of event.MaxLine fits
	MaxKey     = 200          // bytes of a session id or state key
	MaxState   = 16 << 20     // bytes of one snapshot
	chunkSize  = 128 << 10
	maxText    = 1024
)

const frameHeader = 4 + 1 + 8

// Protocol errors end the connection.
var (
	ErrProtocol = errors.New("journal protocol")
	ErrTooLarge = fmt.Errorf("%w: frame too large", ErrProtocol)
)

type frame struct {
	kind    kind
	id      uint64
	payload []byte
}

// appendFrame appends the header for a payload of n bytes.
func appendFrame(dst []byte, k kind, id uint64, n int) []byte {
	dst = binary.LittleEndian.AppendUint32(dst, uint32(9+n))
	dst = append(dst, byte(k))
	return binary.LittleEndian.AppendUint64(dst, id)
}

// frameReader reads frames; a payload is valid until the next one. begun, if
// set, is called once a frame has begun to arrive.
type frameReader struct {
	r     io.Reader
	begun func()
	buf   []byte
}

func (f *frameReader) next() (frame, error) {
	var h [frameHeader]byte
	if _, err := io.ReadFull(f.r, h[:1]); err != nil {
		return frame{}, err
	}
	if f.begun != nil {
		f.begun()
	}
	if _, err := io.ReadFull(f.r, h[1:]); err != nil {
		return frame{}, unexpected(err)
	}
	n := binary.LittleEndian.Uint32(h[:])
	if n < 9 {
		return frame{}, fmt.Errorf("%w: frame of %d bytes", ErrProtocol, n)
	}
	n -= 9
	if n > MaxPayload {
		return frame{}, ErrTooLarge
	}
	fr := frame{kind: kind(h[4]), id: binary.LittleEndian.Uint64(h[5:])}
	if fr.kind < kindHello || fr.kind > kindRecall {
		return frame{}, fmt.Errorf("%w: unknown kind %d", ErrProtocol, fr.kind)
	}
	if cap(f.buf) < int(n) || cap(f.buf) > 64<<10 && n < 16<<10 {
		f.buf = make([]byte, max(n, 4096))
	}
	fr.payload = f.buf[:n]
	if _, err := io.ReadFull(f.r, fr.payload); err != nil {
		return frame{}, unexpected(err)
	}
	return fr, nil
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// named splits "length byte, name, rest".
func named(p []byte) (name string, rest []byte, err error) {
	if len(p) < 1 || len(p) < 1+int(p[0]) || p[0] == 0 || p[0] > MaxKey {
		return "", nil, fmt.Errorf("%w: bad name", ErrProtocol)
	}
	n := 1 + int(p[0])
	return string(p[1:n]), p[n:], nil
}

func appendName(dst []byte, name string) []byte {
	dst = append(dst, byte(len(name)))
	return append(dst, name...)
}

// Code tells the sender of a refused frame what to do about it.
type Code byte

// The codes of a NAK.
const (
	CodeFailed  Code = 1 // it did not work; the text says why
	CodeFull    Code = 2 // no room for events of this depth
	CodeInvalid Code = 3 // the frame says nothing that can be kept
	CodeGone    Code = 4 // the state of this key was forgotten since the token was given
)

// RefusedError is the hub's answer to a frame that it did not keep.
type RefusedError struct {
	Code Code
	Text string
}

// Error is the hub's text.
func (e *RefusedError) Error() string { return "refused by the hub: " + e.Text }

// Is makes errors.Is(err, ErrFull), ErrInvalid and ErrGone work.
func (e *RefusedError) Is(target error) bool {
	return target == ErrFull && e.Code == CodeFull || target == ErrInvalid && e.Code == CodeInvalid || target == ErrGone && e.Code == CodeGone
}

// Errors that callers of Client branch on.
var (
	ErrFull    = errors.New("the hub has no room")
	ErrInvalid = errors.New("the hub cannot read it")
	ErrGone    = errors.New("the hub has forgotten this state")
	ErrAway    = errors.New("the hub does not answer")
	ErrBusy    = errors.New("too much is waiting for the hub")
	ErrClosed  = errors.New("the uplink is closed")
	ErrTooBig  = errors.New("too large for the uplink")
)
