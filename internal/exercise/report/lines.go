package report

import (
	"io"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// stepLine is one step of `lapwing range run --json`.
type stepLine struct {
	ID           string                  `json:"id"`
	Name         string                  `json:"name,omitempty"`
	Technique    string                  `json:"technique"`
	Tactic       string                  `json:"tactic"`
	Started      *time.Time              `json:"started"` // null: it did not run
	Outcome      score.Outcome           `json:"outcome"`
	Category     score.Category          `json:"category"`
	Expected     score.Category          `json:"expected"`
	Status       score.Status            `json:"status"`
	Alerts       []string                `json:"alerts"`
	Rules        []string                `json:"rules"`
	TimeToDetect *score.Millis           `json:"time_to_detect_ms"`
	TimeToBlock  *score.Millis           `json:"time_to_block_ms,omitempty"`
	Detections   []score.DetectionResult `json:"detections,omitempty"`
	Events       int                     `json:"events"`
	Points       float64                 `json:"points"`
	Max          float64                 `json:"max"`
	Reasons      []score.Reason          `json:"reasons"`
}

// summaryLine is the last one.
type summaryLine struct {
	Summary     bool          `json:"summary"`
	Exercise    string        `json:"exercise"`
	Scenario    string        `json:"scenario"`
	Seed        uint64        `json:"seed"`
	Score       float64       `json:"score"`
	Expected    int           `json:"expected"`
	Met         int           `json:"met"`
	Missed      int           `json:"missed"`
	NotRun      int           `json:"not_run"`
	Bounds      *score.Bounds `json:"score_bounds,omitempty"` // of the score, with the steps that did not run
	Prevented   int           `json:"prevented"`
	FalseAlarms int           `json:"false_alarms"`
	Hosts       int           `json:"hosts"`
	Packets     int64         `json:"packets"`
	Policy      *score.Policy `json:"policy,omitempty"`
	Dropped     int64         `json:"dropped"`
	PassedOver  int64         `json:"passed_over"`
	Parts       []score.Part  `json:"parts"`
	Metrics     score.Metrics `json:"metrics"`
}

// Lines writes one JSON object for each step and a last one with the sums.
func Lines(w io.Writer, r *Run) error {
	for i := range r.Result.Steps {
		s := &r.Result.Steps[i]
		l := stepLine{
			ID: s.ID, Name: s.Name, Technique: s.Technique, Tactic: s.Tactic, Outcome: s.Outcome,
			Category: s.Category, Expected: s.Expected, Status: s.Status, Alerts: s.Alerts(), Rules: rulesOf(s),
			TimeToDetect: s.TimeToDetect, TimeToBlock: s.TimeToBlock, Detections: s.Detections, Events: s.Events,
			Points: s.Points, Max: s.Max, Reasons: s.Reasons,
		}
		if !s.Started.IsZero() {
			l.Started = &s.Started
		}
		if err := line(w, l); err != nil {
			return err
		}
	}
	res := &r.Result
	return line(w, summaryLine{
		Summary: true, Exercise: r.Truth.Exercise, Scenario: r.Truth.Scenario, Seed: r.Truth.Seed,
		Score: res.Score, Expected: res.Expected, Met: res.Met, Missed: res.Missed, NotRun: res.NotRun, Bounds: res.Bounds, Prevented: res.Prevented, FalseAlarms: res.FalseAlarms,
		Hosts: r.hosts(), Packets: r.Truth.Packets, Policy: r.Truth.Policy, Dropped: r.Truth.Dropped, PassedOver: r.Truth.PassedOver, Parts: res.Parts, Metrics: res.Metrics,
	})
}

func (r *Run) hosts() int { return max(r.Truth.HostsAll, len(r.Truth.Hosts)) }

// rulesOf are the names of the rules that fired in time, each once.
func rulesOf(s *score.StepResult) []string {
	names, seen := []string{}, map[string]bool{}
	for _, j := range s.Joins {
		if !j.Late && !seen[j.RuleName] {
			seen[j.RuleName] = true
			names = append(names, j.RuleName)
		}
	}
	return names
}
