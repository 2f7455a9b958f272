package respond_test

import (
	"context"
	"errors"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
	"github.com/lapwing-defence/lapwing/internal/respond"
	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

func order(p string) respond.Order {
	return respond.Order{Prefix: netip.MustParsePrefix(p), Actor: "ann", Why: "seen"}
}

func TestBlockByHand(t *testing.T) {
	for _, c := range []struct {
		prefix  string
		refused respond.Code
		state   respond.State
		risk    string
	}{
		{"203.0.113.7/32", "", respond.Standing, ""},
		{"203.0.113.0/24", "", respond.Standing, ""},
		{"203.0.112.0/23", "", respond.Waiting, "wide"},
		{"2001:db8:1::/48", "", respond.Standing, ""},
		{"2001:db8::/47", "", respond.Waiting, "wide"},
		{"192.0.2.0/24", respond.CodeAllowed, "", ""},
		{"2001:db8::/32", respond.CodeAllowed, "", ""},
		{"2002:c000::/20", respond.CodeAllowed, "", ""},
		{"64:ff9b::/96", respond.CodeAllowed, "", ""},
		{"::ffff:192.0.2.1/128", respond.CodeAllowed, "", ""},
		{"198.51.100.0/24", "", respond.Waiting, `as "bob"`},
		{"0.0.0.0/0", respond.CodeWide, "", ""},
		{"::/0", respond.CodeWide, "", ""},
	} {
		t.Run(c.prefix, func(t *testing.T) {
			s := newSite(t, nil)
			s.Login(netip.MustParseAddr("198.51.100.9"), "bob", start)
			d, err := s.Block(order(c.prefix))
			var no *respond.RefusedError
			if c.refused != "" {
				if !errors.As(err, &no) || no.Code != c.refused || len(s.kernel.blocked) > 0 {
					t.Errorf("%+v, %v", d, err)
				}
				return
			}
			if err != nil || d.State != c.state || !strings.Contains(d.Risk, c.risk) || (len(s.kernel.blocked) == 1) != (c.state == respond.Standing) {
				t.Errorf("%+v, %v", d, err)
			}
		})
	}
}

func TestBlockAgainLastsAsLongAsTheLastSays(t *testing.T) {
	s := newSite(t, nil)
	s.Block(order("203.0.113.7/32"))
	o := order("203.0.113.7/32")
	o.For = 5 * time.Hour
	if _, err := s.Block(o); err != nil {
		t.Fatal(err)
	}
	s.blocks("203.0.113.7/32")
	if got := s.Standing(); len(got) != 1 || !got[0].Until.Equal(start.Add(5*time.Hour)) {
		t.Errorf("%v", got)
	}
	s.open()
	s.clock.Advance(4 * time.Hour)
	if got := s.Standing(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	o.For = respond.MaxFor + 1
	if _, err := s.Block(o); err == nil {
		t.Error("a block for longer than a year")
	}
}

func TestProposals(t *testing.T) {
	words := 0
	s := newSite(t, func(c *respond.Config) {
		c.Policy.Default = respond.Propose
		c.NewWord = func() string { words++; return "word-" + string(rune('a'+words)) }
	})
	o := s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.blocks()
	if len(s.notices) != 1 || s.notices[0].Approval != "word-b" {
		t.Fatalf("%+v", s.notices)
	}
	if l := s.List(respond.Query{}); len(l) != 1 || l[0].State != respond.Waiting || l[0].Approval != "" {
		t.Errorf("%+v", l)
	}
	s.open() // it outlives a restart, the word too
	s.clock.Advance(time.Hour)
	d, err := s.Approve("word-b", "bob")
	if err != nil || d.ID != o.Decision || d.Actor != "bob" || !d.Until.Equal(s.clock.Now().Add(10*time.Minute)) {
		t.Errorf("%+v, %v", d, err)
	}
	s.blocks("203.0.113.7/32")
	if _, err := s.Approve("word-b", "bob"); !errors.Is(err, respond.ErrUnknown) {
		t.Errorf("the word works twice: %v", err)
	}
	if _, err := s.Approve(o.Decision, "bob"); !errors.Is(err, respond.ErrOver) {
		t.Errorf("%v", err)
	}
	other := s.Consider(s.alert("203.0.113.8"), time.Time{})
	if _, err := s.Refuse(other.Decision[:8], "bob", "our scanner"); err != nil {
		t.Error(err)
	}
	late := s.Consider(s.alert("203.0.113.9"), time.Time{})
	s.clock.Advance(25 * time.Hour)
	if _, err := s.Approve(late.Decision, "bob"); !errors.Is(err, respond.ErrOver) {
		t.Errorf("after its end: %v", err)
	}
}

func TestApprovalIsCheckedAgain(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Policy.Default = respond.Propose })
	o := s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.SetAllow(action.AllowList{{Prefix: netip.MustParsePrefix("203.0.113.0/24"), Why: "a new partner"}})
	if _, err := s.Approve(o.Decision, "bob"); err == nil {
		t.Error("what is on the allow list by now was approved")
	}
	s.blocks()
}

func TestAllowListLifts(t *testing.T) {
	s := newSite(t, nil)
	s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.Consider(s.alert("203.0.113.8"), time.Time{})
	s.SetAllow(action.AllowList{{Prefix: netip.MustParsePrefix("203.0.113.7/32"), Why: "session of ann"}})
	s.blocks("203.0.113.8/32")
	if len(s.notices) != 1 || s.notices[0].Kind != "lifted" {
		t.Errorf("%+v", s.notices)
	}
	s.cfg.Allow = action.AllowList{{Prefix: netip.MustParsePrefix("203.0.113.8/32"), Why: "own address"}}
	s.open()
	if len(s.Standing()) != 0 {
		t.Error("what the allow list of a new start forbids stands")
	}
}

func TestUnblockAndUndo(t *testing.T) {
	s := newSite(t, nil)
	o := order("203.0.113.0/24")
	s.Block(o)
	s.clock.Advance(time.Minute)
	s.Consider(s.alert("198.51.100.7"), time.Time{})
	b := s.Consider(s.alert("198.51.100.8"), time.Time{})
	if ds, err := s.Unblock(netip.MustParsePrefix("203.0.113.9/32"), "ann", ""); err != nil || len(ds) != 1 || ds[0].Prefix != o.Prefix {
		t.Errorf("%v, %v", ds, err)
	}
	if _, err := s.Unblock(netip.MustParsePrefix("203.0.113.9/32"), "ann", ""); !errors.Is(err, respond.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, err := s.Undo("0000", "ann", ""); !errors.Is(err, respond.ErrAmbiguous) {
		t.Errorf("%v", err)
	}
	if _, err := s.Undo("nothing", "ann", ""); !errors.Is(err, respond.ErrUnknown) {
		t.Errorf("%v", err)
	}
	if _, err := s.Undo(b.Decision, "ann", ""); err != nil {
		t.Error(err)
	}
	s.blocks("198.51.100.7/32")
	if ds, err := s.UndoSince(start.Add(time.Minute), "ann", ""); err != nil || len(ds) != 1 {
		t.Errorf("%v, %v", ds, err)
	}
	s.blocks()
	for _, f := range s.facts {
		if f.Actor == "" || f.Act == "" || f.At.IsZero() {
			t.Errorf("%+v", f)
		}
	}
	var acts []string
	for _, f := range s.facts {
		acts = append(acts, f.Act)
	}
	if want := []string{"block", "block", "block", "unblock", "undo", "undo"}; !slices.Equal(acts, want) {
		t.Errorf("%v, want %v", acts, want)
	}
}

func TestPanic(t *testing.T) {
	s := newSite(t, nil)
	s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.Block(order("203.0.112.0/22"))
	if ds := s.Panic("ann", "the site is down"); len(ds) != 2 {
		t.Errorf("%v", ds)
	}
	s.blocks()
	s.cfg.Policy.PerMinute = 59 // a changed configuration does not end it
	s.open()
	if o := s.Consider(s.alert("203.0.113.8"), time.Time{}); o.Verdict != respond.Observes {
		t.Errorf("%+v", o)
	}
	s.SetPolicy(nil, "ann")
	if err := s.Confirm("ann"); err != nil {
		t.Fatal(err)
	}
	s.open()
	if o := s.Consider(s.alert("203.0.113.9"), time.Time{}); o.Verdict != respond.Blocks {
		t.Errorf("%+v", o)
	}
}

func TestPolicyIsConfirmedOrComesBack(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Policy.Default = respond.Observe })
	hard := s.cfg.Policy
	hard.Default = respond.Enforce
	s.SetPolicy(&hard, "ann")
	s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.Block(order("203.0.113.8/32"))
	s.blocks("203.0.113.7/32", "203.0.113.8/32")
	s.clock.Advance(respond.ConfirmWithin)
	s.Tick()
	s.blocks("203.0.113.8/32") // what a person ordered stays
	if err := s.Confirm("ann"); !errors.Is(err, respond.ErrNothingOpen) {
		t.Errorf("%v", err)
	}
	s.SetPolicy(&hard, "ann")
	if err := s.Confirm("ann"); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	s.Tick()
	s.open()
	if st := s.Stats(); st.Policy.Default != respond.Enforce {
		t.Error("what was confirmed does not outlive a restart")
	}
	soft := s.cfg.Policy
	s.SetPolicy(&soft, "bob")
	s.open() // an end in between: it is still open
	s.clock.Advance(respond.ConfirmWithin)
	s.Tick()
	if st := s.Stats(); st.Policy.Default != respond.Enforce {
		t.Error("the confirmed one did not come back")
	}
	s.cfg.Policy.PerMinute = 7 // a changed configuration counts
	s.open()
	if st := s.Stats(); st.Policy.Default != respond.Observe || st.Policy.PerMinute != 7 {
		t.Errorf("%+v", st.Policy)
	}
}

// jumper is a clock without a monotonic reading that can be set.
type jumper struct {
	*site
	by time.Duration
}

func (j *jumper) Now() time.Time { return j.clock.Now().Add(j.by) }
func (j *jumper) AfterFunc(d time.Duration, f func()) func() bool {
	return j.clock.AfterFunc(d, f)
}

func TestClockSetBack(t *testing.T) {
	s := newSite(t, nil)
	j := &jumper{site: s}
	s.cfg.Clock = jumperClock{j}
	s.open()
	s.Consider(s.alert("203.0.113.7"), time.Time{})
	j.by = -400 * 24 * time.Hour
	s.Tick()
	for range 2 { // running, and after a restart
		got := s.Standing()
		if len(got) != 1 {
			t.Fatalf("%v", got)
		}
		if left := got[0].Until.Sub(j.Now()); left > 10*time.Minute || left < 9*time.Minute {
			t.Errorf("%s are left of ten minutes", left)
		}
		s.open()
	}
	s.clock.Advance(11 * time.Minute)
	if got := s.Standing(); len(got) != 0 {
		t.Errorf("it stands for ever: %v", got)
	}
	j.by = 0 // forward, without a monotonic reading: time passed
	s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.cfg.Clock = s.clock
	s.clock.Advance(-300 * 24 * time.Hour)
	s.open() // set back while nobody looked
	if got := s.Standing(); len(got) != 1 || got[0].Until.Sub(s.clock.Now()) > time.Hour {
		t.Errorf("%v", got)
	}
}

type jumperClock struct{ *jumper }

type ctxT = context.Context

func (j jumperClock) Sleep(ctx ctxT, d time.Duration) error { return j.clock.Sleep(ctx, d) }

// failing is a store that fails while it is told to.
type failing struct {
	respond.Memory
	fail bool
}

var errDisk = errors.New("no space left on device")

func (f *failing) Append(r ...*respond.Record) error {
	if f.fail {
		return errDisk
	}
	return f.Memory.Append(r...)
}

func (f *failing) Cut() (func(iter.Seq[*respond.Record]) error, error) {
	if f.fail {
		return nil, errDisk
	}
	return f.Memory.Cut()
}

func TestFullDisk(t *testing.T) {
	store := &failing{}
	s := newSite(t, func(c *respond.Config) { c.Store = store })
	store.fail = true
	if o := s.Consider(s.alert("203.0.113.7"), time.Time{}); o.Verdict != respond.Blocks {
		t.Errorf("%+v", o)
	}
	if err := s.Sync(); !errors.Is(err, respond.ErrNotKept) {
		t.Errorf("acknowledged: %v", err)
	}
	s.blocks("203.0.113.7/32") // enforcement goes on
	store.fail = false
	s.clock.Advance(2 * time.Second)
	s.Tick()
	if err := s.Sync(); err != nil {
		t.Error(err)
	}
	s.open()
	if got := s.Standing(); len(got) != 1 {
		t.Errorf("%v", got)
	}
	var kinds []string
	for _, n := range s.notices {
		kinds = append(kinds, n.Kind)
	}
	if !slices.Equal(kinds, []string{"degraded", "recovered"}) {
		t.Errorf("%v", kinds)
	}
}

func TestForget(t *testing.T) {
	s := newSite(t, nil)
	s.Login(netip.MustParseAddr("203.0.113.7"), "ann", start)
	s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.Consider(s.alert("203.0.113.8"), time.Time{})
	s.Forget(netip.MustParsePrefix("203.0.113.7/32"))
	s.blocks("203.0.113.8/32")
	s.store.Read(func(r *respond.Record) error {
		if r.Decision != nil && r.Decision.Prefix.Addr().String() == "203.0.113.7" || r.Login != nil || r.Forget.IsValid() {
			t.Errorf("it is still kept: %+v", r)
		}
		return nil
	})
}

func TestCompaction(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Policy.PerMinute = 1 << 20 })
	for i := range 9000 {
		a := s.alert("203.0.113.7")
		a.Source = netip.AddrFrom4([4]byte{11, 1, byte(i >> 8), byte(i)})
		s.Consider(a, time.Time{})
	}
	s.clock.Advance(31 * 24 * time.Hour)
	if err := s.Compact(); err != nil {
		t.Fatal(err)
	}
	if n := s.store.Len(); n > 100 {
		t.Errorf("%d records of what ended a month ago", n)
	}
	s.Consider(s.alert("203.0.113.9"), time.Time{})
	s.open()
	if got := s.Standing(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestTurnedByBackend(t *testing.T) {
	s := newSite(t, nil)
	o := s.Consider(s.alert("203.0.113.7"), time.Time{})
	s.Turned(action.Action{ID: o.Decision}, "nftables", "the address is on the allow list")
	if got := s.List(respond.Query{Ended: true}); len(got) != 1 || got[0].State != respond.Undone || got[0].Ender != "nftables" {
		t.Errorf("%+v", got)
	}
}

func TestObserveReportNamesWhoWouldBeHit(t *testing.T) {
	s := newSite(t, func(c *respond.Config) { c.Policy.Default = respond.Observe })
	s.Login(netip.MustParseAddr("203.0.113.7"), "ann", start)
	s.clock.Advance(2 * time.Hour)
	a := s.alert("203.0.113.7")
	a.Rule.Level = alert.Medium
	s.Consider(a, time.Time{})
	l := s.List(respond.Query{Ended: true})
	if len(l) != 1 || l[0].Mode != respond.Observe || l[0].Hits == nil || l[0].Hits.User != "ann" {
		t.Errorf("%+v", l)
	}
	s.blocks()
}
