package scenario

// tactics are the short names of ATT&CK's tactics, of version 18 and before
// (defense-evasion) and of version 19 (stealth, defense-impairment), and those
// of ATT&CK for ICS.
var tactics = []string{
	"reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation",
	"defense-evasion", "stealth", "defense-impairment", "credential-access", "discovery", "lateral-movement", "collection",
	"command-and-control", "exfiltration", "impact",
	"evasion", "inhibit-response-function", "impair-process-control",
}
