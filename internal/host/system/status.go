package system

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

func free(_ context.Context, p *kernel.Proc) int {
	i := p.M.MemInfo(p.Now())
	f := letters(p.Args[1:])
	show := func(kb int64) string {
		switch {
		case strings.Contains(f, "h"):
			v, u := float64(kb), 0
			for v >= 1000 && u < 3 {
				v /= 1024
				u++
			}
			if v < 10 {
				return fmt.Sprintf("%.1f%s", v, []string{"Ki", "Mi", "Gi", "Ti"}[u])
			}
			return fmt.Sprintf("%.0f%s", v, []string{"Ki", "Mi", "Gi", "Ti"}[u])
		case strings.Contains(f, "m"):
			return strconv.FormatInt(kb/1024, 10)
		case strings.Contains(f, "g"):
			return strconv.FormatInt(kb/1024/1024, 10)
		case strings.Contains(f, "b"):
			return strconv.FormatInt(kb*1024, 10)
		}
		return strconv.FormatInt(kb, 10)
	}
	buff := i.Buffers + i.Cached
	put(p, "               total        used        free      shared  buff/cache   available\n")
	put(p, "Mem:    %12s%12s%12s%12s%12s%12s\n", show(i.Total), show(i.Total-i.Free-buff), show(i.Free), show(i.Shared), show(buff), show(i.Available))
	put(p, "Swap:   %12s%12s%12s\n", show(i.SwapTotal), show(i.SwapTotal-i.SwapFree), show(i.SwapFree))
	return 0
}

func upLine(p *kernel.Proc) string {
	now := p.Now()
	up := p.M.Uptime(now)
	days := int(up.Hours()) / 24
	h, m := int(up.Hours())%24, int(up.Minutes())%60
	s := fmt.Sprintf(" %s up ", now.UTC().Format("15:04:05"))
	if days > 0 {
		s += fmt.Sprintf("%d day%s, ", days, map[bool]string{true: "s"}[days > 1])
	}
	if h > 0 {
		s += fmt.Sprintf("%2d:%02d", h, m)
	} else {
		s += fmt.Sprintf("%d min", m)
	}
	l := p.M.Load(now)
	procps, _ := p.M.Persona.Package("procps")
	newer := strings.Contains(procps.Version, ":4.") // from 4.0 on "0 user"
	users := 0
	if p.S.Line != "" {
		users = 1
	}
	return fmt.Sprintf("%s,  %d user%s,  load average: %.2f, %.2f, %.2f", s, users, map[bool]string{true: "s", false: ""}[users > 1 || users == 0 && !newer], l[0], l[1], l[2])
}

func uptime(_ context.Context, p *kernel.Proc) int {
	switch letters(p.Args[1:]) {
	case "p":
		up := p.M.Uptime(p.Now())
		put(p, "up %d days, %d hours, %d minutes\n", int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60)
	case "s":
		put(p, "%s\n", p.M.Persona.Boot.Format("2006-01-02 15:04:05"))
	default:
		put(p, "%s\n", upLine(p))
	}
	return 0
}

func who(_ context.Context, p *kernel.Proc) int {
	name := path.Base(p.Args[0])
	if name == "w" {
		put(p, "%s\nUSER     TTY      FROM             LOGIN@   IDLE   JCPU   PCPU WHAT\n", upLine(p))
		if p.S.Line != "" {
			put(p, "%-8s %-8s %-16s %s    0.00s  0.02s  0.00s w\n", p.S.User.Name, p.S.Line, p.S.From.Addr(), p.S.Started.UTC().Format("15:04"))
		}
		return 0
	}
	if p.S.Line == "" {
		return 0
	}
	if name == "users" {
		put(p, "%s\n", p.S.User.Name)
		return 0
	}
	put(p, "%-8s %-12s %s (%s)\n", p.S.User.Name, p.S.Line, p.S.Started.UTC().Format("2006-01-02 15:04"), p.S.From.Addr())
	return 0
}

func last(_ context.Context, p *kernel.Proc) int {
	if path.Base(p.Args[0]) == "lastb" {
		if p.Caller.UID != 0 {
			errorf(p, "cannot open /var/log/btmp: Permission denied")
			return 1
		}
		put(p, "\nbtmp begins %s\n", p.M.Persona.Boot.Format("Mon Jan _2 15:04:05 2006"))
		return 0
	}
	l := p.M.Persona.LastLogin
	if p.S.Line != "" {
		put(p, "%-8s %-12s %-16s %s   still logged in\n", p.S.User.Name, p.S.Line, p.S.From.Addr(), p.S.Started.UTC().Format("Mon Jan _2 15:04"))
	}
	put(p, "%-8s %-12s %-16s %s - %s  (00:17)\n", l.User, l.TTY, l.From, l.At.Format("Mon Jan _2 15:04"), l.At.Add(17*time.Minute).Format("15:04"))
	put(p, "reboot   system boot  %-16s %s   still running\n\nwtmp begins %s\n", p.M.Persona.Kernel.Release, p.M.Persona.Boot.Format("Mon Jan _2 15:04"), p.M.Persona.Boot.Format("Mon Jan _2 15:04:05 2006"))
	return 0
}

func lastlog(_ context.Context, p *kernel.Proc) int {
	put(p, "Username         Port     From                                       Latest\n")
	l := p.M.Persona.LastLogin
	for _, a := range p.M.Accounts() {
		if a.Name == l.User {
			put(p, "%-16s %-8s %-42s %s\n", a.Name, l.TTY, l.From, l.At.Format("Mon Jan _2 15:04:05 -0700 2006"))
			continue
		}
		put(p, "%-16s %-8s %-42s **Never logged in**\n", a.Name, "", "")
	}
	return 0
}
