package token

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestRegister(t *testing.T) {
	file := filepath.Join(t.TempDir(), "r")
	r, err := OpenRegister(file)
	if err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	rows := []*Token{
		{ID: ID{1}, Kind: "ssh", Host: "a", Created: at, CreatedBy: "anna", State: Drawn, Names: map[string]string{"user": "x-abcde"}},
		{ID: ID{2}, Kind: "ssh", Host: "b", Created: at, CreatedBy: "anna", State: Drawn},
	}
	for _, row := range rows {
		if err := r.Add(row); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Add(rows[0]); err == nil {
		t.Error("the same id is taken twice")
	}
	boom := errors.New("no")
	if _, err := r.Change(ID{1}, func(t *Token) error { t.Host = "changed"; return boom }); !errors.Is(err, boom) {
		t.Errorf("a change that fails: %v", err)
	}
	if _, err := r.Change(ID{9}, func(*Token) error { return nil }); !errors.Is(err, ErrNotFound) {
		t.Errorf("a change of what is not there: %v", err)
	}
	next := ID{2}
	if _, err := r.Change(ID{1}, func(t *Token) error {
		t.State, t.Planted, t.Ended, t.Next = Rotated, at.Add(time.Hour), at.Add(2*time.Hour), &next
		t.Files = []Part{{Path: ".ssh/config", SHA256: "ab", Size: 3, Offset: 4}}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	r.Use(ID{1}, at.Add(4*time.Hour))
	r.Use(ID{1}, at.Add(3*time.Hour))
	r.Use(ID{9}, at)
	before, err := OpenRegister(file)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := before.Get(ID{1}); got.Uses != 0 || got.State != Rotated {
		t.Errorf("before Flush the file has %+v", got)
	}
	if err := r.Flush(); err != nil {
		t.Fatal(err)
	}
	again, err := OpenRegister(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(r.All(), again.All()); d != "" {
		t.Errorf("read back (-was +is):\n%s", d)
	}
	if got, _ := again.Get(ID{1}); got.Uses != 2 || !got.Used.Equal(at.Add(3*time.Hour)) || !got.LastUsed.Equal(at.Add(4*time.Hour)) {
		t.Errorf("uses: %+v", got)
	}
	if _, err := again.Find(ID{1}.String()[:5]); err != nil {
		t.Error(err)
	}
	for _, prefix := range []string{"", "zz", "a"} { // both ids begin with a
		if got, err := again.Find(prefix); err == nil {
			t.Errorf("%q finds %s", prefix, got.ID)
		}
	}
}

// TestRegisterDamaged names the line of a file that is no register.
func TestRegisterDamaged(t *testing.T) {
	for name, text := range map[string]string{
		"no json":  `{"id":"aeaaaaaaaaaaaaaa"}` + "\n{",
		"bad id":   `{"id":"aeaaaaaaaaaaaaaa"}` + "\n" + `{"id":"no"}`,
		"repeated": strings.Repeat(`{"id":"aeaaaaaaaaaaaaaa"}`+"\n", 2),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "r")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenRegister(file); err == nil || !strings.Contains(err.Error(), file+":2:") || !strings.Contains(err.Error(), "restore") {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestRegisterFull: what cannot be written has not happened.
func TestRegisterFull(t *testing.T) {
	dir := t.TempDir()
	r, err := OpenRegister(filepath.Join(dir, "gone", "r"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Add(&Token{ID: ID{1}}); err == nil {
		t.Fatal("a directory that is not there was written to")
	}
	if _, ok := r.Get(ID{1}); ok {
		t.Error("the row is there all the same")
	}
}

func TestSince(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	row := Token{Created: at}
	for _, tt := range []struct {
		name string
		do   func()
		want time.Time
	}{
		{"drawn", func() {}, at},
		{"planted", func() { row.Planted = at.Add(time.Hour) }, at.Add(time.Hour)},
		{"seen unread", func() { row.Unread = at.Add(2 * time.Hour) }, at.Add(2 * time.Hour)},
		{"an older look", func() { row.Unread = at }, at.Add(time.Hour)},
	} {
		if tt.do(); !row.Since().Equal(tt.want) {
			t.Errorf("%s: since %s, want %s", tt.name, row.Since(), tt.want)
		}
	}
}
