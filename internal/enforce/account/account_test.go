package account

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// machine is a root directory, and a usermod that changes it.
type machine struct {
	files fstest.MapFS
	calls []string
	fail  error
}

func (m *machine) expire(_ context.Context, name, date string) error {
	m.calls = append(m.calls, name+" "+date)
	if m.fail != nil {
		return m.fail
	}
	day := ""
	if date != "" {
		t, err := time.Parse(time.DateOnly, date)
		if err != nil {
			return err
		}
		day = strconv.FormatInt(t.Unix()/86400, 10)
	}
	lines := strings.Split(string(m.files["etc/shadow"].Data), "\n")
	for i, l := range lines {
		if f := strings.Split(l, ":"); f[0] == name {
			f[7] = day
			lines[i] = strings.Join(f, ":")
		}
	}
	m.files["etc/shadow"] = &fstest.MapFile{Data: []byte(strings.Join(lines, "\n"))}
	return nil
}

func (m *machine) set(name, text string) { m.files[name] = &fstest.MapFile{Data: []byte(text)} }

const hash = "$y$j9T$not.a.real.one"

func newMachine() *machine {
	m := &machine{files: fstest.MapFS{}}
	m.set("etc/passwd", "root:x:0:0::/root:/bin/bash\ndaemon:x:1:1::/:/usr/sbin/nologin\npostgres:x:105:1::/:/bin/bash\nanna:x:1000:1000::/home/anna:/bin/bash\nbert:x:1001:1001::/home/bert:/bin/bash\ncarl:x:1002:1002::/home/carl:/bin/bash\nlapwing:x:1500:1500::/:/bin/bash\nold:x:1003:1003::/:/bin/bash\nghost:x:1004:1004::/:/bin/bash\ntoor:x:0:0::/root:/bin/bash\ndora:x:1005:27::/home/dora:/bin/bash\n")
	shadow := ""
	for u, pw := range map[string]string{"root": "!", "daemon": "*", "postgres": "!", "anna": hash, "bert": hash, "carl": hash, "lapwing": hash, "toor": "*", "dora": "!" + hash} {
		shadow += u + ":" + pw + ":19000:0:99999:7:::\n"
	}
	m.set("etc/shadow", shadow+"old:"+hash+":19000:0:99999:7::100:\n")
	m.set("etc/group", "sudo:x:27:anna\nusers:x:100:bert,carl\n")
	m.set("etc/nsswitch.conf", "passwd: files systemd\nshadow: files # sss\nhosts: files dns\n")
	m.set("etc/sudoers", "# carl ALL=(ALL) ALL\nDefaults env_reset\n%sudo ALL=(ALL:ALL) ALL\n")
	m.set("etc/pam.d/common-account", "account required pam_unix.so\n")
	return m
}

func (m *machine) accounts(t *testing.T) *Accounts {
	t.Helper()
	return New(Config{
		Root: m.files, Expire: m.expire, State: filepath.Join(t.TempDir(), "accounts.json"), UID: 1500, Keep: []string{"carl"},
		Now: func() time.Time { return time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC) },
	})
}

func disable(name string) action.Action {
	return action.Action{ID: "id-" + name, Kind: action.DisableAccount, Account: name}
}

func (m *machine) expiry(name string) string {
	for l := range strings.Lines(string(m.files["etc/shadow"].Data)) {
		if f := strings.Split(l, ":"); f[0] == name {
			return f[7]
		}
	}
	return "none"
}

func TestDisable(t *testing.T) {
	m := newMachine()
	a := m.accounts(t)
	ctx := t.Context()
	bert := disable("bert")
	p, err := a.Plan(ctx, bert)
	if err != nil || p.Noop || p.Risky == "" || !slices.Equal(p.Text, []string{"usermod --expiredate 1970-01-02 bert"}) || !slices.Equal(p.Undo, []string{"usermod --expiredate '' bert"}) {
		t.Errorf("%+v %v", p, err)
	}
	before := string(m.files["etc/shadow"].Data)
	if err := a.Apply(ctx, []action.Action{bert, bert}); err != nil || m.expiry("bert") != "1" || len(m.calls) != 1 {
		t.Error(err, m.calls)
	}
	if p, err := a.Plan(ctx, bert); err != nil || !p.Noop {
		t.Errorf("%+v %v", p, err)
	}
	want := []action.Standing{{Action: bert}}
	if list, err := a.List(ctx); err != nil || !slices.Equal(list, want) {
		t.Error(list, err)
	}
	if err := a.Revert(ctx, []action.Action{bert, disable("anna")}); err != nil || string(m.files["etc/shadow"].Data) != before {
		t.Errorf("after the undo: %v\n%s", err, m.files["etc/shadow"].Data)
	}
	if list, err := a.List(ctx); err != nil || len(list) != 0 {
		t.Error(list, err)
	}
}

// TestUndoAfterOthers: what somebody else set meanwhile stays.
func TestUndoAfterOthers(t *testing.T) {
	m := newMachine()
	a := m.accounts(t)
	ctx := t.Context()
	if err := m.expire(ctx, "bert", "2030-01-01"); err != nil {
		t.Fatal(err)
	}
	if err := a.Apply(ctx, []action.Action{disable("bert")}); err != nil {
		t.Fatal(err)
	}
	if err := a.Revert(ctx, []action.Action{disable("bert")}); err != nil || date(m.expiry("bert")) != "2030-01-01" {
		t.Error(err, m.expiry("bert"))
	}
	if err := a.Apply(ctx, []action.Action{disable("bert")}); err != nil {
		t.Fatal(err)
	}
	if err := m.expire(ctx, "bert", "2031-01-01"); err != nil {
		t.Fatal(err)
	}
	if err := a.Revert(ctx, []action.Action{disable("bert")}); err != nil || date(m.expiry("bert")) != "2031-01-01" {
		t.Error(err, m.expiry("bert"))
	}
}

func TestRefused(t *testing.T) {
	tests := map[string]struct {
		name   string
		change func(m *machine)
		want   error
		why    string
	}{
		"root":                {"root", nil, action.ErrAllowed, "it is root"},
		"another root":        {"toor", nil, action.ErrAllowed, "it is root"},
		"system":              {"postgres", nil, action.ErrAllowed, "belongs to the system"},
		"lapwing":             {"lapwing", nil, action.ErrAllowed, "lapwing runs as it"},
		"operator":            {"carl", nil, action.ErrAllowed, "operates lapwing"},
		"expired":             {"old", nil, action.ErrUnsupported, "expired already"},
		"no shadow entry":     {"ghost", nil, action.ErrUnsupported, "no such local account"},
		"nobody":              {"eve", nil, action.ErrUnsupported, "no such local account"},
		"not a name":          {"-rf", nil, action.ErrUnsupported, ""},
		"a path":              {"../x", nil, action.ErrUnsupported, ""},
		"last administrator":  {"anna", nil, action.ErrAllowed, "no other administrator"},
		"an administrator":    {"anna", func(m *machine) { m.set("etc/group", "sudo:x:27:anna,bert\n") }, nil, ""},
		"by first group":      {"dora", nil, nil, ""}, // anna is left
		"named in sudoers.d":  {"bert", func(m *machine) { m.set("etc/sudoers.d/x", "bert ALL=(ALL) ALL\n"); m.set("etc/group", "sudo:x:27:\n") }, action.ErrAllowed, "no other administrator"},
		"LDAP":                {"bert", func(m *machine) { m.set("etc/nsswitch.conf", "passwd: files ldap\n") }, action.ErrUnsupported, "names ldap"},
		"SSSD by PAM":         {"bert", func(m *machine) { m.set("etc/pam.d/common-account", "account sufficient pam_sss.so\n") }, action.ErrUnsupported, "pam_sss"},
		"no files":            {"bert", func(m *machine) { delete(m.files, "etc/shadow") }, fs.ErrNotExist, "shadow"},
		"usermod fails":       {"bert", func(m *machine) { m.fail = errors.New("cannot lock /etc/shadow") }, action.ErrDegraded, "cannot lock"},
		"password locked too": {"anna", func(m *machine) { m.set("etc/group", "sudo:x:27:anna,dora\n") }, action.ErrAllowed, "no other administrator"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := newMachine()
			if tt.change != nil {
				tt.change(m)
			}
			err := m.accounts(t).Apply(t.Context(), []action.Action{disable(tt.name)})
			if !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("%v, want %v with %q", err, tt.want, tt.why)
			}
			if err != nil && m.fail == nil && len(m.calls) > 0 {
				t.Errorf("usermod was called: %q", m.calls)
			}
		})
	}
	if err := newMachine().accounts(t).Apply(t.Context(), []action.Action{{Kind: action.Block}}); !errors.Is(err, action.ErrUnsupported) {
		t.Error(err)
	}
}

func TestHealth(t *testing.T) {
	m := newMachine()
	if err := m.accounts(t).Health(t.Context()); err != nil {
		t.Error(err)
	}
	m.set("etc/nsswitch.conf", "passwd: sss files\n")
	if err := m.accounts(t).Health(t.Context()); !errors.Is(err, action.ErrUnsupported) {
		t.Error(err)
	}
}

// FuzzFiles: whatever the files of accounts hold, root is not disabled.
func FuzzFiles(f *testing.F) {
	m := newMachine()
	f.Add(string(m.files["etc/passwd"].Data), string(m.files["etc/shadow"].Data), string(m.files["etc/group"].Data), "anna")
	f.Add("a:x:0:0:::\na:x:1000:1:::", "a:x:1:1:1:1:1:1:", "sudo:::a", "a")
	f.Fuzz(func(t *testing.T, passwd, shadow, group, name string) {
		m := newMachine()
		m.set("etc/passwd", passwd)
		m.set("etc/shadow", shadow)
		m.set("etc/group", group)
		a := m.accounts(t)
		a.Apply(t.Context(), []action.Action{disable(name)}) // refused or done
		if len(m.calls) == 0 {
			return
		}
		users, err := a.users()
		if err != nil || users[name].uid < firstUser || !nameRE.MatchString(name) {
			t.Errorf("usermod was called for %q: %v", name, err)
		}
	})
}
