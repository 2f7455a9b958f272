package hunt

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/logsource"
)

// TestBrokenJSON: what stands behind a broken object is still judged, however
// the objects are laid out.
func TestBrokenJSON(t *testing.T) {
	object := func(indent string) string {
		b, err := json.MarshalIndent(json.RawMessage(badImage), "", indent)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	pretty := object("  ")
	inArray := strings.ReplaceAll("\n"+pretty, "\n", "\n  ")
	for _, tt := range []struct {
		name, found, text string
		damaged           int64
	}{
		{"one line", "1;1;1", badImage + badImage + " " + badImage, 0},
		{"one line, then others", "1;1;2;3;3", badImage + badImage + "\n" + badImage + "\n" + badImage + badImage, 0},
		{"a program died as it wrote, and went on", "1;2;3", badImage + "\n" + badImage[:30] + badImage + "\n" + badImage, 1},
		{"died behind a quote", "1;2;3", badImage + "\n" + badImage[:len(badImage)-1] + badImage + "\n" + badImage, 1},
		{"rubbish between", "1;1", badImage + "rubbish" + badImage, 0},
		{"rubbish behind", "1;2", badImage + "}}]\n" + badImage, 0},
		{"a nested object is no record", "2", `{"x":{"a":1},"Channel":tru,"y":1}` + "\n" + badImage, 1},
		{"pretty, no quote at the end", "1;11", pretty + "\n" + strings.Replace(pretty, `exe"`, "exe", 1) + "\n" + pretty, 1},
		{"pretty, no brace at the end", "1;11", pretty + "\n" + pretty[:len(pretty)-2] + "\n\n" + pretty, 1},
		{"pretty, cut off in a text", "1;8", pretty + "\n" + pretty[:20] + "\n" + pretty, 1},
		{"array, no quote at the end", "7;12", "[" + strings.Replace(inArray, `exe"`, "exe", 1) + "," + inArray + "," + inArray + "\n]", 1},
		{"array, no brace at the end", "2;13", "[" + inArray + "," + inArray[:len(inArray)-1] + ",\n" + inArray + "\n]", 1},
		{"array on one line", "1;1;1", "[" + badImage + `,{"a":"b},` + badImage + "," + badImage + "]", 1},
		{"no indent", "6", strings.Replace(object(""), `exe"`, "exe", 1) + "\n" + object(""), 1},
		{"Graph", "1;1", `{"@odata.context":"https://graph","@odata.count":2,"value":[` + badImage + "," + badImage + "]}", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "input")
			if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			h, matches := hunting(t, small(t), Config{Paths: []string{file}, Workers: 2})
			var got []string
			for _, m := range matches {
				got = append(got, strconv.FormatUint(m.Record, 10))
			}
			if diff := cmp.Diff(tt.found, strings.Join(got, ";")); diff != "" {
				t.Error(diff)
			}
			if n := h.Stats.Damaged.Load(); n != tt.damaged {
				t.Errorf("%d damaged, want %d", n, tt.damaged)
			}
		})
	}
}

// TestSalvageEnds: braces that never close cost a bounded number of looks.
func TestSalvageEnds(t *testing.T) {
	for _, unit := range []string{`},{"a":`, `},{"a":{"b":"`, "{\"a\":[\n", `{"`} {
		m, err := logsource.Default()
		if err != nil {
			t.Fatal(err)
		}
		h, err := New(Config{Rules: small(t), Mapping: m, Paths: []string{"-"}})
		if err != nil {
			t.Fatal(err)
		}
		j := h.newJudge()
		text := []byte(`{"x":` + strings.Repeat(unit, 1<<20/len(unit)))
		res := j.block(&block{in: &input{name: "x", format: formatStream}, data: text, spans: []span{{0, len(text), 1}}})
		if len(res.matches) > 0 || j.damaged != 1 {
			t.Errorf("%q: %d matches, %d damaged", unit, len(res.matches), j.damaged)
		}
	}
}
