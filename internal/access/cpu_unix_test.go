//go:build unix

package access

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"runtime/debug"
	"strings"
	"syscall"
	"testing"
	"time"
)

// cpuTime is what the process has used of processors so far.
func cpuTime(who int) time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(who, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// lineOf is the environment variable that makes the test a process that reads
// one log and tells what it cost.
const lineOf = "LAPWING_ACCESS_LOG"

// TestReadOne reads a log in a process of its own, for BenchmarkAuthlog.
func TestReadOne(t *testing.T) {
	file := os.Getenv(lineOf)
	if file == "" {
		t.Skip("for BenchmarkAuthlog")
	}
	debug.SetMemoryLimit(40 << 20)
	r := shipped(t, &accused{nets: map[netip.Prefix]map[string]bool{}, wide: map[string]bool{}})
	before := cpuTime(syscall.RUSAGE_SELF)
	n := feed(t, r, file)
	used := cpuTime(syscall.RUSAGE_SELF) - before
	fmt.Printf("lines=%d cpu=%d peak=%.1f\n", n, used.Microseconds(), peak())
}

// BenchmarkAuthlog reads a day of a million lines with all rules, in processes of
// their own, and holds lines per CPU-second against what is asked for.
func BenchmarkAuthlog(b *testing.B) {
	log, _ := authlog(b, 1_000_000)
	lines, cpu, most := 0, int64(0), 0.0
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestReadOne$", "-test.v")
		cmd.Env = append(os.Environ(), lineOf+"="+log, "GOMAXPROCS=1")
		out, err := cmd.CombinedOutput()
		i := strings.Index(string(out), "lines=")
		if err != nil || i < 0 {
			b.Fatalf("%v\n%s", err, out)
		}
		var n int
		var us int64
		var mb float64
		if _, err := fmt.Sscanf(string(out[i:]), "lines=%d cpu=%d peak=%f", &n, &us, &mb); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		lines, cpu, most = lines+n, cpu+us, max(most, mb)
	}
	rate := float64(lines) / (float64(cpu) / 1e6)
	b.ReportMetric(rate, "lines/cpu-s")
	b.ReportMetric(rate/500_000, "x-of-500k")
	b.ReportMetric(most, "MB-peak")
	b.ReportMetric(0, "ns/op")
}
