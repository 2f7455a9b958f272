package shell

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// biTest is test and [.
func biTest(_ context.Context, s *sh, args []string) int {
	name := args[0]
	args = args[1:]
	if name == "[" {
		if len(args) == 0 || args[len(args)-1] != "]" {
			return s.usage(2, "[", "missing `]'")
		}
		args = args[:len(args)-1]
	}
	t := tester{s: s, args: args, name: name}
	if len(args) == 0 {
		return 1
	}
	ok := t.byCount()
	if t.status == 0 && t.i < len(t.args) {
		t.fault("too many arguments")
	}
	if t.status != 0 {
		return t.status
	}
	return int(truth(!ok))
}

// byCount evaluates by the number of arguments, as POSIX says for up to four.
func (t *tester) byCount() bool {
	a := t.args
	switch {
	case len(a) == 2 && a[0] == "!":
		t.i = 2
		return a[1] == ""
	case len(a) == 2 && (len(a[0]) != 2 || a[0][0] != '-' || !strings.Contains("abcdefghknoprstuvwxzGLNORS", a[0][1:])):
		if t.s.dialect == Bash {
			t.fault(a[0] + ": unary operator expected")
		} else {
			t.fault(a[0] + ": unexpected operator")
		}
	case len(a) == 3 && a[0] != "!" && a[0] != "(" && a[1] != "-a" && a[1] != "-o" && !t.binaryOp(a[1]):
		if t.s.dialect == Bash {
			t.fault(a[1] + ": binary operator expected")
		} else {
			t.fault(a[0] + ": unexpected operator")
		}
	default:
		return t.or()
	}
	return false
}

type tester struct {
	s      *sh
	name   string
	args   []string
	i      int
	status int
}

func (t *tester) fault(text string) {
	if t.status == 0 {
		t.status = t.s.usage(2, t.name, "%s", text)
	}
}

func (t *tester) peek(k int) string {
	if t.i+k < len(t.args) {
		return t.args[t.i+k]
	}
	return ""
}

func (t *tester) or() bool {
	v := t.and()
	for t.peek(0) == "-o" && t.status == 0 {
		t.i++
		v = t.and() || v
	}
	return v
}

func (t *tester) and() bool {
	v := t.not()
	for t.peek(0) == "-a" && t.status == 0 {
		t.i++
		v = t.not() && v
	}
	return v
}

func (t *tester) not() bool {
	left := len(t.args) - t.i
	if t.peek(0) == "!" && left > 1 {
		t.i++
		return !t.not()
	}
	if left >= 3 && t.binaryOp(t.peek(1)) {
		a, op, b := t.peek(0), t.peek(1), t.peek(2)
		t.i += 3
		return t.compare(a, op, b)
	}
	if t.peek(0) == "(" && left > 2 {
		t.i++
		v := t.or()
		if t.peek(0) != ")" {
			t.fault("`)' expected")
		}
		t.i++
		return v
	}
	if op := t.peek(0); left > 1 && len(op) == 2 && op[0] == '-' {
		t.i += 2
		return t.s.unaryTest(op[1], t.args[t.i-1])
	}
	t.i++
	return t.args[t.i-1] != ""
}

func (t *tester) binaryOp(op string) bool {
	switch op {
	case "==":
		return t.s.dialect != Dash
	case "=", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef":
		return true
	}
	return false
}

func (t *tester) compare(a, op, b string) bool {
	switch op {
	case "=", "==":
		return a == b
	case "!=":
		return a != b
	case "<":
		return a < b
	case ">":
		return a > b
	case "-nt", "-ot", "-ef":
		return t.s.fileCompare(a, op, b)
	}
	x, ok1 := number(a)
	y, ok2 := number(b)
	if !ok1 || !ok2 {
		bad := a
		if ok1 {
			bad = b
		}
		if t.s.dialect == Bash {
			t.fault(bad + ": integer expression expected")
		} else {
			t.fault("Illegal number: " + bad)
		}
		return false
	}
	return compareInt(op, x, y)
}

func compareInt(op string, x, y int64) bool {
	switch op {
	case "-eq":
		return x == y
	case "-ne":
		return x != y
	case "-lt":
		return x < y
	case "-le":
		return x <= y
	case "-gt":
		return x > y
	}
	return x >= y
}

func (s *sh) fileCompare(a, op, b string) bool {
	x, err1 := s.p.M.FS.Stat(s.p.Caller, s.p.Abs(a))
	y, err2 := s.p.M.FS.Stat(s.p.Caller, s.p.Abs(b))
	switch op {
	case "-nt":
		return err1 == nil && (err2 != nil || x.Mtime.After(y.Mtime))
	case "-ot":
		return err2 == nil && (err1 != nil || x.Mtime.Before(y.Mtime))
	}
	return err1 == nil && err2 == nil && x.Ino == y.Ino
}

func (s *sh) unaryTest(op byte, arg string) bool {
	switch op {
	case 'z':
		return arg == ""
	case 'n':
		return arg != ""
	case 'v':
		_, ok := s.lookup(arg)
		return ok
	case 't':
		n, err := strconv.Atoi(arg)
		return err == nil && s.p.IsTTY(n)
	case 'o':
		return false
	}
	if arg == "" {
		return false
	}
	path := s.p.Abs(arg)
	stat := s.p.M.FS.Stat
	if op == 'h' || op == 'L' {
		stat = s.p.M.FS.Lstat
	}
	in, err := stat(s.p.Caller, path)
	if err != nil {
		return false
	}
	switch op {
	case 'e', 'a':
		return true
	case 'f':
		return in.Kind == vfs.File
	case 'd':
		return in.Kind == vfs.Dir
	case 'h', 'L':
		return in.Kind == vfs.Symlink
	case 'c':
		return in.Kind == vfs.CharDev
	case 'b':
		return in.Kind == vfs.BlockDev
	case 'p':
		return in.Kind == vfs.FIFO
	case 'S':
		return in.Kind == vfs.Socket
	case 's':
		return in.Size > 0
	case 'k':
		return in.Mode&vfs.ModeSticky != 0
	case 'g':
		return in.Mode&vfs.ModeSetGID != 0
	case 'u':
		return in.Mode&vfs.ModeSetUID != 0
	case 'O':
		return in.UID == s.p.Caller.UID
	case 'G':
		return in.GID == s.p.Caller.GID
	case 'r':
		return s.p.M.FS.Access(s.p.Caller, path, 4) == nil
	case 'w':
		return s.p.M.FS.Access(s.p.Caller, path, 2) == nil
	case 'x':
		return s.p.M.FS.Access(s.p.Caller, path, 1) == nil
	}
	return false
}

// testExpr evaluates [[ ... ]].
func (s *sh) testExpr(ctx context.Context, x syntax.TestExpr) bool {
	if s.p.Step(1) != nil {
		return false
	}
	switch x := x.(type) {
	case *syntax.Word:
		return s.text(ctx, x) != ""
	case *syntax.ParenTest:
		return s.testExpr(ctx, x.X)
	case *syntax.UnaryTest:
		if x.Op == syntax.TsNot {
			return !s.testExpr(ctx, x.X)
		}
		w, ok := x.X.(*syntax.Word)
		if !ok {
			return false
		}
		return s.unaryTest(x.Op.String()[1], s.text(ctx, w))
	case *syntax.BinaryTest:
		return s.binaryTest(ctx, x)
	}
	return false
}

func (s *sh) binaryTest(ctx context.Context, x *syntax.BinaryTest) bool {
	switch x.Op {
	case syntax.AndTest:
		return s.testExpr(ctx, x.X) && s.testExpr(ctx, x.Y)
	case syntax.OrTest:
		return s.testExpr(ctx, x.X) || s.testExpr(ctx, x.Y)
	}
	xw, ok1 := x.X.(*syntax.Word)
	yw, ok2 := x.Y.(*syntax.Word)
	if !ok1 || !ok2 {
		return false
	}
	a := s.text(ctx, xw)
	switch x.Op {
	case syntax.TsMatchShort, syntax.TsMatch:
		return match(s.pattern(ctx, yw), a, s.opts.nocase)
	case syntax.TsNoMatch:
		return !match(s.pattern(ctx, yw), a, s.opts.nocase)
	case syntax.TsReMatch:
		return s.regex(a, s.one(ctx, yw))
	case syntax.TsBefore:
		return a < s.text(ctx, yw)
	case syntax.TsAfter:
		return a > s.text(ctx, yw)
	case syntax.TsNewer, syntax.TsOlder, syntax.TsDevIno:
		return s.fileCompare(a, x.Op.String(), s.text(ctx, yw))
	}
	n, _ := s.arithText(ctx, a)
	m, _ := s.arithText(ctx, s.text(ctx, yw))
	return compareInt(x.Op.String(), n, m)
}

// regex is =~ with the groups in BASH_REMATCH; Go's engine is linear in time.
func (s *sh) regex(text string, f field) bool {
	var pat strings.Builder
	for _, p := range f {
		if p.quoted {
			pat.WriteString(regexp.QuoteMeta(p.text))
		} else {
			pat.WriteString(p.text)
		}
	}
	if len(pat.String()) > 1000 {
		return false
	}
	re, err := regexp.CompilePOSIX(pat.String())
	if err != nil {
		s.status = 2
		return false
	}
	m := re.FindStringSubmatch(text)
	s.vars["BASH_REMATCH"] = &variable{isArray: true, list: m}
	return m != nil
}
