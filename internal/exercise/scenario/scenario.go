// Package scenario reads what an exercise of the range is: the network, the
// hosts, the people who work there, what the intruder does, what should be
// noticed, what trainees are asked and how it is scored. One YAML file each;
// docs/formats/scenario.md describes it.
//
// What a scenario cannot say is as important: there is no field that holds a
// command for a real machine, a payload, code or an address outside the
// scenario. What the intruder does is one of a closed list of actions
// (Actions), and an unknown one does not load.
package scenario

import (
	"net/netip"
	"slices"
	"time"
)

// Limits of one scenario.
const (
	MaxHosts    = 10_000
	MaxSteps    = 1_000
	MaxNetworks = 256
	MaxDuration = 7 * 24 * time.Hour
)

// Scenario is one loaded file with its variables filled in for one trainee.
// Nobody writes to it.
type Scenario struct {
	Format      string        // version of the format, "1"
	ID          string        // lower-case words joined by dashes
	Name        string        // for people
	Description string        // for people, may be empty
	Level       string        // beginner, intermediate, advanced or ""
	Duration    time.Duration // at which the exercise ends
	Attack      Attack        // the version of ATT&CK that its ids are from
	Seed        uint64        // every random choice comes from it and the trainee's name
	Clock       Clock
	Notes       []string // for people; an import names here what it left out

	Variables   map[string]string // drawn for this trainee
	Networks    []Network         // in the order of the file, as are all lists below
	Routers     []Router
	Hosts       []Host
	Credentials []Credential
	Tokens      []Token
	Background  []Background
	Adversary   Adversary
	Detections  []Detection
	Training    Training
	Scoring     Scoring
	Export      []string // files that a run leaves; see Leaves

	// Trainee is whose variables are filled in, "" for nobody's.
	Trainee string

	file source
}

// usual are the files of a run whose scenario names none.
var usual = []string{"pcapng", "flows.jsonl", "events.jsonl", "steps.jsonl", "navigator-layer", "report.html"}

// Leaves says whether a run leaves a file of Export: those that the scenario
// names, or where it names none pcapng, flows, events, steps, navigator-layer
// and report.html. What was run, its result, alerts, data card and sums are
// always left.
func (s *Scenario) Leaves(file string) bool {
	if len(s.Export) == 0 {
		return slices.Contains(usual, file)
	}
	return slices.Contains(s.Export, file)
}

// Attack names the version of ATT&CK.
type Attack struct {
	Domain  string `yaml:"domain"`
	Version string `yaml:"version"`
}

// Clock says whether time is the real one, sped up, or a virtual one that jumps
// to where something happens next.
type Clock struct {
	Mode  string  `yaml:"mode"` // real or virtual
	Speed float64 `yaml:"speed"`
}

// Network is one segment. Every host in it reaches every other without a router.
type Network struct {
	Name             string        `yaml:"-"`
	Description      string        `yaml:"description"`
	CIDR             netip.Prefix  `yaml:"cidr"`
	CIDR6            netip.Prefix  `yaml:"cidr6"`   // zero where there is none
	Gateway          string        `yaml:"gateway"` // router, "" where the segment stands alone
	AccessibleByUser bool          `yaml:"accessible_by_user"`
	Hidden           bool          `yaml:"hidden"` // not in the picture that trainees see
	Fill             *Fill         `yaml:"fill"`   // nil: only the hosts named are there
	MTU              int           `yaml:"mtu"`    // bytes
	Latency          time.Duration `yaml:"latency"`
	Jitter           time.Duration `yaml:"jitter"`
	Loss             Share         `yaml:"loss"`
	Bandwidth        Bandwidth     `yaml:"bandwidth"` // bit/s, 0 = unlimited
}

// Fill puts decoys on addresses of a network that no host has.
type Fill struct {
	Persona string `yaml:"persona"` // of a host, or mixed
	Density Share  `yaml:"density"` // of the addresses
}

// Router joins networks: those that name it as their gateway.
type Router struct {
	Name    string       `yaml:"-"`
	Persona string       `yaml:"persona"`
	Default string       `yaml:"default"` // allow or deny what no rule names
	Rules   []RouterRule `yaml:"rules"`   // the first that fits counts
	NAT     Texts        `yaml:"nat"`     // networks of its own, or internet: what goes out there bears the router's address
}

// RouterRule lets packets through or not. From and To hold networks, hosts,
// prefixes of the scenario, "any" or "internet". Answers to what was allowed
// pass.
type RouterRule struct {
	From   Texts       `yaml:"from"`
	To     Texts       `yaml:"to"`
	Ports  []PortRange `yaml:"ports"`  // empty: every one
	Action string      `yaml:"action"` // allow or deny
}

// Host is one machine. A host with Count in the file stands here as that many.
type Host struct {
	Name        string     `yaml:"-"`
	Group       string     `yaml:"-"` // the name in the file that it was counted out from, else Name
	Description string     `yaml:"description"`
	Network     string     `yaml:"network"`
	IP          netip.Addr `yaml:"ip"`  // drawn from the seed where the file gives none
	IP6         netip.Addr `yaml:"ip6"` // zero where the network has no IPv6
	Persona     string     `yaml:"persona"`
	Domain      string     `yaml:"domain"`
	Roles       []string   `yaml:"roles"` // red, green, blue, server
	Hidden      bool       `yaml:"hidden"`
	Decoy       bool       `yaml:"decoy"`  // nobody has business here
	Access      []string   `yaml:"access"` // entries for trainees
	User        string     `yaml:"user"`   // who works here: named in host records
	Services    []Service  `yaml:"services"`
	Files       []File     `yaml:"files"`
	Mail        []Mail     `yaml:"mail"`
	Count       int        `yaml:"count"`
}

// Has tells whether the host has a role.
func (h *Host) Has(role string) bool {
	return slices.Contains(h.Roles, role)
}

// Service answers on one port of a host.
type Service struct {
	Port   Port   `yaml:"port"`
	Type   string `yaml:"type"`   // a kind of internal/exercise/service
	Banner string `yaml:"banner"` // "" takes the persona's
	Site   string `yaml:"site"`   // of http
	Accept Texts  `yaml:"accept"` // credentials that let in
	Decoy  bool   `yaml:"decoy"`  // this service alone is a decoy; see Host.Decoy
}

// File lies on a host.
type File struct {
	Path       string `yaml:"path"`
	Content    string `yaml:"content"`
	Honeytoken string `yaml:"honeytoken"` // id of the token that it is, "" for none
}

// Mail lies in a mailbox of a host.
type Mail struct {
	User    string `yaml:"user"`
	From    string `yaml:"from"`
	Subject string `yaml:"subject"`
	Body    string `yaml:"body"`
}

// Credential is a user and a password that services may accept and steps use.
type Credential struct {
	Name     string `yaml:"-"`
	User     string `yaml:"user"`
	Password string `yaml:"password"`
	Decoy    bool   `yaml:"decoy"` // planted: whoever uses it found it where he should not have looked
	Token    string `yaml:"token"` // id of its token, Name where the file gives none and it is a decoy
}

// Token is a planted thing whose use is an alarm: a file (see File) or a
// credential (see Credential).
type Token struct {
	ID          string `yaml:"-"`
	Kind        string `yaml:"kind"` // file or credential
	Description string `yaml:"description"`
}
