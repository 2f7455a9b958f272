package system

import (
	"context"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func uid(p *kernel.Proc, e kernel.Entry) string {
	if e.Live {
		return p.M.UserName(e.UID)
	}
	return e.User
}

// psColumn is one column of ps.
type psColumn struct {
	head  string
	width int // negative: to the left
	value func(*psRun, kernel.Entry) string
}

// psRun is one ps with its selection.
type psRun struct {
	p      *kernel.Proc
	now    time.Time
	total  float64
	cols   []psColumn
	names  []string
	noHead bool
	tree   bool
	sortBy string
}

func clip(s string, n int) string {
	if len(s) > n {
		return s[:n-1] + "+"
	}
	return s
}

func psStart(r *psRun, e kernel.Entry) string {
	if r.now.Sub(e.Started) > 24*time.Hour {
		return e.Started.UTC().Format("Jan02")
	}
	return e.Started.UTC().Format("15:04")
}

func hms(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d:%02d", int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60)
}

var psColumns = map[string]psColumn{
	"user":   {"USER", -8, func(r *psRun, e kernel.Entry) string { return clip(uid(r.p, e), 8) }},
	"uid":    {"UID", 5, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(int(e.UID)) }},
	"UID":    {"UID", -8, func(r *psRun, e kernel.Entry) string { return clip(uid(r.p, e), 8) }},
	"pid":    {"PID", 7, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(e.PID) }},
	"ppid":   {"PPID", 7, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(e.PPID) }},
	"pgid":   {"PGID", 7, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(max(e.PGID, e.PID)) }},
	"sid":    {"SID", 7, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(e.PID) }},
	"%cpu":   {"%CPU", 4, psCPU},
	"%mem":   {"%MEM", 4, func(r *psRun, e kernel.Entry) string { return fmt.Sprintf("%.1f", float64(e.RSS)*100/r.total) }},
	"vsz":    {"VSZ", 6, func(_ *psRun, e kernel.Entry) string { return strconv.FormatInt(e.VSZ, 10) }},
	"rss":    {"RSS", 5, func(_ *psRun, e kernel.Entry) string { return strconv.FormatInt(e.RSS, 10) }},
	"tty":    {"TTY", -8, func(_ *psRun, e kernel.Entry) string { return e.TTY }},
	"stat":   {"STAT", -4, func(_ *psRun, e kernel.Entry) string { return e.State }},
	"s":      {"S", -1, func(_ *psRun, e kernel.Entry) string { return e.State[:1] }},
	"start":  {"START", 5, psStart},
	"stime":  {"STIME", 5, psStart},
	"lstart": {"STARTED", 24, func(_ *psRun, e kernel.Entry) string { return e.Started.UTC().Format("Mon Jan _2 15:04:05 2006") }},
	"etime":  {"ELAPSED", 11, func(r *psRun, e kernel.Entry) string { return elapsed(r.now.Sub(e.Started)) }},
	"bsdtime": {"TIME", 6, func(_ *psRun, e kernel.Entry) string {
		return fmt.Sprintf("%d:%02d", int(e.CPU.Minutes()), int(e.CPU.Seconds())%60)
	}},
	"time":  {"TIME", 8, func(_ *psRun, e kernel.Entry) string { return hms(e.CPU) }},
	"c":     {"C", 2, func(*psRun, kernel.Entry) string { return "0" }},
	"ni":    {"NI", 3, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(e.Nice) }},
	"pri":   {"PRI", 3, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(19 - e.Nice) }},
	"nlwp":  {"NLWP", 4, func(_ *psRun, e kernel.Entry) string { return strconv.Itoa(max(e.Threads, 1)) }},
	"wchan": {"WCHAN", -6, func(*psRun, kernel.Entry) string { return "-" }},
	"comm":  {"COMMAND", 0, func(_ *psRun, e kernel.Entry) string { return e.Name }},
	"ucmd":  {"CMD", 0, func(_ *psRun, e kernel.Entry) string { return e.Name }},
	"args":  {"COMMAND", 0, func(_ *psRun, e kernel.Entry) string { return e.Command }},
	"cmd":   {"CMD", 0, func(_ *psRun, e kernel.Entry) string { return e.Command }},
}

var psAlias = map[string]string{"pcpu": "%cpu", "pmem": "%mem", "command": "args", "tt": "tty", "tname": "tty", "euser": "user", "ruser": "user", "state": "s", "cputime": "time", "nice": "ni", "start_time": "stime", "rsz": "rss", "vsize": "vsz", "ucomm": "comm", "thcount": "nlwp", "sess": "sid", "cgroup": "comm"}

func psCPU(r *psRun, e kernel.Entry) string {
	age := r.now.Sub(e.Started).Seconds()
	if age < 1 {
		return "0.0"
	}
	return fmt.Sprintf("%.1f", min(e.CPU.Seconds()*100/age, 99))
}

func elapsed(d time.Duration) string {
	s := int(d.Seconds())
	switch {
	case s >= 86400:
		return fmt.Sprintf("%d-%02d:%02d:%02d", s/86400, s/3600%24, s/60%60, s%60)
	case s >= 3600:
		return fmt.Sprintf("%02d:%02d:%02d", s/3600, s/60%60, s%60)
	}
	return fmt.Sprintf("%02d:%02d", s/60, s%60)
}

// psArgs is a command line of ps, both styles.
type psArgs struct {
	bsd, unix string
	formats   []string
	pids      []string
	users     []string
	comms     []string
	sortBy    string
	noHead    bool
	bad       string
}

func parsePS(args []string) psArgs {
	var a psArgs
	for i := 0; i < len(args); i++ {
		w := args[i]
		value := func(rest string) string {
			if rest == "" && i+1 < len(args) {
				i++
				rest = args[i]
			}
			return rest
		}
		switch {
		case strings.HasPrefix(w, "--"):
			a.long(w, value)
		case strings.HasPrefix(w, "-") && len(w) > 1:
			for j := 1; j < len(w); j++ {
				if strings.IndexByte("oOpuUCtgG", w[j]) < 0 {
					a.unix += w[j : j+1]
					continue
				}
				a.take(w[j], value(w[j+1:]))
				break
			}
		case w != "" && w[0] >= '0' && w[0] <= '9':
			a.pids = append(a.pids, w)
		default:
			for j := range len(w) {
				if w[j] == 'o' || w[j] == 'p' || w[j] == 'U' {
					a.take(w[j], value(w[j+1:]))
					break
				}
				a.bsd += w[j : j+1]
			}
		}
	}
	if strings.Trim(a.bsd, "aeuxfjlvwrcgnhmSTXtLsk") != "" || strings.Trim(a.unix, "AeafFjlLmTwyHNMdPVcZ") != "" {
		a.bad = "unsupported option (BSD syntax)"
		if strings.Trim(a.unix, "AeafFjlLmTwyHNMdPVcZ") != "" {
			a.bad = "unsupported SysV option"
		}
	}
	return a
}

func (a *psArgs) long(w string, value func(string) string) {
	name, v, has := strings.Cut(w, "=")
	if !has && strings.Contains(" --sort --pid --ppid --format --user ", " "+name+" ") {
		v = value("")
	}
	switch name {
	case "--sort":
		a.sortBy = v
	case "--pid":
		a.take('p', v)
	case "--format":
		a.take('o', v)
	case "--user":
		a.take('u', v)
	case "--no-headers", "--noheader", "--no-heading", "--no-headings":
		a.noHead = true
	case "--forest":
		a.bsd += "f"
	}
}

func (a *psArgs) take(opt byte, v string) {
	list := strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
	switch opt {
	case 'o', 'O':
		a.formats = append(a.formats, list...)
	case 'p':
		a.pids = append(a.pids, list...)
	case 'u', 'U':
		a.users = append(a.users, list...)
	case 'C':
		a.comms = append(a.comms, list...)
	}
}

func ps(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) == 2 && (p.Args[1] == "--version" || p.Args[1] == "-V") {
		put(p, "ps from procps-ng %s\n", getopt.PackageVersion(p, "procps"))
		return 0
	}
	a := parsePS(p.Args[1:])
	if a.bad != "" {
		fmt.Fprintf(p.Stderr(), "error: %s\n\nUsage:\n ps [options]\n\n Try 'ps --help <simple|list|output|threads|misc|all>'\n  or 'ps --help <s|l|o|t|m|a>'\n for additional help text.\n\nFor more details see ps(1).\n", a.bad) //nolint:errcheck // the visitor's own stderr
		return 1
	}
	r := &psRun{p: p, now: p.Now(), total: float64(p.M.Persona.Memory.TotalKB), noHead: a.noHead || strings.Contains(a.bsd, "h"), sortBy: a.sortBy, tree: strings.Contains(a.bsd, "f") || strings.Contains(a.unix, "H")}
	cols := "pid tty time ucmd"
	switch {
	case len(a.formats) > 0:
		cols = strings.Join(a.formats, " ")
	case strings.Contains(a.bsd, "u"):
		cols = "user pid %cpu %mem vsz rss tty stat start bsdtime args"
	case strings.Contains(a.unix, "f") || strings.Contains(a.unix, "F"):
		cols = "UID pid ppid c stime tty time cmd"
	case strings.Contains(a.unix, "l") || strings.Contains(a.bsd, "l"):
		cols = "s uid pid ppid c pri ni vsz wchan tty time ucmd"
	case strings.Contains(a.unix, "j"):
		cols = "pid pgid sid tty time ucmd"
	case a.bsd != "":
		cols = "pid tty stat bsdtime args"
	}
	for c := range strings.FieldsSeq(cols) {
		name, title, renamed := strings.Cut(c, "=")
		if al, ok := psAlias[name]; ok {
			name = al
		}
		col, ok := psColumns[name]
		if !ok {
			fmt.Fprintf(p.Stderr(), "error: unknown user-defined format specifier \"%s\"\n\nUsage:\n ps [options]\n\n Try 'ps --help <simple|list|output|threads|misc|all>'\n  or 'ps --help <s|l|o|t|m|a>'\n for additional help text.\n\nFor more details see ps(1).\n", name) //nolint:errcheck // the visitor's own stderr
			return 1
		}
		if renamed {
			col.head = title
		}
		r.cols, r.names = append(r.cols, col), append(r.names, name)
	}
	return r.show(r.pick(a))
}

func (r *psRun) pick(a psArgs) []kernel.Entry {
	all := strings.ContainsAny(a.unix, "eA") || strings.Contains(a.bsd, "x") && strings.ContainsAny(a.bsd, "a")
	var out []kernel.Entry
	for _, e := range r.p.M.Table.List() {
		var ok bool
		switch {
		case len(a.pids) > 0 || len(a.users) > 0 || len(a.comms) > 0:
			ok = slices.Contains(a.pids, strconv.Itoa(e.PID)) || slices.Contains(a.comms, e.Name) || slices.Contains(a.users, uid(r.p, e)) || slices.Contains(a.users, strconv.Itoa(int(e.UID)))
		case all:
			ok = true
		case strings.Contains(a.bsd, "x"):
			ok = e.UID == r.p.Caller.UID && (e.Live || e.User == r.p.M.UserName(r.p.Caller.UID))
		case strings.Contains(a.bsd, "a") || strings.Contains(a.unix, "a"):
			ok = e.TTY != "?"
		default:
			ok = e.Live && e.UID == r.p.Caller.UID && (r.p.S.Line == "" || e.TTY == r.p.S.Line)
		}
		if ok {
			out = append(out, e)
		}
	}
	return out
}

func (r *psRun) order(list []kernel.Entry) {
	key := strings.TrimLeft(r.sortBy, "-+")
	if al, ok := psAlias[key]; ok {
		key = al
	}
	less := map[string]func(a, b kernel.Entry) bool{
		"%cpu": func(a, b kernel.Entry) bool { return a.CPU < b.CPU }, "time": func(a, b kernel.Entry) bool { return a.CPU < b.CPU },
		"%mem": func(a, b kernel.Entry) bool { return a.RSS < b.RSS }, "rss": func(a, b kernel.Entry) bool { return a.RSS < b.RSS }, "vsz": func(a, b kernel.Entry) bool { return a.VSZ < b.VSZ },
		"pid": func(a, b kernel.Entry) bool { return a.PID < b.PID },
	}[key]
	if less == nil {
		return
	}
	sort.SliceStable(list, func(i, j int) bool {
		if strings.HasPrefix(r.sortBy, "-") {
			return less(list[j], list[i])
		}
		return less(list[i], list[j])
	})
}

func (r *psRun) show(list []kernel.Entry) int {
	r.order(list)
	rows := [][]string{}
	for _, e := range list {
		row := make([]string, len(r.cols))
		for i, c := range r.cols {
			row[i] = c.value(r, e)
		}
		rows = append(rows, row)
	}
	var heads strings.Builder
	for i, c := range r.cols {
		w := c.width
		if w > 0 && w < len(c.head) {
			w = len(c.head)
		} else if w < 0 && -w < len(c.head) {
			w = -len(c.head)
		}
		r.cols[i].width = w
		heads.WriteString(c.head)
	}
	line := func(cells []string) string {
		var out strings.Builder
		for i, c := range r.cols {
			cell := cells[i]
			last := i == len(r.cols)-1
			switch {
			case last && c.width <= 0:
				out.WriteString(cell)
			case c.width == 0:
				fmt.Fprintf(&out, "%-15s ", clip(cell, 15))
			case last:
				fmt.Fprintf(&out, "%*s", c.width, cell)
			default:
				fmt.Fprintf(&out, "%*s ", c.width, cell)
			}
		}
		return out.String()
	}
	if !r.noHead && heads.String() != "" {
		var cells []string
		for _, c := range r.cols {
			cells = append(cells, c.head)
		}
		put(r.p, "%s\n", line(cells))
	}
	for _, row := range rows {
		text := line(row)
		if r.p.IsTTY(1) && r.p.S.TTY != nil {
			if _, cols := r.p.S.TTY.Size(); cols > 20 && len(text) > cols {
				text = text[:cols]
			}
		}
		put(r.p, "%s\n", text)
	}
	if len(list) == 0 {
		return 1
	}
	return 0
}
