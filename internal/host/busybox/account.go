package busybox

import (
	"context"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func passwd(ctx context.Context, p *kernel.Proc) int {
	_, _, rest := options(p, "a")
	user := p.M.UserName(p.Caller.UID)
	if len(rest) > 0 {
		user = rest[0]
	}
	if _, ok := p.M.Account(user); !ok {
		complain(p, "passwd: unknown user %s\n", user)
		return 1
	}
	if p.S.TTY != nil && p.IsTTY(0) {
		old := p.SetEcho(false)
		defer p.SetEcho(old)
	}
	put(p, "Changing password for %s\nNew password: ", user)
	pw, ok := line(p)
	put(p, "\n")
	if !ok || pw == "" {
		complain(p, "passwd: password for %s is unchanged\n", user)
		return 1
	}
	if len(pw) < 6 {
		put(p, "Bad password: too short\n")
	}
	put(p, "Retype password: ")
	again, _ := line(p)
	put(p, "\n")
	if again != pw {
		complain(p, "Passwords don't match\npasswd: password for %s is unchanged\n", user)
		return 1
	}
	p.S.Recorder.Password(ctx, user, pw)
	if p.M.SetPassword != nil {
		p.M.SetPassword(user, pw)
	}
	complain(p, "passwd: password for %s changed by %s\n", user, p.M.UserName(p.Caller.UID))
	return 0
}

// line reads one line of standard input.
func line(p *kernel.Proc) (string, bool) {
	var out []byte
	var b [1]byte
	for len(out) < 256 {
		n, err := p.Stdin().Read(b[:])
		if n == 0 || err != nil {
			return string(out), len(out) > 0
		}
		if b[0] == '\n' {
			break
		}
		out = append(out, b[0])
	}
	return string(out), true
}

// su gives root another user's shell; a user is asked for a password that is wrong.
func su(ctx context.Context, p *kernel.Proc) int {
	user, command := "root", ""
	args := p.Args[1:]
	for len(args) > 0 {
		a := args[0]
		args = args[1:]
		switch {
		case a == "-c" && len(args) > 0:
			command, args = args[0], args[1:]
		case a == "-s" && len(args) > 0:
			args = args[1:]
		case strings.HasPrefix(a, "-"):
		default:
			user = a
		}
	}
	acc, ok := p.M.Account(user)
	if !ok {
		complain(p, "su: unknown user %s\n", user)
		return 1
	}
	if p.Caller.UID != 0 {
		put(p, "Password: ")
		line(p)
		put(p, "\n")
		p.M.Clock.Sleep(ctx, 3*time.Second) //nolint:errcheck // the answer is the same
		complain(p, "su: incorrect password\n")
		return 1
	}
	if !strings.HasSuffix(acc.Shell, "sh") {
		return 1
	}
	p.Caller.UID, p.Caller.GID, p.Caller.Groups = acc.UID, acc.GID, nil
	p.Args = []string{"sh"}
	if command != "" {
		p.Args = append(p.Args, "-c", command)
	}
	ash := p.M.Programs["ash"]
	if ash == nil {
		return 127
	}
	return ash(ctx, p)
}
