package files

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
)

// ddRun is a parsed dd.
type ddRun struct {
	p                      *kernel.Proc
	o                      map[string]string
	ibs, obs               int64
	count, skip, seek      int64
	in                     io.Reader
	out                    io.Writer
	rFull, rPart, total    int64
	wFull, wPart, buffered int64
	fault                  int
}

const ddOperands = " bs cbs conv count ibs if iflag iseek obs of oflag oseek seek skip status "

func dd(ctx context.Context, p *kernel.Proc) int {
	d := &ddRun{p: p, o: map[string]string{}, ibs: 512, obs: 512, count: -1}
	for _, a := range p.Args[1:] {
		if a == "--help" || a == "--version" {
			return getopt.Usage(p, getopt.Opts{Bad: a}, 1)
		}
		k, v, ok := strings.Cut(a, "=")
		if !ok || !strings.Contains(ddOperands, " "+k+" ") {
			errorf(p, "unrecognized operand ‘%s’", a)
			return getopt.Hint(p, 1)
		}
		d.o[k] = v
	}
	if !d.numbers() || !d.open() {
		return 1
	}
	d.copy(ctx)
	if d.o["status"] != "none" {
		d.report()
	}
	for _, f := range []any{d.in, d.out} {
		if h, ok := f.(*vfs.Handle); ok {
			h.Close() //nolint:errcheck // nothing is buffered
		}
	}
	return d.fault
}

func (d *ddRun) numbers() bool {
	for _, n := range []struct {
		name string
		to   []*int64
		zero bool
	}{
		{"ibs", []*int64{&d.ibs}, false},
		{"obs", []*int64{&d.obs}, false},
		{"bs", []*int64{&d.ibs, &d.obs}, false},
		{"count", []*int64{&d.count}, true},
		{"skip", []*int64{&d.skip}, true},
		{"seek", []*int64{&d.seek}, true},
		{"iseek", []*int64{&d.skip}, true},
		{"oseek", []*int64{&d.seek}, true},
	} {
		text, given := d.o[n.name]
		if !given {
			continue
		}
		v, ok := size(strings.TrimSuffix(text, "B"))
		if !ok || v == 0 && !n.zero {
			errorf(d.p, "invalid number: ‘%s’", text)
			return false
		}
		for _, t := range n.to {
			*t = v
		}
	}
	return true
}

func (d *ddRun) open() bool {
	p := d.p
	d.in, d.out = p.Stdin(), p.Stdout()
	if f := d.o["if"]; f != "" && f != "/dev/stdin" {
		h, err := p.M.FS.Open(p.Caller, p.Abs(f), vfs.ReadOnly, 0)
		if err != nil {
			errorf(p, "failed to open %s: %s", quote(f), err)
			return false
		}
		d.in = h
		if d.skip > 0 {
			if _, err := h.Seek(d.skip*d.ibs, 0); err == nil {
				d.skip = 0
			}
		}
	}
	if f := d.o["of"]; f != "" && f != "/dev/stdout" {
		fl := vfs.WriteOnly | vfs.Create
		if !strings.Contains(d.o["conv"], "notrunc") && d.seek == 0 {
			fl |= vfs.Truncate
		}
		if strings.Contains(d.o["oflag"], "append") {
			fl |= vfs.Append
		}
		h, err := p.M.FS.Open(p.Caller, p.Abs(f), fl, 0o666&^p.Umask)
		if err != nil {
			errorf(p, "failed to open %s: %s", quote(f), err)
			return false
		}
		d.out = h
		if d.seek > 0 && !d.reach(h) {
			return false
		}
	}
	return true
}

// reach moves the output to seek; the file is at least as long afterwards.
func (d *ddRun) reach(h *vfs.Handle) bool {
	at := d.seek * d.obs
	if !strings.Contains(d.o["conv"], "notrunc") {
		if err := h.Truncate(at); err != nil {
			errorf(d.p, "failed to truncate to %d bytes in output file %s: %s", at, quote(d.o["of"]), err)
			return false
		}
	}
	h.Seek(at, 0) //nolint:errcheck // as asked
	return true
}

// block reads one input block; pipes give what they have.
func (d *ddRun) block(buf []byte, limit int64) (int64, []byte, bool) {
	got := int64(0)
	full := strings.Contains(d.o["iflag"], "fullblock")
	for got < limit {
		k, err := d.in.Read(buf[:min(int64(len(buf)), limit-got)])
		got += int64(k)
		if k == 0 || err != nil {
			return got, buf[:min(got, int64(len(buf)))], got > 0
		}
		if limit <= int64(len(buf)) && !full {
			break
		}
		if limit > int64(len(buf)) {
			if !d.write(buf[:k]) {
				return got, nil, false
			}
		}
	}
	return got, buf[:min(got, int64(len(buf)))], true
}

func (d *ddRun) write(b []byte) bool {
	if d.p.Step(1+int64(len(b))/4096) != nil || d.p.S.Budget.Move(int64(len(b))) != nil {
		d.fault = 137
		return false
	}
	switch {
	case strings.Contains(d.o["conv"], "ucase"):
		b = bytes.ToUpper(b)
	case strings.Contains(d.o["conv"], "lcase"):
		b = bytes.ToLower(b)
	}
	if _, err := d.out.Write(b); err != nil {
		name := d.o["of"]
		if name == "" {
			name = "standard output"
		}
		errorf(d.p, "error writing %s: %s", quote(name), err)
		d.fault = 1
		return false
	}
	return true
}

func (d *ddRun) copy(ctx context.Context) {
	buf := make([]byte, min(d.ibs, 1<<20))
	for ; d.skip > 0; d.skip-- {
		if got, _, ok := d.block(buf, min(d.ibs, int64(len(buf)))); !ok || got == 0 {
			return
		}
	}
	for n := int64(0); (d.count < 0 || n < d.count) && ctx.Err() == nil; n++ {
		got, data, ok := d.block(buf, d.ibs)
		if got > 0 && d.ibs <= int64(len(buf)) && d.fault == 0 && !d.write(data) {
			return
		}
		d.total += got
		switch {
		case got == d.ibs:
			d.rFull++
		case got > 0:
			d.rPart++
		}
		d.buffered += got
		if d.o["bs"] != "" {
			d.wFull, d.wPart, d.buffered = d.rFull, d.rPart, 0
		}
		if !ok || got == 0 || d.fault != 0 {
			break
		}
	}
	if d.o["bs"] == "" {
		d.wFull = d.buffered / d.obs
		d.wPart = min(d.buffered%d.obs, 1)
	}
}

func (d *ddRun) report() {
	human := ""
	if d.total >= 1000 {
		human = fmt.Sprintf(" (%s, %s)", decimal(d.total, 1000, "B"), decimal(d.total, 1024, "iB"))
	}
	sec := 0.000_05 + float64(d.total)/400e6
	unit := "byte"
	if d.total != 1 {
		unit = "bytes"
	}
	fmt.Fprintf(d.p.Stderr(), "%d+%d records in\n%d+%d records out\n%d %s%s copied, %.6g s, %s/s\n", d.rFull, d.rPart, d.wFull, d.wPart, d.total, unit, human, sec, decimal(int64(float64(d.total)/sec), 1000, "B")) //nolint:errcheck // the visitor's own stderr
}

// decimal is an amount as dd words it: two digits at least.
func decimal(n int64, base float64, unit string) string {
	f, k := float64(n), -1
	for f >= base && k < 4 {
		f /= base
		k++
	}
	if k < 0 {
		return fmt.Sprintf("%d %s", n, strings.TrimPrefix(unit, "i"))
	}
	prefix := "kMGTP"[k : k+1]
	if base == 1024 {
		prefix = strings.ToUpper(prefix)
	}
	if f < 10 {
		return fmt.Sprintf("%.1f %s%s", f, prefix, unit)
	}
	return fmt.Sprintf("%.0f %s%s", f, prefix, unit)
}
