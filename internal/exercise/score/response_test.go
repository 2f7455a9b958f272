package score

import (
	"net/netip"
	"strings"
	"testing"
)

func TestResponsesPrevent(t *testing.T) {
	red, elsewhere := netip.MustParseAddr("10.0.0.66"), netip.MustParseAddr("10.0.0.99")
	for _, tt := range []struct {
		name string
		r    Response
		want Status
		says string
	}{
		{"its host", Response{Target: Target{Host: "red01"}, At: at(90)}, Prevented, "red01 was cut off"},
		{"its host while it acts", Response{Target: Target{Host: "red01"}, At: at(120)}, Prevented, "red01 was cut off"},
		{"its host after it has acted", Response{Target: Target{Host: "red01"}, At: at(131)}, Missed, ""},
		{"its address", Response{Target: Target{Kind: Block, Addrs: []netip.Addr{red}}, At: at(90)}, Prevented, "10.0.0.66 was blocked"},
		{"its aim", Response{Target: Target{Kind: Block, Host: "web01", Addrs: []netip.Addr{netip.MustParseAddr("10.0.1.10")}}, At: at(90)}, Prevented, "web01 was blocked"},
		{"another address", Response{Target: Target{Kind: Block, Addrs: []netip.Addr{elsewhere}}, At: at(90)}, Missed, ""},
		{"let through again", Response{Target: Target{Kind: Block, Addrs: []netip.Addr{red}}, At: at(80), Lifted: at(90)}, Missed, ""},
		{"the service", Response{Target: Target{Kind: Stop, Host: "web01", Proto: "tcp", Port: 22}, At: at(90)}, Prevented, "port 22 of web01 was stopped"},
		{"another service", Response{Target: Target{Kind: Stop, Host: "web01", Proto: "tcp", Port: 80}, At: at(90)}, Missed, ""},
		{"another host's", Response{Target: Target{Kind: Stop, Host: "ws01", Proto: "tcp", Port: 22}, At: at(90)}, Missed, ""},
		{"the account", Response{Target: Target{Kind: Disable, User: "Root"}, At: at(90)}, Prevented, "the account Root was disabled"},
		{"its password", Response{Target: Target{Kind: Change, User: "root"}, At: at(90)}, Prevented, "given another password"},
		{"another account", Response{Target: Target{Kind: Disable, User: "bob"}, At: at(90)}, Missed, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			truth := small()
			truth.Steps[0].User = "root"
			truth.Responses = []Response{tt.r}
			s := Evaluate(truth, Seen{}, DefaultRules()).Steps[0]
			if s.Status != tt.want || !strings.Contains(s.Reasons[0].Text, tt.says) {
				t.Errorf("%s: %v; want %s and %q", s.Status, s.Reasons, tt.want, tt.says)
			}
			truth.Steps[0].Outcome = Done // it came through all the same, but that no account lets in that was changed
			want := Missed
			if tt.want == Prevented && tt.r.User != "" {
				want = Prevented
			}
			if s := Evaluate(truth, Seen{}, DefaultRules()).Steps[0]; s.Status != want {
				t.Errorf("a step that came through is %s", s.Status)
			}
			if s := Evaluate(truth, smallSeen(), DefaultRules()).Steps[0]; s.Status != Met {
				t.Errorf("a step that was seen is %s", s.Status)
			}
		})
	}
}

// What did not run because a step before it was prevented was prevented with it.
func TestPreventedChain(t *testing.T) {
	truth := small()
	truth.Steps[2].Outcome, truth.Steps[2].Note, truth.Steps[2].Cause, truth.Steps[2].From = NotRun, "step s1 failed", "s1", "ws01"
	truth.Responses = []Response{{Target: Target{Kind: Stop, Host: "web01", Proto: "tcp", Port: 22}, At: at(90)}}
	res := Evaluate(truth, Seen{}, DefaultRules())
	if s := res.Steps[2]; s.Status != Prevented || res.Prevented != 2 {
		t.Errorf("%s %v, %d prevented", s.Status, s.Reasons, res.Prevented)
	}
	truth.Responses = nil
	if s := Evaluate(truth, Seen{}, DefaultRules()).Steps[2]; s.Status != Untried {
		t.Errorf("the same without a response: %s", s.Status)
	}
}

func TestResponsesWithoutAReason(t *testing.T) {
	for _, tt := range []struct {
		name  string
		r     Response
		wrong string
	}{
		{"an address that nobody misused", Response{Target: Target{Kind: Block, Host: "ws01", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.10")}}, At: at(90)}, "ws01"},
		{"the adversary's address", Response{Target: Target{Kind: Block, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.66")}}, At: at(110)}, ""},
		{"the same before he came", Response{Target: Target{Kind: Block, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.66")}}, At: at(90)}, "10.0.0.66"},
		{"a service that was tried", Response{Target: Target{Kind: Stop, Host: "web01", Port: 22}, At: at(110)}, ""},
		{"one that was not", Response{Target: Target{Kind: Stop, Host: "web01", Port: 80}, At: at(110)}, "port 80 of web01"},
		{"an account", Response{Target: Target{Kind: Disable, User: "bob"}, At: at(110)}, "the account bob"},
		{"another password hurts nobody", Response{Target: Target{Kind: Change, User: "bob"}, At: at(110)}, ""},
	} {
		truth := small()
		truth.Responses = []Response{tt.r}
		if got := strings.Join(Evaluate(truth, Seen{}, DefaultRules()).Metrics.WrongHosts, " "); got != tt.wrong {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.wrong)
		}
	}
}

func TestGoalsOfEveryKind(t *testing.T) {
	for _, tt := range []struct {
		goal Goal
		done Response
		met  bool
	}{
		{Goal{Target: Target{Kind: Block, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.66")}}}, Response{Target: Target{Kind: Block, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.66")}}}, true},
		{Goal{Target: Target{Kind: Block, Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.66")}}}, Response{Target: Target{Host: "red01"}}, false},
		{Goal{Target: Target{Kind: Stop, Host: "web01", Port: 22}}, Response{Target: Target{Kind: Stop, Host: "WEB01", Port: 22}}, true},
		{Goal{Target: Target{Kind: Stop, Host: "web01", Port: 22}}, Response{Target: Target{Kind: Stop, Host: "web01", Port: 80}}, false},
		{Goal{Target: Target{Kind: Disable, User: "alice"}}, Response{Target: Target{Kind: Disable, User: "Alice"}}, true},
		{Goal{Target: Target{Kind: Disable, User: "alice"}}, Response{Target: Target{Kind: Change, User: "alice"}}, false},
		{Goal{Target: Target{Kind: Change, User: "alice"}}, Response{Target: Target{Kind: Change, User: "alice"}}, true},
	} {
		truth := small()
		tt.done.At, tt.goal.ID = at(200), "g"
		truth.Goals, truth.Responses = []Goal{tt.goal}, []Response{tt.done}
		got := Evaluate(truth, Seen{}, DefaultRules()).Goals[0]
		if got.Met != tt.met || got.Kind != tt.goal.Kind {
			t.Errorf("goal %+v, done %+v: %+v", tt.goal, tt.done, got)
		}
	}
}

// What comes from a person's own machine is his, whatever it looks like.
func TestOwnAddresses(t *testing.T) {
	own := netip.MustParseAddr("10.0.0.77")
	truth := small()
	truth.Activities = append(truth.Activities, Activity{ID: "trainee", Neutral: true, Addrs: []netip.Addr{own}, Acts: Acts{Started: at(3000)}})
	seen := Seen{Alerts: []Alert{
		{ID: "scan", Rule: rule("guess", 3, "T1110"), First: at(105), Last: at(105), Source: netip.AddrPortFrom(own, 0), Host: "web01"},
		{ID: "token", Rule: rule("token", 3, "T1078"), First: at(602), Last: at(602), Events: []Ref{{ID: "t1", At: at(602), Token: "tok-1", Flow: tcp("10.0.0.77:40001", "10.0.1.10:22")}}},
		{ID: "answer", Rule: rule("guess", 3, "T1110"), First: at(105), Last: at(105), Events: []Ref{{ID: "t2", At: at(2000), Flow: tcp("10.0.1.10:22", "10.0.0.77:40001")}}},
		{ID: "mixed", Rule: rule("guess", 3, "T1110"), First: at(105), Last: at(105), Events: []Ref{
			{ID: "t3", At: at(105), Flow: tcp("10.0.0.77:40001", "10.0.1.10:22")}, {ID: "t4", At: at(105), Flow: tcp("10.0.0.10:50001", "10.0.1.10:22")},
		}},
	}, Events: []Ref{{ID: "t1", At: at(602), Token: "tok-1", Flow: tcp("10.0.0.77:40001", "10.0.1.10:22")}}}
	res := Evaluate(truth, seen, DefaultRules())
	for _, a := range res.Alerts {
		if a.Verdict != Neutral {
			t.Errorf("%s is %s: %s", a.ID, a.Verdict, a.Why)
		}
	}
	for _, s := range res.Steps {
		if s.Category != None || s.Events != 0 {
			t.Errorf("the trainee's doings show step %s: %+v", s.ID, s)
		}
	}
	if res.FalseAlarms != 0 {
		t.Errorf("%d false alarms", res.FalseAlarms)
	}
}
