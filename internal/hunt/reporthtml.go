package hunt

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"sort"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

//go:embed report.html
var reportPage string

// What the HTML report keeps of each rule and of the whole; it does not grow
// with the input.
const (
	maxExamples = 5
	maxHosts    = 20
	maxHours    = 24 * 366
)

// HTMLReport gathers the findings by rule and writes one page that needs
// nothing from outside.
type HTMLReport struct {
	w      io.Writer
	now    time.Time
	rules  map[*sigma.Rule]*ruleFindings
	hosts  map[string]int
	hours  map[int64]*[6]int
	levels [6]int
	first  int64
	last   int64
}

type ruleFindings struct {
	Rule        *sigma.Rule
	License     string
	Count       int
	First, Last int64
	Hosts       map[string]int
	Examples    []Match
}

// NewHTMLReport makes a report on w, dated now.
func NewHTMLReport(w io.Writer, now time.Time) *HTMLReport {
	return &HTMLReport{w: w, now: now, rules: map[*sigma.Rule]*ruleFindings{}, hosts: map[string]int{}, hours: map[int64]*[6]int{}}
}

// Match gathers one match.
func (r *HTMLReport) Match(m *Match) error {
	f := r.rules[m.Rule]
	if f == nil {
		f = &ruleFindings{Rule: m.Rule, License: m.License, Hosts: map[string]int{}}
		r.rules[m.Rule] = f
	}
	f.Count++
	r.levels[m.Rule.Level]++
	count(f.Hosts, m.Computer, maxHosts)
	count(r.hosts, m.Computer, 1000)
	if len(f.Examples) < maxExamples {
		f.Examples = append(f.Examples, *m)
	}
	if m.Time == 0 {
		return nil
	}
	widen(&f.First, &f.Last, m.Time)
	widen(&r.first, &r.last, m.Time)
	hour := m.Time / int64(time.Hour)
	h := r.hours[hour]
	if h == nil && len(r.hours) < maxHours {
		h = new([6]int)
		r.hours[hour] = h
	}
	if h != nil {
		h[m.Rule.Level]++
	}
	return nil
}

func count(m map[string]int, key string, limit int) {
	if _, ok := m[key]; key != "" && (ok || len(m) < limit) {
		m[key]++
	}
}

func widen(first, last *int64, t int64) {
	if *first == 0 || t < *first {
		*first = t
	}
	*last = max(*last, t)
}

// page is what the template shows.
type page struct {
	Now, First, Last    string
	Verdict             string
	Stats               []stat
	Levels              []levelRow
	Hosts               []hostRow
	Bars                []bar
	Rules               []ruleRow
	Records, Files      int64
	RuleCount, Refused  int
	Damaged             int64
	Partial             bool
	Step, Top           string
	Width               int
	FirstHour, LastHour string
}

type stat struct {
	N    int64
	Name string
}

type levelRow struct {
	Name  string
	Count int
}

type hostRow struct {
	Name  string
	Count int
}

type bar struct {
	X, W, Y, H int
	Level      string
	Title      string
}

type ruleRow struct {
	Title, Level, ID, Author, License, Description string
	Count                                          int
	First, Last, Hosts                             string
	Techniques, References, FalsePositives         []string
	Examples                                       []exampleRow
}

type exampleRow struct{ Time, Where, Details, Event string }

// Summary writes the page.
func (r *HTMLReport) Summary(h *Hunt) error {
	t, err := template.New("report").Parse(reportPage)
	if err != nil {
		return err
	}
	s := &h.Stats
	p := page{
		Now: r.now.UTC().Format("2006-01-02 15:04 UTC"), First: readable(r.first), Last: readable(r.last), Partial: h.Partial(), Records: s.Records.Load(), Files: s.Files.Load(),
		RuleCount: len(h.cfg.Rules.Engine.Rules()), Refused: h.cfg.Rules.Set.Refused(), Damaged: s.Damaged.Load(), Verdict: r.verdict(),
	}
	for l := sigma.Critical; ; l-- {
		name := l.String()
		if l == sigma.NoLevel {
			name = "no level"
		}
		p.Levels = append(p.Levels, levelRow{name, r.levels[l]})
		if l == sigma.NoLevel {
			break
		}
	}
	for name, n := range r.hosts {
		p.Hosts = append(p.Hosts, hostRow{Plain(name, 80), n})
	}
	sort.Slice(p.Hosts, func(i, j int) bool {
		return p.Hosts[i].Count > p.Hosts[j].Count || p.Hosts[i].Count == p.Hosts[j].Count && p.Hosts[i].Name < p.Hosts[j].Name
	})
	p.Hosts = p.Hosts[:min(len(p.Hosts), maxHosts)]
	r.bars(&p)
	p.Rules = r.rows()
	return t.Execute(r.w, p)
}

// verdict is the sentence for who reads no further.
func (r *HTMLReport) verdict() string {
	total := 0
	for _, n := range r.levels {
		total += n
	}
	bad := r.levels[sigma.Critical] + r.levels[sigma.High]
	switch {
	case total == 0:
		return "Nothing was found that the rules describe."
	case bad == 0:
		return findings(total) + ", none of them high or critical: mostly things to know about."
	case r.levels[sigma.Critical] > 0:
		return fmt.Sprintf("%s, %d of them critical and %d high. Look at the critical ones now: they describe what intruders do and administrators hardly ever.", findings(total), r.levels[sigma.Critical], r.levels[sigma.High])
	}
	return fmt.Sprintf("%s, %d of them high. Look at these today.", findings(total), bad)
}

// findings is a number of them in words.
func findings(n int) string {
	if n == 1 {
		return "1 finding"
	}
	return fmt.Sprintf("%d findings", n)
}

// readable is a time for people, to the second.
func readable(t int64) string {
	if t == 0 {
		return ""
	}
	return time.Unix(0, t).UTC().Format("2006-01-02 15:04:05 UTC")
}

// duration is how long a number of hours is.
func duration(hours int64) string {
	switch {
	case hours == 1:
		return "an hour"
	case hours < 48:
		return fmt.Sprintf("%d hours", hours)
	}
	return fmt.Sprintf("%d days", hours/24)
}

// bars draws the findings over time, in at most 120 columns.
func (r *HTMLReport) bars(p *page) {
	if len(r.hours) == 0 {
		return
	}
	from, to := r.first/int64(time.Hour), r.last/int64(time.Hour)
	step := (to-from)/120 + 1
	cols := map[int64]*[6]int{}
	top := 1
	for hour, n := range r.hours {
		c := cols[(hour-from)/step]
		if c == nil {
			c = new([6]int)
			cols[(hour-from)/step] = c
		}
		sum := 0
		for l := range n {
			c[l] += n[l]
			sum += c[l]
		}
		top = max(top, sum)
	}
	const width, height = 7, 120
	p.Width = int((to-from)/step+1) * width
	p.FirstHour, p.LastHour = readable(from * int64(time.Hour))[:16], readable(to * int64(time.Hour))[:16]
	p.Step, p.Top = duration(step), findings(top)
	for x := int64(0); x <= (to-from)/step; x++ {
		c := cols[x]
		y := height
		for l := sigma.NoLevel; c != nil && l <= sigma.Critical; l++ {
			if c[l] == 0 {
				continue
			}
			h := max(1, c[l]*height/top)
			y -= h
			p.Bars = append(p.Bars, bar{int(x) * width, width - 1, y, h, l.String(), fmt.Sprintf("%s h: %d %s", readable((from + x*step) * int64(time.Hour))[:13], c[l], l)})
		}
	}
}

func (r *HTMLReport) rows() []ruleRow {
	list := make([]*ruleFindings, 0, len(r.rules))
	for _, f := range r.rules {
		list = append(list, f)
	}
	sort.Slice(list, func(i, j int) bool {
		a, b := list[i], list[j]
		if a.Rule.Level != b.Rule.Level {
			return a.Rule.Level > b.Rule.Level
		}
		if a.Count != b.Count {
			return a.Count > b.Count
		}
		return a.Rule.Title < b.Rule.Title
	})
	rows := make([]ruleRow, 0, len(list))
	for _, f := range list {
		row := ruleRow{
			Title: f.Rule.Title, Level: f.Rule.Level.String(), ID: f.Rule.ID, Author: f.Rule.Author, License: f.License, Description: f.Rule.Description,
			Count: f.Count, First: readable(f.First), Last: readable(f.Last), Techniques: Techniques(f.Rule), References: f.Rule.References, FalsePositives: f.Rule.FalsePositives,
		}
		var hosts []string
		for name := range f.Hosts {
			hosts = append(hosts, Plain(name, 60))
		}
		sort.Strings(hosts)
		row.Hosts = strings.Join(hosts, ", ")
		for i := range f.Examples {
			m := &f.Examples[i]
			where := Plain(m.File, 0)
			if !m.Correlation {
				where = fmt.Sprintf("%s, record %d", where, m.Record)
			}
			row.Examples = append(row.Examples, exampleRow{readable(m.Time), where, Plain(m.Details, 0), Plain(string(m.Event), 4000)})
		}
		rows = append(rows, row)
	}
	return rows
}
