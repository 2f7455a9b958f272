package files

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// ChangeMode applies a mode of chmod, octal or symbolic.
func ChangeMode(spec string, in vfs.Info, umask uint32) (uint32, bool) {
	if n, err := strconv.ParseUint(spec, 8, 32); err == nil {
		return uint32(n) & 0o7777, n <= 0o7777
	}
	mode := in.Mode
	for clause := range strings.SplitSeq(spec, ",") {
		i := strings.IndexAny(clause, "+-=")
		if i < 0 {
			return 0, false
		}
		who := clause[:i]
		if strings.Trim(who, "ugoa") != "" {
			return 0, false
		}
		implied := who == ""
		if who == "" || strings.Contains(who, "a") {
			who = "ugo"
		}
		op := clause[i]
		bits, special, ok := modeBits(clause[i+1:], in)
		if !ok {
			return 0, false
		}
		for _, w := range who {
			shift := map[rune]uint32{'u': 6, 'g': 3, 'o': 0}[w]
			v := bits << shift
			if implied {
				v &^= umask
			}
			switch op {
			case '+':
				mode |= v
			case '-':
				mode &^= v
			case '=':
				mode = mode&^(7<<shift) | v
			}
		}
		if special != 0 {
			if !strings.Contains(who, "u") {
				special &^= vfs.ModeSetUID
			}
			if op == '-' {
				mode &^= special
			} else {
				mode |= special
			}
		}
	}
	return mode, true
}

// modeBits reads the letters after the operator of a symbolic mode.
func modeBits(letters string, in vfs.Info) (bits, special uint32, ok bool) {
	for _, c := range letters {
		switch c {
		case 'r':
			bits |= 4
		case 'w':
			bits |= 2
		case 'x':
			bits |= 1
		case 'X':
			if in.Kind == vfs.Dir || in.Mode&0o111 != 0 {
				bits |= 1
			}
		case 's':
			special |= vfs.ModeSetUID | vfs.ModeSetGID
		case 't':
			special |= vfs.ModeSticky
		case 'u':
			bits |= in.Mode >> 6 & 7
		case 'g':
			bits |= in.Mode >> 3 & 7
		case 'o':
			bits |= in.Mode & 7
		default:
			return 0, 0, false
		}
	}
	return bits, special, true
}

func chmod(ctx context.Context, p *kernel.Proc) int {
	var args []string // "-w" is a mode, not an option
	for _, a := range p.Args[1:] {
		if len(a) > 1 && a[0] == '-' && a[1] != '-' && strings.Trim(a[1:], "rwxXstugo,=+-") == "" && strings.Trim(a[1:], "R") != "" {
			args = append(args, "--", a)
			continue
		}
		args = append(args, a)
	}
	o := getopt.Parse(args, "Rcfv", "recursive/R changes/c silent/f quiet/f verbose/v reference= preserve-root no-preserve-root")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		return missing(p, "")
	}
	spec, names := o.Args[0], o.Args[1:]
	if o.Has("reference") {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(o.Get("reference")))
		if err != nil {
			errorf(p, "failed to get attributes of %s: %s", quote(o.Get("reference")), err)
			return 1
		}
		spec, names = strconv.FormatUint(uint64(in.Mode), 8), o.Args
	}
	if len(names) == 0 {
		errorf(p, "missing operand after ‘%s’", spec)
		return getopt.Hint(p, 1)
	}
	if _, ok := ChangeMode(spec, vfs.Info{}, 0); !ok {
		errorf(p, "invalid mode: ‘%s’", spec)
		return getopt.Hint(p, 1)
	}
	status := 0
	for _, a := range names {
		ok := tree(ctx, p, a, o.Has("R"), 0, func(n string, in vfs.Info) bool {
			m, _ := ChangeMode(spec, in, p.Umask)
			if err := p.M.FS.Chmod(p.Caller, p.Abs(n), m); err != nil {
				errorf(p, "changing permissions of %s: %s", quote(n), err)
				return false
			}
			told := fmt.Sprintf("%04o (%s)", m, Mode(vfs.Info{Mode: m})[1:])
			switch {
			case m != in.Mode && o.Has("c", "v"):
				put(p, fmt.Sprintf("mode of %s changed from %04o (%s) to %s\n", quote(n), in.Mode, Mode(in)[1:], told))
			case o.Has("v"):
				put(p, "mode of "+quote(n)+" retained as "+told+"\n")
			}
			return true
		})
		if !ok {
			status = 1
		}
	}
	return status
}

// owners reads user:group; keep stands for what is not given.
func owners(p *kernel.Proc, spec string) (uid, gid uint32, fault string) {
	const keep = ^uint32(0)
	uid, gid = keep, keep
	user, group, both := strings.Cut(spec, ":")
	if user != "" { //nolint:nestif // a name, a number or neither
		acc, ok := p.M.Account(user)
		if ok {
			uid = acc.UID
			if both && group == "" {
				gid = acc.GID
			}
		} else if n, err := strconv.ParseUint(user, 10, 32); err == nil {
			uid = uint32(n)
		} else {
			return uid, gid, "invalid user: ‘" + spec + "’"
		}
	}
	if group == "" {
		return uid, gid, ""
	}
	for _, g := range p.M.Groups() {
		if g.Name == group {
			return uid, g.GID, ""
		}
	}
	n, err := strconv.ParseUint(group, 10, 32)
	if err != nil {
		return uid, gid, "invalid group: ‘" + spec + "’"
	}
	return uid, uint32(n), ""
}

func chown(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "cfhHLPRv", "changes/c dereference no-dereference/h recursive/R silent/f quiet/f verbose/v reference= from= preserve-root no-preserve-root")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	switch len(o.Args) {
	case 0:
		return missing(p, "")
	case 1:
		errorf(p, "missing operand after ‘%s’", o.Args[0])
		return getopt.Hint(p, 1)
	}
	spec := o.Args[0]
	if getopt.Base(p.Args[0]) == "chgrp" {
		spec = ":" + spec
	}
	uid, gid, fault := owners(p, spec)
	if fault != "" {
		errorf(p, "%s", strings.Replace(fault, "‘:", "‘", 1))
		return 1
	}
	status := 0
	for _, a := range o.Args[1:] {
		ok := tree(ctx, p, a, o.Has("R"), 0, func(n string, _ vfs.Info) bool {
			if err := p.M.FS.Chown(p.Caller, p.Abs(n), uid, gid, !o.Has("h")); err != nil {
				what := "ownership"
				if uid == ^uint32(0) {
					what = "group"
				}
				errorf(p, "changing %s of %s: %s", what, quote(n), err)
				return false
			}
			return true
		})
		if !ok {
			status = 1
		}
	}
	return status
}
