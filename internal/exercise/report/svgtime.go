package report

import (
	"fmt"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// maxRows bounds the steps of the picture, maxMarks the alerts of one row.
const (
	maxRows  = 200
	maxMarks = 60
)

// timeline is the picture of what happened when, in the units of an SVG that is
// 1,000 wide.
type timeline struct {
	Height, Bottom int
	Rows           []timeRow
	Ticks, Cuts    []mark
	Alarms         []mark
	AlarmText      int
	Left           string
}

type timeRow struct {
	Y, TextY, BarY, WindowY   int
	X, W, WindowX, WindowW    string
	Label, Title, Class, Note string
	Ran                       bool
	Marks                     []mark
}

type mark struct {
	X, Path, Class, Text string
	Y                    int
}

const (
	rowHeight = 26
	axisTop   = 20
	axisLeft  = 210.0
	axisRight = 985.0
)

// scale puts a time on the axis.
type scale struct {
	from time.Time
	per  float64 // units a second
}

func newScale(r *Run) scale {
	from, to := r.Truth.Started, r.Truth.Ended
	for i := range r.Result.Steps {
		s := &r.Result.Steps[i]
		if s.Outcome == score.NotRun {
			continue
		}
		if from.IsZero() || s.Started.Before(from) {
			from = s.Started
		}
		if s.Ended.After(to) {
			to = s.Ended
		}
	}
	took := max(time.Second, to.Sub(from)).Seconds()
	return scale{from, (axisRight - axisLeft) / took}
}

func (s scale) x(t time.Time) float64 {
	return min(axisRight, max(axisLeft, axisLeft+t.Sub(s.from).Seconds()*s.per))
}

func (s scale) seconds() float64 { return (axisRight - axisLeft) / s.per }

func unit(v float64) string { return fmt.Sprintf("%.1f", v) }

func newTimeline(r *Run) timeline {
	sc := newScale(r)
	var t timeline
	steps := r.Result.Steps
	if len(steps) > maxRows {
		t.Left = fmt.Sprintf("%d more steps are listed below.", len(steps)-maxRows)
		steps = steps[:maxRows]
	}
	y := axisTop
	for i := range steps {
		t.Rows = append(t.Rows, newRow(&steps[i], sc, y))
		y += rowHeight
	}
	t.alarms(r, sc, y)
	if len(t.Alarms) > 0 {
		y += rowHeight
	}
	t.Bottom, t.Height = y, y+6
	t.Ticks = ticks(sc)
	for i := range r.Truth.Responses {
		d := &r.Truth.Responses[i]
		t.Cuts = append(t.Cuts, mark{X: unit(sc.x(d.At)), Text: fmt.Sprintf("%s %s at %s", d.What(), d.Done(), clockTime(d.At))})
	}
	return t
}

func newRow(s *score.StepResult, sc scale, y int) timeRow {
	row := timeRow{
		Y: y, TextY: y + 15, BarY: y + 7, WindowY: y + 2, Ran: s.Outcome != score.NotRun, Class: string(s.Status),
		Label: clip(s.ID+" "+orElse(s.Name, s.Technique), 32),
		Title: fmt.Sprintf("%s %s %s, %s to %s: %s", s.ID, s.Technique, s.Name, clockTime(s.Started), clockTime(s.Ended), seenWord(s)),
		X:     unit(axisLeft + 4), Note: seenWord(s),
	}
	if !row.Ran {
		return row
	}
	from, to := sc.x(s.Started), sc.x(s.Ended)
	limit := to
	if s.Status != score.NotAsked {
		limit = max(to, sc.x(s.Started.Add(s.Within.Duration())))
	}
	row.X, row.W = unit(from), unit(max(3, to-from))
	row.WindowX, row.WindowW = unit(from), unit(max(3, limit-from))
	for i := range s.Joins {
		j := &s.Joins[i]
		if i == maxMarks {
			break
		}
		m := mark{X: unit(sc.x(j.Seen)), Y: y + 11, Class: fmt.Sprintf("m%d", j.Category), Text: fmt.Sprintf("%s: %s, after %s", j.RuleName, j.Category, span(&j.After))}
		if j.Late {
			m.Class, m.Text = "late", m.Text+", too late"
		}
		row.Marks = append(row.Marks, m)
	}
	return row
}

func (t *timeline) alarms(r *Run, sc scale, y int) {
	t.AlarmText = y + 15
	for i := range r.Result.Alerts {
		a := &r.Result.Alerts[i]
		if a.Verdict != score.False || len(t.Alarms) == 3*maxMarks {
			continue
		}
		x := sc.x(a.First)
		t.Alarms = append(t.Alarms, mark{
			Path: fmt.Sprintf("M%.1f %dl8 8m0 -8l-8 8", x-4, y+7),
			Text: fmt.Sprintf("%s at %s", a.RuleName, clockTime(a.First)),
		})
	}
}

// tickSteps are the distances between ticks, in seconds, that people count in.
var tickSteps = [...]float64{1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400, 604800}

func ticks(sc scale) []mark {
	step := tickSteps[len(tickSteps)-1]
	for _, s := range tickSteps {
		if sc.seconds()/s <= 8 {
			step = s
			break
		}
	}
	step = max(step, sc.seconds()/50)
	var out []mark
	for at := 0.0; at <= sc.seconds(); at += step {
		d := time.Duration(at * float64(time.Second))
		out = append(out, mark{X: unit(axisLeft + at*sc.per), Text: "+" + shortSpan(d)})
	}
	return out
}

// shortSpan is d for an axis: 45s, 12m, 3h30m.
func shortSpan(d time.Duration) string {
	d = d.Round(time.Second)
	h, m, s := int(d.Hours()), int(d.Minutes())%60, int(d.Seconds())%60
	switch {
	case h == 0 && m == 0:
		return fmt.Sprintf("%ds", s)
	case h == 0 && s == 0:
		return fmt.Sprintf("%dm", m)
	case h == 0:
		return fmt.Sprintf("%dm%ds", m, s)
	case m == 0:
		return fmt.Sprintf("%dh", h)
	}
	return fmt.Sprintf("%dh%dm", h, m)
}

// clip shortens s to n characters.
func clip(s string, n int) string {
	r := []rune(s)
	if len(r) <= n {
		return s
	}
	return string(r[:n-1]) + "…"
}
