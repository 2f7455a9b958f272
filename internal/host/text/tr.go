package text

import (
	"context"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
)

const maxSet = 1 << 16 // bytes of an expanded set

var trClasses = map[string]string{
	"[:lower:]": "abcdefghijklmnopqrstuvwxyz", "[:upper:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "[:digit:]": "0123456789",
	"[:space:]": "\t\n\v\f\r ", "[:blank:]": "\t ", "[:punct:]": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", "[:xdigit:]": "0123456789ABCDEFabcdef",
	"[:alpha:]": "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", "[:alnum:]": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
}

// set expands a set of tr: ranges, classes, escapes, repeats.
func set(s string) (out []byte, fault string) {
	for i := 0; i < len(s) && len(out) < maxSet; {
		if s[i] == '[' {
			if add, n := bracketed(s[i:], len(out)); n > 0 {
				out = append(out, add...)
				i += n
				continue
			}
			if end := strings.Index(s[i:], ":]"); strings.HasPrefix(s[i:], "[:") && end > 0 {
				return nil, "invalid character class ‘" + s[i+2:i+end] + "’"
			}
		}
		c, n := escape(s[i:])
		i += n
		if i+1 < len(s) && s[i] == '-' {
			hi, n := escape(s[i+1:])
			i += 1 + n
			if hi < c {
				return nil, "range-endpoints of '" + string(rune(c)) + "-" + string(rune(hi)) + "' are in reverse collating sequence order"
			}
			for x := int(c); x <= int(hi); x++ {
				out = append(out, byte(x))
			}
			continue
		}
		out = append(out, c)
	}
	return out, ""
}

// bracketed reads [:class:], [c*n] and [c*]; n is 0 for anything else.
func bracketed(s string, have int) (add []byte, n int) {
	for name, chars := range trClasses {
		if strings.HasPrefix(s, name) {
			return []byte(chars), len(name)
		}
	}
	if len(s) < 4 {
		return nil, 0
	}
	c, used := escape(s[1:])
	end := strings.IndexByte(s, ']')
	if 1+used >= len(s) || s[1+used] != '*' || end < 0 {
		return nil, 0
	}
	times := max(256-have, 1)
	if digits := s[2+used : end]; digits != "" {
		k, err := strconv.Atoi(digits)
		if err != nil {
			return nil, 0
		}
		times = min(max(k, 0), maxSet)
	}
	return []byte(strings.Repeat(string([]byte{c}), times)), end + 1
}

func escape(s string) (byte, int) {
	if s[0] != '\\' || len(s) < 2 {
		return s[0], 1
	}
	if k := strings.IndexByte("abfnrtv", s[1]); k >= 0 {
		return "\a\b\f\n\r\t\v"[k], 2
	}
	if s[1] >= '0' && s[1] <= '7' {
		n, k := 0, 1
		for k < len(s) && k < 4 && s[k] >= '0' && s[k] <= '7' && n*8+int(s[k]-'0') < 256 {
			n = n*8 + int(s[k]-'0')
			k++
		}
		return byte(n), k
	}
	return s[1], 2
}

// translator is the table that tr works by.
type translator struct {
	in, squeeze     [256]bool
	to              [256]byte
	delete, squeezy bool
}

func tr(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "+dscCt", "delete/d squeeze-repeats/s complement/c truncate-set1/t")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	switch n := len(o.Args); {
	case n == 0:
		errorf(p, "missing operand")
		return getopt.Hint(p, 1)
	case n == 1 && !o.Has("d", "s"), n == 1 && o.Has("d") && o.Has("s"):
		tail := "Two strings must be given when translating."
		if o.Has("d") {
			tail = "Two strings must be given when both deleting and squeezing repeats."
		}
		errorf(p, "missing operand after ‘%s’\n%s", o.Args[0], tail)
		return getopt.Hint(p, 1)
	case n == 2 && o.Has("d") && !o.Has("s"):
		errorf(p, "extra operand ‘%s’\nOnly one string may be given when deleting without squeezing repeats.", o.Args[1])
		return getopt.Hint(p, 1)
	case n > 2:
		errorf(p, "extra operand ‘%s’", o.Args[2])
		return getopt.Hint(p, 1)
	}
	t := &translator{delete: o.Has("d"), squeezy: o.Has("s")}
	if fault := t.build(o); fault != "" {
		errorf(p, "%s", fault)
		return 1
	}
	return t.run(p)
}

func (t *translator) build(o getopt.Opts) string {
	s1, fault := set(o.Args[0])
	if fault != "" {
		return fault
	}
	for i := range t.to {
		t.to[i] = byte(i)
	}
	for _, c := range s1 {
		t.in[c] = true
	}
	if o.Has("c", "C") {
		s1 = s1[:0]
		for i := range t.in {
			t.in[i] = !t.in[i]
			if t.in[i] {
				s1 = append(s1, byte(i))
			}
		}
	}
	t.squeeze = t.in
	if len(o.Args) < 2 {
		return ""
	}
	s2, fault := set(o.Args[1])
	if fault != "" {
		return fault
	}
	t.squeeze = [256]bool{}
	for _, c := range s2 {
		t.squeeze[c] = true
	}
	if t.delete {
		return ""
	}
	if len(s2) == 0 {
		return "when not truncating set1, string2 must be non-empty"
	}
	for i, c := range s1 {
		if i >= len(s2) && o.Has("t") {
			break
		}
		t.to[c] = s2[min(i, len(s2)-1)]
	}
	return ""
}

func (t *translator) run(p *kernel.Proc) int {
	buf := make([]byte, 32<<10)
	last := -1
	for {
		n, err := p.Stdin().Read(buf)
		out := make([]byte, 0, n)
		for _, c := range buf[:n] {
			if t.delete && t.in[c] {
				continue
			}
			if !t.delete {
				c = t.to[c]
			}
			if t.squeezy && t.squeeze[c] && int(c) == last {
				continue
			}
			last = int(c)
			out = append(out, c)
		}
		if _, e := p.Stdout().Write(out); e != nil {
			return 141
		}
		if err != nil || n == 0 || p.Step(1+int64(n)/1024) != nil {
			return 0
		}
	}
}
