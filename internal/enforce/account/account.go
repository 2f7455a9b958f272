// Package account disables local accounts by letting them expire, as `usermod
// --expiredate` does, and gives them back the end that they had. Nothing of an
// account is removed: password, keys, files and running processes stay.
//
// It is for what a person approved. It refuses root and every other uid 0,
// accounts of the system, whoever lapwing runs as or names, the last
// administrator, and any account on a machine whose names or logins come from
// elsewhere (LDAP, SSSD, winbind, Kerberos), where the local entry decides
// nothing.
package account

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/lapwing-defence/lapwing/internal/durable"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// Config is what New takes.
type Config struct {
	Root fs.FS // "/", from which etc/passwd and the like are read
	// Expire lets an account expire on a date of the form YYYY-MM-DD, or never
	// where date is empty.
	Expire func(ctx context.Context, name, date string) error
	State  string   // file of what is disabled, kept over restarts
	UID    int      // lapwing's own
	Keep   []string // accounts that are never disabled: of who operates lapwing
	Now    func() time.Time
}

const (
	maxFile   = 4 << 20 // bytes of a file of accounts
	firstUser = 1000    // uids below are the system's
	nobody    = 65534
	gone      = "1970-01-02" // the day that disables; 1970-01-01 means something else to some programs
	goneDay   = 1
)

var nameRE = regexp.MustCompile(`^[a-z_][a-z0-9_-]{0,31}$`)

// adminGroups are those whose members may become root on common systems.
func adminGroups() []string { return []string{"sudo", "wheel", "admin"} }

// Accounts is the back end. It is safe for concurrent use.
type Accounts struct {
	c  Config
	mu sync.Mutex
}

var _ action.Backend = (*Accounts)(nil)

// New makes one.
func New(c Config) *Accounts { return &Accounts{c: c} }

// record is a line of the state: an account that a decision disabled.
type record struct {
	ID   string    `json:"id"` // of the decision
	Name string    `json:"name"`
	UID  int       `json:"uid"`
	Day  string    `json:"day"` // field of the entry before; empty: never
	At   time.Time `json:"at"`
}

// user is an account as files say.
type user struct {
	name     string
	uid, gid int
	shell    string
	password string // as the shadow entry has it
	expires  string // day, counted from 1970; empty: never
	shadowed bool
}

func (u user) expired(now time.Time) bool {
	day, err := strconv.Atoi(u.expires)
	return err == nil && day >= 0 && int64(day) <= now.Unix()/86400
}

// canLogIn tells whether somebody can: it has not expired, and has a password
// or a shell for keys.
func (u user) canLogIn(now time.Time) bool {
	shell := u.shell != "" && !strings.HasSuffix(u.shell, "/nologin") && !strings.HasSuffix(u.shell, "/false")
	return shell && !u.expired(now) && (u.password != "" && !strings.HasPrefix(u.password, "!") && !strings.HasPrefix(u.password, "*"))
}

// Name is "account".
func (a *Accounts) Name() string { return "account" }

// Handles accounts only.
func (a *Accounts) Handles(k action.Kind) bool { return k == action.DisableAccount }

// Plan says what would be done, as a command. Every one is to be looked at.
func (a *Accounts) Plan(_ context.Context, act action.Action) (action.Plan, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	u, err := a.find(act)
	if err != nil {
		return action.Plan{}, err
	}
	records, err := a.state()
	if err != nil {
		return action.Plan{}, err
	}
	r := slices.IndexFunc(records, func(r record) bool { return r.Name == u.name && r.UID == u.uid })
	p := action.Plan{
		Text:  []string{"usermod --expiredate " + gone + " " + u.name},
		Undo:  []string{"usermod --expiredate '" + date(u.expires) + "' " + u.name},
		Risky: u.name + " cannot log in any more, also not with a key, and what runs for it on a timer stops; sessions that are open go on",
	}
	if r >= 0 && u.expires == strconv.Itoa(goneDay) {
		p.Noop = true
		p.Undo = []string{"usermod --expiredate '" + date(records[r].Day) + "' " + u.name}
		return p, nil
	}
	return p, a.refuse(u)
}

// date is a day of the shadow file in words that usermod takes.
func date(day string) string {
	n, err := strconv.Atoi(day)
	if err != nil || n < 0 {
		return ""
	}
	return time.Unix(int64(n)*86400, 0).UTC().Format(time.DateOnly)
}

// Apply disables accounts. One that a decision disabled already is no error.
func (a *Accounts) Apply(ctx context.Context, list []action.Action) error {
	return a.each(list, func(act action.Action) error {
		u, err := a.find(act)
		if err != nil {
			return err
		}
		records, err := a.state()
		if err != nil {
			return err
		}
		known := slices.ContainsFunc(records, func(r record) bool { return r.Name == u.name && r.UID == u.uid })
		if known && u.expires == strconv.Itoa(goneDay) {
			return nil
		}
		if err := a.refuse(u); err != nil {
			return err
		}
		records = slices.DeleteFunc(records, func(r record) bool { return r.Name == u.name })
		if err := a.save(append(records, record{act.ID, u.name, u.uid, u.expires, a.c.Now()})); err != nil {
			return err
		}
		if err := a.c.Expire(ctx, u.name, gone); err != nil {
			return fmt.Errorf("%w: %w", action.ErrDegraded, err)
		}
		if u, err = a.find(act); err != nil || u.expires != strconv.Itoa(goneDay) {
			return fmt.Errorf("%w: the entry of %s in /etc/shadow is not what it should be after the change: look at it", action.ErrDegraded, act.Account)
		}
		return nil
	})
}

// Revert gives accounts back the end that they had. One that was changed by
// somebody else meanwhile is left as it is.
func (a *Accounts) Revert(ctx context.Context, list []action.Action) error {
	return a.each(list, func(act action.Action) error {
		records, err := a.state()
		if err != nil {
			return err
		}
		i := slices.IndexFunc(records, func(r record) bool { return r.Name == act.Account })
		if i < 0 {
			return nil
		}
		was := records[i]
		u, err := a.find(act)
		switch {
		case errors.Is(err, errNone):
		case err != nil:
			return err
		case u.uid == was.UID && u.expires == strconv.Itoa(goneDay):
			if err := a.c.Expire(ctx, u.name, date(was.Day)); err != nil {
				return fmt.Errorf("%w: %w", action.ErrDegraded, err)
			}
		}
		return a.save(slices.Delete(records, i, i+1))
	})
}

func (a *Accounts) each(list []action.Action, fn func(action.Action) error) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	var errs []error
	for _, act := range list {
		err := action.ErrUnsupported
		if act.Kind == action.DisableAccount {
			err = fn(act)
		}
		if err != nil {
			errs = append(errs, &action.Error{Action: act, Err: err})
		}
	}
	return errors.Join(errs...)
}

// List gives the accounts that are disabled by decisions now.
func (a *Accounts) List(context.Context) ([]action.Standing, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	records, err := a.state()
	if err != nil {
		return nil, err
	}
	users, err := a.users()
	if err != nil {
		return nil, err
	}
	var list []action.Standing
	for _, r := range records {
		if u, ok := users[r.Name]; ok && u.uid == r.UID && u.expires == strconv.Itoa(goneDay) {
			list = append(list, action.Standing{Action: action.Action{ID: r.ID, Kind: action.DisableAccount, Account: r.Name}})
		}
	}
	return list, nil
}

// Health says why no account could be disabled.
func (a *Accounts) Health(context.Context) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.elsewhere(); err != nil {
		return err
	}
	_, err := a.users()
	if err != nil {
		return fmt.Errorf("%w: %w", action.ErrDegraded, err)
	}
	return nil
}

var errNone = errors.New("there is no such local account")

// find reads one account.
func (a *Accounts) find(act action.Action) (user, error) {
	if act.Kind != action.DisableAccount || !nameRE.MatchString(act.Account) {
		return user{}, fmt.Errorf("account %q: %w", act.Account, action.ErrUnsupported)
	}
	users, err := a.users()
	if err != nil {
		return user{}, err
	}
	u, ok := users[act.Account]
	if !ok || !u.shadowed {
		return user{}, fmt.Errorf("account %q: %w: %w", act.Account, action.ErrUnsupported, errNone)
	}
	return u, nil
}

// refuse says why an account must not be disabled.
func (a *Accounts) refuse(u user) error {
	no := func(why string) error { return fmt.Errorf("account %q: %w: %s", u.name, action.ErrAllowed, why) }
	if err := a.elsewhere(); err != nil {
		return err
	}
	switch {
	case u.uid == 0:
		return no("it is root")
	case u.uid < firstUser || u.uid == nobody:
		return no("it belongs to the system, and a service may need it")
	case u.uid == a.c.UID:
		return no("lapwing runs as it")
	case slices.Contains(a.c.Keep, u.name):
		return no("it operates lapwing")
	case u.expired(a.c.Now()):
		return fmt.Errorf("account %q: %w: it has expired already", u.name, action.ErrUnsupported)
	}
	admins, err := a.admins()
	if err != nil {
		return err
	}
	if slices.Contains(admins.may, u.name) && !slices.ContainsFunc(admins.can, func(n string) bool { return n != u.name }) {
		return no("no other administrator could log in")
	}
	return nil
}

// elsewhere says that the local entry of an account is not what decides.
func (a *Accounts) elsewhere() error {
	no := func(file, what string) error {
		return fmt.Errorf("%w: %s names %s: disable the account where it is kept", action.ErrUnsupported, file, what)
	}
	err := a.lines("etc/nsswitch.conf", func(l string) error {
		key, rest, _ := strings.Cut(l, ":")
		if key = strings.TrimSpace(key); key != "passwd" && key != "shadow" {
			return nil
		}
		for w := range strings.FieldsSeq(rest) {
			if !strings.HasPrefix(w, "[") && !strings.HasSuffix(w, "]") && !slices.Contains([]string{"files", "compat", "systemd", "db"}, w) {
				return no("/etc/nsswitch.conf", w)
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, f := range []string{"common-account", "common-auth", "system-auth", "password-auth", "sshd", "login"} {
		err := a.lines("etc/pam.d/"+f, func(l string) error {
			for _, m := range []string{"pam_ldap", "pam_sss", "pam_winbind", "pam_krb5"} {
				if strings.Contains(l, m) {
					return no("/etc/pam.d/"+f, m)
				}
			}
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// lines calls fn for each line of a file that is no comment.
func (a *Accounts) lines(name string, fn func(string) error) error {
	f, err := a.c.Root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read
	r := &io.LimitedReader{R: f, N: maxFile + 1}
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 4096), 1<<20)
	for sc.Scan() {
		l, _, _ := strings.Cut(sc.Text(), "#")
		if strings.HasSuffix(name, "shadow") || strings.HasSuffix(name, "passwd") {
			l = sc.Text()
		}
		if strings.TrimSpace(l) == "" {
			continue
		}
		if err := fn(l); err != nil {
			return err
		}
	}
	if r.N <= 0 {
		return fmt.Errorf("read /%s: it has more than %d bytes", name, maxFile)
	}
	return sc.Err()
}

// users reads the local accounts.
func (a *Accounts) users() (map[string]user, error) {
	users := map[string]user{}
	err := a.lines("etc/passwd", func(l string) error {
		f := strings.Split(l, ":")
		if len(f) != 7 {
			return nil
		}
		uid, err1 := strconv.Atoi(f[2])
		gid, err2 := strconv.Atoi(f[3])
		if _, twice := users[f[0]]; err1 == nil && err2 == nil && !twice { // the first one counts
			users[f[0]] = user{name: f[0], uid: uid, gid: gid, shell: f[6]}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read /etc/passwd: %w", err)
	}
	err = a.lines("etc/shadow", func(l string) error {
		f := strings.Split(l, ":")
		u, ok := users[f[0]]
		if len(f) == 9 && ok && !u.shadowed {
			u.shadowed, u.password, u.expires = true, f[1], f[7]
			users[f[0]] = u
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read /etc/shadow: %w", err)
	}
	return users, nil
}

// admins are those who may become root, and those of them who surely can log
// in to do so.
type admins struct{ may, can []string }

func (a *Accounts) admins() (out admins, err error) {
	users, err := a.users()
	if err != nil {
		return out, err
	}
	members := map[string]bool{}
	err = a.lines("etc/group", func(l string) error {
		f := strings.Split(l, ":")
		if len(f) != 4 || !slices.Contains(adminGroups(), f[0]) {
			return nil
		}
		for n := range strings.SplitSeq(f[3], ",") {
			members[n] = true
		}
		for _, u := range users {
			if strconv.Itoa(u.gid) == f[2] {
				members[u.name] = true
			}
		}
		return nil
	})
	if err != nil {
		return out, fmt.Errorf("read /etc/group: %w", err)
	}
	for _, u := range users {
		named, err := a.sudoer(u.name)
		if err != nil {
			return out, err
		}
		if members[u.name] || named || u.uid == 0 {
			out.may = append(out.may, u.name)
		}
		if (members[u.name] || u.uid == 0) && u.canLogIn(a.c.Now()) {
			out.can = append(out.can, u.name)
		}
	}
	return out, nil
}

// sudoer tells whether a line of sudo's files begins with the name.
func (a *Accounts) sudoer(name string) (bool, error) {
	files := []string{"etc/sudoers"}
	if list, err := fs.ReadDir(a.c.Root, "etc/sudoers.d"); err == nil {
		for _, e := range list {
			files = append(files, "etc/sudoers.d/"+e.Name())
		}
	}
	found := false
	for _, f := range files {
		err := a.lines(f, func(l string) error {
			w := strings.Fields(l)
			found = found || len(w) > 1 && w[0] == name
			return nil
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, fmt.Errorf("read /%s: %w", f, err)
		}
	}
	return found, nil
}

func (a *Accounts) state() ([]record, error) {
	data, err := durable.ReadFile(a.c.State, maxFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read which accounts are disabled: %w", err)
	}
	var list []record
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(&list); err != nil {
		return nil, fmt.Errorf("read which accounts are disabled: %s: %w; move it away to go on", a.c.State, err)
	}
	return list, nil
}

// save writes the state. It is on the disk before an account is changed.
func (a *Accounts) save(list []record) error {
	data, err := json.Marshal(list)
	if err != nil {
		return err
	}
	if err := durable.WriteFile(a.c.State, data); err != nil {
		return fmt.Errorf("%w: write which accounts are disabled: %w", action.ErrDegraded, err)
	}
	return nil
}
