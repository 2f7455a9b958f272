package netcmd

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// lsof lists open files: of sockets with -i, else of processes.
func lsof(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "nPlRtabUVhN?i?p:u:c:d:s:F?g?+D:", "")
	switch {
	case o.Has("h"), o.Bad != "":
		complain(p, "lsof: unacceptable file system or option\nlsof 4.95.0\n usage: [-?abhKlnNoOPRtUvVX] [+|-c c] [+|-d s] [+D D] [+|-E] [+|-e s] [+|-f[gG]]\n")
		return 1
	case o.Has("V") && o.Len() == 1:
		complain(p, "lsof version information:\n    revision: 4.95.0\n")
		return 0
	}
	var rows [][]string
	pids := map[int]bool{}
	keep := func(pid int, name, user string) bool {
		return (!o.Has("p") || slices.Contains(strings.Split(o.Get("p"), ","), strconv.Itoa(pid))) && (!o.Has("c") || strings.HasPrefix(name, o.Get("c"))) && (!o.Has("u") || user == o.Get("u"))
	}
	if !o.Has("i") && len(o.Args) == 0 {
		for _, e := range p.M.Table.List() {
			if keep(e.PID, e.Name, e.User) && (p.Caller.UID == 0 || p.Caller.UID == e.UID) && !o.Has("U") {
				rows = append(rows, filesOf(p, e)...)
				pids[e.PID] = true
			}
		}
	}
	want := o.Get("i")
	if want == "" && o.Has("i") && len(o.Args) > 0 {
		want = o.Args[0]
	}
	for _, s := range sockets(p) {
		if s.PID == 0 || len(o.Args) > 0 && !o.Has("i") || p.Caller.UID != 0 || !keep(s.PID, s.Name, "root") || !internet(s, want) {
			continue
		}
		pids[s.PID] = true
		rows = append(rows, socketRow(p, o, s))
	}
	for _, f := range o.Args {
		if o.Has("i") {
			break
		}
		if _, err := p.M.FS.Stat(p.Caller, p.Abs(f)); err != nil {
			complain(p, "lsof: status error on %s: %s\n", f, err)
		}
	}
	if len(rows) == 0 {
		return 1
	}
	if o.Has("t") {
		for _, pid := range slices.Sorted(maps.Keys(pids)) {
			put(p, "%d\n", pid)
		}
		return 0
	}
	table(p, append([][]string{{"COMMAND", "PID", "USER", "FD", "TYPE", "DEVICE", "SIZE/OFF", "NODE", "NAME"}}, rows...))
	return 0
}

// internet reports whether a socket is what -i names: 4, 6, tcp, udp, :port.
func internet(s persona.Socket, want string) bool {
	want = strings.ToLower(want)
	switch {
	case strings.HasPrefix(want, "4") && strings.HasSuffix(s.Proto, "6"), strings.HasPrefix(want, "6") && !strings.HasSuffix(s.Proto, "6"):
		return false
	}
	want = strings.TrimLeft(want, "46")
	for _, proto := range []string{"tcp", "udp"} {
		if rest, ok := strings.CutPrefix(want, proto); ok {
			if !strings.HasPrefix(s.Proto, proto) {
				return false
			}
			want = rest
		}
	}
	_, port, ok := strings.Cut(want, ":")
	if !ok {
		return true
	}
	for _, end := range []string{s.Local, s.Peer} {
		n := end[strings.LastIndexByte(end, ':')+1:]
		if n == port || services[n] == port {
			return true
		}
	}
	return false
}

// socketRow is a socket's line.
func socketRow(p *kernel.Proc, o getopt.Opts, s persona.Socket) []string {
	name := func(end string) string {
		addr, port := halves(end, o.Has("P"))
		switch {
		case addr == "0.0.0.0" || addr == "[::]":
			addr = "*"
		case addr == p.M.Persona.NICs[0].IPv4 && !o.Has("n"):
			addr = p.M.Persona.FQDN()
		}
		return addr + ":" + port
	}
	text, fd := name(s.Local), "3u"
	switch s.State {
	case "LISTEN":
		text += " (LISTEN)"
		if strings.HasSuffix(s.Proto, "6") {
			fd = "4u"
		}
	case "ESTAB":
		text, fd = text+"->"+name(s.Peer)+" (ESTABLISHED)", "4u"
	}
	kind := "IPv4"
	if strings.HasSuffix(s.Proto, "6") {
		kind = "IPv6"
	}
	user := p.M.UserName(s.UID)
	return []string{s.Name, strconv.Itoa(s.PID), user, fd, kind, strconv.Itoa(s.Inode), "0t0", strings.ToUpper(strings.TrimSuffix(s.Proto, "6")), text}
}

// filesOf are the directory, the program and the descriptors of a process.
func filesOf(p *kernel.Proc, e kernel.Entry) [][]string {
	name := e.Name[:min(len(e.Name), 9)]
	row := func(fd, kind, device, size, node, file string) []string {
		return []string{name, strconv.Itoa(e.PID), e.User, fd, kind, device, size, node, file}
	}
	dir := e.Dir
	if dir == "" {
		dir = "/"
	}
	out := [][]string{row("cwd", "DIR", "8,1", "4096", "2", dir), row("rtd", "DIR", "8,1", "4096", "2", "/")}
	if e.Exe == "" {
		return append(out, row("txt", "unknown", "", "", "", fmt.Sprintf("/proc/%d/exe", e.PID)))
	}
	size := "0"
	if in, err := p.M.FS.Stat(p.Caller, e.Exe); err == nil {
		size = strconv.FormatInt(in.Size, 10)
	}
	out = append(out, row("txt", "REG", "8,1", size, strconv.Itoa(130_000+e.PID%9000), e.Exe))
	for i, fd := range []string{"0", "1", "2"} {
		if e.Live && e.TTY != "?" {
			out = append(out, row(fd+"u", "CHR", "136,0", "0t0", "3", "/dev/"+e.TTY))
			continue
		}
		out = append(out, row(fd+map[bool]string{true: "r", false: "u"}[i == 0], "CHR", "1,3", "0t0", "5", "/dev/null"))
	}
	return out
}

// table prints rows as lsof does: numbers to the right.
func table(p *kernel.Proc, rows [][]string) {
	width := make([]int, 9)
	for _, r := range rows {
		for i, c := range r {
			width[i] = max(width[i], len(c))
		}
	}
	for _, r := range rows {
		put(p, "%-9s %*s %*s %4s%s  %*s %*s %*s %*s %s\n", r[0], width[1], r[1], width[2], r[2], strings.TrimRight(r[3], "ruw"), pad(r[3]), width[4], r[4], width[5], r[5], width[6], r[6], width[7], r[7], r[8])
	}
}

// pad is the letter after a descriptor's number, or a blank.
func pad(fd string) string {
	if fd == "FD" || fd != "" && !strings.ContainsAny(fd[len(fd)-1:], "ruw") {
		return " "
	}
	return fd[len(fd)-1:]
}
