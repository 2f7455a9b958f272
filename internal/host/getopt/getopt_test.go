package getopt

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name  string
		args  []string
		flags map[string][]string
		rest  []string
		bad   string
	}{
		{"switches", []string{"-al", "x"}, map[string][]string{"a": {""}, "l": {""}}, []string{"x"}, ""},
		{"attached value", []string{"-n5"}, map[string][]string{"n": {"5"}}, nil, ""},
		{"value apart", []string{"-n", "5", "y"}, map[string][]string{"n": {"5"}}, []string{"y"}, ""},
		{"optional value", []string{"-i.bak", "f"}, map[string][]string{"i": {".bak"}}, []string{"f"}, ""},
		{"optional value absent", []string{"-i", "f"}, map[string][]string{"i": {""}}, []string{"f"}, ""},
		{"long by prefix", []string{"--lin=3"}, map[string][]string{"n": {"3"}}, nil, ""},
		{"long value apart", []string{"--lines", "3"}, map[string][]string{"n": {"3"}}, nil, ""},
		{"own value", []string{"--format=x"}, map[string][]string{"format": {"x"}}, nil, ""},
		{"end of options", []string{"--", "-a"}, nil, []string{"-a"}, ""},
		{"a dash", []string{"-"}, nil, []string{"-"}, ""},
		{"repeated", []string{"-n1", "-n2"}, map[string][]string{"n": {"1", "2"}}, nil, ""},
		{"unknown letter", []string{"-Z"}, nil, nil, "invalid option -- 'Z'"},
		{"unknown name", []string{"--nope"}, nil, nil, "unrecognized option '--nope'"},
		{"no value", []string{"-n"}, nil, nil, "option requires an argument -- 'n'"},
		{"no long value", []string{"--lines"}, nil, nil, "option '--lines' requires an argument"},
		{"unwanted value", []string{"--all=1"}, map[string][]string{"a": {"1"}}, nil, "option '--all' doesn't allow an argument"},
		{"help", []string{"--help"}, nil, nil, "--help"},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := Parse(c.args, "aln:i?", "all/a lines/n format= fold/")
			if d := cmp.Diff(c.flags, o.flags); d != "" {
				t.Error(d)
			}
			if d := cmp.Diff(c.rest, o.Args); d != "" {
				t.Error(d)
			}
			if o.Bad != c.bad {
				t.Errorf("fault %q, want %q", o.Bad, c.bad)
			}
		})
	}
}
