package shell

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// declare runs export, readonly, local, declare with assignments as grammar.
func (s *sh) declare(ctx context.Context, c *syntax.DeclClause) {
	if builtin(s.dialect, c.Variant.Value) == nil {
		s.notRun(c.Variant.Value, vfs.ENOENT)
		return
	}
	args := []string{c.Variant.Value}
	s.status = 0
	var after []func()
	for _, a := range c.Args {
		switch {
		case a.Name == nil:
			args = append(args, s.args(ctx, []*syntax.Word{a.Value})...)
		case a.Naked && a.Array == nil:
			args = append(args, a.Name.Value)
		case a.Array == nil && a.Index == nil && !a.Append && len(args) > 1 && strings.HasPrefix(args[1], "-") && strings.Contains(args[1], "n"):
			args = append(args, a.Name.Value+"="+s.text(ctx, a.Value))
		default:
			args = append(args, a.Name.Value)
			after = append(after, func() {
				if !s.assign(ctx, a) {
					s.status = 1
				}
			})
		}
	}
	late := c.Variant.Value == "readonly" || len(args) > 1 && strings.HasPrefix(args[1], "-") && strings.Contains(args[1], "r")
	if late {
		for _, f := range after {
			f()
		}
		after = nil
	}
	if st := biDeclare(ctx, s, args); st != 0 {
		s.status = st
		return
	}
	for _, f := range after {
		f()
	}
}

func biDeclare(ctx context.Context, s *sh, args []string) int {
	verb, flags := args[0], ""
	args = args[1:]
	for len(args) > 0 && len(args[0]) > 1 && (args[0][0] == '-' || args[0][0] == '+') {
		if args[0] == "--" {
			args = args[1:]
			break
		}
		flags += args[0]
		args = args[1:]
	}
	has := func(c string) bool { return strings.Contains(flags, c) && !strings.HasPrefix(flags, "+") }
	if verb == "local" && len(s.scopes) == 0 {
		if s.dialect == Dash {
			return 0
		}
		return s.usage(1, "local", "can only be used in a function")
	}
	switch {
	case strings.ContainsAny(flags, "fF") && (verb == "declare" || verb == "typeset"):
		return s.listFuncs(args, has("F"))
	case len(args) == 0:
		return s.listVars(verb, flags)
	case has("p") && verb != "export" && verb != "readonly":
		return s.declared(verb, args)
	}
	status := 0
	for _, a := range args {
		name, value, assigned := strings.Cut(a, "=")
		if !validName(name) {
			status = s.usage(1, verb, "`%s': not a valid identifier", a)
			continue
		}
		if verb == "local" || (verb == "declare" || verb == "typeset") && len(s.scopes) > 0 && !has("g") {
			s.local(name)
		}
		v := s.vars[name]
		if v == nil && (verb != "export" || assigned || !has("n")) {
			v = &variable{}
			s.vars[name] = v
		}
		if v == nil {
			continue
		}
		if has("A") && v.dict == nil {
			v.dict = map[string]string{}
		}
		v.isArray = v.isArray || has("a")
		if has("n") && verb != "export" {
			v.ref = value
			continue
		}
		v.integer = v.integer || has("i")
		if assigned && !s.set(ctx, name, value) {
			status = 1
		}
		if verb == "readonly" || has("r") {
			v.readonly = true
		}
		switch {
		case verb == "export" && has("n"), strings.HasPrefix(flags, "+x"):
			v.exported = false
		case verb == "export", has("x"):
			v.exported = true
		}
	}
	return status
}

// declared is declare -p NAME...
func (s *sh) declared(verb string, names []string) int {
	status := 0
	for _, a := range names {
		if s.vars[a] == nil {
			status = s.usage(1, verb, "%s: not found", a)
			continue
		}
		s.out(s.declaration(a))
	}
	return status
}

func (s *sh) local(name string) {
	top := s.scopes[len(s.scopes)-1]
	if top == nil {
		top = map[string]*variable{}
		s.scopes[len(s.scopes)-1] = top
	}
	if _, done := top[name]; done {
		return
	}
	top[name] = s.vars[name]
	s.vars[name] = &variable{}
}

func (s *sh) listVars(verb, flags string) int {
	var names []string
	for k, v := range s.vars {
		if verb == "export" && !v.exported || verb == "readonly" && !v.readonly || strings.Contains(flags, "x") && !v.exported {
			continue
		}
		names = append(names, k)
	}
	sort.Strings(names)
	var b strings.Builder
	for _, k := range names {
		if s.dialect == Bash {
			b.WriteString(s.declaration(k))
		} else {
			fmt.Fprintf(&b, "%s %s='%s'\n", verb, k, s.vars[k].value)
		}
	}
	return s.out(b.String())
}

// declaration is a variable as declare -p prints it.
func (s *sh) declaration(name string) string {
	v := s.vars[name]
	flags := ""
	for _, f := range []struct {
		on bool
		c  string
	}{{v.isArray, "a"}, {v.dict != nil, "A"}, {v.integer, "i"}, {v.ref != "", "n"}, {v.readonly, "r"}, {v.exported, "x"}} {
		if f.on {
			flags += f.c
		}
	}
	if flags == "" {
		flags = "-"
	}
	quote := func(t string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, `$`, `\$`, "`", "\\`").Replace(t) + `"`
	}
	head := "declare -" + flags + " " + name
	switch {
	case v.ref != "":
		return head + "=" + quote(v.ref) + "\n"
	case !v.isArray && v.dict == nil:
		return head + "=" + quote(v.value) + "\n"
	}
	var items []string
	for _, k := range s.keys(name) {
		if v.dict != nil {
			items = append(items, "["+k+"]="+quote(v.dict[k]))
			continue
		}
		i, _ := strconv.Atoi(k)
		items = append(items, "["+k+"]="+quote(v.list[i]))
	}
	end := ""
	if v.dict != nil {
		end = " "
	}
	return head + "=(" + strings.Join(items, " ") + end + ")\n"
}

// listFuncs is declare -f and -F.
func (s *sh) listFuncs(names []string, short bool) int {
	list := names
	if len(list) == 0 {
		for k := range s.funcs {
			list = append(list, k)
		}
		sort.Strings(list)
	}
	status := 0
	for _, n := range list {
		switch f := s.funcs[n]; {
		case f == nil:
			status = 1
		case short && len(names) == 0:
			s.out("declare -f " + n + "\n")
		case short:
			s.out(n + "\n")
		default:
			s.out(funcText(f))
		}
	}
	return status
}

// funcText is a function as bash prints it.
func funcText(f *syntax.FuncDecl) string {
	body := []*syntax.Stmt{f.Body}
	if b, ok := f.Body.Cmd.(*syntax.Block); ok {
		body = b.Stmts
	}
	var b strings.Builder
	b.WriteString(f.Name.Value + " () \n{ \n")
	for i, st := range body {
		end := ";\n"
		if i == len(body)-1 {
			end = "\n"
		}
		b.WriteString("    " + source(st) + end)
	}
	return b.String() + "}\n"
}

func biUnset(_ context.Context, s *sh, args []string) int {
	fn := false
	for _, a := range args[1:] {
		switch {
		case a == "-f":
			fn = true
		case a == "-v", a == "-n":
		case fn:
			delete(s.funcs, a)
		case s.vars[a] != nil && s.vars[a].readonly:
			return s.usage(1, "unset", "%s: cannot unset: readonly variable", a)
		default:
			if name, idx, ok := strings.Cut(strings.TrimSuffix(a, "]"), "["); ok && s.vars[name] != nil {
				delete(s.vars[name].dict, idx)
				if i, err := strconv.Atoi(idx); err == nil && i >= 0 && i < len(s.vars[name].list) {
					s.vars[name].drop(i)
				}
				continue
			}
			if s.vars[a] == nil {
				delete(s.funcs, a)
			}
			s.unset(a)
		}
	}
	return 0
}

func biLet(ctx context.Context, s *sh, args []string) int {
	n := int64(0)
	for _, a := range args[1:] {
		n, _ = s.arithText(ctx, a)
	}
	return int(truth(n == 0))
}
