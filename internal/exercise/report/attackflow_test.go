package report

import (
	"bytes"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestAttackFlow follows the flow from its start over every step that ran, and
// holds ids, times and references against STIX 2.1.
func TestAttackFlow(t *testing.T) {
	var b bytes.Buffer
	if err := AttackFlow(&b, sample()); err != nil {
		t.Fatal(err)
	}
	golden(t, "attack-flow.json", b.Bytes())
	var bundle struct {
		Type    string
		ID      string
		Objects []stixObject
	}
	if err := json.Unmarshal(b.Bytes(), &bundle); err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`^[a-z-]+--[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	if bundle.Type != "bundle" || !form.MatchString(bundle.ID) {
		t.Errorf("bundle %s %s", bundle.Type, bundle.ID)
	}
	by := map[string]stixObject{}
	for _, o := range bundle.Objects {
		if !form.MatchString(o.ID) || !strings.HasPrefix(o.ID, o.Type+"--") || by[o.ID].ID != "" || o.Spec != "2.1" || o.Name == "" {
			t.Errorf("object %+v", o)
		}
		by[o.ID] = o
	}
	var techniques []string
	next := bundle.Objects[2].Start
	for len(next) == 1 && len(techniques) < 10 {
		o, ok := by[next[0]]
		if !ok || o.Type != "attack-action" || o.Extensions[flowExtension]["extension_type"] != "new-sdo" {
			t.Fatalf("reference %s leads to %+v", next[0], o)
		}
		if _, err := time.Parse(time.RFC3339, o.Began); err != nil {
			t.Error(err)
		}
		techniques = append(techniques, o.Technique)
		next = o.Effects
	}
	if got := strings.Join(techniques, " "); got != "T1046 T1110.001 T1078 T1005 T1071.001" {
		t.Errorf("the flow goes %s", got)
	}
}
