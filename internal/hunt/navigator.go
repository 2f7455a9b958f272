package hunt

import (
	"encoding/json"
	"fmt"
	"io"
	"sort"
	"strings"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// Layer is a MITRE ATT&CK Navigator layer, version 4.5.
type Layer struct {
	Name        string           `json:"name"`
	Versions    layerVersions    `json:"versions"`
	Domain      string           `json:"domain"`
	Description string           `json:"description"`
	Sorting     int              `json:"sorting"` // 3: the highest score first
	Layout      layerLayout      `json:"layout"`
	Techniques  []layerTechnique `json:"techniques"`
	Gradient    layerGradient    `json:"gradient"`
}

type layerVersions struct {
	Navigator string `json:"navigator"`
	Layer     string `json:"layer"`
}

// layerLayout shows the parts of a technique that were found, and adds them up.
type layerLayout struct {
	Layout    string `json:"layout"`
	ShowID    bool   `json:"showID"`
	ShowName  bool   `json:"showName"`
	Aggregate bool   `json:"showAggregateScores"`
	Unscored  bool   `json:"countUnscored"`
	Function  string `json:"aggregateFunction"`
	Expanded  string `json:"expandedSubtechniques"`
}

type layerTechnique struct {
	ID      string `json:"techniqueID"`
	Score   int    `json:"score"`
	Comment string `json:"comment"`
}

type layerGradient struct {
	Colors   []string `json:"colors"`
	MinValue int      `json:"minValue"`
	MaxValue int      `json:"maxValue"`
}

// NewLayer makes a layer of how often each technique was found, and by what.
func NewLayer(name, description string, score map[string]int, rules map[string][]string) Layer {
	l := Layer{Name: name, Versions: layerVersions{"5.1.0", "4.5"}, Domain: "enterprise-attack", Description: description, Sorting: 3, Techniques: []layerTechnique{}}
	l.Layout = layerLayout{Layout: "side", ShowID: true, ShowName: true, Aggregate: true, Function: "sum", Expanded: "annotated"}
	top := 1
	for id, n := range score {
		list := append([]string(nil), rules[id]...)
		sort.Strings(list)
		if len(list) > 20 {
			list = append(list[:20], fmt.Sprintf("and %d more", len(list)-20))
		}
		l.Techniques = append(l.Techniques, layerTechnique{id, n, strings.Join(list, "\n")})
		top = max(top, n)
	}
	sort.Slice(l.Techniques, func(i, j int) bool { return l.Techniques[i].ID < l.Techniques[j].ID })
	l.Gradient = layerGradient{[]string{"#ffe8d6", "#c0392b"}, 0, top}
	return l
}

// NavigatorReport writes a layer of the techniques found.
type NavigatorReport struct {
	w     io.Writer
	score map[string]int
	rules map[string][]string
	seen  map[*sigma.Rule]bool
}

// NewNavigatorReport makes a report on w.
func NewNavigatorReport(w io.Writer) *NavigatorReport {
	return &NavigatorReport{w: w, score: map[string]int{}, rules: map[string][]string{}, seen: map[*sigma.Rule]bool{}}
}

// Match counts one match.
func (n *NavigatorReport) Match(m *Match) error {
	for _, t := range Techniques(m.Rule) {
		n.score[t]++
		if !n.seen[m.Rule] {
			n.rules[t] = append(n.rules[t], m.Rule.Title)
		}
	}
	n.seen[m.Rule] = true
	return nil
}

// Summary writes the layer.
func (n *NavigatorReport) Summary(h *Hunt) error {
	e := json.NewEncoder(n.w)
	e.SetIndent("", " ")
	return e.Encode(NewLayer("lapwing hunt", fmt.Sprintf("%d matches in %d records", h.Stats.Matches.Load(), h.Stats.Records.Load()), n.score, n.rules))
}
