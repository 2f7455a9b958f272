package score

import (
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Millis is a span in whole milliseconds.
type Millis int64

// Duration is m as one.
func (m Millis) Duration() time.Duration { return time.Duration(m) * time.Millisecond }

func millis(d time.Duration) *Millis {
	m := Millis(d.Milliseconds())
	return &m
}

// Result is what an exercise was worth, with a reason for every point.
type Result struct {
	Score    float64 `json:"score"` // 0 to 100, one decimal
	Parts    []Part  `json:"parts"`
	Expected int     `json:"expected"` // steps that expect a detection
	Met      int     `json:"met"`
	Missed   int     `json:"missed"`
	// NotRun are those whose step did not act: whether it would have been detected
	// is not known.
	NotRun int `json:"not_run"`
	// Bounds are those of Score with the steps that did not run; nil: all ran.
	Bounds *Bounds `json:"score_bounds,omitempty"`
	// Prevented are the steps that a response kept from acting; those that expect
	// a detection are among Met.
	Prevented int `json:"prevented"`

	Steps       []StepResult  `json:"steps"`  // in the order of the scenario
	Alerts      []AlertResult `json:"alerts"` // in the order of their first event
	FalseAlarms int           `json:"false_alarms"`
	Metrics     Metrics       `json:"metrics"`
	Tactics     []Coverage    `json:"tactics"`
	Techniques  []Coverage    `json:"techniques"`
	Rules       []RuleUse     `json:"rules"`
	Goals       []GoalResult  `json:"goals,omitempty"`
}

// Bounds are what Score would be if of the steps that did not run none was
// seen, and if all were seen at once.
type Bounds struct {
	Least float64 `json:"least"`
	Most  float64 `json:"most"`
}

// Part is one of the parts of the score.
type Part struct {
	Name    string   `json:"name"` // detection, response, availability, tasks, false_alarms
	Played  bool     `json:"played"`
	Weight  float64  `json:"weight"` // as in the file
	Max     float64  `json:"max"`    // what it can bring here, in points of the score
	Points  float64  `json:"points"` // negative for false alarms
	Reasons []Reason `json:"reasons"`
}

// Reason is why points were given or taken, and what shows it.
type Reason struct {
	Text     string   `json:"text"`
	Points   float64  `json:"points"`
	Evidence []string `json:"evidence,omitempty"` // ids of alerts and events
}

// Status is what became of a step's expectation.
type Status string

// The statuses. Prevented is a step that could not act, or not to its end, because
// of what the defence did: its expectation counts as met. Untried is one that did
// not act for another reason: it is neither met nor missed.
const (
	Met       Status = "met"
	Missed    Status = "missed"
	Prevented Status = "prevented"
	Untried   Status = "not_run"
	NotAsked  Status = "not_asked"
)

// StepResult is what was seen of one step.
type StepResult struct {
	ID            string            `json:"id"`
	Name          string            `json:"name,omitempty"`
	Technique     string            `json:"technique"`
	TechniqueName string            `json:"technique_name,omitempty"`
	Tactic        string            `json:"tactic"`
	Action        string            `json:"action,omitempty"`
	From          string            `json:"from,omitempty"`
	To            string            `json:"to,omitempty"`
	Outcome       Outcome           `json:"outcome"`
	Silent        bool              `json:"silent,omitempty"` // it leaves nothing to be seen
	Note          string            `json:"note,omitempty"`
	Started       time.Time         `json:"started"`
	Ended         time.Time         `json:"ended"`
	Flows         int               `json:"flows"`
	Category      Category          `json:"category"`
	Expected      Category          `json:"expected"`
	Within        Millis            `json:"within_ms"`
	Status        Status            `json:"status"`
	TimeToDetect  *Millis           `json:"time_to_detect_ms"`          // first alert in time, since Started; null: none
	TimeToBlock   *Millis           `json:"time_to_block_ms,omitempty"` // first response that stood against it, since Started; 0: it stood before
	Joins         []Join            `json:"joins,omitempty"`
	Detections    []DetectionResult `json:"detections,omitempty"`
	Events        int               `json:"events"`              // records of it
	EventIDs      []string          `json:"event_ids,omitempty"` // the first of them
	FirstEvent    *Millis           `json:"first_event_ms"`      // since Started; null: none
	Share         float64           `json:"share"`               // of what a step can be worth, 0 to 1
	Points        float64           `json:"points"`              // of the score
	Max           float64           `json:"max"`                 // of the score
	Reasons       []Reason          `json:"reasons"`             // the first is the one that counts
}

// Alerts are the ids of the alerts that were joined in time.
func (s *StepResult) Alerts() []string {
	ids := []string{}
	for _, j := range s.Joins {
		if !j.Late {
			ids = append(ids, j.Alert)
		}
	}
	return ids
}

// Join is one alert that belongs to a step.
type Join struct {
	Alert    string      `json:"alert"`
	RuleID   string      `json:"rule_id"`
	RuleName string      `json:"rule_name"`
	Level    alert.Level `json:"-"`
	Severity string      `json:"level"`
	By       string      `json:"by,omitempty"`
	Category Category    `json:"category"`
	Key      string      `json:"key"`  // what it was joined by: "flow", "host and user", ...
	Seen     time.Time   `json:"seen"` // when it was first shown for this step
	After    Millis      `json:"after_ms"`
	Late     bool        `json:"late,omitempty"` // after the time limit: true, but not counted
	Count    int         `json:"count"`          // pieces of evidence
	Events   []string    `json:"events,omitempty"`
}

// DetectionResult is one expected detection.
type DetectionResult struct {
	ID    string   `json:"id"`
	Rules []string `json:"rules"`
	Met   bool     `json:"met"`
	Late  bool     `json:"late,omitempty"`
	Alert string   `json:"alert,omitempty"`
}

// Verdict is what an alert turned out to be.
type Verdict string

// The verdicts.
const (
	True          Verdict = "true"
	False         Verdict = "false"
	Neutral       Verdict = "neutral"       // about a trainee's own acts
	Informational Verdict = "informational" // under the floor: a record, no alert
)

// AlertResult is what an alert turned out to be, and why.
type AlertResult struct {
	ID         string    `json:"id"`
	RuleID     string    `json:"rule_id"`
	RuleName   string    `json:"rule_name"`
	Severity   string    `json:"level"`
	Title      string    `json:"title,omitempty"`
	By         string    `json:"by,omitempty"`
	First      time.Time `json:"first"`
	Source     string    `json:"source,omitempty"`
	Host       string    `json:"host,omitempty"`
	User       string    `json:"user,omitempty"`
	Count      int64     `json:"count"`
	Verdict    Verdict   `json:"verdict"`
	Steps      []string  `json:"steps,omitempty"`
	Activities []string  `json:"activities,omitempty"`
	Unjoined   int       `json:"unjoined,omitempty"` // pieces of evidence that belong to nothing known
	Why        string    `json:"why"`
}

// Metrics are the figures of a run. A share is 0 to 1.
type Metrics struct {
	Steps             int     `json:"steps"` // that ran
	Visibility        float64 `json:"visibility"`
	AnalyticCoverage  float64 `json:"analytic_coverage"`
	TacticCoverage    float64 `json:"tactic_coverage"`
	TechniqueCoverage float64 `json:"technique_coverage"`
	Undetected        int     `json:"undetected"`
	// Of all steps that ran, the undetected ones at the end of the scale: where
	// that many were not detected there is no median (or 90th percentile): null.
	TimeToDetectMedian *Millis `json:"time_to_detect_median_ms"`
	TimeToDetectP90    *Millis `json:"time_to_detect_p90_ms"`

	TrueAlerts         int      `json:"true_alerts"`
	NeutralAlerts      int      `json:"neutral_alerts"`
	Precision          *float64 `json:"precision"` // null: no alert
	FalseAlarmsPerHour *float64 `json:"false_alarms_per_hour"`
	Hours              float64  `json:"hours"`
	BenignActs         int      `json:"benign_acts"` // flows and traces of the background
	AlertsPerStep      float64  `json:"alerts_per_step"`
	EventsPerStep      float64  `json:"events_per_step"`

	Availability *float64 `json:"availability"` // null: no service is watched
	Contained    int      `json:"contained"`
	ContainGoals int      `json:"contain_goals"`
	WrongHosts   []string `json:"wrong_hosts,omitempty"`
	TimeToAct    *Millis  `json:"time_to_contain_ms"` // the slowest goal; null: none reached
}

// Coverage is what was seen of the steps of one tactic or technique.
type Coverage struct {
	ID       string          `json:"id"`
	Name     string          `json:"name,omitempty"`
	Tactics  []string        `json:"tactics,omitempty"`
	Steps    []string        `json:"steps"`
	Best     Category        `json:"best"`
	Worst    Category        `json:"worst"`
	Percent  float64         `json:"percent"` // mean of the categories' worth
	Alerts   []string        `json:"alerts,omitempty"`
	Reached  [Categories]int `json:"reached"` // steps by category
	Expected int             `json:"expected"`
	Met      int             `json:"met"`
}

// RuleUse is what one rule did.
type RuleUse struct {
	ID     string   `json:"id"`
	Name   string   `json:"name"`
	True   int      `json:"true"`
	False  int      `json:"false"`
	Steps  []string `json:"steps,omitempty"`
	Wanted []string `json:"wanted,omitempty"` // steps that expected it and did not get it
}

// GoalResult is what became of something that was to be done.
type GoalResult struct {
	ID     string  `json:"id"`
	Kind   Kind    `json:"kind"`
	What   string  `json:"what"`
	Met    bool    `json:"met"`
	After  *Millis `json:"after_ms"`
	Reason string  `json:"reason"`
}
