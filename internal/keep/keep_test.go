package keep

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
	"github.com/lapwing-defence/lapwing/internal/journal"
)

// fakeLog is an event log that forgets and fails as the real one does: what
// no checkpoint covers may be lost, holes included, when it ends, an Insert
// that fails may have stored a part, and everything may be stored twice.
type fakeLog struct {
	mu      sync.Mutex
	r       *rand.Rand
	rows    []fakeRow
	away    bool
	faults  bool
	refuses string // lines that hold it are taken and not stored
}

type fakeRow struct {
	id, mark string
	line     []byte
	durable  bool
}

func (f *fakeLog) fails() bool { return f.faults && f.r.IntN(6) == 0 }

func (f *fakeLog) Insert(_ context.Context, mark string, b *eventlog.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away {
		return eventlog.ErrAway
	}
	n, stop := 0, b.Len()
	fail := f.fails()
	if fail {
		stop = f.r.IntN(b.Len() + 1)
	}
	b.Each(func(line []byte) error {
		if n++; n > stop || f.refuses != "" && strings.Contains(string(line), f.refuses) {
			return nil
		}
		e, err := event.Decode(line)
		f.rows = append(f.rows, fakeRow{id: e.ID, mark: mark, line: slices.Clone(line)})
		return err
	})
	if fail {
		return fmt.Errorf("%w: broken", eventlog.ErrAway)
	}
	return nil
}

func (f *fakeLog) Missing(_ context.Context, b *eventlog.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away || f.fails() {
		return eventlog.ErrAway
	}
	have := map[string]bool{}
	for _, r := range f.rows {
		have[r.id] = true
	}
	b.Filter(func(id string) bool { return !have[id] })
	return nil
}

func (f *fakeLog) Checkpoint(_ context.Context, s eventlog.Stretch) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.away || f.fails():
		return 0, eventlog.ErrAway
	case f.faults && f.r.IntN(4) == 0:
		return 0, eventlog.ErrNotYet
	}
	var n int64
	for i := range f.rows {
		f.rows[i].durable = true
		if f.rows[i].mark == s.Mark {
			n++
		}
	}
	return n, nil
}

// crash loses some of what no checkpoint covers.
func (f *fakeLog) crash() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rows = slices.DeleteFunc(f.rows, func(r fakeRow) bool { return !r.durable && f.r.IntN(2) == 0 })
}

func (f *fakeLog) Read(_ context.Context, q eventlog.Query, fn func([]byte) error) error {
	f.mu.Lock()
	rows, away := slices.Clone(f.rows), f.away
	f.mu.Unlock()
	if away {
		return eventlog.ErrAway
	}
	m := eventlog.NewMatcher(q)
	rows = slices.DeleteFunc(rows, func(r fakeRow) bool { _, ok := m.Match(r.line, ""); return !ok })
	if q.Last > 0 && len(rows) > q.Last {
		rows = rows[len(rows)-q.Last:]
	}
	for _, r := range rows {
		if err := fn(r.line); err != nil {
			return err
		}
	}
	return nil
}

func (f *fakeLog) Count(context.Context, eventlog.Query) (int64, error) { return 0, nil }

func (f *fakeLog) Tail(context.Context, eventlog.Query, func([]byte) error) error { return nil }

func (f *fakeLog) Raw(_ context.Context, q string, _ eventlog.Range, fn func([]byte) error) error {
	return fn([]byte(fmt.Sprintf(`{"query":%q,"rows":"%d"}`, q, len(f.rows))))
}

func (f *fakeLog) counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]int{}
	for _, r := range f.rows {
		out[r.id]++
	}
	return out
}

// memory is a State.
type memory struct {
	mu sync.Mutex
	p  journal.Position
}

func (m *memory) Load() (journal.Position, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.p, nil
}

func (m *memory) Save(p journal.Position) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.p = p
	return nil
}

// site is a journal with a log behind it.
type site struct {
	t     *testing.T
	dir   string
	log   *fakeLog
	state *memory
	ids   *event.IDs
	want  []string
	aside []string

	spool  *journal.Spool
	keeper *Keeper
	stop   func()
}

func newSite(t *testing.T) *site {
	t.Helper()
	return &site{t: t, dir: t.TempDir(), log: &fakeLog{r: rand.New(rand.NewPCG(1, 2))}, state: &memory{}, ids: event.NewIDs(nil, time.Now)}
}

func (s *site) open() {
	s.t.Helper()
	var err error
	after, _ := s.state.Load()
	if s.spool, err = journal.Open(journal.Config{Dir: s.dir, SegmentSize: 8192, After: after}); err != nil {
		s.t.Fatal(err)
	}
	s.keeper, err = New(Config{
		Journal: s.spool, Holds: journal.NewHolds(s.spool.Release), Log: s.log, State: s.state, Every: 20 * time.Millisecond, Retention: 30 * 24 * time.Hour,
		Refuse: func(line []byte) error { s.aside = append(s.aside, string(line)); return nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) run() {
	s.t.Helper()
	s.open()
	ctx, cancel := context.WithCancel(s.t.Context())
	done := make(chan error, 1)
	go func() { done <- s.keeper.Run(ctx) }()
	s.stop = func() {
		cancel()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
		s.spool.Close()
	}
}

func (s *site) add(fn func(*event.Event)) {
	s.t.Helper()
	e := event.Event{ID: s.ids.New(), Time: time.Now(), Ingested: time.Now(), CommandLine: "id", Observer: "here"}
	fn(&e)
	if _, err := s.spool.Append(s.t.Context(), event.DepthAct, append(e.AppendJSON(nil), '\n')); err != nil {
		s.t.Fatal(err)
	}
	s.want = append(s.want, e.ID)
}

func (s *site) settle() {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	if err := s.keeper.Settle(ctx); err != nil {
		s.t.Fatalf("%v; %+v", err, s.keeper.Stats())
	}
}

// once holds that the log has every event one time.
func (s *site) once() {
	s.t.Helper()
	got := s.log.counts()
	for _, id := range s.want {
		if got[id] != 1 {
			s.t.Errorf("event %s is %d times in the log", id, got[id])
		}
	}
	if len(got) != len(s.want) {
		s.t.Errorf("%d events in the log, want %d", len(got), len(s.want))
	}
}

func TestEachEventOnceWhateverHappens(t *testing.T) {
	s := newSite(t)
	s.log.faults = true
	plan := rand.New(rand.NewPCG(3, 4))
	for range 25 {
		s.run()
		for range plan.IntN(40) {
			s.add(func(*event.Event) {})
			if plan.IntN(10) == 0 {
				time.Sleep(time.Duration(plan.IntN(30)) * time.Millisecond)
			}
			if plan.IntN(15) == 0 {
				s.log.crash()
				s.log.mu.Lock()
				s.log.away = plan.IntN(2) == 0
				s.log.mu.Unlock()
			}
		}
		s.log.mu.Lock()
		s.log.away = false
		s.log.mu.Unlock()
		s.stop()
		s.log.crash() // both end
	}
	s.log.faults = false
	s.run()
	defer s.stop()
	s.add(func(*event.Event) {})
	s.settle()
	if st := s.keeper.Stats(); st.Kept != s.spool.End() || st.Trouble != "" {
		t.Errorf("%+v", st)
	}
	// A crash while nothing is inserted is noticed at the next checkpoint at
	// the latest; the settled log has lost nothing.
	s.log.crash()
	s.once()
	if n := s.spool.Stats().Segments; n > 2 {
		t.Errorf("%d segments of a journal that is empty", n)
	}
}

func TestWhatTheLogNeverStores(t *testing.T) {
	s := newSite(t)
	s.log.refuses = "poison"
	s.run()
	defer s.stop()
	s.add(func(*event.Event) {})
	s.add(func(e *event.Event) { e.CommandLine = "poison" })
	s.add(func(*event.Event) {})
	if _, err := s.spool.Append(t.Context(), event.DepthAct, []byte("no event\n")); err != nil {
		t.Fatal(err)
	}
	s.settle()
	slices.Sort(s.aside) // what is no event is put aside each time it is read
	if s.aside = slices.Compact(s.aside); len(s.aside) != 2 || !strings.Contains(s.aside[0]+s.aside[1], "poison") || !strings.Contains(s.aside[0]+s.aside[1], "no event") {
		t.Errorf("put aside: %q", s.aside)
	}
	s.want = slices.Delete(s.want, 1, 2)
	s.once()
	if st := s.keeper.Stats(); st.Refused < 2 {
		t.Errorf("%+v", st)
	}
}

func TestOlderThanTheLogKeeps(t *testing.T) {
	s := newSite(t)
	s.run()
	defer s.stop()
	s.add(func(e *event.Event) { e.Time = time.Now().AddDate(0, -2, 0); e.Ingested = e.Time })
	s.add(func(*event.Event) {})
	s.settle()
	s.want = s.want[1:]
	s.once()
	if st := s.keeper.Stats(); st.Expired != 1 {
		t.Errorf("%+v", st)
	}
}

func (s *site) read(q Query) (ids []string, err error) {
	s.t.Helper()
	a := NewArchive(s.keeper)
	a.patience = 100 * time.Millisecond
	err = a.Read(s.t.Context(), q, func(line []byte) error {
		e, err := event.Decode(line)
		ids = append(ids, e.ID)
		return err
	})
	return ids, err
}

func where(t *testing.T, q string) eventlog.Expr {
	t.Helper()
	e, _, err := eventlog.Parse(q)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestArchive(t *testing.T) {
	s := newSite(t)
	s.run()
	for i := range 50 {
		s.add(func(e *event.Event) { e.User = []string{"root", "admin"}[i%2] })
	}
	s.settle()
	for i := range 30 { // some of these get into the log, none surely
		s.add(func(e *event.Event) { e.User = []string{"root", "admin"}[i%2] })
	}
	s.stop()
	s.open() // not running: what is in doubt stays so
	defer func() { s.spool.Close() }()
	odd := func(l []string) (out []string) {
		for i := 1; i < len(l); i += 2 {
			out = append(out, l[i])
		}
		return out
	}
	for _, tt := range []struct {
		name string
		q    Query
		want []string
	}{
		{"all", Query{}, s.want},
		{"last of the rest", Query{Query: eventlog.Query{Last: 7}}, s.want[73:]},
		{"last of both", Query{Query: eventlog.Query{Last: 60}}, s.want[20:]},
		{"more than there are", Query{Query: eventlog.Query{Last: 600}}, s.want},
		{"a condition", Query{Query: eventlog.Query{Where: where(t, "user.name:=admin")}}, odd(s.want)},
		{"the last that hold", Query{Query: eventlog.Query{Where: where(t, "user.name:=admin"), Last: 20}}, odd(s.want)[20:]},
		{"a span", Query{Query: eventlog.Query{Range: eventlog.Range{From: time.Now().Add(time.Hour)}}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := s.read(tt.q)
			if err != nil || !slices.Equal(got, tt.want) {
				t.Errorf("%d events, %v; want %d", len(got), err, len(tt.want))
			}
		})
	}
	s.log.away = true
	got, err := s.read(Query{Query: eventlog.Query{Last: 3}})
	if err != nil || len(got) != 3 {
		t.Errorf("the newest, which the journal has: %d, %v", len(got), err)
	}
	got, err = s.read(Query{})
	var partial PartialError
	if !errors.As(err, &partial) || len(got) < 30 {
		t.Errorf("without the log: %d events, %v", len(got), err)
	}
}

func TestPipesAndFollow(t *testing.T) {
	s := newSite(t)
	s.run()
	defer s.stop()
	s.add(func(*event.Event) {})
	a := NewArchive(s.keeper)
	var row string
	if err := a.Read(t.Context(), Query{Pipes: "stats count() n"}, func(line []byte) error { row = string(line); return nil }); err != nil || row != `{"query":"* | stats count() n","rows":"1"}` {
		t.Errorf("%s, %v", row, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan string, 10)
	idle := make(chan bool, 10)
	done := make(chan error, 1)
	q := Query{Query: eventlog.Query{Where: where(t, "user.name:root")}, Follow: true, FromEnd: true, Idle: func() error { idle <- true; return nil }}
	go func() {
		done <- a.Read(ctx, q, func(line []byte) error {
			e, err := event.Decode(line)
			seen <- e.ID
			return err
		})
	}()
	<-idle
	s.add(func(*event.Event) {})
	s.add(func(e *event.Event) { e.User = "root" })
	if got := <-seen; got != s.want[2] {
		t.Errorf("got %s, want %s", got, s.want[2])
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
