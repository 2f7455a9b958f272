package scan

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// The limits of looking at processes.
const (
	maxRegion    = 64 << 20  // bytes of one region of memory
	maxProcess   = 512 << 20 // bytes of one process
	maxMapsLines = 65_536
)

// Processes scans the programs of the processes that run, each once, also those
// that were deleted, and, with the memory scanners, what the processes have in
// memory: each region that can be read, at most 64 MiB of it and 512 MiB of one
// process; offsets count from the beginning of the region. Code and data that
// processes share unchanged are looked at once. This process is left out, as
// its memory holds the rules. What cannot be read is reported with the reason.
func (t *Tree) Processes(ctx context.Context, memory []Scanner, report func(Report)) error {
	list, err := os.ReadDir("/proc")
	if err != nil {
		return fmt.Errorf("list the processes: %w", err)
	}
	p := processes{t: t, memory: &Tree{Scanners: memory}, report: report, seen: map[string]bool{}}
	for _, e := range list {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != os.Getpid() {
			p.process(ctx, pid)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

type processes struct {
	t, memory *Tree
	report    func(Report)
	seen      map[string]bool // files and shared regions that were looked at
}

var (
	errRights = errors.New("the process cannot be looked at: run as root")
	errRegion = fmt.Errorf("only the first %d bytes of this region were looked at", maxRegion)
	errProc   = fmt.Errorf("only %d bytes of the process were looked at", maxProcess)
)

func (p *processes) process(ctx context.Context, pid int) {
	dir := "/proc/" + strconv.Itoa(pid)
	exe, err := os.Readlink(dir + "/exe")
	name := fmt.Sprintf("process %d (%s)", pid, exe)
	switch {
	case errors.Is(err, fs.ErrPermission):
		p.report(Report{File: fmt.Sprintf("process %d", pid), Err: errRights})
		return
	case err != nil:
		return // it has ended, or is a part of the kernel, which has no program
	}
	p.program(ctx, dir+"/exe", name)
	if len(p.memory.Scanners) == 0 || ctx.Err() != nil {
		return
	}
	err = p.maps(ctx, dir, name)
	switch {
	case errors.Is(err, fs.ErrPermission):
		p.report(Report{File: name, Err: errRights})
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH): // it has ended
	case err != nil:
		p.report(Report{File: name, Err: err})
	}
}

// program scans the file that a process runs, once.
func (p *processes) program(ctx context.Context, path, name string) {
	info, err := os.Stat(path) // follows the link, to a deleted file, too
	if err != nil {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		key := fmt.Sprintf("%d/%d", st.Dev, st.Ino)
		if p.seen[key] {
			return
		}
		p.seen[key] = true
	}
	r := p.t.file(ctx, place{path: path})
	r.File = name
	p.report(r)
}

// region is one entry of /proc/PID/maps (proc_pid_maps(5)).
type region struct {
	from, to uint64
	shared   string // what to know it by in other processes; empty for memory of its own
	label    string
}

// parseRegion reads a line; ok is false for what is not to be looked at.
func parseRegion(line string) (r region, ok bool) {
	f := strings.Fields(line)
	if len(f) < 5 || len(f[1]) != 4 || f[1][0] != 'r' {
		return r, false
	}
	from, to, ok := strings.Cut(f[0], "-")
	var err1, err2 error
	r.from, err1 = strconv.ParseUint(from, 16, 64)
	r.to, err2 = strconv.ParseUint(to, 16, 64)
	if !ok || err1 != nil || err2 != nil || r.to <= r.from || r.to-r.from > 1<<47 {
		return r, false
	}
	if len(f) > 5 {
		r.label = strings.Join(f[5:], " ")
	}
	// The clock pages of the kernel; devices, where reading may act.
	if strings.HasPrefix(r.label, "[vvar") || r.label == "[vsyscall]" || (strings.HasPrefix(r.label, "/dev/") && !strings.HasPrefix(r.label, "/dev/shm/") && !strings.HasPrefix(r.label, "/dev/zero")) {
		return r, false
	}
	if f[1][1] != 'w' && f[4] != "0" {
		r.shared = f[3] + "/" + f[4] + "/" + f[2] + "/" + strconv.FormatUint(r.to-r.from, 16)
	}
	return r, true
}

// maps scans the memory of a process.
func (p *processes) maps(ctx context.Context, dir, name string) error {
	maps, err := os.Open(dir + "/maps")
	if err != nil {
		return err
	}
	defer maps.Close() //nolint:errcheck // only read
	mem, err := os.Open(dir + "/mem")
	if err != nil {
		return err
	}
	defer mem.Close() //nolint:errcheck // only read
	total := uint64(0)
	sc := bufio.NewScanner(maps)
	for n := 0; sc.Scan() && n < maxMapsLines && ctx.Err() == nil; n++ {
		r, ok := parseRegion(sc.Text())
		if !ok || (r.shared != "" && p.seen[r.shared]) {
			continue
		}
		size := min(r.to-r.from, maxRegion)
		if total += size; total > maxProcess {
			return errProc
		}
		if r.shared != "" {
			p.seen[r.shared] = true
		}
		rep := p.region(ctx, mem, r, size)
		rep.File = strings.TrimSpace(fmt.Sprintf("%s memory %x-%x %s", name, r.from, r.to, r.label))
		p.report(rep)
	}
	return sc.Err()
}

func (p *processes) region(ctx context.Context, mem *os.File, r region, size uint64) Report {
	rep := Report{Size: int64(size)}
	in := &regionReader{io.NewSectionReader(mem, int64(r.from), int64(size))}
	for _, s := range p.memory.Scanners {
		found, err := s.Scan(ctx, in, rep.Size)
		rep.Findings = append(rep.Findings, found...)
		if err != nil && rep.Err == nil {
			rep.Err = err
		}
	}
	if rep.Err == nil && size < r.to-r.from {
		rep.Err = errRegion
	}
	return rep
}

// regionReader reads memory; pages that are not there (guard pages, pages of a
// file that was cut, memory that was given back) read as zeros.
type regionReader struct{ mem *io.SectionReader }

const page = 4096

// ReadAt implements io.ReaderAt.
func (r *regionReader) ReadAt(b []byte, off int64) (int, error) {
	n, err := r.mem.ReadAt(b, off)
	for err != nil && !errors.Is(err, io.EOF) && n < len(b) {
		hole := min(len(b)-n, page-int((off+int64(n))%page))
		clear(b[n : n+hole])
		n += hole
		var more int
		if n == len(b) {
			return n, nil
		}
		more, err = r.mem.ReadAt(b[n:], off+int64(n))
		n += more
	}
	if n < len(b) && off+int64(n) < r.mem.Size() { // the process has ended
		clear(b[n:])
		return len(b), nil
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
