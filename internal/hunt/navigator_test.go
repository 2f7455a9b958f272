package hunt

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// TestLayer holds a layer against what version 4.5 of the format allows: no
// other property, the types and values that it names, what it requires.
func TestLayer(t *testing.T) {
	var b bytes.Buffer
	n := NewNavigatorReport(&b)
	for _, r := range []*sigma.Rule{
		{Title: "one", Tags: []string{"attack.t1059.001", "attack.T1059", "attack.execution", "attack.t12", "car.2016-04-005"}},
		{Title: "two", Tags: []string{"attack.t1059.001"}},
	} {
		for range 2 {
			if err := n.Match(&Match{Rule: r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	h, _ := hunting(t, small(t), Config{Paths: []string{"-"}})
	if err := n.Summary(h); err != nil {
		t.Fatal(err)
	}
	var l struct {
		Name, Domain string
		Versions     map[string]string
		Layout       map[string]any
		Sorting      int
		Techniques   []map[string]any
		Gradient     struct {
			Colors             []string
			MinValue, MaxValue float64
		}
	}
	d := json.NewDecoder(bytes.NewReader(b.Bytes()))
	if err := d.Decode(&l); err != nil {
		t.Fatal(err)
	}
	var keys map[string]any
	if err := json.Unmarshal(b.Bytes(), &keys); err != nil {
		t.Fatal(err)
	}
	allowed := []string{
		"versions", "name", "description", "domain", "customDataURL", "filters", "sorting", "layout", "hideDisabled", "techniques", "gradient", "legendItems",
		"showTacticRowBackground", "tacticRowBackground", "selectTechniquesAcrossTactics", "selectSubtechniquesWithParent", "selectVisibleTechniques", "metadata", "links",
	}
	for k := range keys {
		if !slices.Contains(allowed, k) {
			t.Errorf("property %q", k)
		}
	}
	if l.Name == "" || l.Domain != "enterprise-attack" || l.Versions["layer"] != "4.5" || l.Versions["navigator"] == "" || l.Sorting < 0 || l.Sorting > 3 {
		t.Errorf("%+v", l)
	}
	for k, v := range l.Layout {
		ok := map[string]bool{
			"layout": v == "side", "aggregateFunction": v == "sum", "expandedSubtechniques": v == "annotated",
			"showID": v == true, "showName": v == true, "showAggregateScores": v == true, "countUnscored": v == false,
		}[k]
		if !ok {
			t.Errorf("layout %s: %v", k, v)
		}
	}
	if len(l.Gradient.Colors) < 2 || l.Gradient.MinValue >= l.Gradient.MaxValue {
		t.Errorf("gradient %+v", l.Gradient)
	}
	id := regexp.MustCompile(`^T\d{4}(\.\d{3})?$`)
	got := map[string]float64{}
	for _, x := range l.Techniques {
		name, _ := x["techniqueID"].(string)
		score, _ := x["score"].(float64)
		if _, text := x["comment"].(string); !id.MatchString(name) || !text || len(x) != 3 || score > l.Gradient.MaxValue {
			t.Errorf("technique %v", x)
		}
		got[name] = score
	}
	if len(got) != 2 || got["T1059.001"] != 4 || got["T1059"] != 2 {
		t.Errorf("scores %v", got)
	}
}
