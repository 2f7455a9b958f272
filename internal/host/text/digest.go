package text

import (
	"context"
	"crypto/md5"  //nolint:gosec // md5sum is what the visitor asked for
	"crypto/sha1" //nolint:gosec // sha1sum is what the visitor asked for
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func hasher(name string) hash.Hash {
	switch {
	case strings.Contains(name, "sha1"):
		return sha1.New() //nolint:gosec // as asked
	case strings.Contains(name, "sha224"):
		return sha256.New224()
	case strings.Contains(name, "sha256"):
		return sha256.New()
	case strings.Contains(name, "sha384"):
		return sha512.New384()
	case strings.Contains(name, "sha512"):
		return sha512.New()
	}
	return md5.New() //nolint:gosec // as asked
}

func sum(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "bctwz", "check/c binary/b text/t quiet/q status/S")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	name := base(p.Args[0])
	digest := func(r io.Reader) (string, error) {
		h := hasher(name)
		buf := make([]byte, 32<<10)
		for {
			n, err := r.Read(buf)
			h.Write(buf[:n]) //nolint:errcheck // never fails
			if e := p.Step(1 + int64(n)/2048); e != nil {
				return "", e
			}
			if err != nil || n == 0 {
				return fmt.Sprintf("%x", h.Sum(nil)), nil
			}
		}
	}
	if o.has("c") {
		return check(p, o, digest)
	}
	return each(p, o.args, func(file string, r io.Reader) error {
		d, err := digest(r)
		if err == nil {
			put(p, d+"  "+file+"\n")
		}
		return err
	})
}

func check(p *kernel.Proc, o opts, digest func(io.Reader) (string, error)) int {
	bad := 0
	st := each(p, o.args, func(_ string, r io.Reader) error {
		return lines(p, r, func(l string) bool {
			want, file, ok := strings.Cut(l, "  ")
			if !ok {
				return true
			}
			f, err := open(p, file)
			if err != nil {
				errorf(p, "%s: %s", file, strerror(err))
				bad++
				return put(p, file+": FAILED open or read\n")
			}
			defer f.Close() //nolint:errcheck // only read
			got, err := digest(f)
			if err != nil || got != want {
				bad++
				return put(p, file+": FAILED\n")
			}
			return put(p, file+": OK\n")
		})
	})
	if bad > 0 {
		errorf(p, "WARNING: %d computed checksum did NOT match", bad)
		return 1
	}
	return st
}

func base64Cmd(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "diw:", "decode/d ignore-garbage/i wrap/w")
	if o.bad != "" {
		return usage(p, o.bad)
	}
	return each(p, o.args, func(_ string, r io.Reader) error {
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		if o.has("d") {
			clean := strings.Map(func(c rune) rune {
				if c == '\n' || c == '\r' && o.has("i") {
					return -1
				}
				return c
			}, string(data))
			out, err := base64.StdEncoding.DecodeString(clean)
			if err != nil {
				n := len(clean) / 4 * 4
				for n > 0 {
					if out, err = base64.StdEncoding.DecodeString(clean[:n]); err == nil {
						break
					}
					n -= 4
				}
				put(p, string(out))
				errorf(p, "invalid input")
				return vfs.EINVAL
			}
			put(p, string(out))
			return nil
		}
		wrap := 76
		if v := o.get("w"); v != "" {
			wrap, _ = strconv.Atoi(v) //nolint:errcheck // 0 = no wrapping
		}
		enc := base64.StdEncoding.EncodeToString(data)
		for wrap > 0 && len(enc) > wrap {
			put(p, enc[:wrap]+"\n")
			enc = enc[wrap:]
		}
		if wrap > 0 && enc != "" {
			enc += "\n"
		}
		put(p, enc)
		return nil
	})
}

func od(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "cxbdoA:t:N:j:v", "")
	limit := int64(1 << 20)
	if v := o.get("N"); v != "" {
		limit, _ = count(v)
	}
	form := "o2"
	switch {
	case o.has("c"):
		form = "c"
	case o.has("x"):
		form = "x2"
	case o.has("b"):
		form = "o1"
	case o.has("t"):
		form = o.get("t")
	}
	return each(p, o.args, func(_ string, r io.Reader) error {
		data := take(p, r, limit)
		addr := func(n int) string {
			if o.get("A") == "n" {
				return ""
			}
			if o.get("A") == "x" {
				return fmt.Sprintf("%06x", n)
			}
			return fmt.Sprintf("%07o", n)
		}
		prev, starred := "", false
		for i := 0; i < len(data); i += 16 {
			row := odRow(data[i:min(i+16, len(data))], form)
			if row == prev && i+16 < len(data) && !o.has("v") {
				if !starred && !put(p, "*\n") {
					return vfs.EPIPE
				}
				starred = true
				continue
			}
			prev, starred = row, false
			if !put(p, addr(i)+row+"\n") {
				return vfs.EPIPE
			}
		}
		if a := addr(len(data)); a != "" {
			put(p, a+"\n")
		}
		return nil
	})
}

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

func odRow(b []byte, form string) string {
	var s strings.Builder
	switch form {
	case "c":
		names := map[byte]string{0: `\0`, 7: `\a`, 8: `\b`, 9: `\t`, 10: `\n`, 11: `\v`, 12: `\f`, 13: `\r`}
		for _, c := range b {
			switch {
			case names[c] != "":
				fmt.Fprintf(&s, "%4s", names[c])
			case c >= 32 && c < 127:
				fmt.Fprintf(&s, "   %c", c)
			default:
				fmt.Fprintf(&s, " %03o", c)
			}
		}
	case "o1", "x1", "d1", "u1":
		for _, c := range b {
			fmt.Fprintf(&s, map[byte]string{'o': " %03o", 'x': " %02x", 'd': " %4d", 'u': " %3d"}[form[0]], c)
		}
	default:
		for i := 0; i < len(b); i += 2 {
			v := uint16(b[i])
			if i+1 < len(b) {
				v |= uint16(b[i+1]) << 8
			}
			if form[0] == 'x' {
				fmt.Fprintf(&s, " %04x", v)
			} else {
				fmt.Fprintf(&s, " %06o", v)
			}
		}
	}
	return s.String()
}

func xxd(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "prl:c:s:ui", "")
	return each(p, o.args[:min(1, len(o.args))], func(_ string, r io.Reader) error {
		limit := int64(1 << 20)
		if v := o.get("l"); v != "" {
			limit, _ = count(v)
		}
		data := take(p, r, limit)
		if o.has("r") {
			hex := strings.Map(func(c rune) rune {
				if strings.ContainsRune("0123456789abcdefABCDEF", c) {
					return c
				}
				return -1
			}, string(data))
			for i := 0; i+1 < len(hex); i += 2 {
				v, _ := strconv.ParseUint(hex[i:i+2], 16, 8) //nolint:errcheck // hex by construction
				put(p, string([]byte{byte(v)}))
			}
			return nil
		}
		width := map[bool]int{true: 30, false: 16}[o.has("p")]
		for i := 0; i < len(data); i += width {
			row := data[i:min(i+width, len(data))]
			if o.has("p") {
				put(p, fmt.Sprintf("%x\n", row))
				continue
			}
			put(p, fmt.Sprintf("%08x: %-40s %s\n", i, pairs(row), printable(row)))
		}
		return nil
	})
}

func pairs(b []byte) string {
	var s strings.Builder
	for i, c := range b {
		fmt.Fprintf(&s, "%02x", c)
		if i&1 == 1 {
			s.WriteByte(' ')
		}
	}
	return s.String()
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

func hexdump(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "Cn:ve:", "canonical/C")
	return each(p, o.args, func(_ string, r io.Reader) error {
		limit := int64(1 << 20)
		if v := o.get("n"); v != "" {
			limit, _ = count(v)
		}
		data := take(p, r, limit)
		for i := 0; i < len(data); i += 16 {
			row := data[i:min(i+16, len(data))]
			if !o.has("C") {
				put(p, fmt.Sprintf("%07x%s\n", i, odRow(row, "x2")))
				continue
			}
			hex := ""
			for j, c := range row {
				if j == 8 {
					hex += " "
				}
				hex += fmt.Sprintf(" %02x", c)
			}
			put(p, fmt.Sprintf("%08x %-49s  |%s|\n", i, hex, printable(row)))
		}
		put(p, fmt.Sprintf("%08x\n", len(data)))
		return nil
	})
}

func stringsCmd(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "an:", "")
	n := 4
	if v := o.get("n"); v != "" {
		n, _ = strconv.Atoi(v) //nolint:errcheck // nonsense prints everything
	}
	return each(p, o.args, func(_ string, r io.Reader) error {
		var cur []byte
		for _, c := range take(p, r, 8<<20) {
			if c >= 32 && c < 127 || c == '\t' {
				cur = append(cur, c)
				continue
			}
			if len(cur) >= n && !put(p, string(cur)+"\n") {
				return vfs.EPIPE
			}
			cur = cur[:0]
		}
		if len(cur) >= n {
			put(p, string(cur)+"\n")
		}
		return nil
	})
}

func gunzip(_ context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "cfkqd", "stdout/c")
	return each(p, o.args, func(name string, r io.Reader) error {
		z, err := gzip.NewReader(r)
		if err != nil {
			errorf(p, "%s: not in gzip format", name)
			return vfs.EINVAL
		}
		data := take(p, z, 16<<20)
		if name == "-" || o.has("c") || base(p.Args[0]) == "zcat" {
			put(p, string(data))
			return nil
		}
		out := strings.TrimSuffix(name, ".gz")
		if err := p.M.FS.WriteFile(p.Caller, p.Abs(out), data, 0o644); err != nil {
			errorf(p, "%s: %s", out, strerror(err))
			return err
		}
		return p.M.FS.Unlink(p.Caller, p.Abs(name))
	})
}

func gzipCmd(ctx context.Context, p *kernel.Proc) int {
	o := parse(p.Args[1:], "cdfk123456789", "stdout/c decompress/d")
	if o.has("d") {
		return gunzip(ctx, p)
	}
	return each(p, o.args, func(name string, r io.Reader) error {
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		var b strings.Builder
		z := gzip.NewWriter(&b)
		z.Write(data) //nolint:errcheck // to memory
		z.Close()     //nolint:errcheck // to memory
		if name == "-" || o.has("c") {
			put(p, b.String())
			return nil
		}
		if err := p.M.FS.WriteFile(p.Caller, p.Abs(name+".gz"), []byte(b.String()), 0o644); err != nil {
			errorf(p, "%s.gz: %s", name, strerror(err))
			return err
		}
		return p.M.FS.Unlink(p.Caller, p.Abs(name))
	})
}
