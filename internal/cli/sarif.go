package cli

import (
	"encoding/json"
	"io"
	"net/url"

	"github.com/lapwing-defence/lapwing/internal/scan"
)

// The parts of SARIF 2.1.0 (OASIS) that a scan fills.
type sarifLog struct {
	Schema  string     `json:"$schema"`
	Version string     `json:"version"`
	Runs    []sarifRun `json:"runs"`
}

type sarifRun struct {
	Tool struct {
		Driver sarifDriver `json:"driver"`
	} `json:"tool"`
	Results     []sarifResult `json:"results"`
	Invocations []sarifCall   `json:"invocations"`
}

type sarifDriver struct {
	Name    string      `json:"name"`
	Version string      `json:"version"`
	Rules   []sarifRule `json:"rules"`
}

type sarifRule struct {
	ID         string         `json:"id"`
	Short      sarifText      `json:"shortDescription"`
	Properties map[string]any `json:"properties,omitempty"`
}

type sarifText struct {
	Text string `json:"text"`
}

type sarifResult struct {
	RuleID    string          `json:"ruleId"`
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations"`
	Hashes    map[string]any  `json:"properties,omitempty"`
}

type sarifLocation struct {
	Physical sarifPhysical `json:"physicalLocation"`
}

type sarifPhysical struct {
	Artifact struct {
		URI string `json:"uri"`
	} `json:"artifactLocation"`
	Region *sarifRegion `json:"region,omitempty"`
}

type sarifRegion struct {
	Offset int64 `json:"byteOffset"`
	Length int64 `json:"byteLength"`
}

type sarifCall struct {
	Successful bool        `json:"executionSuccessful"`
	Notes      []sarifNote `json:"toolExecutionNotifications"`
}

type sarifNote struct {
	Level     string          `json:"level"`
	Message   sarifText       `json:"message"`
	Locations []sarifLocation `json:"locations,omitempty"`
}

const maxSARIFPlaces = 20 // of one finding

// writeSARIF writes the whole report. failed is what was named and could not be
// scanned at all.
func writeSARIF(w io.Writer, reports []scan.Report, failed []string, version string) error {
	run := sarifRun{Results: []sarifResult{}, Invocations: []sarifCall{{Successful: len(failed) == 0, Notes: []sarifNote{}}}}
	for _, text := range failed {
		run.Invocations[0].Notes = append(run.Invocations[0].Notes, sarifNote{Level: "error", Message: sarifText{text}})
	}
	run.Tool.Driver = sarifDriver{Name: "lapwing", Version: version, Rules: []sarifRule{}}
	seen := map[string]bool{}
	for _, r := range reports {
		for _, f := range r.Findings {
			if !seen[f.Rule] {
				seen[f.Rule] = true
				run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRuleOf(f))
			}
			run.Results = append(run.Results, sarifResultOf(r, f))
		}
		if r.Err != nil {
			note := sarifNote{Level: "warning", Message: sarifText{r.Err.Error()}, Locations: []sarifLocation{place(r.File, nil)}}
			run.Invocations[0].Notes = append(run.Invocations[0].Notes, note)
		}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", " ")
	return enc.Encode(sarifLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}})
}

func sarifRuleOf(f scan.Finding) sarifRule {
	r := sarifRule{ID: f.Rule, Short: sarifText{f.Rule}, Properties: map[string]any{}}
	for _, m := range f.Meta {
		r.Properties[m.Name] = m.Value
		if text, ok := m.Value.(string); ok && m.Name == "description" && text != "" {
			r.Short.Text = text
		}
	}
	return r
}

func sarifResultOf(r scan.Report, f scan.Finding) sarifResult {
	out := sarifResult{RuleID: f.Rule, Level: "error", Message: sarifText{f.Rule + " in " + r.File}, Hashes: map[string]any{}}
	if f.Inside != "" {
		out.Message.Text += "!" + f.Inside
		out.Hashes["inside"] = f.Inside
	}
	if r.SHA256 != "" {
		out.Hashes["sha256"] = r.SHA256
	}
	for i, p := range f.Places {
		if i == maxSARIFPlaces || f.Inside != "" {
			break
		}
		out.Locations = append(out.Locations, place(r.File, &sarifRegion{p.Offset, p.Length}))
	}
	if len(out.Locations) == 0 {
		out.Locations = []sarifLocation{place(r.File, nil)}
	}
	return out
}

func place(file string, region *sarifRegion) sarifLocation {
	var l sarifLocation
	l.Physical.Artifact.URI = (&url.URL{Path: file}).String()
	l.Physical.Region = region
	return l
}
