package files

import (
	"context"
	"fmt"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const chattrUsage = "Usage: chattr [-RVf] [-+=aAcCdDeijPsStTuFx] [-p project] [-v version] files...\n"

func chattr(ctx context.Context, p *kernel.Proc) int {
	var add, del vfs.Attr
	var names []string
	deep, force, modes := false, false, 0
	for _, a := range p.Args[1:] {
		switch {
		case a == "-R" || a == "-V" || a == "-f" || a == "-Rf" || a == "-fR":
			deep, force = deep || strings.Contains(a, "R"), force || strings.Contains(a, "f")
		case len(a) > 1 && strings.IndexByte("+-=", a[0]) >= 0 && names == nil:
			if strings.Trim(a[1:], "aAcCdDeijPsStTuFx") != "" {
				fmt.Fprint(p.Stderr(), chattrUsage) //nolint:errcheck // the visitor's own stderr
				return 1
			}
			modes++
			for _, c := range a[1:] {
				bit := map[rune]vfs.Attr{'i': vfs.AttrImmutable, 'a': vfs.AttrAppend}[c]
				switch a[0] {
				case '-':
					del |= bit
				default:
					add |= bit
				}
			}
			if a[0] == '=' {
				del = (vfs.AttrImmutable | vfs.AttrAppend) &^ add
			}
		default:
			names = append(names, a)
		}
	}
	if len(names) == 0 || modes == 0 {
		if modes == 0 && len(names) > 0 {
			errorf(p, "Must use '-v', =, - or +")
			return 1
		}
		fmt.Fprint(p.Stderr(), chattrUsage) //nolint:errcheck // the visitor's own stderr
		return 1
	}
	status := 0
	for _, a := range names {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil {
			if !force {
				errorf(p, "%s while trying to stat %s", err, a)
			}
			status = 1
			continue
		}
		ok := in.Kind == vfs.Dir && deep
		if !ok {
			ok = setAttr(p, a, in, add, del)
		} else {
			ok = tree(ctx, p, a, true, 0, func(n string, in vfs.Info) bool { return setAttr(p, n, in, add, del) })
		}
		if !ok {
			status = 1
		}
	}
	return status
}

func setAttr(p *kernel.Proc, name string, in vfs.Info, add, del vfs.Attr) bool {
	if err := p.M.FS.SetAttr(p.Caller, p.Abs(name), in.Attr&^del|add); err != nil {
		errorf(p, "%s while setting flags on %s", err, name)
		return false
	}
	return true
}

func lsattr(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "RVadlpv", "")
	if o.Bad != "" {
		errorf(p, "%s", o.Bad)
		fmt.Fprint(p.Stderr(), "Usage: lsattr [-RVadlpv] [files...]\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	names := o.Args
	if len(names) == 0 {
		names = []string{"."}
	}
	status := 0
	show := func(name string, in vfs.Info) {
		flags := []byte("--------------e-------")
		if in.Attr&vfs.AttrImmutable != 0 {
			flags[4] = 'i'
		}
		if in.Attr&vfs.AttrAppend != 0 {
			flags[5] = 'a'
		}
		put(p, string(flags)+" "+name+"\n")
	}
	for _, a := range names {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil {
			errorf(p, "%s while trying to stat %s", err, a)
			status = 1
			continue
		}
		if in.Kind != vfs.Dir || o.Has("d") {
			show(a, in)
			continue
		}
		list, err := p.M.FS.ReadDir(p.Caller, p.Abs(a))
		if err != nil || ctx.Err() != nil || p.Step(int64(len(list))) != nil {
			errorf(p, "%s While reading flags on %s", vfs.EACCES, a)
			status = 1
			continue
		}
		for _, e := range list {
			if !strings.HasPrefix(e.Name, ".") || o.Has("a") {
				show(strings.TrimSuffix(a, "/")+"/"+e.Name, e)
			}
		}
	}
	return status
}

// getcap shows capabilities of files; ping alone has some.
func getcap(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "vhrn", "")
	if o.Bad != "" || len(o.Args) == 0 {
		fmt.Fprint(p.Stderr(), "usage: getcap [-h] [-l] [-n] [-r] [-v] <filename> [<filename> ...]\n\n\tdisplays the capabilities on the queried file(s).\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	for _, a := range o.Args {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil {
			fmt.Fprintf(p.Stderr(), "%s (%s)\n", a, err) //nolint:errcheck // as above
			continue
		}
		const ping = "/usr/bin/ping"
		_, err = p.M.FS.Stat(p.Caller, ping)
		under := o.Has("r") && in.Kind == vfs.Dir && strings.HasPrefix(ping, strings.TrimSuffix(p.Abs(a), "/")+"/")
		if err == nil && (under || p.Abs(a) == ping || p.Abs(a) == "/bin/ping") {
			fmt.Fprintf(p.Stdout(), "%s cap_net_raw=ep\n", map[bool]string{true: ping, false: a}[under]) //nolint:errcheck // the visitor's own output
		}
	}
	return 0
}
