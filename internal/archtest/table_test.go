package archtest

// table holds, for each package, which of ours it may import. A row names no
// more than the package uses. Words import only words; ground imports nothing
// of ours; stages never meet but in app.
var table = map[string][]string{
	"alert":               {},
	"app":                 {"clock", "config", "confine", "decoy", "decoy/access", "decoy/sshd", "event", "host", "host/kernel", "host/netcmd", "host/programs", "journal", "journal/uplink", "persona", "vault"},
	"archtest":            {},
	"cli":                 {"alert", "app", "config", "detect", "event", "persona", "yamldoc"},
	"clock":               {},
	"cmd/lapwing":         {"cli"},
	"config":              {"yamldoc"},
	"confine":             {},
	"decoy":               {"clock", "event", "host"},
	"decoy/access":        {"host", "host/kernel"},
	"decoy/record":        {"decoy", "event", "host", "host/kernel", "host/vfs"},
	"decoy/sshd":          {"decoy", "decoy/access", "decoy/record", "event", "host", "host/kernel", "host/shell"},
	"detect":              {"alert", "event"},
	"event":               {},
	"host":                {"clock", "host/image", "host/kernel", "host/procfs", "host/vfs", "persona"},
	"host/files":          {"host/kernel", "host/vfs"},
	"host/image":          {"host/vfs", "persona"},
	"host/kernel":         {"clock", "host/vfs", "persona"},
	"host/netcmd":         {"host/kernel"},
	"host/procfs":         {"host/kernel", "host/vfs", "persona"},
	"host/programs":       {"host/files", "host/kernel", "host/netcmd", "host/shell", "host/system", "host/text"},
	"host/shell":          {"host/kernel", "host/vfs"},
	"host/system":         {"host/kernel", "host/procfs", "host/vfs"},
	"host/text":           {"host/kernel", "host/shell", "host/vfs"},
	"host/vfs":            {},
	"journal":             {"event"},
	"journal/journaltest": {"event", "journal"},
	"journal/uplink":      {"clock", "event"},
	"persona":             {"personas", "yamldoc"},
	"personas":            {},
	"vault":               {},
	"yamldoc":             {},
}
