package text

import (
	"context"
	"crypto/md5"  //nolint:gosec // md5sum is what the visitor asked for
	"crypto/sha1" //nolint:gosec // sha1sum is what the visitor asked for
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strconv"
	"strings"

	"golang.org/x/crypto/blake2b"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

func hasher(name string) hash.Hash {
	switch {
	case strings.Contains(name, "b2"):
		if h, err := blake2b.New512(nil); err == nil {
			return h
		}
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

// feed copies r into h within the budget.
func feed(p *kernel.Proc, h io.Writer, r io.Reader) (int64, error) {
	buf := make([]byte, 32<<10)
	total := int64(0)
	for {
		n, err := r.Read(buf)
		h.Write(buf[:n]) //nolint:errcheck // never fails
		total += int64(n)
		if e := p.Step(1 + int64(n)/2048); e != nil {
			return total, e
		}
		if err != nil || n == 0 {
			return total, nil //nolint:nilerr // an end is an end
		}
	}
}

func sum(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "bctwz", "check/c binary/b text/t quiet status tag strict warn/w ignore-missing zero/z")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	name := getopt.Base(p.Args[0])
	digest := func(r io.Reader) (string, error) {
		h := hasher(name)
		_, err := feed(p, h, r)
		return hex.EncodeToString(h.Sum(nil)), err
	}
	if o.Has("c") {
		return check(p, o, digest)
	}
	return each(p, o.Args, func(file string, r io.Reader) error {
		d, err := digest(r)
		switch {
		case err != nil:
		case o.Has("tag"):
			put(p, strings.ToUpper(strings.TrimSuffix(name, "sum"))+" ("+file+") = "+d+"\n")
		case o.Has("b"):
			put(p, d+" *"+file+"\n")
		default:
			put(p, d+"  "+file+"\n")
		}
		return err
	})
}

type checker struct {
	p                       *kernel.Proc
	o                       getopt.Opts
	digest                  func(io.Reader) (string, error)
	good, bad, gone, unread int
}

func check(p *kernel.Proc, o getopt.Opts, digest func(io.Reader) (string, error)) int {
	c := &checker{p: p, o: o, digest: digest}
	last := "-"
	st := each(p, o.Args, func(name string, r io.Reader) error {
		last = name
		return lines(p, r, c.line)
	})
	if c.good+c.bad+c.gone == 0 && st == 0 {
		if last == "-" {
			last = "'standard input'"
		}
		errorf(p, "%s: no properly formatted checksum lines found", last)
		return 1
	}
	warn := func(n int, one, many string) {
		if n == 0 || o.Has("status") {
			return
		}
		verb, noun := "are", many
		if n == 1 {
			verb, noun = "is", one
		}
		switch one {
		case "line":
			errorf(p, "WARNING: %d %s %s improperly formatted", n, noun, verb)
		case "listed file":
			errorf(p, "WARNING: %d %s could not be read", n, noun)
		default:
			errorf(p, "WARNING: %d %s did NOT match", n, noun)
		}
	}
	warn(c.unread, "line", "lines")
	warn(c.gone, "listed file", "listed files")
	warn(c.bad, "computed checksum", "computed checksums")
	if c.bad+c.gone > 0 || st != 0 {
		return 1
	}
	return 0
}

func (c *checker) line(l string) bool {
	want, file, ok := strings.Cut(l, " ")
	if !ok || len(want) < 32 || len(file) < 2 || strings.Trim(want, "0123456789abcdefABCDEF") != "" {
		c.unread++
		return true
	}
	file = file[1:]
	f, err := open(c.p, file)
	if err != nil {
		errorf(c.p, "%s: %s", file, strerror(err))
		c.gone++
		return c.o.Has("status") || put(c.p, file+": FAILED open or read\n")
	}
	defer f.Close() //nolint:errcheck // only read
	got, err := c.digest(f)
	if err != nil || !strings.EqualFold(got, want) {
		c.bad++
		return c.o.Has("status") || put(c.p, file+": FAILED\n")
	}
	c.good++
	return c.o.Has("status", "quiet") || put(c.p, file+": OK\n")
}

// cksum is the CRC of POSIX; its own algorithm, not the zip one.
func cksum(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "a:", "algorithm/a check untagged")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	var tab [256]uint32
	for i := range tab {
		c := uint32(i) << 24
		for range 8 {
			if c&0x80000000 != 0 {
				c = c<<1 ^ 0x04c11db7
			} else {
				c <<= 1
			}
		}
		tab[i] = c
	}
	return each(p, o.Args, func(name string, r io.Reader) error {
		crc := &posixCRC{tab: &tab}
		n, err := feed(p, crc, r)
		if err != nil {
			return err
		}
		for k := n; k > 0; k >>= 8 {
			crc.add(byte(k))
		}
		line := fmt.Sprintf("%d %d", ^crc.v, n)
		if len(o.Args) > 0 {
			line += " " + name
		}
		put(p, line+"\n")
		return nil
	})
}

type posixCRC struct {
	tab *[256]uint32
	v   uint32
}

func (c *posixCRC) add(b byte) { c.v = c.v<<8 ^ c.tab[byte(c.v>>24)^b] }

func (c *posixCRC) Write(b []byte) (int, error) {
	for _, x := range b {
		c.add(x)
	}
	return len(b), nil
}

// sumCmd is sum: the BSD algorithm, or System V's with -s.
func sumCmd(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "rs", "sysv/s")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	return each(p, o.Args, func(name string, r io.Reader) error {
		h := &rotSum{sysv: o.Has("s")}
		n, err := feed(p, h, r)
		if err != nil {
			return err
		}
		line := fmt.Sprintf("%05d %5d", h.v, (n+1023)/1024)
		if o.Has("s") {
			v := h.v&0xffff + h.v>>16
			line = fmt.Sprintf("%d %d", v&0xffff+v>>16, (n+511)/512)
		}
		if len(o.Args) > 1 || o.Has("s") && len(o.Args) > 0 || len(o.Args) == 1 && !o.Has("s") {
			line += " " + name
		}
		put(p, line+"\n")
		return nil
	})
}

type rotSum struct {
	v    uint32
	sysv bool
}

func (s *rotSum) Write(b []byte) (int, error) {
	for _, c := range b {
		if s.sysv {
			s.v += uint32(c)
			continue
		}
		s.v = (s.v>>1 + (s.v&1)<<15 + uint32(c)) & 0xffff
	}
	return len(b), nil
}

// coder is base32 or base64.
type coder interface {
	EncodeToString([]byte) string
	DecodeString(string) ([]byte, error)
}

func baseCmd(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "diw:", "decode/d ignore-garbage/i wrap/w")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	if len(o.Args) > 1 {
		errorf(p, "extra operand ‘%s’", o.Args[1])
		return getopt.Hint(p, 1)
	}
	var enc coder = base64.StdEncoding
	group, alphabet := 4, "+/=0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	if getopt.Base(p.Args[0]) == "base32" {
		enc, group, alphabet = base32.StdEncoding, 8, "=234567ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	}
	wrap := o.Int("w", 76)
	if o.Has("w") && wrap < 0 || o.Has("w") && o.Get("w") != strconv.Itoa(wrap) {
		errorf(p, "invalid wrap size: ‘%s’", o.Get("w"))
		return 1
	}
	return each(p, o.Args, func(_ string, r io.Reader) error {
		data, err := slurp(p, r)
		if err != nil {
			return err
		}
		if !o.Has("d") {
			text := enc.EncodeToString(data)
			for wrap > 0 && len(text) > wrap {
				put(p, text[:wrap]+"\n")
				text = text[wrap:]
			}
			if wrap > 0 && text != "" {
				text += "\n"
			}
			put(p, text)
			return nil
		}
		clean := strings.Map(func(c rune) rune {
			if c == '\n' || o.Has("i") && !strings.ContainsRune(alphabet, c) {
				return -1
			}
			return c
		}, string(data))
		return decode(p, enc, clean, group)
	})
}

// decode writes what is valid, then the error, as base64 -d does.
func decode(p *kernel.Proc, enc coder, text string, group int) error {
	out, err := enc.DecodeString(text)
	if err == nil {
		put(p, string(out))
		return nil
	}
	for n := 0; n < len(text); n += group {
		part := text[n:min(n+group, len(text))]
		out, err := enc.DecodeString(part)
		if err != nil {
			if pad := strings.Repeat("=", group-len(part)); pad != "" {
				out, _ = enc.DecodeString(part + pad)
			}
			if i := strings.IndexFunc(part, func(r rune) bool { return r > 127 || strings.ContainsRune(" \t\r!#$%&'()*,-.:;<>?@[]^_{|}~", r) }); i > 1 && group == 4 {
				out, _ = enc.DecodeString(part[:i] + strings.Repeat("=", 4-i))
			}
			put(p, string(out))
			break
		}
		put(p, string(out))
	}
	errorf(p, "invalid input")
	return vfs.EINVAL
}
