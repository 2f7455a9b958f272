package event

// The values of event.action that decoys use. The category and type that ECS
// asks for stand beside each; Describe sets them.
const (
	ActionConnectionOpened  = "connection-opened"  // network / start, depth touch
	ActionConnectionClosed  = "connection-closed"  // network / end; event.duration, source.bytes, destination.bytes
	ActionConnectionRefused = "connection-refused" // network / denied; over a limit (event.reason)
	ActionClientIdentified  = "client-identified"  // network / info; lapwing.ssh.hassh, client version, algorithms
	ActionLogin             = "login"              // authentication / start; outcome, user.name, lapwing.password.*
	ActionSessionStarted    = "session-started"    // session / start, depth enter
	ActionSessionEnded      = "session-ended"      // session / end; event.duration
	ActionCommandExecuted   = "command-executed"   // process / start, depth act; process.command_line as typed
	ActionQueryExecuted     = "query-executed"     // database / access; lapwing.query.text as it was given to a database decoy
	ActionRequest           = "http-request"       // web / access; url.*, http.*, lapwing.http.*; depth act where it looks like an attack or brings a body
	ActionFileCaptured      = "file-captured"      // file / creation, depth act; file.path, size, hash
	ActionFileRead          = "file-read"          // file / access (sftp, scp downloads)
	ActionFileChanged       = "file-changed"       // file / change (sftp rename, remove, mkdir, chmod)
	ActionDownloadRequested = "download-requested" // network / info; url.original; nothing is fetched
	ActionTunnelRequested   = "tunnel-requested"   // network / denied; destination asked for, never dialled
	ActionPasswordChanged   = "password-changed"   // iam / change; on the fake host
	ActionWindowChanged     = "window-changed"     // session / info
	ActionLimitReached      = "limit-reached"      // network / denied; event.reason names the limit
	ActionProgramNoted      = "program-noted"      // process / info, depth act; event.reason: what a program was given or asked for
	ActionProtocolError     = "protocol-error"     // network / info; malformed input, event.reason
	ActionMalwareFound      = "malware-found"      // malware / info, depth act; a scanner's finding in a captured file: rule.*, file.*
	ActionScanIncomplete    = "scan-incomplete"    // malware / info; a captured file was not looked at to the end, event.reason
	ActionEventsDropped     = "events-dropped"     // state / info; lapwing.dropped.* counts by depth
)

// Describe sets Kind, Category, Type and Action for one of the Action
// constants; an unknown action gets kind "event" alone.
func (e *Event) Describe(action string) {
	e.Kind, e.Action = "event", action
	switch action {
	case ActionConnectionOpened:
		e.Category, e.Type = "network", "start"
	case ActionConnectionClosed:
		e.Category, e.Type = "network", "end"
	case ActionConnectionRefused, ActionTunnelRequested, ActionLimitReached:
		e.Category, e.Type = "network", "denied"
	case ActionClientIdentified, ActionDownloadRequested, ActionProtocolError:
		e.Category, e.Type = "network", "info"
	case ActionLogin:
		e.Category, e.Type = "authentication", "start"
	case ActionSessionStarted:
		e.Category, e.Type = "session", "start"
	case ActionSessionEnded:
		e.Category, e.Type = "session", "end"
	case ActionWindowChanged:
		e.Category, e.Type = "session", "info"
	case ActionCommandExecuted:
		e.Category, e.Type = "process", "start"
	case ActionProgramNoted:
		e.Category, e.Type = "process", "info"
	case ActionQueryExecuted:
		e.Category, e.Type = "database", "access"
	case ActionRequest:
		e.Category, e.Type = "web", "access"
	case ActionFileCaptured:
		e.Category, e.Type = "file", "creation"
	case ActionMalwareFound, ActionScanIncomplete:
		e.Category, e.Type = "malware", "info"
	case ActionFileRead:
		e.Category, e.Type = "file", "access"
	case ActionFileChanged:
		e.Category, e.Type = "file", "change"
	case ActionPasswordChanged:
		e.Category, e.Type = "iam", "change"
	case ActionEventsDropped:
		e.Kind, e.Type = "state", "info"
	}
}
