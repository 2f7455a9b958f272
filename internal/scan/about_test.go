package scan

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAbout(t *testing.T) {
	for name, c := range map[string]struct {
		f    Finding
		want Facts
	}{
		"nothing": {},
		"our own": {
			Finding{Meta: []Meta{{"author", "lapwing"}, {"level", "critical"}, {"technique", "T1003.001"}, {"description", "d"}, {"license", "Apache-2.0"}}},
			Facts{Level: "critical", Author: "lapwing", Description: "d", License: "Apache-2.0", Techniques: []string{"T1003.001"}},
		},
		"a score":             {Finding{Meta: []Meta{{"score", int64(75)}, {"reference", "https://one"}, {"reference", "two"}}}, Facts{Level: "high", Reference: "https://one"}},
		"a word over a score": {Finding{Meta: []Meta{{"severity", "Low"}, {"score", int64(99)}}}, Facts{Level: "low"}},
		"ids in tags":         {Finding{Tags: []string{"T1059_004", "FILE", "T1059_004"}}, Facts{Techniques: []string{"T1059.004"}}},
		"several in one":      {Finding{Meta: []Meta{{"mitre_attack", "T1105, t1059 and XT1234"}}}, Facts{Techniques: []string{"T1105", "T1059"}}},
		"a strange level":     {Finding{Meta: []Meta{{"level", "awful"}, {"score", "80"}}}, Facts{}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, About(c.f)); d != "" {
				t.Error(d)
			}
		})
	}
}
