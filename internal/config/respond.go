package config

import (
	"fmt"
	"net/netip"
	"slices"
	"time"
)

// Respond says what is done about alerts, and by what.
type Respond struct {
	Default   string          `yaml:"default"`        // observe, propose, enforce
	Rules     []RespondRule   `yaml:"rules"`          // the first that fits counts
	Allow     []Network       `yaml:"allow"`          // never blocked, beside what the machine itself lives by
	Reach     []string        `yaml:"reach"`          // names of hosts that are never blocked: their addresses are looked up
	SSHPorts  []int           `yaml:"ssh_ports"`      // that sshd listens on, beside those of sshd_config
	PerMinute int             `yaml:"per_minute"`     // new blocks
	Total     int             `yaml:"total"`          // blocks that stand
	Steps     []time.Duration `yaml:"steps"`          // of the first, second, ... block of a source
	Quiet     time.Duration   `yaml:"quiet"`          // without an offence: one step back
	Approve   time.Duration   `yaml:"approve_within"` // how long a proposal waits
	Spare     Spare           `yaml:"spare"`
	Widen     Widen           `yaml:"widen"`
	Backends  []Backend       `yaml:"backends"`
}

// RespondRule is the answer to alerts that fit it; what is left out fits all.
type RespondRule struct {
	Rule  string        `yaml:"rule"`  // id or name of a detection rule
	Tag   string        `yaml:"tag"`   // technique or tactic
	Level string        `yaml:"level"` // this or above
	Mode  string        `yaml:"mode"`
	TTL   time.Duration `yaml:"ttl"` // of the first block
}

// Spare says who is too well known to be blocked without a person's consent.
type Spare struct {
	Within time.Duration `yaml:"within"` // logged in to something real in that time…
	After  time.Duration `yaml:"after"`  // …and for the first time that long before the offence
	Share  float64       `yaml:"share"`  // of all such sources that one block may hit, 0 to 1
}

// Widen says how many offending /64s of IPv6 block what is around them.
type Widen struct {
	To56 int `yaml:"to_56"`
	To48 int `yaml:"to_48"`
}

// Backend is what carries blocks out.
type Backend struct {
	Type   string `yaml:"type"`   // nftables, list, command
	Path   string `yaml:"path"`   // list: the file that is written
	Listen string `yaml:"listen"` // list: address and port of the HTTP server that gives it out
	Config string `yaml:"config"` // command: the file that says what is run

	Shared       bool   `yaml:"shared"`        // nftables: let other programs change the table, and put it back
	Max          int    `yaml:"max"`           // list: networks on it
	User         string `yaml:"user"`          // list: of HTTP, with
	PasswordFile string `yaml:"password_file"` // its password in the first line of this
	Certificate  string `yaml:"tls_cert"`      // list: for HTTPS, with
	Key          string `yaml:"tls_key"`       // its key
}

var (
	modes        = []string{"observe", "propose", "enforce"}
	levels       = []string{"informational", "low", "medium", "high", "critical"}
	backendTypes = []string{"nftables", "list", "command"}
)

func defaultRespond() Respond {
	const day = 24 * time.Hour
	return Respond{
		Default: "observe", PerMinute: 60, Total: 100_000, Steps: []time.Duration{10 * time.Minute, time.Hour, 4 * time.Hour, day, 7 * day},
		Quiet: 7 * day, Approve: day, Spare: Spare{Within: 30 * day, After: time.Hour}, Widen: Widen{To56: 4, To48: 16},
	}
}

const longestBlock = 365 * 24 * time.Hour

func (r *Respond) check(k *checker) {
	k.oneOf(r.Default, modes, "respond", "default")
	for i := range r.Rules {
		r.Rules[i].check(k, "respond", "rules", i)
	}
	for i, n := range r.Allow {
		if n.IsValid() && n.Bits() == 0 {
			k.say("this allows everybody: nothing would ever be blocked", "write default: observe for that, or name the networks", "respond", "allow", i)
		}
	}
	for i, p := range r.SSHPorts {
		if p < 1 || p > 65535 {
			k.say(fmt.Sprintf("%d is no port", p), "write one of 1 to 65535", "respond", "ssh_ports", i)
		}
	}
	if r.PerMinute < 1 || r.PerMinute > 100_000 {
		k.say("per_minute is outside 1 to 100000", "60 is the default", "respond", "per_minute")
	}
	if r.Total < 1 || r.Total > 1_000_000 {
		k.say("total is outside 1 to 1000000", "100000 is the default", "respond", "total")
	}
	if len(r.Steps) == 0 {
		k.say("no block has no end: steps needs at least one time", "write steps: [10m, 1h, 4h, 24h, 168h]", "respond", "steps")
	}
	for i, s := range r.Steps {
		k.duration(s, time.Second, longestBlock, "respond", "steps", i)
	}
	if !slices.IsSorted(r.Steps) {
		k.say("steps get longer", "write them in rising order", "respond", "steps")
	}
	k.duration(r.Quiet, time.Minute, longestBlock, "respond", "quiet")
	k.duration(r.Approve, time.Minute, longestBlock, "respond", "approve_within")
	k.duration(r.Spare.Within, time.Hour, longestBlock, "respond", "spare", "within")
	k.duration(r.Spare.After, time.Second, longestBlock, "respond", "spare", "after")
	if r.Spare.Share < 0 || r.Spare.Share > 1 {
		k.say("share is outside 0 to 1", "0 spares every source that logs in here", "respond", "spare", "share")
	}
	if r.Widen.To56 < 2 || r.Widen.To48 < 2 {
		k.say("widen needs at least 2 of each", "4 and 16 are the defaults", "respond", "widen")
	}
	r.checkBackends(k)
}

func (r *RespondRule) check(k *checker, path ...any) {
	k.oneOf(r.Mode, modes, append(path, "mode")...)
	if r.Mode == "" {
		k.say("a rule without a mode", "write mode: observe, propose or enforce", path...)
	}
	k.oneOf(r.Level, levels, append(path, "level")...)
	if r.TTL != 0 {
		k.duration(r.TTL, time.Second, longestBlock, append(path, "ttl")...)
	}
	if r.Rule == "" && r.Tag == "" && r.Level == "" {
		k.say("a rule that fits everything", "that is what default is for; name rule, tag or level", path...)
	}
}

func (r *Respond) checkBackends(k *checker) {
	seen := map[string]bool{}
	for i, b := range r.Backends {
		at := []any{"respond", "backends", i}
		k.oneOf(b.Type, backendTypes, append(at, "type")...)
		if b.Type == "" {
			k.say("a back end without a type", "use one of: nftables, list, command", at...)
		}
		if b.Type == "nftables" && seen[b.Type] {
			k.say("nftables stands twice", "one is enough", at...)
		}
		seen[b.Type] = true
		if b.Type == "list" && b.Path == "" && b.Listen == "" {
			k.say("a list that nobody can read", "give path, listen, or both", at...)
		}
		if b.Listen != "" {
			if _, err := netip.ParseAddrPort(b.Listen); err != nil {
				k.say(fmt.Sprintf("%q is not an address with a port", b.Listen), `write "127.0.0.1:9480"`, append(at, "listen")...)
			}
		}
		if (b.Certificate == "") != (b.Key == "") {
			k.say("tls_cert and tls_key belong together", "write both", at...)
		}
		if (b.User == "") != (b.PasswordFile == "") {
			k.say("user and password_file belong together", "write both", at...)
		}
		if b.Max < 0 || b.Max > 1_000_000 {
			k.say("max is outside 1 to 1000000", "100000 is the default", append(at, "max")...)
		}
		if b.Type == "command" && b.Config == "" {
			k.say("a command needs the file that says what is run", "write config: /etc/lapwing/block.yml", at...)
		}
	}
}
