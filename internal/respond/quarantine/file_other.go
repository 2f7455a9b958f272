//go:build !linux

package quarantine

import (
	"errors"
	"io"
)

type original struct{ item Item }

func (o *original) close()             {}
func (o *original) content() io.Reader { return nil }
func (o *original) remove(string) error {
	return errors.ErrUnsupported
}

func openOriginal(string) (*original, error) { return nil, errors.ErrUnsupported }

func removeTaken(Item) (bool, error) { return false, errors.ErrUnsupported }

func putBack(Item, func(io.Writer) error) ([]string, error) { return nil, errors.ErrUnsupported }

func given(Item) bool { return false }
