package system

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// grepper is pgrep, pkill, killall, pidof and pidwait.
func pgrep(_ context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	args, sig := []string{}, kernel.SIGTERM
	for _, a := range p.Args[1:] {
		if n, ok := kernel.SignalNumber(strings.TrimPrefix(a, "-")); ok && len(a) > 1 && a[0] == '-' && name != "pgrep" && name != "pidof" {
			sig = n
			continue
		}
		args = append(args, a)
	}
	o := getopt.Parse(args, "acd:efF:g:G:ilLnoOP:qrs:St:u:U:vwx", "signal= full/f exact/x ignore-case/i list-name/l list-full/a count/c newest/n oldest/o parent/P user/u euid/u uid/U inverse/v delimiter/d single-shot quiet/q wait/w list/l echo/e terminal/t")
	if s := o.Get("signal"); s != "" {
		if n, ok := kernel.SignalNumber(s); ok {
			sig = n
		}
	}
	exact := name == "killall" || name == "pidof"
	switch {
	case o.Bad == "--version":
		put(p, "%s from procps-ng %s\n", name, getopt.PackageVersion(p, "procps"))
		return 0
	case o.Bad != "":
		fmt.Fprintf(p.Stderr(), "%s: %s\n\nUsage:\n %[1]s [options] <pattern>\n", name, o.Bad) //nolint:errcheck // the visitor's own stderr
		return 2
	case len(o.Args) == 0 && !o.Has("u", "U", "P", "t"):
		if exact {
			return 1
		}
		fmt.Fprintf(p.Stderr(), "%s: no matching criteria specified\nTry `%[1]s --help' for more information.\n", name) //nolint:errcheck // the visitor's own stderr
		return 2
	case len(o.Args) > 1 && !exact:
		fmt.Fprintf(p.Stderr(), "%s: only one pattern can be provided\nTry `%[1]s --help' for more information.\n", name) //nolint:errcheck // as above
		return 2
	}
	var found []kernel.Entry
	for _, e := range p.M.Table.List() {
		if e.PID != p.PID && selected(p, o, e, exact) {
			found = append(found, e)
		}
	}
	if name == "pgrep" || name == "pidof" || name == "pidwait" {
		return listPIDs(p, o, found, name)
	}
	return killAll(p, o, found, sig)
}

func selected(p *kernel.Proc, o getopt.Opts, e kernel.Entry, exact bool) bool {
	if u := o.Get("u", "U"); u != "" && uid(p, e) != u && strconv.Itoa(int(e.UID)) != u || o.Has("P") && strconv.Itoa(e.PPID) != o.Get("P") {
		return false
	}
	if exact {
		return slices.Contains(o.Args, e.Name) || slices.Contains(o.Args, e.Exe) && e.Exe != ""
	}
	if len(o.Args) == 0 {
		return true
	}
	text := e.Name
	if o.Has("f") {
		text = e.Command
	}
	pat := o.Args[0]
	if o.Has("x") {
		pat = "^(" + pat + ")$"
	}
	if o.Has("i") {
		pat = "(?i)" + pat
	}
	re, err := regexp.Compile(pat)
	if err != nil || len(pat) > 1000 {
		return strings.Contains(text, o.Args[0]) != o.Has("v")
	}
	return re.MatchString(text) != o.Has("v")
}

func listPIDs(p *kernel.Proc, o getopt.Opts, found []kernel.Entry, name string) int {
	if len(found) == 0 {
		if o.Has("c") && name == "pgrep" {
			put(p, "0\n")
		}
		return 1
	}
	switch {
	case o.Has("n"):
		found = found[len(found)-1:]
	case o.Has("o") && name == "pgrep":
		found = found[:1]
	}
	if o.Has("c") && name == "pgrep" {
		put(p, "%d\n", len(found))
		return 0
	}
	var out []string
	for _, e := range found {
		s := strconv.Itoa(e.PID)
		if o.Has("l") {
			s += " " + e.Name
		} else if o.Has("a") {
			s += " " + e.Command
		}
		out = append(out, s)
	}
	sep := "\n"
	if name == "pidof" {
		slices.Reverse(out)
		if sep = " "; o.Has("s") {
			out = out[:1]
		}
	}
	if o.Has("d") {
		sep = o.Get("d")
	}
	if name != "pidwait" {
		put(p, "%s\n", strings.Join(out, sep))
	}
	return 0
}

func killAll(p *kernel.Proc, o getopt.Opts, found []kernel.Entry, sig int) int {
	name := getopt.Base(p.Args[0])
	hit, status := false, 0
	for _, e := range found {
		if e.UID != p.Caller.UID && p.Caller.UID != 0 || !e.Live && e.User != p.M.UserName(p.Caller.UID) && p.Caller.UID != 0 {
			if name == "killall" {
				fmt.Fprintf(p.Stderr(), "%s(%d): Operation not permitted\n", e.Name, e.PID) //nolint:errcheck // the visitor's own stderr
			} else {
				fmt.Fprintf(p.Stderr(), "%s: killing pid %d failed: Operation not permitted\n", name, e.PID) //nolint:errcheck // as above
			}
			continue
		}
		hit = p.M.Table.Kill(e.PID, sig) || hit
	}
	if !hit {
		status = 1
		if name == "killall" && len(found) == 0 && !o.Has("q") {
			for _, a := range o.Args {
				fmt.Fprintf(p.Stderr(), "%s: no process found\n", a) //nolint:errcheck // as above
			}
		}
	}
	return status
}

func kill(ctx context.Context, p *kernel.Proc) int {
	c := p.Child(append([]string{"bash", "-c", `kill "$@"`, "kill"}, p.Args[1:]...)...)
	st, err := p.Run(ctx, c)
	if err != nil {
		return 1
	}
	return st
}
