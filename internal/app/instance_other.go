//go:build !unix

package app

import (
	"context"
	"errors"

	"github.com/lapwing-defence/lapwing/internal/respond/quarantine"
	"github.com/lapwing-defence/lapwing/internal/scan"
)

// Quarantine fails: the quarantine needs the file locks and owners of Unix.
func (d Dir) Quarantine(context.Context) (*quarantine.Store, func(), error) {
	return nil, nil, errors.New("the quarantine works on Linux and macOS only: scan without --quarantine")
}

// Captured gives nothing: there are no decoys that files could be left on.
func (d Dir) Captured() (scan.Scanner, error) { return nil, nil }
