package shell

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
)

// readLine reads up to delim, one byte at a time so that nothing is taken
// from what a later command reads.
func (s *sh) readLine(ctx context.Context, r io.Reader, delim byte, limit int) (string, bool) {
	var line []byte
	var b [1]byte
	for len(line) < maxValue && ctx.Err() == nil && s.p.Step(1) == nil {
		n, err := r.Read(b[:])
		if n == 0 || err != nil {
			return string(line), len(line) > 0 && limit > 0
		}
		if b[0] == delim {
			return string(line), true
		}
		line = append(line, b[0])
		if limit > 0 && len(line) >= limit {
			return string(line), true
		}
	}
	return string(line), false
}

func biGetopts(ctx context.Context, s *sh, args []string) int {
	if len(args) < 3 {
		return s.usage(2, "getopts", "usage: getopts optstring name [arg ...]")
	}
	list := s.params
	if len(args) > 3 {
		list = args[3:]
	}
	ind, _ := strconv.Atoi(s.get("OPTIND"))
	if ind < 1 {
		ind, s.optPos = 1, 0
	}
	if ind > len(list) || len(list[ind-1]) < 2 || list[ind-1][0] != '-' || list[ind-1] == "--" {
		s.set(ctx, args[2], "?")
		return 1
	}
	cur := list[ind-1]
	if s.optPos == 0 {
		s.optPos = 1
	}
	c := cur[s.optPos]
	s.optPos++
	next := func() { ind, s.optPos = ind+1, 0 }
	i := strings.IndexByte(args[1], c)
	s.unset("OPTARG")
	switch {
	case i < 0 || c == ':':
		s.set(ctx, args[2], "?")
		if strings.HasPrefix(args[1], ":") {
			s.set(ctx, "OPTARG", string(c))
		} else {
			fmt.Fprintf(s.p.Stderr(), "%s: illegal option -- %c\n", s.name, c) //nolint:errcheck // the visitor's own stderr
		}
	case i+1 < len(args[1]) && args[1][i+1] == ':':
		s.set(ctx, args[2], string(c))
		if s.optPos < len(cur) {
			s.set(ctx, "OPTARG", cur[s.optPos:])
		} else if ind < len(list) {
			s.set(ctx, "OPTARG", list[ind])
			ind++
		}
		s.optPos = len(cur)
	default:
		s.set(ctx, args[2], string(c))
	}
	if s.optPos >= len(cur) {
		next()
	}
	s.set(ctx, "OPTIND", strconv.Itoa(ind))
	return 0
}

func biMapfile(ctx context.Context, s *sh, args []string) int {
	trim := false
	name := "MAPFILE"
	for _, a := range args[1:] {
		if a == "-t" {
			trim = true
		} else if !strings.HasPrefix(a, "-") {
			name = a
		}
	}
	v := &variable{isArray: true}
	for len(v.list) < maxFields {
		line, ok := s.readLine(ctx, s.p.Stdin(), '\n', 0)
		if !ok && line == "" {
			break
		}
		if !trim && ok {
			line += "\n"
		}
		if s.p.S.Budget.Grow(int64(len(line)+16)) != nil {
			return 1
		}
		v.list = append(v.list, line)
		if !ok {
			break
		}
	}
	s.vars[name] = v
	return 0
}

func biRead(ctx context.Context, s *sh, args []string) int {
	args = args[1:]
	raw, delim, limit, prompt, array := false, byte('\n'), 0, "", ""
	var timeout time.Duration
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		a := args[0]
		args = args[1:]
		for i := 1; i < len(a); i++ {
			if strings.IndexByte("dnNptua", a[i]) < 0 {
				raw = raw || a[i] == 'r'
				if a[i] == 's' && s.p.S.TTY != nil {
					defer s.p.SetEcho(s.p.SetEcho(false))
				}
				continue
			}
			v := a[i+1:]
			if v == "" && len(args) > 0 {
				v, args = args[0], args[1:]
			}
			switch a[i] {
			case 'd':
				delim = 0
				if v != "" {
					delim = v[0]
				}
			case 'n', 'N':
				limit, _ = strconv.Atoi(v)
			case 'p':
				prompt = v
			case 't':
				f, _ := strconv.ParseFloat(v, 64)
				timeout = time.Duration(f * float64(time.Second))
			case 'a':
				array = v
			}
			break
		}
	}
	if prompt != "" && s.p.IsTTY(0) {
		fmt.Fprint(s.p.Stderr(), prompt) //nolint:errcheck // the visitor's own stderr
	}
	_ = timeout // a pipe that stays silent ends with the session
	line, ok := s.readLine(ctx, s.p.Stdin(), delim, limit)
	for !raw && ok && strings.HasSuffix(line, `\`) && !strings.HasSuffix(line, `\\`) {
		var more string
		more, ok = s.readLine(ctx, s.p.Stdin(), delim, 0)
		line = line[:len(line)-1] + more
	}
	if !raw {
		line = unquoteMeta(line)
	}
	s.distribute(ctx, args, array, line)
	if !ok {
		return 1
	}
	return 0
}

// distribute splits a line by IFS over names; the last one gets the rest.
func (s *sh) distribute(ctx context.Context, names []string, array, line string) {
	ifs, set := s.lookup("IFS")
	if !set {
		ifs = " \t\n"
	}
	if array != "" {
		s.vars[array] = &variable{isArray: true, list: strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(ifs, r) })}
		return
	}
	if len(names) == 0 {
		s.set(ctx, "REPLY", line)
		return
	}
	var white strings.Builder
	for _, c := range " \t\n" {
		if strings.ContainsRune(ifs, c) {
			white.WriteString(string(c))
		}
	}
	line = strings.Trim(line, white.String())
	for i, n := range names {
		if i == len(names)-1 {
			s.set(ctx, n, line)
			return
		}
		k := strings.IndexAny(line, ifs)
		if ifs == "" || k < 0 {
			s.set(ctx, n, line)
			line = ""
			continue
		}
		s.set(ctx, n, line[:k])
		sep := line[k : k+1]
		line = strings.TrimLeft(line[k+1:], white.String())
		if strings.Contains(white.String(), sep) && line != "" && strings.ContainsRune(ifs, rune(line[0])) {
			line = strings.TrimLeft(line[1:], white.String())
		}
	}
}
