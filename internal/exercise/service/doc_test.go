package service

import (
	"os"
	"strings"
	"testing"

	"github.com/lapwing-defence/lapwing/internal/exercise/record"
)

// TestDoc holds docs/formats/range-hosts.md to what there is.
func TestDoc(t *testing.T) {
	data, err := os.ReadFile("../../../docs/formats/range-hosts.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(data)
	want := Sites()
	for _, k := range Kinds() {
		want = append(want, k.Name)
		if !strings.Contains(doc, "| "+k.Summary+" |") {
			t.Errorf("the line of %s says something else than %q", k.Name, k.Summary)
		}
	}
	for _, p := range Personas() {
		want = append(want, p.Name)
	}
	for _, b := range record.Behaviours() {
		want = append(want, b.Name)
		if !strings.Contains(doc, "| "+strings.Join(b.Techniques, ", ")+" | "+b.Summary+" |") {
			t.Errorf("the line of %s is not the table's", b.Name)
		}
	}
	for _, w := range want {
		if !strings.Contains(doc, "`"+w+"`") {
			t.Errorf("%s is missing", w)
		}
	}
}
