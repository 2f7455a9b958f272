package scp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// sink receives files (scp -t).
func (e *end) sink(ctx context.Context, args []string) int {
	if len(args) != 1 {
		e.say("\x01scp: ambiguous target\n")
		return 1
	}
	if e.mustDir && !isDir(e.p, args[0]) {
		err := error(vfs.ENOTDIR)
		if _, serr := e.p.M.FS.Stat(e.p.Caller, e.p.Abs(args[0])); serr != nil {
			err = serr
		}
		e.fault(args[0], err)
		return 1
	}
	e.say("\x00")
	if err := e.receive(ctx, args[0], 0); err != nil {
		if !errors.Is(err, io.EOF) {
			e.say("\x01scp: %s\n", err)
		}
		return 1
	}
	return e.status()
}

// receive takes records until the directory ends, or the input.
func (e *end) receive(ctx context.Context, target string, depth int) error {
	into := isDir(e.p, target)
	var times *record
	for first := true; ; first = false {
		if err := e.p.Step(10); err != nil {
			return io.EOF
		}
		r, err := e.record()
		switch {
		case errors.Is(err, io.EOF) && depth == 0 && !first:
			return nil
		case err != nil:
			return err
		case r.kind == 'E':
			e.say("\x00")
			return nil
		case r.kind == 'T':
			times = &r
			e.say("\x00")
			continue
		case r.kind == 0: // an error of the other end
			continue
		}
		if !safe(r.name) {
			return fmt.Errorf("error: unexpected filename: %s", r.name)
		}
		name := target
		if into {
			name = target + "/" + r.name
		}
		if r.kind == 'D' {
			err = e.directory(ctx, name, r, times, depth)
		} else {
			err = e.file(ctx, name, r, times)
		}
		if err != nil {
			return err
		}
		times = nil
	}
}

// record reads one control record; kind 0 is an error that the other end told.
func (e *end) record() (record, error) {
	c, err := e.in.ReadByte()
	if err != nil {
		return record{}, io.EOF
	}
	if c == 1 || c == 2 {
		if _, err := e.line(); err != nil || c == 2 {
			return record{}, io.EOF
		}
		e.failed = true
		return record{}, nil
	}
	if err := e.in.UnreadByte(); err != nil {
		return record{}, err
	}
	line, err := e.line()
	if err != nil {
		return record{}, io.EOF
	}
	r, err := parse(line)
	if err != nil {
		return r, fmt.Errorf("protocol error: %w", err)
	}
	return r, nil
}

func (e *end) directory(ctx context.Context, name string, r record, times *record, depth int) error {
	fs, who := e.p.M.FS, e.p.Caller
	if !e.recursive {
		return errors.New("protocol error: received directory without -r")
	}
	if depth >= maxDepth {
		return fmt.Errorf("%s: %w", name, vfs.ENAMETOOLONG)
	}
	if !isDir(e.p, name) {
		if err := fs.Mkdir(who, e.p.Abs(name), r.mode|0o700); err != nil {
			e.fault(name, err)
			return nil
		}
	}
	e.say("\x00")
	if err := e.receive(ctx, name, depth+1); err != nil {
		return err
	}
	e.settle(name, r, times)
	return nil
}

// settle sets mode and times of what came.
func (e *end) settle(name string, r record, times *record) {
	fs, who, abs := e.p.M.FS, e.p.Caller, e.p.Abs(name)
	mode := r.mode
	if !e.times {
		mode &^= e.p.Umask
	}
	if e.times || r.kind == 'D' {
		fs.Chmod(who, abs, mode) //nolint:errcheck // as scp does
	}
	if times != nil {
		fs.Chtimes(who, abs, time.Unix(times.atime, 0), time.Unix(times.mtime, 0)) //nolint:errcheck // as scp does
	}
}

// file receives one file's bytes. What cannot be written is read all the same.
func (e *end) file(ctx context.Context, name string, r record, times *record) error {
	h, werr := e.p.M.FS.Open(e.p.Caller, e.p.Abs(name), vfs.WriteOnly|vfs.Create, r.mode&0o7777&^e.p.Umask|0o200)
	if werr != nil {
		e.fault(name, werr)
		return nil
	}
	defer h.Close() //nolint:errcheck // of the fake file system
	e.say("\x00")
	buf := make([]byte, chunk)
	for left := r.size; left > 0; {
		if ctx.Err() != nil {
			return io.EOF
		}
		n, err := e.in.Read(buf[:min(int64(len(buf)), left)])
		left -= int64(n)
		if err != nil {
			return io.EOF
		}
		if e.p.S.Budget.Move(int64(n)) != nil {
			return io.EOF
		}
		if werr == nil {
			_, werr = h.Write(buf[:n])
		}
	}
	if in := h.Stat(); werr == nil && in.Size > r.size {
		werr = h.Truncate(r.size)
	}
	if _, err := e.answered(); err != nil {
		return err
	}
	e.settle(name, r, times)
	if werr != nil {
		e.fault(name, werr)
		return nil
	}
	e.say("\x00")
	return nil
}
