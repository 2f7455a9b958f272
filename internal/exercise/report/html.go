package report

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

//go:embed page.html.tmpl
var pageText string

// maxListed bounds a list of the page; the JSON has all.
const maxListed = 200

// page is what the template shows.
type page struct {
	StyleHash, Title, When string
	Run                    *Run
	Result                 *score.Result
	Hosts                  int
	Say                    []string
	Cards, Figures         []figure
	Gaps                   []gap
	Time                   timeline
	Map                    netMap
	Steps                  []stepView
	Matrix                 []tacticView
	Parts                  []partView
	Alarms                 []alarmView
	AlarmsLeft             string
	Rules                  []ruleView
	Percents, TimeRule     string
}

type figure struct{ Name, Value, Note string }

type gap struct{ ID, Name, Technique, Text string }

type stepView struct {
	S                                                   *score.StepResult
	Name, Seen, Class, Status, StatusClass, Points, Way string
	Joins                                               []joinView
}

type joinView struct {
	J                  *score.Join
	Class, Says, After string
}

type tacticView struct {
	Name, Sum string
	Cells     []cell
}

type cell struct{ ID, Name, Text, Class string }

type partView struct {
	Name, Points, Max, More string
	Reasons                 []reasonView
}

type reasonView struct{ Text, Points, Evidence string }

type alarmView struct {
	A         *score.AlertResult
	At, About string
}

type ruleView struct {
	Name, Steps, Wanted string
	True, False         int
}

// HTML writes the report as one page without scripts or anything to fetch. Its
// only style is allowed by hash, so it shows under the strictest policy.
func HTML(w io.Writer, r *Run) error {
	t, err := template.New("page").Parse(pageText)
	if err != nil {
		return fmt.Errorf("page of the report: %w", err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, newPage(r)); err != nil {
		return fmt.Errorf("page of the report: %w", err)
	}
	// Foreign text is escaped by now; what turns the direction of text or is
	// not to be seen goes too.
	_, err = w.Write(bytes.Map(visible, b.Bytes()))
	return err
}

// StyleHash is the source expression that a Content-Security-Policy needs for
// the page's style: sha256-....
func StyleHash() string {
	_, rest, _ := strings.Cut(pageText, "<style>")
	css, _, _ := strings.Cut(rest, "</style>")
	sum := sha256.Sum256([]byte(css))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func newPage(r *Run) *page {
	p := &page{
		StyleHash: StyleHash(), Title: orElse(r.Truth.Name, orElse(r.Truth.Scenario, "Exercise")),
		When: r.Truth.Started.UTC().Format("2006-01-02 15:04") + " UTC", Run: r, Result: &r.Result, Hosts: r.hosts(),
		Say: say(r), Time: newTimeline(r), Map: newMap(r), Matrix: matrix(&r.Result),
	}
	p.figures(r)
	for i := range r.Result.Steps {
		s := &r.Result.Steps[i]
		p.Steps = append(p.Steps, newStepView(s))
		if s.Status == score.Missed || s.Status == score.Untried {
			p.Gaps = append(p.Gaps, gap{s.ID, orElse(s.Name, s.Technique), s.Technique, missedText(s)})
		}
	}
	for i := range r.Result.Parts {
		p.Parts = append(p.Parts, newPartView(&r.Result.Parts[i]))
	}
	for i := range r.Result.Alerts {
		a := &r.Result.Alerts[i]
		if a.Verdict == score.False && len(p.Alarms) < maxListed {
			p.Alarms = append(p.Alarms, alarmView{a, clockTime(a.First), strings.Join(slices.DeleteFunc([]string{a.Source, a.Host, a.User}, func(s string) bool { return s == "" }), ", ")})
		}
	}
	if left := r.Result.FalseAlarms - len(p.Alarms); left > 0 {
		p.AlarmsLeft = fmt.Sprintf("%d more are in the JSON.", left)
	}
	for _, u := range r.Result.Rules {
		p.Rules = append(p.Rules, ruleView{orElse(u.Name, u.ID), strings.Join(u.Steps, ", "), strings.Join(u.Wanted, ", "), u.True, u.False})
	}
	var worth []string
	for c, v := range r.Rules.Percent {
		worth = append(worth, fmt.Sprintf("%g %% for %s", v, score.Category(c)))
	}
	p.Percents = strings.Join(worth, ", ")
	p.TimeRule = fmt.Sprintf("An alert within %s keeps all of it, one after %s nothing, in between it falls in a straight line.", shortSpan(r.Rules.FullUntil), shortSpan(r.Rules.ZeroAt))
	return p
}

// missedText says why a step was missed: all reasons but the one for its category.
func missedText(s *score.StepResult) string {
	var all []string
	for _, why := range s.Reasons[min(1, len(s.Reasons)-1):] {
		all = append(all, why.Text)
	}
	return strings.Join(all, "; ")
}

// say is the result in sentences.
func say(r *Run) []string {
	res, m := &r.Result, &r.Result.Metrics
	var out []string
	switch {
	case res.Expected == 0:
		out = append(out, "The adversary took "+many(m.Steps, "step")+"; no detection was expected.")
	case res.Met == res.Expected:
		out = append(out, fmt.Sprintf("The adversary took %s. All %d expected detections came in time.", many(m.Steps, "step"), res.Expected))
	default:
		out = append(out, fmt.Sprintf("The adversary took %s. %d of %d expected detections came in time; %d did not.", many(m.Steps, "step"), res.Met, res.Expected, res.Missed))
	}
	if p := r.Truth.Policy; p != nil {
		out = append(out, fmt.Sprintf("A policy (%s from level %s) decided without people: %s, %d proposed, %d observed, %d held back; %s came to nothing.",
			p.Mode, p.From, many(p.Blocked, "block"), p.Proposed, p.Observed, p.NotBlocked, many(res.Prevented, "step")))
	}
	if left := notRun(res); left != "" {
		out = append(out, strings.ToUpper(left[:1])+left[1:]+".")
	}
	if m.Undetected > 0 {
		out = append(out, many(m.Undetected, "step")+" raised no alert in time.")
	}
	if m.TimeToDetectMedian != nil {
		out = append(out, fmt.Sprintf("Half of the steps were detected within %s.", span(m.TimeToDetectMedian)))
	}
	return append(out, "False alarms: "+strconv.Itoa(res.FalseAlarms)+".")
}

func (p *page) figures(r *Run) {
	res, m := &r.Result, &r.Result.Metrics
	p.Cards = []figure{
		{"expected detections met", fmt.Sprintf("%d of %d", res.Met, res.Expected), ""},
		{"steps with an alert", percent(m.AnalyticCoverage), ""},
		{"steps named by technique", percent(m.TechniqueCoverage), ""},
		{"median time to detect", span(m.TimeToDetectMedian), ""},
		{"false alarms", strconv.Itoa(res.FalseAlarms), ""},
		{"services available", percentOf(m.Availability), ""},
	}
	p.Figures = []figure{
		{"Visibility", percent(m.Visibility), "steps of which at least a record was kept"},
		{"Analytic coverage", percent(m.AnalyticCoverage), "steps with an alert in time"},
		{"Tactic coverage", percent(m.TacticCoverage), "steps with an alert that names the tactic, or the technique"},
		{"Technique coverage", percent(m.TechniqueCoverage), "steps with an alert that names the technique"},
		{"Time to detect, median", span(m.TimeToDetectMedian), "of all steps, the undetected ones last; -: half were not detected"},
		{"Time to detect, 90th percentile", span(m.TimeToDetectP90), "likewise"},
		{"Precision", percentOf(m.Precision), fmt.Sprintf("%d alerts right, %d false, %d about a trainee's own acts", m.TrueAlerts, res.FalseAlarms, m.NeutralAlerts)},
		{"False alarms an hour", numberOf(m.FalseAlarmsPerHour), fmt.Sprintf("in %s hours with %d harmless acts in the background", number(m.Hours), m.BenignActs)},
		{"Alerts a step", number(m.AlertsPerStep), "how loud it was"},
		{"Records a step", number(m.EventsPerStep), ""},
		{"Availability", percentOf(m.Availability), "mean of the watched services"},
		{"Responses that should be", fmt.Sprintf("%d of %d", m.Contained, m.ContainGoals), "slowest after " + span(m.TimeToAct)},
		{"Responses without a reason", strconv.Itoa(len(m.WrongHosts)), strings.Join(m.WrongHosts, ", ")},
		{"Packets dropped", strconv.FormatInt(r.Truth.Dropped, 10), "by full queues, links and tables of the virtual network"},
		{"Records passed over", strconv.FormatInt(r.Truth.PassedOver, 10), "of trainees' own doings, beyond a person's share"},
	}
}

// statusWords are the statuses for people.
var statusWords = map[score.Status]string{
	score.Met: "expectation met", score.Missed: "missed", score.Prevented: "prevented", score.NotAsked: "nothing expected", score.Untried: "not run",
}

func newStepView(s *score.StepResult) stepView {
	v := stepView{
		S: s, Name: orElse(s.Name, orElse(s.TechniqueName, s.Technique)), Seen: seenWord(s), Class: fmt.Sprintf("k%d", s.Category),
		Status: orElse(statusWords[s.Status], string(s.Status)), Points: points(s.Points, s.Max) + " points",
	}
	switch s.Status {
	case score.Missed:
		v.StatusClass = "bad"
	case score.Prevented:
		v.StatusClass, v.Class = "ok", "ok"
	case score.NotAsked, score.Untried:
		v.StatusClass = "dim"
	default:
		v.StatusClass = "ok"
	}
	if s.Max == 0 {
		v.Points = ""
	}
	way := []string{orElse(s.From, "?") + " → " + orElse(s.To, "?")}
	if s.Action != "" {
		way = append(way, s.Action)
	}
	if s.Outcome != score.NotRun {
		way = append(way, clockTime(s.Started)+" to "+clockTime(s.Ended), many(s.Flows, "connection"), many(s.Events, "record"))
	}
	if s.Note != "" {
		way = append(way, string(s.Outcome)+": "+s.Note)
	}
	if e := expectedWord(s); e != "-" {
		way = append(way, fmt.Sprintf("expected: %s within %s", e, span(&s.Within)))
	}
	v.Way = strings.Join(way, " · ")
	for i := range s.Joins {
		j := &s.Joins[i]
		jv := joinView{j, fmt.Sprintf("k%d", j.Category), j.Category.String(), span(&j.After)}
		if j.Late {
			jv.Class, jv.Says = "dim", j.Category.String()+", too late"
		}
		v.Joins = append(v.Joins, jv)
	}
	return v
}

// tacticOrder is that of the matrices of ATT&CK.
var tacticOrder = [...]string{
	"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation", "defense-evasion", "evasion",
	"credential-access", "discovery", "lateral-movement", "collection", "command-and-control", "exfiltration",
	"inhibit-response-function", "impair-process-control", "impact",
}

func matrix(res *score.Result) []tacticView {
	order := func(id string) int {
		if i := slices.Index(tacticOrder[:], id); i >= 0 {
			return i
		}
		return len(tacticOrder)
	}
	tactics := slices.Clone(res.Tactics)
	slices.SortFunc(tactics, func(a, b score.Coverage) int { return cmp.Or(order(a.ID)-order(b.ID), cmp.Compare(a.ID, b.ID)) })
	var out []tacticView
	for _, t := range tactics {
		v := tacticView{Name: orElse(strings.ReplaceAll(t.ID, "-", " "), "no tactic"), Sum: fmt.Sprintf("%s, %g %%", many(len(t.Steps), "step"), t.Percent)}
		for _, c := range res.Techniques {
			if slices.Contains(c.Tactics, t.ID) {
				v.Cells = append(v.Cells, cell{c.ID, c.Name, fmt.Sprintf("%s (%s)", c.Best, strings.Join(c.Steps, ", ")), fmt.Sprintf("k%d", c.Best)})
			}
		}
		out = append(out, v)
	}
	return out
}

func newPartView(p *score.Part) partView {
	v := partView{Name: partWord(p.Name), Points: fmt.Sprintf("%.1f", p.Points), Max: fmt.Sprintf("%.1f", p.Max)}
	if !p.Played {
		v.Points, v.Max = "-", "-"
	} else if p.Max == 0 {
		v.Max = ""
	}
	for i, why := range p.Reasons {
		if i == maxListed {
			v.More = fmt.Sprintf("%d more are in the JSON.", len(p.Reasons)-maxListed)
			break
		}
		rv := reasonView{Text: why.Text, Evidence: strings.Join(why.Evidence, " ")}
		if p.Played {
			rv.Points = fmt.Sprintf("%+.1f", why.Points)
		}
		v.Reasons = append(v.Reasons, rv)
	}
	return v
}
