package redis

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// commandList has a line for each command of Redis 7.0: name, arity, first and
// last key, step, flags, as COMMAND says.
//
//go:embed commands.txt
var commandList string

// command is one line of it with what does it here; do is nil for those that
// are known and not played.
type command struct {
	name              string
	arity             int
	first, last, step int
	flags             []string
	do                func(v *visit, args [][]byte)
}

func (c *command) flag(name string) bool { return slices.Contains(c.flags, name) }

func commands() map[string]*command {
	table := map[string]*command{}
	for line := range strings.Lines(commandList) {
		c := &command{}
		var flags string
		if _, err := fmt.Sscan(line, &c.name, &c.arity, &c.first, &c.last, &c.step, &flags); err != nil {
			panic("commands.txt: " + err.Error()) // the file is ours
		}
		if flags != "-" {
			c.flags = strings.Split(flags, ",")
		}
		table[c.name] = c
	}
	for _, part := range []map[string]func(*visit, [][]byte){connection(), texts(), collections(), keyspace(), server(), hostile()} {
		for name, do := range part {
			table[name].do = do
		}
	}
	return table
}

// The errors that several commands give.
const (
	wrongType  = "WRONGTYPE Operation against a key holding the wrong kind of value"
	notInteger = "ERR value is not an integer or out of range"
	syntax     = "ERR syntax error"
	noMemory   = "OOM command not allowed when used memory > 'maxmemory'."
)

func lower(b []byte) string { return strings.ToLower(string(b)) }

// subcommand is the second word in lower case. Of one that does not exist, Redis
// says so in these words.
func (v *visit) noSuch(args [][]byte) {
	v.out.fail("ERR unknown subcommand '" + string(args[1][:min(len(args[1]), 128)]) + "'. Try " + strings.ToUpper(string(args[0])) + " HELP.")
}

func (v *visit) wrongNumber(args [][]byte) {
	v.out.fail("ERR wrong number of arguments for '" + lower(args[0]) + "|" + lower(args[1]) + "' command")
}

// connection are the commands about the connection itself.
func connection() map[string]func(*visit, [][]byte) {
	return map[string]func(*visit, [][]byte){
		"ping": func(v *visit, a [][]byte) {
			switch len(a) {
			case 1:
				v.out.status("PONG")
			case 2:
				v.out.bulk(string(a[1]))
			default:
				v.out.fail("ERR wrong number of arguments for 'ping' command")
			}
		},
		"echo": func(v *visit, a [][]byte) { v.out.bulk(string(a[1])) },
		"quit": func(v *visit, _ [][]byte) { v.out.status("OK"); v.quit = true },
		"select": func(v *visit, a [][]byte) {
			n, ok := number(a[1])
			switch {
			case !ok:
				v.out.fail(notInteger)
			case n < 0 || n >= databases:
				v.out.fail("ERR DB index is out of range")
			default:
				v.db = int(n)
				v.out.status("OK")
			}
		},
		"auth": auth, "hello": helloCommand, "client": client,
		"reset": func(v *visit, _ [][]byte) {
			v.db, v.multi, v.queued, v.queuedBytes, v.out.proto, v.name = 0, false, nil, 0, 2, ""
			v.in, v.user = !v.c.Password, "default"
			v.out.status("RESET")
		},
		"multi": func(v *visit, _ [][]byte) {
			if v.multi {
				v.out.fail("ERR MULTI calls can not be nested")
				return
			}
			v.multi = true
			v.out.status("OK")
		},
		"exec": execute, "watch": ok, "unwatch": ok,
		"discard": func(v *visit, _ [][]byte) {
			if !v.multi {
				v.out.fail("ERR DISCARD without MULTI")
				return
			}
			v.multi, v.queued, v.queuedBytes = false, nil, 0
			v.out.status("OK")
		},
		"subscribe": subscribe, "psubscribe": subscribe, "ssubscribe": subscribe,
		"publish": func(v *visit, _ [][]byte) { v.out.int(0) },
		"command": commandCommand,
	}
}

func ok(v *visit, _ [][]byte) { v.out.status("OK") }

func auth(v *visit, a [][]byte) {
	if len(a) > 3 {
		v.out.fail(syntax)
		return
	}
	user, password := "default", string(a[len(a)-1])
	if len(a) == 3 {
		user = string(a[1])
	}
	switch {
	case v.login(user, password), len(a) == 3 && user == "default" && !v.c.Password:
		v.out.status("OK")
	case len(a) == 2 && !v.c.Password:
		v.out.fail("ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?")
	default:
		v.out.fail(wrongPass)
	}
}

const wrongPass = "WRONGPASS invalid username-password pair or user is disabled."

func helloCommand(v *visit, a [][]byte) {
	proto := v.out.proto
	rest := a[1:]
	if len(rest) > 0 {
		n, isNumber := number(rest[0])
		switch {
		case !isNumber:
			v.out.fail("ERR Protocol version is not an integer or out of range")
			return
		case n != 2 && n != 3:
			v.out.fail("NOPROTO unsupported protocol version")
			return
		}
		proto, rest = int(n), rest[1:]
	}
	for len(rest) > 0 {
		switch word := lower(rest[0]); {
		case word == "auth" && len(rest) > 2:
			if !v.login(string(rest[1]), string(rest[2])) && (v.c.Password || string(rest[1]) != "default") {
				v.out.fail(wrongPass)
				return
			}
			rest = rest[3:]
		case word == "setname" && len(rest) > 1:
			v.name, rest = string(rest[1]), rest[2:]
		default:
			v.out.fail("ERR Syntax error in HELLO option '" + string(rest[0]) + "'")
			return
		}
	}
	if !v.in {
		v.out.fail("NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time")
		return
	}
	v.out.proto = proto
	v.out.dict(7)
	for _, p := range [][2]string{{"server", "redis"}, {"version", version}} {
		v.out.bulk(p[0])
		v.out.bulk(p[1])
	}
	v.out.bulk("proto")
	v.out.int(int64(proto))
	v.out.bulk("id")
	v.out.int(v.id)
	for _, p := range [][2]string{{"mode", "standalone"}, {"role", v.role()}} {
		v.out.bulk(p[0])
		v.out.bulk(p[1])
	}
	v.out.bulk("modules")
	v.out.list(0)
}

func (v *visit) role() string {
	if v.view.master[0] != "" {
		return "slave"
	}
	return "master"
}

func client(v *visit, a [][]byte) {
	switch lower(a[1]) {
	case "id":
		v.out.int(v.id)
	case "getname":
		if v.name == "" {
			v.out.null()
			return
		}
		v.out.bulk(v.name)
	case "setname":
		if len(a) != 3 {
			v.wrongNumber(a)
			return
		}
		if strings.ContainsFunc(string(a[2]), func(r rune) bool { return r < '!' || r > '~' }) {
			v.out.fail("ERR Client names cannot contain spaces, newlines or special characters.")
			return
		}
		v.name = string(a[2][:min(len(a[2]), 256)])
		v.out.status("OK")
	case "list", "info":
		v.out.text(v.clientLine() + "\n")
	case "kill":
		v.out.fail("ERR No such client")
	case "no-evict", "reply", "pause", "unpause", "tracking", "caching":
		v.out.status("OK")
	case "trackinginfo", "getredir":
		v.out.int(-1)
	default:
		v.noSuch(a)
	}
}

func (v *visit) clientLine() string {
	age := int64(v.s.Clock.Now().Sub(v.s.Start).Seconds())
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=8 name=%s age=%d idle=0 flags=N db=%d sub=0 psub=0 ssub=0 multi=-1 qbuf=26 qbuf-free=20448 argv-mem=10 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 omem=0 tot-mem=22298 events=r cmd=client|list user=%s redir=-1 resp=%d",
		v.id, v.s.Source, v.s.Local, v.name, age, v.db, v.user, v.out.proto)
}

func execute(v *visit, _ [][]byte) {
	if !v.multi {
		v.out.fail("ERR EXEC without MULTI")
		return
	}
	queued := v.queued
	v.multi, v.queued, v.queuedBytes = false, nil, 0
	v.out.list(len(queued))
	for _, args := range queued {
		v.run(v.table[lower(args[0])], args)
	}
}

func subscribe(v *visit, a [][]byte) {
	for i, channel := range a[1:] {
		v.out.list(3)
		v.out.bulk(lower(a[0]))
		v.out.bulk(string(channel))
		v.out.int(int64(i + 1))
	}
}

func commandCommand(v *visit, a [][]byte) {
	if len(a) == 1 {
		v.commandInfo(v.names())
		return
	}
	switch lower(a[1]) {
	case "count":
		v.out.int(int64(len(v.table)))
	case "list":
		v.out.bulks(v.names())
	case "docs": // the texts are Redis' own; clients fall back to what they know
		v.out.dict(0)
	case "info":
		var names []string
		for _, n := range a[2:] {
			names = append(names, lower(n))
		}
		if len(names) == 0 {
			names = v.names()
		}
		v.commandInfo(names)
	case "getkeys", "getkeysandflags":
		v.out.fail("ERR The command has no key arguments")
	default:
		v.noSuch(a)
	}
}

func (v *visit) names() []string {
	names := make([]string, 0, len(v.table))
	for n := range v.table {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (v *visit) commandInfo(names []string) {
	v.out.list(len(names))
	for _, n := range names {
		c := v.table[n]
		if c == nil {
			v.out.null()
			continue
		}
		v.out.list(10)
		v.out.bulk(c.name)
		v.out.int(int64(c.arity))
		v.out.set(len(c.flags))
		for _, f := range c.flags {
			v.out.status(f)
		}
		for _, k := range []int{c.first, c.last, c.step} {
			v.out.int(int64(k))
		}
		for range 4 {
			v.out.list(0)
		}
	}
}

func integer(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > 20 || b[0] == '+' || (b[0] == '0' && len(b) > 1) {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}
