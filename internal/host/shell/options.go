package shell

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

func biSet(_ context.Context, s *sh, args []string) int {
	args = args[1:]
	if len(args) == 0 {
		var names []string
		for k := range s.vars {
			names = append(names, k)
		}
		sort.Strings(names)
		var b strings.Builder
		for _, k := range names {
			fmt.Fprintf(&b, "%s=%s\n", k, s.vars[k].value)
		}
		return s.out(b.String())
	}
	for len(args) > 0 {
		a := args[0]
		if a == "--" {
			s.params = args[1:]
			return 0
		}
		if len(a) < 2 || a[0] != '-' && a[0] != '+' {
			s.params = args
			return 0
		}
		args = args[1:]
		if !s.setFlags(a, &args) {
			if s.dialect != Bash {
				return s.usage(2, "set", "%s option %s", map[bool]string{true: "illegal", false: "Illegal"}[s.dialect == Ash], a)
			}
			s.usage(2, "set", "%s: invalid option", a)
			fmt.Fprint(s.p.Stderr(), "set: usage: set [-abefhkmnptuvxBCEHPT] [-o option-name] [--] [-] [arg ...]\n") //nolint:errcheck // the visitor's own stderr
			return 2
		}
		if s.badOption {
			s.badOption = false
			return 2
		}
	}
	return 0
}

func (s *sh) setFlags(a string, rest *[]string) bool {
	on := a[0] == '-'
	for _, c := range a[1:] {
		switch c {
		case 'e':
			s.opts.errexit = on
		case 'u':
			s.opts.nounset = on
		case 'x':
			s.opts.xtrace = on
		case 'f':
			s.opts.noglob = on
		case 'a':
			s.opts.allexport = on
		case 'C':
			s.opts.noclobber = on
		case 'n', 'v', 'h', 'm', 'b', 'B', 'H', 'P', 'E', 'T', 'k', 'p', 't', 'i', 'l', 's', 'r', 'c':
		case 'o':
			if len(*rest) == 0 {
				return s.out(s.listOptions(on)) == 0
			}
			name := (*rest)[0]
			*rest = (*rest)[1:]
			if p := s.option(name); p != nil {
				*p = on
			} else if !strings.Contains(setOptions, " "+name+" ") {
				if s.dialect == Bash {
					s.usage(2, "set", "%s: invalid option name", name)
				} else {
					s.fail(2, "set: Illegal option %co %s", a[0], name)
				}
				s.badOption = true
				return true
			}
		default:
			return false
		}
	}
	return true
}

func biAlias(_ context.Context, s *sh, args []string) int {
	if s.aliases == nil {
		s.aliases = map[string]string{}
	}
	if args[0] == "unalias" {
		for _, a := range args[1:] {
			if a == "-a" {
				clear(s.aliases)
			}
			delete(s.aliases, a)
		}
		return 0
	}
	status := 0
	show := args[1:]
	if len(show) == 0 {
		for k := range s.aliases {
			show = append(show, k)
		}
		sort.Strings(show)
	}
	for _, a := range show {
		name, value, ok := strings.Cut(a, "=")
		switch {
		case ok && len(s.aliases) < 1000:
			s.aliases[name] = value
		case s.aliases[name] != "":
			s.out("alias " + name + "='" + s.aliases[name] + "'\n")
		default:
			status = s.usage(1, "alias", "%s: not found", name)
		}
	}
	return status
}

// setOptions are the names of set -o.
const setOptions = " allexport braceexpand emacs errexit errtrace functrace hashall histexpand history ignoreeof interactive-comments keyword monitor noclobber noexec noglob nolog notify nounset onecmd physical pipefail posix privileged verbose vi xtrace "

// option is the switch behind a name of set -o; nil for those without effect here.
func (s *sh) option(name string) *bool {
	switch name {
	case "errexit":
		return &s.opts.errexit
	case "nounset":
		return &s.opts.nounset
	case "xtrace":
		return &s.opts.xtrace
	case "noglob":
		return &s.opts.noglob
	case "pipefail":
		return &s.opts.pipefail
	case "allexport":
		return &s.opts.allexport
	case "noclobber":
		return &s.opts.noclobber
	}
	return nil
}

func (s *sh) listOptions(table bool) string {
	var b strings.Builder
	for name := range strings.FieldsSeq(setOptions) {
		on := name == "braceexpand" || name == "hashall" || name == "interactive-comments" || s.opts.interactive && strings.Contains(" emacs histexpand history monitor ", " "+name+" ")
		if p := s.option(name); p != nil {
			on = *p
		}
		if table {
			fmt.Fprintf(&b, "%-15s\t%s\n", name, map[bool]string{true: "on", false: "off"}[on])
		} else {
			fmt.Fprintf(&b, "set %so %s\n", map[bool]string{true: "-", false: "+"}[on], name)
		}
	}
	return b.String()
}

// shoptNames are the names of shopt, those that are on marked with "+".
const shoptNames = `autocd assoc_expand_once cdable_vars cdspell checkhash checkjobs +checkwinsize +cmdhist compat31 compat32 compat40 compat41 compat42
compat43 compat44 +complete_fullquote direxpand dirspell dotglob execfail expand_aliases extdebug extglob +extquote failglob +force_fignore
+globasciiranges +globskipdots globstar gnu_errfmt histappend histreedit histverify +hostcomplete huponexit inherit_errexit +interactive_comments lastpipe
lithist localvar_inherit localvar_unset login_shell mailwarn no_empty_cmd_completion nocaseglob nocasematch noexpand_translation nullglob
+patsub_replacement +progcomp progcomp_alias +promptvars restricted_shell shift_verbose +sourcepath varredir_close xpg_echo`

// shoptOption finds a name of shopt; p is nil for those without effect here.
func (s *sh) shoptOption(name string) (p *bool, on, known bool) {
	switch name {
	case "nullglob":
		p = &s.opts.nullglob
	case "dotglob":
		p = &s.opts.dotglob
	case "nocasematch", "nocaseglob":
		p = &s.opts.nocase
	case "extglob":
		p = &s.opts.extglob
	case "failglob":
		p = &s.opts.failglob
	}
	if p != nil {
		return p, *p, true
	}
	names := " " + strings.Join(strings.Fields(shoptNames), " ") + " "
	switch {
	case name == "expand_aliases":
		return nil, s.opts.interactive, true
	case name == "login_shell":
		return nil, s.opts.login, true
	case strings.Contains(names, " +"+name+" "):
		return nil, true, true
	}
	return nil, false, strings.Contains(names, " "+name+" ")
}

func biShopt(_ context.Context, s *sh, args []string) int {
	set, quiet, plain := "", false, false
	var names []string
	for _, a := range args[1:] {
		switch a {
		case "-s", "-u":
			set = a
		case "-q":
			quiet = true
		case "-p":
			plain = true
		case "-o":
		default:
			names = append(names, a)
		}
	}
	show := func(name string, on bool) {
		switch {
		case quiet:
		case plain:
			s.out("shopt " + map[bool]string{true: "-s ", false: "-u "}[on] + name + "\n")
		default:
			s.out(fmt.Sprintf("%-15s\t%s\n", name, map[bool]string{true: "on", false: "off"}[on]))
		}
	}
	if len(names) == 0 {
		for name := range strings.FieldsSeq(shoptNames) {
			name = strings.TrimPrefix(name, "+")
			if _, on, _ := s.shoptOption(name); set == "" || on == (set == "-s") {
				show(name, on)
			}
		}
		return 0
	}
	status := 0
	for _, name := range names {
		p, on, known := s.shoptOption(name)
		switch {
		case !known:
			status = s.usage(1, "shopt", "%s: invalid shell option name", name)
		case set != "":
			if p != nil {
				*p = set == "-s"
			}
		default:
			show(name, on)
			if !on {
				status = 1
			}
		}
	}
	return status
}

func biMisc(_ context.Context, s *sh, args []string) int {
	switch args[0] {
	case "umask":
		return s.umask(args[1:])
	case "ulimit":
		return s.ulimit(args[1:])
	case "times":
		return s.out("0m0.004s 0m0.003s\n0m0.012s 0m0.009s\n")
	case "enable":
		if len(args) > 1 && args[1] != "-a" && args[1] != "-p" && args[1] != "-s" {
			return 0
		}
		return s.out("enable " + strings.Join(strings.Fields(bashBuiltins), "\nenable ") + "\n")
	case "compgen":
		if len(args) > 1 && args[1] == "-b" {
			return s.out(strings.Join(strings.Fields(bashBuiltins), "\n") + "\n")
		}
	case "help":
		return s.out("GNU bash, version " + s.p.M.Persona.BashVersion + " (" + s.p.M.Persona.Kernel.Machine + "-pc-linux-gnu)\nThese shell commands are defined internally.  Type `help' to see this list.\n")
	case "hash":
		return s.hashBuiltin(args[1:])
	case "caller":
		return 1
	case "suspend":
		if !s.opts.interactive {
			return s.usage(1, "suspend", "cannot suspend: no job control")
		}
	}
	return 0
}

func (s *sh) hashBuiltin(args []string) int {
	if len(args) == 0 {
		if s.dialect == Bash {
			return s.out("hash: hash table empty\n")
		}
		return 0
	}
	status := 0
	for _, a := range args {
		if _, err := s.p.LookPath(a); err != nil && !strings.HasPrefix(a, "-") && builtin(s.dialect, a) == nil {
			status = s.usage(1, "hash", "%s: not found", a)
		}
	}
	return status
}

func (s *sh) umask(args []string) int {
	symbolic := false
	for len(args) > 0 && (args[0] == "-S" || args[0] == "-p") {
		symbolic = symbolic || args[0] == "-S"
		args = args[1:]
	}
	if len(args) == 0 {
		if !symbolic {
			return s.out(fmt.Sprintf("%04o\n", s.p.Umask))
		}
		var text strings.Builder
		for i, who := range "ugo" {
			bits := ^s.p.Umask >> (6 - 3*i) & 7
			text.WriteString(string(who) + "=")
			for k, c := range "rwx" {
				if bits>>(2-k)&1 == 1 {
					text.WriteString(string(c))
				}
			}
			text.WriteString(",")
		}
		return s.out(strings.TrimSuffix(text.String(), ",") + "\n")
	}
	n, err := strconv.ParseUint(args[0], 8, 16)
	switch {
	case err == nil:
		s.p.Umask = uint32(n) & 0o777
	case args[0][0] >= '0' && args[0][0] <= '9':
		return s.usage(1, "umask", "%s: octal number out of range", args[0])
	default:
		if strings.Trim(args[0], "ugoarwx=+-,X") != "" {
			return s.usage(1, "umask", "`%c': invalid symbolic mode operator", strings.TrimLeft(args[0], "ugoa")[:1][0])
		}
	}
	return 0
}

// ulimit reports the limits of a login shell of the persona's distribution.
func (s *sh) ulimit(args []string) int {
	letters, set := "f", ""
	for _, a := range args {
		if len(a) > 1 && a[0] == '-' {
			if l := strings.Trim(a[1:], "SH"); l != "" {
				letters = l
			}
			continue
		}
		set = a
	}
	if set != "" {
		return 0
	}
	procs := s.p.M.Persona.Memory.TotalKB / 261
	rows := []struct{ name, unit, letter, value string }{
		{"real-time non-blocking time", "microseconds", "R", "unlimited"},
		{"core file size", "blocks", "c", "0"},
		{"data seg size", "kbytes", "d", "unlimited"},
		{"scheduling priority", "", "e", "0"},
		{"file size", "blocks", "f", "unlimited"},
		{"pending signals", "", "i", strconv.FormatInt(procs, 10)},
		{"max locked memory", "kbytes", "l", strconv.FormatInt(s.p.M.Persona.Memory.TotalKB/8, 10)},
		{"max memory size", "kbytes", "m", "unlimited"},
		{"open files", "", "n", "1024"},
		{"pipe size", "512 bytes", "p", "8"},
		{"POSIX message queues", "bytes", "q", "819200"},
		{"real-time priority", "", "r", "0"},
		{"stack size", "kbytes", "s", "8192"},
		{"cpu time", "seconds", "t", "unlimited"},
		{"max user processes", "", "u", strconv.FormatInt(procs, 10)},
		{"virtual memory", "kbytes", "v", "unlimited"},
		{"file locks", "", "x", "unlimited"},
	}
	found := false
	for _, r := range rows {
		label := "(-" + r.letter + ")"
		if r.unit != "" {
			label = "(" + r.unit + ", -" + r.letter + ")"
		}
		switch {
		case letters == "a":
			s.out(fmt.Sprintf("%-20s%20s %s\n", r.name, label, r.value))
			found = true
		case strings.Contains(letters, r.letter):
			s.out(r.value + "\n")
			found = true
		}
	}
	if !found {
		return s.usage(2, "ulimit", "-%s: invalid option\nulimit: usage: ulimit [-SHabcdefiklmnpqrstuvxPRT] [limit]", letters[:1])
	}
	return 0
}

const bashBuiltins = `. : [ alias bg bind break builtin caller cd command compgen complete compopt continue declare dirs disown echo
enable eval exec exit export false fc fg getopts hash help history jobs kill let local logout mapfile popd printf pushd pwd
read readarray readonly return set shift shopt source suspend test times trap true type typeset ulimit umask unalias unset wait`
