package report

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// Table writes the result for a terminal: a line for each step, what was missed
// and why, the parts, the false alarms.
func Table(w io.Writer, r *Run) error {
	var b bytes.Buffer
	res := &r.Result
	tw := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	row(tw, "STEP", "TECHNIQUE", "SEEN", "EXPECTED", "TIME", "POINTS", "BY")
	for i := range res.Steps {
		s := &res.Steps[i]
		by := strings.Join(rulesOf(s), ", ")
		switch s.Status {
		case score.Missed:
			by = strings.TrimSpace("MISSED " + by)
		case score.Untried:
			by = "NOT RUN"
		}
		row(tw, s.ID, s.Technique, seenWord(s), expectedWord(s), span(s.TimeToDetect), points(s.Points, s.Max), by)
	}
	_ = tw.Flush()
	for i := range res.Steps {
		s := &res.Steps[i]
		if s.Status != score.Missed && s.Status != score.Untried {
			continue
		}
		for _, why := range s.Reasons {
			fmt.Fprintf(&b, "  %s: %s\n", plain(s.ID), plain(why.Text))
		}
	}
	b.WriteByte('\n')
	tw = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, p := range res.Parts {
		switch {
		case !p.Played:
			row(tw, partWord(p.Name), "-", p.Reasons[0].Text)
		case p.Max == 0:
			row(tw, partWord(p.Name), fmt.Sprintf("%.1f", p.Points), "")
		default:
			row(tw, partWord(p.Name), fmt.Sprintf("%.1f", p.Points), fmt.Sprintf("of %.1f", p.Max))
		}
	}
	_ = tw.Flush()
	for i := range res.Alerts {
		if a := &res.Alerts[i]; a.Verdict == score.False {
			fmt.Fprintf(&b, "  false alarm %s at %s: %s\n", plain(a.RuleName), clockTime(a.First), plain(a.Why))
		}
	}
	fmt.Fprintf(&b, "\nscore %.1f: %d of %d expected detections met, %d missed; %s; %s, %d packets; seed %d\n",
		res.Score, res.Met, res.Expected, res.Missed, many(res.FalseAlarms, "false alarm"), many(r.hosts(), "host"), r.Truth.Packets, r.Truth.Seed)
	writePolicy(&b, r)
	if left := notRun(res); left != "" {
		fmt.Fprintf(&b, "%s\n", left)
	}
	if res.Prevented > 0 {
		fmt.Fprintf(&b, "%s prevented by what was done in time\n", many(res.Prevented, "step"))
	}
	if r.Truth.Dropped > 0 {
		fmt.Fprintf(&b, "%d packets were dropped by full queues: what they carried was not seen\n", r.Truth.Dropped)
	}
	if r.Truth.PassedOver > 0 {
		fmt.Fprintf(&b, "%d records of trainees' own doings were passed over: they were beyond a person's share\n", r.Truth.PassedOver)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// writePolicy says what a policy decided.
func writePolicy(b *bytes.Buffer, r *Run) {
	p := r.Truth.Policy
	if p == nil {
		return
	}
	fmt.Fprintf(b, "policy %s from level %s: %s, %d proposed, %d observed, %d held back\n", p.Mode, p.From, many(p.Blocked, "block"), p.Proposed, p.Observed, p.NotBlocked)
	tw := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for i := range p.Decisions {
		d := &p.Decisions[i]
		row(tw, "  "+clockTime(d.At), d.Mode, d.Prefix.String(), orElse(d.Host, "-"), (time.Duration(d.Seconds) * time.Second).String(), d.Rule)
	}
	_ = tw.Flush()
}

// row writes cells; w is a tabwriter over a buffer, so it does not fail.
func row(w *tabwriter.Writer, cells ...string) {
	for i := range cells {
		cells[i] = plain(cells[i])
	}
	_, _ = io.WriteString(w, strings.Join(cells, "\t")+"\n")
}

// seenWord is the category, or why there is none.
func seenWord(s *score.StepResult) string {
	switch {
	case s.Status == score.Prevented:
		return "prevented"
	case s.Outcome == score.NotRun:
		return "not run"
	case s.Silent:
		return "-"
	}
	return s.Category.String()
}

func expectedWord(s *score.StepResult) string {
	if s.Expected == score.None && len(s.Detections) == 0 {
		return "-"
	}
	if s.Expected == score.None {
		return "rules"
	}
	return s.Expected.String()
}

func partWord(name string) string { return strings.ReplaceAll(name, "_", " ") }

func points(got, highest float64) string {
	if highest == 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f/%.1f", got, highest)
}
