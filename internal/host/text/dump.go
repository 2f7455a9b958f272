package text

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const maxDump = 8 << 20 // bytes that a dump reads

// take reads at most limit bytes.
func take(p *kernel.Proc, r io.Reader, limit int64) []byte {
	var out []byte
	buf := make([]byte, 4096)
	for int64(len(out)) < limit && p.Step(1) == nil {
		n, err := r.Read(buf[:min(int64(len(buf)), limit-int64(len(out)))])
		out = append(out, buf[:n]...)
		if err != nil || n == 0 {
			break
		}
	}
	return out
}

// number reads decimal, 0x and 0 octal.
func offset(s string, def int64) int64 {
	if s == "" {
		return def
	}
	if n, err := strconv.ParseInt(s, 0, 64); err == nil {
		return n
	}
	if n, ok := count(s); ok {
		return n
	}
	return def
}

// joined reads all operands as one input, as od and hexdump do.
func joined(p *kernel.Proc, names []string, limit int64) ([]byte, int) {
	var data []byte
	st := each(p, names, func(_ string, r io.Reader) error {
		data = append(data, take(p, r, limit-int64(len(data)))...)
		return nil
	})
	return data, st
}

func od(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "abcdDfhiloOsxXA:t:N:j:vw?S:", "address-radix/A skip-bytes/j read-bytes/N format/t output-duplicates/v width/w")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	skip := offset(o.Get("j"), 0)
	data, st := joined(p, o.Args, min(offset(o.Get("N"), maxDump), maxDump)+skip)
	if int64(len(data)) < skip {
		errorf(p, "cannot skip past end of combined input")
		return 1
	}
	data = data[skip:]
	var forms []string
	for _, l := range []struct{ opt, form string }{{"a", "a"}, {"b", "o1"}, {"c", "c"}, {"d", "u2"}, {"i", "d4"}, {"l", "d8"}, {"o", "o2"}, {"s", "d2"}, {"x", "x2"}, {"h", "x2"}, {"X", "x4"}} {
		if o.Has(l.opt) {
			forms = append(forms, l.form)
		}
	}
	for _, f := range o.All("t") {
		if len(f) == 1 && strings.Contains("oxdu", f) {
			f += "4"
		}
		forms = append(forms, f)
	}
	if forms == nil {
		forms = []string{"o2"}
	}
	if st == 0 || len(data) > 0 {
		odRows(p, o, data, forms, skip)
	}
	return st
}

func odRows(p *kernel.Proc, o getopt.Opts, data []byte, forms []string, base int64) {
	width := 16
	if w := o.Int("w", 0); w > 0 && w < 4096 {
		width = w
	} else if o.Has("w") {
		width = 32
	}
	addr := func(n int64) string {
		switch o.Get("A") {
		case "n":
			return ""
		case "x":
			return fmt.Sprintf("%06x", n)
		case "d":
			return fmt.Sprintf("%07d", n)
		}
		return fmt.Sprintf("%07o", n)
	}
	prev, starred := "", false
	for i := 0; i < len(data); i += width {
		row := data[i:min(i+width, len(data))]
		if string(row) == prev && len(row) == width && !o.Has("v") {
			if !starred && !put(p, "*\n") {
				return
			}
			starred = true
			continue
		}
		prev, starred = string(row), false
		for k, f := range forms {
			lead := addr(base + int64(i))
			if k > 0 {
				lead = strings.Repeat(" ", len(lead))
			}
			tail := ""
			if n := len(f) - 1; n > 0 && f[n] == 'z' {
				tail = strings.Repeat(" ", (width-len(row))*len(odRow([]byte{0}, f[:n]))) + "  >" + printable(row) + "<"
				f = f[:n]
			}
			if !put(p, lead+odRow(row, f)+tail+"\n") {
				return
			}
		}
	}
	if a := addr(base + int64(len(data))); a != "" {
		put(p, a+"\n")
	}
}

var odNames = map[byte]string{0: `\0`, 7: `\a`, 8: `\b`, 9: `\t`, 10: `\n`, 11: `\v`, 12: `\f`, 13: `\r`}

var odWords = strings.Fields("nul soh stx etx eot enq ack bel bs ht nl vt ff cr so si dle dc1 dc2 dc3 dc4 nak syn etb can em sub esc fs gs rs us sp") //nolint:gochecknoglobals // a table that nobody writes

func odRow(b []byte, form string) string {
	var s strings.Builder
	switch form {
	case "c":
		for _, c := range b {
			switch {
			case odNames[c] != "":
				fmt.Fprintf(&s, "%4s", odNames[c])
			case c >= 32 && c < 127:
				fmt.Fprintf(&s, "   %c", c)
			default:
				fmt.Fprintf(&s, " %03o", c)
			}
		}
		return s.String()
	case "a":
		for _, c := range b {
			switch c &= 127; {
			case c <= 32:
				fmt.Fprintf(&s, " %3s", odWords[c])
			case c == 127:
				s.WriteString(" del")
			default:
				fmt.Fprintf(&s, "   %c", c)
			}
		}
		return s.String()
	}
	size := 2
	if len(form) > 1 {
		if n, err := strconv.Atoi(form[1:]); err == nil && (n == 1 || n == 2 || n == 4 || n == 8) {
			size = n
		}
	}
	for i := 0; i < len(b); i += size {
		v := uint64(0)
		for k := size - 1; k >= 0; k-- {
			v <<= 8
			if i+k < len(b) {
				v |= uint64(b[i+k])
			}
		}
		s.WriteString(odNumber(v, form[0], size))
	}
	return s.String()
}

func odNumber(v uint64, kind byte, size int) string {
	switch kind {
	case 'x':
		return fmt.Sprintf(" %0*x", 2*size, v)
	case 'd':
		width := map[int]int{1: 4, 2: 6, 4: 11, 8: 20}[size]
		shift := uint(64 - 8*size)
		return fmt.Sprintf(" %*d", width, int64(v<<shift)>>shift)
	case 'u':
		return fmt.Sprintf(" %*d", map[int]int{1: 3, 2: 5, 4: 10, 8: 20}[size], v)
	}
	return fmt.Sprintf(" %0*o", map[int]int{1: 3, 2: 6, 4: 11, 8: 22}[size], v)
}

func printable(b []byte) string {
	out := make([]byte, len(b))
	for i, c := range b {
		out[i] = '.'
		if c >= 32 && c < 127 {
			out[i] = c
		}
	}
	return string(out)
}

func xxd(_ context.Context, p *kernel.Proc) int {
	args := p.Args[1:]
	for i, a := range args {
		if a == "-ps" || a == "-plain" || a == "-postscript" {
			args[i] = "-p"
		}
	}
	o := getopt.Parse(args, "+prl:c:s:uiabg:e", "")
	if o.Bad != "" {
		fmt.Fprint(p.Stderr(), "Usage:\n       xxd [options] [infile [outfile]]\n    or\n       xxd -r [-s [-]offset] [-c cols] [-ps] [infile [outfile]]\n") //nolint:errcheck // the visitor's own stderr
		return 1
	}
	name := "-"
	if len(o.Args) > 0 {
		name = o.Args[0]
	}
	if len(o.Args) > 1 {
		name = o.Args[0]
	}
	r, err := open(p, name)
	if err != nil {
		errorf(p, "%s: %s", name, strerror(err))
		return 2
	}
	defer r.Close() //nolint:errcheck // only read
	data := take(p, r, maxDump)
	if o.Has("r") {
		put(p, string(unhex(string(data), o.Has("p"))))
		return 0
	}
	skip := min(max(offset(o.Get("s"), 0), 0), int64(len(data)))
	data = data[skip:]
	data = data[:min(max(offset(o.Get("l"), maxDump), 0), int64(len(data)))]
	cols := 16
	if o.Has("p") {
		cols = 30
	}
	if c := o.Int("c", 0); c > 0 && c <= 256 {
		cols = c
	}
	group := o.Int("g", 2)
	hex := "%02x"
	if o.Has("u") {
		hex = "%02X"
	}
	for i := 0; i < len(data); i += cols {
		row := data[i:min(i+cols, len(data))]
		line := ""
		for k, c := range row {
			line += fmt.Sprintf(hex, c)
			if !o.Has("p") && group > 0 && (k+1)%group == 0 {
				line += " "
			}
		}
		if !o.Has("p") {
			width := cols * 2
			if group > 0 {
				width += (cols + group - 1) / group
			}
			line = fmt.Sprintf("%08x: %-*s %s", skip+int64(i), width, line, printable(row))
		}
		if !put(p, line+"\n") {
			return 141
		}
	}
	return 0
}

// unhex reads back a dump; plain has no addresses.
func unhex(text string, plain bool) []byte {
	var out []byte
	for l := range strings.Lines(text) {
		if !plain {
			_, rest, ok := strings.Cut(l, ":")
			if !ok {
				continue
			}
			rest, _, _ = strings.Cut(strings.TrimPrefix(rest, " "), "  ")
			l = rest
		}
		half, have := byte(0), false
		for i := range len(l) {
			d, err := strconv.ParseUint(l[i:i+1], 16, 8)
			if err != nil {
				continue
			}
			if have {
				out = append(out, half<<4|byte(d))
			}
			half, have = byte(d), !have
		}
	}
	return out
}

func hexdump(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bcCdn:ove:f:s:x", "canonical/C length/n skip/s no-squeezing/v")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	skip := offset(o.Get("s"), 0)
	data, st := joined(p, o.Args, min(offset(o.Get("n"), maxDump), maxDump)+skip)
	data = data[min(skip, int64(len(data))):]
	prev, starred := "", false
	for i := 0; i < len(data); i += 16 {
		row := data[i:min(i+16, len(data))]
		if string(row) == prev && len(row) == 16 && !o.Has("v") {
			if !starred && !put(p, "*\n") {
				return 141
			}
			starred = true
			continue
		}
		prev, starred = string(row), false
		if !put(p, hexdumpRow(o, skip+int64(i), row)) {
			return 141
		}
	}
	if o.Has("C") && len(data) > 0 {
		put(p, fmt.Sprintf("%08x\n", skip+int64(len(data))))
	} else if len(data) > 0 {
		put(p, fmt.Sprintf("%07x\n", skip+int64(len(data))))
	}
	return st
}

func hexdumpRow(o getopt.Opts, at int64, row []byte) string {
	if o.Has("C") {
		var hex strings.Builder
		for j, c := range row {
			if j == 8 {
				hex.WriteString(" ")
			}
			fmt.Fprintf(&hex, " %02x", c)
		}
		return fmt.Sprintf("%08x %-49s  |%s|\n", at, hex.String(), printable(row))
	}
	form, width := "x2", 5
	switch {
	case o.Has("b"):
		form, width = "o1", 4
	case o.Has("c"):
		form, width = "c", 4
	case o.Has("x"):
		var out strings.Builder
		fmt.Fprintf(&out, "%07x", at)
		for i := 0; i < len(row); i += 2 {
			out.WriteString("    " + strings.TrimSpace(odRow(row[i:min(i+2, len(row))], "x2")))
		}
		return out.String() + strings.Repeat(" ", 8*((16-len(row))/2)) + "\n"
	}
	line := odRow(row, form)
	if form == "c" {
		return fmt.Sprintf("%07x%-*s\n", at, 64, line)
	}
	return fmt.Sprintf("%07x%-*s\n", at, map[string]int{"x2": 8 * width, "o1": 16 * width}[form], line)
}

func stringsCmd(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "afn:t:e:0123456789", "all/a bytes/n radix/t print-file-name/f")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	n := max(o.Int("n", 4), 1)
	for d := range 10 {
		if o.Has(strconv.Itoa(d)) {
			n = max(d, 1)
		}
	}
	return named(p, o.Args, "'%s': No such file", func(name string, r io.Reader) error {
		var cur []byte
		at := 0
		data := append(take(p, r, maxDump), 0)
		for i, c := range data {
			if c >= 32 && c < 127 || c == '\t' {
				if len(cur) == 0 {
					at = i
				}
				cur = append(cur, c)
				continue
			}
			if len(cur) >= n {
				lead := ""
				if o.Has("f") {
					lead = name + ": "
				}
				if o.Has("t") {
					lead += fmt.Sprintf(map[string]string{"x": "%7x ", "o": "%7o ", "d": "%7d "}[o.Get("t")], at)
				}
				if !put(p, lead+string(cur)+"\n") {
					return vfs.EPIPE
				}
			}
			cur = cur[:0]
		}
		return nil
	})
}
