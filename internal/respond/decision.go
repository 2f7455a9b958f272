package respond

import (
	"iter"
	"net/netip"
	"time"

	"github.com/lapwing-defence/lapwing/internal/respond/action"
)

// State is where a decision stands.
type State string

// The states.
const (
	Standing State = "standing" // in force; in mode observe: it would be
	Waiting  State = "waiting"  // proposed, nobody has answered
	Expired  State = "expired"  // its time ended
	Undone   State = "undone"   // somebody, or the allow list, ended it
	Refused  State = "refused"  // a proposal that was turned down
	Widened  State = "widened"  // a wider one took its place
)

// Decision is what was decided about one prefix.
type Decision struct {
	ID       string        `json:"id"` // UUID
	Mode     Mode          `json:"mode"`
	State    State         `json:"state"`
	Prefix   netip.Prefix  `json:"prefix"`
	Rule     string        `json:"rule.id,omitempty"` // of the alert; empty for what a person ordered
	RuleName string        `json:"rule.name,omitempty"`
	Level    string        `json:"rule.level,omitempty"`
	Events   []string      `json:"events,omitempty"` // ids of the newest events under it, at most maxEvents
	Actor    string        `json:"actor"`            // "policy", or who ordered or approved it
	Why      string        `json:"why,omitempty"`
	Risk     string        `json:"risk,omitempty"` // why a person should look first
	Made     time.Time     `json:"made"`
	Until    time.Time     `json:"until"` // end of the block, or of the time to answer
	TTL      time.Duration `json:"ttl"`   // of the block
	Step     int           `json:"step"`  // which block of this source it is, from 1
	Ended    time.Time     `json:"ended,omitzero"`
	Ender    string        `json:"ender,omitempty"`
	EndWhy   string        `json:"end_why,omitempty"`
	Approval string        `json:"approval,omitempty"` // hash of the word that approves it once
}

const (
	maxEvents = 4
	// ActorPolicy is the Actor of what no person decided.
	ActorPolicy = "policy"
)

// enforced tells that the decision is in the kernel, or should be.
func (d *Decision) enforced() bool { return d.State == Standing && d.Mode == Enforce }

// live tells that the decision can still change by itself.
func (d *Decision) live() bool { return d.State == Standing || d.State == Waiting }

// action is what carries d out.
func (d *Decision) action() action.Action {
	return action.Action{ID: d.ID, Kind: action.Block, Prefix: d.Prefix, Until: d.Until}
}

// offence is what d counts as; the quiet time begins when the block ends.
func (d *Decision) offence() offence { return offence{Step: d.Step, Last: d.Made.Add(d.TTL)} }

// Login is a source that logged in to something real.
type Login struct {
	Prefix netip.Prefix `json:"prefix"` // as it is counted: /32, /64
	User   string       `json:"user,omitempty"`
	First  time.Time    `json:"first"`
	Last   time.Time    `json:"last"`
	Days   int          `json:"days"` // on which it was seen
}

// offence is how often a source was blocked.
type offence struct {
	Step int       `json:"step"`
	Last time.Time `json:"last"`
}

// Record is one line of what a Store keeps: exactly one field is set. Records
// that are read again in order give the state back.
type Record struct {
	Decision *Decision     `json:"decision,omitempty"` // in its new state
	Offence  *offenceLine  `json:"offence,omitempty"`
	Login    *Login        `json:"login,omitempty"`
	Override *Override     `json:"override,omitempty"`
	Shift    time.Duration `json:"shift,omitempty"`  // the wall clock was set: every time before moves with it
	Forget   netip.Prefix  `json:"forget,omitzero"`  // what is inside is to be forgotten
	Pardon   *pardon       `json:"pardon,omitempty"` // alerts up to then count for nothing
}

type offenceLine struct {
	Mode   Mode         `json:"mode"`
	Prefix netip.Prefix `json:"prefix"`
	offence
}

type pardon struct {
	Prefix netip.Prefix `json:"prefix"`
	At     time.Time    `json:"at"`
}

// Override is a policy that was set while running. It holds until the
// configuration says something else than it did; a panic holds in any case.
type Override struct {
	Policy *Policy   `json:"policy,omitempty"` // nil: the configuration's
	Panic  bool      `json:"panic,omitempty"`  // everything is only observed
	Actor  string    `json:"actor"`
	At     time.Time `json:"at"`
	Over   string    `json:"over"` // fingerprint of the configuration that it replaced
	// Until: without a confirmation it ends then. The decisions that it made end with it.
	Until  time.Time `json:"until,omitzero"`
	Before *Override `json:"before,omitempty"` // what comes back then; nil: the configuration's policy
}

// Store keeps records. An Engine calls Append, Cut and Len one at a time; Sync
// and the function that Cut gives may run beside them.
type Store interface {
	// Read calls fn with every record, in order, before the first Append.
	Read(fn func(*Record) error) error
	// Append adds records in order. After nil they survive the end of the process.
	Append(recs ...*Record) error
	// Sync returns nil when everything that was appended survives a loss of power.
	Sync() error
	// Cut gives a function that puts records in the place of all that was appended
	// before Cut; what is appended after Cut follows them. Until that function has
	// returned nil, everything is as if Cut had not been called.
	Cut() (replace func(iter.Seq[*Record]) error, err error)
	// Len is how many records there are, about.
	Len() int
}

// Hands carry decisions out. The methods return at once; they may be called with
// what was ordered before.
type Hands interface {
	Apply([]action.Action)
	Revert([]action.Action)
	// Allow replaces the allow list; it comes before what is decided by it.
	Allow(action.AllowList)
}

// Fact is one thing to be written into the audit log.
type Fact struct {
	At     time.Time
	Act    string // block, observe, propose, approve, refuse, unblock, undo, panic, policy, confirm, revert, not-blocked, storm
	Actor  string
	Target string   // a prefix: personal data
	Rule   string   // id
	Events []string // ids
	ID     string   // of the decision
	Why    string   // may hold personal data
}

// Notice is something that people should be told.
type Notice struct {
	Kind     string // proposal, storm, storm-over, full, degraded, recovered, lifted, policy
	Text     string // one sentence; what strangers wrote in it is quoted
	Decision *Decision
	Approval string // the word that approves Decision once; empty: none
	At       time.Time
}
