package shell

import (
	"context"
	"path"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func biCd(ctx context.Context, s *sh, args []string) int {
	args = args[1:]
	for len(args) > 0 && (args[0] == "-P" || args[0] == "-L" || args[0] == "--" || args[0] == "-e") {
		args = args[1:]
	}
	if len(args) > 1 && s.dialect == Bash {
		return s.usage(1, "cd", "too many arguments")
	}
	dir := s.get("HOME")
	show := false
	if len(args) > 0 {
		dir = args[0]
	} else if dir == "" {
		return s.usage(1, "cd", "HOME not set")
	}
	if dir == "-" {
		if dir, show = s.get("OLDPWD"), true; dir == "" {
			return s.usage(1, "cd", "OLDPWD not set")
		}
	}
	if dir == "" {
		return 0
	}
	abs := path.Clean(s.p.Abs(dir))
	in, err := s.p.M.FS.Stat(s.p.Caller, s.p.Abs(dir))
	if err == nil && in.Kind != vfs.Dir {
		err = vfs.ENOTDIR
	}
	if err == nil {
		err = s.p.M.FS.Access(s.p.Caller, abs, 1)
	}
	if err != nil {
		switch s.dialect {
		case Dash:
			return s.usage(2, "cd", "can't cd to %s", dir)
		case Ash:
			return s.usage(2, "cd", "can't cd to %s: %s", dir, err)
		}
		return s.usage(1, "cd", "%s: %s", dir, err)
	}
	s.set(ctx, "OLDPWD", s.p.Dir)
	s.p.Dir = abs
	s.set(ctx, "PWD", abs)
	s.export("PWD")
	if show {
		return s.out(abs + "\n")
	}
	return 0
}

func biPwd(_ context.Context, s *sh, args []string) int {
	dir := s.p.Dir
	if len(args) > 1 && args[1] == "-P" {
		if r, err := s.p.M.FS.Resolve(s.p.Caller, dir); err == nil {
			dir = r
		}
	}
	return s.out(dir + "\n")
}

func biDirs(ctx context.Context, s *sh, args []string) int {
	switch args[0] {
	case "pushd":
		if len(args) < 2 {
			return s.usage(1, "pushd", "no other directory")
		}
		old := s.p.Dir
		if st := biCd(ctx, s, []string{"cd", args[1]}); st != 0 {
			return st
		}
		s.dirs = append([]string{old}, s.dirs...)
	case "popd":
		if len(s.dirs) == 0 {
			return s.usage(1, "popd", "directory stack empty")
		}
		if st := biCd(ctx, s, []string{"cd", s.dirs[0]}); st != 0 {
			return st
		}
		s.dirs = s.dirs[1:]
	}
	if args[0] == "dirs" && len(args) > 1 && args[1] == "-c" {
		s.dirs = nil
		return 0
	}
	home := s.get("HOME")
	list := append([]string{s.p.Dir}, s.dirs...)
	for i, d := range list {
		if home != "" && (d == home || strings.HasPrefix(d, home+"/")) {
			list[i] = "~" + d[len(home):]
		}
	}
	return s.out(strings.Join(list, " ") + "\n")
}
