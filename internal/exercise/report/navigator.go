package report

import (
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// layer is a layer of the ATT&CK Navigator, format 4.5.
type layer struct {
	Name        string      `json:"name"`
	Versions    versions    `json:"versions"`
	Domain      string      `json:"domain"`
	Description string      `json:"description"`
	Sorting     int         `json:"sorting"`
	Layout      layout      `json:"layout"`
	HideDisable bool        `json:"hideDisabled"`
	Techniques  []technique `json:"techniques"`
	Gradient    gradient    `json:"gradient"`
	Legend      []legend    `json:"legendItems"`
	Metadata    []metadata  `json:"metadata"`
	ShowRow     bool        `json:"showTacticRowBackground"`
	RowColor    string      `json:"tacticRowBackground"`
}

type versions struct {
	Attack    string `json:"attack,omitempty"`
	Navigator string `json:"navigator"`
	Layer     string `json:"layer"`
}

type layout struct {
	Layout   string `json:"layout"`
	ShowID   bool   `json:"showID"`
	ShowName bool   `json:"showName"`
	Expanded string `json:"expandedSubtechniques"`
}

type technique struct {
	ID       string     `json:"techniqueID"`
	Tactic   string     `json:"tactic,omitempty"`
	Score    float64    `json:"score"`
	Comment  string     `json:"comment,omitempty"`
	Enabled  bool       `json:"enabled"`
	Metadata []metadata `json:"metadata,omitempty"`
}

type gradient struct {
	Colors []string `json:"colors"`
	Min    float64  `json:"minValue"`
	Max    float64  `json:"maxValue"`
}

type legend struct {
	Label string `json:"label"`
	Color string `json:"color"`
}

type metadata struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// categoryColors go from nothing seen to the technique named; they can be told
// apart without red and green, too.
var categoryColors = [score.Categories]string{"#b2182b", "#ef8a62", "#fddbc7", "#92c5de", "#2166ac"}

// techniqueID is what the Navigator takes for one.
var techniqueID = regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)

// Navigator writes a layer: each technique that was played, coloured by what
// was seen of it; the comment names steps and alerts. Ids that are none of
// ATT&CK's are left out.
func Navigator(w io.Writer, r *Run) error {
	l := layer{
		Name:     orElse(r.Truth.Name, orElse(r.Truth.Scenario, "exercise")) + ": what was seen",
		Versions: versions{Attack: r.Truth.Attack, Navigator: "5.1.0", Layer: "4.5"},
		Domain:   orElse(r.Truth.Domain, "enterprise-attack"),
		Description: fmt.Sprintf("Exercise %s, seed %d: score %.1f, %d of %d expected detections met. Score of a technique: percent of what its steps can be worth by category.",
			r.Truth.Exercise, r.Truth.Seed, r.Result.Score, r.Result.Met, r.Result.Expected),
		Layout:     layout{Layout: "side", ShowID: true, ShowName: true, Expanded: "annotated"},
		Techniques: []technique{},
		Gradient:   gradient{Colors: categoryColors[:], Max: 100},
		Metadata:   []metadata{{"exercise", orElse(r.Truth.Exercise, "-")}, {"scenario", orElse(r.Truth.Scenario, "-")}, {"seed", strconv.FormatUint(r.Truth.Seed, 10)}},
		RowColor:   "#dddddd",
	}
	for c := range categoryColors {
		l.Legend = append(l.Legend, legend{fmt.Sprintf("%s (%g)", score.Category(c), r.Rules.Percent[c]), categoryColors[c]})
	}
	for _, c := range r.Result.Techniques {
		if !techniqueID.MatchString(c.ID) {
			continue
		}
		t := technique{ID: c.ID, Score: c.Percent, Enabled: true, Comment: comment(&c)}
		for i, n := range c.Reached {
			if n > 0 {
				t.Metadata = append(t.Metadata, metadata{score.Category(i).String(), fmt.Sprintf("%d steps", n)})
			}
		}
		l.Techniques = append(l.Techniques, t.in(c.Tactics)...)
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(l)
}

// in is t under each of the tactics that it was played for.
func (t technique) in(tactics []string) []technique {
	if len(tactics) == 0 {
		return []technique{t}
	}
	out := make([]technique, len(tactics))
	for i, name := range tactics {
		out[i] = t
		out[i].Tactic = name
	}
	return out
}

func comment(c *score.Coverage) string {
	text := "steps " + strings.Join(c.Steps, ", ")
	if len(c.Alerts) > 0 {
		text += "; alerts " + strings.Join(c.Alerts, ", ")
	}
	if c.Expected > 0 {
		text += fmt.Sprintf("; %d of %d expectations met", c.Met, c.Expected)
	}
	return text
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
