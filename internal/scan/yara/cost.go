package yara

// Cost is the work that a string took in the last scan, in instructions of its
// regular expression. Strings that share a pattern are named once.
type Cost struct {
	Rule, String string
	Steps        int64
}

// Costs tells what the regular expressions of the last scan took.
func (s *Scanner) Costs() []Cost {
	names := s.rules.names()
	out := make([]Cost, 0, len(s.spent))
	for _, p := range s.spent {
		n := names[p]
		out = append(out, Cost{Rule: s.rules.prog.Rules[n[0]].Name, String: s.rules.prog.Rules[n[0]].Strings[n[1]].Name, Steps: s.steps[p]})
	}
	return out
}

// names gives for each pattern the first rule and string that use it.
func (r *Rules) names() map[int32][2]int {
	out := make(map[int32][2]int, len(r.prog.Patterns))
	for i := range r.prog.Rules {
		for k, s := range r.prog.Rules[i].Strings {
			if _, ok := out[s.Pattern]; !ok {
				out[s.Pattern] = [2]int{i, k}
			}
		}
	}
	return out
}
