package score

import "strings"

// tactics maps the ids and old names of ATT&CK's tactics (enterprise, ICS) to
// their short names.
var tactics = map[string]string{
	"ta0043": "reconnaissance", "ta0042": "resource-development", "ta0001": "initial-access",
	"ta0002": "execution", "ta0003": "persistence", "ta0004": "privilege-escalation",
	"ta0005": "defense-evasion", "ta0006": "credential-access", "ta0007": "discovery",
	"ta0008": "lateral-movement", "ta0009": "collection", "ta0011": "command-and-control",
	"ta0010": "exfiltration", "ta0040": "impact",
	"ta0108": "initial-access", "ta0104": "execution", "ta0110": "persistence",
	"ta0111": "privilege-escalation", "ta0103": "evasion", "ta0102": "discovery",
	"ta0109": "lateral-movement", "ta0100": "collection", "ta0101": "command-and-control",
	"ta0107": "inhibit-response-function", "ta0106": "impair-process-control", "ta0105": "impact",
	"defence-evasion": "defense-evasion", "c2": "command-and-control",
}

// TacticName is the short name of a tactic that is given by id, title or in
// Sigma's spelling: TA0006, "Credential Access" and credential_access are all
// credential-access.
func TacticName(s string) string {
	s = strings.ToLower(strings.TrimSpace(s))
	s = strings.TrimPrefix(s, "attack.")
	s = strings.NewReplacer(" ", "-", "_", "-").Replace(s)
	if short, ok := tactics[s]; ok {
		return short
	}
	return s
}

// TechniqueID is a technique's id in ATT&CK's spelling: attack.t1110.001 is
// T1110.001.
func TechniqueID(s string) string {
	return strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "ATTACK.")
}

// affine says how well a rule's words fit a step: General where they say
// nothing of it, Tactic where the tactic is right, Technique where the
// technique is: the same, its parent, or a sub-technique of it. A sibling is not.
func affine(techniques, tactics []string, technique, tactic string) Category {
	want := TechniqueID(technique)
	if want != "" {
		for _, t := range techniques {
			t = TechniqueID(t)
			if t == want || (t != "" && (strings.HasPrefix(want, t+".") || strings.HasPrefix(t, want+"."))) {
				return Technique
			}
		}
	}
	wantTactic := TacticName(tactic)
	if wantTactic != "" {
		for _, t := range tactics {
			if TacticName(t) == wantTactic {
				return Tactic
			}
		}
	}
	return General
}
