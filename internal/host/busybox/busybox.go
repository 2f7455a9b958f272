// Package busybox is BusyBox as a program of a fake host: one file that is
// every applet, in BusyBox's own words and formats. What an applet does like
// its bigger sister is done by her; what it says is reworded.
package busybox

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{"busybox": Main, "bb-iptables": iptables, "bb-nvram": nvram, "bb-vi": vi}
}

// applet is one function of BusyBox.
type applet struct {
	name  string
	opts  string // option letters, with ":" after one that takes a value; "*" is not checked here
	usage string // synopsis, as "applet --help" prints it after the name
	min   int    // operands without which it shows its usage
	impl  string // of the program that does the work, where run is nil
	run   kernel.Program
}

const (
	file     = "/bin/busybox"
	wrongUse = -1 // status of an applet that wants its usage shown
)

// Main is BusyBox called by its own name or by an applet's.
func Main(ctx context.Context, p *kernel.Proc) int {
	name := strings.TrimPrefix(base(p.Args[0]), "-")
	if !strings.HasPrefix(name, "busybox") {
		return invoke(ctx, p, name)
	}
	if len(p.Args) < 2 || p.Args[1] == "--help" && len(p.Args) == 2 {
		overview(p)
		return 0
	}
	switch p.Args[1] {
	case "--list":
		for _, a := range applets {
			put(p, "%s\n", a.name)
		}
		return 0
	case "--list-full":
		for _, a := range applets {
			put(p, "%s%s\n", strings.TrimPrefix(dirOf(p, a.name), "/"), a.name)
		}
		return 0
	case "--install":
		return 0
	case "--help":
		p.Args = []string{p.Args[2], "--help"}
	case "busybox":
		p.Args = p.Args[1:]
		return Main(ctx, p)
	default:
		p.Args = p.Args[1:]
	}
	return invoke(ctx, p, base(p.Args[0]))
}

func base(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// dirOf is where the link of an applet lies.
func dirOf(p *kernel.Proc, name string) string {
	for _, pr := range p.M.Persona.Programs {
		if dir, ok := strings.CutSuffix(pr.Path, "/"+name); ok {
			return dir + "/"
		}
	}
	return "/usr/bin/"
}

func invoke(ctx context.Context, p *kernel.Proc, name string) int {
	a, ok := find(name)
	if !ok {
		complain(p, "%s: applet not found\n", name)
		return 127
	}
	if a.name != "echo" && a.name != "test" && a.name != "[" && a.name != "[[" && a.name != "true" && a.name != "false" && len(p.Args) == 2 && p.Args[1] == "--help" {
		usage(p, a)
		return 0
	}
	if a.opts != "*" {
		operands, ok := a.check(p)
		if !ok {
			return 1
		}
		if operands < a.min {
			usage(p, a)
			return 1
		}
	}
	p.Path = file
	if a.run != nil {
		rc := a.run(ctx, p)
		if rc == wrongUse {
			usage(p, a)
			if strings.Contains(" grep egrep fgrep ", " "+name+" ") {
				return 2
			}
			return 1
		}
		return rc
	}
	impl := a.impl
	if impl == "" {
		impl = a.name
	}
	prog := p.M.Programs[impl]
	if prog == nil {
		return 0 // installed, and does nothing visible
	}
	done := reword(p, a.name)
	defer done()
	return status(a.name, prog(ctx, p))
}

// status is an exit status as BusyBox gives it, where its sister's differs.
func status(name string, n int) int {
	if n > 1 && slices.Contains([]string{"ls", "cat", "rm", "cp", "mv", "mkdir", "find", "sed", "wc", "head", "tail"}, name) {
		return 1
	}
	return n
}

func find(name string) (applet, bool) {
	i, ok := slices.BinarySearchFunc(applets, name, func(a applet, n string) int { return strings.Compare(a.name, n) })
	if !ok {
		return applet{}, false
	}
	return applets[i], true
}

// check looks through the arguments as getopt does: an unknown option ends
// the applet with its usage.
func (a *applet) check(p *kernel.Proc) (operands int, ok bool) {
	args := p.Args[1:]
	for i := 0; i < len(args); i++ {
		arg := args[i]
		switch {
		case arg == "--":
			return operands + len(args) - i - 1, true
		case len(arg) < 2 || arg[0] != '-':
			operands++
		case arg[1] == '-':
			word, _, _ := strings.Cut(arg[2:], "=")
			if !strings.Contains(longOptions, " "+a.name+":"+word+" ") {
				complain(p, "%s: unrecognized option '%s'\n", a.name, arg)
				usage(p, *a)
				return 0, false
			}
		default:
			used, fine := a.letters(p, arg[1:], i+1 < len(args))
			if !fine {
				return 0, false
			}
			i += used
		}
	}
	return operands, true
}

// longOptions are those that visitors use.
const longOptions = " ls:color wget:no-check-certificate wget:spider wget:header wget:post-data wget:post-file wget:quiet wget:output-document tar:overwrite tar:strip-components grep:color ps:help du:max-depth date:date mkdir:parents head:lines "

func (a *applet) letters(p *kernel.Proc, group string, more bool) (used int, ok bool) {
	if group[0] >= '0' && group[0] <= '9' && strings.Contains(a.opts, "0") { // head -8
		return 0, true
	}
	for j, c := range group {
		at := strings.IndexRune(a.opts, c)
		if at < 0 || c == ':' {
			complain(p, "%s: invalid option -- '%c'\n", a.name, c)
			usage(p, *a)
			return 0, false
		}
		if at+1 < len(a.opts) && a.opts[at+1] == ':' {
			if j+1 < len(group) {
				return 0, true
			}
			if !more {
				complain(p, "%s: option requires an argument -- '%c'\n", a.name, c)
				usage(p, *a)
				return 0, false
			}
			return 1, true
		}
	}
	return 0, true
}

// usage is the screen of an applet in a build without the long texts
// (FEATURE_VERBOSE_USAGE), as makers of small flashes choose.
func usage(p *kernel.Proc, a applet) {
	text := a.name
	if a.usage != "" {
		text += " " + a.usage
	}
	complain(p, "%s multi-call binary.\n\nUsage: %s\n", p.M.Persona.BusyBoxVersion(), text)
}

func overview(p *kernel.Proc) {
	put(p, "%s multi-call binary.\nBusyBox is copyrighted by many authors between 1998-2015.\nLicensed under GPLv2. See source distribution for detailed\ncopyright notices.\n\nUsage: busybox [function [arguments]...]\n   or: busybox --list[-full]\n   or: busybox --install [-s] [DIR]\n   or: function [arguments]...\n\n\tBusyBox is a multi-call binary that combines many common Unix\n\tutilities into a single executable.  Most people will create a\n\tlink to busybox for each function they wish to use and BusyBox\n\twill act like whatever it was invoked as.\n\nCurrently defined functions:\n", p.M.Persona.BusyBoxVersion())
	col := 0
	for _, a := range applets {
		if col >= 77-len(a.name) {
			put(p, ",\n")
			col = 0
		}
		if col == 0 {
			col = 6
			put(p, "\t")
		} else {
			put(p, ", ")
		}
		put(p, "%s", a.name)
		col += len(a.name) + 2
	}
	put(p, "\n")
}

func put(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stdout(), format, args...) //nolint:errcheck // the visitor's own output
}

func complain(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), format, args...) //nolint:errcheck // the visitor's own stderr
}

// options are the letters given, with the values of those that take one, and
// the operands. It reads what check has let through.
func options(p *kernel.Proc, valued string) (flags string, values map[byte]string, rest []string) {
	values = map[byte]string{}
	var set []byte
	args := p.Args[1:]
	for i := 0; i < len(args); i++ {
		a := args[i]
		if a == "--" {
			return string(set), values, append(rest, args[i+1:]...)
		}
		if len(a) < 2 || a[0] != '-' {
			rest = append(rest, a)
			continue
		}
		if a[1] == '-' {
			continue
		}
		for j := 1; j < len(a); j++ {
			if !strings.Contains(valued, a[j:j+1]) {
				set = append(set, a[j])
				continue
			}
			v := a[j+1:]
			if v == "" && i+1 < len(args) {
				i++
				v = args[i]
			}
			values[a[j]] = v
			break
		}
	}
	return string(set), values, rest
}

// readAll is the text of a file of the fake host, at most 1 MiB of it.
func readAll(p *kernel.Proc, name string) (string, error) {
	data, err := p.M.FS.ReadFile(p.Caller, p.Abs(name), 1<<20)
	return string(data), err
}

func isDir(p *kernel.Proc, name string) bool {
	in, err := p.M.FS.Stat(p.Caller, p.Abs(name))
	return err == nil && in.Kind == vfs.Dir
}
