package ruleset

import (
	"github.com/lapwing-defence/lapwing/internal/scan/indicator"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// IndicatorRule words an indicator as the rule of what fits it: its level is
// high, its id that of the source, else what it compares.
func IndicatorRule(in indicator.Indicator) *sigma.Rule {
	r := &sigma.Rule{ID: in.ID, Title: "Indicator: " + in.Label, Level: sigma.High, File: in.Source, Status: "test", Description: "A value in the record is on a list of indicators: " + string(in.Kind) + " " + in.Value + " (" + in.Source + ")."}
	if in.Label == "" {
		r.Title = "Indicator: " + string(in.Kind) + " " + in.Value
	}
	if r.ID == "" {
		r.ID = string(in.Kind) + ":" + in.Value
	}
	return r
}
