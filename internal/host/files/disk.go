package files

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/host/getopt"
	"github.com/lapwing-defence/lapwing/internal/host/kernel"
	"github.com/lapwing-defence/lapwing/internal/host/vfs"
	"github.com/lapwing-defence/lapwing/internal/persona"
)

// duRun is a parsed du.
type duRun struct {
	p      *kernel.Proc
	ctx    context.Context //nolint:containedctx // lives for one run
	o      getopt.Opts
	max    int
	status int
}

func du(ctx context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "0abcd:DhHklLmPsSt:xX:B:", "all/a apparent-size bytes/b total/c max-depth/d human-readable/h si summarize/s separate-dirs/S one-file-system/x exclude= threshold/t time? null/0 block-size/B")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	d := &duRun{p: p, ctx: ctx, o: o, max: o.Int("d", 1000)}
	if o.Has("s") {
		d.max = 0
	}
	names := o.Args
	if len(names) == 0 {
		names = []string{"."}
	}
	total := int64(0)
	for _, a := range names {
		total += d.walk(a, 0)
	}
	if o.Has("c") {
		d.show(total, "total")
	}
	return d.status
}

// amount is what one file counts: bytes with -b, else its blocks.
func (d *duRun) amount(in vfs.Info) int64 {
	if d.o.Has("b", "apparent-size") {
		return in.Size
	}
	return in.Blocks * 512
}

func (d *duRun) show(n int64, name string) {
	text := strconv.FormatInt((n+1023)/1024, 10)
	switch {
	case d.o.Has("h"):
		text = Human(n)
	case d.o.Has("b"):
		text = strconv.FormatInt(n, 10)
	case d.o.Has("m"):
		text = strconv.FormatInt((n+1<<20-1)>>20, 10)
	}
	put(d.p, text+"\t"+name+"\n")
}

func (d *duRun) walk(name string, depth int) int64 {
	in, err := d.p.M.FS.Lstat(d.p.Caller, d.p.Abs(name))
	if err != nil {
		errorf(d.p, "cannot access %s: %s", quote(name), err)
		d.status = 1
		return 0
	}
	total := d.amount(in)
	if in.Kind == vfs.Dir && depth < 100 && d.ctx.Err() == nil && d.p.Step(10) == nil {
		list, err := d.p.M.FS.ReadDir(d.p.Caller, d.p.Abs(name))
		if err != nil {
			errorf(d.p, "cannot read directory %s: %s", quote(name), err)
			d.status = 1
		}
		for _, e := range list {
			total += d.walk(strings.TrimSuffix(name, "/")+"/"+e.Name, depth+1)
		}
	}
	if depth <= d.max && (in.Kind == vfs.Dir || depth == 0 || d.o.Has("a")) {
		d.show(total, name)
	}
	return total
}

func df(_ context.Context, p *kernel.Proc) int {
	o := getopt.Parse(p.Args[1:], "aB:hHiklmPt:Tvx:", "all/a block-size/B human-readable/h si/H inodes/i local/l output? portability/P sync no-sync total type/t print-type/T exclude-type/x")
	if o.Bad != "" {
		return getopt.Usage(p, o, 1)
	}
	mounts, status := dfMounts(p, o)
	if len(mounts) == 0 && status == 0 && o.Has("t", "x") {
		errorf(p, "no file systems processed")
		return 1
	}
	if len(mounts) == 0 {
		return status
	}
	head := []string{"Filesystem", "1K-blocks", "Used", "Available", "Use%", "Mounted on"}
	switch {
	case o.Has("i"):
		head = []string{"Filesystem", "Inodes", "IUsed", "IFree", "IUse%", "Mounted on"}
	case o.Has("h", "H"):
		head = []string{"Filesystem", "Size", "Used", "Avail", "Use%", "Mounted on"}
	case o.Has("P"):
		head = []string{"Filesystem", "1024-blocks", "Used", "Available", "Capacity", "Mounted on"}
	case o.Has("m"):
		head[1] = "1M-blocks"
	}
	rows := [][]string{head}
	for _, m := range mounts {
		rows = append(rows, dfRow(o, m))
	}
	if o.Has("T") {
		rows[0] = append([]string{rows[0][0], "Type"}, rows[0][1:]...)
		for i, m := range mounts {
			rows[i+1] = append([]string{rows[i+1][0], m.FS}, rows[i+1][1:]...)
		}
	}
	dfTable(p, rows, o)
	return status
}

// dfMounts are the file systems that df lists, or those that hold the operands.
func dfMounts(p *kernel.Proc, o getopt.Opts) ([]persona.Mount, int) {
	var out []persona.Mount
	all := p.M.Mounts()
	if len(o.Args) == 0 {
		for _, m := range all {
			if m.SizeKB == 0 && !o.Has("a") || o.Has("t") && m.FS != o.Get("t") || o.Has("x") && m.FS == o.Get("x") || o.Has("l") && false {
				continue
			}
			out = append(out, m)
		}
		return out, 0
	}
	status := 0
	for _, a := range o.Args {
		full, err := p.M.FS.Resolve(p.Caller, p.Abs(a))
		if err != nil {
			errorf(p, "%s: %s", a, err)
			status = 1
			continue
		}
		best := -1
		for i, m := range all {
			in := m.Target == "/" || full == m.Target || strings.HasPrefix(full, m.Target+"/") || m.Source == full
			if in && (best < 0 || len(m.Target) >= len(all[best].Target) || m.Source == full) {
				best = i
			}
		}
		if best >= 0 {
			out = append(out, all[best])
		}
	}
	return out, status
}

func dfRow(o getopt.Opts, m persona.Mount) []string {
	avail := m.SizeKB - m.UsedKB
	if m.FS == "ext4" {
		avail -= m.SizeKB / 20
	}
	pct := "0%"
	if m.UsedKB > 0 {
		pct = fmt.Sprintf("%d%%", (m.UsedKB*100+m.UsedKB+avail-1)/max(m.UsedKB+avail, 1))
	}
	if m.SizeKB == 0 {
		pct = "-"
	}
	show := func(kb int64) string {
		switch {
		case o.Has("h", "H"):
			return Human(kb * 1024)
		case o.Has("m"):
			return strconv.FormatInt((kb+1023)/1024, 10)
		}
		return strconv.FormatInt(kb, 10)
	}
	if o.Has("i") {
		count := func(n int64) string {
			if o.Has("h") {
				return Human(n)
			}
			return strconv.FormatInt(n, 10)
		}
		return []string{m.Source, count(m.Inodes), count(m.IUsed), count(m.Inodes - m.IUsed), fmt.Sprintf("%d%%", (m.IUsed*100+m.Inodes-1)/max(m.Inodes, 1)), m.Target}
	}
	return []string{m.Source, show(m.SizeKB), show(m.UsedKB), show(avail), pct, m.Target}
}

func dfTable(p *kernel.Proc, rows [][]string, o getopt.Opts) {
	w := make([]int, len(rows[0]))
	for _, r := range rows {
		for i, c := range r {
			w[i] = max(w[i], len(c))
		}
	}
	w[0] = max(w[0], 14)
	first := 1
	if o.Has("T") {
		first = 2
	}
	for i := first; i < len(w)-2; i++ {
		w[i] = max(w[i], 5)
	}
	for _, r := range rows {
		var line strings.Builder
		fmt.Fprintf(&line, "%-*s", w[0], r[0])
		for i := 1; i < len(r)-1; i++ {
			if i < first {
				fmt.Fprintf(&line, " %-*s", w[i], r[i])
				continue
			}
			fmt.Fprintf(&line, " %*s", w[i], r[i])
		}
		put(p, line.String()+" "+r[len(r)-1]+"\n")
	}
}
