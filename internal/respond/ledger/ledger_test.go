package ledger_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/clock"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/respond/ledger"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv("LAPWING_LEDGER_VICTIM"); dir != "" {
		victim(dir)
	}
	os.Exit(m.Run())
}

type noHands struct{}

func (noHands) Apply([]action.Action)  {}
func (noHands) Revert([]action.Action) {}
func (noHands) Allow(action.AllowList) {}

func engine(dir string, total int) (*respond.Engine, *ledger.Ledger, error) {
	l, err := ledger.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	p := respond.DefaultPolicy()
	p.Default, p.PerMinute, p.Total = respond.Enforce, 1<<30, total
	p.Steps = []time.Duration{time.Hour}
	n := 0
	e, err := respond.New(respond.Config{
		Clock: clock.System(), Store: l, Hands: noHands{}, Policy: p,
		NewID: func() string { n++; return fmt.Sprintf("%08d-%027d", os.Getpid(), n) },
	})
	return e, l, err
}

func source(n int) netip.Addr {
	return netip.AddrFrom4([4]byte{11, byte(n >> 16), byte(n >> 8), byte(n)})
}

// victim decides until it is killed, and prints what was acknowledged: + for a
// block, - for one that was lifted.
func victim(dir string) {
	e, _, err := engine(dir, 1<<20)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	out := bufio.NewWriter(os.Stdout)
	for n := os.Getpid() % 65536 * 256; ; n++ {
		o := e.Consider(alert.Alert{Source: source(n), Events: []string{fmt.Sprint(os.Getpid(), n)}}, time.Time{})
		text := "+" + o.Decision
		if n%7 == 0 {
			d, err := e.Undo(o.Decision, "ann", "")
			if err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			text = "-" + d.ID
		}
		if n%50 == 0 { // a snapshot
			e.Forget(netip.MustParsePrefix("198.51.100.0/24"))
		}
		if e.Sync() == nil && o.Decision != "" {
			fmt.Fprintln(out, text)
			out.Flush()
		}
	}
}

// TestKill: whatever was acknowledged before a kill -9 is there after it.
func TestKill(t *testing.T) {
	kills := 5
	if os.Getenv("LAPWING_SOAK") != "" {
		kills = 100
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	acked := map[string]bool{}
	for round := range kills {
		cmd := exec.CommandContext(t.Context(), exe)
		cmd.Env = append(os.Environ(), "LAPWING_LEDGER_VICTIM="+dir)
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(out)
		for n := 0; sc.Scan(); n++ {
			if n == 60+13*round {
				cmd.Process.Kill()
			}
			acked[sc.Text()[1:]] = sc.Text()[0] == '+'
		}
		cmd.Wait()
		e, l, err := engine(dir, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if n := l.Damaged(); n != 0 {
			t.Errorf("%d damaged lines", n)
		}
		have := map[string]respond.State{}
		for _, d := range e.List(respond.Query{Ended: true}) {
			have[d.ID] = d.State
		}
		for id, stands := range acked {
			if got := have[id]; stands && got != respond.Standing || !stands && got != respond.Undone {
				t.Fatalf("round %d: %s was acknowledged (standing %v) and is %q", round, id, stands, got)
			}
		}
		l.Close()
	}
	if len(acked) < 60*kills {
		t.Errorf("only %d decisions were acknowledged", len(acked))
	}
}

func rec(n int) *respond.Record {
	return &respond.Record{Login: &respond.Login{Prefix: respond.Unit(source(n)), User: "u", Days: n + 1}}
}

func read(t *testing.T, dir string) (days []int, l *ledger.Ledger) {
	t.Helper()
	l, err := ledger.Open(dir)
	if err == nil {
		err = l.Read(func(r *respond.Record) error { days = append(days, r.Login.Days); return nil })
	}
	if err != nil {
		t.Fatal(err)
	}
	return days, l
}

func fill(t *testing.T, dir string, n int) {
	t.Helper()
	_, l := read(t, dir)
	for i := range n {
		if err := l.Append(rec(i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Sync(); err != nil {
		t.Fatal(err)
	}
	l.Close()
}

func TestTornEnd(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 3)
	file := filepath.Join(dir, "decisions-00000001.log")
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	for cut := last; cut < len(whole); cut++ {
		os.WriteFile(file, whole[:cut], 0o600)
		days, l := read(t, dir)
		if !slices.Equal(days, []int{1, 2}) || l.Damaged() != 0 {
			t.Fatalf("cut at %d: %v, %d damaged", cut, days, l.Damaged())
		}
		if err := l.Append(rec(8)); err != nil {
			t.Fatal(err)
		}
		l.Close()
		if days, l := read(t, dir); !slices.Equal(days, []int{1, 2, 9}) {
			t.Fatalf("cut at %d: %v after one more", cut, days)
		} else {
			l.Close()
		}
	}
}

func TestDamagedLineIsPassedOver(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 3)
	file := filepath.Join(dir, "decisions-00000001.log")
	data, _ := os.ReadFile(file)
	data[bytes.IndexByte(data, '\n')+15] ^= 1
	os.WriteFile(file, data, 0o600)
	days, l := read(t, dir)
	if !slices.Equal(days, []int{1, 3}) || l.Damaged() != 1 {
		t.Errorf("%v, %d damaged", days, l.Damaged())
	}
}

// TestCut ends at each step of a replacement and looks what is there.
func TestCut(t *testing.T) {
	dir := t.TempDir()
	fill(t, dir, 3)
	_, l := read(t, dir)
	replace, err := l.Cut()
	if err != nil {
		t.Fatal(err)
	}
	l.Append(rec(6))
	if days, _ := read(t, dir); !slices.Equal(days, []int{1, 2, 3, 7}) {
		t.Errorf("before it is replaced: %v", days)
	}
	if err := replace(slices.Values([]*respond.Record{rec(10), rec(11)})); err != nil {
		t.Fatal(err)
	}
	l.Append(rec(7))
	if n := l.Len(); n != 4 {
		t.Errorf("%d records", n)
	}
	if days, _ := read(t, dir); !slices.Equal(days, []int{11, 12, 7, 8}) {
		t.Errorf("%v", days)
	}
	list, _ := os.ReadDir(dir)
	if len(list) != 2 {
		t.Errorf("%v", list)
	}
	snap := filepath.Join(dir, "decisions-00000002.snap")
	data, _ := os.ReadFile(snap)
	os.WriteFile(snap, data[:len(data)-3], 0o600)
	l2, _ := ledger.Open(dir)
	if err := l2.Read(func(*respond.Record) error { return nil }); err == nil || !strings.Contains(err.Error(), "cut short") {
		t.Errorf("a snapshot without its end: %v", err)
	}
}

// TestHundredThousand: a ledger of 100,000 blocks is read, and written anew.
func TestHundredThousand(t *testing.T) {
	n := 20_000
	if os.Getenv("LAPWING_SOAK") != "" {
		n = 100_000
	}
	dir := t.TempDir()
	e, l, err := engine(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		e.Consider(alert.Alert{Source: source(i), Events: []string{fmt.Sprintf("0190aaaa-0000-7000-8000-%012d", i)}, Title: "203.0.113.7 guessed at passwords 17 times within 4m2s", Rule: alert.Rule{ID: "5f1c7a1e-0000-4000-8000-000000000001", Name: "SSH password guessing"}}, time.Time{})
	}
	if err := e.Sync(); err != nil {
		t.Fatal(err)
	}
	l.Close()
	began := time.Now()
	e, l, err = engine(dir, n)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	if got := len(e.Standing()); got != n {
		t.Errorf("%d of %d stand", got, n)
	}
	t.Logf("%d decisions read in %s", n, took)
	began = time.Now()
	e.Forget(netip.MustParsePrefix("198.51.100.0/24"))
	t.Logf("written anew in %s", time.Since(began))
	l.Close()
	if e, _, err = engine(dir, n); err != nil || len(e.Standing()) != n {
		t.Errorf("%v", err)
	}
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	l, err := ledger.Open(dir)
	if err != nil {
		f.Fatal(err)
	}
	l.Read(func(*respond.Record) error { return nil })
	l.Append(rec(1), rec(2))
	data, _ := os.ReadFile(filepath.Join(dir, "decisions-00000001.log"))
	f.Add(data)
	f.Add(data[:len(data)-5])
	f.Add([]byte("00000000 {}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "decisions-00000001.log"), data, 0o600)
		n := 0
		l, err := ledger.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Read(func(*respond.Record) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := l.Append(rec(3)); err != nil { // whatever was there, one can go on
			t.Fatal(err)
		}
		l.Close()
		m := 0
		l, _ = ledger.Open(dir)
		if err := l.Read(func(*respond.Record) error { m++; return nil }); err != nil || m != n+1 {
			t.Fatalf("%d records, %v; %d before", m, err, n)
		}
	})
}
