package logsource

import (
	"strconv"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Time finds out when a record happened, in nanoseconds since 1970 UTC, from
// the first of the fields that the mapping lists for it.
func (w *Worker) Time(rec *sigma.Record) (int64, bool) {
	for _, id := range w.r.time {
		v, _, ok := rec.First(id)
		if !ok || len(v.Text) == 0 {
			continue
		}
		if t, ok := ParseTime(v.Text); ok {
			return t, true
		}
	}
	return 0, false
}

// ParseTime reads times as logs write them: RFC 3339 with or without zone and
// with a space in place of the T (UTC without a zone), or seconds, milli-,
// micro- or nanoseconds since 1970.
func ParseTime(b []byte) (int64, bool) {
	if len(b) >= 19 && b[4] == '-' && b[7] == '-' && (b[10] == 'T' || b[10] == ' ') && b[13] == ':' && b[16] == ':' {
		return dateTime(b)
	}
	if len(b) < 9 || len(b) > 24 {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(b), 64)
	if err != nil || f < 1e8 || f > 4e18 {
		return 0, false
	}
	whole, err := strconv.ParseInt(string(b), 10, 64)
	switch {
	case err == nil && whole > 1e17:
		return whole, true
	case err == nil && whole > 1e14:
		return whole * 1e3, true
	case err == nil && whole > 1e11:
		return whole * 1e6, true
	case err == nil:
		return whole * 1e9, true
	case f < 1e11:
		return int64(f*1e6) * 1e3, true
	}
	return int64(f * 1e6), true
}

func dateTime(b []byte) (int64, bool) {
	y, ok0 := num(b[0:4])
	mo, ok1 := num(b[5:7])
	d, ok2 := num(b[8:10])
	h, ok3 := num(b[11:13])
	mi, ok4 := num(b[14:16])
	s, ok5 := num(b[17:19])
	if (!ok0 || !ok1 || !ok2 || !ok3 || !ok4 || !ok5) || y < 1678 || y > 2261 || mo < 1 || mo > 12 || d < 1 || d > 31 || h > 24 || mi > 59 || s > 60 {
		return 0, false
	}
	t := time.Date(y, time.Month(mo), d, h, mi, s, 0, time.UTC).UnixNano()
	rest := b[19:]
	if len(rest) > 1 && (rest[0] == '.' || rest[0] == ',') {
		scale := int64(1e8)
		rest = rest[1:]
		for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' {
			t += int64(rest[0]-'0') * scale
			scale /= 10
			rest = rest[1:]
		}
	}
	return t - zone(rest), true
}

// zone reads Z, +01:00 or +0100.
func zone(b []byte) int64 {
	if len(b) < 5 || (b[0] != '+' && b[0] != '-') {
		return 0
	}
	h, ok := num(b[1:3])
	mi := b[len(b)-2:]
	m, ok2 := num(mi)
	if !ok || !ok2 {
		return 0
	}
	off := int64(h*3600+m*60) * 1e9
	if b[0] == '-' {
		return -off
	}
	return off
}

func num(b []byte) (int, bool) {
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}
