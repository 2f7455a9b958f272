package system

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// The interpreters are no interpreters: they answer version, help, missing
// files and the print one-liners that tell a bot whether it is there. Anything
// else ends as a program does whose first import fails: with a traceback. Code
// that a visitor hands them is recorded.

func pythonVersion(p *kernel.Proc) string {
	v := getopt.PackageVersion(p, "python3")
	v, _, _ = strings.Cut(v, "~")
	return v
}

func python(ctx context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		a := args[0]
		switch {
		case a == "-V" || a == "--version":
			put(p, "Python %s\n", pythonVersion(p))
			return 0
		case a == "-h" || a == "--help":
			put(p, "usage: %s [option] ... [-c cmd | -m mod | file | -] [arg] ...\n", p.Args[0])
			return 0
		case a == "-c" || a == "-uc" || a == "-Bc":
			if len(args) < 2 {
				complain(p, "Argument expected for the -c option\nusage: %s [option] ... [-c cmd | -m mod | file | -] [arg] ...\nTry `python -h' for more information.", p.Args[0])
				return 2
			}
			return pythonCode(ctx, p, args[1], "<string>")
		case a == "-m":
			if len(args) < 2 {
				return 2
			}
			complain(p, "/usr/bin/python3: No module named %s", args[1])
			return 1
		case strings.Trim(a[1:], "bBdEiIOqsSuvWx") != "":
			complain(p, "Unknown option: -%s\nusage: %s [option] ... [-c cmd | -m mod | file | -] [arg] ...\nTry `python -h' for more information.", a[1:2], p.Args[0])
			return 2
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0] != "-" {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(args[0]), 256<<10)
		if err != nil {
			complain(p, "%s: can't open file '%s': [Errno 2] No such file or directory", p.Args[0], p.Abs(args[0]))
			return 2
		}
		return pythonCode(ctx, p, string(data), p.Abs(args[0]))
	}
	if p.IsTTY(0) {
		return pythonPrompt(ctx, p)
	}
	return pythonCode(ctx, p, string(readAll(p, p.Stdin(), 256<<10)), "<stdin>")
}

func pythonPrompt(ctx context.Context, p *kernel.Proc) int {
	put(p, "Python %s (main, Nov 30 2024, 22:21:04) [GCC 12.2.0] on linux\nType \"help\", \"copyright\", \"credits\" or \"license\" for more information.\n", pythonVersion(p))
	for ctx.Err() == nil && p.Step(10) == nil {
		put(p, ">>> ")
		line := readLine(p)
		switch strings.TrimSpace(line) {
		case "":
			if p.S.TTY == nil || line == "" {
				put(p, "\n")
				return 0
			}
		case "exit()", "quit()":
			return 0
		case "exit", "quit":
			put(p, "Use %s() or Ctrl-D (i.e. EOF) to exit\n", strings.TrimSpace(line))
		default:
			pythonCode(ctx, p, line, "<stdin>")
		}
	}
	return 0
}

var (
	pyPrint = regexp.MustCompile(`^print\s*\((.*)\)$`)
	pyText  = regexp.MustCompile(`^(?:'([^'\\]*)'|"([^"\\]*)")$`)
	pySum   = regexp.MustCompile(`^[0-9+*/ ().-]+$`)
)

// pythonCode runs statements as far as they are imports and prints of texts
// and sums.
func pythonCode(ctx context.Context, p *kernel.Proc, code, file string) int {
	p.S.Recorder.Note(ctx, "code-handed-over", "python: "+code)
	n := 0
	for l := range strings.Lines(code) {
		n++
		for st := range strings.SplitSeq(strings.TrimSpace(l), ";") {
			st = strings.TrimSpace(st)
			if st == "" || st[0] == '#' || strings.HasPrefix(st, "import ") && !strings.ContainsAny(st, "()") || strings.HasPrefix(st, "from ") {
				if mod := missingModule(st); mod != "" {
					complain(p, "Traceback (most recent call last):\n  File \"%s\", line %d, in <module>\nModuleNotFoundError: No module named '%s'", file, n, mod)
					return 1
				}
				continue
			}
			if m := pyPrint.FindStringSubmatch(st); m != nil {
				if v, ok := pyValue(p, m[1]); ok {
					put(p, "%s\n", v)
					continue
				}
			}
			complain(p, "Traceback (most recent call last):\n  File \"%s\", line %d, in <module>\nOSError: [Errno 12] Cannot allocate memory", file, n)
			return 1
		}
	}
	return 0
}

// missingModule is the first module of an import that is not installed.
func missingModule(st string) string {
	f := strings.Fields(strings.ReplaceAll(st, ",", " "))
	if len(f) < 2 || f[0] != "import" && f[0] != "from" {
		return ""
	}
	names := f[1:]
	if f[0] == "from" {
		names = f[1:2]
	}
	for _, m := range names {
		m, _, _ = strings.Cut(m, ".")
		if m == "as" {
			break
		}
		if !strings.Contains(" os sys socket subprocess time re json base64 platform pty random string struct threading urllib http ssl hashlib shutil pathlib math datetime signal select fcntl termios getpass zlib gzip tarfile zipfile io collections itertools functools argparse logging ", " "+m+" ") {
			return m
		}
	}
	return ""
}

func pyValue(p *kernel.Proc, x string) (string, bool) {
	x = strings.TrimSpace(x)
	k := p.M.Persona.Kernel
	switch x {
	case "":
		return "", true
	case "os.getuid()", "os.geteuid()":
		return strconv.Itoa(int(p.Caller.UID)), true
	case "os.getcwd()":
		return p.Dir, true
	case "platform.machine()", "os.uname().machine", "os.uname()[4]":
		return k.Machine, true
	case "platform.system()", "os.uname()[0]":
		return "Linux", true
	case "platform.release()", "os.uname()[2]":
		return k.Release, true
	case "platform.node()", "socket.gethostname()":
		return p.M.Persona.Hostname, true
	case "sys.version.split()[0]", "platform.python_version()":
		return pythonVersion(p), true
	case "os.name":
		return "posix", true
	case "sys.platform":
		return "linux", true
	case "os.cpu_count()":
		return strconv.Itoa(p.M.Persona.CPU.Cores), true
	}
	if m := pyText.FindStringSubmatch(x); m != nil {
		return m[1] + m[2], true
	}
	if len(x) < 100 && pySum.MatchString(x) {
		return sumOf(x)
	}
	return "", false
}

// sumOf computes a sum of products without brackets.
func sumOf(x string) (string, bool) {
	total := int64(0)
	for term := range strings.SplitSeq(strings.ReplaceAll(strings.ReplaceAll(x, " ", ""), "-", "+-"), "+") {
		if term == "" {
			continue
		}
		prod := int64(1)
		for f := range strings.SplitSeq(term, "*") {
			n, err := strconv.ParseInt(f, 10, 32)
			if err != nil {
				return "", false
			}
			prod *= n
		}
		total += prod
	}
	return strconv.FormatInt(total, 10), true
}

var perlPrint = regexp.MustCompile(`^print\s*\(?\s*(?:"([^"$@]*)"|'([^']*)')\s*\)?$`)

func perl(ctx context.Context, p *kernel.Proc) int {
	v := getopt.PackageVersion(p, "perl-base")
	args := p.Args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		switch a := args[0]; {
		case a == "-v" || a == "--version":
			f := strings.Split(v, ".")
			put(p, "\nThis is perl 5, version %s, subversion %s (v%s) built for x86_64-linux-gnu-thread-multi\n(with 59 registered patches, see perl -V for more detail)\n\nCopyright 1987-2022, Larry Wall\n\nPerl may be copied only under the terms of either the Artistic License or the\nGNU General Public License, which may be found in the Perl 5 source kit.\n\nComplete documentation for Perl, including FAQ lists, should be found on\nthis system using \"man perl\" or \"perldoc perl\".  If you have access to the\nInternet, point your browser at https://www.perl.org/, the Perl Home Page.\n\n", f[min(1, len(f)-1)], f[len(f)-1], v)
			return 0
		case (a[len(a)-1] == 'e' || a[len(a)-1] == 'E') && len(a) < 6:
			if len(args) < 2 {
				complain(p, "No code specified for -%s.", a[len(a)-1:])
				return 2
			}
			return perlCode(ctx, p, args[1])
		}
		args = args[1:]
	}
	var code string
	if len(args) > 0 {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(args[0]), 256<<10)
		if err != nil {
			complain(p, "Can't open perl script \"%s\": %s", args[0], err)
			return 2
		}
		code = string(data)
	} else {
		code = string(readAll(p, p.Stdin(), 256<<10))
	}
	return perlCode(ctx, p, code)
}

func perlCode(ctx context.Context, p *kernel.Proc, code string) int {
	p.S.Recorder.Note(ctx, "code-handed-over", "perl: "+code)
	for st := range strings.SplitSeq(code, ";") {
		st = strings.TrimSpace(st)
		for strings.HasPrefix(st, "#") {
			_, st, _ = strings.Cut(st, "\n")
			st = strings.TrimSpace(st)
		}
		if st == "" || strings.HasPrefix(st, "use strict") || strings.HasPrefix(st, "use warnings") {
			continue
		}
		if m := perlPrint.FindStringSubmatch(st); m != nil {
			put(p, "%s", strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace(m[1]+m[2]))
			continue
		}
		complain(p, "Out of memory!")
		return 1
	}
	return 0
}
