package system

import (
	"context"
	"fmt"
	"strconv"
	"strings"

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
	users := len(here(p))
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
