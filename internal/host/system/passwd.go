package system

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func chpasswd(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "c:ehmR:s:", "crypt-method/c encrypted/e md5/m sha-rounds/s")
	if o.Bad != "" {
		return shadowUsage(p, o, "")
	}
	if p.Caller.UID != 0 {
		errorf(p, "Permission denied.\n%[1]s: cannot lock /etc/passwd; try again later.", getopt.Base(p.Args[0]))
		return 1
	}
	status, n := 0, 0
	for l := range strings.Lines(string(readAll(p, p.Stdin(), 64<<10))) {
		n++
		user, pw, found := strings.Cut(strings.TrimSuffix(l, "\n"), ":")
		if !found {
			errorf(p, "line %d: missing new password", n)
			status = 1
			continue
		}
		if _, known := p.M.Account(user); !known {
			errorf(p, "(user %s) pam_chauthtok() failed, error:\nAuthentication token manipulation error", user)
			errorf(p, "(line %d, user %s) password not changed", n, user)
			status = 1
			continue
		}
		setPassword(ctx, p, user, pw)
	}
	return status
}

// setPassword keeps a password and puts a new hash into /etc/shadow. The hash
// is drawn, not computed: nothing tells the password to whoever reads it.
func setPassword(ctx context.Context, p *kernel.Proc, user, pw string) {
	if p.M.SetPassword != nil {
		p.M.SetPassword(user, pw)
	}
	p.S.Recorder.Password(ctx, user, pw)
	list := rows(p, "/etc/shadow")
	if i := find(list, user); i >= 0 && len(list[i]) > 2 {
		list[i][1] = "$y$j9T$" + drawn(p, 22) + "$" + drawn(p, 43)
		list[i][2] = strconv.FormatInt(p.Now().Unix()/86400, 10)
		save(p, "/etc/shadow", list)
	}
}

func drawn(p *kernel.Proc, n int) string {
	const set = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	b := make([]byte, n)
	for i := range b {
		b[i] = set[p.M.Rand.IntN(len(set))]
	}
	return string(b)
}

// readLine reads a line byte by byte, so that nothing after it is taken.
func readLine(p *kernel.Proc) string {
	var line []byte
	var b [1]byte
	for len(line) < 256 {
		if n, err := p.Stdin().Read(b[:]); n == 0 || err != nil || b[0] == '\n' {
			break
		}
		line = append(line, b[0])
	}
	return strings.TrimSuffix(string(line), "\r")
}

// secret asks for a password without echo.
func secret(p *kernel.Proc, prompt string) string {
	if p.S.TTY != nil {
		defer p.SetEcho(p.SetEcho(false))
	}
	io.WriteString(p.Stderr(), prompt) //nolint:errcheck // the visitor's own stderr
	line := readLine(p)
	io.WriteString(p.Stderr(), "\n") //nolint:errcheck // as above
	return line
}

// askPassword is passwd's talk.
func askPassword(ctx context.Context, p *kernel.Proc, user string) int {
	say := func(text string) { io.WriteString(p.Stderr(), text) } //nolint:errcheck // the visitor's own stderr
	if p.Caller.UID != 0 {
		say("Changing password for " + user + ".\n")
		secret(p, "Current password: ")
	}
	for range 3 {
		a := secret(p, "New password: ")
		if a == "" {
			say("No password has been supplied.\n")
			continue
		}
		if b := secret(p, "Retype new password: "); a != b {
			say("Sorry, passwords do not match.\npasswd: Authentication token manipulation error\npasswd: password unchanged\n")
			return 10
		}
		setPassword(ctx, p, user, a)
		say("passwd: password updated successfully\n")
		return 0
	}
	say("passwd: Authentication token manipulation error\npasswd: password unchanged\n")
	return 10
}

func passwd(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "adehi:kln:qr:R:Suw:x:", "all/a delete/d expire/e lock/l unlock/u status/S stdin quiet/q inactive/i keep-tokens/k maxdays/x mindays/n warndays/w")
	if o.Bad != "" && o.Bad != "--help" || o.Has("stdin") {
		if o.Bad == "" {
			o.Bad = "unrecognized option '--stdin'"
		}
		return shadowUsage(p, o, "[LOGIN]")
	}
	user := p.M.UserName(p.Caller.UID)
	if len(o.Args) > 0 {
		user = o.Args[0]
	}
	if _, ok := p.M.Account(user); !ok {
		errorf(p, "user '%s' does not exist", user)
		return 1
	}
	if user != p.M.UserName(p.Caller.UID) && p.Caller.UID != 0 {
		errorf(p, "You may not view or modify password information for %s.", user)
		return 1
	}
	day := p.M.Persona.Boot.AddDate(0, -7, -3).Format("01/02/2006")
	switch {
	case o.Has("S"):
		put(p, "%s P %s 0 99999 7 -1\n", user, day)
		return 0
	case o.Has("d", "l", "u", "e"):
		if p.Caller.UID != 0 {
			errorf(p, "Permission denied.")
			return 1
		}
		put(p, "passwd: password %s.\n", map[bool]string{true: "changed", false: "expiry information changed"}[!o.Has("d", "e")])
		return 0
	}
	return askPassword(ctx, p, user)
}

// become runs a command as another user.
func become(ctx context.Context, p *kernel.Proc, acc kernel.Account, args []string) int {
	c := p.Child(args...)
	c.Caller = vfs.Caller{UID: acc.UID, GID: acc.GID, Groups: groupsOf(p, acc.Name, acc.GID)}
	return run(ctx, p, c)
}

func sudo(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+ABbC:D:Eeg:HhiKkLlNnPp:R:r:Sst:T:U:u:Vv", "user/u group/g login/i shell/s list/l non-interactive/n stdin/S version/V validate/v preserve-env? reset-timestamp/k edit/e")
	v := getopt.PackageVersion(p, "sudo")
	switch {
	case o.Has("V"):
		put(p, "Sudo version %s\nSudoers policy plugin version %[1]s\nSudoers file grammar version 50\nSudoers I/O plugin version %[1]s\nSudoers audit plugin version %[1]s\n", v)
		return 0
	case o.Bad != "" || len(o.Args) == 0 && !o.Has("l", "i", "s", "v", "k", "K"):
		if o.Bad != "" && o.Bad != "--help" {
			errorf(p, "%s", o.Bad)
		}
		fmt.Fprint(p.Stderr(), "usage: sudo -h | -K | -k | -V\nusage: sudo -v [-ABkNnS] [-g group] [-h host] [-p prompt] [-u user]\nusage: sudo -l [-ABkNnS] [-g group] [-h host] [-p prompt] [-U user] [-u user]\n            [command]\nusage: sudo [-ABbEHkNnPS] [-r role] [-t type] [-C num] [-D directory] [-g\n            group] [-h host] [-p prompt] [-R directory] [-T timeout] [-u user]\n            [VAR=value] [-i|-s] [<command>]\nusage: sudo -e [-ABkNnS] [-r role] [-t type] [-C num] [-D directory] [-g group]\n            [-h host] [-p prompt] [-R directory] [-T timeout] [-u user] file ...\n") //nolint:errcheck // the visitor's own stderr
		return 1
	case o.Has("k", "K") && len(o.Args) == 0:
		return 0
	}
	who := p.M.UserName(p.Caller.UID)
	if p.Caller.UID != 0 {
		if st := sudoAsks(p, o, who); st != 0 {
			return st
		}
	}
	if o.Has("l") {
		host := p.M.Persona.Hostname
		put(p, "Matching Defaults entries for %s on %s:\n    env_reset, mail_badpass, secure_path=/usr/local/sbin\\:/usr/local/bin\\:/usr/sbin\\:/usr/bin\\:/sbin\\:/bin, use_pty\n\nUser %[1]s may run the following commands on %[2]s:\n    (ALL : ALL) ALL\n", who, host)
		return 0
	}
	name := "root"
	if o.Has("u") {
		name = o.Get("u")
	}
	acc, ok := p.M.Account(name)
	if !ok {
		errorf(p, "unknown user %s\nsudo: error initializing audit plugin sudoers_audit", name)
		return 1
	}
	args := o.Args
	switch {
	case len(args) == 0 && o.Has("i", "s"):
		args = []string{acc.Shell}
	case o.Has("i", "s"):
		args = []string{acc.Shell, "-c", strings.Join(args, " ")}
	}
	if len(args) == 0 {
		return 0
	}
	if _, err := p.LookPath(args[0]); err != nil {
		errorf(p, "%s: command not found", args[0])
		return 1
	}
	return become(ctx, p, acc, args)
}

// sudoAsks takes a person's password; whoever is in no sudo group is told so.
func sudoAsks(p *kernel.Proc, o getopt.Opts, who string) int {
	if p.S.TTY == nil && !o.Has("S") || o.Has("n") {
		if o.Has("n") {
			errorf(p, "a password is required")
			return 1
		}
		errorf(p, "a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper\nsudo: a password is required")
		return 1
	}
	secret(p, "[sudo] password for "+who+": ")
	if !slices.ContainsFunc(groupsOf(p, who, p.Caller.GID), func(g uint32) bool { return p.M.GroupName(g) == "sudo" }) {
		fmt.Fprintf(p.Stderr(), "%s is not in the sudoers file.\n", who) //nolint:errcheck // the visitor's own stderr
		return 1
	}
	return 0
}

func su(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "fc:C:g:G:lmpPs:w:hV", "command/c session-command/C login/l preserve-environment/m shell/s group/g supp-group/G pty/P fast/f")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	args := o.Args
	login := o.Has("l")
	if len(args) > 0 && args[0] == "-" {
		login, args = true, args[1:]
	}
	name := "root"
	if len(args) > 0 {
		name = args[0]
	}
	acc, ok := p.M.Account(name)
	if !ok {
		errorf(p, "user %s does not exist or the user entry does not contain all the required fields", name)
		return 1
	}
	if p.Caller.UID != 0 {
		secret(p, "Password: ")
		p.M.Clock.Sleep(ctx, 2_200_000_000) //nolint:errcheck // the visitor has gone
		errorf(p, "Authentication failure")
		return 1
	}
	shell := acc.Shell
	if o.Has("s") {
		shell = o.Get("s")
	}
	if strings.HasSuffix(shell, "nologin") {
		put(p, "This account is currently not available.\n")
		return 1
	}
	cmd := []string{shell}
	if o.Has("c") {
		cmd = append(cmd, "-c", o.Get("c"))
	}
	c := p.Child(cmd...)
	c.Caller = vfs.Caller{UID: acc.UID, GID: acc.GID, Groups: groupsOf(p, acc.Name, acc.GID)}
	if login {
		c.Dir = acc.Home
	}
	c.Env["HOME"], c.Env["SHELL"], c.Env["USER"], c.Env["LOGNAME"] = acc.Home, acc.Shell, acc.Name, acc.Name
	return run(ctx, p, c)
}
