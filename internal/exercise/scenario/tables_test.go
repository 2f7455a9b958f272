package scenario

import "testing"

// TestTables walks the tables: each pattern is compiled, each default reads.
func TestTables(t *testing.T) {
	var walk func(path string, s *Spec)
	walk = func(path string, s *Spec) {
		if s == nil {
			return
		}
		if s.Pattern != "" && matchers[s.Pattern] == nil {
			t.Errorf("%s: the pattern %q is not among the matchers", path, s.Pattern)
		}
		walk(path+"[]", s.Elem)
		walk(path, s.One)
		for i := range s.Fields {
			walk(path+"."+s.Fields[i].Name, &s.Fields[i].Spec)
		}
	}
	root := fileSpec()
	walk("", &root)
	for _, a := range Actions {
		s := Spec{Fields: a.Args}
		walk(a.Name, &s)
	}
}
