package score

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/lapwing-defence/lapwing/internal/alert"
)

// Rules is how a scenario wants its exercise to be valued. Start from
// DefaultRules.
type Rules struct {
	Weights    Weights             `json:"weights"`
	Percent    [Categories]float64 `json:"percent"`    // what a step is worth, by category
	FullUntil  time.Duration       `json:"full_until"` // detected this soon: nothing taken off
	ZeroAt     time.Duration       `json:"zero_at"`    // detected this late: worth nothing
	FalseAlarm FalseAlarm          `json:"false_alarm"`
	// HintsAlways takes a hint's cost off even where the task was not solved.
	HintsAlways bool `json:"hints_always,omitempty"`
	// WrongIsolation is the share of the response's value that each host costs
	// that was cut off without a reason.
	WrongIsolation float64 `json:"wrong_isolation"`
	// Skew is how far a sensor's clock and its records may be off, plus or minus.
	Skew time.Duration `json:"skew"`
	// Floor is the lowest level that is an alert; what lies below is a record.
	Floor alert.Level `json:"floor"`
}

// Weights are the shares of the parts, in points. A part that the exercise does
// not have (no tasks, no goal) is left out, and the others share its points.
type Weights struct {
	Detection    float64 `json:"detection"`
	Response     float64 `json:"response"`
	Availability float64 `json:"availability"`
	Tasks        float64 `json:"tasks"`
}

// FalseAlarm is the price of one, in points, and of all together.
type FalseAlarm struct {
	Penalty float64 `json:"penalty"`
	Max     float64 `json:"max"`
}

// DefaultRules are those of a scenario that says nothing.
func DefaultRules() Rules {
	return Rules{
		Weights:        Weights{Detection: 40, Response: 25, Availability: 15, Tasks: 20},
		Percent:        [Categories]float64{0, 25, 50, 75, 100},
		FullUntil:      time.Minute,
		ZeroAt:         15 * time.Minute,
		FalseAlarm:     FalseAlarm{Penalty: 5, Max: 30},
		WrongIsolation: 0.5,
		Skew:           2 * time.Second,
		Floor:          alert.Low,
	}
}

// Check says what is wrong with r, all of it.
func (r Rules) Check() error {
	var errs []error
	number := func(name string, v, highest float64) {
		if math.IsNaN(v) || v < 0 || v > highest {
			errs = append(errs, fmt.Errorf("scoring: %s is %v; it is a number from 0 to %v", name, v, highest))
		}
	}
	number("weights.detection", r.Weights.Detection, 1000)
	number("weights.response", r.Weights.Response, 1000)
	number("weights.availability", r.Weights.Availability, 1000)
	number("weights.tasks", r.Weights.Tasks, 1000)
	for c, p := range r.Percent {
		number("detection."+Category(c).String(), p, 100)
		if c > 0 && p < r.Percent[c-1] {
			errs = append(errs, fmt.Errorf("scoring: detection.%s is worth less than detection.%s; a higher category is worth at least as much",
				Category(c), Category(c-1)))
		}
	}
	number("false_alarm.penalty", r.FalseAlarm.Penalty, 1000)
	number("false_alarm.max", r.FalseAlarm.Max, 1000)
	number("wrong_isolation", r.WrongIsolation, 1)
	if r.FullUntil < 0 || r.ZeroAt < r.FullUntil {
		errs = append(errs, fmt.Errorf("scoring: time_to_detect: zero_at (%v) lies before full_until (%v); give a later one", r.ZeroAt, r.FullUntil))
	}
	if r.Skew < 0 {
		errs = append(errs, fmt.Errorf("scoring: skew is %v; it is not negative", r.Skew))
	}
	return errors.Join(errs...)
}

// factor is what is left of a detection's worth after so long: 1 until
// FullUntil, then falling in a straight line to 0 at ZeroAt.
func (r Rules) factor(after time.Duration) float64 {
	switch {
	case after <= r.FullUntil:
		return 1
	case after >= r.ZeroAt:
		return 0
	}
	return 1 - float64(after-r.FullUntil)/float64(r.ZeroAt-r.FullUntil)
}
