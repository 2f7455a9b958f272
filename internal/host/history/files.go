package history

import (
	"bytes"
	"compress/gzip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// week is what one log file held when it was last asked for.
type week struct {
	from, to time.Time
	text     []byte
	last     time.Time
}

// Of is the history as one visitor sees it.
type Of struct {
	h   *History
	l   *kernel.Ledger
	now func() time.Time
}

var _ kernel.Journal = Of{}

// For is the history with what is in a visitor's ledger.
func (h *History) For(l *kernel.Ledger, now func() time.Time) Of { return Of{h, l, now} }

// Began is the time of the first line there is.
func (o Of) Began() time.Time { return o.h.Began(o.now()) }

// Entries are the lines from from up to and without to, in order of time.
func (o Of) Entries(from, to time.Time) []kernel.LogEntry {
	return merge(o.h.Entries(from, to), o.own(from, to))
}

func merge(a, b []kernel.LogEntry) []kernel.LogEntry {
	if len(b) == 0 {
		return a
	}
	out := append(a, b...)
	slices.SortStableFunc(out, func(a, b kernel.LogEntry) int { return a.At.Compare(b.At) })
	return out
}

// own are the lines that tell of the visitor himself.
func (o Of) own(from, to time.Time) []kernel.LogEntry {
	var out []kernel.LogEntry
	for _, r := range o.l.Logins() {
		if r.Service == "ssh" {
			out = append(out, Told(o.h.p, r, int(r.From.Port()))...)
		}
	}
	out = append(out, o.l.Lines()...)
	out = slices.DeleteFunc(out, func(e kernel.LogEntry) bool { return e.At.Before(from) || !e.At.Before(to) })
	slices.SortStableFunc(out, func(a, b kernel.LogEntry) int { return a.At.Compare(b.At) })
	return out
}

// Line is an entry as rsyslog writes it.
func (h *History) Line(e kernel.LogEntry) string {
	stamp := e.At.Format("2006-01-02T15:04:05.000000-07:00")
	if h.p.OS.VersionID == "22.04" {
		stamp = e.At.Format("Jan _2 15:04:05")
	}
	tag := e.Tag
	if e.PID > 0 {
		tag += "[" + strconv.Itoa(e.PID) + "]"
	}
	return stamp + " " + h.p.Hostname + " " + tag + ": " + e.Text + "\n"
}

// wanted reports whether a log file takes an entry.
func wanted(file string, e kernel.LogEntry) bool {
	switch file {
	case "auth.log":
		return e.Facility == kernel.Auth
	case "cron.log":
		return e.Facility == kernel.Cron
	case "kern.log":
		return e.Facility == kernel.Kern
	}
	return e.Facility != kernel.Auth
}

// rotated is when the k-th last rotation was: on Sundays, at midnight.
func rotated(now time.Time, k int) time.Time {
	day := now.UTC().Truncate(24 * time.Hour)
	return day.AddDate(0, 0, -int(day.Weekday())-7*k).Add(2 * time.Second)
}

// Grown is what the host wrote to a file of /var/log or to /run/utmp, as
// vfs.Grown wants it.
func (o Of) Grown(name string, since time.Time) (vfs.Content, time.Time) {
	now := o.now()
	switch name {
	case "wtmp", "btmp", "utmp", "lastlog":
		return o.book(name, since)
	}
	file, age, packed := strings.TrimSuffix(name, ".gz"), 0, strings.HasSuffix(name, ".gz")
	if i := strings.LastIndexByte(file, '.'); i > 0 {
		if n, err := strconv.Atoi(file[i+1:]); err == nil {
			file, age = file[:i], n
		}
	}
	from, to := rotated(now, age), now
	if age > 0 {
		to = rotated(now, age-1)
	}
	if since.After(from) {
		from = since.Add(1)
	}
	base, last := o.h.written(name, file, from, to, packed)
	if age > 0 {
		return vfs.Bytes(base), last
	}
	return o.mixed(file, base, last, from, to)
}

// mixed puts the visitor's own lines among the host's.
func (o Of) mixed(file string, base []byte, last, from, to time.Time) (vfs.Content, time.Time) {
	own := slices.DeleteFunc(o.own(from, to), func(e kernel.LogEntry) bool { return !wanted(file, e) })
	if len(own) == 0 {
		return vfs.Bytes(base), last
	}
	var tail bytes.Buffer
	cut := len(base)
	if !own[0].At.After(last) { // some of the host's lines came later than his first
		rest := slices.DeleteFunc(o.h.Entries(own[0].At, to), func(e kernel.LogEntry) bool { return !wanted(file, e) })
		for _, e := range rest {
			cut -= len(o.h.Line(e))
		}
		own = merge(rest, own)
	}
	for _, e := range own {
		tail.WriteString(o.h.Line(e))
		last = e.At
	}
	return vfs.Concat(vfs.Bytes(base[:max(cut, 0)]), vfs.Bytes(tail.Bytes())), last
}

// written is the host's own text of a log file; what was made before is kept.
func (h *History) written(name, file string, from, to time.Time, packed bool) ([]byte, time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	w := h.text[name]
	if !w.from.Equal(from) || w.to.After(to) {
		w = week{from: from, to: from, last: from}
	}
	if w.to.Before(to) {
		for _, e := range h.Entries(w.to, to) {
			if wanted(file, e) {
				w.text, w.last = append(w.text, h.Line(e)...), e.At
			}
		}
		w.to = to
		if packed {
			w.text = zipped(w.text)
		}
	}
	if from.Equal(rotated(to, 0)) || name != file {
		h.text[name] = w
	}
	return slices.Clip(w.text), w.last
}

func zipped(text []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(text) //nolint:errcheck // a Buffer takes all
	w.Close()     //nolint:errcheck // as above
	return b.Bytes()
}
