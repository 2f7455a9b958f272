// Package files holds the programs of a fake host that handle files.
package files

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"ls": ls, "cp": cp, "mv": mv, "rm": rm, "mkdir": mkdir, "rmdir": rmdir, "touch": touch, "chmod": chmod, "chown": chown, "chgrp": chown,
		"ln": ln, "link": link, "unlink": unlink, "stat": stat, "dd": dd, "find": find, "mktemp": mktemp, "tempfile": mktemp, "readlink": readlink, "realpath": readlink,
		"chattr": chattr, "lsattr": lsattr, "sync": syncCmd, "du": du, "df": df, "which": which, "whereis": whereis, "basename": basename, "dirname": dirname,
		"truncate": truncate, "install": install, "mkfifo": mkfifo, "mknod": mknod, "pathchk": pathchk, "fallocate": fallocate, "shred": shred,
		"mountpoint": mountpoint, "file": file, "run-parts": runParts, "locate": nothing, "getcap": getcap, "setcap": quiet,
	}
}

func nothing(context.Context, *kernel.Proc) int { return 1 }

func quiet(context.Context, *kernel.Proc) int { return 0 }

func errorf(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), getopt.Base(p.Args[0])+": "+format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

func put(p *kernel.Proc, s string) { io.WriteString(p.Stdout(), s) } //nolint:errcheck // the visitor's own output

// quote is a name as coreutils quotes it in their messages.
func quote(s string) string {
	switch {
	case strings.ContainsAny(s, "\n\t\r\x1b"):
		return "''$" + strings.ReplaceAll(strconv.Quote(s), `"`, "'")
	case strings.Contains(s, "'"):
		return `"` + s + `"`
	}
	return "'" + s + "'"
}

// missing says that no operand was given; what is "" or "file ".
func missing(p *kernel.Proc, what string) int {
	errorf(p, "missing %soperand", what)
	return getopt.Hint(p, 1)
}

// Mode is the ten characters of ls -l.
func Mode(in vfs.Info) string {
	b := []byte("-rwxrwxrwx")
	b[0] = "-dlcbps"[in.Kind]
	for i := range 9 {
		if in.Mode>>(8-i)&1 == 0 {
			b[i+1] = '-'
		}
	}
	for _, s := range []struct {
		bit uint32
		at  int
		c   byte
	}{{vfs.ModeSetUID, 3, 's'}, {vfs.ModeSetGID, 6, 's'}, {vfs.ModeSticky, 9, 't'}} {
		if in.Mode&s.bit != 0 {
			if b[s.at] == 'x' {
				b[s.at] = s.c
			} else {
				b[s.at] = s.c - 32
			}
		}
	}
	return string(b)
}

// Human is a size as -h prints it.
func Human(n int64) string {
	if n < 1024 {
		return strconv.FormatInt(n, 10)
	}
	f, unit := float64(n), -1
	for f >= 1024 && unit < 4 {
		f /= 1024
		unit++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f%c", float64(int64(f*10+0.999))/10, "KMGTP"[unit])
	}
	return fmt.Sprintf("%d%c", int64(f+0.999), "KMGTP"[unit])
}

// Date is the date of ls -l: with the time if it lies within six months.
func Date(t, now time.Time) string {
	t = t.UTC()
	if d := now.Sub(t); d > 182*24*time.Hour || d < -time.Hour {
		return t.Format("Jan _2  2006")
	}
	return t.Format("Jan _2 15:04")
}

// size reads a number with the suffixes of coreutils.
func size(s string) (int64, bool) {
	mul := int64(1)
	for _, u := range []struct {
		suffix string
		n      int64
	}{
		{"kB", 1000},
		{"MB", 1e6},
		{"GB", 1e9},
		{"KiB", 1 << 10},
		{"MiB", 1 << 20},
		{"GiB", 1 << 30},
		{"K", 1 << 10},
		{"k", 1 << 10},
		{"M", 1 << 20},
		{"G", 1 << 30},
		{"T", 1 << 40},
		{"c", 1},
		{"w", 2},
		{"b", 512},
	} {
		if rest, ok := strings.CutSuffix(s, u.suffix); ok {
			s, mul = rest, u.n
			break
		}
	}
	if s == "" && mul > 1 {
		s = "1"
	}
	total := int64(1)
	for part := range strings.SplitSeq(s, "x") {
		n, err := strconv.ParseInt(part, 10, 64)
		if err != nil || n < 0 || n > 1<<50 {
			return 0, false
		}
		total *= n
	}
	if total > 1<<50/mul {
		return 1 << 50, true
	}
	return total * mul, true
}

// tree calls fn for a path and, with deep, for everything below it.
func tree(ctx context.Context, p *kernel.Proc, name string, deep bool, depth int, fn func(string, vfs.Info) bool) bool {
	in, err := p.M.FS.Stat(p.Caller, p.Abs(name))
	if lin, e := p.M.FS.Lstat(p.Caller, p.Abs(name)); e == nil && err != nil {
		in, err = lin, nil
	}
	if err != nil {
		errorf(p, "cannot access %s: %s", quote(name), err)
		return false
	}
	if ctx.Err() != nil || depth > 60 || p.Step(5) != nil {
		return false
	}
	if !deep || in.Kind != vfs.Dir {
		return fn(name, in)
	}
	ok := fn(name, in)
	list, err := p.M.FS.ReadDir(p.Caller, p.Abs(name))
	if err != nil {
		errorf(p, "cannot read directory %s: %s", quote(name), err)
		return false
	}
	for _, e := range list {
		if e.Kind == vfs.Symlink {
			continue
		}
		ok = tree(ctx, p, strings.TrimSuffix(name, "/")+"/"+e.Name, deep, depth+1, fn) && ok
	}
	return ok
}
