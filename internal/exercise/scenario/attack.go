package scenario

import "strings"

// tactics are the short names of ATT&CK's tactics, of version 18 and before
// (defense-evasion) and of version 19 (stealth, defense-impairment), and those
// of ATT&CK for ICS.
var tactics = []string{
	"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation",
	"defense-evasion", "stealth", "defense-impairment", "credential-access", "discovery", "lateral-movement", "collection",
	"command-and-control", "exfiltration", "impact",
	"evasion", "inhibit-response-function", "impair-process-control",
}

// given tells whether ATT&CK has, or may soon have, a technique of that id. Its
// numbers begin at T1001, those of ICS at T0800, and sub-techniques at .001; up
// to version 19 all lie well below these ends. A table of all ids would refuse
// the next version's.
func given(id string) bool {
	number, sub, has := strings.Cut(id[1:], ".")
	if has && (sub < "001" || sub > "030") {
		return false
	}
	return number > "1000" && number < "1800" || number >= "0800" && number < "0900"
}
