package score

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// scene is one scene of testdata/join/scenes.txt, in the notation of its README.
type scene struct {
	name   string
	truth  Truth
	alerts []Alert
	labels map[string][]string // steps by id of the alert
	lines  map[string]int      // line by id of the alert
	inAct  bool                // what was read last is an activity, not a step
}

func readScenes(t *testing.T) []*scene {
	t.Helper()
	f, err := os.Open("testdata/join/scenes.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var all []*scene
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		word, rest, _ := strings.Cut(line, " ")
		if word == "" || word == "#" {
			continue
		}
		if word == "scene" {
			all = append(all, &scene{name: rest, labels: map[string][]string{}, lines: map[string]int{}})
			all[len(all)-1].truth = Truth{Exercise: rest, Started: t0, Ended: at(3600)}
			continue
		}
		if err := all[len(all)-1].read(word, rest, n); err != nil {
			t.Fatalf("scenes.txt:%d: %v", n, err)
		}
	}
	return all
}

func (s *scene) read(word, rest string, line int) error {
	f := strings.Fields(rest)
	switch word {
	case "host":
		h := Host{Name: f[0]}
		for _, a := range f[1:] {
			h.Addrs = append(h.Addrs, netip.MustParseAddr(a))
		}
		s.truth.Hosts = append(s.truth.Hosts, h)
	case "step":
		st := Step{ID: f[0], Technique: f[1], Tactic: f[2], Outcome: Done, Expect: Expect{Level: Technique}}
		st.From, st.To, _ = strings.Cut(f[3], ">")
		sp := readSpan(f[4])
		st.Started, st.Ended = sp.from, sp.to
		if len(f) > 5 {
			st.Expect.Within = seconds(strings.TrimPrefix(f[5], "within="))
		}
		s.truth.Steps = append(s.truth.Steps, st)
		s.inAct = false
	case "act":
		sp := readSpan(f[1])
		s.truth.Activities = append(s.truth.Activities, Activity{ID: f[0], Neutral: len(f) > 2, Acts: Acts{Started: sp.from, Ended: sp.to}})
		s.inAct = true
	case "flow":
		fl := Flow{Tuple: readTuple(f[0], f[1])}
		sp := readSpan(f[2])
		fl.Start, fl.End = sp.from, sp.to
		if len(f) > 3 {
			fl.As = []Tuple{readTuple(f[0], strings.TrimPrefix(f[3], "as="))}
		}
		s.acts().Flows = append(s.acts().Flows, fl)
	case "trace":
		sp := readSpan(f[0])
		v := pairs(f[1:])
		s.acts().Traces = append(s.acts().Traces, Trace{
			At: sp.from, Until: sp.to, Host: v["host"], User: v["user"], Token: v["token"], Record: v["record"],
		})
	case "alert", "whole", "report":
		return s.readAlert(word, rest, line)
	default:
		return fmt.Errorf("unknown line %q", word)
	}
	return nil
}

// acts are those of the step or activity that was read last.
func (s *scene) acts() *Acts {
	if s.inAct {
		return &s.truth.Activities[len(s.truth.Activities)-1].Acts
	}
	return &s.truth.Steps[len(s.truth.Steps)-1].Acts
}

func (s *scene) readAlert(kind, rest string, line int) error {
	part := strings.Split(rest, "|")
	if len(part) != 3 {
		return fmt.Errorf("%d parts, want 3", len(part))
	}
	id := fmt.Sprintf("%s/%d", s.name, line)
	a := Alert{ID: id}
	s.lines[id] = line
	if label := strings.TrimSpace(part[0]); label != "-" {
		s.labels[id] = strings.Split(label, ",")
	}
	words := strings.Fields(part[1])
	a.Rule = alert.Rule{ID: words[0], Name: words[0], Level: alert.Medium}
	for _, w := range words[1:] {
		if l, ok := alert.ParseLevel(w); ok {
			a.Rule.Level = l
		} else if w[0] == 'T' {
			a.Rule.Techniques = append(a.Rule.Techniques, w)
		} else {
			a.Rule.Tactics = append(a.Rule.Tactics, w)
		}
	}
	if kind == "alert" {
		for i, ev := range strings.Split(part[2], ";") {
			a.Events = append(a.Events, readRef(ev, fmt.Sprintf("%s.%d", id, i)))
		}
		a.First, a.Last = a.Events[0].At, a.Events[len(a.Events)-1].At
		s.alerts = append(s.alerts, a)
		return nil
	}
	f := strings.Fields(part[2])
	v := pairs(f[1:])
	a.Source, a.Destination, a.Host, a.User, a.Token = addrPort(v["src"]), addrPort(v["dst"]), v["host"], v["user"], v["token"]
	if kind == "report" {
		a.By, a.Raised = a.Rule.Name, readSpan(f[0]).from
	} else {
		sp := readSpan(f[0])
		a.First, a.Last, a.Raised = sp.from, sp.to, sp.to
	}
	if r := v["raised"]; r != "" {
		a.Raised = t0.Add(seconds(r))
	}
	s.alerts = append(s.alerts, a)
	return nil
}

func readRef(text, id string) Ref {
	f := strings.Fields(text)
	r := Ref{ID: id, At: t0.Add(seconds(f[0]))}
	f = f[1:]
	if len(f) > 1 && strings.Contains(f[1], ">") {
		r.Flow = readTuple(f[0], f[1])
		f = f[2:]
	}
	v := pairs(f)
	r.Host, r.User, r.Token = v["host"], v["user"], v["token"]
	if v["id"] != "" {
		r.ID = v["id"]
	}
	if v["judged"] != "" {
		r.Judged = t0.Add(seconds(v["judged"]))
	}
	return r
}

func pairs(words []string) map[string]string {
	m := map[string]string{}
	for _, w := range words {
		k, v, ok := strings.Cut(w, "=")
		if !ok {
			panic("not name=value: " + w)
		}
		m[k] = v
	}
	return m
}

func addrPort(s string) netip.AddrPort {
	if s == "" {
		return netip.AddrPort{}
	}
	return netip.MustParseAddrPort(s)
}

func readTuple(proto, s string) Tuple {
	src, dst, _ := strings.Cut(s, ">")
	return Tuple{Proto: proto, Src: addrPort(src), Dst: addrPort(dst)}
}

func readSpan(s string) span {
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		to = from
	}
	return span{t0.Add(seconds(from)), t0.Add(seconds(to))}
}

func seconds(s string) time.Duration {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return time.Duration(v*1000+0.5) * time.Millisecond
}

// confusion counts labelled pairs of an alert and a step. An alert that belongs
// to no step is one pair, with nothing.
type confusion struct {
	alerts, right     int // alerts; those whose set of steps is exactly the labelled one
	pairs             int // labelled pairs, those with nothing included
	tp, fp, fn, nones int
	wrong             []string
}

func (c *confusion) add(s *scene, id string, got []string) {
	want := s.labels[id]
	c.alerts++
	c.pairs += max(1, len(want))
	slices.Sort(got)
	if slices.Equal(got, want) {
		c.right++
	} else {
		c.wrong = append(c.wrong, fmt.Sprintf("scenes.txt:%d: joined to %v, labelled %v", s.lines[id], got, want))
	}
	if len(want) == 0 && len(got) == 0 {
		c.nones++
	}
	for _, g := range got {
		if slices.Contains(want, g) {
			c.tp++
		} else {
			c.fp++
		}
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			c.fn++
		}
	}
}

func (c *confusion) String() string {
	return fmt.Sprintf("%d of %d alerts right (%.1f %%); %d labelled pairs: joined rightly %d, to nothing rightly %d, wrongly %d, not %d; precision %.1f %%, recall %.1f %%",
		c.right, c.alerts, 100*float64(c.right)/float64(c.alerts), c.pairs, c.tp, c.nones, c.fp, c.fn,
		100*float64(c.tp)/float64(c.tp+c.fp), 100*float64(c.tp)/float64(c.tp+c.fn))
}

// byTimeOnly is the join that many tools do: whatever came in a step's window.
func byTimeOnly(s *scene, a *Alert, r Rules) []string {
	var got []string
	for _, st := range s.truth.Steps {
		if !a.raised().Before(st.Started) && !a.from().After(st.Ended.Add(limit(st.Expect, r))) {
			got = append(got, st.ID)
		}
	}
	return got
}

func TestJoinsOfLabelledScenes(t *testing.T) {
	var ours, naive confusion
	rules := DefaultRules()
	for _, s := range readScenes(t) {
		res := Evaluate(s.truth, Seen{Alerts: s.alerts}, rules)
		for _, a := range res.Alerts {
			ours.add(s, a.ID, slices.Clone(a.Steps))
		}
		for i := range s.alerts {
			naive.add(s, s.alerts[i].ID, byTimeOnly(s, &s.alerts[i], rules))
		}
	}
	t.Logf("by flow, host and user, token: %s", &ours)
	t.Logf("by time alone:                 %s", &naive)
	for _, w := range ours.wrong {
		t.Log(w)
	}
	if ours.pairs < 200 {
		t.Errorf("%d labelled pairs, want 200 or more", ours.pairs)
	}
	if 100*ours.right < 95*ours.alerts {
		t.Errorf("%d of %d alerts joined rightly, want 95 %%", ours.right, ours.alerts)
	}
	if 100*ours.tp < 95*(ours.tp+ours.fp) || 100*ours.tp < 95*(ours.tp+ours.fn) {
		t.Errorf("precision or recall of the pairs under 95 %%")
	}
}

// TestJoinsWithFieldsLost takes from the labelled scenes what real sensors often
// do not have. The labels stay, so some pairs can no longer be joined by anybody.
func TestJoinsWithFieldsLost(t *testing.T) {
	rules := DefaultRules()
	tests := []struct {
		name  string
		lose  func(r *Ref, n int)
		floor int // percent of alerts that must still be right
	}{
		{"no ids of records", func(r *Ref, _ int) { r.ID = "" }, 95},
		{"no users", func(r *Ref, _ int) { r.User = "" }, 80},
		{"no client ports", func(r *Ref, _ int) { r.Flow.Src = netip.AddrPortFrom(r.Flow.Src.Addr(), 0) }, 80},
		{"no hosts", func(r *Ref, _ int) { r.Host = "" }, 70},
		{"clocks off by 1.5 s, both ways", func(r *Ref, n int) { r.At = r.At.Add(time.Duration(n%3-1) * 1500 * time.Millisecond) }, 80},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ours, naive confusion
			for _, s := range readScenes(t) {
				for i := range s.alerts {
					for k := range s.alerts[i].Events {
						tt.lose(&s.alerts[i].Events[k], i+k)
					}
					naive.add(s, s.alerts[i].ID, byTimeOnly(s, &s.alerts[i], rules))
				}
				for _, a := range Evaluate(s.truth, Seen{Alerts: s.alerts}, rules).Alerts {
					ours.add(s, a.ID, slices.Clone(a.Steps))
				}
			}
			t.Log(&ours)
			if 100*ours.right < tt.floor*ours.alerts || ours.right <= naive.right {
				t.Errorf("%d of %d alerts right, by time alone %d; want at least %d %%", ours.right, ours.alerts, naive.right, tt.floor)
			}
		})
	}
}

// TestScenesInAnyOrder shuffles what arrives and draws new ids: what is said of the
// run must not change.
func TestScenesInAnyOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, s := range readScenes(t) {
		want := Evaluate(s.truth, Seen{Alerts: s.alerts}, DefaultRules())
		for range 10 {
			alerts := slices.Clone(s.alerts)
			drawn := map[string]string{}
			for i := range alerts {
				a := &alerts[i]
				id := strconv.FormatUint(rng.Uint64(), 10)
				drawn[id], a.ID = a.ID, id
				a.Events = slices.Clone(a.Events)
				rng.Shuffle(len(a.Events), func(i, j int) { a.Events[i], a.Events[j] = a.Events[j], a.Events[i] })
			}
			rng.Shuffle(len(alerts), func(i, j int) { alerts[i], alerts[j] = alerts[j], alerts[i] })
			got := Evaluate(s.truth, Seen{Alerts: alerts}, DefaultRules())
			if got.Score != want.Score || got.Met != want.Met || got.Missed != want.Missed || got.FalseAlarms != want.FalseAlarms {
				t.Fatalf("%s: score %v, met %d, missed %d, false alarms %d; before %v, %d, %d, %d", s.name,
					got.Score, got.Met, got.Missed, got.FalseAlarms, want.Score, want.Met, want.Missed, want.FalseAlarms)
			}
			for i := range got.Steps {
				g, w := &got.Steps[i], &want.Steps[i]
				if g.Category != w.Category || g.Status != w.Status || g.Share != w.Share || len(g.Joins) != len(w.Joins) {
					t.Errorf("%s: step %s: %s %s %v, before %s %s %v", s.name, g.ID, g.Category, g.Status, g.Share, w.Category, w.Status, w.Share)
				}
			}
			for _, a := range got.Alerts {
				i := slices.IndexFunc(want.Alerts, func(w AlertResult) bool { return w.ID == drawn[a.ID] })
				if w := want.Alerts[i]; a.Verdict != w.Verdict || !slices.Equal(a.Steps, w.Steps) {
					t.Errorf("%s: alert %s: %s %v, before %s %v", s.name, w.ID, a.Verdict, a.Steps, w.Verdict, w.Steps)
				}
			}
		}
	}
}
