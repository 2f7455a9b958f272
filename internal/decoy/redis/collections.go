package redis

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// collections are the commands about lists, hashes, sets and sorted sets that
// visitors are seen to use.
func collections() map[string]func(*visit, [][]byte) {
	return map[string]func(*visit, [][]byte){
		"lpush": push, "rpush": push, "lpop": pop, "rpop": pop,
		"llen": size(list), "scard": size(set), "hlen": size(hash), "zcard": size(sorted),
		"lrange": lrange,
		"lindex": func(v *visit, a [][]byte) {
			n, ok := integer(a[2])
			if !ok {
				v.out.fail(notInteger)
				return
			}
			x, ok := v.of(a[1], list)
			if !ok {
				return
			}
			if x != nil && n < 0 {
				n += int64(len(x.list))
			}
			if x == nil || n < 0 || n >= int64(len(x.list)) {
				v.out.null()
				return
			}
			v.out.bulk(x.list[n])
		},
		"hset": hset, "hmset": hset,
		"hget": func(v *visit, a [][]byte) {
			x, ok := v.of(a[1], hash)
			if !ok {
				return
			}
			if x != nil {
				if s, there := x.fields[string(a[2])]; there {
					v.out.bulk(s)
					return
				}
			}
			v.out.null()
		},
		"hgetall": hgetall,
		"hkeys":   func(v *visit, a [][]byte) { v.members(a[1], hash) },
		"hvals": func(v *visit, a [][]byte) {
			if x, ok := v.of(a[1], hash); ok {
				var out []string
				if x != nil {
					for _, k := range slices.Sorted(maps.Keys(x.fields)) {
						out = append(out, x.fields[k])
					}
				}
				v.out.bulks(out)
			}
		},
		"hdel": drop(hash), "srem": drop(set),
		"sadd": sadd, "zadd": zadd, "zrange": zrange,
		"smembers": func(v *visit, a [][]byte) { v.members(a[1], set) },
		"sismember": func(v *visit, a [][]byte) {
			if x, ok := v.of(a[1], set); ok {
				in := int64(0)
				if x != nil {
					if _, there := x.fields[string(a[2])]; there {
						in = 1
					}
				}
				v.out.int(in)
			}
		},
	}
}

// grow finds a value of a kind or makes one, if there is room for args.
func (v *visit) grow(a [][]byte, k kind) *value {
	x, ok := v.of(a[1], k)
	if !ok || !v.roomFor(a) {
		return nil
	}
	if x == nil {
		x = &value{kind: k, fields: map[string]string{}, scores: map[string]float64{}}
	}
	return x
}

func push(v *visit, a [][]byte) {
	x := v.grow(a, list)
	if x == nil {
		return
	}
	v.view.change(v.db, string(a[1]), x, func() {
		var added []string
		for _, s := range a[2:] {
			added = append(added, string(s))
		}
		if lower(a[0]) == "lpush" {
			slices.Reverse(added)
			x.list = append(added, x.list...)
		} else {
			x.list = append(x.list, added...)
		}
	})
	v.out.int(int64(len(x.list)))
}

func pop(v *visit, a [][]byte) {
	if len(a) > 3 {
		v.out.fail("ERR wrong number of arguments for '" + lower(a[0]) + "' command")
		return
	}
	n := int64(1)
	if len(a) == 3 {
		var ok bool
		if n, ok = integer(a[2]); !ok || n < 0 {
			v.out.fail("ERR value is out of range, must be positive")
			return
		}
	}
	x, ok := v.of(a[1], list)
	if !ok {
		return
	}
	if x == nil {
		v.out.null()
		return
	}
	k := int(min(n, int64(len(x.list))))
	var got []string
	v.view.change(v.db, string(a[1]), x, func() {
		if lower(a[0]) == "lpop" {
			got, x.list = slices.Clone(x.list[:k]), x.list[k:]
			return
		}
		got, x.list = slices.Clone(x.list[len(x.list)-k:]), x.list[:len(x.list)-k]
		slices.Reverse(got)
	})
	if len(a) == 3 {
		v.out.bulks(got)
		return
	}
	v.out.bulk(got[0])
}

func size(k kind) func(*visit, [][]byte) {
	return func(v *visit, a [][]byte) {
		if x, ok := v.of(a[1], k); ok {
			n := 0
			if x != nil {
				n = len(x.list) + len(x.fields) + len(x.scores)
			}
			v.out.int(int64(n))
		}
	}
}

func lrange(v *visit, a [][]byte) {
	from, to, ok := twoNumbers(v, a[2], a[3])
	if !ok {
		return
	}
	x, ok := v.of(a[1], list)
	if !ok {
		return
	}
	if x == nil {
		v.out.list(0)
		return
	}
	i, j := span(from, to, len(x.list))
	v.out.bulks(x.list[i:j])
}

func hset(v *visit, a [][]byte) {
	if len(a)%2 != 0 {
		v.out.fail("ERR wrong number of arguments for '" + lower(a[0]) + "' command")
		return
	}
	x := v.grow(a, hash)
	if x == nil {
		return
	}
	before := len(x.fields)
	v.view.change(v.db, string(a[1]), x, func() {
		for i := 2; i < len(a); i += 2 {
			x.fields[string(a[i])] = string(a[i+1])
		}
	})
	if lower(a[0]) == "hmset" {
		v.out.status("OK")
		return
	}
	v.out.int(int64(len(x.fields) - before))
}

func hgetall(v *visit, a [][]byte) {
	x, ok := v.of(a[1], hash)
	if !ok {
		return
	}
	if x == nil {
		v.out.dict(0)
		return
	}
	v.out.dict(len(x.fields))
	for _, k := range slices.Sorted(maps.Keys(x.fields)) {
		v.out.bulk(k)
		v.out.bulk(x.fields[k])
	}
}

// members writes the keys of a hash or a set.
func (v *visit) members(key []byte, k kind) {
	x, ok := v.of(key, k)
	if !ok {
		return
	}
	var names []string
	if x != nil {
		names = slices.Sorted(maps.Keys(x.fields))
	}
	if k == hash {
		v.out.bulks(names)
		return
	}
	v.out.set(len(names))
	for _, n := range names {
		v.out.bulk(n)
	}
}

func drop(k kind) func(*visit, [][]byte) {
	return func(v *visit, a [][]byte) {
		x, ok := v.of(a[1], k)
		if !ok {
			return
		}
		if x == nil {
			v.out.int(0)
			return
		}
		before := len(x.fields)
		v.view.change(v.db, string(a[1]), x, func() {
			for _, m := range a[2:] {
				delete(x.fields, string(m))
			}
		})
		v.out.int(int64(before - len(x.fields)))
	}
}

func sadd(v *visit, a [][]byte) {
	x := v.grow(a, set)
	if x == nil {
		return
	}
	before := len(x.fields)
	v.view.change(v.db, string(a[1]), x, func() {
		for _, m := range a[2:] {
			x.fields[string(m)] = ""
		}
	})
	v.out.int(int64(len(x.fields) - before))
}

func zadd(v *visit, a [][]byte) {
	if len(a)%2 != 0 {
		v.out.fail(syntax)
		return
	}
	scores := make([]float64, 0, len(a)/2)
	for i := 2; i < len(a); i += 2 {
		f, err := strconv.ParseFloat(string(a[i]), 64)
		if err != nil || math.IsNaN(f) {
			v.out.fail("ERR value is not a valid float")
			return
		}
		scores = append(scores, f)
	}
	x := v.grow(a, sorted)
	if x == nil {
		return
	}
	before := len(x.scores)
	v.view.change(v.db, string(a[1]), x, func() {
		for i, f := range scores {
			x.scores[string(a[3+2*i])] = f
		}
	})
	v.out.int(int64(len(x.scores) - before))
}

func zrange(v *visit, a [][]byte) {
	from, to, ok := twoNumbers(v, a[2], a[3])
	if !ok {
		return
	}
	with := len(a) == 5 && lower(a[4]) == "withscores"
	if len(a) > 4 && !with {
		v.out.fail(syntax)
		return
	}
	x, ok := v.of(a[1], sorted)
	if !ok {
		return
	}
	if x == nil {
		v.out.list(0)
		return
	}
	names := slices.SortedFunc(maps.Keys(x.scores), func(p, q string) int {
		return cmp.Or(cmp.Compare(x.scores[p], x.scores[q]), strings.Compare(p, q))
	})
	i, j := span(from, to, len(names))
	var out []string
	for _, n := range names[i:j] {
		if out = append(out, n); with {
			out = append(out, strconv.FormatFloat(x.scores[n], 'g', 17, 64))
		}
	}
	v.out.bulks(out)
}
