package system

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/utmp"
)

const maxBook = 4 << 20 // bytes of a book that are read

// records reads a book of logins.
func records(p *kernel.Proc, path string) ([]utmp.Record, error) {
	data, err := p.M.FS.ReadFile(p.Caller, path, maxBook)
	if err != nil {
		return nil, err
	}
	return utmp.Parse(data), nil
}

// here is who is logged in now, as /run/utmp has it.
func here(p *kernel.Proc) []utmp.Record {
	list, err := records(p, "/run/utmp")
	if err != nil { // a host without the book knows the session itself
		if p.S.Line != "" {
			return []utmp.Record{{Kind: utmp.User, Line: p.S.Line, User: p.S.User.Name, Host: p.S.From.Addr().String(), At: p.S.Started}}
		}
		return nil
	}
	return slices.DeleteFunc(list, func(r utmp.Record) bool { return r.Kind != utmp.User })
}

// w shows who is here and what he does.
func w(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "hsufoipV", "no-header/h short/s no-current/u from/f old-style/o ip-addr/i pids/p version/V")
	switch {
	case o.Has("V") || o.Bad == "--version":
		put(p, "w from procps-ng %s\n", getopt.PackageVersion(p, "procps"))
		return 0
	case o.Bad != "":
		complain(p, "w: %s\n\nUsage:\n w [options] [user]\n", o.Bad)
		return 1
	}
	short, from := o.Has("s"), !o.Has("f")
	if !o.Has("h") {
		put(p, "%s\nUSER     TTY      ", upLine(p))
		if from {
			put(p, "FROM             ")
		}
		put(p, "%s", map[bool]string{true: " IDLE WHAT\n", false: "LOGIN@   IDLE   JCPU   PCPU WHAT\n"}[short])
	}
	for _, r := range here(p) {
		if len(o.Args) > 0 && r.User != o.Args[0] {
			continue
		}
		what, idle := doing(p, r.Line)
		put(p, "%-8.8s %-8.8s ", r.User, r.Line)
		if from {
			put(p, "%-16.16s ", r.Host)
		}
		if short {
			put(p, "%6s %s\n", idle, what)
			continue
		}
		put(p, "%s  %6s  0.0%ds  0.00s %s\n", since(r.At, p.Now()), idle, 1+r.PID%7, what)
	}
	return 0
}

// since is when somebody came, as w shows it.
func since(at, now time.Time) string {
	switch d := now.Sub(at); {
	case d < 12*time.Hour && at.YearDay() == now.YearDay():
		return at.UTC().Format("15:04 ")
	case d < 7*24*time.Hour:
		return at.UTC().Format("Mon15 ")
	}
	return at.UTC().Format("02Jan06")
}

// doing is the newest program on a terminal line, and how long nothing was typed.
func doing(p *kernel.Proc, line string) (what, idle string) {
	what = "-bash"
	for _, e := range p.M.Table.List() {
		if e.TTY == line {
			what = e.Command
		}
	}
	if line == p.S.Line {
		return strings.Join(p.Args, " "), "0.00s"
	}
	return what, "14.00s"
}

func who(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "abdHlmpqrstuwT", "all/a boot/b dead/d heading/H login/l process/p count/q runlevel/r short/s time/t users/u mesg/T message/T writable/T lookup ips")
	name := getopt.Base(p.Args[0])
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	list := here(p)
	if name == "users" || o.Has("q") {
		var names []string
		for _, r := range list {
			names = append(names, r.User)
		}
		slices.Sort(names)
		if len(names) > 0 || o.Has("q") {
			put(p, "%s\n", strings.Join(names, " "))
		}
		if o.Has("q") {
			put(p, "# users=%d\n", len(names))
		}
		return 0
	}
	if o.Has("H") {
		put(p, "NAME     LINE         TIME             COMMENT\n")
	}
	all, _ := records(p, "/run/utmp")
	for _, r := range all {
		when := r.At.Format("2006-01-02 15:04")
		switch {
		case r.Kind == utmp.BootTime && o.Has("b", "a"):
			put(p, "%-8s %-12s %s\n", "", "system boot", when)
		case r.Kind == utmp.RunLevel && o.Has("r", "a"):
			put(p, "%-8s %-12s %s\n", "", "run-level 5", when)
		case r.Kind == utmp.Getty && o.Has("l", "a"):
			put(p, "%-8s %-12s %s %17s id=%s\n", r.User, r.Line, when, strconv.Itoa(r.PID), r.ID)
		case r.Kind == utmp.User && (!o.Has("b", "r", "l") || o.Has("a", "u")):
			if len(o.Args) == 2 || o.Has("m") { // who am i
				if r.Line != p.S.Line {
					continue
				}
			}
			mesg, idle := "", ""
			if o.Has("T", "w", "a") {
				mesg = " +"
			}
			if o.Has("u", "a") {
				idle = fmt.Sprintf("   .   %10d", r.PID)
			}
			put(p, "%-8s%s %-12s %s%s (%s)\n", r.User, mesg, r.Line, when, idle, r.Host)
		}
	}
	return 0
}

func last(_ context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	args := slices.Clone(p.Args[1:])
	for i, a := range args { // last -5
		if len(a) > 1 && a[0] == '-' && strings.Trim(a[1:], "0123456789") == "" {
			args[i] = "-n" + a[1:]
		}
	}
	o := getopt.Parse(args, "adFf:in:Rs:t:p:wxhV", "hostlast/a dns/d fulltimes/F file/f ip/i limit/n nohostname/R since/s until/t present/p fullnames/w system/x time-format= help/h version/V")
	if o.Has("V") {
		put(p, "%s from util-linux %s\n", name, getopt.PackageVersion(p, "util-linux"))
		return 0
	}
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	file := "/var/log/wtmp"
	if name == "lastb" {
		file = "/var/log/btmp"
	}
	if o.Has("f") {
		file = o.Get("f")
	}
	list, err := records(p, p.Abs(file))
	if err != nil {
		complain(p, "%s: cannot open %s: %s", name, file, err)
		return 1
	}
	shown, most := 0, o.Int("n", 1<<30)
	for _, l := range stays(list, name == "lastb") {
		if shown >= most {
			break
		}
		if l.system && !o.Has("x") || len(o.Args) > 0 && !slices.ContainsFunc(o.Args, func(a string) bool { return a == l.user || a == l.line || "pts/"+a == l.line || "tty"+a == l.line }) {
			continue
		}
		put(p, "%s\n", strings.TrimRight(l.text(o), " "))
		shown++
	}
	begins := p.Now()
	if in, err := p.M.FS.Stat(p.Caller, p.Abs(file)); err == nil {
		begins = in.Mtime.UTC()
	}
	if len(list) > 0 {
		begins = list[0].At
	}
	put(p, "\n%s begins %s\n", file[strings.LastIndexByte(file, '/')+1:], begins.Format("Mon Jan _2 15:04:05 2006"))
	return 0
}

// stay is one line of last: somebody from when to when.
type stay struct {
	user, line, host string
	in, out          time.Time
	end              string // "still logged in", "still running", "- down", "- crash", "" with a time
	system           bool   // a line that only -x shows
}

// stays reads a book backwards, as last does.
func stays(list []utmp.Record, bad bool) []stay {
	var out []stay
	var next time.Time // of the boot or shutdown after
	end := "still"
	left := map[string]time.Time{}
	for _, r := range slices.Backward(list) {
		switch {
		case bad:
			out = append(out, stay{user: r.User, line: r.Line, host: r.Host, in: r.At, out: r.At})
		case r.Kind == utmp.BootTime:
			s := stay{user: "reboot", line: "system boot", host: r.Host, in: r.At, out: next, end: "still running"}
			if !next.IsZero() {
				s.end = ""
			}
			out = append(out, s)
			next, end = r.At, "crash"
			clear(left)
		case r.Kind == utmp.RunLevel && r.User == "shutdown":
			out = append(out, stay{user: "shutdown", line: "system down", host: r.Host, in: r.At, out: next, system: true})
			next, end = r.At, "down"
			clear(left)
		case r.Kind == utmp.RunLevel:
			out = append(out, stay{user: "runlevel", line: "(to lvl 5)", host: r.Host, in: r.At, out: next, end: map[bool]string{true: "still running"}[next.IsZero()], system: true})
		case r.Kind == utmp.Dead:
			left[r.Line] = r.At
		case r.Kind == utmp.User:
			s := stay{user: r.User, line: r.Line, host: r.Host, in: r.At}
			if at, ok := left[r.Line]; ok {
				s.out = at
			} else if end == "still" {
				s.end = "still logged in"
			} else {
				s.out, s.end = next, "- "+end
			}
			left[r.Line] = r.At
			out = append(out, s)
		}
	}
	return out
}

// text is the line of a stay.
func (l stay) text(o getopt.Opts) string {
	user, host := l.user, l.host
	if !o.Has("w") {
		user = fmt.Sprintf("%.8s", user)
		host = fmt.Sprintf("%.16s", host)
	}
	form, outForm := "Mon Jan _2 15:04", "- 15:04"
	if o.Has("F") {
		form, outForm = "Mon Jan _2 15:04:05 2006", "- Mon Jan _2 15:04:05 2006"
	}
	long := ""
	end := l.end
	if !l.out.IsZero() {
		d := l.out.Sub(l.in).Truncate(time.Second)
		days := int(d.Hours()) / 24
		long = fmt.Sprintf("(%02d:%02d)", int(d.Hours())%24, int(d.Minutes())%60)
		if days > 0 {
			long = fmt.Sprintf("(%d+%02d:%02d)", days, int(d.Hours())%24, int(d.Minutes())%60)
		}
		if end == "" {
			end = l.out.Format(outForm)
		}
	}
	s := fmt.Sprintf("%-8s %-12s ", user, l.line)
	if !o.Has("R") && !o.Has("a") {
		s += fmt.Sprintf("%-16s ", host)
	}
	s += l.in.Format(form) + " "
	if strings.HasPrefix(end, "still") {
		s += map[bool]string{true: " ", false: "  "}[o.Has("F") && end == "still logged in"] + end
	} else {
		s += fmt.Sprintf("%-7s %s", end, map[bool]string{true: " ", false: ""}[!strings.Contains(long, "+")]+long)
	}
	if o.Has("a") {
		s = fmt.Sprintf("%-64s %s", s, host)
	}
	return s
}

func lastlog(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "b:Chr:R:St:u:", "before/b clear/C help/h root/R set/S time/t user/u")
	if o.Bad != "" || len(o.Args) > 0 {
		complain(p, "Usage: lastlog [options]\n\nOptions:\n  -b, --before DAYS             print only lastlog records older than DAYS\n  -C, --clear                   clear lastlog record of an user (usable only with -u)\n  -h, --help                    display this help message and exit\n  -R, --root CHROOT_DIR         directory to chroot into\n  -S, --set                     set lastlog record to current time (usable only with -u)\n  -t, --time DAYS               print only lastlog records more recent than DAYS\n  -u, --user LOGIN              print lastlog record of the specified LOGIN\n")
		return 2
	}
	h, err := p.M.FS.Open(p.Caller, "/var/log/lastlog", 0, 0)
	if err != nil {
		complain(p, "lastlog: Failed to open /var/log/lastlog: %s", err)
		return 1
	}
	defer h.Close() //nolint:errcheck // only read
	head := "Username         Port     From                                       Latest\n"
	for _, a := range p.M.Accounts() {
		if o.Has("u") && a.Name != o.Get("u") && strconv.Itoa(int(a.UID)) != o.Get("u") {
			continue
		}
		b := make([]byte, utmp.LastlogSize)
		n, _ := h.ReadAt(b, int64(a.UID)*utmp.LastlogSize)
		l := utmp.ParseLastlog(b[:n])
		days, err := strconv.Atoi(o.Get("t"))
		if o.Has("t") && (err != nil || p.Now().Sub(l.At) > time.Duration(days)*24*time.Hour) {
			continue
		}
		put(p, "%s", head)
		head = ""
		if l.At.IsZero() {
			put(p, "%-16s %-8.8s %-42s **Never logged in**\n", a.Name, "", "")
			continue
		}
		put(p, "%-16s %-8.8s %-42s %s\n", a.Name, l.Line, l.Host, l.At.Format("Mon Jan _2 15:04:05 -0700 2006"))
	}
	if o.Has("u") && head != "" {
		if _, ok := p.M.Account(o.Get("u")); !ok {
			complain(p, "lastlog: Unknown user or range: %s", o.Get("u"))
			return 3
		}
	}
	return 0
}

// utmpdump shows a book's records as text.
func utmpdump(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "fro:hV", "follow/f reverse/r output/o help/h version/V")
	if o.Bad != "" || len(o.Args) > 1 {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) == 0 {
		complain(p, "Utmp dump of stdin")
		return 0
	}
	list, err := records(p, p.Abs(o.Args[0]))
	if err != nil {
		complain(p, "utmpdump: cannot open %s: %s", o.Args[0], err)
		return 1
	}
	complain(p, "Utmp dump of %s", o.Args[0])
	for _, r := range list {
		a := r.Addr
		put(p, "[%d] [%05d] [%-4.4s] [%-8.8s] [%-12.12s] [%-20.20s] [%-15s] [%s]\n", r.Kind, r.PID, r.ID, r.User, r.Line, r.Host, fmt.Sprintf("%d.%d.%d.%d", a[0], a[1], a[2], a[3]), r.At.Format("2006-01-02T15:04:05,000000-07:00"))
	}
	return 0
}
