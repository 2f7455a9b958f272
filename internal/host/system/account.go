package system

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const maxAccounts = 256 << 10 // bytes of /etc/passwd and its like

// rows reads a database of /etc as lines of fields.
func rows(p *kernel.Proc, file string) [][]string {
	data, err := p.M.FS.ReadFile(vfs.Root(), file, maxAccounts)
	if err != nil {
		return nil
	}
	var out [][]string
	for l := range strings.Lines(string(data)) {
		out = append(out, strings.Split(strings.TrimSuffix(l, "\n"), ":"))
	}
	return out
}

// save writes a database back; the mode is the file's own.
func save(p *kernel.Proc, file string, list [][]string) bool {
	var b strings.Builder
	for _, r := range list {
		b.WriteString(strings.Join(r, ":") + "\n")
	}
	in, err := p.M.FS.Stat(vfs.Root(), file)
	if err == nil {
		err = p.M.FS.WriteFile(vfs.Root(), file, []byte(b.String()), in.Mode)
	}
	return err == nil
}

func find(list [][]string, name string) int {
	return slices.IndexFunc(list, func(r []string) bool { return r[0] == name })
}

// freeID is the lowest free id from 1000 on in the given column.
func freeID(list [][]string, col int) int {
	next := 1000
	for _, r := range list {
		if n, err := strconv.Atoi(r[min(col, len(r)-1)]); err == nil && n >= next && n < 60000 {
			next = n + 1
		}
	}
	return next
}

// allowed refuses everyone but root, in the words of the shadow tools.
func allowed(p *kernel.Proc, file string) bool {
	if p.Caller.UID == 0 {
		return true
	}
	errorf(p, "Permission denied.\n%s: cannot lock %s; try again later.", getopt.Base(p.Args[0]), file)
	return false
}

// shadowUsage is a wrong command line of the shadow tools.
func shadowUsage(p *kernel.Proc, o getopt.Opts, operands string) int {
	name := getopt.Base(p.Args[0])
	if o.Bad != "" && o.Bad != "--help" {
		errorf(p, "%s", o.Bad)
	}
	fmt.Fprintf(p.Stderr(), "Usage: %s [options] %s\n\nOptions:\n  -h, --help                    display this help message and exit\n  -R, --root CHROOT_DIR         directory to chroot into\n\n", name, operands) //nolint:errcheck // the visitor's own stderr
	if o.Bad == "--help" {
		return 0
	}
	return 2
}

func validAccount(name string) bool {
	return name != "" && len(name) <= 32 && (name[0] >= 'a' && name[0] <= 'z' || name[0] == '_') && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-$") == ""
}

func useradd(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "b:c:d:De:f:g:G:hk:K:lmMNop:rR:s:u:UZ:", "comment/c home-dir/d defaults/D gid/g groups/G create-home/m no-create-home/M password/p system/r shell/s uid/u user-group/U non-unique/o base-dir/b expiredate/e no-user-group/N skel/k")
	if o.Has("D") {
		put(p, "GROUP=100\nHOME=/home\nINACTIVE=-1\nEXPIRE=\nSHELL=/bin/sh\nSKEL=/etc/skel\nCREATE_MAIL_SPOOL=no\n")
		return 0
	}
	if o.Bad != "" || len(o.Args) != 1 {
		return shadowUsage(p, o, "LOGIN")
	}
	if !allowed(p, "/etc/passwd") {
		return 1
	}
	name := o.Args[0]
	if !validAccount(name) {
		errorf(p, "invalid user name '%s': use --badname to ignore", name)
		return 3
	}
	shell := "/bin/sh"
	if o.Has("s") {
		shell = o.Get("s")
	}
	home := "/home/" + name
	if o.Has("d") {
		home = o.Get("d")
	}
	st := addAccount(p, o, newAccount{name: name, home: home, shell: shell, gecos: o.Get("c"), makeHome: o.Has("m")})
	if st == 0 && o.Has("p") {
		p.S.Recorder.Password(ctx, name, o.Get("p"))
	}
	return st
}

// newAccount is what useradd and adduser make.
type newAccount struct {
	name, home, shell, gecos string
	makeHome                 bool
}

func addAccount(p *kernel.Proc, o getopt.Opts, a newAccount) int {
	users, groups := rows(p, "/etc/passwd"), rows(p, "/etc/group")
	if find(users, a.name) >= 0 {
		errorf(p, "user '%s' already exists", a.name)
		return 9
	}
	uid := freeID(users, 2)
	if o.Has("u") {
		n, err := strconv.Atoi(o.Get("u"))
		if err != nil || n < 0 {
			errorf(p, "invalid user ID '%s'", o.Get("u"))
			return 3
		}
		if !o.Has("o") && slices.ContainsFunc(users, func(r []string) bool { return len(r) > 2 && r[2] == strconv.Itoa(n) }) {
			errorf(p, "UID %d is not unique", n)
			return 4
		}
		uid = n
	}
	gid := uid
	if o.Has("g") {
		i := slices.IndexFunc(groups, func(r []string) bool { return r[0] == o.Get("g") || len(r) > 2 && r[2] == o.Get("g") })
		if i < 0 {
			errorf(p, "group '%s' does not exist", o.Get("g"))
			return 6
		}
		gid, _ = strconv.Atoi(groups[i][2])
	} else {
		if find(groups, a.name) >= 0 {
			errorf(p, "group %s exists - if you want to add this user to that group, use -g.", a.name)
			return 9
		}
		groups = append(groups, []string{a.name, "x", strconv.Itoa(gid), ""})
	}
	if bad := joinGroups(groups, a.name, o.Get("G")); bad != "" {
		errorf(p, "group '%s' does not exist", bad)
		return 6
	}
	users = append(users, []string{a.name, "x", strconv.Itoa(uid), strconv.Itoa(gid), a.gecos, a.home, a.shell})
	shadow := append(rows(p, "/etc/shadow"), []string{a.name, "!", strconv.FormatInt(p.Now().Unix()/86400, 10), "0", "99999", "7", "", "", ""})
	if !save(p, "/etc/passwd", users) || !save(p, "/etc/group", groups) || !save(p, "/etc/shadow", shadow) {
		errorf(p, "cannot lock /etc/passwd; try again later.")
		return 1
	}
	if a.makeHome {
		makeHome(p, a.home, uint32(uid), uint32(gid))
	}
	return 0
}

func makeHome(p *kernel.Proc, home string, uid, gid uint32) {
	fs, root := p.M.FS, vfs.Root()
	if fs.Mkdir(root, home, 0o700) != nil {
		return
	}
	for _, f := range []string{".bashrc", ".profile"} {
		if data, err := fs.ReadFile(root, "/etc/skel/"+f, 64<<10); err == nil {
			fs.WriteFile(root, home+"/"+f, data, 0o644) //nolint:errcheck // the quota decides
			fs.Chown(root, home+"/"+f, uid, gid, true)  //nolint:errcheck // as above
		}
	}
	fs.Chown(root, home, uid, gid, true) //nolint:errcheck // just made
}

// joinGroups adds a member to the groups of a list; bad is one that is not there.
func joinGroups(groups [][]string, name, list string) (bad string) {
	for g := range strings.SplitSeq(list, ",") {
		if g == "" {
			continue
		}
		i := find(groups, g)
		if i < 0 || len(groups[i]) < 4 {
			return g
		}
		members := strings.FieldsFunc(groups[i][3], func(r rune) bool { return r == ',' })
		if !slices.Contains(members, name) {
			groups[i][3] = strings.Join(append(members, name), ",")
		}
	}
	return ""
}

// adduser is Debian's talking front end.
func adduser(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "q", "disabled-password disabled-login gecos= home= shell= uid= gid= ingroup= system group no-create-home quiet/q force-badname add_extra_groups")
	if p.Caller.UID != 0 {
		fmt.Fprint(p.Stderr(), "adduser: Only root may add a user or group to the system.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	if o.Bad != "" || len(o.Args) == 0 {
		fmt.Fprint(p.Stderr(), "adduser: Only one or two names allowed.\n") //nolint:errcheck // as above
		return 1
	}
	if len(o.Args) == 2 {
		return addToGroup(p, o.Args[0], o.Args[1])
	}
	name := o.Args[0]
	if find(rows(p, "/etc/passwd"), name) >= 0 {
		fmt.Fprintf(p.Stderr(), "adduser: The user `%s' already exists.\n", name) //nolint:errcheck // as above
		return 1
	}
	if !validAccount(name) {
		fmt.Fprint(p.Stderr(), "adduser: Please enter a username matching the regular expression\n            configured via the NAME_REGEX configuration variable.  Use the\n            `--allow-bad-names' option to relax this check or reconfigure\n            NAME_REGEX in configuration.\n") //nolint:errcheck // as above
		return 1
	}
	uid := freeID(rows(p, "/etc/passwd"), 2)
	put(p, "Adding user `%[1]s' ...\nAdding new group `%[1]s' (%[2]d) ...\nAdding new user `%[1]s' (%[2]d) with group `%[1]s (%[2]d)' ...\nCreating home directory `/home/%[1]s' ...\nCopying files from `/etc/skel' ...\n", name, uid)
	if st := addAccount(p, getopt.Opts{}, newAccount{name: name, home: "/home/" + name, shell: "/bin/bash", gecos: o.Get("gecos"), makeHome: true}); st != 0 {
		return st
	}
	if !o.Has("disabled-password", "disabled-login") {
		if st := askPassword(ctx, p, name); st != 0 {
			return st
		}
	}
	if !o.Has("gecos") {
		put(p, "Changing the user information for %s\nEnter the new value, or press ENTER for the default\n", name)
		for _, q := range []string{"Full Name", "Room Number", "Work Phone", "Home Phone", "Other"} {
			put(p, "\t%s []: ", q)
			readLine(p)
		}
		put(p, "Is the information correct? [Y/n] ")
		readLine(p)
	}
	put(p, "Adding new user `%[1]s' to supplemental / extra groups `users' ...\nAdding user `%[1]s' to group `users' ...\n", name)
	return 0
}

func addToGroup(p *kernel.Proc, user, group string) int {
	groups := rows(p, "/etc/group")
	switch {
	case find(rows(p, "/etc/passwd"), user) < 0:
		fmt.Fprintf(p.Stderr(), "adduser: The user `%s' does not exist.\n", user) //nolint:errcheck // the visitor's own stderr
		return 1
	case joinGroups(groups, user, group) != "":
		fmt.Fprintf(p.Stderr(), "adduser: The group `%s' does not exist.\n", group) //nolint:errcheck // as above
		return 1
	}
	save(p, "/etc/group", groups)
	put(p, "Adding user `%s' to group `%s' ...\nDone.\n", user, group)
	return 0
}

func userdel(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "fhrR:P:Z", "force/f remove/r remove-home/r remove-all-files")
	if o.Bad != "" || len(o.Args) != 1 {
		return shadowUsage(p, o, "LOGIN")
	}
	if !allowed(p, "/etc/passwd") {
		return 1
	}
	name := o.Args[0]
	users := rows(p, "/etc/passwd")
	i := find(users, name)
	if i < 0 {
		errorf(p, "user '%s' does not exist", name)
		return 6
	}
	home := users[i][min(5, len(users[i])-1)]
	save(p, "/etc/passwd", slices.Delete(users, i, i+1))
	drop := func(file string) {
		if list := rows(p, file); find(list, name) >= 0 {
			save(p, file, slices.DeleteFunc(list, func(r []string) bool { return r[0] == name }))
		}
	}
	drop("/etc/shadow")
	drop("/etc/group")
	if o.Has("r") {
		fmt.Fprintf(p.Stderr(), "userdel: %s mail spool (/var/mail/%s) not found\n", name, name) //nolint:errcheck // the visitor's own stderr
		removeTree(p, home, 0)
	}
	return 0
}

func removeTree(p *kernel.Proc, name string, depth int) {
	list, err := p.M.FS.ReadDir(vfs.Root(), name)
	if err != nil || depth > 40 || name == "/" || p.Step(5) != nil {
		p.M.FS.Unlink(vfs.Root(), name) //nolint:errcheck // best effort
		return
	}
	for _, e := range list {
		removeTree(p, name+"/"+e.Name, depth+1)
	}
	p.M.FS.Rmdir(vfs.Root(), name) //nolint:errcheck // best effort
}

func usermod(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "abc:d:e:f:g:G:hl:Lmop:rR:s:u:UvVwWZ:", "append/a comment/c home/d gid/g groups/G login/l lock/L move-home/m password/p shell/s uid/u unlock/U remove/r expiredate/e")
	if o.Bad != "" || len(o.Args) != 1 || o.Len() == 0 {
		return shadowUsage(p, o, "LOGIN")
	}
	if !allowed(p, "/etc/passwd") {
		return 1
	}
	name := o.Args[0]
	users := rows(p, "/etc/passwd")
	i := find(users, name)
	if i < 0 || len(users[i]) < 7 {
		errorf(p, "user '%s' does not exist", name)
		return 6
	}
	for opt, col := range map[string]int{"u": 2, "c": 4, "d": 5, "s": 6, "l": 0} {
		if o.Has(opt) {
			users[i][col] = o.Get(opt)
		}
	}
	save(p, "/etc/passwd", users)
	if o.Has("G") {
		groups := rows(p, "/etc/group")
		if bad := joinGroups(groups, name, o.Get("G")); bad != "" {
			errorf(p, "group '%s' does not exist", bad)
			return 6
		}
		save(p, "/etc/group", groups)
	}
	if o.Has("p") {
		p.S.Recorder.Password(ctx, name, o.Get("p"))
	}
	return 0
}

func groupadd(_ context.Context, p *kernel.Proc) int {
	verb := getopt.Base(p.Args[0])
	o := getopt.Parse(p.Args[1:], "fg:hK:on:p:rR:U:a:d:A:M:", "force/f gid/g non-unique/o new-name/n system/r add/a delete/d password/p")
	want := 1
	if o.Bad != "" || len(o.Args) != want {
		return shadowUsage(p, o, "GROUP")
	}
	if !allowed(p, "/etc/group") {
		return 10
	}
	name := o.Args[0]
	groups := rows(p, "/etc/group")
	i := find(groups, name)
	switch {
	case (verb == "groupadd" || verb == "addgroup") && i >= 0:
		if o.Has("f") {
			return 0
		}
		errorf(p, "group '%s' already exists", name)
		return 9
	case verb == "groupadd" || verb == "addgroup":
		gid := strconv.Itoa(freeID(groups, 2))
		if o.Has("g") {
			gid = o.Get("g")
		}
		groups = append(groups, []string{name, "x", gid, ""})
	case i < 0:
		errorf(p, "group '%s' does not exist", name)
		return 6
	case verb == "groupdel" || verb == "delgroup":
		groups = slices.Delete(groups, i, i+1)
	case verb == "gpasswd" && o.Has("a"):
		joinGroups(groups, o.Get("a"), name)
		put(p, "Adding user %s to group %s\n", o.Get("a"), name)
	case o.Has("n"):
		groups[i][0] = o.Get("n")
	case o.Has("g"):
		groups[i][2] = o.Get("g")
	}
	save(p, "/etc/group", groups)
	return 0
}

func chage(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "d:E:hiI:lm:M:R:W:", "lastday/d expiredate/E inactive/I list/l mindays/m maxdays/M warndays/W")
	if o.Bad != "" || len(o.Args) != 1 {
		return shadowUsage(p, o, "LOGIN")
	}
	if find(rows(p, "/etc/passwd"), o.Args[0]) < 0 {
		errorf(p, "user '%s' does not exist in /etc/passwd", o.Args[0])
		return 1
	}
	if o.Has("l") {
		put(p, "Last password change\t\t\t\t\t: %s\nPassword expires\t\t\t\t\t: never\nPassword inactive\t\t\t\t\t: never\nAccount expires\t\t\t\t\t\t: never\nMinimum number of days between password change\t\t: 0\nMaximum number of days between password change\t\t: 99999\nNumber of days of warning before password expires\t: 7\n", p.M.Persona.Boot.AddDate(0, -7, -3).Format("Jan 02, 2006"))
		return 0
	}
	if p.Caller.UID != 0 {
		errorf(p, "Permission denied.")
		return 1
	}
	return 0
}
