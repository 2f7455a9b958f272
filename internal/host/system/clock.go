package system

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/strftime"
)

func date(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "d:f:I?r:Rs:u", "date/d file/f iso-8601?/I reference/r rfc-email/R rfc-3339= set/s utc/u universal/u debug")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	t := p.Now()
	switch {
	case o.Has("d"):
		at, ok := parseDate(o.Get("d"), t)
		if !ok {
			errorf(p, "invalid date ‘%s’", o.Get("d"))
			return 1
		}
		t = at
	case o.Has("r"):
		in, err := p.M.FS.Stat(p.Caller, p.Abs(o.Get("r")))
		if err != nil {
			errorf(p, "%s: %s", o.Get("r"), err)
			return 1
		}
		t = in.Mtime
	case o.Has("s"):
		if p.Caller.UID != 0 {
			errorf(p, "cannot set date: Operation not permitted")
			return 1
		}
	}
	form := "%a %b %e %H:%M:%S %Z %Y"
	if l := p.Getenv("LANG"); strings.HasPrefix(l, "en_US") && p.Getenv("LC_ALL") == "" {
		form = "%a %b %e %I:%M:%S %p %Z %Y"
	}
	switch {
	case o.Has("R"):
		form = "%a, %d %b %Y %H:%M:%S %z"
	case o.Has("I"):
		form = map[string]string{"": "%F", "date": "%F", "hours": "%FT%H%:z", "minutes": "%FT%H:%M%:z", "seconds": "%FT%T%:z", "ns": "%FT%T,%N%:z"}[o.Get("I")]
	case o.Has("rfc-3339"):
		form = map[string]string{"date": "%F", "seconds": "%F %T%:z", "ns": "%F %T.%N%:z"}[o.Get("rfc-3339")]
	}
	for _, a := range o.Args {
		f, plus := strings.CutPrefix(a, "+")
		if !plus {
			errorf(p, "invalid date ‘%s’", a)
			return 1
		}
		form = f
	}
	put(p, "%s\n", strftime.Format(form, t.UTC()))
	return 0
}

// parseDate reads the dates that people give to date -d.
func parseDate(text string, now time.Time) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if sec, ok := strings.CutPrefix(text, "@"); ok {
		f, err := strconv.ParseFloat(sec, 64)
		return time.Unix(int64(f), 0), err == nil
	}
	switch text {
	case "now":
		return now, true
	case "", "today":
		return now, true
	case "yesterday":
		return now.AddDate(0, 0, -1), true
	case "tomorrow":
		return now.AddDate(0, 0, 1), true
	}
	for _, layout := range []string{"2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "2006-01-02T15:04:05Z07:00", "20060102", "Jan 2 2006", "2 Jan 2006", "Jan _2 15:04:05 2006", "01/02/2006", "2006-01-02 15:04:05 MST"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	sign := 1
	f := strings.Fields(text)
	if n := len(f); n > 1 && f[n-1] == "ago" {
		sign, f = -1, f[:n-1]
	}
	if len(f) != 2 {
		return now, false
	}
	n, err := strconv.Atoi(f[0])
	unit, known := map[string]time.Duration{"second": time.Second, "sec": time.Second, "minute": time.Minute, "min": time.Minute, "hour": time.Hour, "day": 24 * time.Hour, "week": 168 * time.Hour}[strings.TrimSuffix(f[1], "s")]
	switch {
	case err != nil || n > 100_000 || n < -100_000:
		return now, false
	case known:
		return now.Add(time.Duration(sign*n) * unit), true
	case strings.HasPrefix(f[1], "month"):
		return now.AddDate(0, sign*n, 0), true
	case strings.HasPrefix(f[1], "year"):
		return now.AddDate(sign*n, 0, 0), true
	}
	return now, false
}

func timedatectl(_ context.Context, p *kernel.Proc) int {
	t := p.Now().UTC()
	if len(p.Args) > 1 && p.Args[1] != "status" && p.Args[1] != "show" {
		if strings.HasPrefix(p.Args[1], "set-") {
			return 0
		}
		if p.Args[1] == "list-timezones" {
			put(p, "Etc/UTC\nEurope/Berlin\nEurope/London\nUTC\n")
			return 0
		}
		fmt.Fprintf(p.Stderr(), "Unknown command verb %s.\n", p.Args[1]) //nolint:errcheck // the visitor's own stderr
		return 1
	}
	put(p, "               Local time: %s\n           Universal time: %[1]s\n                 RTC time: %s\n                Time zone: Etc/UTC (UTC, +0000)\nSystem clock synchronized: yes\n              NTP service: active\n          RTC in local TZ: no\n", t.Format("Mon 2006-01-02 15:04:05 MST"), t.Format("Mon 2006-01-02 15:04:05"))
	return 0
}

func hostnamectl(_ context.Context, p *kernel.Proc) int {
	q := p.M.Persona
	if len(p.Args) > 1 && p.Args[1] == "hostname" && len(p.Args) == 2 {
		put(p, "%s\n", q.Hostname)
		return 0
	}
	if len(p.Args) > 2 {
		return 0
	}
	put(p, " Static hostname: %s\n       Icon name: computer-vm\n         Chassis: vm 🖴\n      Machine ID: %s\n         Boot ID: %s\n  Virtualization: kvm\nOperating System: %s\n          Kernel: Linux %s\n    Architecture: x86-64\n Hardware Vendor: QEMU\n  Hardware Model: Standard PC _i440FX + PIIX, 1996_\nFirmware Version: rel-1.16.2-0-gea1b7a073390-prebuilt.qemu.org\n", q.Hostname, q.MachineID, bootID(p), q.OS.Pretty, q.Kernel.Release)
	return 0
}

func locale(_ context.Context, p *kernel.Proc) int {
	if len(p.Args) > 1 && p.Args[1] == "-a" {
		put(p, "C\nC.utf8\nen_US.utf8\nPOSIX\n")
		return 0
	}
	lang := p.Getenv("LANG")
	put(p, "LANG=%s\nLANGUAGE=%s\n", lang, p.Getenv("LANGUAGE"))
	for c := range strings.FieldsSeq("CTYPE NUMERIC TIME COLLATE MONETARY MESSAGES PAPER NAME ADDRESS TELEPHONE MEASUREMENT IDENTIFICATION") {
		v := p.Getenv("LC_" + c)
		if v == "" {
			v = `"` + lang + `"`
		}
		if all := p.Getenv("LC_ALL"); all != "" {
			v = `"` + all + `"`
		}
		put(p, "LC_%s=%s\n", c, v)
	}
	put(p, "LC_ALL=%s\n", p.Getenv("LC_ALL"))
	return 0
}

func localectl(_ context.Context, p *kernel.Proc) int {
	put(p, "System Locale: LANG=en_US.UTF-8\n    VC Keymap: (unset)\n   X11 Layout: us\n    X11 Model: pc105\n")
	return 0
}

func cal(_ context.Context, p *kernel.Proc) int {
	t := p.Now().UTC()
	title := t.Format("January 2006")
	put(p, "%*s\nSu Mo Tu We Th Fr Sa\n", (20+len(title))/2, title)
	first := time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	line := strings.Repeat("   ", int(first.Weekday()))
	for d := first; d.Month() == t.Month(); d = d.AddDate(0, 0, 1) {
		line += fmt.Sprintf("%2d ", d.Day())
		if d.Weekday() == time.Saturday {
			put(p, "%s\n", line)
			line = ""
		}
	}
	put(p, "%s\n", line)
	return 0
}
