package quarantine

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

func TestBackend(t *testing.T) {
	dir := realDir(t)
	s := open(t, filepath.Join(dir, "q"))
	opened := 0
	b := Backend{Open: func(context.Context) (*Store, func(), error) { opened++; return s, func() { opened-- }, nil }}
	ctx := t.Context()
	file := filepath.Join(dir, "dropper")
	write(t, file, marker)
	a := action.Action{ID: "0199", Kind: action.Quarantine, File: file}
	if p, err := b.Plan(ctx, a); err != nil || p.Noop || p.Risky != "" || len(p.Text) != 1 || len(p.Undo) != 1 {
		t.Errorf("%+v %v", p, err)
	}
	gone := action.Action{ID: "0200", Kind: action.Quarantine, File: filepath.Join(dir, "none")}
	folder := action.Action{ID: "0201", Kind: action.Quarantine, File: dir}
	err := b.Apply(ctx, []action.Action{gone, a, folder, {Kind: action.Block}})
	got := map[string]bool{}
	for _, e := range err.(interface{ Unwrap() []error }).Unwrap() {
		var one *action.Error
		if !errors.As(e, &one) {
			t.Fatal(e)
		}
		got[one.Action.ID] = errors.Is(e, action.ErrUnsupported)
	}
	if diff := cmp.Diff(map[string]bool{"0200": false, "0201": true, "": true}, got); diff != "" {
		t.Error(diff, err)
	}
	if _, err := os.Lstat(file); !errors.Is(err, os.ErrNotExist) {
		t.Error("the file is still there", err)
	}
	if err := b.Apply(ctx, []action.Action{a}); err != nil {
		t.Error("twice:", err)
	}
	if p, err := b.Plan(ctx, a); err != nil || !p.Noop {
		t.Errorf("%+v %v", p, err)
	}
	other := filepath.Join(dir, "by hand")
	write(t, other, marker)
	if _, err := s.Take(other, "", nil, "I did not like it"); err != nil {
		t.Fatal(err)
	}
	want := []action.Standing{{Action: a}}
	if list, err := b.List(ctx); err != nil || !slices.Equal(want, list) {
		t.Error(err, list)
	}
	write(t, file, "another one")
	if err := b.Revert(ctx, []action.Action{a}); err == nil {
		t.Error("a file was put over another")
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := b.Revert(ctx, []action.Action{a, gone}); err != nil {
		t.Error(err)
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != marker {
		t.Errorf("%q %v", text, err)
	}
	if err := b.Health(ctx); err != nil || opened != 0 {
		t.Error(err, opened)
	}
	if p, err := b.Plan(ctx, action.Action{Kind: action.Quarantine, File: "/etc/passwd"}); err != nil || p.Risky == "" {
		t.Errorf("%+v %v", p, err)
	}
	for _, f := range []string{"relative", "/x/../y", ""} {
		if _, err := b.Plan(ctx, action.Action{Kind: action.Quarantine, File: f}); !errors.Is(err, action.ErrUnsupported) {
			t.Errorf("%q: %v", f, err)
		}
	}
	b.Open = func(context.Context) (*Store, func(), error) { return nil, nil, errors.New("locked") }
	if err := b.Apply(ctx, []action.Action{a}); !errors.Is(err, action.ErrDegraded) {
		t.Error(err)
	}
}
