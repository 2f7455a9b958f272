// Package config is what an operator may write in one YAML file. None is
// needed: Default is a working configuration.
package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/lapwing-defence/lapwing/internal/yamldoc"
)

// Config is the whole file. docs/formats/config.md describes each key.
type Config struct {
	Name      string    `yaml:"name"` // observer.name of this sensor; the machine's host name unless set
	Hosts     []Host    `yaml:"hosts"`
	Limits    Limits    `yaml:"limits"`
	Record    Record    `yaml:"record"`
	Retention Retention `yaml:"retention"`
	Journal   Journal   `yaml:"journal"`
	EventLog  EventLog  `yaml:"event_log"`
	Captures  Captures  `yaml:"captures"`
	Rules     Rules     `yaml:"rules"`
	Visitors  Visitors  `yaml:"visitors"`
	Console   Console   `yaml:"console"`
	Scan      Scan      `yaml:"scan"`
	Notify    []Notify  `yaml:"notify"`
	Sources   []Source  `yaml:"sources"`
	Access    Access    `yaml:"access"`
	Respond   Respond   `yaml:"respond"`

	// Implied is true when no file named the hosts: a port in use is then
	// skipped with a warning, and each host gets one weak credential.
	Implied bool `yaml:"-"`
}

// Host is one fake host.
type Host struct {
	Name    string  `yaml:"name"`
	Persona string  `yaml:"persona"` // a template's name
	Login   Login   `yaml:"login"`
	Decoys  []Decoy `yaml:"decoys"`
	// Downloads says how wget and the like are answered: serve, timeout,
	// refuse, not-found. Nothing is ever fetched.
	Downloads string `yaml:"downloads"`
	// Tunnels says how port forwarding is answered: refuse, accept. Nothing is ever forwarded.
	Tunnels string `yaml:"tunnels"`
}

// Login is who may log in to a fake host.
type Login struct {
	Accept              []Credential `yaml:"accept"`
	After               int          `yaml:"after"`                // let in at the n-th try of a source, 0 = never
	KeyboardInteractive bool         `yaml:"keyboard_interactive"` // offer it on SSH
	None                bool         `yaml:"none"`                 // nobody gets in
	Tokens              []Token      `yaml:"tokens"`
}

// Token is a planted credential: whoever uses it has been where it lies. The
// login carries its ID; it lets in only with Admit.
type Token struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
	ID       string `yaml:"id"`
	Admit    bool   `yaml:"admit"`
}

// Secret is text that fmt and logs show as [secret].
type Secret string

// String is "[secret]".
func (Secret) String() string { return "[secret]" }

// GoString is "[secret]".
func (Secret) GoString() string { return "[secret]" }

// Credential is one user and password; the password "*" matches any.
type Credential struct {
	User     string `yaml:"user"`
	Password Secret `yaml:"password"`
}

// Decoy is one service of a host.
type Decoy struct {
	Type   string `yaml:"type"`   // ssh, telnet
	Listen string `yaml:"listen"` // address:port

	// Password says that a decoy of a database that is often open asks for one.
	Password bool `yaml:"password"`

	// As the options of sshd_config: LoginGraceTime (2m), MaxAuthTries (6),
	// MaxStartups as begin:rate:full (none, so that no visitor is turned away).
	Grace       time.Duration `yaml:"login_grace"`
	MaxTries    int           `yaml:"max_auth_tries"`
	MaxStartups string        `yaml:"max_startups"`
}

// Startups reads MaxStartups, as begin:rate:full or one number; all are 0 for none.
func (d Decoy) Startups() (begin, rate, full int, err error) {
	if d.MaxStartups == "" {
		return 0, 0, 0, nil
	}
	f := strings.Split(d.MaxStartups, ":")
	if len(f) == 1 {
		f = []string{f[0], "100", f[0]}
	}
	var n [3]int
	for i := range f {
		if len(f) != 3 {
			break
		}
		if n[i], err = strconv.Atoi(f[i]); err != nil {
			break
		}
	}
	if err != nil || len(f) != 3 || n[0] < 1 || n[2] < n[0] || n[1] < 1 || n[1] > 100 {
		return 0, 0, 0, fmt.Errorf("max_startups %q: write begin:rate:full, such as 10:30:100", d.MaxStartups)
	}
	return n[0], n[1], n[2], nil
}

// Limits bound what strangers can use up.
type Limits struct {
	Connections Connections   `yaml:"connections"`
	Session     time.Duration `yaml:"session"` // longest session
	Idle        time.Duration `yaml:"idle"`    // longest silence in a session
}

// Connections bounds open connections.
type Connections struct {
	PerSource int `yaml:"per_source"`
	Total     int `yaml:"total"`
}

// Record says what is kept of what visitors type.
type Record struct {
	Passwords string `yaml:"passwords"` // hmac, full, none
}

// Retention says how long things are kept.
type Retention struct {
	Raw        time.Duration `yaml:"raw"`        // events
	Recordings time.Duration `yaml:"recordings"` // sessions with their recordings, 0 = as raw
	Captures   time.Duration `yaml:"captures"`   // files that visitors left, 0 = as raw
	Cases      time.Duration `yaml:"cases"`      // alerts with their evidence
}

// Rules says which detection rules judge events, and where they are quiet.
type Rules struct {
	Dirs         []string   `yaml:"dirs"`         // of Sigma rules, beside those that are shipped; watched
	Own          bool       `yaml:"own"`          // only those of Dirs
	Placeholders string     `yaml:"placeholders"` // file with the tables behind %names%
	MinLevel     string     `yaml:"min_level"`    // informational, low, medium, high, critical
	Suppress     []Suppress `yaml:"suppress"`
	// LookBack is how far back a new or changed rule or list of indicators is
	// run over the events that are kept; 0: not at all.
	LookBack time.Duration `yaml:"look_back"`
}

// Suppress keeps a rule quiet where it is known to mean nothing.
type Suppress struct {
	Rule   string    `yaml:"rule"`   // id or title; empty: every rule
	Source Network   `yaml:"source"` // address or network
	Field  string    `yaml:"field"`  // with Value
	Value  string    `yaml:"value"`
	Reason string    `yaml:"reason"`
	Until  time.Time `yaml:"until"` // a date; none: no end
}

// Network is an address or a network in a file.
type Network struct{ netip.Prefix }

// UnmarshalText reads 192.0.2.1, 192.0.2.0/24 and the like.
func (n *Network) UnmarshalText(b []byte) error {
	text := string(b)
	if text == "" {
		return nil
	}
	if a, err := netip.ParseAddr(text); err == nil {
		n.Prefix = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		return nil
	}
	p, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("%q is neither an address nor a network", text)
	}
	n.Prefix = p.Masked()
	return nil
}

// Journal bounds the spool on disk.
type Journal struct {
	Limit yamldoc.Size `yaml:"limit"`
}

// EventLog is where events are kept.
type EventLog struct {
	URL string `yaml:"url"` // of a VictoriaLogs cluster; empty = the embedded one
}

// Captures bounds what visitors leave.
type Captures struct {
	Quota   yamldoc.Size `yaml:"quota"`    // bytes in all
	MaxFile yamldoc.Size `yaml:"max_file"` // bytes of one file
}

// Visitors says how long a visitor finds his own changes again.
type Visitors struct {
	Keep  time.Duration `yaml:"keep"`
	Max   int           `yaml:"max"`
	Quota yamldoc.Size  `yaml:"quota"` // bytes on disk in all
}

// Scan says with what captured files are looked at, beside the rules that are shipped.
type Scan struct {
	Rules      []string `yaml:"rules"`      // YARA: files, directories
	Indicators []string `yaml:"indicators"` // lists of hashes, likenesses, names: files, directories
}

// Console is the web page's address.
type Console struct {
	Listen string `yaml:"listen"`
}

// Default is the configuration of an empty file.
func Default() *Config {
	return &Config{
		Limits: Limits{
			Connections: Connections{PerSource: 32, Total: 2000},
			Session:     4 * time.Hour, Idle: 15 * time.Minute,
		},
		Record:    Record{Passwords: "hmac"},
		Retention: Retention{Raw: 30 * 24 * time.Hour, Cases: 365 * 24 * time.Hour},
		Rules:     Rules{LookBack: 7 * 24 * time.Hour},
		Journal:   Journal{Limit: 1 << 30},
		Captures:  Captures{Quota: 1 << 30, MaxFile: 32 << 20},
		Visitors:  Visitors{Keep: 24 * time.Hour, Max: 1000, Quota: 256 << 20},
		Console:   Console{Listen: "127.0.0.1:9443"},
		Respond:   defaultRespond(),
	}
}

// Load reads file, or takes the defaults when file is empty. templates are
// the personas that exist. Files and directories that it names must be there;
// what is no absolute path counts from the directory of file, so that the
// processes, which run elsewhere, find it too. The error is yamldoc.Faults, or an
// os error.
func Load(file string, templates []string) (*Config, error) {
	c := Default()
	if file == "" {
		c.imply()
		return c, nil
	}
	data, err := readFile(file)
	if err != nil {
		return nil, err
	}
	abs, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("find the directory of the configuration: %w", err)
	}
	return parse(file, data, templates, filepath.Dir(abs))
}

func readFile(file string) ([]byte, error) {
	st, err := os.Stat(file)
	if err != nil {
		return nil, unreadable(err)
	}
	if !st.Mode().IsRegular() {
		return nil, yamldoc.Faults{{File: file, Text: "not a regular file", Remedy: "give the path of a YAML file"}}
	}
	if st.Size() > yamldoc.MaxSize {
		return nil, yamldoc.Faults{{File: file, Text: fmt.Sprintf("%d bytes, the limit is %d", st.Size(), yamldoc.MaxSize)}}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(err)
	}
	return data, nil
}

func unreadable(err error) error {
	remedy := "look at the path and at the disk"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		remedy = "write one (docs/formats/config.md), correct the path, or leave it out: none is needed"
	case errors.Is(err, fs.ErrPermission):
		remedy = "make it readable for this user (chmod, chown), or run lapwing as its owner"
	}
	return fmt.Errorf("read the configuration: %w; %s", err, remedy)
}

// Parse is Load on bytes, without a look at the files that they name.
func Parse(file string, data []byte, templates []string) (*Config, error) {
	return parse(file, data, templates, "")
}

// parse resolves the names of files from the directory base, unless it is empty.
func parse(file string, data []byte, templates []string, base string) (*Config, error) {
	c := Default()
	doc, err := yamldoc.Decode(file, data, c)
	faults, ok := err.(yamldoc.Faults) //nolint:errorlint // Decode returns it bare
	if err != nil && !ok {
		return nil, err
	}
	faults = append(faults, c.check(doc, templates)...)
	if base != "" {
		faults = append(faults, c.resolve(doc, base)...)
		faults = append(faults, c.resolveSources(doc, base)...)
	}
	if len(faults) > 0 {
		faults.Sort()
		return nil, faults
	}
	if len(c.Hosts) == 0 {
		c.imply()
	}
	return c, nil
}

// imply fills in the hosts of an installation without a configuration.
func (c *Config) imply() {
	c.Implied = true
	c.Hosts = []Host{
		{Name: "server", Persona: "debian-server", Decoys: []Decoy{{Type: "ssh", Listen: "127.0.0.1:2222"}}},
		{Name: "gateway", Persona: "busybox-router", Decoys: []Decoy{{Type: "telnet", Listen: "127.0.0.1:2323"}}},
	}
	for i := range c.Hosts {
		c.Hosts[i].defaults()
	}
}

func (h *Host) defaults() {
	if h.Downloads == "" {
		h.Downloads = "serve"
	}
	if h.Tunnels == "" {
		h.Tunnels = "refuse"
	}
}
