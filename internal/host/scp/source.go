package scp

import (
	"context"
	"errors"
	"io"
	"path"

	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// source sends files (scp -f).
func (e *end) source(ctx context.Context, args []string) int {
	if _, err := e.answered(); err != nil {
		return 1
	}
	for _, name := range args {
		if err := e.send(ctx, name, 0); err != nil {
			return 1
		}
	}
	return e.status()
}

func (e *end) send(ctx context.Context, name string, depth int) error {
	if err := e.p.Step(10); err != nil || ctx.Err() != nil {
		return io.EOF
	}
	in, err := e.p.M.FS.Stat(e.p.Caller, e.p.Abs(name))
	switch {
	case err != nil:
		e.fault(name, err)
		return nil
	case in.Kind == vfs.Dir && e.recursive && depth < maxDepth:
		return e.sendDir(ctx, name, in, depth)
	case in.Kind != vfs.File:
		e.fault(name, errors.New("not a regular file"))
		return nil
	}
	h, err := e.p.M.FS.Open(e.p.Caller, e.p.Abs(name), vfs.ReadOnly, 0)
	if err != nil {
		e.fault(name, err)
		return nil
	}
	defer h.Close() //nolint:errcheck // only read
	if good, err := e.announce('C', in, h.Stat().Size, name); !good {
		return err
	}
	if err := e.sendBytes(ctx, h, h.Stat().Size); err != nil {
		return err
	}
	e.say("\x00")
	_, err = e.answered()
	return err
}

// announce sends what comes next and waits for leave.
func (e *end) announce(kind byte, in vfs.Info, size int64, name string) (good bool, err error) {
	if e.times {
		e.say("T%d 0 %d 0\n", in.Mtime.Unix(), in.Atime.Unix())
		if good, err := e.answered(); !good {
			return false, err
		}
	}
	e.say("%c%04o %d %s\n", kind, in.Mode&0o7777, size, path.Base(name))
	return e.answered()
}

// sendBytes sends exactly size bytes; a file that became shorter is padded.
func (e *end) sendBytes(ctx context.Context, h *vfs.Handle, size int64) error {
	buf := make([]byte, chunk)
	for off := int64(0); off < size; {
		if ctx.Err() != nil {
			return io.EOF
		}
		part := buf[:min(int64(len(buf)), size-off)]
		n, _ := h.ReadAt(part, off)
		clear(part[n:])
		if _, err := e.p.Stdout().Write(part); err != nil {
			return err
		}
		off += int64(len(part))
	}
	return nil
}

func (e *end) sendDir(ctx context.Context, name string, in vfs.Info, depth int) error {
	list, err := e.p.M.FS.ReadDir(e.p.Caller, e.p.Abs(name))
	if err != nil {
		e.fault(name, err)
		return nil
	}
	if good, err := e.announce('D', in, 0, name); !good {
		return err
	}
	for _, entry := range list {
		if err := e.send(ctx, name+"/"+entry.Name, depth+1); err != nil {
			return err
		}
	}
	e.say("E\n")
	_, err = e.answered()
	return err
}
