// Package rules holds the detection rules that are shipped with the program,
// the mapping of log sources, and the rules' own tests.
//
//	logsources.yml           which records are which log source, names of fields
//	GROUP/NAME.yml           one Sigma rule, or rules and the correlations over them, written by us
//	GROUP/NAME.test.yml      its cases: records on which it must and must not fire
//
// A case names what the records are and which rules fire; `lapwing rules test`
// runs it and the package's test runs all of them:
//
//	cases:
//	  - name: a renamed VPN client is started
//	    format: json                 # default; or a text format: syslog, access, auditd ...
//	    records:
//	      - {Channel: Microsoft-Windows-Sysmon/Operational, EventID: 1, Image: 'C:\dllhost.exe', Product: SoftEther VPN}
//	    match: [f3a0...]             # ids or titles, each fires at least once; no other rule of the file may
//	  - name: the real client
//	    records: [...]
//	    match: []                    # nothing of this file fires
package rules

import "embed"

// FS holds the rules and their test cases.
//
//go:embed *
var FS embed.FS

// LogSources is the mapping of log sources that is shipped.
//
//go:embed logsources.yml
var LogSources []byte
