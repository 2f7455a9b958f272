// Package shell is the command language of a fake host: bash, dash and
// BusyBox ash as far as visitors can tell. It parses with mvdan.cc/sh's
// grammar and evaluates by itself over a kernel.Proc; it cannot reach the
// real machine. Every step is charged to the session's budget.
package shell

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// Dialect is the language a shell speaks.
type Dialect uint8

// The dialects.
const (
	Bash Dialect = iota
	Dash
	Ash // BusyBox
)

// variable is one shell variable.
type variable struct {
	value    string
	list     []string          // indexed array
	dict     map[string]string // associative array
	isArray  bool
	exported bool
	readonly bool
	integer  bool
	holes    map[int]bool // indexes of list that are not set
	ref      string       // declare -n: the name it stands for
}

// drop unsets one element of an array.
func (v *variable) drop(i int) {
	v.list[i] = ""
	if v.holes == nil {
		v.holes = map[int]bool{}
	}
	v.holes[i] = true
	for n := len(v.list); n > 0 && v.holes[n-1]; n-- {
		delete(v.holes, n-1)
		v.list = v.list[:n-1]
	}
}

// jump is a pending change of control: break, continue, return, exit.
type jump struct {
	kind jumpKind
	n    int
}

type jumpKind uint8

const (
	noJump jumpKind = iota
	jumpBreak
	jumpContinue
	jumpReturn
	jumpExit
)

// sh is one shell process.
type sh struct {
	p         *kernel.Proc
	dialect   Dialect
	name      string // $0
	file      string // the script that is read, "" at a prompt, with -c and on standard input
	params    []string
	vars      map[string]*variable
	scopes    []map[string]*variable // saved values of local variables
	funcs     map[string]*syntax.FuncDecl
	aliases   map[string]string
	traps     map[string]string
	opts      options
	status    int
	jump      jump
	loops     int
	calls     int
	depth     int
	line      int
	lastBG    int
	jobs      []*job
	turns     int             // of jobs
	stmtNow   *syntax.Stmt    // that is run
	life      context.Context //nolint:containedctx // of an interactive shell: its jobs outlive the line that began them
	hist      []string
	histRead  bool // hist has the lines of the file
	sub       bool // a subshell
	noExit    int  // errexit is off while > 0 (conditions)
	dirs      []string
	seconds   int64
	optPos    int
	sourced   int // nesting of "."
	lastArg   string
	warned    bool              // of stopped jobs, by the line before
	badOption bool              // set -o met an unknown name
	expr      syntax.ArithmExpr // for error texts
	fnames    []string
	subs      []closer // descriptors of process substitutions of this command
	subst     bool     // the last expansion ran a command: its status counts
}

type options struct {
	errexit, nounset, xtrace, noglob, pipefail, allexport   bool
	interactive, login, stdin, command                      bool
	nullglob, dotglob, nocase, extglob, failglob, noclobber bool
}

// closer is an open process substitution.
type closer struct {
	fd   int
	task *kernel.Task // of >(...), else nil
}

// newShell is a shell for the process p; exported variables come from p.Env.
func newShell(p *kernel.Proc, d Dialect) *sh {
	s := &sh{
		p: p, dialect: d, name: p.Args[0], vars: make(map[string]*variable, len(p.Env)+8), seconds: p.Now().Unix(),
		opts: options{extglob: false},
	}
	for k, v := range p.Env {
		s.vars[k] = &variable{value: v, exported: true}
	}
	s.put("IFS", " \t\n")
	s.put("PWD", p.Dir)
	if s.vars["PWD"] != nil {
		s.vars["PWD"].exported = true
	}
	if d == Bash {
		v := p.M.Persona.BashVersion
		s.put("BASH_VERSION", v)
		s.vars["BASH_VERSINFO"] = &variable{isArray: true, readonly: true, list: append(strings.FieldsFunc(v, func(r rune) bool { return strings.ContainsRune(".()-", r) }), p.M.Persona.Kernel.Machine+"-pc-linux-gnu")}
		s.lastArg = s.name
		s.put("SHELLOPTS", "braceexpand:hashall:interactive-comments")
	}
	s.put("OPTIND", "1")
	if s.get("PATH") == "" {
		s.put("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
	}
	return s
}

// fork is a copy of s for a subshell, on its own process.
func (s *sh) fork(p *kernel.Proc) *sh {
	c := *s
	c.p = p
	c.sub = true
	c.vars = make(map[string]*variable, len(s.vars))
	for k, v := range s.vars {
		n := *v
		n.list = append([]string(nil), v.list...)
		n.dict = maps.Clone(v.dict)
		n.holes = maps.Clone(v.holes)
		c.vars[k] = &n
	}
	c.funcs = maps.Clone(s.funcs)
	c.aliases = maps.Clone(s.aliases)
	c.traps = nil
	c.jobs = nil
	c.params = append([]string(nil), s.params...)
	c.fnames = slices.Clone(s.fnames)
	c.scopes = slices.Clone(s.scopes)
	for i := range c.scopes {
		c.scopes[i] = maps.Clone(s.scopes[i])
	}
	return &c
}

// stop reports whether the shell must unwind now.
func (s *sh) stop(ctx context.Context) bool {
	return s.jump.kind != noJump || ctx.Err() != nil
}

// step charges one evaluator step.
func (s *sh) step(ctx context.Context) bool {
	return s.p.Step(1) == nil && !s.stop(ctx)
}

// fail prints a message as this shell words its own errors, and sets the status.
func (s *sh) fail(status int, format string, args ...any) {
	fmt.Fprintf(s.p.Stderr(), "%s%s\n", s.prefix(), fmt.Sprintf(format, args...)) //nolint:errcheck // the visitor's own stderr
	s.status = status
}

// prefix begins an error text: "bash: line 1: ", "-bash: ", "sh: 1: ", "sh: ".
func (s *sh) prefix() string {
	switch {
	case s.opts.interactive && s.dialect == Dash:
		return fmt.Sprintf("%s: %d: ", s.name, max(s.line, 1))
	case s.opts.interactive, s.dialect == Ash:
		if s.dialect == Ash && !s.opts.interactive && s.file != "" {
			return fmt.Sprintf("%s: line %d: ", s.name, max(s.line, 1))
		}
		return s.name + ": "
	case s.dialect == Dash:
		return fmt.Sprintf("%s: %d: ", s.name, max(s.line, 1))
	}
	return fmt.Sprintf("%s: line %d: ", s.name, max(s.line, 1))
}

// get reads a variable, special ones too.
func (s *sh) get(name string) string {
	v, _ := s.lookup(name)
	return v
}

func (s *sh) lookup(name string) (value string, set bool) {
	if v := s.vars[name]; v != nil {
		switch {
		case v.ref != "" && v.ref != name:
			if t := s.vars[v.ref]; t == nil || t.ref == "" {
				return s.lookup(v.ref)
			}
			return "", false
		case v.dict != nil:
			return v.dict["0"], true
		case v.isArray:
			if len(v.list) > 0 {
				return v.list[0], true
			}
			return "", false
		}
		return v.value, true
	}
	return s.special(name)
}

func (s *sh) special(name string) (string, bool) {
	switch name {
	case "?":
		return strconv.Itoa(s.status), true
	case "$":
		return strconv.Itoa(s.p.M.ShellPID(s.p)), true
	case "!":
		if s.lastBG == 0 {
			return "", false
		}
		return strconv.Itoa(s.lastBG), true
	case "#":
		return strconv.Itoa(len(s.params)), true
	case "0":
		return s.name, true
	case "-":
		return s.flags(), true
	case "_":
		return s.lastArg, true
	case "PPID":
		return strconv.Itoa(s.p.PPID), true
	case "RANDOM":
		if s.dialect != Dash {
			return strconv.Itoa(s.p.M.Rand.IntN(32768)), true
		}
	case "LINENO":
		return strconv.Itoa(s.line), true
	}
	if n, err := strconv.Atoi(name); err == nil && n > 0 {
		if n <= len(s.params) {
			return s.params[n-1], true
		}
		return "", false
	}
	if s.dialect != Bash {
		return "", false
	}
	return s.bashSpecial(name)
}

func (s *sh) bashSpecial(name string) (string, bool) {
	k := s.p.M.Persona.Kernel
	switch name {
	case "UID", "EUID":
		return strconv.Itoa(int(s.p.Caller.UID)), true
	case "BASHPID":
		return strconv.Itoa(s.p.PID), true
	case "SECONDS":
		return strconv.FormatInt(s.p.Now().Unix()-s.seconds, 10), true
	case "HOSTNAME":
		return s.p.M.Persona.Hostname, true
	case "HOSTTYPE":
		return k.Machine, true
	case "OSTYPE":
		return "linux-gnu", true
	case "MACHTYPE":
		return k.Machine + "-pc-linux-gnu", true
	case "FUNCNAME":
		if n := len(s.fnames); n > 0 {
			return s.fnames[n-1], true
		}
		return "", false
	case "BASH":
		return "/bin/bash", true
	case "EPOCHSECONDS":
		return strconv.FormatInt(s.p.Now().Unix(), 10), true
	case "SHLVL":
		return "1", true
	}
	return "", false
}

func (s *sh) flags() string {
	if s.dialect == Ash && s.opts.interactive {
		return "smi"
	}
	f := "h"
	if s.dialect != Bash {
		f = ""
	}
	for _, o := range []struct {
		on bool
		c  string
	}{
		{s.opts.errexit, "e"},
		{s.opts.noglob, "f"},
		{s.opts.interactive, "im"},
		{s.opts.nounset, "u"},
		{s.opts.xtrace, "x"},
		{s.dialect == Bash, "B"},
		{s.opts.interactive && s.dialect == Bash, "H"},
		{s.opts.command, "c"},
		{s.opts.stdin, "s"},
	} {
		if o.on {
			f += o.c
		}
	}
	return f
}

const maxValue = 1 << 20 // bytes of one variable

// put sets a variable without regard to readonly.
func (s *sh) put(name, value string) bool {
	v := s.vars[name]
	if v == nil {
		if len(s.vars) > 10_000 {
			return false
		}
		v = &variable{exported: s.opts.allexport}
		s.vars[name] = v
	}
	if s.p.S.Budget.TooBig(len(value), maxValue) || s.p.S.Budget.Grow(int64(len(value)-len(v.value))) != nil {
		s.fail(2, "xrealloc: cannot allocate %d bytes", len(value))
		s.jump = jump{kind: jumpExit}
		return false
	}
	switch {
	case v.dict != nil:
		v.dict["0"] = value
	case v.isArray:
		if len(v.list) == 0 {
			v.list = []string{""}
		}
		v.list[0] = value
	default:
		v.value = value
	}
	return true
}

// set assigns as a visitor's assignment does.
func (s *sh) set(ctx context.Context, name, value string) bool {
	v := s.vars[name]
	if v != nil && v.ref != "" && (s.vars[v.ref] == nil || s.vars[v.ref].ref == "") {
		return s.set(ctx, v.ref, value)
	}
	if v != nil && v.readonly {
		if s.dialect == Bash {
			s.fail(1, "%s: readonly variable", name)
		} else {
			s.fail(2, "%s: is read only", name)
			s.jump = jump{kind: jumpExit}
		}
		return false
	}
	if v != nil && v.integer {
		n, _ := s.arithText(ctx, value)
		value = strconv.FormatInt(n, 10)
	}
	if !s.put(name, value) {
		return false
	}
	if name == "PATH" || name == "HOME" || s.vars[name].exported {
		s.p.Env[name] = value
		if !s.vars[name].exported {
			delete(s.p.Env, name)
		}
	}
	return true
}

func (s *sh) export(name string) {
	v := s.vars[name]
	if v == nil {
		v = &variable{}
		s.vars[name] = v
	}
	v.exported = true
}

func (s *sh) unset(name string) {
	if v := s.vars[name]; v != nil {
		s.p.S.Budget.Grow(-int64(len(v.value))) //nolint:errcheck // giving back
		delete(s.vars, name)
	}
	delete(s.p.Env, name)
}

// environ is the environment of a child.
func (s *sh) environ() map[string]string {
	env := make(map[string]string, len(s.vars))
	for k, v := range s.vars {
		if v.exported && !v.isArray && v.dict == nil {
			env[k] = v.value
		}
	}
	return env
}

func validName(s string) bool {
	if s == "" || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return strings.IndexFunc(s, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	}) < 0
}
