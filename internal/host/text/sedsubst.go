package text

import (
	"fmt"
	"io"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func (r *sedRun) toFile(name, text string) {
	switch name {
	case "/dev/stdout":
		r.out(text)
		return
	case "/dev/stderr":
		io.WriteString(r.p.Stderr(), text) //nolint:errcheck // the visitor's own stderr
		return
	}
	h := r.files[name]
	if h == nil {
		var err error
		if h, err = r.p.M.FS.Open(r.p.Caller, r.p.Abs(name), vfs.WriteOnly|vfs.Create|vfs.Truncate, 0o666&^r.p.Umask); err != nil || len(r.files) > 64 {
			errorf(r.p, "couldn't open file %s: %s", name, strerror(err))
			r.quit, r.status = true, 4
			return
		}
		r.files[name] = h
	}
	io.WriteString(h, text) //nolint:errcheck // the quota decides
}

func unambiguous(s string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		switch k := strings.IndexByte("\a\b\f\n\r\t\v\\", c); {
		case k >= 0:
			b.WriteString(`\` + `abfnrtv\`[k:k+1])
		case c < 32 || c > 126:
			fmt.Fprintf(&b, `\%03o`, c)
		default:
			b.WriteByte(c)
		}
	}
	return b.String()
}

func (r *sedRun) subst(c *sedCmd) {
	re := c.re
	if re == nil {
		if re = r.last; re == nil {
			errorf(r.p, "no previous regular expression")
			r.quit, r.status = true, 1
			return
		}
	}
	r.last = re
	limit := 10_000
	if !c.global && c.nth <= 1 {
		limit = 1
	}
	found := re.FindAllStringSubmatchIndex(r.line, limit)
	var b strings.Builder
	pos, done := 0, false
	for i, m := range found {
		if i+1 < c.nth || !c.global && done {
			continue
		}
		b.WriteString(r.line[pos:m[0]])
		sedInsert(&b, c.with, r.line, m)
		pos, done = m[1], true
		if b.Len() > maxLine {
			break
		}
	}
	if len(r.line)+b.Len() > maxLine || r.p.Step(1+int64(len(r.line)/32)) != nil {
		errorf(r.p, "couldn't re-allocate memory")
		r.quit, r.status = true, 4
		return
	}
	if !done {
		return
	}
	r.line, r.did = b.String()+r.line[pos:], true
	if c.print {
		r.out(r.line + r.end)
	}
	if c.text != "" {
		r.toFile(c.text, r.line+"\n")
	}
}

// sedInsert writes a replacement: &, \1 to \9, and the case words \U \L \u \l \E.
func sedInsert(b *strings.Builder, with, line string, m []int) {
	mode, once := byte('E'), byte(0)
	add := func(s string) {
		switch mode {
		case 'U':
			s = strings.ToUpper(s)
		case 'L':
			s = strings.ToLower(s)
		}
		if once != 0 && s != "" {
			head := s[:1]
			if once == 'u' {
				head = strings.ToUpper(head)
			} else {
				head = strings.ToLower(head)
			}
			s, once = head+s[1:], 0
		}
		b.WriteString(s)
	}
	for k := 0; k < len(with); k++ {
		ch := with[k]
		if ch == '&' {
			add(line[m[0]:m[1]])
			continue
		}
		if ch != '\\' || k+1 >= len(with) {
			add(string(ch))
			continue
		}
		k++
		switch e := with[k]; {
		case e >= '0' && e <= '9':
			if g := 2 * int(e-'0'); g+1 < len(m) && m[g] >= 0 {
				add(line[m[g]:m[g+1]])
			}
		case e == 'U' || e == 'L' || e == 'E':
			mode = e
		case e == 'u' || e == 'l':
			once = e
		case e == 'n':
			add("\n")
		case e == 't':
			add("\t")
		default:
			add(string(e))
		}
	}
}
