package files

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// when reads a date as touch -d and date -d do, for the forms people type.
func when(text string, now time.Time) (time.Time, bool) {
	text = strings.TrimSpace(text)
	if sec, ok := strings.CutPrefix(text, "@"); ok {
		f, err := strconv.ParseFloat(sec, 64)
		return time.Unix(int64(f), 0).UTC(), err == nil
	}
	switch text {
	case "now", "today", "":
		if text == "" {
			return now.UTC().Truncate(24 * time.Hour), true
		}
		return now, true
	case "yesterday":
		return now.AddDate(0, 0, -1), true
	case "tomorrow":
		return now.AddDate(0, 0, 1), true
	}
	for _, layout := range []string{
		"2006-01-02 15:04:05 MST", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05", "20060102",
		"Jan 2 2006", "2 Jan 2006", "Jan 2 15:04:05 2006", "Mon Jan _2 15:04:05 MST 2006", "Mon Jan _2 15:04:05 2006", "02 Jan 2006 15:04:05", "01/02/2006",
		"2006-01-02 15:04:05.999999999 -0700", "Mon, 02 Jan 2006 15:04:05 -0700", "15:04",
	} {
		if t, err := time.Parse(layout, text); err == nil {
			if t.Year() == 0 {
				y, m, d := now.UTC().Date()
				t = t.AddDate(y, int(m)-1, d-1)
			}
			return t, true
		}
	}
	return relative(text, now)
}

// relative reads "2 days ago", "-1 hour", "next week".
func relative(text string, now time.Time) (time.Time, bool) {
	f := strings.Fields(text)
	sign := 1
	if n := len(f); n > 0 && f[n-1] == "ago" {
		sign, f = -1, f[:n-1]
	}
	if len(f) == 2 && (f[0] == "next" || f[0] == "last") {
		f[0] = map[string]string{"next": "1", "last": "-1"}[f[0]]
	}
	if len(f) != 2 {
		return now, false
	}
	n, err := strconv.Atoi(f[0])
	if err != nil || n > 100_000 || n < -100_000 {
		return now, false
	}
	n *= sign
	switch strings.TrimSuffix(f[1], "s") {
	case "sec", "second":
		return now.Add(time.Duration(n) * time.Second), true
	case "min", "minute":
		return now.Add(time.Duration(n) * time.Minute), true
	case "hour":
		return now.Add(time.Duration(n) * time.Hour), true
	case "day":
		return now.AddDate(0, 0, n), true
	case "week":
		return now.AddDate(0, 0, 7*n), true
	case "month":
		return now.AddDate(0, n, 0), true
	case "year":
		return now.AddDate(n, 0, 0), true
	}
	return now, false
}

// stamp reads [[CC]YY]MMDDhhmm[.ss].
func stamp(text string, now time.Time) (time.Time, bool) {
	main, sec, has := strings.Cut(text, ".")
	switch len(main) {
	case 8:
		main = now.UTC().Format("2006") + main
	case 10:
		century := "20"
		if main[:2] >= "69" {
			century = "19"
		}
		main = century + main
	}
	layout := "200601021504"
	if has {
		main, layout = main+sec, layout+"05"
	}
	t, err := time.Parse(layout, main)
	return t, err == nil
}

// touchTime finds the time that the options ask for.
func touchTime(p *kernel.Proc, o getopt.Opts) (at time.Time, ok bool) {
	at, ok = p.Now(), true
	switch {
	case o.Has("r"):
		in, err := p.M.FS.Stat(p.Caller, p.Abs(o.Get("r")))
		if err != nil {
			errorf(p, "failed to get attributes of %s: %s", quote(o.Get("r")), err)
			return at, false
		}
		return in.Mtime, true
	case o.Has("d"):
		if at, ok = when(o.Get("d"), at); !ok {
			errorf(p, "invalid date format ‘%s’", o.Get("d"))
		}
	case o.Has("t"):
		if at, ok = stamp(o.Get("t"), at); !ok {
			errorf(p, "invalid date format ‘%s’", o.Get("t"))
		}
	}
	return at, ok
}

func touch(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "acd:fhmr:t:", "no-create/c date/d no-dereference/h reference/r time=")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	at, ok := touchTime(p, o)
	if !ok {
		return 1
	}
	if len(o.Args) == 0 {
		return missing(p, "file ")
	}
	status := 0
	for _, a := range o.Args {
		in, err := p.M.FS.Stat(p.Caller, p.Abs(a))
		if err != nil && o.Has("c") {
			continue
		}
		if err != nil {
			var h *vfs.Handle
			if h, err = p.M.FS.Open(p.Caller, p.Abs(a), vfs.WriteOnly|vfs.Create, 0o666&^p.Umask); err == nil {
				h.Close() //nolint:errcheck // nothing was written
			}
		}
		if err == nil {
			atime, mtime := at, at
			if o.Has("a") && !o.Has("m") {
				mtime = in.Mtime
			} else if o.Has("m") && !o.Has("a") {
				atime = in.Atime
			}
			err = p.M.FS.Chtimes(p.Caller, p.Abs(a), atime, mtime)
		}
		if err != nil {
			errorf(p, "cannot touch %s: %s", quote(a), err)
			status = 1
		}
	}
	return status
}
