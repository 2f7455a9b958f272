package system

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func uname(_ context.Context, p *kernel.Proc) int {
	k := p.M.Persona.Kernel
	if getopt.Base(p.Args[0]) == "arch" {
		put(p, "%s\n", k.Machine)
		return 0
	}
	o := getopt.Parse(p.Args[1:], "asnrvmpio", "all/a kernel-name/s nodename/n kernel-release/r kernel-version/v machine/m processor/p hardware-platform/i operating-system/o")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) > 0 {
		errorf(p, "extra operand ‘%s’", o.Args[0])
		return getopt.Hint(p, 1)
	}
	hardware := "unknown"
	if p.M.Persona.Family == "ubuntu" { // its coreutils say what the CPU is
		hardware = k.Machine
	}
	var out []string
	for _, x := range []struct{ c, v string }{{"s", "Linux"}, {"n", p.M.Persona.Hostname}, {"r", k.Release}, {"v", k.Version}, {"m", k.Machine}, {"p", hardware}, {"i", hardware}, {"o", k.OSName}} {
		all := o.Has("a") && x.v != "unknown"
		if o.Has(x.c) || all || o.Len() == 0 && x.c == "s" {
			out = append(out, x.v)
		}
	}
	put(p, "%s\n", strings.Join(out, " "))
	return 0
}

func whoami(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "", "")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) > 0 && getopt.Base(p.Args[0]) == "whoami" {
		errorf(p, "extra operand ‘%s’", o.Args[0])
		return getopt.Hint(p, 1)
	}
	put(p, "%s\n", p.M.UserName(p.Caller.UID))
	return 0
}

// groupsOf are the groups of an account, its own first.
func groupsOf(p *kernel.Proc, name string, gid uint32) []uint32 {
	out := []uint32{gid}
	for _, g := range p.M.Groups() {
		if slices.Contains(g.Members, name) && g.GID != gid {
			out = append(out, g.GID)
		}
	}
	return out
}

func id(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "agGnruzZ", "group/g groups/G name/n real/r user/u zero/z context/Z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if o.Has("n") && !o.Has("u", "g", "G") {
		errorf(p, "cannot print only names or real IDs in default format")
		return 1
	}
	if o.Has("Z") {
		errorf(p, "--context (-Z) works only on an SELinux-enabled kernel")
		return 1
	}
	names := o.Args
	if len(names) == 0 {
		showID(p, o, kernel.Account{Name: p.M.UserName(p.Caller.UID), UID: p.Caller.UID, GID: p.Caller.GID})
		return 0
	}
	status := 0
	for _, a := range names {
		acc, ok := p.M.Account(a)
		if !ok {
			errorf(p, "‘%s’: no such user", a)
			status = 1
			continue
		}
		showID(p, o, acc)
	}
	return status
}

func showID(p *kernel.Proc, o getopt.Opts, acc kernel.Account) {
	groups := groupsOf(p, acc.Name, acc.GID)
	var names, ids, pairs []string
	for _, g := range groups {
		n, i := p.M.GroupName(g), strconv.Itoa(int(g))
		names, ids = append(names, n), append(ids, i)
		pairs = append(pairs, i+"("+n+")")
	}
	pick := func(text, number string) {
		if o.Has("n") {
			put(p, "%s\n", text)
		} else {
			put(p, "%s\n", number)
		}
	}
	switch {
	case o.Has("G"):
		pick(strings.Join(names, " "), strings.Join(ids, " "))
	case o.Has("u"):
		pick(acc.Name, strconv.Itoa(int(acc.UID)))
	case o.Has("g"):
		pick(names[0], ids[0])
	default:
		put(p, "uid=%d(%s) gid=%s groups=%s\n", acc.UID, acc.Name, pairs[0], strings.Join(pairs, ","))
	}
}

func groups(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "", "")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	line := func(name string, gid uint32) string {
		var names []string
		for _, g := range groupsOf(p, name, gid) {
			names = append(names, p.M.GroupName(g))
		}
		return strings.Join(names, " ")
	}
	if len(o.Args) == 0 {
		put(p, "%s\n", line(p.M.UserName(p.Caller.UID), p.Caller.GID))
		return 0
	}
	status := 0
	for _, a := range o.Args {
		acc, ok := p.M.Account(a)
		if !ok {
			errorf(p, "‘%s’: no such user", a)
			status = 1
			continue
		}
		put(p, "%s : %s\n", a, line(a, acc.GID))
	}
	return status
}

func hostname(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aAbdfF:iIsyVh", "alias/a all-fqdns/A boot/b domain/d fqdn/f long/f file/F ip-address/i all-ip-addresses/I short/s yp/y nis/y version/V")
	if o.Bad != "" && o.Bad != "--help" {
		errorf(p, "%s\nUsage: hostname [-b] {hostname|-F file}         set host name (from file)", o.Bad)
		return 255
	}
	host := p.M.Persona.Hostname
	if data, err := p.M.FS.ReadFile(p.Caller, "/proc/sys/kernel/hostname", 256); err == nil {
		host = strings.TrimSpace(string(data))
	}
	switch {
	case o.Has("f", "A"):
		put(p, "%s\n", p.M.Persona.FQDN())
	case o.Has("d"):
		put(p, "%s\n", p.M.Persona.Domain)
	case o.Has("I"):
		put(p, "%s \n", p.M.Persona.NICs[0].IPv4)
	case o.Has("i"):
		put(p, "127.0.1.1\n")
	case o.Has("V"):
		put(p, "hostname 3.23\n")
	case len(o.Args) > 0:
		if p.Caller.UID != 0 {
			errorf(p, "you must be root to change the host name")
			return 1
		}
		return 0
	default:
		put(p, "%s\n", host)
	}
	return 0
}

func nproc(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "", "all ignore=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	put(p, "%d\n", max(1, p.M.Persona.CPU.Cores-o.Int("ignore", 0)))
	return 0
}

func getconf(_ context.Context, p *kernel.Proc) int {
	bits := "64"
	if p.M.Persona.CPU.Elf.Class == 1 {
		bits = "32"
	}
	values := map[string]string{
		"LONG_BIT": bits, "WORD_BIT": "32", "_NPROCESSORS_ONLN": strconv.Itoa(p.M.Persona.CPU.Cores), "_NPROCESSORS_CONF": strconv.Itoa(p.M.Persona.CPU.Cores), "PAGESIZE": "4096", "PAGE_SIZE": "4096",
		"_PHYS_PAGES": strconv.FormatInt(p.M.Persona.Memory.TotalKB/4, 10), "ARG_MAX": "2097152", "PATH": "/bin:/usr/bin", "OPEN_MAX": "1024", "NAME_MAX": "255", "PATH_MAX": "4096", "CLK_TCK": "100", "HOST_NAME_MAX": "64",
		"GNU_LIBC_VERSION": "glibc " + getopt.PackageVersion(p, "libc6"),
	}
	if len(p.Args) < 2 {
		fmt.Fprint(p.Stderr(), "Usage: getconf [-v specification] variable_name [pathname]\n       getconf -a [pathname]\n") //nolint:errcheck // the visitor's own stderr
		return 2
	}
	if v, ok := values[p.Args[1]]; ok {
		put(p, "%s\n", v)
		return 0
	}
	fmt.Fprintf(p.Stderr(), "getconf: Unrecognized variable `%s'\n", p.Args[1]) //nolint:errcheck // the visitor's own stderr
	return 2
}

func tty(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "s", "silent/s quiet/s")
	if o.Bad != "" {
		return getopt.Usage(p, o, 2)
	}
	if p.IsTTY(0) {
		if !o.Has("s") {
			put(p, "/dev/%s\n", p.S.Line)
		}
		return 0
	}
	if !o.Has("s") {
		put(p, "not a tty\n")
	}
	return 1
}

// getent reads the databases of /etc.
func getent(_ context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	if len(args) == 0 {
		errorf(p, "wrong number of arguments\nTry `getent --help' or `getent --usage' for more information.")
		return 1
	}
	db, keys := args[0], args[1:]
	file, known := map[string]string{"passwd": "/etc/passwd", "group": "/etc/group", "shadow": "/etc/shadow", "hosts": "/etc/hosts", "ahosts": "/etc/hosts", "services": "/etc/services", "protocols": "/etc/protocols"}[db]
	if !known {
		errorf(p, "Unknown database: %s\nTry `getent --help' or `getent --usage' for more information.", db)
		return 1
	}
	data, err := p.M.FS.ReadFile(p.Caller, file, 1<<20)
	if err != nil {
		return 2
	}
	status := 0
	if len(keys) == 0 {
		put(p, "%s", data)
		return 0
	}
	for _, k := range keys {
		found := false
		for l := range strings.Lines(string(data)) {
			f := strings.FieldsFunc(strings.TrimSpace(l), func(r rune) bool { return r == ':' || (r == ' ' || r == '\t') && strings.Contains(db, "host") })
			if len(f) > 0 && (f[0] == k || strings.Contains(db, "host") && slices.Contains(f[1:], k) || len(f) > 2 && f[2] == k && !strings.Contains(db, "host")) {
				found = true
				if strings.Contains(db, "host") {
					l = fmt.Sprintf("%-15s %s\n", f[0], strings.Join(f[1:], " "))
				}
				put(p, "%s", l)
				break
			}
		}
		if !found && strings.Contains(db, "host") && p.M.Net != nil {
			if addrs, ok := p.M.Net.Resolve(k); ok {
				put(p, "%-15s %s\n", addrs[0], k)
				found = true
			}
		}
		if !found {
			status = 2
		}
	}
	return status
}
