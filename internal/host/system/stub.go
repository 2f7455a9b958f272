package system

import (
	"context"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// stub is a program that a package brought and that has nothing to do on this
// host: it knows its version and its usage, and wants what nobody has.
func stub(_ context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	for _, a := range p.Args[1:] {
		switch a {
		case "--version", "-V":
			put(p, "%s %s\n", name, stubVersion(p, name))
			return 0
		case "--help", "-h":
			put(p, "Usage: %s [OPTION]... [FILE]...\n", name)
			return 0
		}
	}
	if len(p.Args) == 1 {
		complain(p, "Usage: %s [OPTION]... [FILE]...\nTry '%[1]s --help' for more information.", name)
		return 1
	}
	for _, a := range p.Args[1:] {
		if strings.HasPrefix(a, "-") {
			continue
		}
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(a)); err != nil {
			complain(p, "%s: %s: %s", name, a, err)
			return 1
		}
	}
	return 0
}

// stubVersion is the version of the package that holds a program.
func stubVersion(p *kernel.Proc, name string) string {
	for f := range p.M.Persona.Files {
		if f.Name == name && strings.HasSuffix(f.Dir, "bin") {
			pkg, _, _ := strings.Cut(f.Packages, ",")
			return getopt.PackageVersion(p, pkg)
		}
	}
	return "1.0"
}

// manyNames is a program that other programs' names lead to by a link: it is
// the one that it was called as.
func manyNames(all map[string]kernel.Program, names string, otherwise kernel.Program) kernel.Program {
	by := map[string]kernel.Program{}
	for n := range strings.FieldsSeq(names) {
		name, impl, other := strings.Cut(n, "=")
		if !other {
			impl = name
		}
		by[name] = all[impl]
	}
	return func(ctx context.Context, p *kernel.Proc) int {
		if prog := by[getopt.Base(p.Args[0])]; prog != nil {
			return prog(ctx, p)
		}
		return otherwise(ctx, p)
	}
}

func kmod(ctx context.Context, p *kernel.Proc) int {
	if len(p.Args) == 2 && p.Args[1] == "list" {
		return lsmod(ctx, p)
	}
	complain(p, "missing command\nkmod - Manage kernel modules: list, load, unload, etc\nUsage:\n\tkmod [options] command [command_options]")
	return 1
}
