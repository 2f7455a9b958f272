package system

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const journalOptions = "no-pager lines?/n unit/u boot?/b follow/f since/S until/U disk-usage vacuum-time= vacuum-size= vacuum-files= rotate flush sync list-boots dmesg/k identifier/t output/o " +
	"priority/p reverse/r pager-end/e catalog/x quiet/q all/a full/l grep/g no-hostname utc verify header directory/D file= merge/m system user user-unit= facility= no-full fields/N field/F"

func journalctl(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aefkqrxn?u:b?o:p:S:U:t:D:mlg:NF:c:", journalOptions)
	id := p.M.Persona.MachineID
	switch {
	case o.Bad == "--version":
		k, _ := p.M.Persona.Package("systemd")
		major, _, _ := strings.Cut(getopt.PackageVersion(p, "systemd"), ".")
		put(p, "systemd %s (%s)\n", major, k.Version)
		return 0
	case o.Bad != "":
		complain(p, "journalctl: %s", o.Bad)
		return 1
	case o.Has("disk-usage"):
		put(p, "Archived and active journals take up 24.0M in the file system.\n")
		return 0
	case o.Has("vacuum-time", "vacuum-size", "vacuum-files"):
		complain(p, "Vacuuming done, freed 0B of archived journals from /run/log/journal.\nVacuuming done, freed 0B of archived journals from /var/log/journal/%s.\nVacuuming done, freed 0B of archived journals from /var/log/journal.", id)
		return 0
	case o.Has("rotate", "flush", "sync"):
		return mayManage(p, "rotate journal")
	case p.Caller.UID != 0 && !inGroups(p, "adm", "systemd-journal"):
		complain(p, "Hint: You are currently not seeing messages from other users and the system.\n      Users in groups 'adm', 'systemd-journal' can see all messages.\n      Pass -q to turn off this notice.\nNo journal files were opened due to insufficient permissions.")
		return 1
	}
	if _, err := p.M.FS.Stat(p.Caller, "/var/log/journal/"+id+"/system.journal"); err != nil || p.M.Journal == nil {
		complain(p, "No journal files were found.")
		put(p, "-- No entries --\n")
		return 0
	}
	if o.Has("list-boots") {
		first := maxTime(p.M.Persona.Boot, p.M.Journal.Began())
		put(p, "IDX BOOT ID                          FIRST ENTRY                 LAST ENTRY                 \n  0 %s %s %s\n", bootID(p), first.Format("Mon 2006-01-02 15:04:05 MST"), p.Now().UTC().Format("Mon 2006-01-02 15:04:05 MST"))
		return 0
	}
	return showJournal(ctx, p, o)
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// bootID is the id that the kernel drew at its start: /proc/sys/kernel/random/boot_id
// without its dashes.
func bootID(p *kernel.Proc) string {
	data, err := p.M.FS.ReadFile(vfs.Root(), "/proc/sys/kernel/random/boot_id", 64)
	if err != nil {
		return p.M.Persona.MachineID
	}
	return strings.TrimSpace(strings.ReplaceAll(string(data), "-", ""))
}

func inGroups(p *kernel.Proc, names ...string) bool {
	for _, g := range groupsOf(p, p.M.UserName(p.Caller.UID), p.Caller.GID) {
		if slices.Contains(names, p.M.GroupName(g)) {
			return true
		}
	}
	return false
}

func showJournal(ctx context.Context, p *kernel.Proc, o getopt.Opts) int {
	from, to := p.M.Journal.Began(), p.Now().Add(time.Second)
	lines := o.Get("n")
	if len(o.Args) > 0 && o.Has("n", "b") && lines == "" && strings.Trim(o.Args[0], "+-0123456789") == "" { // -n 20
		lines, o.Args = o.Args[0], o.Args[1:]
	}
	for _, a := range o.Args {
		if !strings.Contains(a, "=") && !strings.HasPrefix(a, "/") {
			complain(p, "Failed to add match '%s': Invalid argument", a)
			return 1
		}
	}
	if o.Has("b", "k") {
		from = maxTime(from, p.M.Persona.Boot)
	}
	for opt, at := range map[string]*time.Time{"S": &from, "U": &to} {
		if !o.Has(opt) {
			continue
		}
		t, ok := stampOf(o.Get(opt), p.Now())
		if !ok {
			complain(p, "Failed to parse timestamp: %s", o.Get(opt))
			return 1
		}
		*at = t
	}
	n := -1
	if o.Has("n") || o.Has("f") || o.Has("e") {
		n = map[bool]int{true: 1000, false: 10}[o.Has("e") && !o.Has("n")]
		if v := lines; v != "" && v != "all" {
			k, err := strconv.Atoi(strings.TrimPrefix(v, "+"))
			if err != nil || k < 0 {
				complain(p, "Failed to parse lines '%s'", v)
				return 1
			}
			n = k
		}
	}
	list := slices.DeleteFunc(p.M.Journal.Entries(from, to), func(e kernel.LogEntry) bool { return !chosenEntry(o, e) })
	if p.Step(int64(len(list))) != nil {
		return 1
	}
	if n >= 0 {
		list = list[max(0, len(list)-n):]
	}
	if o.Has("r") {
		slices.Reverse(list)
	}
	if len(list) == 0 && !o.Has("q") {
		put(p, "-- No entries --\n")
	}
	for _, e := range list {
		put(p, "%s", entryText(p, o.Get("o"), e))
	}
	for last := to; o.Has("f") && p.M.Clock.Sleep(ctx, 500*time.Millisecond) == nil; {
		now := p.Now()
		for _, e := range p.M.Journal.Entries(last, now) {
			if chosenEntry(o, e) {
				put(p, "%s", entryText(p, o.Get("o"), e))
			}
		}
		last = maxTime(last, now)
	}
	return 0
}

// chosenEntry reports whether the options let a line through.
func chosenEntry(o getopt.Opts, e kernel.LogEntry) bool {
	switch {
	case o.Has("k") && e.Facility != kernel.Kern:
		return false
	case o.Has("t") && e.Tag != o.Get("t"):
		return false
	case o.Has("g") && !strings.Contains(strings.ToLower(e.Text), strings.ToLower(o.Get("g"))):
		return false
	case o.Has("p") && priority(e) > level(o.Get("p")):
		return false
	}
	if !o.Has("u") {
		return true
	}
	return slices.ContainsFunc(o.All("u"), func(u string) bool {
		if !strings.Contains(u, ".") {
			u += ".service"
		}
		if u == "sshd.service" {
			u = "ssh.service"
		}
		if e.Tag == "systemd" {
			return strings.Contains(e.Text, u)
		}
		return unitOfTag(e.Tag) == u
	})
}

func unitOfTag(tag string) string {
	switch tag {
	case "sshd":
		return "ssh.service"
	case "CRON", "cron":
		return "cron.service"
	}
	return tag + ".service"
}

func priority(e kernel.LogEntry) int {
	if strings.Contains(e.Text, "failure") || strings.Contains(e.Text, "deprecated") {
		return 5
	}
	return 6
}

func level(s string) int {
	if i := strings.LastIndex(s, ".."); i >= 0 {
		s = s[i+2:]
	}
	for i, n := range []string{"emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"} {
		if s == n || s == strconv.Itoa(i) {
			return i
		}
	}
	return 7
}

// stampOf reads a time of --since: a date, a time of day, a word, a span ago.
func stampOf(s string, now time.Time) (time.Time, bool) {
	s = strings.TrimSpace(s)
	day := now.UTC().Truncate(24 * time.Hour)
	switch s {
	case "now":
		return now, true
	case "today":
		return day, true
	case "yesterday":
		return day.AddDate(0, 0, -1), true
	case "tomorrow":
		return day.AddDate(0, 0, 1), true
	}
	for _, f := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", time.RFC3339} {
		if t, err := time.ParseInLocation(f, s, time.UTC); err == nil {
			return t, true
		}
	}
	for _, f := range []string{"15:04:05", "15:04"} {
		if t, err := time.Parse(f, s); err == nil {
			return day.Add(time.Duration(t.Hour())*time.Hour + time.Duration(t.Minute())*time.Minute + time.Duration(t.Second())*time.Second), true
		}
	}
	ago, isAgo := strings.CutSuffix(s, "ago")
	if !isAgo {
		ago, isAgo = strings.CutPrefix(s, "-")
	}
	if !isAgo {
		return now, false
	}
	return backBy(ago, now)
}

func backBy(s string, now time.Time) (time.Time, bool) {
	s = strings.ReplaceAll(strings.TrimSpace(s), " ", "")
	i := strings.IndexFunc(s, func(r rune) bool { return r < '0' || r > '9' })
	if i <= 0 {
		return now, false
	}
	n, err := strconv.Atoi(s[:i])
	unit, ok := map[string]time.Duration{
		"s": time.Second, "sec": time.Second, "second": time.Second, "min": time.Minute, "m": time.Minute, "minute": time.Minute, "h": time.Hour, "hour": time.Hour, "hr": time.Hour,
		"d": 24 * time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour, "w": 7 * 24 * time.Hour, "month": 30 * 24 * time.Hour,
	}[strings.TrimSuffix(s[i:], "s")]
	if s[i:] == "s" {
		unit, ok = time.Second, true
	}
	return now.Add(-time.Duration(n) * unit), ok && err == nil && n < 100_000
}

// entryText is a line of the journal in one of its forms.
func entryText(p *kernel.Proc, form string, e kernel.LogEntry) string {
	tag := e.Tag
	if e.PID > 0 {
		tag += "[" + strconv.Itoa(e.PID) + "]"
	}
	rest := " " + p.M.Persona.Hostname + " " + tag + ": " + e.Text + "\n"
	switch form {
	case "cat":
		return e.Text + "\n"
	case "short-iso":
		return e.At.Format("2006-01-02T15:04:05-0700") + rest
	case "short-iso-precise":
		return e.At.Format("2006-01-02T15:04:05.000000-0700") + rest
	case "short-precise":
		return e.At.Format("Jan 02 15:04:05.000000") + rest
	case "short-full":
		return e.At.UTC().Format("Mon 2006-01-02 15:04:05 MST") + rest
	case "short-unix":
		return strconv.FormatFloat(float64(e.At.UnixMicro())/1e6, 'f', 6, 64) + rest
	case "json", "json-pretty":
		b, err := json.Marshal(map[string]string{
			"__REALTIME_TIMESTAMP": strconv.FormatInt(e.At.UnixMicro(), 10), "_BOOT_ID": bootID(p), "_MACHINE_ID": p.M.Persona.MachineID, "_HOSTNAME": p.M.Persona.Hostname,
			"SYSLOG_IDENTIFIER": e.Tag, "_PID": strconv.Itoa(e.PID), "MESSAGE": e.Text, "PRIORITY": strconv.Itoa(priority(e)), "_SYSTEMD_UNIT": unitOfTag(e.Tag), "_TRANSPORT": "syslog",
		})
		if err != nil {
			return ""
		}
		return string(b) + "\n"
	}
	return e.At.Format("Jan 02 15:04:05") + rest
}

// logger writes to the host's log.
func logger(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+if:t:p:sden:P:TU:u:S:", "id? file/f tag/t priority/p stderr/s udp/d tcp/T no-act server/n port/P size/S skip-empty/e")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	tag := o.Get("t")
	if tag == "" {
		tag = p.M.UserName(p.Caller.UID)
	}
	facility := kernel.Daemon
	if strings.HasPrefix(o.Get("p"), "auth") {
		facility = kernel.Auth
	}
	say := func(text string) {
		e := kernel.LogEntry{At: p.Now(), Facility: facility, Tag: tag, Text: text}
		if o.Has("i", "id") {
			e.PID = p.PID
		}
		p.M.Ledger.Log(e)
		if o.Has("s") {
			complain(p, "<13>%s %s: %s", e.At.UTC().Format("Jan _2 15:04:05"), tag, text)
		}
	}
	if len(o.Args) > 0 {
		say(strings.Join(o.Args, " "))
		return 0
	}
	var in []byte
	if o.Has("f") {
		data, err := p.M.FS.ReadFile(p.Caller, p.Abs(o.Get("f")), 64<<10)
		if err != nil {
			complain(p, "logger: file %s: %s", o.Get("f"), err)
			return 1
		}
		in = data
	} else {
		in = make([]byte, 64<<10)
		n := 0
		for n < len(in) {
			k, err := p.Stdin().Read(in[n:])
			n += k
			if err != nil || k == 0 {
				break
			}
		}
		in = in[:n]
	}
	for l := range strings.Lines(string(in)) {
		if l = strings.TrimSuffix(l, "\n"); l != "" && p.Step(1) == nil {
			say(l)
		}
	}
	return 0
}
