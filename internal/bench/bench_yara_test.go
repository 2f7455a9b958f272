package bench

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
)

const (
	yaraRuns   = 5
	yaraSample = 300 << 20 // bytes of /usr/bin and /usr/lib
)

// yaraRun is what one run of a program took: seconds of CPU, bytes of memory.
type yaraRun struct{ cpu, peak float64 }

func timed(b *testing.B, ok []int, name string, args ...string) yaraRun {
	b.Helper()
	c := exec.Command(name, args...)
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || !slices.Contains(ok, exit.ExitCode())) {
		b.Fatalf("%s: %v", name, err)
	}
	use, _ := c.ProcessState.SysUsage().(*syscall.Rusage)
	return yaraRun{
		cpu:  (c.ProcessState.UserTime() + c.ProcessState.SystemTime()).Seconds(),
		peak: float64(use.Maxrss) * 1024,
	}
}

// unpackTo writes the files of a .tar.gz of the shared data.
func unpackTo(b *testing.B, name, dir string) {
	b.Helper()
	f, err := os.Open(filepath.Join(sharedtest.Dir(b), "yara", name))
	if err != nil {
		b.Skip(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		b.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			b.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.Typeflag != tar.TypeReg {
			continue
		}
		text, err := io.ReadAll(r)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
		}
		if err == nil {
			err = os.WriteFile(path, text, 0o644)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// sample lists files of /usr/bin and /usr/lib, every n-th, up to yaraSample
// bytes; a name with white space is left out, for yara's list of files.
func sample(b *testing.B) (list []string, size int64) {
	b.Helper()
	for _, root := range []string{"/usr/bin", "/usr/lib"} {
		n := 0
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || strings.ContainsAny(path, " \t") {
				return nil //nolint:nilerr // what cannot be read is left out
			}
			info, err := d.Info()
			if n++; err == nil && (root == "/usr/bin" || n%6 == 0) && info.Size() > 1024 && size+info.Size() < yaraSample {
				list, size = append(list, path), size+info.Size()
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return list, size
}

// BenchmarkYARA scans with the 5,883 rules of signature-base, compiled on both
// sides beforehand: files of /usr/bin and /usr/lib, and 5,883 small files. It
// without looking inside archives (yara does not). It prints MB per CPU-second beside those of libyara (the yara on this machine),
// medians of five runs by turns, and the peak of memory.
func BenchmarkYARA(b *testing.B) {
	for _, need := range []string{"yara", "yarac"} {
		if _, err := exec.LookPath(need); err != nil {
			b.Skipf("no %s here: apt-get install yara", need)
		}
	}
	dir, lapwing := b.TempDir(), binary(b)
	unpackTo(b, "signature-base-rules.tar.gz", filepath.Join(dir, "rules"))
	unpackTo(b, "signature-base-synthetic.tar.gz", filepath.Join(dir, "small"))
	ours, theirs := filepath.Join(dir, "ours.yarc"), filepath.Join(dir, "theirs.yarc")
	b.Logf("compile: %.2f CPU-s", timed(b, nil, lapwing, "yara", "compile", "-o", ours, filepath.Join(dir, "rules")).cpu)
	args := []string{"-w"}
	for _, name := range []string{"filename", "filepath", "extension", "filetype", "owner"} {
		args = append(args, "-d", name+"=")
	}
	rules, err := filepath.Glob(filepath.Join(dir, "rules", "*", "*.yar*"))
	if err != nil {
		b.Fatal(err)
	}
	timed(b, nil, "yarac", append(append(args, rules...), theirs)...)
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		b.Fatal(err)
	}
	big, size := sample(b)
	names := filepath.Join(dir, "names")
	if err := os.WriteFile(names, []byte(strings.Join(big, "\n")+"\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	small := filepath.Join(dir, "small", "signature-base")
	for b.Loop() {
		compare(b, "usr", float64(size),
			func() yaraRun {
				return timed(b, []int{1, 2, 3}, lapwing, append([]string{"scan", "--no-unpack", "--quiet", "--workers", "1", "--rules", ours}, big...)...)
			},
			func() yaraRun { return timed(b, []int{1}, "yara", "-w", "-p", "1", "-C", theirs, "--scan-list", names) },
			yaraRun{}, yaraRun{})
		compare(b, "small", 1.68e6,
			func() yaraRun {
				return timed(b, []int{1, 2, 3}, lapwing, "scan", "--no-unpack", "--quiet", "--workers", "1", "--rules", ours, small)
			},
			func() yaraRun { return timed(b, nil, "yara", "-w", "-p", "1", "-C", theirs, "-r", small) },
			timed(b, nil, lapwing, "scan", "--no-unpack", "--quiet", "--rules", ours, empty), timed(b, nil, "yara", "-w", "-C", theirs, "-r", empty))
	}
}

// compare runs two programs by turns; what loading takes is left out.
func compare(b *testing.B, name string, size float64, ours, theirs func() yaraRun, oursLoad, theirsLoad yaraRun) {
	b.Helper()
	var a, c, peak []float64
	for range yaraRuns {
		x, y := ours(), theirs()
		a, c, peak = append(a, x.cpu-oursLoad.cpu), append(c, y.cpu-theirsLoad.cpu), append(peak, x.peak)
	}
	b.ReportMetric(size/1e6/median(a), name+"-MB/CPU-s")
	b.ReportMetric(size/1e6/median(c), name+"-libyara-MB/CPU-s")
	b.ReportMetric(median(c)/median(a), name+"-times-libyara")
	b.ReportMetric(median(peak)/1e6, name+"-peak-MB")
	if oursLoad.cpu > 0 {
		b.ReportMetric(oursLoad.cpu, "load-CPU-s")
	}
}
