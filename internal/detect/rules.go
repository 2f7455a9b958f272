package detect

import "github.com/lapwing-defence/lapwing/internal/alert"

// OwnRules is what the ids of the rules here begin with. rules/decoy has a Sigma
// rule of the same id for each, to hunt with in recorded events.
const OwnRules = "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1"

// The rules. Their ids never change. The level follows the depth of the
// encounter: tried is medium, got in or acted is high.
var (
	ruleLogin = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1001", Name: "Login on a decoy", Level: alert.High, Techniques: []string{"T1078"}, Tactics: []string{"initial-access"},
		Description: "Somebody logged in to a host that nobody has reason to use. Look at the session, and for the same source elsewhere.",
	}
	ruleCommand = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1002", Name: "Commands on a decoy", Level: alert.High, Techniques: []string{"T1059.004"}, Tactics: []string{"execution"},
		Description: "An intruder works in a decoy's shell. Replay the session to see what he is after.",
	}
	ruleFile = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1003", Name: "File left on a decoy", Level: alert.High, Techniques: []string{"T1105"}, Tactics: []string{"command-and-control"},
		Description: "An intruder left a file. It is kept sealed; look for its hash on real machines.",
	}
	ruleSpray = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1004", Name: "Password spray on a decoy", Level: alert.Medium, Techniques: []string{"T1110.003"}, Tactics: []string{"credential-access"},
		Description: "One source tried many user names. Check real logs for the same source.",
	}
	ruleBrute = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1005", Name: "Brute force on a decoy", Level: alert.Medium, Techniques: []string{"T1110.001"}, Tactics: []string{"credential-access"},
		Description: "One source tried many passwords. Check real logs for the same source.",
	}
	ruleFetch = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1006", Name: "Download requested on a decoy", Level: alert.High, Techniques: []string{"T1105"}, Tactics: []string{"command-and-control"},
		Description: "An intruder tried to bring a tool from outside. Nothing was fetched; block the address.",
	}
	ruleQuery = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1008", Name: "Queries on a decoy", Level: alert.High, Techniques: []string{"T1213"}, Tactics: []string{"collection"},
		Description: "An intruder works in a decoy's database. Look at what he asks for: tables, files, commands of the server.",
	}
	ruleTunnel = alert.Rule{
		ID: "0b0c7f0e-5a6e-4c55-9d3e-6f4a3f6a1007", Name: "Tunnel requested on a decoy", Level: alert.Medium, Techniques: []string{"T1572"}, Tactics: []string{"command-and-control"},
		Description: "An intruder tried to reach another host through a decoy. Nothing was forwarded.",
	}
)

// The thresholds.
const (
	sprayed = 5  // user names of one source
	guessed = 10 // tries of one source
)
