package report

import (
	"fmt"
	"io"
	"slices"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Difference is what changed from one run to another.
type Difference struct {
	Before, After string // exercises
	Score         float64
	FalseAlarms   int
	Worse         []Change
	Better        []Change
	Gone, New     []string // steps that did not run any more, or did not run before
	Unlike        string   // why the two can hardly be compared; empty: they can
}

// Change is one step that was seen otherwise.
type Change struct {
	Step string
	Text string
}

// Compare says what changed from before to after. A step is worse when its
// expectation is no longer met, its category fell, or it was detected more than
// twice as late and by more than a second.
func Compare(before, after *Run) Difference {
	d := Difference{
		Before: before.Truth.Exercise, After: after.Truth.Exercise,
		Score:       after.Result.Score - before.Result.Score,
		FalseAlarms: after.Result.FalseAlarms - before.Result.FalseAlarms,
	}
	if before.Truth.Scenario != after.Truth.Scenario {
		d.Unlike = fmt.Sprintf("they are of two scenarios: %s and %s", before.Truth.Scenario, after.Truth.Scenario)
	} else if before.Truth.Seed != after.Truth.Seed {
		d.Unlike = fmt.Sprintf("their seeds differ: %d and %d", before.Truth.Seed, after.Truth.Seed)
	}
	old := map[string]*score.StepResult{}
	for i := range before.Result.Steps {
		old[before.Result.Steps[i].ID] = &before.Result.Steps[i]
	}
	for i := range after.Result.Steps {
		now := &after.Result.Steps[i]
		was := old[now.ID]
		delete(old, now.ID)
		if !ran(was) || !ran(now) {
			if ran(now) {
				d.New = append(d.New, now.ID)
			} else if ran(was) {
				d.Gone = append(d.Gone, now.ID)
			}
			continue
		}
		text, worth := change(was, now)
		if worth < 0 {
			d.Worse = append(d.Worse, Change{now.ID, text})
		} else if worth > 0 {
			d.Better = append(d.Better, Change{now.ID, text})
		}
	}
	for id, was := range old {
		if ran(was) {
			d.Gone = append(d.Gone, id)
		}
	}
	slices.Sort(d.Gone)
	return d
}

// ran says whether a step acted, or was kept from it by the defence: of another
// nothing is known.
func ran(s *score.StepResult) bool {
	return s != nil && (s.Outcome != score.NotRun || s.Status == score.Prevented)
}

// change says how a step is seen now; worth is under 0 for worse.
func change(was, now *score.StepResult) (text string, worth int) {
	missed := func(s *score.StepResult) int {
		if s.Status == score.Missed {
			return 1
		}
		return 0
	}
	switch {
	case missed(was) != missed(now):
		return fmt.Sprintf("%s, was %s (%s)", now.Status, was.Status, now.Reasons[len(now.Reasons)-1].Text), missed(was) - missed(now)
	case was.Category != now.Category:
		return fmt.Sprintf("%s, was %s", now.Category, was.Category), int(now.Category) - int(was.Category)
	case was.TimeToDetect == nil || now.TimeToDetect == nil:
		return "", 0
	}
	a, b := *was.TimeToDetect, *now.TimeToDetect
	text = fmt.Sprintf("detected after %s, was %s", span(&b), span(&a))
	switch {
	case b > 2*a && b-a > 1000:
		return text, -1
	case a > 2*b && a-b > 1000:
		return text, 1
	}
	return "", 0
}

// Regressed says whether d is worse anywhere: a step, or more false alarms.
func (d *Difference) Regressed() bool {
	return len(d.Worse) > 0 || len(d.Gone) > 0 || d.FalseAlarms > 0
}

// Write writes d for a terminal.
func (d *Difference) Write(w io.Writer) error {
	p := &printer{w: w}
	p.line("%s, compared with %s: score %+.1f, false alarms %+d", d.After, d.Before, d.Score, d.FalseAlarms)
	if d.Unlike != "" {
		p.line("  beware: %s", d.Unlike)
	}
	for _, c := range d.Worse {
		p.line("  worse   %s: %s", c.Step, c.Text)
	}
	for _, c := range d.Better {
		p.line("  better  %s: %s", c.Step, c.Text)
	}
	for _, id := range d.Gone {
		p.line("  gone    %s", id)
	}
	for _, id := range d.New {
		p.line("  new     %s", id)
	}
	if len(d.Worse)+len(d.Better)+len(d.Gone)+len(d.New) == 0 {
		p.line("  every step is seen as before")
	}
	return p.err
}

// printer keeps the first error.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = io.WriteString(p.w, plain(fmt.Sprintf(format, args...))+"\n")
	}
}
