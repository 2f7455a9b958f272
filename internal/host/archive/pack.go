// Package archive holds the programs of a fake host that pack and unpack:
// gzip, bzip2, xz and tar. They work on the fake file system only.
package archive

import (
	"bytes"
	"compress/bzip2"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

const maxUnpacked = 32 << 20 // bytes that one stream may unpack to

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"gzip": packer, "gunzip": packer, "zcat": packer, "uncompress": packer, "bzip2": packer, "bunzip2": packer, "bzcat": packer,
		"xz": packer, "unxz": packer, "xzcat": packer, "unlzma": packer, "tar": tarCmd, "zgrep": viaZcat, "zegrep": viaZcat, "zfgrep": viaZcat,
		"zless": viaZcat, "zmore": viaZcat, "zcmp": viaZcat, "zdiff": viaZcat, "znew": packer,
	}
}

func put(p *kernel.Proc, s string) { io.WriteString(p.Stdout(), s) } //nolint:errcheck // the visitor's own output

func complain(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

// slurp reads a stream up to maxUnpacked within the session's budget.
func slurp(p *kernel.Proc, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if int64(b.Len()+n) > maxUnpacked || p.S.Budget.Grow(int64(n)) != nil {
			return nil, ErrMemory
		}
		b.Write(buf[:n])
		if p.Step(1+int64(n)/2048) != nil {
			return nil, kernel.ErrBudget
		}
		if err != nil || n == 0 {
			p.S.Budget.Grow(-int64(b.Len())) //nolint:errcheck // giving back
			if err == io.EOF || n == 0 {
				err = nil
			}
			return b.Bytes(), err
		}
	}
}

// format is one way to pack.
type format struct {
	tool, suffix string
	pack         func(p *kernel.Proc, data []byte) []byte
	unpack       func(p *kernel.Proc, data []byte) ([]byte, error)
}

func formatOf(name string) format {
	switch {
	case strings.Contains(name, "bz"), strings.Contains(name, "bun"):
		return format{"bzip2", ".bz2", func(p *kernel.Proc, d []byte) []byte {
			return Bzip2(d, func(n int64) bool { return p.Step(n/8) == nil })
		}, func(p *kernel.Proc, d []byte) ([]byte, error) {
			if !bytes.HasPrefix(d, []byte("BZh")) {
				return nil, ErrFormat
			}
			return slurp(p, bzip2.NewReader(bytes.NewReader(d)))
		}}
	case strings.Contains(name, "xz"), strings.Contains(name, "lzma"):
		return format{"xz", ".xz", func(_ *kernel.Proc, d []byte) []byte { return Xz(d) }, unxz}
	}
	return format{"gzip", ".gz", gzipped, gunzipped}
}

// unxz unpacks within the session's budget.
func unxz(p *kernel.Proc, data []byte) ([]byte, error) {
	var size, took int64
	defer func() { p.S.Budget.Grow(-took) }() //nolint:errcheck // giving back
	return UnXz(data, func(n int) error {
		if size += int64(n); size > maxUnpacked+(1<<20) || p.S.Budget.Grow(int64(n)) != nil {
			return ErrMemory
		}
		took += int64(n)
		if p.Step(1+int64(n)/256) != nil {
			return kernel.ErrBudget
		}
		return nil
	})
}

func gzipped(_ *kernel.Proc, data []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(data) //nolint:errcheck // to memory
	z.Close()     //nolint:errcheck // to memory
	return b.Bytes()
}

func gunzipped(p *kernel.Proc, data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, ErrFormat
	}
	return slurp(p, z)
}

// packRun is a parsed gzip, bzip2 or xz.
type packRun struct {
	p                                                    *kernel.Proc
	o                                                    getopt.Opts
	f                                                    format
	name                                                 string
	unpack, stdout, keep, force, quiet, verbose, testing bool
}

func packer(_ context.Context, p *kernel.Proc) int {
	name := getopt.Base(p.Args[0])
	r := &packRun{p: p, f: formatOf(name), name: name}
	r.o = getopt.Parse(p.Args[1:], "acdfhklLnNqrS:tvVz123456789seT:0", "stdout/c to-stdout/c decompress/d uncompress/d force/f keep/k list/l test/t quiet/q verbose/v recursive/r suffix/S name/N no-name/n fast/1 best/9 compress/z threads/T license/L")
	switch {
	case r.o.Bad == "--version" || r.o.Has("V"):
		put(p, getopt.Version(p, r.f.tool))
		return 0
	case r.o.Bad != "":
		complain(p, "%s: %s\nTry `%[1]s --help' for more information.", r.f.tool, r.o.Bad)
		return 1
	}
	r.unpack = r.o.Has("d", "t", "l") || strings.HasPrefix(name, "un") || name == "gunzip" || name == "bunzip2" || strings.HasSuffix(name, "cat") || name == "uncompress"
	r.testing = r.o.Has("t")
	r.stdout = r.o.Has("c") || strings.HasSuffix(name, "cat")
	r.keep, r.force, r.quiet, r.verbose = r.o.Has("k"), r.o.Has("f"), r.o.Has("q"), r.o.Has("v")
	if r.o.Has("l") && r.f.tool == "gzip" {
		put(p, "         compressed        uncompressed  ratio uncompressed_name\n")
	}
	if len(r.o.Args) == 0 {
		return r.stream()
	}
	status := 0
	for _, a := range r.o.Args {
		if a == "-" {
			status = max(status, r.stream())
			continue
		}
		status = max(status, r.file(a))
	}
	return status
}

// say words an error: gzip always calls itself gzip.
func (r *packRun) say(format string, args ...any) {
	name := r.name
	if r.f.tool == "gzip" {
		name = "gzip"
	}
	complain(r.p, name+": "+format, args...)
}

func (r *packRun) stream() int {
	if r.p.IsTTY(1) && !r.unpack && !r.force {
		r.say("compressed data not written to a terminal. Use -f to force compression.\nFor help, type: %s -h", r.f.tool)
		return 1
	}
	data, err := slurp(r.p, r.p.Stdin())
	if err != nil {
		return 1
	}
	if !r.unpack {
		r.p.Stdout().Write(r.f.pack(r.p, data)) //nolint:errcheck // the visitor's own output
		return 0
	}
	out, err := r.f.unpack(r.p, data)
	if err != nil {
		return r.badInput("", err)
	}
	if !r.testing {
		r.p.Stdout().Write(out) //nolint:errcheck // the visitor's own output
	}
	return 0
}

// badInput words input that cannot be unpacked.
func (r *packRun) badInput(name string, err error) int {
	shown := name
	switch r.f.tool {
	case "gzip":
		if shown == "" {
			shown = "stdin"
		}
		text := "not in gzip format"
		if !errors.Is(err, ErrFormat) {
			text = "unexpected end of file"
		}
		complain(r.p, "\ngzip: %s: %s", shown, text)
		return 1
	case "bzip2":
		if shown == "" {
			shown = "(stdin)"
		}
		if errors.Is(err, ErrFormat) {
			complain(r.p, "%s: %s is not a bzip2 file.", r.name, shown)
			return 2
		}
		complain(r.p, "\n%s: Data integrity error when decompressing.", r.name)
		return 2
	}
	if shown == "" {
		shown = "(stdin)"
	}
	text := "File format not recognized"
	switch {
	case errors.Is(err, ErrMemory):
		text = "Cannot allocate memory"
	case errors.Is(err, ErrShort):
		text = "Unexpected end of input"
	case errors.Is(err, ErrCorrupt):
		text = "Compressed data is corrupt"
	case errors.Is(err, ErrOptions):
		text = "Unsupported options"
	}
	complain(r.p, "%s: %s: %s", r.name, shown, text)
	return 1
}

func (r *packRun) missing(name string, err error) int {
	switch {
	case r.f.tool == "bzip2":
		complain(r.p, "%s: Can't open input file %s: %s.", r.name, name, err)
	case r.f.tool == "gzip" && r.unpack && !strings.HasSuffix(name, ".gz"):
		r.say("%s.gz: %s", name, err)
	default:
		r.say("%s: %s", name, err)
	}
	return 1
}

func (r *packRun) file(name string) int {
	p := r.p
	in, err := p.M.FS.Stat(p.Caller, p.Abs(name))
	if err != nil && r.unpack && r.f.tool == "gzip" {
		if alt, e := p.M.FS.Stat(p.Caller, p.Abs(name+".gz")); e == nil {
			in, err, name = alt, nil, name+".gz"
		}
	}
	if err != nil {
		return r.missing(name, err)
	}
	if in.Kind == vfs.Dir {
		text := map[string]string{"gzip": "%s is a directory -- ignored", "bzip2": "Input file %s is a directory.", "xz": "%s: Is a directory, skipping"}[r.f.tool]
		r.say(text, name)
		return 2
	}
	h, err := p.M.FS.Open(p.Caller, p.Abs(name), vfs.ReadOnly, 0)
	if err != nil {
		return r.missing(name, err)
	}
	data, err := slurp(p, h)
	h.Close() //nolint:errcheck // only read
	if err != nil {
		r.say("%s: %s", name, vfs.EFBIG)
		return 1
	}
	if r.unpack {
		return r.unpackFile(name, in, data)
	}
	return r.packFile(name, in, data)
}

func (r *packRun) packFile(name string, in vfs.Info, data []byte) int {
	if strings.HasSuffix(name, r.f.suffix) && !r.force && !r.stdout {
		text := map[string]string{"gzip": "%s already has .gz suffix -- unchanged", "bzip2": "Input file %s already has .bz2 suffix.", "xz": "%s: File already has `.xz' suffix, skipping"}[r.f.tool]
		r.say(text, name)
		return 2
	}
	out := r.f.pack(r.p, data)
	if r.stdout {
		r.p.Stdout().Write(out) //nolint:errcheck // the visitor's own output
		return 0
	}
	to := name + r.f.suffix
	if st := r.write(name, to, in, out); st != 0 {
		return st
	}
	if r.verbose && r.f.tool == "gzip" {
		ratio := 0.0
		if len(data) > 0 {
			ratio = 100 * (1 - float64(len(out)-18-len(name))/float64(len(data)))
		}
		verb := "replaced with"
		if r.keep {
			verb = "created"
		}
		complain(r.p, "%s:\t%5.1f%% -- %s %s", name, ratio, verb, to)
	}
	return 0
}

func (r *packRun) write(from, to string, in vfs.Info, data []byte) int {
	p := r.p
	if _, err := p.M.FS.Lstat(p.Caller, p.Abs(to)); err == nil && !r.force {
		text := map[string]string{"gzip": "%s already exists;\tnot overwritten", "bzip2": "Output file %s already exists.", "xz": "%s: File exists"}[r.f.tool]
		r.say(text, to)
		return map[bool]int{true: 2, false: 1}[r.f.tool == "gzip"]
	}
	if err := p.M.FS.WriteFile(p.Caller, p.Abs(to), data, in.Mode&0o777); err != nil {
		r.say("%s: %s", to, err)
		return 1
	}
	p.M.FS.Chtimes(p.Caller, p.Abs(to), in.Atime, in.Mtime) //nolint:errcheck // as the tools do
	if !r.keep {
		p.M.FS.Unlink(p.Caller, p.Abs(from)) //nolint:errcheck // it was just read
	}
	return 0
}

func (r *packRun) unpackFile(name string, in vfs.Info, data []byte) int {
	to, known := strings.CutSuffix(name, r.f.suffix)
	for long, short := range map[string]string{".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar"} {
		if rest, ok := strings.CutSuffix(name, long); ok {
			to, known = rest+short, true
		}
	}
	if !known && r.f.tool == "gzip" && !r.stdout && !r.o.Has("l", "t") {
		r.say("%s: unknown suffix -- ignored", name)
		return 2
	}
	if !known && r.f.tool == "bzip2" && !r.stdout {
		r.say("Can't guess original name for %s -- using %[1]s.out", name)
		to = name + ".out"
	}
	out, err := r.f.unpack(r.p, data)
	switch {
	case err != nil:
		return r.badInput(name, err)
	case !known && r.f.tool == "xz" && !r.stdout:
		r.say("%s: Filename has an unknown suffix, skipping", name)
		return 2
	case r.o.Has("l"):
		ratio := 0.0
		if len(out) > 0 {
			ratio = 100 * (1 - float64(len(data)-18-len(to))/float64(len(out)))
		}
		put(r.p, fmt.Sprintf("%19d %19d %5.1f%% %s\n", len(data), len(out), ratio, to))
		return 0
	case r.testing:
		return 0
	case r.stdout:
		r.p.Stdout().Write(out) //nolint:errcheck // the visitor's own output
		return 0
	}
	return r.write(name, to, in, out)
}

// viaZcat is zgrep, zless and their like: the plain tool behind zcat.
func viaZcat(ctx context.Context, p *kernel.Proc) int {
	tool := strings.TrimPrefix(getopt.Base(p.Args[0]), "z")
	script := `t=$1; shift; case $t in less|more) zcat -- "$@";; cmp|diff) $t <(zcat -f -- "$1") <(zcat -f -- "$2");; *) for f in "$@"; do l=$f; done; n=$(($#-1)); zcat -f -- "$l" | $t "${@:1:n}";; esac`
	st, err := p.Run(ctx, p.Child(append([]string{"bash", "-c", script, getopt.Base(p.Args[0]), tool}, p.Args[1:]...)...))
	if err != nil {
		return 127
	}
	return st
}
