package quarantine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Backend takes files away and gives them back for who decides. Each call opens
// the quarantine for itself, because commands use it, too.
type Backend struct {
	// Open gives the store and what lets go of it.
	Open func(context.Context) (*Store, func(), error)
}

var _ action.Backend = Backend{}

// decided begins the reason of an item that a decision took; its id follows.
const decided = "decision "

// Name is "quarantine".
func (Backend) Name() string { return "quarantine" }

// Handles files only.
func (Backend) Handles(k action.Kind) bool { return k == action.Quarantine }

// with runs fn on the open store.
func (b Backend) with(ctx context.Context, fn func(*Store) error) error {
	s, done, err := b.Open(ctx)
	if err != nil {
		return fmt.Errorf("%w: %w", action.ErrDegraded, err)
	}
	defer done()
	return fn(s)
}

// Plan says what would be moved, and why a person should look first.
func (b Backend) Plan(ctx context.Context, a action.Action) (p action.Plan, err error) {
	if a.Kind != action.Quarantine || !filepath.IsAbs(a.File) || filepath.Clean(a.File) != a.File {
		return p, fmt.Errorf("%s %q: %w: an absolute path without . and .. is needed", a.Kind, a.File, action.ErrUnsupported)
	}
	err = b.with(ctx, func(s *Store) error {
		held, err := s.decidedItem(a)
		if err == nil && held != nil {
			p.Noop = true
		}
		return err
	})
	if err != nil {
		return p, err
	}
	p.Text = []string{fmt.Sprintf("move %q into the quarantine, sealed, with owner, mode, times and attributes", a.File)}
	p.Undo = []string{"put it back under its name: lapwing quarantine restore, or undo of decision " + a.ID}
	st, err := os.Lstat(a.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		p.Noop = true
	case err != nil:
		return p, fmt.Errorf("plan to quarantine: %w", err)
	case !st.Mode().IsRegular():
		return p, fmt.Errorf("quarantine %q: %w: %w", a.File, action.ErrUnsupported, ErrNoFile)
	}
	for _, dir := range []string{"/bin/", "/boot/", "/etc/", "/lib/", "/lib32/", "/lib64/", "/sbin/", "/usr/", "/var/lib/dpkg/", "/var/lib/rpm/"} {
		if strings.HasPrefix(a.File, dir) {
			p.Risky = "the system may need a file of " + strings.TrimSuffix(dir, "/") + " to run"
		}
	}
	return p, nil
}

// decidedItem is what a's decision took, nil for nothing.
func (s *Store) decidedItem(a action.Action) (*Item, error) {
	items, err := s.List()
	if err != nil {
		return nil, err
	}
	for i, it := range items {
		id, ok := strings.CutPrefix(it.Reason, decided)
		if ok && (id == a.ID || a.ID == "" && it.Path == a.File) {
			return &items[i], nil
		}
	}
	return nil, nil
}

// Apply takes files away. One that a decision took already is no error.
func (b Backend) Apply(ctx context.Context, list []action.Action) error {
	return b.each(ctx, list, func(s *Store, a action.Action, held *Item) error {
		if held != nil {
			return nil
		}
		_, err := s.Take(a.File, "", nil, decided+a.ID)
		if errors.Is(err, ErrNoFile) {
			err = fmt.Errorf("%w: %w", action.ErrUnsupported, err)
		}
		return err
	})
}

// Revert gives files back that Apply took. One that is not there is no error;
// one whose place is taken is.
func (b Backend) Revert(ctx context.Context, list []action.Action) error {
	return b.each(ctx, list, func(s *Store, _ action.Action, held *Item) error {
		if held == nil {
			return nil
		}
		_, _, err := s.Restore(held.ID, "")
		return err
	})
}

func (b Backend) each(ctx context.Context, list []action.Action, fn func(*Store, action.Action, *Item) error) error {
	var errs []error
	one := func(s *Store, a action.Action) error {
		if a.Kind != action.Quarantine {
			return action.ErrUnsupported
		}
		held, err := s.decidedItem(a)
		if err != nil {
			return err
		}
		return fn(s, a, held)
	}
	err := b.with(ctx, func(s *Store) error {
		for _, a := range list {
			if err := one(s, a); err != nil {
				errs = append(errs, &action.Error{Action: a, Err: err})
			}
		}
		return nil
	})
	if err != nil {
		for _, a := range list {
			errs = append(errs, &action.Error{Action: a, Err: err})
		}
	}
	return errors.Join(errs...)
}

// List gives what decisions hold; what people took by hand is not among it.
func (b Backend) List(ctx context.Context) (list []action.Standing, err error) {
	err = b.with(ctx, func(s *Store) error {
		items, err := s.List()
		for _, it := range items {
			if id, ok := strings.CutPrefix(it.Reason, decided); ok {
				list = append(list, action.Standing{Action: action.Action{ID: id, Kind: action.Quarantine, File: it.Path}})
			}
		}
		return err
	})
	return list, err
}

// Health tells whether the quarantine can be opened.
func (b Backend) Health(ctx context.Context) error {
	return b.with(ctx, func(*Store) error { return nil })
}
