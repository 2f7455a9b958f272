// Package eventlogtest is the suite that every event log must pass: the
// embedded one and an external VictoriaLogs alike.
package eventlogtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/eventlog"
)

// Run holds the event log at c against what package eventlog promises. The
// log may hold other events; the suite marks its own by observer.name.
func Run(t *testing.T, c *eventlog.Client) {
	t.Helper()
	for _, tt := range []struct {
		name string
		fn   func(*testing.T, *site)
	}{
		{"what goes in comes out", roundTrip},
		{"order and pages", order},
		{"the newest", newest},
		{"queries agree with Match", queries},
		{"clocks that are wrong", clocks},
		{"missing and once", missing},
		{"checkpoint counts", checkpoint},
		{"forget", forget},
		{"bad queries", badQueries},
		{"tail", tail},
	} {
		t.Run(tt.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			name := fmt.Sprintf("suite-%x", rand.Uint64())
			tt.fn(t, &site{ctx: ctx, c: c, name: name, ids: event.NewIDs(nil, time.Now), where: eventlog.Is("observer.name", name)})
		})
	}
}

// site is one test's part of the log.
type site struct {
	ctx   context.Context //nolint:containedctx // of one test
	c     *eventlog.Client
	name  string
	ids   *event.IDs
	where eventlog.Expr
	n     int
}

func (s *site) event(at time.Time) event.Event {
	e := event.Event{ID: s.ids.New(), Time: at, Ingested: time.Now().Truncate(time.Millisecond), Observer: s.name}
	e.Describe(event.ActionCommandExecuted)
	return e
}

func (s *site) put(t *testing.T, events ...event.Event) string {
	t.Helper()
	var b eventlog.Batch
	for i := range events {
		if err := b.Add(events[i].AppendJSON(nil), "-"); err != nil {
			t.Fatal(err)
		}
	}
	s.n++
	mark := fmt.Sprintf("%s-%d", s.name, s.n)
	if err := s.c.Insert(s.ctx, mark, &b); err != nil {
		t.Fatal(err)
	}
	s.checkpoint(t, mark, b.Range(), int64(b.Len()))
	return mark
}

func (s *site) checkpoint(t *testing.T, mark string, r eventlog.Range, want int64) {
	t.Helper()
	st := eventlog.Stretch{Mark: mark, Span: r, Until: time.Now()}
	for {
		n, err := s.c.Checkpoint(s.ctx, st)
		if errors.Is(err, eventlog.ErrNotYet) {
			select {
			case <-s.ctx.Done():
				t.Fatal(err)
			case <-time.After(200 * time.Millisecond):
			}
			continue
		}
		if err != nil || n != want {
			t.Fatalf("the checkpoint counts %d rows, %v; want %d", n, err, want)
		}
		return
	}
}

func (s *site) read(t *testing.T, q eventlog.Query) []event.Event {
	t.Helper()
	q.Where = eventlog.All(s.where, q.Where)
	var out []event.Event
	if err := s.c.Read(s.ctx, q, func(line []byte) error {
		e, err := event.Decode(line)
		out = append(out, e)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return out
}

func roundTrip(t *testing.T, s *site) {
	t.Helper()
	now := time.Now().UTC()
	full := s.event(now)
	full.Outcome, full.Dataset, full.Reason = "success", "decoy.sshd", "a\x01b\"\\\n\u2028é"
	full.Source = netip.MustParseAddrPort("[2001:db8::7]:51234")
	full.Destination = netip.MustParseAddrPort("192.0.2.1:22")
	full.Transport, full.Protocol, full.User = "tcp", "ssh", "root"
	full.Host, full.Decoy, full.Persona, full.Connection, full.Session = "files", "ssh", "p", s.ids.New(), s.ids.New()
	full.Depth, full.LogType, full.CommandLine, full.ExitCode, full.HasExit = event.DepthAct, 4002, `echo "a b" | sh; {"x":1}`, -1, true
	full.Path, full.Size, full.SHA256, full.URL = "/tmp/x", 1<<40, strings.Repeat("ab", 32), "http://192.0.2.9/a?b=c"
	full.Extra = []event.Field{
		{Name: "lapwing.ssh.hassh", Value: event.String("0123")},
		{Name: "event.duration", Value: event.Int(-5)},
		{Name: "process.args", Value: event.List("a", `b"c`, "")},
		{Name: "event.risk_score", Value: event.Float(1.5)},
		{Name: "lapwing.other", Value: event.String("not ours")},
		{Name: "lapwing.unknown", Value: event.Bool(true)},
		{Name: "lapwing.un\"known", Value: event.List("x")},
		{Name: strings.Repeat("n", 500), Value: event.String("long name")},
		{Name: "user.name", Value: event.Int(7)},
		{Name: "message", Value: event.String("")},
		{Name: "source.port", Value: event.String("eighty")},
		{Name: "_stream", Value: event.String("x")},
		{Name: "_msg", Value: event.String("y")},
	}
	big := s.event(now.Add(time.Nanosecond))
	big.CommandLine = strings.Repeat("0123456789abcde\n", 55<<10)
	many := s.event(now.Add(2))
	for i := range 480 {
		many.AddInt(fmt.Sprintf("x.%d", i), int64(i))
	}
	want := []event.Event{full, big, many}
	s.put(t, want...)
	got := s.read(t, eventlog.Query{})
	for _, l := range [][]event.Event{want, got} {
		for i := range l {
			slices.SortFunc(l[i].Extra, func(a, b event.Field) int { return strings.Compare(a.Name, b.Name) })
		}
	}
	if d := cmp.Diff(decoded(want), decoded(got)); d != "" {
		t.Errorf("written and read differ:\n%.4000s", d)
	}
}

// decoded are the lines of events, for messages that can be read.
func decoded(l []event.Event) []string {
	var out []string
	for i := range l {
		out = append(out, string(l[i].AppendJSON(nil)))
	}
	return out
}

func order(t *testing.T, s *site) {
	t.Helper()
	now := time.Now()
	var want []string
	var all []event.Event
	for i := range 45_000 {
		e := s.event(now.Add(time.Duration(i/3) * time.Microsecond))
		if i < 10 {
			e.Time = now.Add(-20 * time.Hour).Add(time.Duration(i) * time.Minute)
		}
		if i > 20_000 && i < 43_000 { // more than a page at one moment
			e.Time = now.Add(time.Hour)
		}
		if i >= 44_990 {
			e.Time = now.Add(2*time.Hour + time.Duration(i))
		}
		all = append(all, e)
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	s.put(t, all...)
	slices.SortFunc(all, func(a, b event.Event) int {
		if c := a.Time.Compare(b.Time); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	for _, e := range all {
		want = append(want, e.ID)
	}
	check := func(what string, q eventlog.Query, want []string) {
		t.Helper()
		var got []string
		for _, e := range s.read(t, q) {
			got = append(got, e.ID)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d events in an order that is not theirs, want %d", what, len(got), len(want))
		}
	}
	check("all", eventlog.Query{}, want)
	check("a span", eventlog.Query{Range: eventlog.Range{From: now.Add(-time.Minute), To: now.Add(time.Minute)}}, want[10:len(want)-22_999-10])
	check("last 3", eventlog.Query{Last: 3}, want[len(want)-3:])
	check("last of a span", eventlog.Query{Last: 4, Range: eventlog.Range{To: now.Add(-10 * time.Hour)}}, want[6:10])
	q := eventlog.Query{Where: s.where, Range: eventlog.Range{To: now.Add(-10 * time.Hour)}}
	if n, err := s.c.Count(s.ctx, q); n != 10 || err != nil {
		t.Errorf("count: %d, %v; want 10", n, err)
	}
}

func newest(t *testing.T, s *site) {
	t.Helper()
	now := time.Now()
	old := s.event(now.Add(-23 * time.Hour))
	s.put(t, old)
	if got := s.read(t, eventlog.Query{Last: 2}); len(got) != 1 || got[0].ID != old.ID {
		t.Errorf("got %v", decoded(got))
	}
	recent := s.event(now)
	s.put(t, recent)
	if got := s.read(t, eventlog.Query{Last: 1}); len(got) != 1 || got[0].ID != recent.ID {
		t.Errorf("got %v", decoded(got))
	}
	if got := s.read(t, eventlog.Query{Last: 1, Where: eventlog.Is("user.name", "nobody")}); len(got) != 0 {
		t.Errorf("got %v", decoded(got))
	}
}

// zoo are events that queries tell apart.
func zoo(s *site) []event.Event {
	now := time.Now()
	of := func(fn func(*event.Event)) event.Event {
		e := s.event(now)
		fn(&e)
		return e
	}
	return []event.Event{
		of(func(e *event.Event) {
			e.CommandLine = "wget http://203.0.113.5/x.sh"
			e.Source = netip.MustParseAddrPort("192.0.2.1:22")
		}),
		of(func(e *event.Event) {
			e.CommandLine = "WGET -q x_y"
			e.Source = netip.MustParseAddrPort("192.0.2.10:2222")
		}),
		of(func(e *event.Event) { e.CommandLine = "cat wgetrc"; e.User = "root" }),
		of(func(e *event.Event) { e.CommandLine = `a "quoted" \ text` + "\nsecond line"; e.User = "röot" }),
		of(func(e *event.Event) {
			e.Describe(event.ActionLogin)
			e.Outcome, e.User = "failure", "admin"
			e.Source = netip.MustParseAddrPort("[2001:db8::1]:1")
		}),
		of(func(e *event.Event) {
			e.Path, e.Size = "/tmp/a", 100
			e.Extra = []event.Field{{Name: "lapwing.odd", Value: event.String("wget")}}
		}),
		of(func(e *event.Event) {
			e.Path, e.Size = "/tmp/b.sh", 2000
			e.HasExit = true
			e.AddInt("event.duration", -3)
		}),
		of(func(e *event.Event) { e.Extra = []event.Field{{Name: "tags", Value: event.List("red", "green tea")}} }),
		of(func(*event.Event) {}),
	}
}

// question is a query and how many of the zoo it finds.
type question struct {
	query string
	want  int // -1: whatever both say
}

func questions() []question {
	return []question{
		{"", 9},
		{"*", 9},
		{"wget", 2},
		{"process.command_line:wget", 1},
		{"process.command_line:wget*", 2},
		{"process.command_line:*get*", 2},
		{"i(wget)", 3},
		{"process.command_line:i(WGE*)", 3},
		{"wget or root", 3},
		{"wget and not http", 1},
		{"!wget", 7},
		{"not (wget or login)", 6},
		{"user.name:*", 3},
		{`user.name:""`, 6},
		{"user.name:=root", 1},
		{"user.name:!=root", 8},
		{"user.name:in(root, admin)", 2},
		{"user.name:(root or admin)", 2},
		{"user.name:röot", 1},
		{"user.name:t", 0},
		{"source.ip:192.0.2.1", 1},
		{"source.ip:192.0.2.0/24", 2},
		{"source.ip:2001:db8::/32", 1},
		{`source.ip:"::/64"`, 0}, // IPv4 is not in it
		{`source.ip:"::/0"`, 1},
		{`source.ip:ipv6_range("::/64")`, 2}, // but is to the log's own function
		{`source.ip:"2001:0db8:0::1"`, 1},
		{"source.port:>=22 source.port:<2222", 1},
		{"source.port:22", 1},
		{"file.size:>100", 1},
		{"event.duration:<0", 1},
		{"process.exit_code:0", 1},
		{`process.command_line:~"^(cat|WGET) "`, 2},
		{`process.command_line:~"text.second"`, 1},
		{`process.command_line:="a \"quoted\" \\ text\nsecond line"`, 1},
		{`process.command_line:="wget"*`, 1},
		{`"quoted\" \\ text"`, 1},
		{"x_y", 1},
		{"x", 1},
		{"tea", 1},
		{"tags:red", 1},
		{"event.action:login event.outcome:failure", 1},
		{"command-executed", 8},
		{"file.path:/tmp/a", 1},
		{"file.path:=/tmp/*", 2},
		{"file.path:*.sh", -1},
		{"event.type:start or event.type:end", 9},
		{"event.kind:event -event.action:login", 8},
	}
}

func queries(t *testing.T, s *site) {
	t.Helper()
	events := zoo(s)
	s.put(t, events...)
	for _, tt := range questions() {
		expr, pipes, err := eventlog.Parse(strings.ReplaceAll(tt.query, "file.path:*.sh", `file.path:*".sh"*`))
		if err != nil || pipes != "" {
			t.Errorf("%s: %v", tt.query, err)
			continue
		}
		stored := map[string]bool{}
		for _, e := range s.read(t, eventlog.Query{Where: expr}) {
			stored[e.ID] = true
		}
		m := eventlog.NewMatcher(eventlog.Query{Where: expr})
		for i := range events {
			line := events[i].AppendJSON(nil)
			if _, ok := m.Match(line, "-"); ok != stored[events[i].ID] {
				t.Errorf("%s: Match says %v, the store %v (%s) of %s", tt.query, ok, stored[events[i].ID], expr, line)
			}
		}
		if tt.want >= 0 && len(stored) != tt.want {
			t.Errorf("%s: %d events, want %d", tt.query, len(stored), tt.want)
		}
	}
}

func clocks(t *testing.T, s *site) {
	t.Helper()
	now := time.Now().UTC()
	var want []event.Event
	for _, at := range []time.Time{now.AddDate(-50, 0, 0), now.AddDate(0, 0, -40), now.AddDate(10, 0, 0), now.Add(23 * time.Hour), now.Add(-23 * time.Hour), {}} {
		want = append(want, s.event(at))
	}
	s.put(t, want...)
	got := map[string]event.Event{}
	for _, e := range s.read(t, eventlog.Query{}) {
		got[e.ID] = e
	}
	for _, e := range want {
		if e.Time.IsZero() {
			e.Time = e.Ingested // a time that is missing becomes that of arrival
		}
		if d := cmp.Diff(string(e.AppendJSON(nil)), string(func() []byte { g := got[e.ID]; return g.AppendJSON(nil) }())); d != "" {
			t.Error(d)
		}
	}
}

func missing(t *testing.T, s *site) {
	t.Helper()
	now := time.Now()
	var all, some eventlog.Batch
	for i := range 3000 {
		e := s.event(now.Add(time.Duration(i) * time.Millisecond))
		if i%500 == 0 {
			e.Time = now.Add(-20 * time.Hour)
		}
		if i == 7 {
			e.ID = `odd "id"`
		}
		line := e.AppendJSON(nil)
		err := errors.Join(all.Add(line, "-"), all.Add(line, "-")) // a copy
		if i%3 != 0 {
			err = errors.Join(err, some.Add(line, "-"))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if all.Len() != 3000 {
		t.Fatalf("a batch takes a copy: %d rows", all.Len())
	}
	m := s.name + "-x"
	if err := s.c.Insert(s.ctx, m, &some); err != nil {
		t.Fatal(err)
	}
	if err := s.c.Missing(s.ctx, &all); err != nil || all.Len() != 1000 {
		t.Fatalf("%d are missing, %v; want 1000", all.Len(), err)
	}
	if err := s.c.Insert(s.ctx, m, &all); err != nil {
		t.Fatal(err)
	}
	s.checkpoint(t, m, all.Range().Union(some.Range()), 3000)
	ids := map[string]int{}
	for _, e := range s.read(t, eventlog.Query{}) {
		ids[e.ID]++
	}
	if len(ids) != 3000 {
		t.Errorf("%d different events, want 3000", len(ids))
	}
	if n, err := s.c.Count(s.ctx, eventlog.Query{Where: s.where}); n != 3000 || err != nil {
		t.Errorf("%d rows, %v; want 3000", n, err)
	}
}

func checkpoint(t *testing.T, s *site) {
	t.Helper()
	mark := s.put(t, s.event(time.Now()), s.event(time.Now()))
	s.checkpoint(t, mark, eventlog.Range{}, 2)
	s.checkpoint(t, mark+"-other", eventlog.Range{}, 0)
}

func forget(t *testing.T, s *site) {
	t.Helper()
	a, b := s.event(time.Now()), s.event(time.Now())
	a.Source = netip.MustParseAddrPort("192.0.2.1:1")
	b.Source = netip.MustParseAddrPort("192.0.2.10:1")
	s.put(t, a, b)
	if err := s.c.Forget(s.ctx, eventlog.All(s.where, eventlog.Is("source.ip", "192.0.2.1"))); err != nil {
		t.Fatal(err)
	}
	if got := s.read(t, eventlog.Query{}); len(got) != 1 || got[0].ID != b.ID {
		t.Errorf("after forgetting: %v", decoded(got))
	}
	if err := s.c.Forget(s.ctx, eventlog.Expr{}); err == nil {
		t.Error("everything can be forgotten by mistake")
	}
}

func badQueries(t *testing.T, s *site) {
	t.Helper()
	err := s.c.Raw(s.ctx, "* | nonsense", eventlog.Range{}, func([]byte) error { return nil })
	var q eventlog.QueryError
	if !errors.As(err, &q) || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("got %v", err)
	}
	n := 0
	if err := s.c.Raw(s.ctx, s.where.String()+" | stats count() hits", eventlog.Range{}, func([]byte) error { n++; return nil }); err != nil || n != 1 {
		t.Errorf("%d rows, %v", n, err)
	}
}

func tail(t *testing.T, s *site) {
	t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	defer cancel()
	e := s.event(time.Now().Add(time.Second))
	seen := make(chan string, 10)
	done := make(chan error, 1)
	go func() {
		done <- s.c.Tail(ctx, eventlog.Query{Where: s.where}, func(line []byte) error {
			e, err := event.Decode(line)
			seen <- e.ID
			return err
		})
	}()
	s.put(t, e)
	select {
	case got := <-seen:
		if got != e.ID {
			t.Errorf("got %s", got)
		}
	case err := <-done:
		t.Errorf("it ended: %v", err)
	case <-ctx.Done():
		t.Error("it never came")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
