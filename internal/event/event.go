// Package event holds one word of the product: the Event, one observed fact.
//
// On the wire and on disk an Event is one flat JSON object with ECS 9 field
// names (see Names); in memory it is a struct with typed common fields and a
// short ordered list for the rest.
package event

import (
	"context"
	"net/netip"
	"time"
)

// Schema is the version of ECS that field names follow.
const Schema = "9.5.0"

// Depth is how far an encounter went. Severity of decoy alerts follows it.
type Depth uint8

// The depths, in rising order. The zero value means "does not apply".
const (
	DepthNone  Depth = iota
	DepthTouch       // connected
	DepthTry         // offered credentials or a probe
	DepthEnter       // logged in, or equivalent
	DepthAct         // command, upload, query
)

// String is the word used on the wire: "", touch, try, enter, act.
func (d Depth) String() string {
	if int(d) < len(depthWords) {
		return depthWords[d]
	}
	return ""
}

// ParseDepth is the inverse of Depth.String; unknown words give DepthNone.
func ParseDepth(s string) Depth {
	for i, w := range depthWords {
		if w == s {
			return Depth(i)
		}
	}
	return DepthNone
}

var depthWords = [...]string{"", "touch", "try", "enter", "act"}

// Event is one observed fact. The zero value of every field means "absent"
// and is not written.
type Event struct {
	ID       string    // event.id, UUIDv7
	Time     time.Time // @timestamp
	Ingested time.Time // event.ingested, set by the hub

	Kind     string // event.kind: event, alert, metric, state
	Category string // event.category: authentication, network, process, file, session
	Type     string // event.type: start, end, info, creation, denied, access
	Action   string // event.action: one of the Action constants
	Outcome  string // event.outcome: success, failure, unknown
	Dataset  string // event.dataset: "decoy.sshd", "decoy.telnetd"
	Reason   string // event.reason

	Source      netip.AddrPort // source.ip, source.port
	Destination netip.AddrPort // destination.ip, destination.port
	Transport   string         // network.transport: tcp, udp
	Protocol    string         // network.protocol: ssh, telnet, http
	User        string         // user.name, as the visitor gave it
	Observer    string         // observer.name: the sensor

	Host       string // lapwing.host: the fake host's name in the config
	Decoy      string // lapwing.decoy: type of the decoy, "ssh"
	Persona    string // lapwing.persona
	Connection string // lapwing.connection.id, UUIDv7
	Session    string // lapwing.session.id, UUIDv7
	Depth      Depth  // lapwing.depth
	LogType    int    // logtype: OpenCanary's number, 0 = none

	CommandLine string // process.command_line
	ExitCode    int    // process.exit_code, written only with HasExit
	HasExit     bool
	Path        string // file.path
	Size        int64  // file.size, bytes; written when Path or SHA256 is set
	SHA256      string // file.hash.sha256, lower-case hex
	URL         string // url.original
	Exercise    string // lapwing.exercise.id; set only by the range

	Extra []Field // everything else, in order; names are ECS or lapwing.*
}

// Field is one further name and value of an Event.
type Field struct {
	Name  string
	Value Value
}

// Sink takes events. Emit returning nil is the acknowledgement: what was
// acknowledged is never lost.
type Sink interface {
	Emit(ctx context.Context, e Event) error
}

// Add appends a text field to Extra; an empty value is left out.
func (e *Event) Add(name, value string) {
	if value != "" {
		e.Extra = append(e.Extra, Field{name, String(value)})
	}
}

// AddInt appends a number to Extra.
func (e *Event) AddInt(name string, value int64) {
	e.Extra = append(e.Extra, Field{name, Int(value)})
}

// Get looks up a field of Extra by name.
func (e *Event) Get(name string) (Value, bool) {
	for _, f := range e.Extra {
		if f.Name == name {
			return f.Value, true
		}
	}
	return Value{}, false
}
