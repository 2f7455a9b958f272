package score

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

var t0 = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// at is s seconds into the exercise.
func at(s float64) time.Time { return t0.Add(time.Duration(s * float64(time.Second))) }

func tcp(src, dst string) Tuple {
	return Tuple{Proto: "tcp", Src: netip.MustParseAddrPort(src), Dst: netip.MustParseAddrPort(dst)}
}

func rule(id string, l alert.Level, techniques ...string) alert.Rule {
	return alert.Rule{ID: id, Name: "rule " + id, Level: l, Techniques: techniques}
}

// small is an exercise of three steps, each found by another key, with the
// background that looks like them.
func small() Truth {
	return Truth{
		Exercise: "x1", Scenario: "small", Seed: 7, Started: t0, Ended: at(3600),
		Hosts: []Host{
			{Name: "red01", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.66")}},
			{Name: "web01", Addrs: []netip.Addr{netip.MustParseAddr("10.0.1.10")}},
			{Name: "ws01", Addrs: []netip.Addr{netip.MustParseAddr("10.0.0.10")}},
		},
		Steps: []Step{
			{
				ID: "s1", Technique: "T1110.001", Tactic: "credential-access", From: "red01", To: "web01", Outcome: Failed,
				Expect: Expect{Level: Technique, Within: time.Minute, Detections: []Detection{{ID: "det.guess", Rules: []string{"sigma:guess"}}}},
				Acts: Acts{Started: at(100), Ended: at(130), Flows: []Flow{
					{Tuple: tcp("10.0.0.66:40001", "10.0.1.10:22"), Start: at(100), End: at(104)},
					{Tuple: tcp("10.0.0.66:40002", "10.0.1.10:22"), Start: at(110), End: at(114)},
				}},
			},
			{
				ID: "s2", Technique: "T1003.001", Tactic: "credential-access", From: "ws01", To: "ws01", Outcome: Done,
				Expect: Expect{Level: Tactic, Within: time.Minute},
				Acts:   Acts{Started: at(300), Ended: at(310), Traces: []Trace{{At: at(301), Host: "ws01", User: "alice"}}},
			},
			{
				ID: "s3", Technique: "T1078", Tactic: "lateral-movement", From: "red01", To: "web01", Outcome: Done,
				Expect: Expect{Level: General, Within: 30 * time.Second},
				Acts:   Acts{Started: at(600), Ended: at(605), Traces: []Trace{{At: at(602), Token: "tok-1"}}},
			},
		},
		Activities: []Activity{
			{ID: "mail", Acts: Acts{Started: t0, Ended: at(3600), Flows: []Flow{
				{Tuple: tcp("10.0.0.10:50001", "10.0.1.10:22"), Start: at(101), End: at(120)},
			}}},
		},
	}
}

func smallSeen() Seen {
	return Seen{
		Alerts: []Alert{
			{ID: "a1", Rule: rule("guess", alert.Medium, "T1110"), First: at(100), Last: at(110), Raised: at(110), Events: []Ref{
				{ID: "e1", At: at(100.5), Flow: tcp("10.0.0.66:40001", "10.0.1.10:22")},
				{ID: "e2", At: at(110.5), Flow: tcp("10.0.1.10:22", "10.0.0.66:40002")},
			}},
			{ID: "a2", Rule: rule("lsass", alert.High, "T1003.002"), First: at(301), Last: at(301), Events: []Ref{
				{ID: "e3", At: at(301), Host: "WS01.corp.example", User: `CORP\Alice`},
			}},
			{ID: "a3", Rule: rule("token", alert.High), First: at(602), Last: at(602), Raised: at(640), Token: "tok-1"},
			{ID: "a4", Rule: rule("ssh", alert.Low), First: at(101), Last: at(101), Events: []Ref{
				{ID: "e4", At: at(101), Flow: tcp("10.0.0.10:50001", "10.0.1.10:22")},
			}},
		},
		Events: []Ref{{ID: "e5", At: at(602), Token: "tok-1"}},
	}
}

func TestEvaluateSmall(t *testing.T) {
	got := Evaluate(small(), smallSeen(), DefaultRules())
	type line struct {
		ID       string
		Category Category
		Status   Status
		Alerts   []string
	}
	var lines []line
	for _, s := range got.Steps {
		lines = append(lines, line{s.ID, s.Category, s.Status, s.Alerts()})
	}
	want := []line{
		{"s1", Technique, Met, []string{"a1"}},
		{"s2", General, Missed, []string{"a2"}}, // a sibling technique, no tactic
		{"s3", Telemetry, Missed, []string{}},   // the alert came after the limit
	}
	if d := cmp.Diff(want, lines); d != "" {
		t.Error(d)
	}
	if got.Expected != 3 || got.Met != 1 || got.Missed != 2 || got.FalseAlarms != 1 {
		t.Errorf("expected %d, met %d, missed %d, false alarms %d; want 3, 1, 2, 1", got.Expected, got.Met, got.Missed, got.FalseAlarms)
	}
	// (1 + 0.5 + 0.25) / 3 of 100 points, less 5 for the false alarm.
	if got.Score != 53.3 {
		t.Errorf("score %v, want 53.3", got.Score)
	}
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	want := Evaluate(small(), smallSeen(), DefaultRules())
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		seen := smallSeen()
		rng.Shuffle(len(seen.Alerts), func(i, j int) { seen.Alerts[i], seen.Alerts[j] = seen.Alerts[j], seen.Alerts[i] })
		for _, a := range seen.Alerts {
			rng.Shuffle(len(a.Events), func(i, j int) { a.Events[i], a.Events[j] = a.Events[j], a.Events[i] })
		}
		if d := cmp.Diff(want, Evaluate(small(), seen, DefaultRules())); d != "" {
			t.Fatal(d)
		}
	}
}
