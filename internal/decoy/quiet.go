package decoy

import (
	"errors"
	"io"
	"net"
	"slices"
)

// Quiet is nil for the ordinary ends of a connection (it was closed, by whom and
// wherever in a message; nothing came in time) and for errors that are one of more.
func Quiet(err error, more ...error) error {
	if err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
		return nil
	}
	if slices.ContainsFunc(more, func(m error) bool { return errors.Is(err, m) }) {
		return nil
	}
	return err
}
