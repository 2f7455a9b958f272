// Package scp is the scp program of a fake host: the two remote ends of the
// old protocol (rcp's, OpenSSH's scp -O), and the client, which reaches nobody.
package scp

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// Programs is scp by the name of its implementation.
func Programs() map[string]kernel.Program { return map[string]kernel.Program{"scp": run} }

const (
	maxLine  = 8192 // bytes of a control record
	maxDepth = 64   // directories in each other
	chunk    = 32 << 10
)

var errProtocol = errors.New("protocol error")

// end is one of the two remote ends.
type end struct {
	p         *kernel.Proc
	in        *bufio.Reader
	recursive bool
	times     bool
	mustDir   bool
	failed    bool
}

const usage = "usage: scp [-346ABCOpqRrsTv] [-c cipher] [-D sftp_server_path] [-F ssh_config]\n           [-i identity_file] [-J destination] [-l limit] [-o ssh_option]\n           [-P port] [-S program] [-X sftp_option] source ... target\n"

func run(ctx context.Context, p *kernel.Proc) int {
	e := &end{p: p}
	var sink, source bool
	args := p.Args[1:]
	for len(args) > 0 && len(args[0]) > 1 && args[0][0] == '-' {
		a := args[0][1:]
		args = args[1:]
		if a == "-" {
			break
		}
		for i := 0; i < len(a); i++ {
			switch a[i] {
			case 't':
				sink = true
			case 'f':
				source = true
			case 'r':
				e.recursive = true
			case 'p':
				e.times = true
			case 'd':
				e.mustDir = true
			case 'c', 'D', 'F', 'i', 'J', 'l', 'o', 'P', 'S', 'X':
				if i+1 == len(a) && len(args) > 0 {
					args = args[1:]
				}
				i = len(a)
			case '3', '4', '6', 'A', 'B', 'C', 'O', 'q', 'R', 's', 'T', 'v':
			default:
				fmt.Fprintf(p.Stderr(), "scp: unknown option -- %c\n%s", a[i], usage) //nolint:errcheck // the visitor's own stderr
				return 1
			}
		}
	}
	e.in = bufio.NewReaderSize(p.Stdin(), 4096)
	switch {
	case sink:
		return e.sink(ctx, args)
	case source:
		return e.source(ctx, args)
	}
	return client(ctx, p, args)
}

// client would copy from or to another host; there is none.
func client(ctx context.Context, p *kernel.Proc, args []string) int {
	if len(args) < 2 {
		io.WriteString(p.Stderr(), usage) //nolint:errcheck // the visitor's own stderr
		return 1
	}
	for _, a := range args {
		host, _, remote := strings.Cut(a, ":")
		if !remote || strings.Contains(host, "/") {
			continue
		}
		f := kernel.Fetch{Tool: "scp", URL: "scp:" + strings.Join(args, " ")}
		p.S.Recorder.Fetch(ctx, f)
		if _, h, at := strings.Cut(host, "@"); at {
			host = h
		}
		p.M.Clock.Sleep(ctx, p.M.Net.Fetch(ctx, f).Delay)                                                                  //nolint:errcheck // the end of the session ends it
		fmt.Fprintf(p.Stderr(), "ssh: connect to host %s port 22: Connection timed out\nscp: Connection closed\r\n", host) //nolint:errcheck // the visitor's own stderr
		return 255
	}
	fmt.Fprintf(p.Stderr(), "scp: %s: No such file or directory\n", args[0]) //nolint:errcheck // as above
	return 1
}

// say sends a record to the other end.
func (e *end) say(format string, args ...any) { fmt.Fprintf(e.p.Stdout(), format, args...) } //nolint:errcheck // a gone client ends the reads

// fault tells the other end of an error that is not the end.
func (e *end) fault(name string, err error) {
	e.failed = true
	e.say("\x01scp: %s: %s\n", name, err)
}

func (e *end) status() int {
	if e.failed {
		return 1
	}
	return 0
}

// line reads a control record without its newline.
func (e *end) line() (string, error) {
	var b []byte
	for len(b) < maxLine {
		c, err := e.in.ReadByte()
		if err != nil {
			return "", err
		}
		if c == '\n' {
			return string(b), nil
		}
		b = append(b, c)
	}
	return "", errProtocol
}

// answered waits for the other end's word on what was sent: good, or an
// error that it has told its own user.
func (e *end) answered() (good bool, err error) {
	c, err := e.in.ReadByte()
	if err != nil {
		return false, err
	}
	switch c {
	case 0:
		return true, nil
	case 1, 2:
		_, err := e.line()
		e.failed = true
		if c == 2 && err == nil {
			err = errProtocol
		}
		return false, err
	}
	return false, errProtocol
}

// record is a control record of the protocol.
type record struct {
	kind         byte // C a file, D a directory, E its end, T times
	mode         uint32
	size         int64
	name         string
	mtime, atime int64
}

// parse reads a control record; the text of the error is OpenSSH's.
func parse(line string) (record, error) {
	if line == "" {
		return record{}, errors.New("unexpected <newline>")
	}
	r := record{kind: line[0]}
	switch r.kind {
	case 'E':
		return r, nil
	case 'T':
		f := strings.Split(line[1:], " ")
		if len(f) != 4 {
			return r, errors.New("mtime.sec not delimited")
		}
		var err1, err2 error
		r.mtime, err1 = strconv.ParseInt(f[0], 10, 64)
		r.atime, err2 = strconv.ParseInt(f[2], 10, 64)
		if err1 != nil || err2 != nil || r.mtime < 0 || r.atime < 0 || r.mtime > 1<<40 || r.atime > 1<<40 {
			return r, errors.New("mtime.sec not delimited")
		}
		return r, nil
	case 'C', 'D':
	default:
		return r, errors.New("expected control record")
	}
	if len(line) < 6 || line[5] != ' ' {
		return r, errors.New("mode not delimited")
	}
	mode, err := strconv.ParseUint(line[1:5], 8, 32)
	if err != nil {
		return r, errors.New("bad mode")
	}
	size, name, found := strings.Cut(line[6:], " ")
	if r.size, err = strconv.ParseInt(size, 10, 64); err != nil || !found || r.size < 0 {
		return r, errors.New("size not delimited")
	}
	r.mode, r.name = uint32(mode), name
	return r, nil
}

// safe reports whether a name stays in its directory.
func safe(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.Contains(name, "/")
}

func isDir(p *kernel.Proc, name string) bool {
	in, err := p.M.FS.Stat(p.Caller, p.Abs(name))
	return err == nil && in.Kind == vfs.Dir
}
