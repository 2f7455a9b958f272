// Package text holds the programs of a fake host that read and write text.
package text

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/awk"
	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs are the programs of this package by the name of their implementation.
func Programs() map[string]kernel.Program {
	return map[string]kernel.Program{
		"cat": cat, "head": head, "tail": tail, "wc": wc, "sort": sortLines, "uniq": uniq, "cut": cut, "tr": tr, "tee": tee,
		"grep": grep, "sed": sed, "awk": awk.Main, "rev": rev, "tac": tac, "nl": nl, "seq": seq, "yes": yes, "base64": baseCmd, "base32": baseCmd,
		"md5sum": sum, "sha1sum": sum, "sha224sum": sum, "sha256sum": sum, "sha384sum": sum, "sha512sum": sum, "b2sum": sum, "cksum": cksum, "sum": sumCmd,
		"od": od, "xxd": xxd, "hexdump": hexdump, "strings": stringsCmd, "paste": paste, "column": column,
		"fold": fold, "fmt": fmtCmd, "expand": expand, "unexpand": expand, "factor": factor, "shuf": shuf, "cmp": cmp, "comm": comm, "join": joinCmd,
		"expr": expr, "tsort": tsort, "diff": diff, "split": split, "numfmt": numfmt,
	}
}

// errorf prints "name: text" on standard error.
func errorf(p *kernel.Proc, format string, args ...any) {
	fmt.Fprintf(p.Stderr(), getopt.Base(p.Args[0])+": "+format+"\n", args...) //nolint:errcheck // the visitor's own stderr
}

// strerror is the text of an error of the fake system.
func strerror(err error) string {
	if e, ok := errors.AsType[vfs.Errno](err); ok {
		return e.Error()
	}
	return "Input/output error"
}

// open opens an operand; "-" is standard input.
func open(p *kernel.Proc, name string) (io.ReadCloser, error) {
	if name == "-" || name == "/dev/stdin" {
		return io.NopCloser(p.Stdin()), nil
	}
	if n, ok := strings.CutPrefix(name, "/dev/fd/"); ok {
		if i, err := strconv.Atoi(n); err == nil && p.FDs[i] != nil {
			return io.NopCloser(p.FDs[i]), nil
		}
	}
	h, err := p.M.FS.Open(p.Caller, p.Abs(name), vfs.ReadOnly, 0)
	if err != nil {
		return nil, err
	}
	if h.Stat().Kind == vfs.Dir {
		h.Close() //nolint:errcheck // only opened
		return nil, vfs.EISDIR
	}
	return h, nil
}

// each calls fn for every operand, standard input when there is none.
func each(p *kernel.Proc, names []string, fn func(name string, r io.Reader) error) int {
	if len(names) == 0 {
		names = []string{"-"}
	}
	status := 0
	for _, n := range names {
		r, err := open(p, n)
		if err != nil {
			errorf(p, "%s: %s", n, strerror(err))
			status = 1
			continue
		}
		if err := fn(n, r); err != nil {
			status = 1
			if errors.Is(err, vfs.EPIPE) {
				r.Close() //nolint:errcheck // only read
				return 141
			}
		}
		r.Close() //nolint:errcheck // only read
	}
	return status
}

// named is each with a program's own words for a missing file.
func named(p *kernel.Proc, names []string, format string, fn func(name string, r io.Reader) error) int {
	status := 0
	var there []string
	for _, n := range names {
		if r, err := open(p, n); err != nil {
			if strings.Count(format, "%s") == 2 {
				errorf(p, format, n, strerror(err))
			} else {
				errorf(p, format, n)
			}
			status = 1
		} else {
			r.Close() //nolint:errcheck // opened again below
			there = append(there, n)
		}
	}
	if len(there) == 0 && len(names) > 0 {
		return status
	}
	return max(each(p, there, fn), status)
}

const maxLine = 1 << 20 // bytes of one line

// lines calls fn for each line without its newline; fn returns false to stop.
func lines(p *kernel.Proc, r io.Reader, fn func(line string) bool) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), maxLine)
	for sc.Scan() {
		if err := p.Step(1 + int64(len(sc.Bytes())/64)); err != nil {
			return err
		}
		if !fn(sc.Text()) {
			return nil
		}
	}
	return nil
}

// rawLines is lines with the newline kept; the last line may have none.
func rawLines(p *kernel.Proc, r io.Reader, fn func(line string) bool) error {
	br := bufio.NewReaderSize(r, 4096)
	for {
		line, err := br.ReadSlice('\n')
		text := string(line)
		for err == bufio.ErrBufferFull && len(text) < maxLine { //nolint:errorlint // it comes bare
			line, err = br.ReadSlice('\n')
			text += string(line)
		}
		if e := p.Step(1 + int64(len(text)/64)); e != nil {
			return e
		}
		if text != "" && !fn(text) || err != nil && err != bufio.ErrBufferFull { //nolint:errorlint // it comes bare
			return nil
		}
	}
}

// slurp reads all of r within the session's memory.
func slurp(p *kernel.Proc, r io.Reader) ([]byte, error) {
	var b bytes.Buffer
	buf := make([]byte, 32<<10)
	for {
		n, err := r.Read(buf)
		if n > 0 {
			if e := p.S.Budget.Grow(int64(n)); e != nil {
				return nil, e
			}
			b.Write(buf[:n])
		}
		if err != nil || n == 0 {
			p.S.Budget.Grow(-int64(b.Len())) //nolint:errcheck // giving back
			return b.Bytes(), nil            //nolint:nilerr // an end is an end
		}
	}
}

// pour copies r to standard output.
func pour(ctx context.Context, p *kernel.Proc, r io.Reader) error {
	buf := make([]byte, 32<<10)
	for ctx.Err() == nil {
		n, err := r.Read(buf)
		if n > 0 {
			if e := p.Step(1 + int64(n)/4096); e != nil {
				return e
			}
			if _, e := p.Stdout().Write(buf[:n]); e != nil {
				return vfs.EPIPE
			}
		}
		if err != nil || n == 0 {
			if err != nil && err != io.EOF {
				errorf(p, "-: %s", strerror(err))
				return err
			}
			return nil
		}
	}
	return ctx.Err()
}

func put(p *kernel.Proc, s string) bool {
	_, err := io.WriteString(p.Stdout(), s)
	return err == nil
}
