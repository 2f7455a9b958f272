//go:build unix

package app

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/casebook"
	"github.com/lapwing-defence/lapwing/internal/config"
	"github.com/lapwing-defence/lapwing/internal/event"
	"github.com/lapwing-defence/lapwing/internal/journal"
	"github.com/lapwing-defence/lapwing/internal/journal/uplink"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
	"github.com/lapwing-defence/lapwing/internal/respond/audit"
)

// wall is a back end that holds what it is told.
type wall struct {
	mu   sync.Mutex
	held map[netip.Prefix]time.Time // and when it came
}

func (w *wall) Name() string               { return "wall" }
func (w *wall) Handles(k action.Kind) bool { return k == action.Block }
func (w *wall) Plan(context.Context, action.Action) (action.Plan, error) {
	return action.Plan{}, nil
}
func (w *wall) Health(context.Context) error { return nil }

func (w *wall) Apply(_ context.Context, as []action.Action) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range as {
		w.held[a.Prefix] = time.Now()
	}
	return nil
}

func (w *wall) Revert(_ context.Context, as []action.Action) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range as {
		delete(w.held, a.Prefix)
	}
	return nil
}

func (w *wall) List(context.Context) ([]action.Standing, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var out []action.Standing
	for p := range w.held {
		out = append(out, action.Standing{Action: action.Action{Kind: action.Block, Prefix: p}})
	}
	return out, nil
}

func (w *wall) holds(s string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, ok := w.held[netip.MustParsePrefix(s)]
	return ok
}

// answering is a hub's deciding part over an archive of its own.
type answering struct {
	*archive
	t    *testing.T
	dir  Dir
	wall *wall
	stop func()
}

func startAnswering(t *testing.T, dir Dir, w *wall, change func(*config.Respond)) *answering {
	t.Helper()
	if err := dir.Create(); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Respond.Default = "enforce"
	cfg.Respond.PerMinute = 10_000
	if change != nil {
		change(&cfg.Respond)
	}
	s := storageOf(cfg)
	a, err := dir.openArchive(t.Context(), s, 1<<30, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.decide(t.Context(), dir, s, []action.Backend{w}, nil); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { a.respond.run(ctx, a.emit("hub")) })
	x := &answering{archive: a, t: t, dir: dir, wall: w}
	x.stop = sync.OnceFunc(func() { cancel(); wg.Wait(); a.Close() })
	t.Cleanup(x.stop)
	return x
}

func (x *answering) await(what string, fn func() bool) {
	x.t.Helper()
	for end := time.Now().Add(60 * time.Second); !fn(); time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			x.t.Fatalf("never: %s", what)
		}
	}
}

var ids = event.NewIDs(nil, time.Now)

// readerVerdict is what the reader sends of a rule that matched.
func readerVerdict(from string) event.Event {
	e := event.Event{
		ID: ids.New(), Time: time.Now(), Ingested: time.Now(), Kind: "alert", Category: "authentication", Action: "rule-matched", Dataset: "access",
		Source: netip.AddrPortFrom(netip.MustParseAddr(from), 0), User: "root",
	}
	e.Add("lapwing.source", "auth")
	e.Add("rule.id", "5f1c7a1e-2222-4000-8000-000000000001")
	e.Add("rule.name", "Password Guessing")
	e.Add("rule.level", "high")
	e.Extra = append(e.Extra, event.Field{Name: "threat.technique.id", Value: event.List("T1110.001")})
	return e
}

func (x *answering) send(es ...event.Event) time.Time {
	x.t.Helper()
	var lines []byte
	for i := range es {
		lines = append(es[i].AppendJSON(lines), '\n')
	}
	k := logKeeper{&keeper{dir: x.dir, journal: x.spool, respond: x.respond}}
	began := time.Now()
	seq := uint64(time.Now().UnixNano())
	if err := k.Events(x.t.Context(), uplink.Batch{Client: [16]byte{1}, Seq: seq, Depth: event.DepthAct, Lines: lines, N: len(es)}); err != nil {
		x.t.Fatal(err)
	}
	return began
}

// TestVerdictIsAnsweredAtOnce: from the reader's batch to the back end, past the
// judge, which comes to the same later.
func TestVerdictIsAnsweredAtOnce(t *testing.T) {
	w := &wall{held: map[netip.Prefix]time.Time{}}
	x := startAnswering(t, Dir(t.TempDir()), w, nil)
	var took []time.Duration
	for i := range 40 {
		p := fmt.Sprintf("203.0.113.%d", i+1)
		began := x.send(readerVerdict(p))
		x.await(p, func() bool { return w.holds(p + "/32") })
		w.mu.Lock()
		took = append(took, w.held[netip.MustParsePrefix(p+"/32")].Sub(began))
		w.mu.Unlock()
	}
	slices.Sort(took)
	t.Logf("journal and decision to back end: median %s, worst %s", took[len(took)/2], took[len(took)-1])
	x.stop()
	n := 0
	if err := x.dir.AuditEntries(func(e audit.Entry) error {
		if e.Act == "block" && e.Actor == "policy" && e.Rule != "" && len(e.Events) == 1 {
			n++
		}
		return nil
	}); err != nil || n != 40 {
		t.Errorf("%d entries of the audit log, %v", n, err)
	}
	if rep, err := x.dir.AuditVerify(t.Context()); err != nil {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestSpoofedVerdictsAnswerNothing, nor those about the machine itself.
func TestSpoofedVerdictsAnswerNothing(t *testing.T) {
	w := &wall{held: map[netip.Prefix]time.Time{}}
	x := startAnswering(t, Dir(t.TempDir()), w, func(c *config.Respond) {
		c.Allow = []config.Network{{Prefix: netip.MustParsePrefix("198.51.100.0/24")}}
	})
	spoofed := readerVerdict("203.0.113.1")
	spoofed.Extra = append(spoofed.Extra, event.Field{Name: "lapwing.spoofable", Value: event.Bool(true)})
	drill := readerVerdict("203.0.113.2")
	drill.Exercise = "drill"
	x.send(spoofed, drill, readerVerdict("127.0.0.1"), readerVerdict("198.51.100.9"), readerVerdict("203.0.113.3"))
	x.await("the one", func() bool { return w.holds("203.0.113.3/32") })
	if len(w.held) != 1 {
		t.Errorf("%v", w.held)
	}
}

// TestLoginsOfTheLogAreSpared: who logged in before is not blocked by a rule.
func TestLoginsOfTheLogAreSpared(t *testing.T) {
	w := &wall{held: map[netip.Prefix]time.Time{}}
	x := startAnswering(t, Dir(t.TempDir()), w, nil)
	login := event.Event{
		ID: ids.New(), Time: time.Now(), Ingested: time.Now().Add(-3 * time.Hour), Kind: "event", Category: "authentication", Action: "logon", Outcome: "success",
		Source: netip.MustParseAddrPort("203.0.113.1:5000"), User: "ann",
	}
	login.Add("lapwing.source", "auth")
	x.send(login)
	x.await("the login", func() bool { return x.respond.engine.LoggedIn(netip.MustParseAddr("203.0.113.1"), week) })
	x.send(readerVerdict("203.0.113.1"), readerVerdict("203.0.113.2"))
	x.await("the other", func() bool { return w.holds("203.0.113.2/32") })
	l := x.respond.engine.List(respond.Query{})
	if len(l) != 2 || l[0].State != respond.Waiting || !strings.Contains(l[0].Risk, `"ann"`) {
		t.Errorf("%+v", l)
	}
}

// decoyLogin is a login that an intruder made on a decoy.
func decoyLogin(from string) []byte {
	e := event.Event{
		ID: ids.New(), Time: time.Now(), Ingested: time.Now(), Kind: "event", Category: "authentication", Action: event.ActionLogin, Outcome: "success", Transport: "tcp",
		Source: netip.AddrPortFrom(netip.MustParseAddr(from), 4000), User: "root", Host: "files", Decoy: "ssh", Session: ids.New(), Depth: event.DepthEnter,
	}
	return append(e.AppendJSON(nil), '\n')
}

// TestDecoysAreAnsweredByTheJudge, once, also where its transaction fails and all
// is judged again, and where the process ended in between.
func TestDecoysAreAnsweredByTheJudge(t *testing.T) {
	dir, w := Dir(t.TempDir()), &wall{held: map[netip.Prefix]time.Time{}}
	x := startAnswering(t, dir, w, nil)
	if _, err := x.spool.Append(t.Context(), event.DepthAct, decoyLogin("203.0.113.9")); err != nil {
		t.Fatal(err)
	}
	x.judge.book = failingBook{x.judge.book}
	if err := x.judge.catchUp(t.Context()); !errors.Is(err, errBook) {
		t.Fatalf("%v", err)
	}
	x.await("the block, before the casebook has the alert", func() bool { return w.holds("203.0.113.9/32") })
	x.stop()
	x = startAnswering(t, dir, w, nil) // what it decided is known, and nothing is decided twice
	if _, err := x.respond.engine.Unblock(netip.MustParsePrefix("203.0.113.9/32"), "ann", ""); err != nil {
		t.Fatal(err)
	}
	if err := x.judge.catchUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	x.await("it is lifted", func() bool { return !w.holds("203.0.113.9/32") })
	if l := x.respond.engine.List(respond.Query{Ended: true}); len(l) != 1 || l[0].State != respond.Undone {
		t.Errorf("%+v", l)
	}
}

var errBook = errors.New("disk full")

type failingBook struct{ casebook.Book }

func (failingBook) Apply(context.Context, *casebook.Batch) error { return errBook }

// TestReconcileAtStart: what the back end lost meanwhile comes back, what nobody
// decided goes.
func TestReconcileAtStart(t *testing.T) {
	dir, w := Dir(t.TempDir()), &wall{held: map[netip.Prefix]time.Time{}}
	x := startAnswering(t, dir, w, nil)
	x.send(readerVerdict("203.0.113.1"))
	x.await("the block", func() bool { return w.holds("203.0.113.1/32") })
	x.stop()
	w.held = map[netip.Prefix]time.Time{netip.MustParsePrefix("203.0.113.66/32"): time.Now()}
	startAnswering(t, dir, w, nil).await("both ways", func() bool { return w.holds("203.0.113.1/32") && !w.holds("203.0.113.66/32") })
}

// TestDamagedIsSetAside: neither a damaged audit log nor damaged decisions keep the
// hub from deciding.
func TestDamagedIsSetAside(t *testing.T) {
	dir, w := Dir(t.TempDir()), &wall{held: map[netip.Prefix]time.Time{}}
	x := startAnswering(t, dir, w, nil)
	x.send(readerVerdict("203.0.113.1"))
	x.await("the block", func() bool { return w.holds("203.0.113.1/32") })
	x.stop()
	mustWrite(t, dir.Path("audit", "head"), []byte("nonsense"))
	mustWrite(t, dir.Path("respond", "decisions-00000099.snap"), []byte("nonsense\n"))
	x = startAnswering(t, dir, w, nil)
	x.send(readerVerdict("203.0.113.2"))
	x.await("the next block", func() bool { return w.holds("203.0.113.2/32") })
	if rep, err := dir.AuditVerify(t.Context()); err != nil || rep.Entries < 2 {
		t.Errorf("%+v, %v", rep, err)
	}
}

// TestNoticesAreEvents: a storm is told among the events.
func TestNoticesAreEvents(t *testing.T) {
	w := &wall{held: map[netip.Prefix]time.Time{}}
	x := startAnswering(t, Dir(t.TempDir()), w, func(c *config.Respond) { c.PerMinute = 2 })
	for i := range 5 {
		x.send(readerVerdict(fmt.Sprintf("203.0.113.%d", i+1)))
	}
	x.await("the storm", func() bool {
		found := false
		x.spool.Read(t.Context(), x.judge.position(), func(e journal.Entry) error {
			found = found || bytes.Contains(e.Data, []byte(`"event.action":"response-storm"`))
			return nil
		})
		return found
	})
	if len(w.held) > 2 {
		t.Errorf("%v", w.held)
	}
}

func mustWrite(t *testing.T, file string, data []byte) {
	t.Helper()
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestAdvice: what would be done is said in words, with an instance and without.
func TestAdvice(t *testing.T) {
	dir := Dir(t.TempDir())
	if err := dir.Create(); err != nil {
		t.Fatal(err)
	}
	cfg := config.Default()
	cfg.Respond.Default = "enforce"
	say, err := dir.Advise(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]string{
		"203.0.113.9":   "203.0.113.9/32 would be blocked for 10m0s (default of the policy: enforce)",
		"127.0.0.1":     "nothing would be done (default of the policy: enforce); 127.0.0.0/8 is on the allow list: loopback",
		"2001:db8::1:2": "2001:db8::/64 would be blocked for 10m0s (default of the policy: enforce)",
	} {
		if got := say(readerVerdict(from)); got != want {
			t.Errorf("%s: %q, want %q", from, got, want)
		}
	}
}
