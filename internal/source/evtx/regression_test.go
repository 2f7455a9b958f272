package evtx

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/lapwing-defence/lapwing/internal/sharedtest"
	"github.com/lapwing-defence/lapwing/internal/sigma"
)

// TestAgainstJSON compares single-record files with what an unrelated decoder
// wrote of them.
func TestAgainstJSON(t *testing.T) {
	dir := filepath.Join(sharedtest.Dir(t), "sigma/data/sigmahq-regression")
	files, err := filepath.Glob(filepath.Join(dir, "*.evtx"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	compared := 0
	for _, file := range files {
		raw, err := os.ReadFile(strings.TrimSuffix(file, ".evtx") + ".json")
		if err != nil {
			t.Fatal(err)
		}
		var want struct {
			Event struct {
				System    map[string]any
				EventData map[string]any
			}
		}
		if json.Unmarshal(raw, &want) != nil || want.Event.EventData == nil {
			continue // several records, or user data
		}
		compared++
		eachFile(t, NewDecoder(sigma.NewFields()), file, func(r *sigma.Record, h *Head) {
			got := map[string]string{}
			for n, v := range r.All() {
				got[n] = string(v.Text)
			}
			for name, w := range want.Event.EventData {
				name = strings.ReplaceAll(name, " ", "")
				if diff := cmp.Diff(plain(w), plainText(got[name])); diff != "" && w != nil && name != "#attributes" && name != "Data" {
					t.Errorf("%s: %s: %s", filepath.Base(file), name, diff)
				}
			}
			if want := plain(want.Event.System["EventID"]); want != string(h.EventID) && !strings.Contains(want, "map[") {
				t.Errorf("EventID %s, want %s", h.EventID, want)
			}
		})
	}
	if compared < 50 {
		t.Errorf("only %d files compared", compared)
	}
}

// plain is a value without what the two decoders render differently: braces of
// GUIDs, the case of hexadecimal digits.
func plain(v any) string {
	switch v := v.(type) {
	case string:
		return plainText(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case nil:
		return ""
	}
	return "map["
}

func plainText(s string) string {
	return strings.ToLower(strings.TrimSpace(strings.Trim(s, "{}")))
}
