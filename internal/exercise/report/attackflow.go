package report

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/lapwing-defence/lapwing/internal/exercise/score"
)

// flowExtension is Attack Flow's own extension of STIX.
const flowExtension = "extension-definition--fb9c968a-745b-4ade-9b25-c324172197f4"

const flowSchema = "https://center-for-threat-informed-defense.github.io/attack-flow/stix/attack-flow-schema-2.0.0.json"

// stixObject is what the objects of the bundle have in common, and what those
// of Attack Flow 2.0 need.
type stixObject struct {
	Type       string                       `json:"type"`
	Spec       string                       `json:"spec_version"`
	ID         string                       `json:"id"`
	CreatedBy  string                       `json:"created_by_ref,omitempty"`
	Created    string                       `json:"created"`
	Modified   string                       `json:"modified"`
	Extensions map[string]map[string]string `json:"extensions,omitempty"`

	Name        string   `json:"name"`
	Description string   `json:"description,omitempty"`
	Class       string   `json:"identity_class,omitempty"`
	Schema      string   `json:"schema,omitempty"`
	Version     string   `json:"version,omitempty"`
	Kinds       []string `json:"extension_types,omitempty"`
	Scope       string   `json:"scope,omitempty"`
	Start       []string `json:"start_refs,omitempty"`
	Technique   string   `json:"technique_id,omitempty"`
	Began       string   `json:"execution_start,omitempty"`
	Ended       string   `json:"execution_end,omitempty"`
	Effects     []string `json:"effect_refs,omitempty"`
}

// AttackFlow writes the steps that ran as an Attack Flow 2.0 in a STIX 2.1
// bundle, each leading to the next in the order of time.
func AttackFlow(w io.Writer, r *Run) error {
	t := &r.Truth
	id := func(kind string, of ...string) string {
		return kind + "--" + derived(fmt.Sprintf("%q %q %q", t.Exercise, kind, of))
	}
	stamp := stixTime(t.Started)
	us := id("identity", "lapwing")
	object := func(kind, id, name string) stixObject {
		return stixObject{Type: kind, Spec: "2.1", ID: id, Created: stamp, Modified: stamp, CreatedBy: us, Name: orElse(name, "-")}
	}
	self := object("identity", us, "lapwing")
	self.Class, self.CreatedBy = "system", ""
	definition := object("extension-definition", flowExtension, "Attack Flow")
	definition.Description, definition.Schema, definition.Version, definition.Kinds = "Extends STIX 2.1 with attack flows.", flowSchema, "2.0.0", []string{"new-sdo"}
	ours := map[string]map[string]string{flowExtension: {"extension_type": "new-sdo"}}

	flow := object("attack-flow", id("attack-flow"), orElse(t.Name, t.Scenario))
	flow.Extensions, flow.Scope, flow.Description = ours, "other", t.Description
	objects := []stixObject{self, definition, flow}
	steps := slices.DeleteFunc(slices.Clone(r.Result.Steps), func(s score.StepResult) bool { return s.Outcome == score.NotRun })
	slices.SortStableFunc(steps, func(a, b score.StepResult) int { return cmp.Or(a.Started.Compare(b.Started), a.Ended.Compare(b.Ended)) })
	for i := range steps {
		s := &steps[i]
		action := object("attack-action", id("attack-action", s.ID), orElse(s.Name, orElse(s.TechniqueName, s.ID)))
		action.Extensions, action.Technique = ours, s.Technique
		action.Began, action.Ended = stixTime(s.Started), stixTime(s.Ended)
		action.Description = fmt.Sprintf("Step %s, %s to %s: %s. Seen: %s. %s.", s.ID, orElse(s.From, "?"), orElse(s.To, "?"), s.Outcome, seenWord(s), s.Reasons[0].Text)
		if i+1 < len(steps) {
			action.Effects = []string{id("attack-action", steps[i+1].ID)}
		}
		objects = append(objects, action)
	}
	if len(steps) > 0 {
		objects[2].Start = []string{objects[3].ID}
	}
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(map[string]any{"type": "bundle", "id": id("bundle"), "objects": objects})
}

// derived is a UUID that follows from text, so that a run gives the same file
// again. It has the form of a random one, which STIX asks for.
func derived(text string) string {
	b := sha256.Sum256([]byte(text))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

func stixTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
