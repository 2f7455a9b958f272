package redis

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// of looks up a key that has to hold a kind, and says WRONGTYPE where it does
// not; ok is false then.
func (v *visit) of(key []byte, k kind) (x *value, ok bool) {
	x = v.view.get(v.db, string(key), v.s.Clock.Now())
	if x != nil && x.kind != k {
		v.out.fail(wrongType)
		return nil, false
	}
	return x, true
}

// roomFor tells whether what is in args fits, and says so where it does not.
func (v *visit) roomFor(args [][]byte) bool {
	n := 0
	for _, a := range args {
		n += len(a) + 64
	}
	if !v.view.room(n) {
		v.out.fail(noMemory)
		return false
	}
	return true
}

func (v *visit) setText(key []byte, s string, expires time.Time) {
	v.view.dirty++
	v.view.put(v.db, string(key), &value{kind: text, s: s, expires: expires})
}

// texts are the commands about strings.
func texts() map[string]func(*visit, [][]byte) {
	add := func(sign int64, fixed bool) func(*visit, [][]byte) {
		return func(v *visit, a [][]byte) {
			by := int64(1)
			if !fixed {
				n, ok := integer(a[2])
				if !ok {
					v.out.fail(notInteger)
					return
				}
				by = n
			}
			v.increment(a[1], sign*by)
		}
	}
	return map[string]func(*visit, [][]byte){
		"get": func(v *visit, a [][]byte) {
			if x, ok := v.of(a[1], text); ok {
				v.reply(x)
			}
		},
		"set": setCommand,
		"setnx": func(v *visit, a [][]byte) {
			if v.view.get(v.db, string(a[1]), v.s.Clock.Now()) != nil {
				v.out.int(0)
				return
			}
			if v.roomFor(a) {
				v.setText(a[1], string(a[2]), time.Time{})
				v.out.int(1)
			}
		},
		"setex":  func(v *visit, a [][]byte) { v.setFor(a, time.Second) },
		"psetex": func(v *visit, a [][]byte) { v.setFor(a, time.Millisecond) },
		"getset": func(v *visit, a [][]byte) {
			if x, ok := v.of(a[1], text); ok && v.roomFor(a) {
				v.reply(x)
				v.setText(a[1], string(a[2]), time.Time{})
			}
		},
		"getdel": func(v *visit, a [][]byte) {
			if x, ok := v.of(a[1], text); ok {
				v.reply(x)
				v.view.remove(v.db, string(a[1]))
			}
		},
		"append": appendText,
		"strlen": func(v *visit, a [][]byte) {
			if x, ok := v.of(a[1], text); ok {
				n := 0
				if x != nil {
					n = len(x.s)
				}
				v.out.int(int64(n))
			}
		},
		"incr": add(1, true), "decr": add(-1, true), "incrby": add(1, false), "decrby": add(-1, false),
		"mget":     mget,
		"mset":     mset,
		"getrange": getRange, "substr": getRange,
	}
}

func mget(v *visit, a [][]byte) {
	v.out.list(len(a) - 1)
	for _, k := range a[1:] {
		x := v.view.get(v.db, string(k), v.s.Clock.Now())
		if x != nil && x.kind != text {
			x = nil
		}
		v.reply(x)
	}
}

func mset(v *visit, a [][]byte) {
	if len(a)%2 == 0 {
		v.out.fail("ERR wrong number of arguments for 'mset' command")
		return
	}
	if !v.roomFor(a) {
		return
	}
	for i := 1; i < len(a); i += 2 {
		v.setText(a[i], string(a[i+1]), time.Time{})
	}
	v.out.status("OK")
}

func appendText(v *visit, a [][]byte) {
	x, ok := v.of(a[1], text)
	if !ok || !v.roomFor(a) {
		return
	}
	if x == nil {
		x = &value{kind: text}
	}
	v.view.change(v.db, string(a[1]), x, func() { x.s += string(a[2]) })
	v.out.int(int64(len(x.s)))
}

func (v *visit) reply(x *value) {
	if x == nil {
		v.out.null()
		return
	}
	v.out.bulk(x.s)
}

func (v *visit) increment(key []byte, by int64) {
	x, ok := v.of(key, text)
	if !ok {
		return
	}
	if x == nil {
		x = &value{kind: text, s: "0"}
	}
	n, ok := integer([]byte(x.s))
	switch {
	case !ok:
		v.out.fail(notInteger)
		return
	case by > 0 && n > math.MaxInt64-by, by < 0 && n < math.MinInt64-by:
		v.out.fail("ERR increment or decrement would overflow")
		return
	}
	v.view.change(v.db, string(key), x, func() { x.s = strconv.FormatInt(n+by, 10) })
	v.out.int(n + by)
}

func (v *visit) setFor(a [][]byte, unit time.Duration) {
	n, ok := integer(a[2])
	switch {
	case !ok:
		v.out.fail(notInteger)
	case n <= 0 || n > math.MaxInt64/int64(unit):
		v.out.fail("ERR invalid expire time in '" + lower(a[0]) + "' command")
	case v.roomFor(a):
		v.setText(a[1], string(a[3]), v.s.Clock.Now().Add(time.Duration(n)*unit))
		v.out.status("OK")
	}
}

// setOptions are those of SET.
type setOptions struct {
	nx, xx, get, keep bool
	expires           time.Time
}

func (v *visit) setOptions(rest [][]byte) (o setOptions, fault string) {
	for i := 0; i < len(rest); i++ {
		switch word := lower(rest[i]); word {
		case "nx":
			o.nx = true
		case "xx":
			o.xx = true
		case "get":
			o.get = true
		case "keepttl":
			o.keep = true
		case "ex", "px", "exat", "pxat":
			if i++; i == len(rest) {
				return o, syntax
			}
			if o.expires, fault = v.expiry(word, rest[i]); fault != "" {
				return o, fault
			}
		default:
			return o, syntax
		}
	}
	if o.nx && o.xx {
		return o, syntax
	}
	return o, ""
}

func (v *visit) expiry(word string, arg []byte) (time.Time, string) {
	n, ok := integer(arg)
	if !ok {
		return time.Time{}, notInteger
	}
	if n <= 0 || n > 1<<42 {
		return time.Time{}, "ERR invalid expire time in 'set' command"
	}
	unit := time.Second
	if word[0] == 'p' {
		unit = time.Millisecond
	}
	if strings.HasSuffix(word, "at") {
		return time.UnixMilli(n * unit.Milliseconds()), ""
	}
	return v.s.Clock.Now().Add(time.Duration(min(n, 1<<32)) * unit), ""
}

func setCommand(v *visit, a [][]byte) {
	o, fault := v.setOptions(a[3:])
	if fault != "" {
		v.out.fail(fault)
		return
	}
	old := v.view.get(v.db, string(a[1]), v.s.Clock.Now())
	if o.get && old != nil && old.kind != text {
		v.out.fail(wrongType)
		return
	}
	set := !o.nx && !o.xx || o.nx == (old == nil)
	if set {
		if !v.roomFor(a) {
			return
		}
		if o.keep && old != nil {
			o.expires = old.expires
		}
		v.setText(a[1], string(a[2]), o.expires)
	}
	switch {
	case o.get:
		v.reply(old)
	case set:
		v.out.status("OK")
	default:
		v.out.null()
	}
}

// span turns two indices of Redis, which may count from the end, into a slice's.
func span(from, to int64, n int) (int, int) {
	size := int64(n)
	if from < 0 {
		from = max(from+size, 0)
	}
	if to < 0 {
		to += size
	}
	to = min(to, size-1)
	if from > to {
		return 0, 0
	}
	return int(from), int(to + 1)
}

func twoNumbers(v *visit, a, b []byte) (x, y int64, ok bool) {
	x, okX := integer(a)
	y, okY := integer(b)
	if !okX || !okY {
		v.out.fail(notInteger)
	}
	return x, y, okX && okY
}

func getRange(v *visit, a [][]byte) {
	from, to, ok := twoNumbers(v, a[2], a[3])
	if !ok {
		return
	}
	x, ok := v.of(a[1], text)
	if !ok {
		return
	}
	if x == nil {
		v.out.bulk("")
		return
	}
	i, j := span(from, to, len(x.s))
	v.out.bulk(x.s[i:j])
}

// keyspace are the commands about keys of any kind.
func keyspace() map[string]func(*visit, [][]byte) {
	count := func(f func(v *visit, key string) bool) func(*visit, [][]byte) {
		return func(v *visit, a [][]byte) {
			n := int64(0)
			for _, k := range a[1:] {
				if v.view.get(v.db, string(k), v.s.Clock.Now()) != nil && f(v, string(k)) {
					n++
				}
			}
			v.out.int(n)
		}
	}
	remove := count(func(v *visit, key string) bool { v.view.dirty++; return v.view.remove(v.db, key) })
	there := count(func(*visit, string) bool { return true })
	return map[string]func(*visit, [][]byte){
		"del": remove, "unlink": remove, "exists": there, "touch": there,
		"dbsize": func(v *visit, _ [][]byte) { v.out.int(int64(len(v.view.sortedKeys(v.db, v.s.Clock.Now())))) },
		"type": func(v *visit, a [][]byte) {
			if x := v.view.get(v.db, string(a[1]), v.s.Clock.Now()); x != nil {
				v.out.status(string(x.kind))
				return
			}
			v.out.status("none")
		},
		"keys": func(v *visit, a [][]byte) {
			names := v.view.sortedKeys(v.db, v.s.Clock.Now())
			v.out.bulks(slices.DeleteFunc(names, func(k string) bool { return !match(string(a[1]), k) }))
		},
		"scan": scan, "randomkey": randomKey, "rename": rename,
		"ttl":  func(v *visit, a [][]byte) { v.timeToLive(a[1], time.Second) },
		"pttl": func(v *visit, a [][]byte) { v.timeToLive(a[1], time.Millisecond) },
		"expire": func(v *visit, a [][]byte) {
			n, ok := integer(a[2])
			x := v.view.get(v.db, string(a[1]), v.s.Clock.Now())
			switch {
			case !ok:
				v.out.fail(notInteger)
			case x == nil:
				v.out.int(0)
			default:
				x.expires = v.s.Clock.Now().Add(time.Duration(min(max(n, 0), 1<<32)) * time.Second)
				v.out.int(1)
			}
		},
		"persist": func(v *visit, a [][]byte) {
			x := v.view.get(v.db, string(a[1]), v.s.Clock.Now())
			if x == nil || x.expires.IsZero() {
				v.out.int(0)
				return
			}
			x.expires = time.Time{}
			v.out.int(1)
		},
		"flushall": flush, "flushdb": flush,
		"object": object,
	}
}

func flush(v *visit, a [][]byte) {
	if len(a) > 1 && lower(a[1]) != "async" && lower(a[1]) != "sync" {
		v.out.fail(syntax)
		return
	}
	for i := range v.view.db {
		if i == v.db || lower(a[0]) == "flushall" {
			for k := range v.view.db[i] {
				v.view.remove(i, k)
			}
		}
	}
	v.view.dirty++
	v.out.status("OK")
}

func (v *visit) timeToLive(key []byte, unit time.Duration) {
	now := v.s.Clock.Now()
	switch x := v.view.get(v.db, string(key), now); {
	case x == nil:
		v.out.int(-2)
	case x.expires.IsZero():
		v.out.int(-1)
	default:
		v.out.int(int64((x.expires.Sub(now) + unit/2) / unit))
	}
}

func scan(v *visit, a [][]byte) {
	cursor, ok := integer(a[1])
	if !ok || cursor < 0 {
		v.out.fail("ERR invalid cursor")
		return
	}
	pattern, kindOf, count := "*", "", int64(10)
	for i := 2; i < len(a); i += 2 {
		word := lower(a[i])
		if i+1 == len(a) || word != "match" && word != "count" && word != "type" {
			v.out.fail(syntax)
			return
		}
		switch word {
		case "match":
			pattern = string(a[i+1])
		case "type":
			kindOf = lower(a[i+1])
		case "count":
			if count, ok = integer(a[i+1]); !ok || count < 1 {
				v.out.fail(map[bool]string{true: syntax, false: notInteger}[ok])
				return
			}
		}
	}
	names := v.view.sortedKeys(v.db, v.s.Clock.Now())
	from := min(cursor, int64(len(names)))
	to := min(from+min(count, maxKeys), int64(len(names)))
	page := slices.DeleteFunc(slices.Clone(names[from:to]), func(k string) bool {
		return !match(pattern, k) || kindOf != "" && string(v.view.db[v.db][k].kind) != kindOf
	})
	if to == int64(len(names)) {
		to = 0
	}
	v.out.list(2)
	v.out.bulk(strconv.FormatInt(to, 10))
	v.out.bulks(page)
}

func randomKey(v *visit, _ [][]byte) {
	names := v.view.sortedKeys(v.db, v.s.Clock.Now())
	if len(names) == 0 {
		v.out.null()
		return
	}
	v.out.bulk(names[int(v.s.Clock.Now().UnixNano()/1000)%len(names)])
}

func rename(v *visit, a [][]byte) {
	x := v.view.get(v.db, string(a[1]), v.s.Clock.Now())
	if x == nil {
		v.out.fail("ERR no such key")
		return
	}
	v.view.remove(v.db, string(a[1]))
	v.view.put(v.db, string(a[2]), x)
	v.out.status("OK")
}

func object(v *visit, a [][]byte) {
	if len(a) != 3 {
		v.noSuch(a)
		return
	}
	x := v.view.get(v.db, string(a[2]), v.s.Clock.Now())
	if x == nil {
		v.out.null()
		return
	}
	switch lower(a[1]) {
	case "encoding":
		v.out.bulk(x.encoding())
	case "refcount":
		v.out.int(1)
	case "idletime":
		v.out.int(0)
	default:
		v.noSuch(a)
	}
}
