package redis

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of what one source may leave behind.
const (
	databases  = 16
	maxKeys    = 20_000
	maxHeld    = 8 << 20 // bytes of keys and values
	maxSources = 256     // views that are kept; the one longest unused goes
)

// kind is a type of value as TYPE says it.
type kind string

const (
	text   kind = "string"
	list   kind = "list"
	hash   kind = "hash"
	set    kind = "set"
	sorted kind = "zset"
)

// value is what a key holds.
type value struct {
	kind    kind
	s       string
	list    []string
	fields  map[string]string  // of a hash; of a set the keys
	scores  map[string]float64 // of a sorted set
	expires time.Time          // zero: never
}

func (v *value) empty() bool {
	switch v.kind {
	case list:
		return len(v.list) == 0
	case hash, set:
		return len(v.fields) == 0
	case sorted:
		return len(v.scores) == 0
	}
	return false
}

func (v *value) size() int64 {
	n := int64(len(v.s)) + 64
	for _, s := range v.list {
		n += int64(len(s)) + 16
	}
	for k, s := range v.fields {
		n += int64(len(k)+len(s)) + 32
	}
	for k := range v.scores {
		n += int64(len(k)) + 32
	}
	return n
}

// encoding is what OBJECT ENCODING says.
func (v *value) encoding() string {
	switch v.kind {
	case list:
		return "quicklist"
	case hash, sorted:
		if len(v.fields)+len(v.scores) <= 128 {
			return "listpack"
		}
		return map[kind]string{hash: "hashtable", sorted: "skiplist"}[v.kind]
	case set:
		return "hashtable"
	}
	if _, err := strconv.ParseInt(v.s, 10, 64); err == nil && len(v.s) < 20 {
		return "int"
	}
	if len(v.s) <= 44 {
		return "embstr"
	}
	return "raw"
}

// view is the databases as one source sees them: what was there, and what it did.
type view struct {
	mu     sync.Mutex
	db     [databases]map[string]*value
	held   int64
	config map[string]string // what CONFIG SET changed, and what it was at first
	master [2]string         // host and port that it was made a replica of
	dirty  int64
	saved  time.Time
}

// keys counts those of all databases.
func (v *view) keys() (n int) {
	for _, db := range v.db {
		n += len(db)
	}
	return n
}

// get looks a key up; one that has expired is gone.
func (v *view) get(db int, key string, now time.Time) *value {
	x := v.db[db][key]
	if x != nil && !x.expires.IsZero() && !now.Before(x.expires) {
		v.remove(db, key)
		return nil
	}
	return x
}

func (v *view) remove(db int, key string) bool {
	x := v.db[db][key]
	if x == nil {
		return false
	}
	v.held -= x.size() + int64(len(key))
	delete(v.db[db], key)
	return true
}

// room tells whether n further bytes fit.
func (v *view) room(n int) bool { return v.held+int64(n) <= maxHeld && v.keys() < maxKeys }

func (v *view) put(db int, key string, x *value) {
	v.remove(db, key)
	if v.db[db] == nil {
		v.db[db] = map[string]*value{}
	}
	v.db[db][key] = x
	v.held += x.size() + int64(len(key))
}

// change puts back what f made of a value; an empty one goes away.
func (v *view) change(db int, key string, x *value, f func()) {
	v.remove(db, key)
	f()
	v.dirty++
	if !x.empty() {
		v.put(db, key, x)
	}
}

func (v *view) sortedKeys(db int, now time.Time) []string {
	names := slices.Sorted(maps.Keys(v.db[db]))
	return slices.DeleteFunc(names, func(k string) bool { return v.get(db, k, now) == nil })
}

// seeded fills a database as a small shop's web application would.
func (v *view) seed(r rander, now time.Time) {
	words := []string{"anna", "marco", "julia", "peter", "sofie", "lukas", "clara", "tom", "ines", "jan"}
	for range 12 + r.IntN(20) {
		who := words[r.IntN(len(words))]
		id := fmt.Sprintf("%08x%08x", uint32(r.Uint64()), uint32(r.Uint64()))
		x := &value{kind: text, s: fmt.Sprintf(`{"uid":%d,"user":"%s","csrf":"%016x","role":"%s"}`, 100+r.IntN(900), who, r.Uint64(), []string{"customer", "customer", "staff"}[r.IntN(3)])}
		x.expires = now.Add(time.Duration(1+r.IntN(1400)) * time.Minute)
		v.put(0, "session:"+id, x)
	}
	for i := range 3 + r.IntN(4) {
		x := &value{kind: text, s: fmt.Sprintf(`[{"id":%d,"stock":%d},{"id":%d,"stock":%d}]`, 4000+i*20, r.IntN(80), 4001+i*20, r.IntN(80)), expires: now.Add(time.Duration(30+r.IntN(600)) * time.Second)}
		v.put(0, "cache:products:page:"+strconv.Itoa(i+1), x)
	}
	jobs := &value{kind: list}
	for range 1 + r.IntN(4) {
		jobs.list = append(jobs.list, fmt.Sprintf(`{"job":"SendOrderMail","order":%d,"attempts":0}`, 20000+r.IntN(9000)))
	}
	v.put(0, "queues:default", jobs)
	v.put(0, "stats:visits:"+now.UTC().Format("20060102"), &value{kind: text, s: strconv.Itoa(200 + r.IntN(4000))})
	v.put(0, "settings", &value{kind: hash, fields: map[string]string{"maintenance": "0", "theme": "default", "currency": "EUR", "smtp_host": "mail"}})
}

type rander interface {
	IntN(n int) int
	Uint64() uint64
}

// match is Redis' glob: * ? [a-z] [^a] \x.
func match(pattern, s string) bool {
	px, sx, star, mark := 0, 0, -1, 0
	for sx < len(s) {
		n, ok := 0, false
		if px < len(pattern) && pattern[px] != '*' {
			n, ok = one(pattern[px:], s[sx])
		}
		switch {
		case px < len(pattern) && pattern[px] == '*':
			star, mark = px, sx
			px++
		case ok:
			px += n
			sx++
		case star >= 0:
			mark++
			px, sx = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[px:], "*") == ""
}

// one matches a single character and tells how much of the pattern that took.
func one(p string, c byte) (n int, ok bool) {
	switch p[0] {
	case '?':
		return 1, true
	case '\\':
		if len(p) > 1 {
			return 2, p[1] == c
		}
	case '[':
		return class(p, c)
	}
	return 1, p[0] == c
}

func class(p string, c byte) (n int, ok bool) {
	i, not := 1, false
	if i < len(p) && p[i] == '^' {
		not, i = true, i+1
	}
	for i < len(p) && p[i] != ']' {
		switch {
		case p[i] == '\\' && i+1 < len(p):
			ok = ok || p[i+1] == c
			i += 2
		case i+2 < len(p) && p[i+1] == '-':
			ok = ok || min(p[i], p[i+2]) <= c && c <= max(p[i], p[i+2])
			i += 3
		default:
			ok = ok || p[i] == c
			i++
		}
	}
	return min(i+1, len(p)), ok != not
}
