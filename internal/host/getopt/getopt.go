// Package getopt reads command lines as GNU programs do: options anywhere,
// long names by unique prefix, and the error texts of getopt_long.
package getopt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

// Opts is a parsed command line.
type Opts struct {
	Args  []string // operands
	Bad   string   // what is wrong, in getopt's words; "--help" and "--version" when asked
	flags map[string][]string
	order []string
}

// Has reports whether one of the options was given.
func (o Opts) Has(names ...string) bool {
	for _, n := range names {
		if _, ok := o.flags[n]; ok {
			return true
		}
	}
	return false
}

// Get is the last value of the first of names that was given.
func (o Opts) Get(names ...string) string {
	for _, n := range names {
		if v := o.flags[n]; len(v) > 0 {
			return v[len(v)-1]
		}
	}
	return ""
}

// All is every value of an option, in order.
func (o Opts) All(name string) []string { return o.flags[name] }

// Count is how often an option was given.
func (o Opts) Count(name string) int { return len(o.flags[name]) }

// Len is the number of different options given.
func (o Opts) Len() int { return len(o.flags) }

// Last is the one of names that came last, "" for none.
func (o Opts) Last(names ...string) string {
	for _, v := range slices.Backward(o.order) {
		for _, n := range names {
			if v == n {
				return n
			}
		}
	}
	return ""
}

// Int is a number given as a value, or def.
func (o Opts) Int(name string, def int) int {
	n, err := strconv.Atoi(o.Get(name))
	if err != nil {
		return def
	}
	return n
}

// Set adds an option as if it had been given.
func (o *Opts) Set(name, value string) {
	if o.flags == nil {
		o.flags = map[string][]string{}
	}
	o.flags[name] = append(o.flags[name], value)
	o.order = append(o.order, name)
}

// spec is what a program takes.
type spec struct {
	letters string
	names   map[string]string // long name -> option ("" = itself)
	values  map[string]byte   // option -> ':' required, '?' optional
	posix   bool              // the first operand ends the options
}

// Parse reads args. letters are the short options, each followed by ':' when
// it takes a value and by '?' when it may have an attached one; a leading '+'
// ends the options at the first operand. long lists long names: "name",
// "name/x" for the same as -x, "name=" and "name?" for a value of its own.
func Parse(args []string, letters, long string) Opts {
	s := spec{names: map[string]string{}, values: map[string]byte{}}
	if strings.HasPrefix(letters, "+") {
		s.posix, letters = true, letters[1:]
	}
	for i := range len(letters) {
		if c := letters[i]; (c == ':' || c == '?') && i > 0 {
			s.values[letters[i-1:i]] = c
		}
	}
	s.letters = strings.NewReplacer(":", "", "?", "").Replace(letters)
	for f := range strings.FieldsSeq(long) {
		name, letter, _ := strings.Cut(f, "/")
		if n := len(name) - 1; name[n] == '=' || name[n] == '?' {
			v := byte(':')
			if name[n] == '?' {
				v = '?'
			}
			name = name[:n]
			s.values[name] = v
		}
		s.names[name] = letter
	}
	s.names["help"], s.names["version"] = "--help", "--version"
	o := Opts{}
	for i := 0; i < len(args); i++ {
		a := args[i]
		switch {
		case a == "--":
			o.Args = append(o.Args, args[i+1:]...)
			return o
		case strings.HasPrefix(a, "--"):
			i = s.longOption(&o, args, i)
		case len(a) > 1 && a[0] == '-':
			i = s.shortOptions(&o, args, i)
		default:
			o.Args = append(o.Args, a)
			if s.posix {
				o.Args = append(o.Args, args[i+1:]...)
				return o
			}
		}
	}
	return o
}

func (o *Opts) fault(format string, args ...any) {
	if o.Bad == "" {
		o.Bad = fmt.Sprintf(format, args...)
	}
}

// find completes a long name by unique prefix.
func (s *spec) find(name string) (full string, others []string) {
	if _, ok := s.names[name]; ok {
		return name, nil
	}
	for n := range s.names {
		if strings.HasPrefix(n, name) {
			others = append(others, n)
		}
	}
	if len(others) == 1 {
		return others[0], nil
	}
	return "", others
}

func (s *spec) longOption(o *Opts, args []string, i int) int {
	name, val, given := strings.Cut(args[i][2:], "=")
	full, others := s.find(name)
	if full == "" {
		if len(others) > 1 {
			o.fault("option '--%s' is ambiguous", name)
		} else {
			o.fault("unrecognized option '--%s'", name)
		}
		return i
	}
	opt := s.names[full]
	if opt == "--help" || opt == "--version" {
		o.fault("%s", opt)
		return i
	}
	kind := s.values[full]
	if opt == "" {
		opt = full
	} else if kind == 0 {
		kind = s.values[opt]
	}
	switch {
	case kind == 0 && given:
		o.fault("option '--%s' doesn't allow an argument", full)
	case kind == ':' && !given:
		if i+1 >= len(args) {
			o.fault("option '--%s' requires an argument", full)
			return i
		}
		i++
		val = args[i]
	}
	o.Set(opt, val)
	return i
}

func (s *spec) shortOptions(o *Opts, args []string, i int) int {
	a := args[i]
	for j := 1; j < len(a); j++ {
		opt := a[j : j+1]
		if !strings.Contains(s.letters, opt) {
			o.fault("invalid option -- '%s'", opt)
			return i
		}
		switch s.values[opt] {
		case 0:
			o.Set(opt, "")
			continue
		case '?':
			o.Set(opt, a[j+1:])
			return i
		}
		val := a[j+1:]
		if val == "" {
			if i+1 >= len(args) {
				o.fault("option requires an argument -- '%s'", opt)
				return i
			}
			i++
			val = args[i]
		}
		o.Set(opt, val)
		return i
	}
	return i
}

// Base is a path's last element.
func Base(s string) string { return s[strings.LastIndexByte(s, '/')+1:] }

// Usage answers a command line with Bad set: the help, the version, or the
// error and the hint of GNU programs. It gives the exit status, bad for errors.
func Usage(p *kernel.Proc, o Opts, bad int) int {
	name := Base(p.Args[0])
	switch o.Bad {
	case "--help":
		fmt.Fprint(p.Stdout(), Help(name)) //nolint:errcheck // the visitor's own output
		return 0
	case "--version":
		fmt.Fprint(p.Stdout(), Version(p, name)) //nolint:errcheck // as above
		return 0
	}
	fmt.Fprintf(p.Stderr(), "%s: %s\n", name, o.Bad) //nolint:errcheck // the visitor's own stderr
	return Hint(p, bad)
}

// Hint prints "Try 'x --help' for more information." and gives back status.
func Hint(p *kernel.Proc, status int) int {
	fmt.Fprintf(p.Stderr(), "Try '%s --help' for more information.\n", Base(p.Args[0])) //nolint:errcheck // the visitor's own stderr
	return status
}
