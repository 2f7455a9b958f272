package system

import (
	"context"
	"fmt"
	"io"
	"regexp"
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

func top(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bcd:e:E:Hhiln:o:Op:sSu:U:w?1V", "")
	switch {
	case o.Bad != "":
		fmt.Fprintf(p.Stderr(), "top: %s\nUsage:\n  top -hv | -bcEeHiOSs1 -d secs -n max -u|U user -p pid(s) -o field -w [cols]\n", strings.Replace(o.Bad, "invalid option --", "unknown option", 1)) //nolint:errcheck // the visitor's own stderr
		return 1
	case o.Has("h", "V"):
		put(p, "top from procps-ng %s\nUsage:\n  top -hv | -bcEeHiOSs1 -d secs -n max -u|U user -p pid(s) -o field -w [cols]\n", getopt.PackageVersion(p, "procps"))
		return 0
	}
	batch := o.Has("b")
	if term := p.Getenv("TERM"); !batch && term == "" {
		fmt.Fprint(p.Stderr(), "TERM environment variable not set.\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	if !batch && !p.IsTTY(0) {
		fmt.Fprint(p.Stderr(), "\ttop: failed tty get\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	every, ok := span(o.Get("d"))
	if !ok || every < 100*time.Millisecond {
		every = 3 * time.Second
	}
	keys := make(chan byte, 1)
	if !batch {
		old := p.S.TTY.SetRaw(true)
		defer p.S.TTY.SetRaw(old)
		ctx2, cancel := context.WithCancel(ctx)
		defer cancel()
		go topKeys(ctx2, p.Stdin(), keys)
	}
	for n := o.Int("n", -1); n != 0 && ctx.Err() == nil; n-- {
		topPage(p, batch)
		if n == 1 {
			break
		}
		wait, cancel := context.WithCancel(ctx)
		stop := p.M.Clock.AfterFunc(every, cancel)
		select {
		case <-wait.Done():
		case <-keys:
			n = 1
		}
		stop()
		cancel()
	}
	return 0
}

// topKeys waits for q or Ctrl-C.
func topKeys(ctx context.Context, in io.Reader, out chan<- byte) {
	var b [1]byte
	for ctx.Err() == nil {
		n, err := in.Read(b[:])
		if n == 0 || err != nil || b[0] == 'q' || b[0] == 3 {
			out <- 'q'
			return
		}
	}
}

func topPage(p *kernel.Proc, batch bool) {
	now := p.Now()
	list := p.M.Table.List()
	sort.SliceStable(list, func(i, j int) bool { return list[i].Live && !list[j].Live })
	i := p.M.MemInfo(now)
	mib := func(kb int64) float64 { return float64(kb) / 1024 }
	buff := i.Buffers + i.Cached
	rows := len(list)
	if !batch {
		put(p, "\x1b[H\x1b[J")
		if p.S.TTY != nil {
			h, _ := p.S.TTY.Size()
			rows = min(rows, max(h-8, 5))
		}
	}
	us := 0.2 + float64(now.Unix()%7)/10
	put(p, "top -%s\nTasks: %3d total,   1 running, %3d sleeping,   0 stopped,   0 zombie\n%%Cpu(s): %4.1f us,  0.3 sy,  0.0 ni, %4.1f id,  0.0 wa,  0.0 hi,  0.0 si,  0.0 st \n", upLine(p), len(list), len(list)-1, us, 99.7-us)
	put(p, "MiB Mem : %8.1f total, %8.1f free, %8.1f used, %8.1f buff/cache     \nMiB Swap: %8.1f total, %8.1f free, %8.1f used. %8.1f avail Mem \n\n", mib(i.Total), mib(i.Free), mib(i.Total-i.Free-buff), mib(buff), mib(i.SwapTotal), mib(i.SwapFree), 0.0, mib(i.Available))
	put(p, "    PID USER      PR  NI    VIRT    RES    SHR S  %%CPU  %%MEM     TIME+ COMMAND\n")
	for _, e := range list[:rows] {
		state, cpu := e.State[:1], 0.0
		if e.Live && e.PID == p.PID {
			state, cpu = "R", 0.3
		}
		put(p, "%7d %-8.8s %3d %3d %7d %6d %6d %s %5.1f %5.1f %6d:%02d.%02d %s\n", e.PID, uid(p, e), 20+e.Nice, e.Nice, e.VSZ, e.RSS, e.RSS*3/4, state, cpu, float64(e.RSS)*100/float64(i.Total), int(e.CPU.Minutes()), int(e.CPU.Seconds())%60, e.PID%100, e.Name)
	}
}

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
